//! A model changes, a build is asked again, the zones are replayed: through the commands.

use std::path::PathBuf;

use serde_json::Value;
use weir_testkit::harness::{read_json, reader};

use crate::path::reconciled;
use crate::place::{Place, text};

/// A reference pipeline with a shop in it, built in two builds.
fn built() -> Place {
    let place = Place::reference();
    let simulate = ["replay", "simulate", "--seed", "5", "--customers", "60", "--products", "40", "--orders", "200"];
    place.run(&simulate);
    place.build();
    place
}

fn make_city_type_2(place: &Place) {
    place.edit("models/curated/dim_customer.yaml", |text| {
        text.replace("{name: city, type: nvarchar(60), scd: type1}", "{name: city, type: nvarchar(60), scd: type2}")
    });
}

fn number(row: &Value, column: &str) -> u64 {
    row[column].as_u64().unwrap_or_else(|| panic!("`{column}` of {row}"))
}

/// The row of one table.
fn of<'a>(rows: &'a [Value], table: &str) -> &'a Value {
    rows.iter().find(|row| row["table"] == table).unwrap_or_else(|| panic!("no {table} in {rows:?}"))
}

#[test]
fn a_type_1_column_becomes_type_2_after_its_difference_was_shown() {
    let place = built();
    let versions = "select count(*) from analytics.dim_customer";
    let before = place.value(versions);
    make_city_type_2(&place);
    let refused = place.weir(&["build"]).run();
    assert!(refused.stderr.contains("W6004") && refused.stderr.contains("weir restate"), "{}", refused.stderr);

    let files = place.lake_files().len();
    let plan = place.rows(&["restate", "dim_customer"]);
    assert_eq!(place.lake_files().len(), files, "a plan writes nothing");
    let dimension = of(&plan, "dim_customer");
    assert!(number(dimension, "added") > 0, "{dimension}");
    assert!(number(of(&plan, "fact_sales"), "re-pointed") > 0, "{plan:?}");
    let shown = place.run(&["restate", "dim_customer"]).stdout;
    assert!(shown.contains("effective_to") && shown.contains("before"), "{shown}");

    assert_eq!(place.rows(&["restate", "dim_customer", "--apply"]), plan, "what is done is what was planned");
    place.run(&["build"]);
    let after: u64 = place.value(versions).parse().unwrap();
    let (added, removed) = (number(dimension, "added"), number(dimension, "removed"));
    assert_eq!(after, before.parse::<u64>().unwrap() + added - removed);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
    reconciled(&place);
    // The build before is still there to be asked.
    let count = "select count(*) as n from analytics.dim_customer";
    assert_eq!(text(&place.rows(&["sql", "--build", "1", count])[0]["n"]), before);
    assert_eq!(text(&place.rows(&["sql", "--build", "2", count])[0]["n"]), after.to_string());
}

#[test]
fn a_restatement_killed_after_the_swap_is_finished_by_the_next_build() {
    let place = built();
    make_city_type_2(&place);
    place.killed(&["restate", "dim_customer", "--apply"], "restate.history_committed=2");
    place.run(&["build"]);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
    reconciled(&place);
}

/// `created_at` is in the contract and staged since the first build; it opens no version. `birth_date` goes, `segment`
/// has another length.
fn give_customers_other_columns(place: &Place) {
    place.edit("models/curated/dim_customer.sql", |text| {
        text.replace("    birth_date,\n", "").replace("    country,\n", "    country,\n    created_at,\n")
    });
    place.edit("models/curated/dim_customer.yaml", |text| {
        let text = text.replace("  - {name: birth_date, type: date, scd: type1}\n", "");
        let text = text.replace("{name: segment, type: nvarchar(20)", "{name: segment, type: nvarchar(40)");
        let country = "  - {name: country, type: nvarchar(40), scd: type2}\n";
        text.replace(country, &format!("{country}  - {{name: created_at, type: datetime2(3), scd: type1}}\n"))
    });
}

/// The warehouse has the new columns with the source's own values, everything agrees, and older builds are as they were.
fn has_other_columns(place: &Place) {
    let wrong = "select count(*) from analytics.dim_customer as d join staging.customer as c \
                 on c.customer_id = d.customer_id where c.created_at is null or d.created_at <> c.created_at";
    assert_eq!(place.value(wrong), "0", "of a customer that lives, every version has the date of the mirror");
    let right = "select count(*) > 50 from analytics.dim_customer where created_at is not null";
    assert!(["t", "true"].contains(&place.value(right).as_str()), "{}", place.value(right));
    let gone = place.weir(&["sql", "select birth_date from analytics.dim_customer"]).run();
    assert!(!gone.status.success() && gone.stderr.contains("birth_date"), "{}", gone.stderr);
    assert!(place.run(&["check"]).stdout.contains("every invariant holds"));
    reconciled(place);
    let count = |column: &str| format!("select count({column}) as n from curated.dim_customer");
    assert_ne!(text(&place.rows(&["sql", "--build", "1", &count("birth_date")])[0]["n"]), "0");
    // Another Delta reader finds the columns of each version in its own place.
    for (version, there, not) in [("1", "birth_date", "created_at"), ("2", "created_at", "birth_date")] {
        let Some(mut call) = reader("delta.py") else { break };
        call.arg(place.lake().join("curated/dim_customer")).arg(version);
        let seen = read_json(call);
        let columns: Vec<String> = seen["columns"].as_array().unwrap().iter().map(text).collect();
        assert!(columns.contains(&there.to_owned()) && !columns.contains(&not.to_owned()), "{version}: {seen}");
        assert!(number(&seen, "rows") > 50, "{version}: {seen}");
    }
    let not_there = place.weir(&["sql", "--build", "1", &count("created_at")]).run();
    assert!(not_there.stderr.contains("W6405"), "{}", not_there.stderr);
}

#[test]
fn a_model_gets_other_columns_after_their_difference_was_shown_and_the_warehouse_follows() {
    let place = built();
    place.run(&["sql", "create view public.segments as select segment from analytics.dim_customer where is_current"]);
    let length = "select type from pg_table_def where schemaname = 'analytics' and tablename = 'dim_customer' \
                  and \"column\" = 'segment'";
    let short = place.value(length);
    let segments = place.value("select count(*) from public.segments");
    let sales = place.value("select count(*) from analytics.view_monthly_sales");
    give_customers_other_columns(&place);
    let refused = place.weir(&["build"]).run();
    assert!(refused.stderr.contains("W6401") && refused.stderr.contains("weir restate"), "{}", refused.stderr);
    let plan = place.rows(&["plan"]);
    let why = text(&of(&plan, "dim_customer")["why"]);
    assert!(why.contains("+created_at timestamp, -birth_date date") && why.contains("weir restate"), "{why}");
    let early = place.weir(&["restate", "dim_customer", "--from", "2024-01-01"]).run().expect_code(64);
    assert!(early.stderr.contains("W6407"), "{}", early.stderr);

    let files = place.lake_files().len();
    let plan = place.rows(&["restate", "dim_customer"]);
    assert_eq!(place.lake_files().len(), files, "a plan writes nothing");
    let dimension = of(&plan, "dim_customer");
    assert_eq!(text(&dimension["columns"]), "+created_at timestamp, -birth_date date");
    assert_eq!((number(dimension, "added"), number(dimension, "removed")), (0, 0), "{dimension}");
    assert!(number(dimension, "changed") > 50, "{dimension}");
    assert_eq!(number(of(&plan, "fact_sales"), "changed"), 0, "facts point where they did: {plan:?}");

    assert_eq!(place.rows(&["restate", "dim_customer", "--apply"]), plan, "what is done is what was planned");
    place.run(&["build"]);
    has_other_columns(&place);
    assert_ne!(place.value(length), short, "another length reaches the warehouse");
    assert_eq!(place.value("select count(*) from public.segments"), segments, "a view of one's own goes on");
    assert_eq!(
        place.value("select count(*) from analytics.view_monthly_sales"),
        sales,
        "a view of the project goes on"
    );
    // A warehouse that begins anew loads every build from the first one on.
    std::fs::remove_file(place.parts().join("warehouse.duckdb")).unwrap();
    place.run(&["build"]);
    has_other_columns(&place);

    // Its own key is the one thing that a model keeps.
    place.edit("models/curated/dim_customer.yaml", |text| {
        let int = "{name: customer_id, type: int}";
        text.replace(int, "{name: customer_id, type: bigint}")
    });
    let refused = place.weir(&["restate", "dim_customer"]).run();
    assert!(refused.stderr.contains("W6406"), "{}", refused.stderr);
}

#[test]
fn a_restatement_with_other_columns_killed_between_any_two_commits_ends_without_a_difference() {
    let origin = built();
    give_customers_other_columns(&origin);
    let commits = |place: &Place| {
        let of_history = |path: &&PathBuf| path.parent().unwrap().ends_with("dim_customer_history/_delta_log");
        place.lake_files().iter().filter(of_history).count()
    };
    let restate: &[&str] = &["restate", "dim_customer", "--apply"];
    // Each point is reached once for each table in the plan first, on the scratch lake: the dimension, two facts and
    // the aggregate. What follows is the lake's own.
    let points: [(&str, &[&str]); 11] = [
        ("restate.history_committed=2", restate),
        ("curated.change_set_written=5", restate),
        ("curated.table_committed=5", restate),
        ("curated.table_committed=6", restate),
        ("curated.table_committed=7", restate),
        ("curated.state_committed=2", restate),
        ("curated.table_committed=8", restate),
        ("curated.before_publish=2", restate),
        ("curated.published=2", restate),
        ("warehouse.load_before_commit", &["build"]),
        ("warehouse.load_committed", &["build"]),
    ];
    for (point, command) in points {
        let place = origin.twin();
        if command != restate {
            place.run(restate);
        }
        place.killed(command, point);
        assert_eq!(
            commits(&place),
            commits(&origin) + 1,
            "{point}: the history was swapped once, not on a scratch lake"
        );
        place.run(&["build"]);
        has_other_columns(&place);
    }
}

#[test]
fn a_vacuum_says_how_far_time_travel_reaches_and_an_older_build_is_refused() {
    let place = built();
    make_city_type_2(&place);
    place.run(&["restate", "dim_customer", "--apply"]);
    let builds = place.rows(&["table", "builds"]);
    assert!(builds.len() >= 4 && builds.iter().all(|row| row["readable"] == true), "{builds:?}");
    let said = place.run(&["table", "vacuum", "--keep", "0s"]).stderr;
    assert!(said.contains("time travel reaches back to build 2"), "{said}");
    let refused = place.weir(&["sql", "--build", "1", "select 1 from curated.dim_date"]).run().expect_code(64);
    assert!(refused.stderr.contains("W6404") && refused.stderr.contains("build 2"), "{}", refused.stderr);
    place.run(&["build"]);
    reconciled(&place);
}

#[test]
fn a_replay_proves_the_zones_and_finds_a_row_that_was_tampered_with() {
    let place = built();
    let (elsewhere, files) = (place.path().join("elsewhere"), place.lake_files().len());
    std::fs::create_dir(&elsewhere).unwrap();
    let verify = || place.weir(&["-o", "json", "replay", "--verify"]).env("TMPDIR", elsewhere.to_str().unwrap()).run();
    let lines: Vec<Value> = serde_json::from_str(&verify().expect_code(0).stdout).unwrap();
    assert!(lines.iter().any(|line| line["zone"] == "staging" && number(line, "found") > 0), "{lines:?}");
    assert!(lines.iter().any(|line| line["table"] == "fact_sales" && number(line, "found") > 0), "{lines:?}");
    for line in &lines {
        assert_eq!(line["expected"], line["found"], "{line}");
    }
    let left = std::fs::read_dir(&elsewhere).unwrap().count();
    assert_eq!((left, place.lake_files().len()), (0, files), "it leaves a trace");

    // A file of a table is named a second time by a commit by hand: its rows are doubled.
    for (zone, table) in [("staging", "customer"), ("curated", "dim_customer")] {
        double(&place, zone, table);
    }
    let differs = verify().expect_code(1);
    let lines: Vec<Value> = serde_json::from_str(&differs.stdout).unwrap();
    for table in ["customer", "dim_customer"] {
        let line = of(&lines, table);
        assert!(number(line, "doubled") > 0 && !text(&line["keys"]).is_empty(), "{line}");
    }
    assert_eq!(number(of(&lines, "fact_sales"), "different"), 0, "{lines:?}");
}

/// Copies a data file of a table and commits the copy.
pub fn double(place: &Place, zone: &str, table: &str) {
    let folder = place.lake_files().into_iter().find_map(|path| {
        let log: PathBuf = path.parent()?.to_owned();
        log.ends_with(format!("{zone}/{table}/_delta_log")).then_some(log)
    });
    let log = folder.expect("the table");
    let mut commits: Vec<PathBuf> = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()).collect();
    commits.retain(|path| path.extension().is_some_and(|end| end == "json"));
    commits.sort();
    let newest = std::fs::read_to_string(commits.last().unwrap()).unwrap();
    let line = newest.lines().find(|line| line.starts_with("{\"add\"")).expect("a commit that adds");
    let mut add: Value = serde_json::from_str(line).unwrap();
    let path = add["add"]["path"].as_str().unwrap().to_owned();
    let copy = path.replace(".parquet", "-again.parquet");
    let root = log.parent().unwrap();
    std::fs::copy(root.join(&path), root.join(&copy)).unwrap();
    add["add"]["path"] = copy.into();
    let next = format!("{:020}.json", commits.len());
    std::fs::write(log.join(next), format!("{add}\n")).unwrap();
}
