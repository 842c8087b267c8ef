//! Others read what Weir writes: deltalake, DuckDB, psql, pg8000 and a Kafka client, none of them ours.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use weir_testkit::harness::{Running, psql, read_json, reader};

use crate::place::{Place, text};

/// One built place for all tests that only read.
static BUILT: LazyLock<Place> = LazyLock::new(|| {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "5", "--customers", "60", "--products", "40", "--orders", "300"]);
    place.build();
    place
});

/// Every Delta table below the lake, as `zone/table`.
fn tables(place: &Place) -> Vec<String> {
    let lake = place.lake();
    let mut found = Vec::new();
    let mut folders = vec![lake.clone()];
    while let Some(folder) = folders.pop() {
        if folder.join("_delta_log").is_dir() {
            found.push(folder.strip_prefix(&lake).unwrap().to_str().unwrap().to_owned());
            continue;
        }
        folders
            .extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    found.sort();
    found
}

fn open(place: &Place, table: &str) -> Option<Value> {
    let mut call = reader("delta.py")?;
    call.arg(place.lake().join(table));
    Some(read_json(call))
}

#[test]
fn the_python_deltalake_opens_every_zone_without_reader_features() {
    let place = &*BUILT;
    let tables = tables(place);
    for zone in ["landing", "staging", "curated", "quarantine", "deadletter", "quality"] {
        assert!(tables.iter().any(|table| table.starts_with(zone)), "no table in {zone}: {tables:?}");
    }
    for table in &tables {
        let Some(seen) = open(place, table) else { return };
        assert_eq!(seen["reader_version"], 1, "{table}: {seen}");
        assert_eq!(seen["reader_features"], serde_json::json!([]), "{table}: {seen}");
    }
}

#[test]
fn duckdb_reads_the_rows_of_every_zone_from_its_files() {
    let place = &*BUILT;
    for table in tables(place) {
        let Some(seen) = open(place, &table) else { return };
        if seen["files"] == 0 {
            continue;
        }
        let mut call = reader("files.py").unwrap();
        call.arg(place.lake().join(&table)).arg("select count(*) from t");
        assert_eq!(read_json(call)["rows"][0][0], seen["rows"], "{table}");
    }
}

#[test]
fn duckdb_finds_the_same_sales_in_the_lake_as_the_warehouse_has() {
    let place = &*BUILT;
    let Some(mut call) = reader("files.py") else { return };
    call.arg(place.lake().join("curated/fact_sales")).arg("select count(*), cast(sum(amount) as varchar) from t");
    let lake = read_json(call);
    let rows = place.sql("select count(*) as n, cast(sum(amount) as varchar) as total from analytics.fact_sales");
    assert_eq!(text(&lake["rows"][0][0]), text(&rows[0]["n"]));
    assert_eq!(text(&lake["rows"][0][1]), text(&rows[0]["total"]));
}

#[test]
fn duckdb_opens_the_warehouse_while_weir_does_not_run() {
    let place = &*BUILT;
    let Some(mut call) = reader("warehouse.py") else { return };
    call.arg(place.parts().join("warehouse.duckdb")).arg("select count(*) from analytics.fact_sales");
    let outside = read_json(call);
    assert_eq!(text(&outside["rows"][0][0]), place.value("select count(*) from analytics.fact_sales"));
}

/// `weir up` on a place of its own, ready, with what it says about its addresses.
fn up(place: &Place) -> (Running, Value) {
    place.run(&["replay", "simulate", "--seed", "5", "--customers", "30", "--products", "20", "--orders", "60"]);
    let running = place.up(&["--build-every", "1s"]);
    (running, place.running())
}

fn port(said: &Value) -> String {
    said["wire"].to_string()
}

#[test]
fn a_foreign_kafka_client_lists_produces_and_consumes() {
    let place = Place::reference();
    let (_running, said) = up(&place);
    let kafka = |args: &[&str]| {
        let mut call = reader("kafka.py")?;
        call.arg(said["stream"]["brokers"].as_str().unwrap()).args(args);
        Some(read_json(call))
    };
    let Some(listed) = kafka(&["list"]) else { return };
    assert_eq!(listed["retail.customer.cdc"], serde_json::json!([0, 1, 2, 3]), "{listed}");

    // Behind the path's own records, in partition 0; the next ones are counted from its end.
    let topic = "retail.product.cdc";
    let produced = kafka(&["produce", topic, "0", "10"]).unwrap();
    assert_eq!(produced["delivered"], 10, "{produced}");
    let first = produced["offsets"][0].as_i64().unwrap();
    let offsets: Vec<i64> = (first..first + 10).collect();
    assert_eq!(produced["offsets"], serde_json::json!(offsets));

    let all = kafka(&["consume", topic, "outside"]).unwrap();
    let ours: Vec<&Value> =
        all.as_array().unwrap().iter().filter(|m| m["key"].as_str().unwrap().starts_with("key-")).collect();
    assert_eq!(ours.len(), 10);
    assert_eq!(ours[3]["value"], "value-3");
    assert_eq!(kafka(&["committed", topic, "outside", "0"]).unwrap(), serde_json::json!(first + 10));
}

#[test]
fn pg8000_queries_with_parameters_and_gets_typed_columns() {
    let place = Place::reference();
    let (_running, said) = up(&place);
    let Some(mut call) = reader("wire.py") else { return };
    call.args([
        &port(&said),
        "weir",
        "weir",
        "select 1 + cast(:p1 as integer) as next, cast('1.50' as decimal(5,2)) as price",
        "41",
    ]);
    let seen = read_json(call);
    assert_eq!(seen["rows"], serde_json::json!([[42, "1.50"]]));
    assert_eq!(seen["columns"][0], serde_json::json!({"name": "next", "type": 23}));
    assert_eq!(seen["columns"][1]["type"], 1700);
}

#[test]
fn psql_connects_lists_describes_and_queries() {
    let place = Place::reference();
    let (_running, said) = up(&place);
    let port = port(&said);
    let ask = |text: &str| {
        let mut call = psql()?;
        let output =
            call.args(["-h", "127.0.0.1", "-p", &port, "-U", "weir", "-d", "weir", "-c", text]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql -c '{text}' failed\n{stderr}");
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let Some(listed) = ask("\\dt analytics.*") else { return };
    for table in ["dim_customer", "dim_date", "dim_product", "fact_orders", "fact_sales"] {
        assert!(listed.contains(table), "{listed}");
    }
    let described = ask("\\d analytics.fact_sales").unwrap();
    assert!(described.contains("unit_price") && described.contains("numeric(12,3)"), "{described}");
    for listing in ["\\dn", "\\l", "\\dv", "\\du", "\\df", "\\dt"] {
        ask(listing);
    }
    assert!(ask("select count(*) from analytics.dim_customer").unwrap().contains("(1 row)"));
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_or_served() {
    let place = Place::reference();
    let (_running, _) = up(&place);
    let second = place.weir(&["up", "--port", "0"]).run();
    assert!(!second.status.success(), "two `weir up` on one folder");
    assert!(second.stderr.contains("error[W"), "{}", second.stderr);
    assert!(
        Path::new(&place.parts().join("running.json")).exists(),
        "the refused one took the first one's notice away"
    );
}
