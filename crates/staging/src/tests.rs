//! Staging on a temporary lake, fed with landing rows made by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use object_store::memory::InMemory;
use tempfile::TempDir;
use weir_core::column::Column;
use weir_core::value::Value;
use weir_core::zone::Zone;
use weir_lake::{Commit, DataFile, Lake, ObjectStore, Options, Partitioning, S3, hour_files, hours};
use weir_project::{Connector, ConnectorKind, Expectation, Rule, Severity, SqlFile, Staging, Table};
use weir_testkit::fault::Faulty;

use crate::value::value_at;
use crate::{Staged, Stager, StagingError, metrics};

mod truncations;
mod upkeep;

const HOUR: i64 = 3_600_000_000;

/// A change as it lands: op, order key, commit time, then the row image.
#[derive(Debug, Clone, Copy)]
struct Event {
    op: &'static str,
    order: u8,
    at: i64,
    id: Option<i32>,
    price: Option<&'static str>,
    customer: Option<i32>,
}

fn event(op: &'static str, order: u8, id: i32, price: &'static str) -> Event {
    Event { op, order, at: 0, id: Some(id), price: Some(price), customer: Some(1) }
}

fn column(name: &str, kind: &str, nullable: bool) -> Column {
    Column { name: name.parse().unwrap(), kind: kind.parse().unwrap(), nullable }
}

fn expectation(name: &str, column: &str, rule: Rule, severity: Severity) -> Expectation {
    Expectation { name: name.into(), column: column.parse().unwrap(), rule, severity, version: 3 }
}

fn table(expectations: Vec<Expectation>) -> Table {
    Table {
        name: "order_item".parse().unwrap(),
        topic: "retail.order_item.cdc".into(),
        connector: Connector {
            kind: ConnectorKind::SqlServer,
            server: "retail".into(),
            database: "RetailDB".into(),
            schema: "dbo".into(),
        },
        columns: vec![
            column("id", "int", false),
            column("price", "decimal(12,3)", true),
            column("customer_id", "int", true),
        ],
        key: vec!["id".parse().unwrap()],
        pii: Default::default(),
        expectations,
        schema_changes: weir_project::SchemaChanges::Evolve,
        staging_sql: None,
    }
}

fn image(events: &[Event], shown: impl Fn(&Event) -> bool) -> ArrayRef {
    let fields = vec![
        Field::new("id", DataType::Int32, true),
        Field::new("price", DataType::Utf8, true),
        Field::new("customer_id", DataType::Int32, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(events.iter().map(|event| event.id).collect::<Int32Array>()),
        Arc::new(events.iter().map(|event| event.price).collect::<StringArray>()),
        Arc::new(events.iter().map(|event| event.customer).collect::<Int32Array>()),
    ];
    let nulls: NullBuffer = events.iter().map(shown).collect::<Vec<_>>().into();
    Arc::new(StructArray::new(fields.into(), columns, Some(nulls)))
}

fn landing_rows(events: &[Event]) -> RecordBatch {
    let at = || TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| event.at)).with_timezone("UTC");
    let text = |text: &'static str| -> ArrayRef { Arc::new(StringArray::from(vec![text; events.len()])) };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("before", image(events, |event| event.op == "d")),
        ("after", image(events, |event| !["d", "t"].contains(&event.op))),
        ("op", Arc::new(events.iter().map(|event| Some(event.op)).collect::<StringArray>())),
        ("_order_key", Arc::new(BinaryArray::from_iter_values(events.iter().map(|event| [event.order])))),
        ("_source_ts", Arc::new(at())),
        ("_topic", text("retail.order_item.cdc")),
        ("_partition", Arc::new(Int32Array::from_value(0, events.len()))),
        ("_offset", Arc::new(Int64Array::from_iter_values(0..events.len() as i64))),
        ("_schema_id", Arc::new(Int32Array::from_value(1, events.len()))),
        ("_ingested_at", Arc::new(at())),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

/// Lands events in one commit.
async fn land(lake: &Lake, table: &Table, events: &[Event]) {
    let batch = landing_rows(events);
    let name = table.name.as_str();
    let mut landing = lake.create_table(Zone::Landing, name, &batch.schema(), Partitioning::Hour).await.unwrap();
    let hour = hours(&batch).unwrap();
    let rows = (0..).take(events.len()).collect();
    let add = landing.write_files(hour_files(&batch, &hour, rows).unwrap()).await.unwrap();
    let mut info = serde_json::Map::new();
    info.insert("weir.landing".into(), serde_json::json!({ "received": events.len(), "landed": events.len() }));
    landing.commit(Commit { add, info, ..Commit::default() }).await.unwrap();
}

fn at_most(max_rows: usize) -> Staging {
    Staging { max_rows, unavailable_value: "__debezium_unavailable_value".to_owned() }
}

async fn lake(folder: &TempDir) -> Lake {
    Lake::open(Options::folder(folder.path())).await.unwrap()
}

async fn run(lake: &Lake, table: &Table) -> Staged {
    let staged = Stager::default().stage_table(table, &at_most(1000), lake).await.unwrap();
    assert!(staged.counts.balance());
    staged
}

/// Values of some columns of a zone's table, sorted.
async fn rows(lake: &Lake, zone: Zone, columns: &[&str]) -> Vec<Vec<String>> {
    let Some(table) = lake.table(zone, "order_item").await.unwrap() else { return Vec::new() };
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut rows = Vec::new();
    for batch in table.read_all(&files, Some(columns)).await.unwrap() {
        let row = |row| batch.columns().iter().map(|column| value_at(column, row).to_string()).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn rows_come_typed_and_a_delete_carries_its_last_row_image() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "2.5"), event("u", 2, 7, "3.10"), event("d", 3, 7, "3.10")]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.read, staged.counts.staged, staged.commits), (3, 3, 1));
    let found = rows(&lake, Zone::Staging, &["_op", "id", "price", "_order_key", "hour"]).await;
    assert_eq!(found, [["c", "7", "2.500", "01", "0"], ["d", "7", "3.100", "03", "0"], ["u", "7", "3.100", "02", "0"]]);
}

#[tokio::test]
async fn an_unavailable_value_is_named_and_breaks_no_rule() {
    let folder = TempDir::new().unwrap();
    let rules = vec![expectation("has_a_price", "price", Rule::NotNull, Severity::Quarantine)];
    let (lake, mut table) = (lake(&folder).await, table(rules));
    table.columns[1].nullable = false;
    let missing = "__debezium_unavailable_value";
    land(&lake, &table, &[event("c", 1, 7, "2.5"), event("u", 2, 7, missing), event("d", 3, 7, "2.5")]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.staged, staged.counts.quarantined), (3, 0));
    let found = rows(&lake, Zone::Staging, &["_op", "price", "_unavailable"]).await;
    assert_eq!(found, [["c", "2.500", "\\N"], ["d", "2.500", "\\N"], ["u", "\\N", "price"]]);
}

#[tokio::test]
async fn what_a_staging_model_makes_of_an_unavailable_value_is_unavailable_too() {
    let folder = TempDir::new().unwrap();
    let (lake, mut table) = (lake(&folder).await, table(vec![]));
    let text = "SELECT id, coalesce(price, '0') AS price, customer_id FROM landing.order_item".to_owned();
    table.staging_sql = Some(SqlFile { path: "order_item.sql".into(), text });
    land(&lake, &table, &[event("c", 1, 7, "2.5"), event("u", 2, 7, "__debezium_unavailable_value")]).await;
    run(&lake, &table).await;
    let found = rows(&lake, Zone::Staging, &["_op", "_unavailable"]).await;
    assert_eq!(found, [["c", "\\N"], ["u", "price"]]);
}

#[tokio::test]
async fn a_second_run_reads_only_what_landed_since() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1")]).await;
    run(&lake, &table).await;
    assert_eq!(run(&lake, &table).await.counts.read, 0);
    land(&lake, &table, &[event("c", 2, 8, "1")]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.read, staged.counts.staged), (1, 1));
    assert_eq!(rows(&lake, Zone::Staging, &["id"]).await, [["7"], ["8"]]);
}

#[tokio::test]
async fn a_step_takes_whole_landing_commits_up_to_its_bound() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    for id in 0..5 {
        land(&lake, &table, &[event("c", id, id.into(), "1"), event("u", id, id.into(), "2")]).await;
    }
    let staged = Stager::default().stage_table(&table, &at_most(4), &lake).await.unwrap();
    assert_eq!((staged.commits, staged.counts.staged), (3, 10));
}

#[tokio::test]
async fn a_repeat_that_landed_in_another_hour_is_found_and_counted() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1"), event("c", 2, 8, "1")]).await;
    run(&lake, &table).await;
    let elsewhere = Event { at: 5 * HOUR, ..event("c", 1, 7, "1") };
    land(&lake, &table, &[elsewhere, elsewhere, Event { at: 5 * HOUR, ..event("d", 1, 7, "1") }]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.read, staged.counts.staged, staged.counts.repeated), (3, 1, 2));
    assert_eq!(rows(&lake, Zone::Staging, &["id", "_op"]).await, [["7", "c"], ["7", "d"], ["8", "c"]]);
}

#[tokio::test]
async fn a_landing_table_made_anew_is_read_from_its_start_and_what_is_staged_already_is_dropped() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    let events = [event("c", 1, 7, "1"), event("c", 2, 8, "1"), event("u", 3, 7, "2")];
    land(&lake, &table, &events[..1]).await;
    run(&lake, &table).await;
    std::fs::remove_dir_all(folder.path().join("landing/order_item")).unwrap();
    for landed in 1..=3 {
        land(&lake, &table, &events[landed - 1..landed]).await;
    }
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.read, staged.counts.staged, staged.counts.repeated), (3, 2, 1));
    assert_eq!(rows(&lake, Zone::Staging, &["id", "_op"]).await, [["7", "c"], ["7", "u"], ["8", "c"]]);
}

#[tokio::test]
async fn a_row_that_breaks_a_rule_goes_to_quarantine_with_rule_column_value_and_version() {
    let folder = TempDir::new().unwrap();
    let not_negative = Rule::Range { min: Some(Value::Decimal(0, 3)), max: None };
    let table = table(vec![
        expectation("has_customer", "customer_id", Rule::NotNull, Severity::Warn),
        expectation("price_not_negative", "price", not_negative, Severity::Quarantine),
    ]);
    let lake = lake(&folder).await;
    let nobody = Event { customer: None, ..event("c", 3, 9, "-2") };
    land(&lake, &table, &[event("c", 1, 7, "-11062.06"), event("c", 2, 8, "0"), nobody, event("d", 4, 7, "-1")]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.staged, staged.counts.quarantined), (2, 2));
    let counts: Vec<(&str, u64)> = staged.rules.iter().map(|count| (count.rule.as_str(), count.rows)).collect();
    assert_eq!(counts, [("type", 0), ("key", 0), ("has_customer", 1), ("price_not_negative", 2)]);
    let columns = ["id", "price", "_rule", "_column", "_value", "_rule_version"];
    let found = rows(&lake, Zone::Quarantine, &columns).await;
    let rule = "price_not_negative";
    assert_eq!(
        found,
        [["7", "-11062.060", rule, "price", "-11062.06", "3"], ["9", "-2.000", rule, "price", "-2", "3"]]
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_column_and_a_missing_key_go_to_quarantine() {
    let folder = TempDir::new().unwrap();
    let (lake, table) = (lake(&folder).await, table(vec![]));
    let keyless = |op, order| Event { id: None, ..event(op, order, 0, "1") };
    land(&lake, &table, &[event("c", 1, 7, "1.0005"), keyless("c", 2), keyless("d", 3), event("c", 4, 8, "1")]).await;
    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.staged, staged.counts.quarantined), (1, 3));
    let found = rows(&lake, Zone::Quarantine, &["_order_key", "_rule", "_column", "_value", "price"]).await;
    assert_eq!(
        found,
        [
            ["01", "type", "price", "1.0005", "\\N"],
            ["02", "key", "id", "\\N", "1.000"],
            ["03", "key", "id", "\\N", "1.000"]
        ]
    );
}

#[tokio::test]
async fn a_reference_is_looked_up_in_the_other_tables_staging_and_in_this_runs_rows() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut customer = table(vec![]);
    customer.name = "customer".parse().unwrap();
    let reference = Rule::Reference { table: customer.name.clone(), column: "id".parse().unwrap() };
    let items = table(vec![expectation("known_customer", "customer_id", reference, Severity::Quarantine)]);
    let mut stager = Stager::default();
    land(&lake, &customer, &[event("c", 1, 1, "1")]).await;
    land(&lake, &items, &[event("c", 1, 7, "1"), Event { customer: Some(2), ..event("c", 2, 8, "1") }]).await;
    stager.stage_table(&customer, &at_most(1000), &lake).await.unwrap();
    let staged = stager.stage_table(&items, &at_most(1000), &lake).await.unwrap();
    assert_eq!((staged.counts.staged, staged.counts.quarantined), (1, 1));

    land(&lake, &customer, &[event("c", 2, 2, "1")]).await;
    land(
        &lake,
        &items,
        &[Event { customer: Some(2), ..event("c", 3, 9, "1") }, Event { customer: None, ..event("c", 4, 10, "1") }],
    )
    .await;
    stager.stage_table(&customer, &at_most(1000), &lake).await.unwrap();
    let staged = stager.stage_table(&items, &at_most(1000), &lake).await.unwrap();
    assert_eq!((staged.counts.staged, staged.counts.quarantined), (2, 0));
}

#[tokio::test]
async fn a_staging_model_cleans_values_row_by_row_and_may_not_drop_any() {
    let folder = TempDir::new().unwrap();
    let (lake, mut table) = (lake(&folder).await, table(vec![]));
    let sql = |text: &str| Some(SqlFile { path: "models/staging/order_item.sql".into(), text: text.into() });
    land(&lake, &table, &[event("c", 1, 7, " 2.5 "), event("c", 2, 8, "1")]).await;
    table.staging_sql = sql("select id, price, customer_id from landing.order_item where id = 7");
    let dropped = Stager::default().stage_table(&table, &at_most(1000), &lake).await;
    assert!(matches!(dropped, Err(StagingError::ModelRows { read: 2, given: 1, .. })), "{dropped:?}");
    table.staging_sql = sql("select id, price from landing.order_item");
    let missing = Stager::default().stage_table(&table, &at_most(1000), &lake).await;
    assert!(
        matches!(&missing, Err(StagingError::ModelColumn { column, .. }) if column == "customer_id"),
        "{missing:?}"
    );
    table.staging_sql =
        sql("select id, trim(price) as price, customer_id + 100 as customer_id from landing.order_item");
    assert_eq!(run(&lake, &table).await.counts.quarantined, 0);
    let found = rows(&lake, Zone::Staging, &["id", "price", "customer_id"]).await;
    assert_eq!(found, [["7", "2.500", "\\N"], ["8", "1.000", "\\N"]].map(|row| [row[0], row[1], "101"]));
}

#[tokio::test]
async fn a_quarantine_commit_that_staging_never_decided_on_is_taken_back_and_done_again() {
    let folder = TempDir::new().unwrap();
    let table = table(vec![expectation("priced", "price", Rule::NotNull, Severity::Quarantine)]);
    let lake = lake(&folder).await;
    let priceless = |order, id| Event { price: None, ..event("c", order, id, "") };
    land(&lake, &table, &[priceless(1, 7), event("c", 2, 8, "1")]).await;
    run(&lake, &table).await;
    let before = folder.path().join("staging/order_item/_delta_log/00000000000000000002.json");
    land(&lake, &table, &[priceless(3, 9), event("c", 4, 10, "1")]).await;
    run(&lake, &table).await;
    // The kill: quarantine's second commit stands, staging's does not.
    std::fs::remove_file(&before).unwrap();

    let staged = run(&lake, &table).await;
    assert_eq!((staged.counts.read, staged.counts.staged, staged.counts.quarantined), (2, 1, 1));
    assert_eq!(rows(&lake, Zone::Quarantine, &["id"]).await, [["7"], ["9"]]);
    assert_eq!(rows(&lake, Zone::Staging, &["id"]).await, [["10"], ["8"]]);
}

#[tokio::test]
async fn whatever_call_to_a_bucket_fails_or_loses_its_reply_nothing_is_lost_or_doubled() {
    async fn over(store: Arc<dyn ObjectStore>) -> Lake {
        Lake::with_store(Options::s3(S3::of_url("s3://lake/shop")), store).await.unwrap()
    }
    let table = table(vec![expectation("priced", "price", Rule::NotNull, Severity::Quarantine)]);
    let landed = Arc::new(InMemory::new());
    for order in 0..3 {
        let priceless = Event { price: None, ..event("c", 2 * order, order.into(), "") };
        let events = [priceless, event("c", 2 * order + 1, i32::from(order) + 10, "1")];
        land(&over(landed.clone()).await, &table, &events).await;
    }
    for fault in [Faulty::call_fails, Faulty::call_loses_reply] {
        for call in 0.. {
            let inner = Arc::new(landed.fork());
            let faulty = Arc::new(fault(inner.clone(), call));
            let first = Stager::default().stage_table(&table, &at_most(2), &over(faulty.clone()).await).await;
            let lake = over(inner).await;
            run(&lake, &table).await;
            assert_eq!(rows(&lake, Zone::Quarantine, &["id"]).await, [["0"], ["1"], ["2"]], "call {call}");
            assert_eq!(rows(&lake, Zone::Staging, &["id"]).await, [["10"], ["11"], ["12"]], "call {call}");
            if !faulty.struck() {
                assert_eq!(first.unwrap().commits, 3);
                assert!(call > 20, "{call} calls are too few for three steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_contract_may_gain_a_column_and_may_not_change_a_type() {
    let folder = TempDir::new().unwrap();
    let (lake, mut table) = (lake(&folder).await, table(vec![]));
    land(&lake, &table, &[event("c", 1, 7, "1")]).await;
    run(&lake, &table).await;
    table.columns.push(column("note", "nvarchar(20)", true));
    land(&lake, &table, &[event("c", 2, 8, "1")]).await;
    run(&lake, &table).await;
    assert_eq!(rows(&lake, Zone::Staging, &["id", "note"]).await, [["7", "\\N"], ["8", "\\N"]]);
    table.columns[1] = column("price", "money", true);
    let changed = Stager::default().stage_table(&table, &at_most(1000), &lake).await;
    assert!(matches!(&changed, Err(StagingError::ContractChanged { column, .. }) if column == "price"), "{changed:?}");
}

#[tokio::test]
async fn metrics_are_what_the_commits_say_and_can_be_derived_again() {
    let folder = TempDir::new().unwrap();
    let table = table(vec![expectation("has_customer", "customer_id", Rule::NotNull, Severity::Warn)]);
    let lake = lake(&folder).await;
    land(&lake, &table, &[event("c", 1, 7, "1"), Event { customer: None, ..event("c", 2, 8, "1") }]).await;
    run(&lake, &table).await;
    let tables = [table];
    let first = metrics::derive(&tables, &lake).await.unwrap();
    assert_eq!(metrics::derive(&tables, &lake).await.unwrap(), 0);
    std::fs::remove_dir_all(folder.path().join("quality")).unwrap();
    assert_eq!(metrics::derive(&tables, &lake).await.unwrap(), first);
    let metrics = lake.table(Zone::Quality, "metrics").await.unwrap().unwrap();
    let files: Vec<DataFile> = metrics.files().cloned().collect();
    let mut values = BTreeMap::new();
    for batch in metrics.read_all(&files, None).await.unwrap() {
        for row in 0..batch.num_rows() {
            let text = |column: &str| batch.column_by_name(column).unwrap().as_string::<i32>().value(row).to_owned();
            values.insert(
                format!("{}.{}", text("zone"), text("name")),
                value_at(batch.column_by_name("value").unwrap(), row),
            );
        }
    }
    let value = |name: &str| values[name].to_string();
    assert_eq!(
        (value("landing.received"), value("staging.read"), value("staging.staged")),
        ("2".into(), "2".into(), "2".into())
    );
    assert_eq!(value("staging.rule.has_customer"), "1");
}

/// Not a benchmark: the real data set's shape, to find what grows by an order of magnitude.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of half a million rows; run with `--ignored --nocapture`"]
async fn half_a_million_rows_of_three_thousand_hours_are_staged_in_seconds() {
    let folder = TempDir::new().unwrap();
    let not_negative = Rule::Range { min: Some(Value::Decimal(0, 3)), max: None };
    let table = table(vec![
        expectation("has_customer", "customer_id", Rule::NotNull, Severity::Warn),
        expectation("price_not_negative", "price", not_negative, Severity::Quarantine),
    ]);
    let lake = lake(&folder).await;
    for half in 0..2 {
        // Two partitions whose order keys interleave in every hour.
        let events: Vec<Event> = (0..270_000)
            .map(|row| Event {
                at: (row / 90) * HOUR,
                order: half,
                ..event("c", half, (row * 2) as i32 + i32::from(half), "2.5")
            })
            .collect();
        land(&lake, &table, &events).await;
    }
    let start = std::time::Instant::now();
    let staged = Stager::default().stage_table(&table, &at_most(200_000), &lake).await.unwrap();
    println!("{staged:?} in {:?}", start.elapsed());
    assert_eq!(staged.counts.staged, 540_000);
}
