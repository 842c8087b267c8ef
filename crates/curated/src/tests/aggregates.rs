//! Aggregates over whole builds: what moves between groups, what a build reads, and what is there when older files
//! are not.

use weir_core::change::{Change, Op};
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_lake::DataFile;

use super::fixture::{Bench, expected, name, shop, text, visit};
use crate::build::build_in;
use crate::check::check_in;

const S: i64 = 1_000_000;

/// What the aggregate holds: grade, name, done ids, visits.
async fn groups(bench: &Bench) -> Vec<(Value, Value, Value, Value)> {
    let rows = bench.tables().await.remove(&name("agg_visit")).expect("a table");
    rows.into_iter().map(|row: Row| (row[0].clone(), row[1].clone(), row[4].clone(), row[6].clone())).collect()
}

fn group(grade: &str, of: &str, ids: Option<i64>, visits: i64) -> (Value, Value, Value, Value) {
    (text(grade), text(of), ids.map_or(Value::Null, Value::Int), Value::Int(visits))
}

async fn build(bench: &Bench, all: &mut Vec<Change>, changes: &[Change]) {
    bench.stage(changes).await;
    all.extend_from_slice(changes);
    build_in(&bench.room).await.expect("a build");
    let wanted = expected(all);
    assert_eq!(bench.tables().await, wanted);
    assert_eq!(bench.loaded().await, wanted, "change sets lead to the same rows");
    assert_eq!(check_in(&bench.room).await.expect("a check"), vec![]);
}

fn two_visits() -> Vec<Change> {
    vec![
        visit(1, Op::Create, 50 * S, 1, (Some("n"), Some(1)), "done", Some(15 * S)),
        visit(2, Op::Create, 50 * S, 2, (Some("n"), Some(1)), "new", Some(35 * S)),
    ]
}

#[tokio::test]
async fn facts_move_to_another_group_when_a_parent_arrives_a_late_version_splits_it_and_its_name_changes() {
    let bench = Bench::new(2).await;
    let mut all = Vec::new();
    build(&bench, &mut all, &two_visits()).await;
    assert_eq!(groups(&bench).await, [group("-", "-", Some(1), 2)]);

    // The parent arrives: the inferred member is filled, its surrogate key stays.
    build(&bench, &mut all, &[shop(3, Op::Create, 10 * S, ("n", 1), ("Ann", "a", "x"))]).await;
    assert_eq!(groups(&bench).await, [group("a", "Ann", Some(1), 2)]);

    // A late version splits the interval: the second visit is pointed anew.
    build(&bench, &mut all, &[shop(4, Op::Update, 30 * S, ("n", 1), ("Ann", "b", "x"))]).await;
    assert_eq!(groups(&bench).await, [group("a", "Ann", Some(1), 1), group("b", "Ann", None, 1)]);

    // A type 1 column: both versions keep their keys and no fact is written.
    build(&bench, &mut all, &[shop(5, Op::Update, 60 * S, ("n", 1), ("Bea", "b", "x"))]).await;
    assert_eq!(groups(&bench).await, [group("a", "Bea", Some(1), 1), group("b", "Bea", None, 1)]);

    // A line is deleted: its group ends.
    build(&bench, &mut all, &[visit(6, Op::Delete, 70 * S, 2, (Some("n"), Some(1)), "new", None)]).await;
    assert_eq!(groups(&bench).await, [group("a", "Bea", Some(1), 1)]);
}

/// Deletes the files of a curated table that its newest version does not name.
async fn vacuum(bench: &Bench, table: &str) -> usize {
    let table = bench.lake.table(Zone::Curated, table).await.expect("the lake").expect("the table");
    let kept: Vec<String> = table.files().map(|file: &DataFile| file.path.clone()).collect();
    let mut deleted = 0;
    let folder = bench.folder.path().join("curated").join(table.name());
    for bucket in std::fs::read_dir(&folder).expect("a folder") {
        let bucket = bucket.expect("an entry").path();
        if !bucket.file_name().is_some_and(|name| name.to_string_lossy().starts_with("_bucket")) {
            continue;
        }
        for file in std::fs::read_dir(&bucket).expect("a folder") {
            let path = file.expect("an entry").path();
            let relative = path.strip_prefix(&folder).expect("inside").to_string_lossy().into_owned();
            if !kept.contains(&relative) {
                std::fs::remove_file(path).expect("deleted");
                deleted += 1;
            }
        }
    }
    deleted
}

#[tokio::test]
async fn where_older_files_are_gone_the_aggregate_is_added_up_anew() {
    let bench = Bench::new(1).await;
    let mut all = Vec::new();
    build(&bench, &mut all, &two_visits()).await;

    // A build that dies before the aggregate, then a vacuum: what was is not there any more.
    let others: Vec<_> =
        super::fixture::models().into_iter().filter(|model| model.name.as_str() != "agg_visit").collect();
    let room = crate::room::Room::of(&others, &super::fixture::sources(), 1, &bench.lake);
    let changes = [visit(3, Op::Update, 60 * S, 1, (Some("n"), Some(1)), "new", Some(15 * S))];
    bench.stage(&changes).await;
    all.extend(changes);
    build_in(&room).await.expect("a build without the aggregate");
    assert!(vacuum(&bench, "fact_visit").await > 0, "the fact's file was written anew");

    // The build without the aggregate was published, so its change sets come a second time: tables only.
    let late = [shop(4, Op::Create, 10 * S, ("n", 1), ("Ann", "a", "x"))];
    bench.stage(&late).await;
    all.extend(late);
    build_in(&bench.room).await.expect("a build");
    assert_eq!(bench.tables().await, expected(&all));
    assert_eq!(groups(&bench).await, [group("a", "Ann", None, 2)]);
}

#[tokio::test]
async fn a_state_that_does_not_add_up_is_made_anew() {
    let bench = Bench::new(1).await;
    let mut all = Vec::new();
    build(&bench, &mut all, &two_visits()).await;

    // Somebody empties the state; the next difference takes back rows that it does not know.
    let mut state = bench.lake.table(Zone::Curated, "agg_visit_state").await.expect("the lake").expect("the state");
    let remove: Vec<DataFile> = state.files().cloned().collect();
    state.commit(weir_lake::Commit { remove, ..Default::default() }).await.expect("a commit");
    build(&bench, &mut all, &[visit(3, Op::Delete, 70 * S, 2, (Some("n"), Some(1)), "new", None)]).await;
    assert_eq!(groups(&bench).await, [group("-", "-", Some(1), 1)]);
}

/// The log of what moved: fact, pointer moved or not, why.
async fn moves(bench: &Bench) -> Vec<(Value, bool, Value)> {
    let Some(log) = bench.lake.table(Zone::Curated, "fact_visit_moved").await.expect("the lake") else {
        return vec![];
    };
    let files: Vec<DataFile> = log.files().cloned().collect();
    let columns = ["visit_id", "pointer", "old_member", "new_member", "why", "version", "moved_at"];
    let rows = super::fixture::rows(&log.read_all(&files, Some(&columns)).await.expect("rows"));
    assert!(rows.iter().all(|row| row[1] == text("shop_key") && !row[5].is_null() && !row[6].is_null()));
    rows.into_iter().map(|row| (row[0].clone(), row[2] != row[3], row[4].clone())).collect()
}

#[tokio::test]
async fn every_pointer_that_moved_is_in_the_log_once_with_its_reason_also_when_the_build_dies() {
    use std::sync::Arc;

    use object_store::local::LocalFileSystem;
    use weir_lake::{Lake, Options};
    use weir_testkit::fault::Faulty;

    for writes in 0.. {
        let bench = Bench::new(1).await;
        bench.stage(&two_visits()).await;
        bench.stage(&[shop(3, Op::Create, 10 * S, ("n", 1), ("Ann", "a", "x"))]).await;
        build_in(&bench.room).await.expect("a build");
        assert_eq!(moves(&bench).await, []);
        bench.stage(&[shop(4, Op::Update, 30 * S, ("n", 1), ("Ann", "b", "x"))]).await;
        bench.stage(&[visit(5, Op::Update, 60 * S, 1, (Some("s"), Some(2)), "done", Some(15 * S))]).await;

        let faulty = Arc::new(Faulty::dead_after(Arc::new(LocalFileSystem::new()), writes));
        let lake = Lake::with_store(Options::folder(bench.folder.path()), faulty.clone()).await.expect("a lake");
        let room = crate::room::Room::of(&super::fixture::models(), &super::fixture::sources(), 1, &lake);
        let died = build_in(&room).await.is_err();
        build_in(&bench.room).await.expect("the next build");
        let wanted = [
            (Value::Int(1), true, text("the row names another key")),
            (Value::Int(2), true, text("the dimension's versions changed")),
        ];
        assert_eq!(moves(&bench).await, wanted, "after {writes} writes");
        if !died {
            return;
        }
    }
}
