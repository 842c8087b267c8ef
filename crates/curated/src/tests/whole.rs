//! Whole builds over a lake in a temporary folder: any batching gives the reference star, change sets lead a
//! warehouse there, and a build that dies at any write is gone on from.

use std::sync::Arc;

use object_store::local::LocalFileSystem;
use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_lake::{Lake, Options};
use weir_testkit::fault::Faulty;

use super::fixture::{Bench, any_changes, expected, models, shop, sources, visit};
use super::run;
use crate::build::build_in;
use crate::check::check_in;
use crate::room::Room;

async fn holds(bench: &Bench, changes: &[Change]) -> Result<(), TestCaseError> {
    let wanted = expected(changes);
    prop_assert_eq!(&bench.tables().await, &wanted);
    prop_assert_eq!(&bench.loaded().await, &wanted, "change sets lead to the same rows");
    prop_assert_eq!(check_in(&bench.room).await.expect("a check"), vec![]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_batching_and_order_of_the_same_changes_gives_the_reference_star(
        changes in any_changes(40).prop_shuffle(),
        cuts in proptest::collection::vec(0usize..40, 0..4),
        repeat in 0usize..40,
        buckets in 1u16..4,
    ) {
        run(async {
            let bench = Bench::new(buckets).await;
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(changes.len())).collect();
            cuts.extend([0, changes.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                bench.stage(&changes[pair[0]..pair[1]]).await;
                build_in(&bench.room).await.expect("a build");
            }
            bench.stage(&changes[..repeat.min(changes.len())]).await;
            build_in(&bench.room).await.expect("a build over repeats");
            holds(&bench, &changes).await
        })?;
    }
}

fn before() -> Vec<Change> {
    vec![
        shop(1, Op::Create, 10_000_000, ("n", 1), ("Ann", "a", "x")),
        shop(4, Op::Update, 40_000_000, ("n", 1), ("Ann", "b", "x")),
        visit(5, Op::Create, 50_000_000, 1, (Some("n"), Some(1)), "new", Some(45_000_000)),
        visit(6, Op::Create, 50_000_000, 2, (Some("s"), Some(2)), "new", Some(15_000_000)),
    ]
}

/// A late version, a parent that arrives after its fact, a deleted fact, a new key, a new year.
fn after() -> Vec<Change> {
    vec![
        shop(3, Op::Update, 20_000_000, ("n", 1), ("Ann", "c", "y")),
        shop(4, Op::Delete, 12_000_000, ("n", 1), ("Ann", "b", "x")),
        shop(7, Op::Create, 70_000_000, ("s", 2), ("Bob", "a", "x")),
        visit(8, Op::Update, 80_000_000, 1, (Some("n"), Some(1)), "done", Some(25_000_000)),
        visit(9, Op::Delete, 90_000_000, 2, (Some("s"), Some(2)), "new", None),
        visit(10, Op::Create, 90_000_000, 3, (Some("w"), Some(3)), "new", Some(63_072_000_000_000)),
    ]
}

#[test]
fn a_build_that_dies_at_any_write_is_gone_on_from_as_if_it_had_not() {
    run(async {
        let all: Vec<Change> = before().into_iter().chain(after()).collect();
        for writes in 0.. {
            let bench = Bench::new(2).await;
            bench.stage(&before()).await;
            build_in(&bench.room).await.expect("a build");
            bench.stage(&after()).await;

            let faulty = Arc::new(Faulty::dead_after(Arc::new(LocalFileSystem::new()), writes));
            let lake = Lake::with_store(Options::folder(bench.folder.path()), faulty.clone()).await.expect("a lake");
            let died = build_in(&Room::of(&models(), &sources(), 2, &lake)).await.is_err();
            assert_eq!(died, faulty.struck(), "a write that fails stops the build");

            build_in(&bench.room).await.expect("the next build");
            holds(&bench, &all).await.unwrap_or_else(|e| panic!("after {writes} writes: {e}"));
            if !died {
                assert!(writes > 10, "{writes} writes are too few for nine tables");
                return;
            }
        }
    });
}

#[test]
fn a_first_build_that_dies_at_any_write_is_gone_on_from_too() {
    run(async {
        for writes in 0.. {
            let bench = Bench::new(2).await;
            bench.stage(&before()).await;
            let faulty = Arc::new(Faulty::dead_after(Arc::new(LocalFileSystem::new()), writes));
            let lake = Lake::with_store(Options::folder(bench.folder.path()), faulty.clone()).await.expect("a lake");
            let died = build_in(&Room::of(&models(), &sources(), 2, &lake)).await.is_err();
            build_in(&bench.room).await.expect("the next build");
            holds(&bench, &before()).await.unwrap_or_else(|e| panic!("after {writes} writes: {e}"));
            if !died {
                return;
            }
        }
    });
}

#[test]
fn a_build_that_finds_nothing_new_writes_nothing() {
    run(async {
        let bench = Bench::new(2).await;
        bench.stage(&before()).await;
        let first = build_in(&bench.room).await.expect("a build");
        assert_eq!(first.published, Some(1));
        let second = build_in(&bench.room).await.expect("a build");
        assert_eq!(second.published, None);
        assert!(second.tables.iter().all(|table| table.upserts + table.deletes == 0));
        let versions = |report: &crate::BuildReport| report.tables.iter().map(|t| t.version).collect::<Vec<_>>();
        assert_eq!(versions(&first), versions(&second));
    });
}

#[test]
fn a_build_over_no_staging_table_makes_empty_tables_with_their_unknown_members() {
    run(async {
        let bench = Bench::new(2).await;
        build_in(&bench.room).await.expect("a build");
        holds_unknown(&bench).await;
        build_in(&bench.room).await.expect("a second build");
        holds_unknown(&bench).await;
    });
}

async fn holds_unknown(bench: &Bench) {
    let tables = bench.tables().await;
    assert_eq!(tables, expected(&[]));
    assert_eq!(tables.values().map(Vec::len).sum::<usize>(), 2);
}

#[test]
fn a_changed_model_is_refused_by_name_and_nothing_is_written() {
    run(async {
        let bench = Bench::new(2).await;
        bench.stage(&before()).await;
        build_in(&bench.room).await.expect("a build");
        let mut changed = models();
        changed[0].columns[3].scd = weir_project::Scd::Type2;
        let room = Room::of(&changed, &sources(), 2, &bench.lake);
        let error = build_in(&room).await.expect_err("another model");
        assert!(matches!(error, crate::CuratedError::ModelChanged { .. }), "{error}");
        let other_buckets = Room::of(&models(), &sources(), 3, &bench.lake);
        assert!(build_in(&other_buckets).await.is_err(), "other buckets are another layout");
    });
}

#[test]
fn two_builds_at_once_lose_nothing_and_double_nothing() {
    run(async {
        let all: Vec<Change> = before().into_iter().chain(after()).collect();
        for _ in 0..5 {
            let bench = Bench::new(2).await;
            bench.stage(&before()).await;
            build_in(&bench.room).await.expect("a build");
            bench.stage(&after()).await;
            let (one, two) = tokio::join!(build_in(&bench.room), build_in(&bench.room));
            assert!(one.is_ok() || two.is_ok(), "one of them wins: {one:?} {two:?}");
            build_in(&bench.room).await.expect("the next build");
            holds(&bench, &all).await.expect("the same star");
        }
    });
}

#[test]
fn an_error_of_a_query_shows_no_value_of_a_row() {
    run(async {
        for (sql, kind) in [
            ("SELECT CAST(name AS INT) AS grade, region, \"number\" AS shop_no, name, note FROM staging.shop", "cast"),
            ("SELECT name AS grade, region, name AS shop_no, name, note FROM staging.shop", "declared type"),
        ] {
            let bench = Bench::new(1).await;
            bench.stage(&[shop(1, Op::Create, 10_000_000, ("n", 1), ("Ann secret", "a", "x"))]).await;
            let mut models = models();
            models[0].sql.as_mut().expect("a query").text = sql.to_owned();
            let room = Room::of(&models, &sources(), 1, &bench.lake);
            let error = build_in(&room).await.expect_err(kind);
            let shown = weir_core::diagnosis::Diagnosed::from(error).messages().join(": ");
            assert!(shown.contains("not shown") && !shown.contains("secret"), "{shown}");
        }
    });
}
