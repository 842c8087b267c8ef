//! Measurements on the real data set's shape; ignored, run by hand:
//! `cargo test --release -p weir-warehouse measure -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use weir_core::change::Op;
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value};
use weir_envelope::encode::Snapshot;
use weir_envelope::{Bounds, Decoder, Encoder, Event, schema};
use weir_project::Table;

use super::{Fixture, project, rows};
use crate::mirror::Mirrors;
use crate::mirror::decode::Decode;
use crate::mirror::source::{Reader, Record, Source, SourceError};
use crate::{Options, Placeholders};

struct Known(Decoder);

impl Decode for Known {
    fn json(&self, value: &[u8]) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        let mut out = Vec::with_capacity(1024);
        Ok(self.0.cdc_json(value, &mut out).ok().and_then(|()| String::from_utf8(out).ok()))
    }
}

/// Makes record `offset` of a table when it is asked for.
#[derive(Clone)]
struct Generated {
    tables: Arc<Vec<(Table, u32, i64, i64)>>,
}

fn cell(name: &str, n: i64, keys: i64, key: bool) -> Value {
    let id = n % keys;
    match name {
        "order_id" => Value::Text(format!("5{:05}", if key { id / 22 } else { id })),
        "line_number" => Value::Int(id % 22),
        "product_id" => Value::Text(format!("8{id:05}")),
        "customer_id" => Value::Int(id),
        "quantity" => Value::Int(n % 50),
        "unit_price" | "list_price" => Value::Decimal(i128::from(n % 10_000), 3),
        "ordered_at" | "created_at" => Value::Timestamp(1_291_191_960_000_000 + n * 60_000_000),
        "discontinued" | "is_cancellation" => Value::Bool(n % 7 == 0),
        "status" => Value::Text("placed".into()),
        "country" => Value::Text("United Kingdom".into()),
        "description" => Value::Text("WHITE HANGING HEART T-LIGHT HOLDER".into()),
        _ => Value::Null,
    }
}

struct GeneratedReader {
    table: Table,
    encoder: Encoder,
    events: i64,
    keys: i64,
    at: BTreeMap<i32, i64>,
}

impl Source for Generated {
    fn open(&self, topic: &str) -> Result<Box<dyn Reader>, SourceError> {
        let (table, id, events, keys) = self.tables.iter().find(|(table, ..)| table.topic == topic).unwrap().clone();
        let encoder = Encoder::new(&table, 0, id);
        Ok(Box::new(GeneratedReader { table, encoder, events, keys, at: BTreeMap::new() }))
    }
}

impl Reader for GeneratedReader {
    fn topic_id(&self) -> Result<String, SourceError> {
        Ok("id".into())
    }

    fn watermarks(&self) -> Result<Vec<(i32, i64, i64)>, SourceError> {
        Ok(vec![(0, 0, self.events)])
    }

    fn assign(&mut self, starts: &BTreeMap<i32, i64>) -> Result<(), SourceError> {
        self.at = starts.clone();
        Ok(())
    }

    fn poll(&mut self, most: usize, _bytes: usize, _wait: Duration) -> Result<Vec<Record>, SourceError> {
        let from = self.at[&0];
        let to = (from + most as i64).min(self.events);
        let record = |n: i64| {
            let row: Row = self
                .table
                .columns
                .iter()
                .map(|column| cell(column.name.as_str(), n, self.keys, self.table.key.contains(&column.name)))
                .collect();
            let place = u32::try_from(n).unwrap();
            let event = Event {
                op: if n < self.keys { Op::Create } else { Op::Update },
                before: (n >= self.keys).then_some(&row),
                after: Some(&row),
                position: SqlServerPosition {
                    commit_lsn: Lsn::new(42, place, 1),
                    change_lsn: Some(Lsn::new(42, place, 2)),
                    serial: 1,
                },
                source_ts_us: 1_291_191_960_000_000 + n * 1000,
                snapshot: Snapshot::False,
                transaction: None,
                ts_ns: 0,
            };
            let mut value = Vec::new();
            self.encoder.value(&event, &mut value).unwrap();
            Record {
                partition: 0,
                offset: n,
                timestamp_ms: 0,
                key: Some(vec![0; 12]),
                value: Some(value),
                headers: vec![],
            }
        };
        let records = (from..to).map(record).collect();
        self.at.insert(0, to);
        Ok(records)
    }
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[test]
#[ignore = "a measurement"]
fn measure_the_mirrors_over_780_000_events() {
    let project = project();
    let mut decoder = Decoder::new(Bounds::default());
    let mut tables = Vec::new();
    for (at, (name, events, keys)) in [
        ("customer", 4_400, 4_372),
        ("product", 190_000, 4_070),
        ("order", 25_900, 25_900),
        ("order_item", 541_909, 541_909),
    ]
    .into_iter()
    .enumerate()
    {
        let table = project.tables.iter().find(|table| table.name.as_str() == name).unwrap().clone();
        let id = at as u32 + 1;
        decoder.add_schema(id, &schema::value_schema(&table)).unwrap();
        tables.push((table, id, events, keys));
    }
    let source = Generated { tables: Arc::new(tables) };
    let fixture = Fixture::with(Options {
        memory: Some(256 << 20),
        threads: Some(2),
        decode: Some(Arc::new(Known(decoder))),
        source: Some(Arc::new(source)),
        ..Options::default()
    });
    let values =
        Placeholders { lake: "/l".into(), iam_role: "default".into(), brokers: "b".into(), auth: "none".into() };
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &project, &values).unwrap();
    let started = Instant::now();
    let advanced = mirrors.advance(&AtomicBool::new(false)).unwrap();
    let took = started.elapsed();
    println!("{} events, {} steps, {took:?}, peak {} MiB", advanced.records, advanced.steps, peak_mib());
    let mut session = fixture.session();
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.order_item"), ["541909"]);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.product"), ["4070"]);
    let started = Instant::now();
    let again = mirrors.advance(&AtomicBool::new(false)).unwrap();
    println!("nothing new: {} records, {:?}", again.records, started.elapsed());
    println!("file {} MiB", std::fs::metadata(fixture.path().join("w.duckdb")).unwrap().len() >> 20);
}

#[test]
#[ignore = "a measurement"]
fn measure_a_load_of_541_909_fact_rows_and_a_small_one_after_it() {
    use weir_core::publication::{ChangeSet, ChangeSetFile, Publication, PublishedTable};

    let mut project = project();
    project.models.retain(|model| model.name.as_str() == "fact_sales");
    let model = project.models[0].clone();
    let fixture = Fixture::with(Options { memory: Some(256 << 20), threads: Some(2), ..Options::default() });
    let lake = fixture.path().join("lake");
    std::fs::create_dir_all(lake.join("curated/_changes")).unwrap();
    let values = Placeholders {
        lake: lake.display().to_string(),
        iam_role: "default".into(),
        brokers: "b".into(),
        auth: "none".into(),
    };
    let mut session = fixture.session();
    for (build, count, step) in [(1_u64, 541_909, 1), (2, 5_000, 100)] {
        let cells: Vec<String> = crate::load::ddl::columns(&model)
            .into_iter()
            .map(|column| {
                let value = match column.name.as_str() {
                    "order_id" => "CAST(500000 + n // 22 AS TEXT)".to_owned(),
                    "line_number" => "CAST(n % 22 AS INTEGER)".to_owned(),
                    "product_id" => "CAST(n % 4000 AS TEXT)".to_owned(),
                    _ if column.kind.starts_with("TIMESTAMP") => {
                        "TIMESTAMPTZ '2011-01-01' + INTERVAL 1 second * n".into()
                    }
                    _ if column.kind.starts_with("VARCHAR") => "'x'".into(),
                    _ => format!("CAST(n % 1000 AS {})", column.kind),
                };
                format!("{value} AS \"{}\"", column.name)
            })
            .collect();
        let path = format!("curated/_changes/{build}.parquet");
        let sql = format!(
            "COPY (SELECT {}, 'u' AS _change FROM (SELECT i * {step} AS n FROM range({count}) AS r(i))) TO '{}' (FORMAT PARQUET)",
            cells.join(", "),
            lake.join(&path).display()
        );
        session.connection.execute_batch(&sql).unwrap();
        let content_length = std::fs::metadata(lake.join(&path)).unwrap().len();
        let files = vec![ChangeSetFile { path, content_length, rows: count }];
        let publication = Publication {
            build,
            published_at: 0,
            tables: vec![PublishedTable {
                table: model.name.clone(),
                version: 1,
                key: crate::load::ddl::key(&model),
                change_sets: vec![ChangeSet { version: 1, upserts: count, deletes: 0, files, anew: false }],
            }],
        };
        let started = Instant::now();
        crate::load::apply(&mut session, &project, &crate::LakeFiles::Folder(lake.clone()), &[publication], &values)
            .unwrap();
        println!("build {build}: {count} rows in {:?}, peak {} MiB", started.elapsed(), peak_mib());
    }
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM analytics.fact_sales"), ["541909"]);
}
