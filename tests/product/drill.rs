//! Disaster recovery: what is lost is lost for real, or rehearsed by `weir drill`, and comes back as it was.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::kill::star;
use crate::path::reconciled;
use crate::place::{Place, copy};
use crate::restate::double;
use crate::s3::simulate;

fn built() -> Place {
    let place = Place::reference();
    simulate(&place);
    place.build();
    place
}

/// Built from the first micro-batches; the other records wait in the stream.
fn built_from_a_part() -> Place {
    let mut place = Place::reference();
    place.set("WEIR__LANDING__MAX_ROWS", "20");
    simulate(&place);
    place.killed(&["stream", "--once"], "landing.committed=6");
    place.run(&["build"]);
    place
}

fn drill(place: &Place, more: &[&str], code: i32) -> Vec<Value> {
    let outcome = place.weir(&[&["-o", "json", "drill"], more].concat()).run().expect_code(code);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[track_caller]
fn line<'a>(rows: &'a [Value], what: &str) -> &'a Value {
    rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("no {what} in {rows:?}"))
}

fn sum(rows: &[Value], column: &str) -> u64 {
    rows.iter().filter_map(|row| row[column].as_u64()).sum()
}

/// Deletes what a drill only hides.
fn lose(place: &Place) {
    for zone in ["staging", "quarantine", "quality", "curated"] {
        std::fs::remove_dir_all(place.lake().join(zone)).unwrap();
    }
    let files = std::fs::read_dir(place.parts()).unwrap().map(|entry| entry.unwrap().path());
    let warehouse: Vec<PathBuf> =
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("warehouse.duckdb")).collect();
    assert!(!warehouse.is_empty());
    warehouse.into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
}

#[test]
fn a_build_brings_back_what_was_lost_with_every_key_although_it_is_killed_on_the_way() {
    let place = built_from_a_part();
    place.build();
    let before = star(&place);
    // With curated alone gone, what is built anew is not loaded on top of what the warehouse has.
    std::fs::remove_dir_all(place.lake().join("curated")).unwrap();
    let told = place.weir(&["build"]).run().expect_code(1).stderr;
    assert!(told.contains("W7044") && told.contains("build 2 that the warehouse has loaded"), "{told}");
    lose(&place);
    for failpoint in ["staging.committed", "curated.table_committed", "warehouse.load_before_commit"] {
        place.killed(&["build"], failpoint);
    }
    place.run(&["build"]);
    assert!(star(&place) == before, "the star is not what it was");
    reconciled(&place);
    place.run(&["check"]);
}

#[test]
fn a_drill_rebuilds_on_a_copy_leaves_no_trace_and_holds_itself_to_what_is_declared() {
    let mut place = built_from_a_part();
    let lake = |place: &Place| BTreeSet::from_iter(place.lake_files());
    let files = lake(&place);
    let elsewhere = place.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    place.set("TMPDIR", elsewhere.to_str().unwrap());
    let rows = drill(&place, &[], 0);
    for step in ["staging", "curated", "warehouse", "catch up", "mirrors", "proof", "surrogate keys"] {
        assert!(line(&rows, step)["rows"].as_u64() > Some(0), "{step}: {rows:?}");
    }
    let waits = &line(&rows, "not in the lake")["rows"];
    assert!(waits.as_u64() > Some(0) && *waits == line(&rows, "catch up")["rows"], "{rows:?}");
    assert_eq!((sum(&rows, "differences"), sum(&rows, "out of reach")), (0, 0), "{rows:?}");
    assert_eq!(line(&rows, "restored")["at most"], 3600);
    assert!(lake(&place) == files, "the lake was changed");
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0, "it leaves a trace");

    let told = place.weir(&["drill", "--set", "recovery.rto=1ms"]).run().expect_code(1).stdout;
    assert!(told.contains("surrogate keys included; RTO missed; RPO met"), "{told}");
    let told = place.weir(&["drill", "--set", "recovery.rpo=1ms"]).run().expect_code(1).stdout;
    assert!(told.contains("RTO met; RPO missed"), "{told}");
    place.build();
    let rows = drill(&place, &["--set", "recovery.rpo=1ms"], 0);
    assert!(line(&rows, "surrogate keys")["rows"].as_u64() > Some(20), "{rows:?}");
    assert_eq!((&line(&rows, "not in the lake")["rows"], &line(&rows, "catch up")["rows"]), (&0.into(), &0.into()));
}

#[test]
fn what_the_replica_lacks_is_counted_with_its_age() {
    let place = built();
    let replica = place.parts().join("replica");
    let set = ["--set", "recovery.replica=replica", "--set", "recovery.rpo=1h"];
    let rows = drill(&place, &set, 0);
    // No replica yet: every commit of it.
    assert!(line(&rows, "not in the replica")["rows"].as_u64() > Some(0), "{rows:?}");
    copy(&place.lake(), &replica);
    let rows = drill(&place, &set, 0);
    assert_eq!(line(&rows, "not in the replica")["rows"], 0, "{rows:?}");

    // One data file did not come yet, although the commit that names it did.
    let data = |path: &PathBuf| path.extension().is_some_and(|end| end == "parquet");
    let file = place.lake_files().into_iter().find(|path| path.starts_with(place.lake().join("landing")) && data(path));
    std::fs::remove_file(replica.join(file.unwrap().strip_prefix(place.lake()).unwrap())).unwrap();
    assert_eq!(line(&drill(&place, &set, 0), "not in the replica")["rows"], 1);
    let late = [&set[..2], &["--set", "recovery.rpo=1ms"]].concat();
    let rows = drill(&place, &late, 1);
    assert!(line(&rows, "not in the replica")["seconds"].as_f64() > Some(0.0), "{rows:?}");
}

#[test]
fn a_drill_names_rows_that_are_not_what_a_rebuild_gives_and_wants_a_finished_build() {
    let place = Place::reference();
    let told = place.weir(&["drill"]).run().expect_code(75).stderr;
    assert!(told.contains("W9701") && told.contains("no build has been published"), "{told}");
    simulate(&place);
    place.run(&["stream", "--once"]);
    place.run(&["build", "--upto", "staging"]);
    assert!(place.weir(&["drill"]).run().expect_code(75).stderr.contains("W9701"));
    place.run(&["build"]);
    double(&place, "curated", "dim_customer");
    let told = place.weir(&["drill"]).run().expect_code(1).stdout;
    let of_table = told.lines().find(|line| line.contains("dim_customer")).expect("the table is named");
    assert!(of_table.starts_with("curated") && told.contains("is not what was there"), "{told}");
}

#[test]
fn where_landing_has_forgotten_staging_is_the_source_and_says_how_much_nothing_else_could_give() {
    let mut place = built_from_a_part();
    let staged = |place: &Place| -> u64 {
        let health = place.rows(&["table", "health"]);
        health.iter().filter(|row| row["zone"] == "staging").map(|row| row["rows"].as_u64().unwrap()).sum()
    };
    let forgotten = staged(&place);
    place.set("WEIR__LANDING__RETENTION", "1s");
    std::thread::sleep(Duration::from_millis(1200));
    place.run(&["build"]);
    // What comes from now on stays in landing, and staging can be built again as far as that.
    place.set("WEIR__LANDING__RETENTION", "90d");
    place.build();
    assert!(staged(&place) > forgotten && forgotten > 0);
    let rows = drill(&place, &[], 0);
    let of_staging = line(&rows, "staging");
    assert!(of_staging["rows"].as_u64() > Some(0), "{rows:?}");
    assert!(of_staging["out of reach"].as_u64() >= Some(forgotten), "{forgotten}: {rows:?}");
    assert_eq!(sum(&rows, "differences"), 0, "{rows:?}");
    assert!(line(&rows, "curated")["rows"].as_u64() > Some(forgotten), "{rows:?}");
}
