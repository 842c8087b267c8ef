//! Landing on a temporary lake, from a topic made by hand: the encoder and the decoder are the real ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use object_store::memory::InMemory;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use weir_core::change::Op;
use weir_core::column::Column;
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::schema_id::SchemaId;
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_envelope::encode::Snapshot;
use weir_envelope::{Encoder, Event, schema};
use weir_lake::{Commit, DataFile, Lake, NewFile, ObjectStore, Options, Partition, Partitioning, S3};
use weir_project::{ByteSize, Connector, ConnectorKind, Landing, Table};
use weir_stream::{Batch, Record, Start, StreamError};

use crate::{Feed, Landed, LandingError, Schemas, Source, Until, deadletter, land};

/// Runs these tests over a folder and over a bucket.
macro_rules! on_both {
    ($($name:ident,)+) => {
        mod over_a_folder {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::At::Folder).await;
                }
            )+
        }
        mod over_a_bucket {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::At::Bucket).await;
                }
            )+
        }
    };
}

mod bucket;
mod gaps;
mod glue;
mod letters;
mod policy;
mod several;
mod upkeep;

const HOUR: i64 = 3_600_000_000;

fn column(name: &str, kind: &str, nullable: bool) -> Column {
    Column { name: name.parse().unwrap(), kind: kind.parse().unwrap(), nullable }
}

fn customer() -> Table {
    Table {
        name: "customer".parse().unwrap(),
        topic: "retail.customer.cdc".into(),
        connector: Connector {
            kind: ConnectorKind::SqlServer,
            server: "retail".into(),
            database: "RetailDB".into(),
            schema: "dbo".into(),
        },
        columns: vec![column("customer_id", "int", false), column("city", "nvarchar(60)", true)],
        key: vec!["customer_id".parse().unwrap()],
        pii: Default::default(),
        expectations: vec![],
        schema_changes: weir_project::SchemaChanges::Evolve,
        staging_sql: None,
    }
}

fn settings(max_rows: usize) -> Landing {
    Landing {
        max_wait: Duration::from_millis(300),
        max_rows,
        max_size: ByteSize::mib(64),
        retention: Duration::from_secs(90 * 86_400),
        compact_after: Duration::from_secs(3600),
        compact_size: ByteSize::mib(64),
        allowed_lateness: Duration::from_secs(60),
    }
}

/// One record: partition, value; the offset is its place in the partition.
type Stored = (i32, Option<Vec<u8>>);

/// A topic in memory. Of two copies of it that joined, each reads the partitions that it is `given`.
#[derive(Clone, Default)]
struct Topic {
    id: String,
    records: Arc<Mutex<Vec<Stored>>>,
    /// First offset held, of every partition.
    low: i64,
    next: [i64; 2],
    /// Whether the topic is not there.
    gone: bool,
    /// What the group says next.
    given: Arc<Mutex<Option<Vec<i32>>>>,
    reads: Vec<i32>,
    published: Arc<Mutex<Vec<(i32, i64)>>>,
}

impl Topic {
    fn new(id: &str) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    fn push(&self, partition: i32, value: Option<Vec<u8>>) {
        self.records.lock().unwrap().push((partition, value));
    }

    fn of_partition(&self, partition: i32) -> Vec<Option<Vec<u8>>> {
        let records = self.records.lock().unwrap();
        records.iter().filter(|record| record.0 == partition).map(|record| record.1.clone()).collect()
    }
}

impl Feed for Topic {
    fn topic_id(&self) -> Result<String, StreamError> {
        if self.gone { Err(StreamError::UnknownTopic { topic: "t".into() }) } else { Ok(self.id.clone()) }
    }

    fn partitions(&self) -> Result<Vec<i32>, StreamError> {
        Ok(vec![0, 1])
    }

    fn watermarks(&self, partition: i32) -> Result<(i64, i64), StreamError> {
        Ok((self.low, self.of_partition(partition).len() as i64))
    }

    fn join(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn given(&mut self) -> Option<Vec<i32>> {
        self.given.lock().unwrap().take()
    }

    fn publish(&mut self, next: &[(i32, i64)]) {
        self.published.lock().unwrap().extend(next);
    }

    fn assign(&mut self, starts: &[(i32, Start)]) -> Result<(), StreamError> {
        self.reads = starts.iter().map(|(partition, _)| *partition).collect();
        for (partition, start) in starts {
            self.next[*partition as usize] = if let Start::At(offset) = start { *offset } else { self.low };
        }
        Ok(())
    }

    fn poll(&mut self, max_records: usize, _: usize, _: Duration) -> Result<Batch, StreamError> {
        let mut batch = Batch::default();
        for partition in self.reads.clone() {
            for value in self.of_partition(partition).iter().skip(self.next[partition as usize] as usize) {
                if batch.len() == max_records {
                    break;
                }
                let offset = self.next[partition as usize];
                let record =
                    Record { partition, offset, timestamp_ms: 1_000, key: Some(b"k"), value: value.as_deref() };
                batch.push(record, vec![("h".into(), Some(b"v".to_vec()))]);
                self.next[partition as usize] += 1;
            }
        }
        if batch.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(batch)
    }
}

/// A registry that knows some ids, or is down.
#[derive(Clone)]
struct Known(Vec<(u32, String)>);

impl Schemas for Known {
    fn schema(&self, id: SchemaId) -> Result<Arc<str>, StreamError> {
        let found = self.0.iter().find(|(known, _)| SchemaId::from(*known) == id);
        found.map(|(_, text)| text.as_str().into()).ok_or(StreamError::UnknownSchema { id })
    }
}

fn known(tables: &[(u32, &Table)]) -> Known {
    Known(tables.iter().map(|(id, table)| (*id, schema::value_schema(table))).collect())
}

/// A change of customer `id` at order `order`, committed at `at`.
fn change(table: &Table, schema_id: u32, op: Op, id: i64, order: u32, at: i64) -> Option<Vec<u8>> {
    let mut row: Row = vec![Value::Int(id), Value::Text(format!("city {order}"))];
    row.resize(table.columns.len(), Value::Int(1));
    let event = Event {
        op,
        before: matches!(op, Op::Update | Op::Delete).then_some(&row),
        after: (!matches!(op, Op::Delete | Op::Truncate)).then_some(&row),
        position: SqlServerPosition {
            commit_lsn: Lsn::new(1, order, 1),
            change_lsn: Some(Lsn::new(1, order, 2)),
            serial: 1,
        },
        source_ts_us: at,
        snapshot: Snapshot::False,
        transaction: None,
        ts_ns: at * 1000,
    };
    let mut out = Vec::new();
    Encoder::new(table, 1, schema_id).value(&event, &mut out).unwrap();
    Some(out)
}

/// Where a lake may stand. What lands, and what does not, is tested over both.
#[derive(Clone, Copy)]
enum At {
    Folder,
    Bucket,
}

/// The place of one lake, gone when dropped.
enum Ground {
    Folder(TempDir),
    Bucket(Arc<dyn ObjectStore>),
}

impl At {
    fn fresh(self) -> Ground {
        match self {
            Self::Folder => Ground::Folder(TempDir::new().unwrap()),
            Self::Bucket => Ground::Bucket(Arc::new(InMemory::new())),
        }
    }
}

async fn lake(ground: &Ground) -> Lake {
    match ground {
        Ground::Folder(folder) => Lake::open(Options::folder(folder.path())).await.unwrap(),
        Ground::Bucket(store) => {
            Lake::with_store(Options::s3(S3::of_url("s3://lake/shop")), store.clone()).await.unwrap()
        }
    }
}

async fn try_landing(lake: &Lake, topic: &Topic, max_rows: usize) -> Result<Landed, LandingError> {
    let table = customer();
    let source = Source { feed: topic.clone(), schemas: known(&[(2, &table)]) };
    land(&table, &settings(max_rows), lake, source, Until::CaughtUp).await
}

async fn landing(lake: &Lake, topic: &Topic, max_rows: usize) -> Landed {
    let landed = try_landing(lake, topic, max_rows).await.unwrap();
    assert!(landed.counts.balance());
    landed
}

/// (partition, offset, hour) of all rows, sorted.
async fn offsets(lake: &Lake, zone: Zone) -> Vec<(i64, i64)> {
    let Some(table) = lake.table(zone, "customer").await.unwrap() else { return Vec::new() };
    let files: Vec<DataFile> = table.files().cloned().collect();
    let names = if zone == Zone::Landing { ["_partition", "_offset"] } else { ["partition", "offset"] };
    let mut found = Vec::new();
    for batch in table.read_all(&files, Some(&names)).await.unwrap() {
        let column = |at: usize| arrow::compute::cast(batch.column(at), &arrow::datatypes::DataType::Int64).unwrap();
        let (partitions, offsets) = (column(0), column(1));
        let (partitions, offsets) = (partitions.as_primitive::<Int64Type>(), offsets.as_primitive::<Int64Type>());
        found.extend(partitions.values().iter().copied().zip(offsets.values().iter().copied()));
    }
    found.sort_unstable();
    found
}

async fn every_record_is_accounted_for_once_over_restarts_and_batch_sizes(at: At) {
    for max_rows in [1, 3, 100] {
        let folder = at.fresh();
        let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
        for order in 0..6 {
            let at = i64::from(order) * HOUR / 2;
            topic.push(i32::from(order % 2 == 0), change(&table, 2, Op::Create, order.into(), order, at));
        }
        topic.push(0, None);
        topic.push(1, Some(b"no frame".to_vec()));
        topic.push(1, change(&table, 9, Op::Create, 90, 90, 0));
        let first = landing(&lake, &topic, max_rows).await.counts;
        assert_eq!((first.received, first.landed, first.dead_lettered, first.tombstones), (9, 6, 2, 1));
        assert_eq!(landing(&lake, &topic, max_rows).await.counts.received, 0);

        topic.push(0, change(&table, 2, Op::Delete, 1, 100, 5 * HOUR));
        let second = landing(&lake, &topic, max_rows).await;
        assert_eq!((second.counts.received, second.counts.landed), (1, 1));
        assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1), (0, 2), (0, 4), (1, 0), (1, 1), (1, 2)]);
        assert_eq!(offsets(&lake, Zone::Deadletter).await, [(1, 3), (1, 4)]);
    }
}

async fn a_truncation_lands_without_a_row_and_once_per_hour(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    topic.push(0, change(&table, 2, Op::Truncate, 0, 2, 0));
    assert_eq!(landing(&lake, &topic, 10).await.counts.landed, 2);
    // Again, beside another one.
    topic.push(1, change(&table, 2, Op::Truncate, 0, 2, 0));
    topic.push(1, change(&table, 2, Op::Truncate, 0, 3, 0));
    let again = landing(&lake, &topic, 10).await.counts;
    assert_eq!((again.landed, again.repeated, again.dead_lettered), (1, 1, 0));
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 1), (1, 1)]);
}

async fn a_dead_letter_keeps_the_record_and_names_the_reason(at: At) {
    let folder = at.fresh();
    let (lake, topic) = (lake(&folder).await, Topic::new("A"));
    topic.push(0, Some(vec![0, 0, 0, 0, 7, 1, 2, 3]));
    landing(&lake, &topic, 10).await;
    let letters = lake.table(Zone::Deadletter, "customer").await.unwrap().unwrap();
    let files: Vec<DataFile> = letters.files().cloned().collect();
    let rows = &letters.read_all(&files, None).await.unwrap()[0];
    let text = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!((text("topic"), text("reason")), ("retail.customer.cdc".into(), "unknown_schema".into()));
    assert_eq!(text("headers"), r#"[{"name":"h","value":"76"}]"#);
    assert_eq!(rows.column_by_name("value").unwrap().as_binary::<i32>().value(0), [0, 0, 0, 0, 7, 1, 2, 3]);
    assert_eq!(rows.column_by_name("schema_id").unwrap().as_primitive::<Int64Type>().value(0), 7);
}

async fn a_repeated_delivery_is_dropped_and_counted_in_the_batch_and_across_batches(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    let event = |op, id, order| change(&table, 2, op, id, order, HOUR);
    topic.push(0, event(Op::Create, 1, 5));
    topic.push(0, event(Op::Create, 1, 5));
    topic.push(0, event(Op::Delete, 1, 5));
    let first = landing(&lake, &topic, 10).await.counts;
    assert_eq!((first.landed, first.repeated), (2, 1));
    topic.push(1, event(Op::Delete, 1, 5));
    topic.push(1, event(Op::Create, 2, 5));
    let second = landing(&lake, &topic, 10).await.counts;
    assert_eq!((second.landed, second.repeated), (1, 1));
}

async fn a_late_event_goes_to_its_own_hour_and_is_counted(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    topic.push(0, change(&table, 2, Op::Create, 1, 9, 10 * HOUR));
    assert_eq!(landing(&lake, &topic, 10).await.late, 0);
    topic.push(0, change(&table, 2, Op::Create, 2, 1, 2 * HOUR));
    topic.push(0, change(&table, 2, Op::Create, 3, 2, 10 * HOUR - 1));
    assert_eq!(landing(&lake, &topic, 10).await.late, 1, "what was newest is known after a restart");
    let landed = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let rows =
        |hour| -> u64 { landed.files_in(Partition::Hour(weir_core::zone::Hour(hour))).map(|file| file.rows).sum() };
    assert_eq!((rows(2), rows(9), rows(10)), (1, 1, 1));
}

async fn a_column_that_the_source_gains_is_added_in_the_same_commit_and_null_before(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    let mut wider = customer();
    wider.columns.push(column("points", "int", true));
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    landing(&lake, &topic, 10).await;
    topic.push(0, change(&wider, 3, Op::Create, 2, 2, 0));
    topic.push(0, change(&table, 2, Op::Create, 3, 3, 0));
    let source = Source { feed: topic.clone(), schemas: known(&[(2, &table), (3, &wider)]) };
    let landed = land(&table, &settings(10), &lake, source, Until::CaughtUp).await.unwrap();
    assert_eq!((landed.counts.landed, landed.commits), (2, 1));
    let main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let files: Vec<DataFile> = main.files().cloned().collect();
    let mut points = Vec::new();
    for batch in main.read_all(&files, Some(&["after"])).await.unwrap() {
        let after = batch.column(0).as_struct().column_by_name("points").unwrap().clone();
        points.extend((0..after.len()).map(|row| after.is_null(row)));
    }
    points.sort_unstable();
    assert_eq!(points, [false, true, true]);
}

async fn a_registry_that_is_down_makes_no_dead_letters(at: At) {
    struct Down;
    impl Schemas for Down {
        fn schema(&self, _: SchemaId) -> Result<Arc<str>, StreamError> {
            Err(StreamError::RegistryRefused { status: 503, code: "50001".into(), message: "down".into() })
        }
    }
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    let source = Source { feed: topic.clone(), schemas: Down };
    let failed = land(&table, &settings(10), &lake, source, Until::CaughtUp).await;
    assert!(matches!(failed, Err(LandingError::Stream { .. })), "{failed:?}");
    assert_eq!(landing(&lake, &topic, 10).await.counts.landed, 1);
}

async fn a_cancelled_worker_commits_what_it_has_received(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    *topic.given.lock().unwrap() = Some(vec![0, 1]);
    let (token, source) = (CancellationToken::new(), Source { feed: topic.clone(), schemas: known(&[(2, &table)]) });
    let slow = Landing { max_wait: Duration::from_secs(3600), ..settings(10) };
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel();
    };
    let (landed, ()) = tokio::join!(land(&table, &slow, &lake, source, Until::Forever(token.clone())), cancel);
    assert_eq!(landed.unwrap().counts.landed, 1);
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0)]);
    assert_eq!(*topic.published.lock().unwrap(), [(0, 0), (1, 0), (0, 1)], "after the commit, not before");
}

fn eight_changes_and_three_poisons() -> Topic {
    let (topic, table) = (Topic::new("A"), customer());
    for order in 0..8 {
        topic.push(0, change(&table, 2, Op::Create, order.into(), order, i64::from(order) * HOUR / 2));
        topic.push(1, (order % 3 == 0).then(|| b"poison".to_vec()));
    }
    topic
}

async fn all_of_them_are_there(lake: &Lake) {
    let landed: Vec<(i64, i64)> = (0..8).map(|offset| (0, offset)).collect();
    assert_eq!(offsets(lake, Zone::Landing).await, landed);
    assert_eq!(offsets(lake, Zone::Deadletter).await, [(1, 0), (1, 3), (1, 6)]);
    let main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let mut counts = weir_core::accounts::LandingCounts::default();
    for info in main.commit_infos(0, main.version()).await.unwrap() {
        // One that only keeps a dead writer's from coming says nothing.
        let said = info.info.get("weir.landing").map(|said| serde_json::from_value(said.clone()).unwrap());
        counts += said.unwrap_or_default();
    }
    assert_eq!((counts.received, counts.landed, counts.dead_lettered, counts.tombstones), (16, 8, 3, 5));
}

on_both!(
    every_record_is_accounted_for_once_over_restarts_and_batch_sizes,
    a_truncation_lands_without_a_row_and_once_per_hour,
    a_dead_letter_keeps_the_record_and_names_the_reason,
    a_repeated_delivery_is_dropped_and_counted_in_the_batch_and_across_batches,
    a_late_event_goes_to_its_own_hour_and_is_counted,
    a_column_that_the_source_gains_is_added_in_the_same_commit_and_null_before,
    a_registry_that_is_down_makes_no_dead_letters,
    a_cancelled_worker_commits_what_it_has_received,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_and_a_kill_at_any_write_lose_nothing_and_double_nothing() {
    use object_store::local::LocalFileSystem;
    use weir_testkit::fault::Faulty;
    let topic = eight_changes_and_three_poisons();
    let mut struck = 0;
    for writes in 0..40 {
        for full in [true, false] {
            let folder = TempDir::new().unwrap();
            let inner = Arc::new(LocalFileSystem::new());
            let faulty =
                Arc::new(if full { Faulty::full_after(inner, writes) } else { Faulty::dead_after(inner, writes) });
            let options = Options::folder(folder.path());
            let broken = Lake::with_store(options, faulty.clone()).await.unwrap();
            let first = try_landing(&broken, &topic, 5).await;
            assert_eq!(first.is_err(), faulty.struck(), "{first:?}");
            struck += u32::from(faulty.struck());
            let lake = Lake::open(Options::folder(folder.path())).await.unwrap();
            landing(&lake, &topic, 5).await;
            all_of_them_are_there(&lake).await;
        }
    }
    assert!(struck > 20, "the faults were met: {struck}");
}

/// Not a benchmark: the real data set's shape, to find what grows by an order of magnitude.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of half a million events; run with `--ignored --nocapture`"]
async fn half_a_million_events_of_three_thousand_hours_are_landed_in_seconds() {
    let folder = At::Folder.fresh();
    let (lake, table) = (lake(&folder).await, customer());
    let mut encoded: [Vec<Option<Vec<u8>>>; 2] = Default::default();
    for order in 0..540_000u32 {
        let at = i64::from(order / 180) * HOUR + i64::from(order % 180);
        encoded[(order % 2) as usize].push(change(&table, 2, Op::Create, order.into(), order, at));
    }
    let fast = Fast { records: Arc::new(encoded), next: [0; 2] };
    let start = std::time::Instant::now();
    let source = Source { feed: fast, schemas: known(&[(2, &table)]) };
    let landed = land(&table, &settings(200_000), &lake, source, Until::CaughtUp).await.unwrap();
    println!("{landed:?} in {:?}", start.elapsed());
    assert_eq!(landed.counts.landed, 540_000);
}

/// A topic in memory that hands over what it has without copying all of it.
struct Fast {
    records: Arc<[Vec<Option<Vec<u8>>>; 2]>,
    next: [usize; 2],
}

impl Feed for Fast {
    fn topic_id(&self) -> Result<String, StreamError> {
        Ok("A".into())
    }

    fn partitions(&self) -> Result<Vec<i32>, StreamError> {
        Ok(vec![0, 1])
    }

    fn watermarks(&self, partition: i32) -> Result<(i64, i64), StreamError> {
        Ok((0, self.records[partition as usize].len() as i64))
    }

    fn join(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn given(&mut self) -> Option<Vec<i32>> {
        None
    }

    fn publish(&mut self, _: &[(i32, i64)]) {}

    fn assign(&mut self, _: &[(i32, Start)]) -> Result<(), StreamError> {
        Ok(())
    }

    fn poll(&mut self, max_records: usize, _: usize, _: Duration) -> Result<Batch, StreamError> {
        let mut batch = Batch::default();
        for partition in 0..2 {
            let all = &self.records[partition];
            // A broker hands over a partition for a while, then the next one.
            let up_to =
                all.len().min(self.next[partition] + 40_000).min(self.next[partition] + max_records - batch.len());
            for (offset, value) in all.iter().enumerate().take(up_to).skip(self.next[partition]) {
                let (partition, offset, value) = (partition as i32, offset as i64, value.as_deref());
                batch.push(Record { partition, offset, timestamp_ms: 1, key: Some(b"k"), value }, vec![]);
            }
            self.next[partition] = up_to;
        }
        Ok(batch)
    }
}
