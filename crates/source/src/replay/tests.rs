//! A replay into a log in memory, cut anywhere and started again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use weir_core::ledger::RecordKind;

use super::encoding::Message;
use super::*;
use crate::record::Poison;
use crate::simulate::{Simulator, Size, Spec, Switches};
use crate::testing::retail;

type Logs = BTreeMap<(String, i32), Vec<(Vec<u8>, Option<Vec<u8>>)>>;

/// Topics in memory. After `left` messages the next one fails, as a killed process would.
struct Memory {
    logs: Arc<Mutex<Logs>>,
    left: u64,
    schemas: Vec<String>,
}

impl Memory {
    fn new(logs: &Arc<Mutex<Logs>>, left: u64) -> Self {
        Self { logs: logs.clone(), left, schemas: Vec::new() }
    }
}

impl Sink for Memory {
    fn topic(&mut self, table: &Table, partitions: i32, _: Duration) -> Result<Vec<i64>, SourceError> {
        let mut logs = self.logs.lock().unwrap();
        Ok((0..partitions).map(|p| logs.entry((table.topic.clone(), p)).or_default().len() as i64).collect())
    }

    fn register(&mut self, table: &Table) -> Result<(u32, u32), SourceError> {
        self.schemas.extend([table.key_subject(), table.value_subject()]);
        let id = self.schemas.len() as u32;
        Ok((id - 1, id))
    }

    fn send(&mut self, table: &Table, partition: i32, message: Message<'_>) -> Result<(), SourceError> {
        if self.left == 0 {
            return Err(SourceError::ForeignRecords { topic: "cut".to_owned() });
        }
        self.left -= 1;
        let entry = (message.key.to_vec(), message.value.map(<[u8]>::to_vec));
        self.logs.lock().unwrap().entry((table.topic.clone(), partition)).or_default().push(entry);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        Ok(())
    }
}

fn source(seed: u64) -> Source {
    let size = Size { customers: 20, products: 10, orders: 60 };
    Source::Simulate(Simulator::new(Spec { seed, size, switches: Switches::ALL }, &retail()).unwrap())
}

fn options(dir: Option<&std::path::Path>) -> Options {
    let dir = dir.map(std::path::Path::to_path_buf);
    Options { partitions: 3, retention: Duration::from_secs(60), dir, events_per_second: 0 }
}

fn run_once(seed: u64, dir: Option<&std::path::Path>, sink: Memory) -> Result<Progress, SourceError> {
    run(&source(seed), &retail(), &options(dir), sink, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn the_log_holds_what_the_ledger_says_at_each_offset() {
    let logs = Arc::default();
    let done = run_once(1, None, Memory::new(&logs, u64::MAX)).unwrap();
    let logs = logs.lock().unwrap();
    let tables = retail();
    let mut count = 0;
    for entry in source(1).ledger(&tables, 3) {
        let entry = entry.unwrap();
        let topic = format!("retail.{}.cdc", entry.table);
        let (key, value) = &logs[&(topic, entry.partition)][usize::try_from(entry.offset).unwrap()];
        assert_eq!(key[0], 0);
        match entry.kind {
            RecordKind::Change(_) | RecordKind::Repeat(_) => assert_eq!(value.as_ref().unwrap()[0], 0),
            RecordKind::Tombstone => assert_eq!(*value, None),
            RecordKind::Poison(word) if word == Poison::EmptyValue.word() => assert_eq!(*value, Some(Vec::new())),
            RecordKind::Poison(word) if word == Poison::WrongMagic.word() => assert_ne!(value.as_ref().unwrap()[0], 0),
            RecordKind::Poison(_) => assert!(value.is_some()),
        }
        count += 1;
    }
    assert_eq!(done, Progress { skipped: 0, produced: count, complete: true });
    assert_eq!(logs.values().map(Vec::len).sum::<usize>() as u64, count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn cut_anywhere_and_started_again_the_log_is_the_same(cuts in proptest::collection::vec(0u64..400, 1..5)) {
        let whole = Arc::default();
        run_once(3, None, Memory::new(&whole, u64::MAX)).unwrap();
        let (dir, logs) = (tempfile::tempdir().unwrap(), Arc::default());
        for cut in cuts {
            let _ = run_once(3, Some(dir.path()), Memory::new(&logs, cut));
        }
        let last = run_once(3, Some(dir.path()), Memory::new(&logs, u64::MAX)).unwrap();
        prop_assert!(*logs.lock().unwrap() == *whole.lock().unwrap());
        // Once more: nothing is left to send.
        let again = run_once(3, Some(dir.path()), Memory::new(&logs, 0)).unwrap();
        prop_assert_eq!(again, Progress { skipped: last.skipped + last.produced, produced: 0, complete: true });
    }
}

#[test]
fn a_replay_stops_when_told_and_goes_on_later() {
    let (dir, logs) = (tempfile::tempdir().unwrap(), Arc::default());
    let (mut options, tables) = (options(Some(dir.path())), retail());
    options.events_per_second = 1_000_000;
    let stopped =
        run(&source(5), &tables, &options, Memory::new(&logs, u64::MAX), &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(stopped, Progress { skipped: 0, produced: STRIDE_PACED, complete: false });
    let rest = run_once(5, Some(dir.path()), Memory::new(&logs, u64::MAX)).unwrap();
    assert_eq!((rest.skipped, rest.complete), (STRIDE_PACED, true));
}

#[test]
fn a_kept_folder_takes_no_other_seed_and_no_topic_that_it_did_not_fill() {
    let (dir, logs) = (tempfile::tempdir().unwrap(), Arc::default());
    run_once(3, Some(dir.path()), Memory::new(&logs, u64::MAX)).unwrap();
    let error = run_once(4, Some(dir.path()), Memory::new(&logs, u64::MAX)).unwrap_err();
    assert_eq!(error.to_string(), "the folder was filled by another replay: `seed` was 3 and is now 4");
    // The manifest is gone, or was never there: the records are somebody else's.
    for dir in [None, Some(tempfile::tempdir().unwrap())] {
        let path = dir.as_ref().map(tempfile::TempDir::path);
        for _ in 0..2 {
            let error = run_once(3, path, Memory::new(&logs, u64::MAX)).unwrap_err();
            assert!(matches!(error, SourceError::ForeignRecords { .. }), "a refusal must not claim the folder");
        }
    }
}

#[test]
fn a_record_that_somebody_else_added_is_found() {
    let (dir, logs) = (tempfile::tempdir().unwrap(), Arc::<Mutex<Logs>>::default());
    run_once(3, Some(dir.path()), Memory::new(&logs, u64::MAX)).unwrap();
    logs.lock().unwrap().get_mut(&("retail.order.cdc".to_owned(), 1)).unwrap().push((Vec::new(), None));
    let error = run_once(3, Some(dir.path()), Memory::new(&logs, u64::MAX)).unwrap_err();
    assert!(matches!(error, SourceError::TooManyRecords { partition: 1, .. }), "{error}");
}

#[test]
fn generating_and_encoding_keep_up_with_the_path() {
    let size = Size::for_rows(300_000);
    let source = Source::Simulate(Simulator::new(Spec { seed: 1, size, switches: Switches::ALL }, &retail()).unwrap());
    let mut encodings: Vec<_> = retail().iter().map(|table| Encoding::new(table, 1, 2)).collect();
    let (started, mut count, mut bytes) = (Instant::now(), 0_u64, 0);
    for record in source.records(3) {
        let record = record.unwrap();
        bytes += encodings[record.table].encode(&record).unwrap().value.map_or(0, <[u8]>::len);
        count += 1;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    println!("{count} records, {bytes} bytes of values, {rate:.0} records/s");
    // A tenth of the target: other work may share the machine.
    assert!(rate > 30_000.0, "{rate:.0} records/s");
}
