//! Landing's files are put together, expire and are deleted, and nobody misses a row.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use weir_testkit::harness::{read_json, reader};

use crate::place::Place;

/// 20 customers of one hour, who move within it, and what they order: the same hour in every table.
fn events() -> String {
    let mut lines = String::new();
    let at = |second: usize| format!("2024-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
    let customer = |id: usize, country: &str| {
        format!(
            r#"{{"customer_id": {id}, "first_name": "A", "last_name": "B", "email": "a@example.org", "country": "{country}"}}"#
        )
    };
    for id in 1..=20 {
        let (row, time) = (customer(id, "Norway"), at(id));
        writeln!(lines, r#"{{"table": "customer", "op": "c", "after": {row}, "time": "{time}"}}"#).unwrap();
    }
    for id in 1..=20 {
        let (before, after, time) = (customer(id, "Norway"), customer(id, "France"), at(100 + id));
        writeln!(
            lines,
            r#"{{"table": "customer", "op": "u", "before": {before}, "after": {after}, "time": "{time}"}}"#
        )
        .unwrap();
        let ordered =
            format!(r#""customer_id": {id}, "status": "placed", "ordered_at": "{time}", "is_cancellation": false"#);
        writeln!(
            lines,
            r#"{{"table": "order", "op": "c", "after": {{"order_id": "{id}", {ordered}}}, "time": "{time}"}}"#
        )
        .unwrap();
    }
    lines
}

/// Built, with micro-batches of few rows, so that an hour has many small files.
fn built() -> Place {
    let mut place = Place::reference();
    place.set("WEIR__LANDING__MAX_ROWS", "4");
    place.replay_events(&events());
    place.build();
    // Not before: the build would have put them together.
    place.set("WEIR__LANDING__COMPACT_AFTER", "1s");
    a_while();
    place
}

/// Longer than the shortest time that the settings take.
fn a_while() {
    std::thread::sleep(Duration::from_millis(1200));
}

fn health(place: &Place, zone: &str, table: &str) -> Value {
    let rows = place.rows(&["table", "health"]);
    rows.into_iter().find(|row| row["zone"] == zone && row["table"] == table).unwrap()
}

fn number(row: &Value, column: &str) -> u64 {
    row[column].as_u64().unwrap_or_else(|| panic!("no {column} in {row}"))
}

/// Every row of a landing table as another reader sees it; none without one.
fn seen_outside(place: &Place, table: &str) -> Option<Value> {
    let mut call = reader("files.py")?;
    call.arg(place.lake().join("landing").join(table))
        .arg("select cast(t as varchar) from t order by _partition, _offset");
    Some(read_json(call))
}

#[track_caller]
fn holds(place: &Place) {
    place.run(&["reconcile"]);
    place.run(&["replay", "--verify"]);
    place.run(&["check"]);
}

fn total(rows: &[Value], column: &str) -> u64 {
    rows.iter().map(|row| number(row, column)).sum()
}

#[test]
fn small_files_become_one_and_every_reader_finds_the_same_rows() {
    let place = built();
    let before = health(&place, "landing", "customer");
    assert!(number(&before, "files") >= 8 && before["small"] == before["files"], "{before}");
    assert_eq!((number(&before, "hours closed"), number(&before, "hours open")), (1, 0), "{before}");
    assert_eq!((&before["compaction of"], number(&before, "into")), (&before["files"], 1), "{before}");
    let outside = seen_outside(&place, "customer");

    let done = place.rows(&["table", "compact", "customer"]);
    assert_eq!((done.len(), total(&done, "files"), total(&done, "into")), (1, number(&before, "files"), 1), "{done:?}");
    let after = health(&place, "landing", "customer");
    assert_eq!((&after["rows"], number(&after, "files")), (&before["rows"], 1));
    assert_eq!((&after["files unnamed"], number(&after, "compaction of")), (&before["files"], 0), "{after}");
    assert_eq!(seen_outside(&place, "customer"), outside);
    holds(&place);
    let found = place.rows(&["trace", "dim_customer", "7"]).remove(0);
    for change in found["changes"].as_array().unwrap() {
        assert!(place.lake().join(change["landing"]["file"].as_str().unwrap()).is_file(), "{change}");
    }

    // A build does the rest by itself, and one that has nothing to do does nothing.
    place.run(&["build"]);
    assert_eq!(number(&health(&place, "landing", "order"), "files"), 1);
    assert_eq!(total(&place.rows(&["table", "compact"]), "files"), 0);
    let staged: Vec<Value> = place.rows(&["build"]);
    assert!(staged.iter().all(|line| line["read"] == 0), "{staged:?}");
    place.weir(&["table", "compact", "nothing"]).run().expect_code(64);
    place.weir(&["table", "vacuum", "nothing"]).run().expect_code(64);
}

#[test]
fn rows_that_left_landing_by_its_retention_are_accounted_for_everywhere() {
    let mut place = built();
    place.run(&["build"]);
    let landed = number(&health(&place, "landing", "customer"), "rows");
    place.set("WEIR__LANDING__RETENTION", "1s");
    place.run(&["build"]);
    let now = health(&place, "landing", "customer");
    assert_eq!((number(&now, "rows"), number(&now, "files")), (0, 0), "{now}");
    holds(&place);
    let verified = place.rows(&["replay", "--verify"]);
    let staging = verified.iter().find(|line| line["zone"] == "staging" && line["table"] == "customer").unwrap();
    assert_eq!((number(staging, "out of reach"), number(staging, "found")), (landed, 0), "{staging}");
    assert!(place.run(&["trace", "dim_customer", "7"]).stdout.contains("removed by retention"));

    let nothing = place.rows(&["table", "vacuum", "customer"]);
    assert_eq!(total(&nothing, "files"), 0, "{nothing:?}");
    place.set("WEIR__LAKE__VACUUM_AFTER", "1s");
    a_while();
    let dry = place.rows(&["table", "vacuum", "customer", "--dry-run"]);
    assert!(total(&dry, "files") >= 9 && total(&dry, "bytes") > 0, "{dry:?}");
    assert_eq!(place.rows(&["table", "vacuum", "customer"]), dry);
    assert_eq!(number(&health(&place, "landing", "customer"), "files unnamed"), 0);
    holds(&place);

    // A staging table that begins anew says what it cannot have.
    std::fs::remove_dir_all(place.lake().join("staging/customer")).unwrap();
    let said = place.run(&["build", "--upto", "staging"]).stderr;
    assert!(said.contains("its retention has taken rows before"), "{said}");
}

#[test]
fn upkeep_killed_at_any_of_its_steps_loses_and_doubles_nothing() {
    let before = built();
    let outside = seen_outside(&before, "customer");
    let rows = number(&health(&before, "landing", "customer"), "rows");
    for (point, command) in [
        ("compaction.files_written", &["table", "compact"][..]),
        ("compaction.committed", &["table", "compact"]),
        ("compaction.committed=2", &["build"]),
        ("retention.committed", &["build"]),
        ("vacuum.file_deleted=2", &["table", "vacuum"]),
    ] {
        let mut place = before.twin();
        let expires = point.starts_with("retention");
        if expires {
            place.set("WEIR__LANDING__RETENTION", "1s");
        }
        if point.starts_with("vacuum") {
            place.run(&["table", "compact"]);
            place.set("WEIR__LAKE__VACUUM_AFTER", "1s");
            a_while();
        }
        place.killed(command, point);
        if !expires {
            assert_eq!(seen_outside(&place, "customer"), outside, "{point}");
        }
        holds(&place);
        place.run(command);
        let now = health(&place, "landing", "customer");
        assert_eq!(number(&now, "rows"), if expires { 0 } else { rows }, "{point}");
        assert!(number(&now, "files") <= 1, "{point}: {now}");
        if !expires {
            assert_eq!(seen_outside(&place, "customer"), outside, "{point}");
        }
        holds(&place);
    }
}

#[test]
fn a_landing_killed_while_it_makes_a_checkpoint_goes_on_and_readers_see_every_row_once() {
    for point in ["checkpoint.verified", "checkpoint.written"] {
        let place = Place::reference();
        let sizes = ["--customers", "60", "--products", "10", "--orders", "60"];
        place.run(&[&["replay", "simulate", "--seed", "3"], &sizes[..]].concat());
        let stream = ["stream", "--once", "--set", "landing.max_rows=1"];
        place.killed(&stream, point);
        if point == "checkpoint.written" {
            let files = place.lake_files();
            let count = |name: &str| files.iter().filter(|file| file.to_string_lossy().ends_with(name)).count();
            assert!(count(".checkpoint.parquet") > count("_last_checkpoint"), "nothing points to it yet");
        }
        place.run(&stream);
        place.build();
        holds(&place);
        let rows = number(&health(&place, "landing", "customer"), "rows");
        if let Some(outside) = seen_outside(&place, "customer") {
            assert_eq!(outside["rows"].as_array().unwrap().len() as u64, rows, "{point}");
        }
    }
}
