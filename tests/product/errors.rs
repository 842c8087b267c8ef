//! Bad input gets an error with code, cause and fix, and leaves nothing half-written.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use weir_testkit::harness::{Outcome, Weir};

use crate::place::Place;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

/// The call ended with this exit code and exactly this error, told in full.
#[track_caller]
fn expect_error(outcome: Outcome, exit: i32, code: &str) -> String {
    let stderr = outcome.expect_code(exit).stderr;
    assert!(stderr.contains(&format!("error[{code}]: ")), "not {code}:\n{stderr}");
    for word in ["cause: ", "fix: "] {
        assert!(stderr.contains(word), "no `{word}`:\n{stderr}");
    }
    stderr
}

/// Nothing was sent and nothing landed: every topic that exists is empty, and the lake has no file.
#[track_caller]
fn nothing_is_written(place: &Place) {
    assert_eq!(place.lake_files(), Vec::<PathBuf>::new());
    let records = place.parts().join("broker");
    let mut folders = vec![records];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|end| end == "log") {
                assert_eq!(entry.metadata().unwrap().len(), 0, "{} holds records", entry.path().display());
            }
        }
    }
}

fn gzip(path: &Path, text: &str) {
    let mut encoder = GzEncoder::new(std::fs::File::create(path).unwrap(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

fn replay(place: &Place, file: &Path) -> Outcome {
    place.weir(&["replay", "online-retail", file.to_str().unwrap()]).run()
}

#[test]
fn a_missing_file_is_named() {
    let place = Place::reference();
    let stderr = expect_error(replay(&place, Path::new("no-such-file.csv.gz")), 64, "W2001");
    assert!(stderr.contains("no-such-file.csv.gz"), "{stderr}");
    nothing_is_written(&place);
}

#[test]
fn a_gzip_file_that_ends_too_early_is_refused_before_anything_is_sent() {
    let place = Place::reference();
    let file = place.path().join("cut.csv.gz");
    let lines: String = (0..2_000)
        .map(|n| format!("{},{},thing {n},1,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n", 536_365 + n, n * 7919))
        .collect();
    gzip(&file, &(HEADER.to_owned() + &lines));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();

    expect_error(replay(&place, &file), 1, "W2002");
    nothing_is_written(&place);
}

#[test]
fn a_line_with_too_few_columns_is_refused_with_its_number() {
    let place = Place::reference();
    let file = place.path().join("short.csv.gz");
    let good = "536365,85123A,thing,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n";
    gzip(&file, &format!("{HEADER}{good}536366,71053\n"));

    let stderr = expect_error(replay(&place, &file), 1, "W2004");
    assert!(stderr.contains("line 3"), "{stderr}");
    nothing_is_written(&place);
}

#[test]
fn an_event_of_an_unknown_table_is_refused_before_anything_is_sent() {
    let place = Place::reference();
    let file = place.path().join("events.jsonl");
    std::fs::write(
        &file,
        "{\"table\": \"costumer\", \"op\": \"c\", \"after\": {}, \"time\": \"2024-01-02T03:04:05Z\"}\n",
    )
    .unwrap();

    expect_error(place.weir(&["replay", "events", file.to_str().unwrap()]).run(), 1, "W2031");
    nothing_is_written(&place);
}

#[test]
fn a_folder_below_a_file_cannot_be_used() {
    let place = Place::reference();
    // Not a folder without permissions: root writes there all the same.
    std::fs::write(place.path().join("file"), "").unwrap();
    let below = place.path().join("file/parts");

    let outcome = Weir::new(["demo", "--rows", "1000", "--keep", below.to_str().unwrap()]).dir(place.path()).run();
    expect_error(outcome, 64, "W9001");
    assert_eq!(std::fs::read(place.path().join("file")).unwrap(), b"");
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let place = Place::reference();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let stderr = expect_error(place.weir(&["serve", "--port", &port]).run(), 64, "W9007");
    assert!(stderr.contains(&port), "{stderr}");
}

/// `weir validate` ends with 78 and names this code, this file and this text.
#[track_caller]
fn expect_problem(place: &Place, code: &str, file: &str, text: &str) {
    let stderr = place.weir(&["validate"]).run().expect_code(78).stderr;
    for part in [code, file, text] {
        assert!(stderr.contains(part), "no `{part}` in\n{stderr}");
    }
}

#[test]
fn an_unknown_dimension_is_refused_with_its_place() {
    let place = Place::reference();
    place.edit("models/curated/fact_sales.yaml", |text| text.replace("dim_customer", "dim_custmer"));
    expect_problem(&place, "W1033", "fact_sales.yaml", "dim_custmer");
}

#[test]
fn a_key_that_is_no_column_is_refused_with_a_suggestion() {
    let place = Place::reference();
    place.edit("contracts/customer.yaml", |text| text.replace("key: [customer_id]", "key: [customer_idd]"));
    expect_problem(&place, "W1023", "customer.yaml", "customer_idd");
}

#[test]
fn an_unknown_setting_is_refused_with_a_suggestion() {
    let place = Place::reference();
    place.edit("weir.yaml", |text| text.replace("max_wait", "max_wiat"));
    expect_problem(&place, "W1003", "weir.yaml", "did you mean `max_wait`?");
}

#[test]
fn models_that_wait_for_each_other_are_refused() {
    let place = Place::reference();
    place.edit("models/curated/fact_sales.yaml", |text| {
        text.replace("dimension: dim_customer", "dimension: fact_orders")
    });
    place.edit("models/curated/fact_orders.yaml", |text| {
        text.replace("dimension: dim_customer", "dimension: fact_sales")
    });
    expect_problem(&place, "W1034", "fact_", "fact_orders");
}

#[test]
fn every_problem_of_a_pipeline_is_printed_not_the_first() {
    let place = Place::reference();
    place.edit("contracts/customer.yaml", |text| text.replace("key: [customer_id]", "key: [customer_idd]"));
    place.edit("weir.yaml", |text| text.replace("max_wait", "max_wiat"));
    let stderr = place.weir(&["validate"]).run().expect_code(78).stderr;
    assert!(stderr.contains("W1023") && stderr.contains("W1003"), "{stderr}");
}

#[test]
fn what_redshift_refuses_is_found_in_the_pipelines_own_sql_and_names() {
    let place = Place::reference();
    let folder = place.pipeline().join("warehouse");
    std::fs::write(folder.join("report.sql"), "SELECT 1;\nSELECT string_agg(name, ',') FROM t;\n").unwrap();
    place.edit("contracts/customer.yaml", |text| {
        text.replace("columns:\n", "columns:\n  - {name: xmin, type: int, nullable: true}\n")
    });
    let page = "c_unsupported-postgresql-functions.html";
    expect_problem(&place, "W7012", "warehouse/report.sql:2:8", page);
    expect_problem(&place, "W7012", "contracts/customer.yaml", "column \"xmin\"");
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    let stderr = Weir::new(["demo", "--rowz", "5"]).run().expect_code(64).stderr;
    assert!(stderr.contains("--rows"), "no suggestion:\n{stderr}");
}
