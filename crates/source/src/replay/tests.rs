//! A replay into a log in memory, cut anywhere and started again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use proptest::prelude::*;
use weir_core::ledger::RecordKind;
use weir_core::value::Value;
use weir_envelope::values::{row_at, value_at};
use weir_envelope::{Bounds, Decoder, RawRecord, Reject, schema};

use super::encoding::Message;
use super::*;
use crate::events::Events;
use crate::record::{Payload, Poison};
use crate::simulate::{Simulator, Size, Spec, Switches};
use crate::testing::{retail, table};

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
        let entry = (message.key.unwrap_or_default().to_vec(), message.value.map(<[u8]>::to_vec));
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

/// Encodes every record of a source and reads it back as landing will.
fn assert_reads_back_as_the_ledger_tells(source: &Source, tables: &[Table]) {
    for (at, table) in tables.iter().enumerate() {
        let mut encoding = Encoding::new(table, 1, 2);
        let mut decoder = Decoder::new(Bounds::default());
        decoder.add_schema(2, &schema::value_schema(table)).unwrap();
        let records: Vec<_> = source.records(3).map(Result::unwrap).filter(|record| record.table == at).collect();
        let values: Vec<_> =
            records.iter().map(|record| encoding.encode(record).unwrap().value.map(<[u8]>::to_vec)).collect();
        let raw = |value| RawRecord { partition: 0, offset: 0, timestamp_ms: 0, key: None, value };
        let raw: Vec<_> = values.iter().map(|value| raw(value.as_deref())).collect();
        let decoded = decoder.decode(table, &raw);

        let tombstones = records.iter().enumerate().filter(|(_, record)| record.payload == Payload::Tombstone);
        assert_eq!(decoded.tombstones, tombstones.map(|(at, _)| at).collect::<Vec<_>>());
        let poisoned = records.iter().enumerate().filter_map(|(at, record)| match record.payload {
            Payload::Poison(Poison::EmptyValue, _) => Some((at, "empty")),
            Payload::Poison(Poison::WrongMagic, _) => Some((at, "magic")),
            Payload::Poison(Poison::UnknownSchemaId, _) => Some((at, "schema")),
            Payload::Poison(Poison::Truncated, _) => Some((at, "truncated")),
            Payload::Poison(Poison::TrailingBytes, _) => Some((at, "trailing")),
            _ => None,
        });
        let rejects = decoded.rejects.iter().map(|(at, reject)| match reject {
            Reject::Empty => (*at, "empty"),
            Reject::WrongMagic => (*at, "magic"),
            Reject::UnknownSchema(_) => (*at, "schema"),
            Reject::Truncated => (*at, "truncated"),
            Reject::TrailingBytes => (*at, "trailing"),
            other => panic!("{other:?}"),
        });
        assert_eq!(rejects.collect::<Vec<_>>(), poisoned.collect::<Vec<_>>());
        let mut read = 0;
        for part in decoded.rows {
            let image = |name: &str| part.batch.column_by_name(name).unwrap().as_struct().clone();
            let (before, after) = (image("before"), image("after"));
            let text = |name: &str, row| value_at(part.batch.column_by_name(name).unwrap(), row).unwrap();
            for (row, at) in part.index.iter().enumerate() {
                let (RecordKind::Change(change) | RecordKind::Repeat(change)) = records[*at].kind(table) else {
                    panic!("a row of no change");
                };
                let (Payload::Change(event) | Payload::Repeat(event)) = &records[*at].payload else { unreachable!() };
                assert_eq!(row_at(&before, &table.columns, row).unwrap(), event.before);
                assert_eq!(row_at(&after, &table.columns, row).unwrap(), event.after);
                assert_eq!(text("op", row), Value::Text(change.op.letter().to_owned()));
                assert_eq!(text("_order_key", row), Value::Bytes(change.order_key.as_bytes().to_vec()));
                assert_eq!(text("_source_ts", row), Value::Timestamp(change.source_ts));
                read += 1;
            }
        }
        assert_eq!(read + decoded.rejects.len() + decoded.tombstones.len(), records.len());
    }
}

#[test]
fn simulated_records_read_back_as_the_ledger_tells_them() {
    let size = Size::for_rows(20_000);
    let spec = Spec { seed: 9, size, switches: Switches::ALL };
    let tables = retail();
    assert_reads_back_as_the_ledger_tells(&Source::Simulate(Simulator::new(spec, &tables).unwrap()), &tables);
}

#[test]
fn events_of_every_type_read_back_as_the_ledger_tells_them() {
    let columns = [
        ("id", "uniqueidentifier", false),
        ("number", "bigint", false),
        ("tiny", "tinyint", true),
        ("small", "smallint", true),
        ("normal", "int", true),
        ("flag", "bit", true),
        ("single", "real", true),
        ("double", "float", true),
        ("amount", "decimal(38,10)", true),
        ("price", "money", true),
        ("note", "nvarchar(max)", true),
        ("day", "date", true),
        ("second", "datetime2(0)", true),
        ("micro", "datetime2(6)", true),
        ("nano", "datetime2(7)", true),
        ("moment", "datetimeoffset", true),
        ("bytes", "varbinary(max)", true),
    ];
    let tables = vec![table("thing", &columns, &["id", "number"])];
    let full = r#"{"id":"6f1c1f0e-3c9c-4b7c-9f5e-0d4f2c8f7a11","number":-9223372036854775808,"tiny":255,"small":-32768,
        "normal":2147483647,"flag":true,"single":0.1,"double":-1e300,"amount":"-9999999999999999999999999999.0000000001",
        "price":"922337203685477.5807","note":"Zoë, 你好","day":"0001-01-01","second":"9999-12-31T23:59:59",
        "micro":"2024-01-02T03:04:05.123456","nano":"1999-12-31T23:59:59.999999","moment":"2024-06-01T12:00:00.5+02:00",
        "bytes":"00ff7f"}"#
        .replace('\n', "");
    let bare = r#"{"id":"6f1c1f0e-3c9c-4b7c-9f5e-0d4f2c8f7a11","number":7}"#;
    let time = r#""time":"2024-01-02T03:04:05.678901Z""#;
    let lines = [
        format!(r#"{{"table":"thing","op":"r","after":{full},{time}}}"#),
        format!(r#"{{"table":"thing","op":"u","before":{full},"after":{bare},{time}}}"#),
        format!(r#"{{"table":"thing","op":"u","after":{full},{time}}}"#),
        format!(r#"{{"table":"thing","op":"d","before":{bare},{time}}}"#),
        format!(r#"{{"table":"thing","op":"t",{time}}}"#),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    assert_reads_back_as_the_ledger_tells(&Source::Events(Events::open(&path, &tables).unwrap()), &tables);
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

#[test]
fn a_table_of_another_connector_is_refused_before_anything_is_made() {
    let logs = Arc::default();
    let mut tables = retail();
    tables[1].connector.kind = ConnectorKind::Postgres;
    let refused =
        run(&source(1), &tables, &options(None), Memory::new(&logs, u64::MAX), &mut |_| ControlFlow::Continue(()));
    assert!(
        matches!(&refused, Err(SourceError::ForeignConnector { table }) if *table == tables[1].name.as_str()),
        "{refused:?}"
    );
    assert!(logs.lock().unwrap().is_empty());
}
