//! Failures of other tools that their users published, each by name: what was seen there must not be seen here.
//!
//! Every case runs whole builds, and every table must also equal the reference star, row for row, in the lake
//! and as a warehouse that applied the change sets holds it. The dimension has no condition here, and all three
//! of its attributes may be null; `grade` is type 2, `name` type 1, `note` type 1 of the current version.

use weir_core::change::{Change, Op};
use weir_core::name::ModelName;
use weir_core::surrogate::UNKNOWN;
use weir_core::value::{Row, Value};
use weir_project::{Model, Scd};

use super::fixture::{
    Bench, MISSING, S, change, dim_date, dim_shop_of, expected_of, fact_visit, name, project, text, visit,
};
use crate::build::build_in;
use crate::check::check_in;
use crate::scd::OPEN;

use Op::{Create, Delete, Update};

/// (grade, from, to) of every version in order, an empty grade for null.
type Spans = Vec<(String, i64, i64)>;

fn models() -> Vec<Model> {
    vec![dim_shop_of(Scd::Type2, Scd::Type1, Scd::Type1Current), fact_visit(), dim_date()]
}

/// A change of the shop `region`/1; an empty grade is null.
fn at(order: u32, op: Op, ts: i64, region: &str, grade: &str) -> Change {
    let grade = if grade.is_empty() { Value::Null } else { text(grade) };
    change("shop", order, op, ts * S, 2, vec![text(region), Value::Int(1), text("Ann"), grade, text("x")])
}

/// A visit of the shop `region`/1 at this time.
fn seen(order: u32, id: i64, region: &str, ts: i64) -> Change {
    visit(order, Create, ts * S, id, (Some(region), Some(1)), "new", Some(ts * S))
}

/// One build per list; checked against the reference, in the lake and as loaded.
async fn built(batches: &[&[Change]]) -> Bench {
    let bench = Bench::with(models(), 2).await;
    for batch in batches {
        bench.stage(batch).await;
        build_in(&bench.room).await.expect("a build");
    }
    let all: Vec<Change> = batches.iter().flat_map(|batch| batch.iter().cloned()).collect();
    let tables = bench.tables().await;
    assert_eq!(tables, expected_of(&models(), &project, &all));
    assert_eq!(bench.loaded().await, tables, "what a warehouse holds that loaded every build");
    assert_eq!(check_in(&bench.room).await.expect("a check"), []);
    bench
}

async fn rows(bench: &Bench, region: &str) -> Vec<Row> {
    let dimension: ModelName = name("dim_shop");
    let mut rows = bench.tables().await.remove(&dimension).expect("the dimension");
    rows.retain(|row| row[0] != Value::Int(UNKNOWN) && row[1] == text(region));
    rows.sort_by_key(|row| row[6].clone());
    rows
}

async fn spans(bench: &Bench, region: &str) -> Spans {
    let seconds = |value: &Value| match value {
        Value::Timestamp(OPEN) => OPEN,
        Value::Timestamp(us) => us / S,
        other => panic!("{other:?} is no time"),
    };
    let grade = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    rows(bench, region).await.iter().map(|row| (grade(&row[3]), seconds(&row[6]), seconds(&row[7]))).collect()
}

fn is(grade: &str, from: i64, to: i64) -> (String, i64, i64) {
    (grade.to_owned(), from, to)
}

/// The surrogate key that the visits of `fact_visit` point to, by visit.
async fn pointers(bench: &Bench) -> Vec<Value> {
    bench.tables().await[&name("fact_visit")].iter().map(|row| row[6].clone()).collect()
}

// --- dbt snapshots ---------------------------------------------------------------------------------

/// https://github.com/dbt-labs/dbt-core/issues/1516 (the change is not seen),
/// https://github.com/dbt-labs/dbt-core/issues/11235 (it is seen and inserted twice).
#[tokio::test]
async fn a_tracked_column_that_goes_from_null_to_a_value_and_back_opens_one_version_each_time() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "")],
        &[at(2, Update, 20, "n", "a")],
        &[at(3, Update, 30, "n", "")],
        &[at(4, Update, 40, "n", "")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("", 10, 20), is("a", 20, 30), is("", 30, OPEN)]);
}

/// https://github.com/dbt-labs/dbt-core/issues/1736
#[tokio::test]
async fn versions_made_by_one_run_touch_and_do_not_overlap() {
    let bench = built(&[&[
        at(1, Create, 10, "n", "a"),
        at(2, Update, 11, "n", "b"),
        at(3, Update, 12, "n", "c"),
        at(4, Update, 13, "n", "d"),
    ]])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 11), is("b", 11, 12), is("c", 12, 13), is("d", 13, OPEN)]);
}

/// https://github.com/dbt-labs/dbt-core/issues/2642 and https://github.com/dbt-labs/dbt-core/issues/2034:
/// doubled source rows end as doubled versions, or stop every later run.
#[tokio::test]
async fn a_change_that_is_delivered_again_in_the_same_or_a_later_run_makes_no_second_row() {
    let (first, second) = (at(1, Create, 10, "n", "a"), at(2, Update, 20, "n", "b"));
    let bench = built(&[
        &[first.clone(), first.clone(), second.clone()],
        &[second.clone(), first.clone()],
        &[first, second.clone(), second],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, OPEN)]);
}

/// https://github.com/dbt-labs/dbt-core/issues/2819 and https://github.com/dbt-labs/dbt-core/issues/11269; the same
/// in dlt: https://github.com/dlt-hub/dlt/issues/1683
#[tokio::test]
async fn a_deleted_key_that_returns_just_as_it_was_opens_a_new_version() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a"), at(2, Create, 10, "s", "z")],
        &[at(3, Delete, 20, "n", "a")],
        &[at(4, Create, 30, "n", "a")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("a", 30, OPEN)]);
    assert_eq!(spans(&bench, "s").await, [is("z", 10, OPEN)]);
    let keys: Vec<Value> = rows(&bench, "n").await.iter().map(|row| row[0].clone()).collect();
    assert_ne!(keys[0], keys[1], "dlt's row hash is the same on both, its documentation says");
}

/// https://github.com/dbt-labs/dbt-core/issues/11950: every run adds a row for a key that is null in part.
#[tokio::test]
async fn a_row_whose_key_is_null_in_part_is_counted_and_never_becomes_a_version() {
    let bench = Bench::with(models(), 2).await;
    let mut keyless = at(1, Create, 10, "n", "a");
    keyless.row.as_mut().expect("a row")[1] = Value::Null;
    bench.stage(&[keyless.clone(), at(2, Create, 10, "s", "z")]).await;
    let first = build_in(&bench.room).await.expect("a build");
    assert_eq!(first.tables[0].keyless, 1);
    let before = bench.tables().await;
    bench.stage(&[keyless]).await;
    build_in(&bench.room).await.expect("a build");
    assert_eq!(bench.tables().await, before);
    assert_eq!(rows(&bench, "n").await, Vec::<Row>::new());
}

/// https://github.com/dbt-labs/dbt-core/issues/2871: the newest row of a key gets an end and the key is never
/// updated again, after its own timestamp ran backwards.
#[tokio::test]
async fn the_newest_change_of_a_living_key_is_always_open_even_when_clocks_run_backwards() {
    let bench = built(&[
        &[at(1, Create, 50, "n", "a")],
        &[at(2, Update, 40, "n", "b")],
        &[at(3, Update, 30, "n", "c")],
        &[at(4, Update, 60, "n", "d")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("c", 50, 60), is("d", 60, OPEN)]);
}

/// https://github.com/dbt-labs/dbt-core/issues/5867
#[tokio::test]
async fn a_delete_whose_clock_is_behind_ends_no_version_before_it_begins() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a"), at(2, Update, 50, "n", "b")],
        &[at(3, Delete, 20, "n", "b")],
        &[at(4, Create, 60, "n", "c")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 50), is("c", 60, OPEN)]);
}

/// https://github.com/dbt-labs/dbt-core/issues/4347: deletes are dated by the run, changes by the source.
#[tokio::test]
async fn a_delete_and_a_change_are_dated_by_the_source_and_never_by_the_run() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a"), at(2, Create, 10, "s", "z")],
        &[at(3, Delete, 20, "n", "a"), at(4, Update, 20, "s", "y")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20)]);
    assert_eq!(spans(&bench, "s").await, [is("z", 10, 20), is("y", 20, OPEN)]);
}

/// https://github.com/dbt-labs/dbt-core/issues/10921, https://github.com/duckdb/dbt-duckdb/issues/528 and, on
/// Redshift with rows that multiply, https://github.com/dbt-labs/dbt-core/issues/11747
#[tokio::test]
async fn an_open_row_that_ends_at_9999_is_closed_by_a_later_run() {
    let bench =
        built(&[&[at(1, Create, 10, "n", "a")], &[at(2, Update, 20, "n", "b")], &[at(3, Update, 30, "n", "c")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, 30), is("c", 30, OPEN)]);
    let open = rows(&bench, "n").await.iter().filter(|row| row[8] == Value::Bool(true)).count();
    assert_eq!(open, 1);
}

// --- SQLMesh ---------------------------------------------------------------------------------------

/// https://github.com/SQLMesh/sqlmesh/issues/5332: a null of the closed version is filled from the next one.
#[tokio::test]
async fn a_null_stays_in_the_version_that_it_belongs_to() {
    let row = |name: Value, grade: Value, note: Value| vec![text("n"), Value::Int(1), name, grade, note];
    let bench = built(&[
        &[change("shop", 1, Create, 10 * S, 2, row(Value::Null, Value::Null, Value::Null))],
        &[change("shop", 2, Update, 20 * S, 2, row(text("Ann"), text("a"), text("x")))],
        &[change("shop", 3, Update, 30 * S, 2, row(Value::Null, text("b"), Value::Null))],
    ])
    .await;
    let attributes: Vec<Vec<Value>> = rows(&bench, "n").await.iter().map(|row| row[3..6].to_vec()).collect();
    // grade is type 2; name holds the newest value everywhere, a null; note what it held when its version closed.
    assert_eq!(
        attributes,
        [
            [Value::Null, Value::Null, Value::Null],
            [text("a"), Value::Null, text("x")],
            [text("b"), Value::Null, Value::Null]
        ]
    );
}

/// https://github.com/SQLMesh/sqlmesh/pull/1350: deleted and inserted again between two runs.
#[tokio::test]
async fn a_key_that_leaves_and_returns_within_one_run_keeps_the_hole() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a")],
        &[at(2, Delete, 20, "n", "a"), at(3, Create, 30, "n", "a"), at(4, Update, 40, "n", "b")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("a", 30, 40), is("b", 40, OPEN)]);
}

/// https://github.com/SQLMesh/sqlmesh/pull/3192: what holds before the first load, and who points there.
#[tokio::test]
async fn the_first_version_begins_at_its_commit_and_older_facts_point_to_it_all_the_same() {
    let bench = built(&[&[at(1, Create, 10, "n", "a"), seen(5, 1, "n", 3)], &[at(2, Update, 20, "n", "b")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, OPEN)]);
    assert_eq!(pointers(&bench).await, [rows(&bench, "n").await[0][0].clone()]);
}

// --- dlt -------------------------------------------------------------------------------------------

/// https://github.com/dlt-hub/dlt/pull/4280: `doc-7` + `12` and `doc-71` + `2` are one key when put together.
#[tokio::test]
async fn compound_keys_whose_parts_run_together_to_one_text_are_keys_apart() {
    let key = |order, op, ts: i64, region: &str, number: i64, grade: &str| {
        let row = vec![text(region), Value::Int(number), text("Ann"), text(grade), text("x")];
        change("shop", order, op, ts * S, 2, row)
    };
    let bench = built(&[
        &[key(1, Create, 10, "doc-7", 12, "a"), key(2, Create, 10, "doc-71", 2, "b")],
        &[key(3, Delete, 20, "doc-7", 12, "a")],
    ])
    .await;
    assert_eq!(spans(&bench, "doc-7").await, [is("a", 10, 20)]);
    assert_eq!(spans(&bench, "doc-71").await, [is("b", 10, OPEN)]);
}

/// https://github.com/dlt-hub/dlt/pull/1818: back to the first version's values, whose row hash is known.
#[tokio::test]
async fn a_key_that_goes_back_to_its_first_values_gets_a_third_version_with_a_key_of_its_own() {
    let bench =
        built(&[&[at(1, Create, 10, "n", "a")], &[at(2, Update, 20, "n", "b")], &[at(3, Update, 30, "n", "a")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, 30), is("a", 30, OPEN)]);
    let mut keys: Vec<Value> = rows(&bench, "n").await.iter().map(|row| row[0].clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

/// https://github.com/dlt-hub/dlt/pull/1275: 9999-12-31 as the mark of an active record, and as a value.
#[tokio::test]
async fn a_change_dated_9999_opens_nothing_and_closes_nothing() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a")],
        &[at(2, Update, OPEN / S, "n", "b")],
        &[seen(5, 1, "n", OPEN / S), seen(6, 2, "n", OPEN / S - 1)],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, OPEN)]);
    let key = rows(&bench, "n").await[0][0].clone();
    assert_eq!(pointers(&bench).await, [key.clone(), key]);
}

// --- Spark AUTO CDC --------------------------------------------------------------------------------

/// https://github.com/apache/spark/pull/57149: a stale event that is alone in its batch.
#[tokio::test]
async fn a_stale_change_alone_in_its_run_does_not_revert_the_newest_state() {
    let bench =
        built(&[&[at(1, Create, 10, "n", "a"), at(3, Update, 30, "n", "c")], &[at(2, Update, 20, "n", "b")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, 30), is("c", 30, OPEN)]);
}

/// https://github.com/apache/spark/pull/56456: a delete that arrives before what it deletes.
#[tokio::test]
async fn a_delete_that_arrives_before_everything_closes_what_comes_later_and_happened_earlier() {
    let bench =
        built(&[&[at(3, Delete, 30, "n", "")], &[at(2, Update, 20, "n", "b")], &[at(1, Create, 10, "n", "a")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, 30)]);
    assert_eq!(rows(&bench, "n").await[1][8], Value::Bool(false), "nothing of the key is current");
}

/// The same pull request: a delete of a key that is never seen otherwise, and a second delete.
#[tokio::test]
async fn a_delete_of_nothing_leaves_nothing_and_a_second_delete_moves_no_end() {
    let bench = built(&[
        &[at(1, Delete, 10, "n", ""), at(2, Create, 10, "s", "z")],
        &[at(3, Delete, 20, "s", "z"), at(4, Delete, 30, "s", "z")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, []);
    assert_eq!(spans(&bench, "s").await, [is("z", 10, 20)]);
}

/// https://github.com/apache/spark/pull/56436: a late event between two rows moves the end of the one before.
#[tokio::test]
async fn a_late_delete_between_two_updates_cuts_a_hole_and_the_update_behind_it_opens_again() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a"), at(4, Update, 40, "n", "a"), seen(6, 1, "n", 25), seen(7, 2, "n", 45)],
        &[at(2, Delete, 20, "n", "a")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("a", 40, OPEN)]);
    let keys: Vec<Value> = rows(&bench, "n").await.iter().map(|row| row[0].clone()).collect();
    assert_eq!(pointers(&bench).await, keys, "a fact in the hole keeps the version before it");
}

/// The same pull request and https://github.com/apache/spark/pull/57192: a late event that equals its neighbour
/// joins it. Equal to the one before, nothing changes; equal to the one behind, that one begins earlier.
#[tokio::test]
async fn a_late_change_that_equals_a_neighbour_joins_it() {
    let first = [at(1, Create, 10, "n", "a"), at(4, Update, 40, "n", "b"), seen(6, 1, "n", 35)];
    let bench = built(&[&first, &[at(2, Update, 20, "n", "a")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 40), is("b", 40, OPEN)]);
    assert_eq!(pointers(&bench).await, [rows(&bench, "n").await[0][0].clone()]);

    let bench = built(&[&first, &[at(3, Update, 30, "n", "b")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 30), is("b", 30, OPEN)]);
    assert_eq!(pointers(&bench).await, [rows(&bench, "n").await[1][0].clone()], "the fact follows");
}

/// Two events of a key with one sequence value: AUTO CDC wants none, and cannot say which one it took
/// (https://docs.databricks.com/aws/en/ldp/cdc).
#[tokio::test]
async fn of_two_contents_under_one_position_the_same_one_counts_whichever_came_first() {
    let (one, two) = (at(2, Update, 20, "n", "b"), at(2, Update, 20, "n", "c"));
    let first = at(1, Create, 10, "n", "a");
    for batches in
        [[vec![first.clone(), one.clone()], vec![two.clone()]], [vec![first.clone(), two.clone()], vec![one.clone()]]]
    {
        let bench = built(&[&batches[0], &batches[1]]).await;
        assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, OPEN)]);
    }
}

/// A late event of any age: before all that is known, the first version keeps the first key.
#[tokio::test]
async fn a_change_from_before_all_that_is_known_becomes_the_first_version_and_takes_over_the_first_key() {
    let bench = built(&[
        &[at(5, Update, 1_000_000, "n", "b"), seen(9, 1, "n", 1_000_001), seen(10, 2, "n", 2)],
        &[at(1, Create, 1, "n", "a")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 1, 1_000_000), is("b", 1_000_000, OPEN)]);
    let keys: Vec<Value> = rows(&bench, "n").await.iter().map(|row| row[0].clone()).collect();
    let mut found = pointers(&bench).await;
    found.reverse();
    assert_eq!(found, keys, "the visit of second 2 and the one after the update");
}

// --- values that are not in the log -----------------------------------------------------------------

/// https://github.com/artie-labs/transfer/pull/100 and https://github.com/apache/hudi/pull/19280: the placeholder for
/// an unchanged TOAST value ends in the table, or its column becomes null.
#[tokio::test]
async fn an_unavailable_value_keeps_the_one_before_and_opens_no_version() {
    let mut quiet = at(2, Update, 20, "n", MISSING);
    quiet.row.as_mut().expect("a row")[2] = text("Anne");
    let first = [at(1, Create, 10, "n", "a")];
    let bench = built(&[&first, std::slice::from_ref(&quiet)]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, OPEN)]);
    assert_eq!(rows(&bench, "n").await[0][4], text("Anne"), "what the change does carry counts");
    let bench = built(&[&first, &[quiet], &[at(3, Update, 30, "n", "b")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 30), is("b", 30, OPEN)]);
}

#[tokio::test]
async fn an_unavailable_value_takes_that_of_a_change_that_comes_late_and_lies_before_it() {
    let bench = built(&[
        &[at(3, Update, 30, "n", MISSING)],
        &[at(4, Update, 40, "n", MISSING), at(1, Create, 10, "n", "a")],
        &[at(2, Update, 20, "n", "b")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("b", 20, OPEN)]);
}

#[tokio::test]
async fn an_unavailable_value_is_no_null_and_a_null_is_a_value_that_it_keeps() {
    let bench = built(&[
        &[at(1, Create, 10, "n", "a"), at(2, Update, 20, "n", "")],
        &[at(3, Update, 30, "n", MISSING), at(4, Update, 40, "n", "b")],
    ])
    .await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, 20), is("", 20, 40), is("b", 40, OPEN)]);
}

#[tokio::test]
async fn an_unavailable_value_with_nothing_before_it_is_null_until_something_comes() {
    let first = [at(2, Update, 20, "n", MISSING)];
    let bench = built(&[&first]).await;
    assert_eq!(spans(&bench, "n").await, [is("", 20, OPEN)]);
    let bench = built(&[&first, &[at(1, Create, 10, "n", "a")]]).await;
    assert_eq!(spans(&bench, "n").await, [is("a", 10, OPEN)]);
}

// --- a change of the primary key -------------------------------------------------------------------

/// Debezium sends a delete of the old key and an insert of the new one, at one position of the log and on
/// partitions of their own: https://debezium.io/documentation/reference/stable/connectors/sqlserver.html
#[tokio::test]
async fn a_changed_key_closes_the_old_one_and_opens_the_new_one_at_the_same_time() {
    let (create, gone, new) =
        (at(1, Create, 10, "old", "a"), at(2, Delete, 20, "old", "a"), at(2, Create, 20, "new", "a"));
    let before = seen(5, 1, "old", 15);
    let after = seen(6, 2, "new", 25);
    let late = seen(7, 3, "old", 22);
    for batches in [
        [vec![create.clone(), before.clone()], vec![gone.clone(), new.clone()], vec![after.clone(), late.clone()]],
        [vec![new, after], vec![late, before, gone], vec![create]],
    ] {
        let bench = built(&[&batches[0], &batches[1], &batches[2]]).await;
        assert_eq!(spans(&bench, "old").await, [is("a", 10, 20)]);
        assert_eq!(spans(&bench, "new").await, [is("a", 20, OPEN)], "no moment without the row");
        let (old, new) = (rows(&bench, "old").await[0][0].clone(), rows(&bench, "new").await[0][0].clone());
        // By visit: facts of the old key keep their version, also one that comes after the change.
        assert_eq!(pointers(&bench).await, [old.clone(), new, old]);
    }
}

#[tokio::test]
async fn a_key_that_is_changed_and_changed_back_has_its_versions_and_the_hole_between_them() {
    let bench = built(&[
        &[at(2, Create, 20, "b", "x"), at(3, Delete, 30, "b", "x"), at(3, Create, 30, "a", "x")],
        &[at(1, Create, 10, "a", "x"), at(2, Delete, 20, "a", "x")],
    ])
    .await;
    assert_eq!(spans(&bench, "a").await, [is("x", 10, 20), is("x", 30, OPEN)]);
    assert_eq!(spans(&bench, "b").await, [is("x", 20, 30)]);
}

/// SQL Server logs an update of several keys as all deletes, then all inserts.
#[tokio::test]
async fn keys_that_are_swapped_in_one_transaction_change_hands_without_a_hole() {
    let bench = built(&[
        &[at(1, Create, 10, "a", "x"), at(2, Create, 10, "b", "y")],
        &[at(6, Create, 20, "b", "x"), at(5, Create, 20, "a", "y")],
        &[at(4, Delete, 20, "b", "y"), at(3, Delete, 20, "a", "x")],
    ])
    .await;
    assert_eq!(spans(&bench, "a").await, [is("x", 10, 20), is("y", 20, OPEN)]);
    assert_eq!(spans(&bench, "b").await, [is("y", 10, 20), is("x", 20, OPEN)]);
}
