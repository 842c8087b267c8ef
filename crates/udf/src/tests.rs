//! The handler alone: Redshift's contract, what Debezium wrote, a registry that is away.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_core::change::Op;
use weir_core::column::{Column, ColumnType};
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value as Cell};
use weir_envelope::encode::Snapshot;
use weir_envelope::schema::value_schema;
use weir_envelope::{Decoder, Encoder, Event};

use super::*;

/// A registry with Confluent's API that knows the schemas of a folder of fixtures, and how often it was asked.
struct Schemas {
    url: String,
    asked: Arc<AtomicUsize>,
}

/// The schemas of a folder below `tests/fixtures`, by id, and the values of its tables' topics.
struct Folder {
    schemas: BTreeMap<u32, String>,
    values: Vec<Vec<u8>>,
}

impl Folder {
    fn read(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
        let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        let list: Vec<Value> = serde_json::from_str(&text(folder.join("schemas.json"))).unwrap();
        let schema = |one: &Value| (one["id"].as_u64().unwrap() as u32, one["schema"].to_string());
        let mut values = Vec::new();
        for topic in ["customer", "product", "order", "order_item"] {
            for line in text(folder.join(format!("retail.{topic}.cdc.jsonl"))).lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                values.extend(record["value"].as_str().map(|value| STANDARD.decode(value).unwrap()));
            }
        }
        Self { schemas: list.iter().map(schema).collect(), values }
    }

    /// What a decoder that knows the schemas makes of a value.
    fn json(&self, value: &[u8]) -> Option<String> {
        let mut decoder = Decoder::default();
        for (id, schema) in &self.schemas {
            // Those of keys are no change events.
            let _ = decoder.add_schema(*id, schema);
        }
        let mut out = Vec::new();
        decoder.cdc_json(value, &mut out).ok().map(|()| String::from_utf8(out).unwrap())
    }

    fn serve(&self) -> Schemas {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (schemas, asked) = (self.schemas.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reading = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reading.read_line(&mut head).unwrap() > 0 {}
                counted.fetch_add(1, Ordering::SeqCst);
                let id = head.split(' ').nth(1).and_then(|path| path.rsplit('/').next()?.parse().ok());
                let (status, body) = match id.and_then(|id: u32| schemas.get(&id)) {
                    Some(schema) => (200, json!({ "schema": schema })),
                    None => (404, json!({ "error_code": 40403, "message": "Schema not found" })),
                };
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                reading.get_mut().write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Schemas { url, asked }
    }
}

impl Schemas {
    fn function(&self) -> Function {
        Function::new(Registry::new(self.url.as_str()))
    }
}

/// A call as Redshift makes it, with everything that it tells.
fn request(rows: &[Value]) -> Request {
    let event = json!({
        "request_id": "23FF1F97-F28A-44AA-AB67-266ED976BF40",
        "cluster": "arn:aws:redshift:eu-central-1:111122223333:cluster:shop-qa",
        "user": "weir",
        "database": "shop",
        "external_function": "public.f_cdc_avro_to_json",
        "query_id": 5_678_234,
        "num_records": rows.len(),
        "arguments": rows,
    });
    serde_json::from_value(event).unwrap()
}

fn hexed(value: &[u8]) -> Value {
    json!([hex::encode(value)])
}

fn results(answer: &Answer) -> Vec<Value> {
    let response: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(response["success"], true, "{response}");
    assert!(response.get("error_msg").is_none());
    response["results"].as_array().unwrap().clone()
}

fn why_failed(answer: &Answer) -> String {
    let response: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((&response["success"], response.get("results")), (&json!(false), None), "{response}");
    response["error_msg"].as_str().unwrap().to_owned()
}

#[test]
fn what_debezium_wrote_becomes_the_json_of_the_warehouses_double_row_by_row() {
    for name in ["debezium-sqlserver", "debezium-postgres"] {
        let folder = Folder::read(name);
        let registry = folder.serve();
        let function = registry.function();
        let rows: Vec<Value> = folder.values.iter().map(|value| hexed(value)).collect();
        let found = results(&function.answer(&request(&rows)));
        assert_eq!(found.len(), folder.values.len());
        for (value, found) in folder.values.iter().zip(&found) {
            assert_eq!(found.as_str().map(str::to_owned), folder.json(value), "{}", hex::encode(value));
        }
        assert!(found.iter().filter(|text| text.is_string()).count() > 10, "{name}: hardly anything is decoded");
        // A later call of the same function asks for nothing.
        let asked = registry.asked.load(Ordering::SeqCst);
        assert_eq!(results(&function.answer(&request(&rows))), found);
        assert_eq!(registry.asked.load(Ordering::SeqCst), asked);
    }
}

#[test]
fn results_are_as_many_as_rows_in_their_order_and_a_null_stays_one() {
    let folder = Folder::read("debezium-sqlserver");
    let good = &folder.values[0];
    let rows = [Value::Null, hexed(good), json!([null]), json!([]), json!(["0"]), hexed(b"{}"), hexed(good)];
    let answer = folder.serve().function().answer(&request(&rows));
    let text = json!(folder.json(good).unwrap());
    let null = Value::Null;
    assert_eq!(results(&answer), [&null, &text, &null, &null, &null, &null, &text].map(Clone::clone));
    let response: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(response["num_records"], 7);
    // Only what held a value is missed.
    let line: Value = serde_json::from_str(&answer.line(1, "shop-qa")).unwrap();
    assert_eq!((&line["weir_udf_rows"], &line["weir_udf_undecoded_rows"]), (&json!(7.0), &json!(2.0)));
    assert_eq!(line["undecoded"], json!({ "not_hexadecimal": 1, "wrong_magic": 1 }));
}

#[test]
fn an_unknown_schema_gives_nulls_and_is_asked_for_once_a_call() {
    let folder = Folder::read("debezium-sqlserver");
    let registry = folder.serve();
    let function = registry.function();
    let unknown = hexed(&[&[0, 0, 0, 3, 9][..], &folder.values[0][5..]].concat());
    let rows = [unknown.clone(), unknown.clone(), unknown];
    for calls in 1..=2 {
        let answer = function.answer(&request(&rows));
        assert_eq!(results(&answer), [Value::Null, Value::Null, Value::Null]);
        assert_eq!(registry.asked.load(Ordering::SeqCst), calls);
        assert_eq!(answer.undecoded, BTreeMap::from([("unknown_schema", 3)]));
    }
}

#[test]
fn a_record_in_glues_frame_asks_no_registry_of_another_kind() {
    let folder = Folder::read("debezium-sqlserver");
    let registry = folder.serve();
    let glue = hexed(&[&[3, 0][..], &[7; 16], &folder.values[0][5..]].concat());
    let answer = registry.function().answer(&request(&[glue]));
    assert_eq!(results(&answer), [Value::Null]);
    assert_eq!(registry.asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_registry_that_is_away_fails_the_whole_call_and_gives_no_null() {
    let folder = Folder::read("debezium-sqlserver");
    let function = Function::new(Registry::new("http://127.0.0.1:9"));
    let answer = function.answer(&request(&[Value::Null, hexed(&folder.values[0])]));
    let why = why_failed(&answer);
    assert!(why.starts_with("error[W3208]: the schema registry at `http://127.0.0.1:9`"), "{why}");
    let line: Value = serde_json::from_str(&answer.line(1, "shop-qa")).unwrap();
    assert_eq!((&line["weir_udf_failed_calls"], &line["error"]), (&json!(1.0), &json!(why)));
}

#[test]
fn a_batch_that_is_not_as_long_as_it_says_fails() {
    let mut wrong = request(&[Value::Null]);
    wrong.num_records = 2;
    let answer = Function::new(Registry::new("http://127.0.0.1:9")).answer(&wrong);
    assert_eq!(why_failed(&answer), "2 rows are announced and 1 sent");
}

/// A new customer of the reference pipeline whose segment is this text, under schema 1.
fn customer(segment: &str) -> (Folder, Vec<u8>) {
    let pipeline = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/retail");
    let project = weir_project::load(&pipeline, "dev", &[]).unwrap();
    let table = project.tables.into_iter().find(|table| table.name.as_str() == "customer").unwrap();
    let cell = |column: &Column| match column.name.as_str() {
        "segment" => Cell::Text(segment.to_owned()),
        _ if column.nullable => Cell::Null,
        _ if matches!(column.kind, ColumnType::Text { .. }) => Cell::Text("x".to_owned()),
        _ if matches!(column.kind, ColumnType::Bit) => Cell::Bool(false),
        _ => Cell::Int(1),
    };
    let row: Row = table.columns.iter().map(cell).collect();
    let event = Event {
        op: Op::Create,
        before: None,
        after: Some(&row),
        position: SqlServerPosition { commit_lsn: Lsn::new(1, 1, 1), change_lsn: Some(Lsn::new(1, 1, 2)), serial: 1 },
        source_ts_us: 1_700_000_000_000_000,
        snapshot: Snapshot::False,
        transaction: None,
        ts_ns: 1_700_000_000_000_000_000,
    };
    let mut value = Vec::new();
    Encoder::new(&table, 1, 1).value(&event, &mut value).unwrap();
    (Folder { schemas: [(1, value_schema(&table))].into(), values: Vec::new() }, value)
}

#[test]
fn a_text_that_no_varchar_holds_is_null_and_counted() {
    // Each of its quotes becomes two bytes.
    let (folder, value) = customer(&"\"".repeat(LONGEST / 2));
    let answer = folder.serve().function().answer(&request(&[hexed(&value)]));
    assert_eq!(results(&answer), [Value::Null]);
    assert_eq!(answer.undecoded, BTreeMap::from([("too_long", 1)]));
    let (folder, value) = customer(&"\"".repeat(LONGEST / 2 - 500));
    let answer = folder.serve().function().answer(&request(&[hexed(&value)]));
    assert!(results(&answer)[0].is_string(), "{:?}", answer.undecoded);
}

#[test]
fn an_answer_that_lambda_would_not_take_fails_the_call_and_says_what_to_lower() {
    let (folder, value) = customer(&"a".repeat(64_000));
    let registry = folder.serve();
    let answer = registry.function().answer(&request(&vec![hexed(&value); 150]));
    let why = why_failed(&answer);
    assert!(why.contains("150 rows make an answer of") && why.contains("MAX_BATCH_ROWS"), "{why}");
    let answer = registry.function().answer(&request(&vec![hexed(&value); 10]));
    assert_eq!(results(&answer).len(), 10);
}

#[test]
fn as_many_rows_of_nine_kilobytes_as_redshift_is_told_to_send_at_most_fit_into_an_answer() {
    let sql = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../warehouse/src/mirror/script.rs");
    let sql = std::fs::read_to_string(sql).unwrap();
    let rows: usize = sql.split("MAX_BATCH_ROWS ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let (folder, value) = customer(&"a".repeat(9_000));
    let answer = folder.serve().function().answer(&request(&vec![hexed(&value); rows]));
    assert_eq!(results(&answer).len(), rows);
}

#[test]
fn the_line_of_metrics_has_the_names_on_which_the_infrastructure_has_its_alarms() {
    let answer = Function::new(Registry::new("http://127.0.0.1:9")).answer(&request(&[Value::Null]));
    let line: Value = serde_json::from_str(&answer.line(1_700_000_000_000, "shop-qa")).unwrap();
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("Weir"), &json!([["environment"]])));
    let mut names: Vec<&str> =
        directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    // As `tests/product/emf.rs` has them, which compares the alarms.
    let wanted = ["weir_udf_call_seconds", "weir_udf_failed_calls", "weir_udf_rows", "weir_udf_undecoded_rows"];
    assert_eq!(names, wanted);
    assert_eq!(line["environment"], "shop-qa");
}
