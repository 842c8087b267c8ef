//! Published hard cases of slowly changing dimensions and late facts, each by name, through whole builds.

use std::collections::BTreeMap;

use weir_core::change::{Change, Op};
use weir_core::surrogate::{UNKNOWN, surrogate_key};
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_lake::{Commit, Lake};

use super::fixture::{Bench, S, expected, name, shop, text, visit};
use crate::build::build_in;
use crate::check::check_in;
use crate::scd::OPEN;

use Op::{Create, Delete, Read, Update};

/// One build per list; the rows of `dim_shop` without the unknown member, by effective_from.
async fn built(batches: &[&[Change]]) -> (Bench, Vec<Row>) {
    let bench = Bench::new(2).await;
    for batch in batches {
        bench.stage(batch).await;
        build_in(&bench.room).await.expect("a build");
    }
    let all: Vec<Change> = batches.iter().flat_map(|batch| batch.iter().cloned()).collect();
    let tables = bench.tables().await;
    assert_eq!(tables, expected(&all));
    assert_eq!(bench.loaded().await, tables);
    assert_eq!(check_in(&bench.room).await.expect("a check"), []);
    let mut rows: Vec<Row> =
        tables[&name("dim_shop")].iter().filter(|row| row[0] != Value::Int(UNKNOWN)).cloned().collect();
    rows.sort_by_key(|row| row[6].clone());
    (bench, rows)
}

/// (grade, from, to, current) of a row of `dim_shop`.
fn span(row: &Row) -> (String, i64, i64, bool) {
    let (Value::Timestamp(from), Value::Timestamp(to), Value::Bool(current)) = (&row[6], &row[7], &row[8]) else {
        panic!("{row:?}")
    };
    (row[3].to_string(), *from, *to, *current)
}

fn spans(rows: &[Row]) -> Vec<(String, i64, i64, bool)> {
    rows.iter().map(span).collect()
}

fn is(grade: &str, from: i64, to: i64) -> (String, i64, i64, bool) {
    (grade.to_owned(), from, to, to == OPEN)
}

const N1: (&str, i64) = ("n", 1);

fn key(from: i64) -> Value {
    Value::Int(surrogate_key(&name("dim_shop"), &vec![text("n"), Value::Int(1)], from))
}

#[tokio::test]
async fn an_update_that_comes_after_the_delete_but_happened_before_it_closes_with_it() {
    let (_, rows) = built(&[
        &[shop(1, Create, 10 * S, N1, ("Ann", "a", "x")), shop(3, Delete, 30 * S, N1, ("Ann", "a", "x"))],
        &[shop(2, Update, 20 * S, N1, ("Ann", "b", "x"))],
    ])
    .await;
    assert_eq!(spans(&rows), [is("a", 10 * S, 20 * S), is("b", 20 * S, 30 * S)]);
}

#[tokio::test]
async fn a_key_that_reappears_opens_a_new_version_and_leaves_the_hole() {
    let (_, rows) = built(&[
        &[shop(1, Create, 10 * S, N1, ("Ann", "a", "x")), shop(2, Delete, 20 * S, N1, ("Ann", "a", "x"))],
        &[shop(3, Create, 30 * S, N1, ("Ann", "a", "y"))],
    ])
    .await;
    assert_eq!(spans(&rows), [is("a", 10 * S, 20 * S), is("a", 30 * S, OPEN)]);
    assert_eq!((&rows[0][0], &rows[1][0]), (&key(0), &key(30 * S)));
}

#[tokio::test]
async fn compound_keys_that_share_a_part_are_keys_apart() {
    let (_, rows) = built(&[&[
        shop(1, Create, 10 * S, ("n", 1), ("Ann", "a", "x")),
        shop(2, Create, 20 * S, ("n", 2), ("Bob", "b", "x")),
        shop(3, Create, 30 * S, ("s", 1), ("Cid", "c", "x")),
    ]])
    .await;
    assert_eq!(spans(&rows), [is("a", 10 * S, OPEN), is("b", 20 * S, OPEN), is("c", 30 * S, OPEN)]);
}

#[tokio::test]
async fn of_changes_at_one_time_the_last_in_order_makes_the_version_whatever_came_first() {
    let (_, rows) = built(&[
        &[shop(3, Update, 20 * S, N1, ("Ann", "c", "x")), shop(1, Create, 10 * S, N1, ("Ann", "a", "x"))],
        &[shop(2, Update, 20 * S, N1, ("Ann", "b", "x"))],
    ])
    .await;
    assert_eq!(spans(&rows), [is("a", 10 * S, 20 * S), is("c", 20 * S, OPEN)]);
}

#[tokio::test]
async fn a_key_with_a_null_in_part_points_to_the_unknown_member_and_infers_nothing() {
    let (bench, rows) = built(&[&[
        visit(1, Create, 10 * S, 1, (Some("n"), None), "new", Some(10 * S)),
        visit(2, Create, 10 * S, 2, (None, Some(1)), "new", Some(10 * S)),
        visit(3, Create, 10 * S, 3, (None, None), "new", Some(10 * S)),
    ]])
    .await;
    assert_eq!(rows, Vec::<Row>::new());
    let facts = &bench.tables().await[&name("fact_visit")];
    assert!(facts.iter().all(|row| row[6] == Value::Int(UNKNOWN)), "{facts:?}");
}

#[tokio::test]
async fn a_date_at_the_end_of_time_gets_its_year_and_no_eight_thousand_others() {
    let (bench, rows) = built(&[&[
        shop(1, Create, 10 * S, N1, ("Ann", "a", "x")),
        shop(2, Update, OPEN, N1, ("Ann", "b", "x")),
        visit(3, Create, 10 * S, 1, (Some("n"), Some(1)), "new", Some(OPEN)),
        visit(4, Create, 10 * S, 2, (Some("n"), Some(1)), "new", Some(10 * S)),
    ]])
    .await;
    assert_eq!(spans(&rows), [is("a", 10 * S, OPEN)], "a version from then on would be empty");
    let tables = bench.tables().await;
    assert_eq!(tables[&name("dim_date")].len(), 1 + 365 + 365);
    assert!(tables[&name("fact_visit")].iter().any(|row| row[7] == Value::Int(99_991_231)));
}

#[tokio::test]
async fn a_clock_that_runs_backwards_makes_no_overlap() {
    let (_, rows) = built(&[
        &[shop(1, Create, 50 * S, N1, ("Ann", "a", "x")), shop(2, Update, 20 * S, N1, ("Ann", "b", "x"))],
        &[shop(3, Update, 60 * S, N1, ("Ann", "c", "x"))],
    ])
    .await;
    assert_eq!(spans(&rows), [is("b", 50 * S, 60 * S), is("c", 60 * S, OPEN)]);
}

#[tokio::test]
async fn a_late_event_that_removes_a_version_reaches_the_change_set_as_a_delete() {
    // At 20 the grade became b; a later change at the same time says that it stayed a.
    let bench = Bench::new(2).await;
    let first = [shop(1, Create, 10 * S, N1, ("Ann", "a", "x")), shop(2, Update, 20 * S, N1, ("Ann", "b", "x"))];
    let fact = visit(5, Create, 50 * S, 1, (Some("n"), Some(1)), "new", Some(25 * S));
    bench.stage(&first).await;
    bench.stage(std::slice::from_ref(&fact)).await;
    build_in(&bench.room).await.expect("a build");
    assert_eq!(bench.tables().await[&name("fact_visit")][0][6], key(20 * S));

    bench.stage(&[shop(3, Update, 20 * S, N1, ("Ann", "a", "x"))]).await;
    let report = build_in(&bench.room).await.expect("a build");
    let shop_report = report.tables.iter().find(|table| table.table == name("dim_shop")).expect("the dimension");
    assert_eq!((shop_report.upserts, shop_report.deletes), (1, 1), "the first version opens again, the second goes");
    let tables = bench.tables().await;
    assert_eq!(bench.loaded().await, tables);
    assert_eq!(tables[&name("fact_visit")][0][6], key(0), "the fact points to what is left");
}

#[tokio::test]
async fn a_type_1_change_touches_only_its_columns_and_no_fact() {
    let bench = Bench::new(2).await;
    let first = [
        shop(1, Create, 10 * S, N1, ("Ann", "a", "x")),
        shop(2, Update, 20 * S, N1, ("Ann", "b", "y")),
        visit(5, Create, 50 * S, 1, (Some("n"), Some(1)), "new", Some(25 * S)),
    ];
    bench.stage(&first).await;
    build_in(&bench.room).await.expect("a build");
    let before = bench.tables().await;
    let change = shop(3, Update, 30 * S, N1, ("Anne", "b", "z"));
    bench.stage(std::slice::from_ref(&change)).await;
    let report = build_in(&bench.room).await.expect("a build");
    let after = bench.tables().await;

    let untouched = |table: &str| assert_eq!(before[&name(table)], after[&name(table)], "{table}");
    untouched("fact_visit");
    untouched("fact_arrival");
    // The aggregate groups by the name, so it moves with it.
    let others = |table: &str| table != "dim_shop" && table != "agg_visit";
    assert!(report.tables.iter().filter(|t| others(t.table.as_str())).all(|t| t.upserts + t.deletes == 0));
    let rows = |tables: &BTreeMap<_, Vec<Row>>, grade: &str| -> Row {
        tables[&name("dim_shop")].iter().find(|row| row[3] == text(grade)).expect("a version").clone()
    };
    let mut old = rows(&before, "a");
    old[4] = text("Anne");
    assert_eq!(rows(&after, "a"), old, "closed: the name on all versions, the note as it was");
    let mut current = rows(&before, "b");
    (current[4], current[5]) = (text("Anne"), text("z"));
    assert_eq!(rows(&after, "b"), current, "current: both");
}

#[tokio::test]
async fn an_inferred_member_keeps_its_key_when_its_parent_arrives_and_comes_back_when_it_vanishes() {
    let fact = visit(5, Create, 50 * S, 1, (Some("n"), Some(1)), "new", Some(25 * S));
    let (bench, rows) = built(&[std::slice::from_ref(&fact)]).await;
    assert_eq!((rows[0][0].clone(), rows[0][9].clone()), (key(0), Value::Bool(true)));

    let parent = shop(6, Create, 60 * S, N1, ("Ann", "a", "x"));
    bench.stage(std::slice::from_ref(&parent)).await;
    let report = build_in(&bench.room).await.expect("a build");
    let fact_report = report.tables.iter().find(|table| table.table == name("fact_visit")).expect("the fact");
    assert_eq!(fact_report.upserts, 0, "the key is the same, so no fact changes");
    assert_eq!(bench.tables().await, expected(&[fact.clone(), parent.clone()]));

    // A delete at the time of the create leaves no version; the fact still has to point somewhere.
    let gone = shop(7, Delete, 60 * S, N1, ("Ann", "a", "x"));
    bench.stage(std::slice::from_ref(&gone)).await;
    build_in(&bench.room).await.expect("a build");
    assert_eq!(bench.tables().await, expected(&[fact, parent, gone]));
    assert_eq!(bench.loaded().await, bench.tables().await);
}

#[tokio::test]
async fn a_late_first_version_takes_the_first_key_and_facts_follow() {
    let fact = visit(5, Create, 50 * S, 1, (Some("n"), Some(1)), "new", Some(25 * S));
    let (bench, _) = built(&[
        &[shop(2, Update, 20 * S, N1, ("Ann", "b", "x")), fact],
        &[shop(1, Read, 10 * S, N1, ("Ann", "a", "x"))],
    ])
    .await;
    assert_eq!(bench.tables().await[&name("fact_visit")][0][6], key(20 * S));
}

#[tokio::test]
async fn a_milestone_keeps_its_first_time_and_an_update_leaves_a_defaulted_event_time() {
    let (bench, _) = built(&[
        &[
            visit(1, Create, 10 * S, 1, (None, None), "new", None),
            visit(3, Update, 30 * S, 1, (None, None), "done", None),
        ],
        &[
            visit(2, Update, 20 * S, 1, (None, None), "done", None),
            visit(4, Update, 40 * S, 1, (None, None), "new", None),
        ],
    ])
    .await;
    let fact = &bench.tables().await[&name("fact_visit")][0];
    assert_eq!((fact[8].clone(), fact[9].clone()), (Value::Timestamp(20 * S), Value::Timestamp(10 * S)));
}

#[tokio::test]
async fn a_table_that_was_changed_by_hand_is_found_by_the_check() {
    let (bench, _) = built(&[&[
        shop(1, Create, 10 * S, N1, ("Ann", "a", "x")),
        visit(2, Create, 10 * S, 1, (Some("n"), Some(1)), "new", Some(10 * S)),
    ]])
    .await;
    let lake: &Lake = &bench.lake;
    let mut table = lake.table(Zone::Curated, "fact_visit").await.expect("the lake").expect("the table");
    let remove: Vec<_> = table.files().cloned().collect();
    table.commit(Commit { remove, ..Commit::default() }).await.expect("a commit by hand");
    let found = check_in(&bench.room).await.expect("a check");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].table.as_str(), found[0].keys.as_slice()), ("fact_visit", &["1".to_owned()][..]));
}
