//! The path end to end, through the public commands.

use std::time::Duration;

use weir_testkit::harness::{Weir, online_retail};

use crate::place::{Place, text};

/// No zone differs from what the source did, and every zone was compared.
#[track_caller]
pub fn reconciled(place: &Place) {
    let lines = place.rows(&["reconcile"]);
    let zones: Vec<String> = lines.iter().filter_map(|line| line["zone"].as_str()).map(str::to_owned).collect();
    for zone in ["landing", "staging", "curated", "warehouse", "mirrors"] {
        assert!(zones.iter().any(|compared| compared == zone), "{zone} was not compared: {zones:?}");
    }
    for line in lines.iter().filter(|line| line.get("expected").is_some()) {
        assert_eq!(line["expected"], line["found"], "{line}");
        for column in ["missing", "doubled", "different"] {
            assert_eq!(line[column], 0, "{line}");
        }
    }
}

fn simulate(place: &Place, orders: &str) {
    let sizes = ["--customers", "60", "--products", "40", "--orders", orders];
    place.run(&[&["replay", "simulate", "--seed", "11"], &sizes[..]].concat());
}

#[test]
fn every_stage_by_its_own_command_ends_without_a_difference() {
    let place = Place::reference();
    place.run(&["validate"]);
    simulate(&place, "300");
    place.build();
    reconciled(&place);
    assert_ne!(place.value("select count(*) from analytics.fact_sales"), "0");
}

#[test]
fn a_second_run_finds_nothing_to_do() {
    let place = Place::reference();
    simulate(&place, "200");
    place.build();
    let before = place.lake_files().len();
    simulate(&place, "200");
    place.build();
    assert_eq!(place.lake_files().len(), before, "a run without news wrote files");
    reconciled(&place);
}

#[test]
fn another_replay_in_the_same_folder_is_refused() {
    let place = Place::reference();
    simulate(&place, "200");
    let other =
        place.weir(&["replay", "simulate", "--seed", "12", "--customers", "60", "--products", "40", "--orders", "200"]);
    let stderr = other.run().expect_code(64).stderr;
    assert!(stderr.contains("W2040"), "{stderr}");
}

#[test]
fn a_second_pipeline_over_other_tables_goes_the_whole_way() {
    let place = Place::with("tests/fixtures/pipelines/library");
    place.replay_events(EVENTS);
    place.build();
    reconciled(&place);

    // Leipzig 1 opened, closed, opened: three versions, and the loan of the closed time points to the second.
    let versions = place.sql(
        "select is_open, is_current from analytics.dim_branch where city = 'Leipzig' and number = 1 order by effective_from",
    );
    let open: Vec<String> = versions.iter().map(|row| text(&row["is_open"])).collect();
    assert_eq!(open, ["true", "false", "true"]);
    let of_closed = "select count(*) from analytics.fact_loan f join analytics.dim_branch b on b.branch_key = f.branch_key \
                     where f.loan_id = 2 and b.is_open = false";
    assert_eq!(place.value(of_closed), "1");
    // A loan of a branch that nobody has sent yet: an inferred member.
    assert_eq!(place.value("select count(*) from analytics.dim_branch where is_inferred"), "1");
    // The mirror has the last state of every source row, the deleted one gone.
    assert_eq!(place.value("select count(*) from staging.loan"), "3");
    assert_eq!(place.value("select fee from staging.loan where loan_id = 1"), "2.5000");
}

/// Two branches with a compound key, four loans; one loan is deleted, one branch changes twice.
const EVENTS: &str = r#"{"table": "branch", "op": "r", "after": {"city": "Leipzig", "number": 1, "title": "Mitte", "is_open": true, "budget": "1000.0000"}, "time": "2024-01-01T00:00:00Z"}
{"table": "branch", "op": "c", "after": {"city": "Ōsaka", "number": 2, "is_open": true}, "time": "2024-01-02T00:00:00Z"}
{"table": "loan", "op": "c", "after": {"loan_id": 1, "city": "Leipzig", "branch_number": 1, "lent_at": "2024-01-03T10:00:00+01:00", "state": "out"}, "time": "2024-01-03T09:00:01Z"}
{"table": "branch", "op": "u", "after": {"city": "Leipzig", "number": 1, "title": "Mitte", "is_open": false, "budget": "1000.0000"}, "time": "2024-02-01T00:00:00Z"}
{"table": "loan", "op": "c", "after": {"loan_id": 2, "city": "Leipzig", "branch_number": 1, "lent_at": "2024-02-03T10:00:00+01:00", "state": "out"}, "time": "2024-02-03T09:00:01Z"}
{"table": "branch", "op": "u", "after": {"city": "Leipzig", "number": 1, "title": "Mitte", "is_open": true, "budget": "1200.0000"}, "time": "2024-03-01T00:00:00Z"}
{"table": "loan", "op": "u", "before": {"loan_id": 1, "city": "Leipzig", "branch_number": 1, "lent_at": "2024-01-03T10:00:00+01:00", "state": "out"}, "after": {"loan_id": 1, "city": "Leipzig", "branch_number": 1, "lent_at": "2024-01-03T10:00:00+01:00", "state": "back", "fee": "2.5000", "days": 30}, "time": "2024-03-02T00:00:00Z"}
{"table": "loan", "op": "c", "after": {"loan_id": 3, "city": "Halle", "branch_number": 9, "lent_at": "2024-03-03T10:00:00Z", "state": "out"}, "time": "2024-03-03T10:00:00Z"}
{"table": "loan", "op": "c", "after": {"loan_id": 4, "city": "Leipzig", "branch_number": 1, "lent_at": "2024-03-04T10:00:00Z", "state": "out"}, "time": "2024-03-04T10:00:00Z"}
{"table": "loan", "op": "d", "before": {"loan_id": 4, "city": "Leipzig", "branch_number": 1, "lent_at": "2024-03-04T10:00:00Z", "state": "out"}, "time": "2024-03-05T10:00:00Z"}
"#;

#[test]
fn the_demo_ends_without_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Weir::new(["demo", "--rows", "5000", "--seed", "3"]).dir(folder.path()).run().expect_code(0);
    assert!(outcome.stdout.contains("fact_sales"), "{}", outcome.stdout);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the demo leaves files where it was called");
}

/// A kept folder is named once, and every command finds pipeline, stream, lake and warehouse in it.
#[test]
fn every_command_works_on_a_kept_folder_without_more_flags() {
    let folder = tempfile::tempdir().unwrap();
    let weir = |args: &[&str]| Weir::new(args).dir(folder.path()).run().expect_code(0).stdout;
    weir(&["demo", "--rows", "3000", "--keep", "shop"]);
    assert!(folder.path().join("shop/lake/landing/customer/_delta_log").is_dir());

    let on_it = |args: &[&str]| weir(&[&["-d", "shop", "-o", "csv"], args].concat());
    let compared = on_it(&["reconcile"]);
    for zone in ["landing", "staging", "curated", "warehouse", "mirrors"] {
        assert!(compared.lines().any(|line| line.starts_with(zone)), "{zone} was not compared:\n{compared}");
    }
    assert_eq!(on_it(&["check"]).lines().count(), 1, "a header, and nothing is broken");
    for line in on_it(&["build"]).lines().skip(1) {
        let read = line.split(',').nth(2);
        assert_eq!(read, Some("0"), "a build of what is built reads nothing: {line}");
    }
    let facts = on_it(&["sql", "select count(*) from analytics.fact_sales"]);
    assert_ne!(facts.lines().nth(1), Some("0"), "{facts}");
    weir(&["-d", "shop", "-p", "shop/pipeline", "check"]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["shop"], "a command worked somewhere else");
}

#[test]
fn up_drains_when_it_is_interrupted_and_goes_on_where_it_stopped() {
    let place = Place::reference();
    simulate(&place, "200");
    let mut up = place.up(&["--build-every", "1s"]);
    let status = up.stop(Duration::from_secs(60));
    assert!(status.success(), "{status}\n{}", up.output());
    place.build();
    reconciled(&place);
}

/// The data set's own numbers, each exactly.
#[test]
fn the_real_data_is_in_the_star_schema_to_the_last_line() {
    let Some(file) = online_retail() else { return };
    let place = Place::reference();
    let folder = place.path().join("kept");
    let demo = ["demo", "--online-retail", file.to_str().unwrap(), "--keep", folder.to_str().unwrap()];
    Weir::new(demo).dir(place.path()).run().expect_code(0);

    let ask = |query: &str| {
        let call = ["-p", "kept/pipeline", "-d", "kept", "-o", "csv", "sql", query];
        let csv = Weir::new(call).dir(place.path()).run().expect_code(0).stdout;
        csv.lines().nth(1).expect("a header and a row").to_owned()
    };
    assert_eq!(ask("select count(*) from analytics.fact_sales"), "541907");
    assert_eq!(ask("select sum(quantity * unit_price) from analytics.fact_sales"), "9769872.054");
    assert_eq!(ask("select count(*) from analytics.fact_sales where customer_key = -1"), "135078");
    assert_eq!(ask("select count(*) from analytics.fact_sales where unit_price = 0"), "2515");
    // The mirror holds what the source holds, the two bad lines too.
    assert_eq!(ask("select count(*) from staging.order_item"), "541909");
    assert_eq!(ask("select sum(quantity * unit_price) from staging.order_item"), "9747747.934");
}
