//! A small pipeline that has everything a model can have, its staging rows, and readers of its tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tempfile::TempDir;
use weir_core::change::{Change, Op};
use weir_core::column::{Column, ColumnType};
use weir_core::name::{Identifier, ModelName, TableName};
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::surrogate::UNKNOWN;
use weir_core::value::{Row, Value};
use weir_core::zone::{Hour, Zone};
use weir_lake::{Commit, Lake, NewFile, Options, Partition, Partitioning};
use weir_project::{
    AggregateJoin, Connector, ConnectorKind, DateKey, Deletes, DimensionRef, LateParent, Measure, MeasureColumn,
    Milestone, Model, ModelColumn, ModelKind, Scd, SqlFile, Table,
};

pub use super::columns::{batch, rows};
use crate::key::value_at;
use crate::layout::{OP, ORDER_KEY, SOURCE_TS, UNAVAILABLE, arrow_type, timestamp};
use crate::room::Room;

pub fn name(text: &str) -> Identifier {
    text.parse().expect("a name")
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// In a change's row: a value that the source did not log.
pub const MISSING: &str = "__debezium_unavailable_value";

/// A second, in microseconds.
pub const S: i64 = 1_000_000;

const TEXT: ColumnType = ColumnType::Text { length: None };

fn column(of: &str, kind: ColumnType, scd: Scd) -> ModelColumn {
    ModelColumn { name: name(of), kind, scd }
}

fn sql(text: &str) -> Option<SqlFile> {
    Some(SqlFile { path: "model.sql".into(), text: text.to_owned() })
}

/// A dimension with a compound key, every kind of column, and a condition.
pub fn dim_shop() -> Model {
    Model {
        name: name("dim_shop"),
        kind: ModelKind::Dimension { surrogate_key: name("shop_key"), durable_key: None, deletes: Deletes::Close },
        sql: sql("SELECT grade, region, \"number\" AS shop_no, name, note FROM staging.shop WHERE grade <> 'hidden'"),
        source: Some(name("shop")),
        key: vec![name("region"), name("shop_no")],
        columns: vec![
            column("grade", TEXT, Scd::Type2),
            column("region", TEXT, Scd::Key),
            column("shop_no", ColumnType::Int, Scd::Key),
            column("name", TEXT, Scd::Type1),
            column("note", TEXT, Scd::Type1Current),
        ],
    }
}

/// The same dimension without a condition, with these kinds of grade, name and note.
pub fn dim_shop_of(grade: Scd, name: Scd, note: Scd) -> Model {
    let mut model = dim_shop();
    model.sql = sql("SELECT grade, region, \"number\" AS shop_no, name, note FROM staging.shop");
    (model.columns[0].scd, model.columns[3].scd, model.columns[4].scd) = (grade, name, note);
    model
}

fn shop_pointer() -> DimensionRef {
    DimensionRef {
        key_column: name("shop_key"),
        dimension: name("dim_shop"),
        on: vec![name("region"), name("shop_no")],
        late_parent: LateParent::Infer,
    }
}

/// A fact with an event time of its own, a date key, a milestone and a computed decimal.
pub fn fact_visit() -> Model {
    Model {
        name: name("fact_visit"),
        kind: ModelKind::Fact {
            event_time: Some(name("visited_at")),
            dimensions: vec![shop_pointer()],
            date_keys: vec![DateKey { key_column: name("visit_date_key"), from: name("visited_at") }],
            milestones: vec![Milestone {
                column: name("done_at"),
                when_column: name("state"),
                equals: "done".to_owned(),
            }],
        },
        sql: sql(
            "SELECT id AS visit_id, region, shop_no, state, visited_at, times * price AS amount FROM staging.visit",
        ),
        source: Some(name("visit")),
        key: vec![name("visit_id")],
        columns: vec![
            column("visit_id", ColumnType::Int, Scd::Key),
            column("region", TEXT, Scd::None),
            column("shop_no", ColumnType::BigInt, Scd::None),
            column("state", TEXT, Scd::None),
            column("visited_at", ColumnType::DateTime2 { precision: 3 }, Scd::None),
            column("amount", ColumnType::Decimal { precision: 18, scale: 3 }, Scd::None),
        ],
    }
}

/// A fact without an event time of its own, over the same source.
pub fn fact_arrival() -> Model {
    Model {
        name: name("fact_arrival"),
        kind: ModelKind::Fact {
            event_time: None,
            dimensions: vec![shop_pointer()],
            date_keys: vec![],
            milestones: vec![],
        },
        sql: sql("SELECT id AS visit_id, region, shop_no FROM staging.visit WHERE state <> 'hidden'"),
        source: Some(name("visit")),
        key: vec![name("visit_id")],
        columns: vec![
            column("visit_id", ColumnType::Int, Scd::Key),
            column("region", TEXT, Scd::None),
            column("shop_no", ColumnType::Int, Scd::None),
        ],
    }
}

pub fn dim_date() -> Model {
    Model {
        name: name("dim_date"),
        kind: ModelKind::DateDimension,
        sql: None,
        source: None,
        key: vec![name("date_key")],
        columns: [
            "date_key",
            "date",
            "year",
            "quarter",
            "month",
            "day",
            "day_of_week",
            "month_name",
            "day_name",
            "is_weekend",
        ]
        .map(|of| column(of, ColumnType::Int, if of == "date_key" { Scd::Key } else { Scd::None }))
        .into(),
    }
}

/// Sums and counts over one fact, by attributes of both dimensions.
pub fn agg_visit() -> Model {
    let measure = |column: &str, measure| MeasureColumn { column: name(column), measure };
    let join = |dimension: &str, key_column: &str, fact_column: &str| AggregateJoin {
        dimension: name(dimension),
        key_column: name(key_column),
        fact_column: name(fact_column),
    };
    Model {
        name: name("agg_visit"),
        kind: ModelKind::Aggregate {
            fact: name("fact_visit"),
            joins: vec![join("dim_shop", "shop_key", "shop_key"), join("dim_date", "date_key", "visit_date_key")],
            measures: vec![
                measure("amount", Measure::Sum),
                measure("keys", Measure::Sum),
                measure("placed", Measure::Count),
                measure("visits", Measure::Rows),
            ],
        },
        sql: sql(
            "SELECT COALESCE(s.grade, '-') AS grade, COALESCE(s.name, '-') AS name, COALESCE(d.\"year\", -1) AS year, \
             SUM(v.amount) AS amount, SUM(CASE WHEN v.state = 'done' THEN v.visit_id END) AS keys, \
             COUNT(v.region) AS placed, COUNT(*) AS visits FROM curated.fact_visit AS v \
             JOIN curated.dim_shop AS s ON s.shop_key = v.shop_key \
             JOIN curated.dim_date AS d ON d.date_key = v.visit_date_key \
             GROUP BY COALESCE(s.grade, '-'), 2, 3",
        ),
        source: None,
        key: vec![name("grade"), name("name"), name("year")],
        columns: vec![
            column("grade", TEXT, Scd::Key),
            column("name", TEXT, Scd::Key),
            column("year", ColumnType::Int, Scd::Key),
            column("amount", ColumnType::Decimal { precision: 38, scale: 3 }, Scd::None),
            column("keys", ColumnType::BigInt, Scd::None),
            column("placed", ColumnType::Int, Scd::None),
            column("visits", ColumnType::BigInt, Scd::None),
        ],
    }
}

/// What `agg_visit` says of one row, said a second time.
pub fn contribution(of: &dyn Fn(&str, &str) -> Value) -> Row {
    let or = |value: Value, other: Value| if value.is_null() { other } else { value };
    let visit = |column| of("fact_visit", column);
    vec![
        or(of("dim_shop", "grade"), text("-")),
        or(of("dim_shop", "name"), text("-")),
        or(of("dim_date", "year"), Value::Int(-1)),
        visit("amount"),
        if visit("state") == text("done") { visit("visit_id") } else { Value::Null },
        visit("region"),
        Value::Bool(true),
    ]
}

pub fn models() -> Vec<Model> {
    vec![dim_shop(), fact_visit(), fact_arrival(), dim_date(), agg_visit()]
}

fn source(of: &str, key: &[&str], columns: &[(&str, ColumnType)]) -> Table {
    Table {
        name: name(of),
        topic: of.to_owned(),
        connector: Connector {
            kind: ConnectorKind::SqlServer,
            server: "s".into(),
            database: "d".into(),
            schema: "dbo".into(),
        },
        columns: columns.iter().map(|(of, kind)| Column { name: name(of), kind: *kind, nullable: true }).collect(),
        key: key.iter().map(|of| name(of)).collect(),
        pii: [name("name")].into(),
        expectations: vec![],
        schema_changes: weir_project::SchemaChanges::Evolve,
        staging_sql: None,
    }
}

pub fn sources() -> Vec<Table> {
    let visited_at = ColumnType::DateTime2 { precision: 3 };
    vec![
        source(
            "shop",
            &["region", "number"],
            &[("region", TEXT), ("number", ColumnType::Int), ("name", TEXT), ("grade", TEXT), ("note", TEXT)],
        ),
        source(
            "visit",
            &["id"],
            &[
                ("id", ColumnType::Int),
                ("region", TEXT),
                ("shop_no", ColumnType::Int),
                ("state", TEXT),
                ("visited_at", visited_at),
                ("times", ColumnType::Int),
                ("price", ColumnType::Decimal { precision: 12, scale: 3 }),
            ],
        ),
    ]
}

/// What the models' queries do, said a second time.
pub fn project(model: &Model, change: &Change) -> Option<Row> {
    let row = change.row.as_ref().expect("every change here has a row");
    let v = |i: usize| row[i].clone();
    let has_condition = model.sql.as_ref().is_some_and(|sql| sql.text.contains(" WHERE "));
    let (out, condition) = match model.name.as_str() {
        "dim_shop" => (vec![v(3), v(0), v(1), v(2), v(4)], has_condition.then(|| v(3))),
        "fact_visit" => {
            let amount = match (&row[5], &row[6]) {
                (Value::Int(times), Value::Decimal(price, scale)) => Value::Decimal(i128::from(*times) * price, *scale),
                _ => Value::Null,
            };
            (vec![v(0), v(1), v(2), v(3), v(4), amount], None)
        }
        "fact_arrival" => (vec![v(0), v(1), v(2)], Some(v(3))),
        other => panic!("no model {other}"),
    };
    let kept = condition.is_none_or(|value| !value.is_null() && value != text("hidden"));
    (kept || change.op == Op::Delete).then_some(out)
}

/// A change of `shop`: order, operation, commit time; region, number; name, grade, note.
pub fn shop(order: u32, op: Op, ts: i64, key: (&str, i64), row: (&str, &str, &str)) -> Change {
    let row = vec![text(key.0), Value::Int(key.1), text(row.0), text(row.1), text(row.2)];
    change("shop", order, op, ts, 2, row)
}

/// A change of `visit`: order, operation, commit time; id; shop; state; when.
#[allow(clippy::too_many_arguments, reason = "one line of a test table")]
pub fn visit(
    order: u32,
    op: Op,
    ts: i64,
    id: i64,
    shop: (Option<&str>, Option<i64>),
    state: &str,
    at: Option<i64>,
) -> Change {
    let row = vec![
        Value::Int(id),
        shop.0.map_or(Value::Null, text),
        shop.1.map_or(Value::Null, Value::Int),
        text(state),
        at.map_or(Value::Null, Value::Timestamp),
        Value::Int(3),
        Value::Decimal(1_250, 3),
    ];
    change("visit", order, op, ts, 1, row)
}

pub fn change(table: &str, order: u32, op: Op, ts: i64, keys: usize, row: Row) -> Change {
    let position =
        SqlServerPosition { commit_lsn: Lsn::new(1, order, 1), change_lsn: Some(Lsn::new(1, order, 1)), serial: 1 };
    Change {
        table: name(table),
        key: row[..keys].to_vec(),
        op,
        order_key: position.into(),
        source_ts: ts,
        row: Some(row),
    }
}

/// The columns that end a staging row here.
pub fn marks(change: &Change) -> [Value; 3] {
    let letter = text(change.op.letter());
    [letter, Value::Bytes(change.order_key.as_bytes().to_vec()), Value::Timestamp(change.source_ts)]
}

pub fn mark_fields() -> [Field; 3] {
    [
        Field::new(OP, DataType::Utf8, true),
        Field::new(ORDER_KEY, DataType::Binary, true),
        Field::new(SOURCE_TS, timestamp(), true),
    ]
}

/// A lake in a temporary folder.
pub struct Bench {
    pub folder: TempDir,
    pub lake: Lake,
    pub room: Room,
    models: Vec<Model>,
}

impl Bench {
    /// With files of few rows, so that small tables have many.
    pub async fn new(buckets: u16) -> Self {
        Self::with(models(), buckets).await
    }

    /// With files as they are cut outside of tests.
    pub async fn as_shipped(buckets: u16) -> Self {
        let mut bench = Self::new(buckets).await;
        bench.room.cut = crate::bucket::Cut::default();
        bench
    }

    /// With other models over the same sources.
    pub async fn with(models: Vec<Model>, buckets: u16) -> Self {
        let folder = TempDir::new().expect("a folder");
        let lake = Lake::open(Options::folder(folder.path())).await.expect("a lake");
        let mut room = Room::of(&models, &sources(), buckets, &lake);
        room.cut = crate::bucket::Cut { rows: 4, ..crate::bucket::Cut::default() };
        Self { folder, lake, room, models }
    }

    /// Over a lake that is there; its folder here is an empty one.
    pub fn of(lake: Lake) -> Self {
        let room = Room::of(&models(), &sources(), 1, &lake);
        Self { folder: TempDir::new().expect("a folder"), lake, room, models: models() }
    }

    /// Appends changes to their staging tables, one commit per table.
    pub async fn stage(&self, changes: &[Change]) {
        self.stage_in_files_of(changes, usize::MAX).await;
    }

    /// The same with at most so many rows in a file.
    pub async fn stage_in_files_of(&self, changes: &[Change], most: usize) {
        for source in sources() {
            let mut fields: Vec<Field> =
                source.columns.iter().map(|c| Field::new(c.name.as_str(), arrow_type(c.kind), true)).collect();
            fields.extend(mark_fields());
            fields.push(Field::new(UNAVAILABLE, DataType::Utf8, true));
            let schema = Arc::new(Schema::new(fields));
            let created =
                self.lake.create_table(Zone::Staging, source.name.as_str(), &schema, Partitioning::Hour).await;
            let mut table = created.expect("a staging table");
            let rows: Vec<Row> = changes
                .iter()
                .filter(|change| change.table == source.name)
                .map(|change| {
                    let (row, missing) = staged(&source, change);
                    row.into_iter().chain(marks(change)).chain([missing]).collect()
                })
                .collect();
            if rows.is_empty() {
                continue;
            }
            let files = rows.chunks(most).zip(0..).map(|(rows, hour)| NewFile {
                partition: Partition::Hour(Hour(hour)),
                batches: vec![batch(&schema, rows)],
                tags: BTreeMap::new(),
            });
            let add = table.write_files(files.collect()).await.expect("files");
            table.commit(Commit { add, ..Commit::default() }).await.expect("a commit");
        }
    }

    /// All rows of every curated table.
    pub async fn tables(&self) -> BTreeMap<ModelName, Vec<Row>> {
        let mut out = BTreeMap::new();
        for model in &self.models {
            let table =
                self.lake.table(Zone::Curated, model.name.as_str()).await.expect("the lake").expect("the table");
            let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let files: Vec<_> = table.files().cloned().collect();
            let read = table.read_all(&files, Some(&names)).await.expect("rows");
            out.insert(model.name.clone(), rows(&read));
        }
        out
    }

    /// What a warehouse holds that applied every publication in order.
    pub async fn loaded(&self) -> BTreeMap<ModelName, Vec<Row>> {
        let mut tables: BTreeMap<ModelName, BTreeMap<Row, Row>> = BTreeMap::new();
        let mut build = 1;
        while let Some(publication) = crate::publication(&self.lake, build).await.expect("a publication") {
            for published in publication.tables {
                let table = tables.entry(published.table).or_default();
                if published.change_sets.first().is_some_and(|set| set.anew) {
                    table.clear();
                }
                for file in published.change_sets.iter().flat_map(|set| &set.files) {
                    let bytes = self.lake.get(&file.path).await.expect("the lake").expect("the change set");
                    assert_eq!(bytes.len() as u64, file.content_length);
                    let reader =
                        ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("a reader");
                    for batch in reader {
                        apply(table, &published.key, &batch.expect("rows"));
                    }
                }
            }
            build += 1;
        }
        tables.into_iter().map(|(name, rows)| (name, sorted(rows.into_values().collect()))).collect()
    }
}

fn apply(table: &mut BTreeMap<Row, Row>, key: &[String], batch: &RecordBatch) {
    for row in 0..batch.num_rows() {
        let mut values: Row = batch.columns().iter().map(|column| value_at(column, row)).collect();
        let change = values.pop().expect("_change is last");
        let key: Row =
            key.iter().map(|name| value_at(batch.column_by_name(name).expect("a key column"), row)).collect();
        if change == text("d") {
            assert_eq!(table.remove(&key), Some(values), "a delete names a row that is there, as it is");
        } else {
            assert_ne!(table.insert(key, values.clone()), Some(values), "an upsert changes something");
        }
    }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// A change's row as staging has it, and which columns it lacks.
fn staged(source: &Table, change: &Change) -> (Row, Value) {
    let mut row = change.row.clone().expect("every change here has a row");
    let mut names = Vec::new();
    for (value, column) in row.iter_mut().zip(&source.columns) {
        if *value == text(MISSING) {
            *value = Value::Null;
            names.push(column.name.as_str());
        }
    }
    let names = if names.is_empty() { Value::Null } else { text(&names.join(",")) };
    (row, names)
}

/// The changes with every missing value filled in from the change before, said as plainly as can be: no two
/// contents here may share an identity.
fn carried(changes: &[Change]) -> Vec<Change> {
    let is_missing = |change: &&Change| change.row.iter().flatten().any(|value| *value == text(MISSING));
    let mut out = changes.to_vec();
    for change in out.iter_mut() {
        if !is_missing(&&*change) {
            continue;
        }
        let mut before: Vec<&Change> = changes
            .iter()
            .filter(|b| b.table == change.table && b.key == change.key && b.op != Op::Delete)
            .filter(|b| b.place() < change.place())
            .collect();
        before.sort_by_key(|b| b.place());
        for (i, value) in change.row.iter_mut().flatten().enumerate() {
            if *value == text(MISSING) {
                let known = before.iter().rev().filter_map(|b| b.row.as_ref()).map(|row| &row[i]);
                *value = known.clone().find(|value| **value != text(MISSING)).cloned().unwrap_or(Value::Null);
            }
        }
    }
    out
}

/// What the reference star says.
pub fn expected(changes: &[Change]) -> BTreeMap<ModelName, Vec<Row>> {
    expected_of(&models(), &project, changes)
}

/// What it says of other models, whose queries `project` says a second time.
pub fn expected_of(
    models: &[Model],
    project: &dyn Fn(&Model, &Change) -> Option<Row>,
    changes: &[Change],
) -> BTreeMap<ModelName, Vec<Row>> {
    let mut by_table: BTreeMap<TableName, Vec<Change>> = BTreeMap::new();
    for change in carried(changes) {
        by_table.entry(change.table.clone()).or_default().push(change);
    }
    let mut star = weir_testkit::star::star(models, &by_table, project);
    for aggregate in models.iter().filter(|model| matches!(model.kind, ModelKind::Aggregate { .. })) {
        let rows = weir_testkit::star::aggregate(aggregate, models, &star, &contribution);
        star.insert(aggregate.name.clone(), rows);
    }
    star
}

/// True for the row of the unknown member.
pub fn is_unknown(row: &Row) -> bool {
    row[0] == Value::Int(UNKNOWN)
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![2 => Just(Op::Create), 4 => Just(Op::Update), 2 => Just(Op::Delete), 1 => Just(Op::Read)]
}

/// Few times, many of them equal, some at the edges of what can be.
fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => (0i64..8).prop_map(|n| n * 1_000_000),
        1 => Just(-5_000_000),
        1 => Just(crate::scd::OPEN),
        1 => Just(crate::scd::OPEN - 1),
    ]
}

fn any_word(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    proptest::sample::select(words).prop_map(text)
}

fn any_shop() -> impl Strategy<Value = Change> {
    let row = (
        any_word(&["n", "s"]),
        (1i64..3).prop_map(Value::Int),
        prop_oneof![3 => any_word(&["Ann", "Bob"]), 1 => Just(Value::Null)],
        prop_oneof![6 => any_word(&["a", "b"]), 1 => any_word(&["hidden"]), 1 => Just(Value::Null)],
        any_word(&["x", "y"]),
    );
    (0u32..12, any_op(), any_time(), row)
        .prop_map(|(order, op, ts, row)| change("shop", order, op, ts, 2, vec![row.0, row.1, row.2, row.3, row.4]))
}

fn any_visit() -> impl Strategy<Value = Change> {
    let row = (
        (1i64..4).prop_map(Value::Int),
        prop_oneof![5 => any_word(&["n", "s"]), 1 => Just(Value::Null)],
        prop_oneof![5 => (1i64..4).prop_map(Value::Int), 1 => Just(Value::Null)],
        any_word(&["new", "done", "hidden"]),
        prop_oneof![3 => any_time().prop_map(Value::Timestamp), 1 => Just(Value::Null)],
        (0i64..3).prop_map(Value::Int),
    );
    (0u32..12, any_op(), any_time(), row).prop_map(|(order, op, ts, row)| {
        let price = Value::Decimal(12_345, 3);
        change("visit", order, op, ts, 1, vec![row.0, row.1, row.2, row.3, row.4, row.5, price])
    })
}

/// Changes of a few shops and visits, in no order.
pub fn any_changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec(prop_oneof![any_shop(), any_visit()], 0..most)
}
