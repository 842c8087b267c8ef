//! Restating: what it gives is what the new models would have given from the beginning, wherever it is killed.

use std::sync::Arc;

use object_store::local::LocalFileSystem;
use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_lake::{Lake, Options};
use weir_project::{Deletes, Model, ModelKind, Scd};
use weir_testkit::fault::Faulty;

use super::fixture::{Bench, any_changes, expected_of, models, name, project, rows, shop, sources, text, visit};
use super::run;
use crate::build::build_in;
use crate::check::check_in;
use crate::error::CuratedError;
use crate::restate::{Restate, plan_in, rebuilt_in, restate_in};
use crate::room::Room;

/// `name` opens versions, `grade` does not any more.
fn other_kinds() -> Vec<Model> {
    let mut models = models();
    models[0].columns[3].scd = Scd::Type2;
    models[0].columns[0].scd = Scd::Type1;
    models
}

/// The conditions of the two facts are exchanged, and a delete ends no version.
fn other_rows() -> Vec<Model> {
    let mut models = models();
    if let ModelKind::Dimension { deletes, .. } = &mut models[0].kind {
        *deletes = Deletes::Ignore;
    }
    let text = |model: &mut Model| model.sql.as_mut().expect("a query").text.clone();
    let without = text(&mut models[2]).replace(" WHERE state <> 'hidden'", "");
    let with = text(&mut models[1]) + " WHERE state <> 'hidden'";
    models[1].sql.as_mut().expect("a query").text = with;
    models[2].sql.as_mut().expect("a query").text = without;
    models
}

fn project_other_rows(model: &Model, change: &Change) -> Option<Row> {
    let state = &change.row.as_ref().expect("a row")[3];
    let shown = change.op == Op::Delete || (!state.is_null() && *state != text("hidden"));
    if model.name.as_str() == "fact_visit" && !shown {
        return None;
    }
    let mut change = change.clone();
    if model.name.as_str() == "fact_arrival" {
        // The fixture's own condition always holds.
        change.row.as_mut().expect("a row")[3] = text("new");
    }
    project(model, &change)
}

pub(super) fn changes() -> Vec<Change> {
    vec![
        shop(1, Op::Create, 10_000_000, ("n", 1), ("Ann", "a", "x")),
        shop(2, Op::Update, 20_000_000, ("n", 1), ("Bea", "a", "x")),
        shop(3, Op::Update, 30_000_000, ("n", 1), ("Bea", "b", "y")),
        visit(4, Op::Create, 40_000_000, 1, (Some("n"), Some(1)), "new", Some(25_000_000)),
        visit(5, Op::Create, 40_000_000, 2, (Some("n"), Some(1)), "done", Some(12_000_000)),
        visit(6, Op::Create, 40_000_000, 3, (Some("s"), Some(9)), "hidden", Some(63_072_000_000_000)),
    ]
}

pub(super) fn of(models: &[&str]) -> Restate {
    Restate { models: models.iter().map(|model| name(model)).collect(), from: None }
}

#[test]
fn a_column_made_type_2_is_shown_first_without_a_write_and_then_swapped() {
    run(async {
        let bench = Bench::new(2).await;
        bench.stage(&changes()).await;
        build_in(&bench.room).await.expect("a build");
        let before = bench.tables().await;
        let files = files(&bench);
        let room = Room::of(&other_kinds(), &sources(), 2, &bench.lake);

        let diffs = plan_in(&room, &of(&["dim_shop"])).await.expect("a plan");
        assert_eq!((bench.tables().await, self::files(&bench)), (before, files), "a plan writes nothing");
        let dimension = &diffs[0];
        // Two versions, by grade, from 10 and 30; then two, by name, from 10 and 20.
        assert_eq!((dimension.added, dimension.removed, dimension.changed), (1, 1, 1), "{dimension:?}");
        assert_eq!(dimension.unchanged, 2, "the unknown member and the inferred one");
        assert_eq!(dimension.columns.get("effective_to"), Some(&1), "{dimension:?}");
        let sample = dimension.samples.iter().find(|sample| sample.change == "changed").expect("a sample");
        assert!(sample.key.starts_with("n/1 from 1970-01-01T00:00:10"), "{sample:?}");
        let named = sample.columns.iter().find(|(column, ..)| column == "name").expect("its name changes");
        assert_eq!((named.1.as_str(), named.2.as_str()), ("(personal)", "(personal)"), "`name` is personal");
        let facts = &diffs[1];
        assert_eq!((facts.changed, facts.repointed, facts.added, facts.removed), (1, 1, 0, 0), "{facts:?}");

        restate_in(&room, &of(&["dim_shop"])).await.expect("a restatement");
        let wanted = expected_of(&other_kinds(), &project, &changes());
        assert_eq!(bench.tables().await, wanted);
        assert_eq!(bench.loaded().await, wanted, "change sets lead there");
        assert_eq!(check_in(&room).await.expect("a check"), vec![]);
        let again = plan_in(&room, &of(&["dim_shop"])).await.expect("a plan");
        assert!(again.iter().all(|diff| diff.added + diff.removed + diff.changed == 0), "{again:?}");
    });
}

/// Every file of the lake's tables.
fn files(bench: &Bench) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![bench.folder.path().join("curated")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn restated_tables_are_what_the_new_models_give_from_the_beginning(
        changes in any_changes(30).prop_shuffle(),
        later in any_changes(8),
        rows in any::<bool>(),
        buckets in (1u16..4, 1u16..5),
    ) {
        run(async {
            let bench = Bench::new(buckets.0).await;
            bench.stage(&changes).await;
            build_in(&bench.room).await.expect("a build");
            let models = if rows { other_rows() } else { other_kinds() };
            let project: &dyn Fn(&Model, &Change) -> Option<Row> = if rows { &project_other_rows } else { &project };
            let room = Room::of(&models, &sources(), buckets.1, &bench.lake);
            restate_in(&room, &of(&[])).await.expect("a restatement");
            prop_assert_eq!(&bench.tables().await, &expected_of(&models, project, &changes));

            // And goes on as if it had been so from the beginning.
            bench.stage(&later).await;
            build_in(&room).await.expect("a build");
            let all: Vec<Change> = changes.iter().chain(&later).cloned().collect();
            let wanted = expected_of(&models, project, &all);
            prop_assert_eq!(&bench.tables().await, &wanted);
            prop_assert_eq!(&bench.loaded().await, &wanted);
            prop_assert_eq!(check_in(&room).await.expect("a check"), vec![]);
            let rebuilt = Bench::of(rebuilt_in(&room, false).await.expect("a rebuilt lake"));
            prop_assert_eq!(&rebuilt.tables().await, &wanted);
            Ok(())
        })?;
    }
}

#[test]
fn a_restatement_that_dies_at_any_write_is_gone_on_from() {
    run(async {
        let wanted = expected_of(&other_kinds(), &project, &changes());
        for writes in 0.. {
            let bench = Bench::new(2).await;
            bench.stage(&changes()).await;
            build_in(&bench.room).await.expect("a build");
            let faulty = Arc::new(Faulty::dead_after(Arc::new(LocalFileSystem::new()), writes));
            let lake = Lake::with_store(Options::folder(bench.folder.path()), faulty.clone()).await.expect("a lake");
            let died = restate_in(&Room::of(&other_kinds(), &sources(), 3, &lake), &of(&[])).await.is_err();
            assert_eq!(died, faulty.struck());

            let room = Room::of(&other_kinds(), &sources(), 3, &bench.lake);
            match build_in(&room).await {
                Ok(_) => {}
                // Not every history is swapped yet: nothing was built of the new models.
                Err(CuratedError::ModelChanged { .. }) => {
                    restate_in(&room, &of(&[])).await.expect("the restatement again");
                }
                Err(error) => panic!("after {writes} writes: {error}"),
            }
            assert_eq!(bench.tables().await, wanted, "after {writes} writes");
            assert_eq!(bench.loaded().await, wanted, "after {writes} writes");
            assert_eq!(check_in(&room).await.expect("a check"), vec![], "after {writes} writes");
            if !died {
                assert!(writes > 10, "{writes} writes are too few");
                return;
            }
        }
    });
}

#[test]
fn from_a_time_on_changes_are_read_anew_and_earlier_ones_stay() {
    run(async {
        let bench = Bench::new(2).await;
        bench.stage(&changes()).await;
        build_in(&bench.room).await.expect("a build");
        let mut louder = models();
        let query = &mut louder[0].sql.as_mut().expect("a query").text;
        *query = query.replace("SELECT grade", "SELECT upper(grade) AS grade");
        let room = Room::of(&louder, &sources(), 2, &bench.lake);
        restate_in(&room, &Restate { from: Some(30_000_000), ..of(&["dim_shop"]) }).await.expect("a restatement");

        let tables = bench.tables().await;
        let grades: Vec<Value> =
            tables[&name("dim_shop")].iter().filter(|row| row[1] == text("n")).map(|row| row[3].clone()).collect();
        let mut sorted = grades.clone();
        sorted.sort();
        assert_eq!(sorted, vec![text("B"), text("a")], "the change at 30 is in capitals, those before are not");
        assert_eq!(check_in(&room).await.expect("a check"), vec![]);
        assert_eq!(
            Bench::of(rebuilt_in(&room, false).await.expect("rebuilt")).tables().await,
            tables,
            "kept rows are kept"
        );
    });
}

#[test]
fn what_cannot_be_restated_is_refused_before_the_first_write() {
    run(async {
        let bench = Bench::new(2).await;
        bench.stage(&changes()).await;
        build_in(&bench.room).await.expect("a build");
        let before = files(&bench);
        let refused = |models: Vec<Model>, buckets, restate: Restate| {
            let room = Room::of(&models, &sources(), buckets, &bench.lake);
            async move { restate_in(&room, &restate).await.expect_err("refused") }
        };
        let mut other_key = models();
        other_key[1].key.push(name("region"));
        let error = refused(other_key, 2, of(&["fact_visit"])).await;
        assert!(matches!(error, CuratedError::KeyChanged { .. }), "{error}");

        // Buckets are of all tables, so one alone cannot have others.
        let error = refused(models(), 3, of(&["dim_shop"])).await;
        assert!(matches!(error, CuratedError::ModelChanged { .. }), "{error}");

        let error = refused(models(), 2, of(&["dim_date"])).await;
        assert!(matches!(error, CuratedError::NoHistory { .. }), "{error}");
        assert_eq!(files(&bench), before);
    });
}

/// Between the tables' commits and the publication somebody doubles a row of a key that changed.
#[test]
fn a_build_whose_tables_break_an_invariant_as_committed_is_not_published_and_names_the_keys() {
    run(async {
        let bench = unpublished().await;
        let mut table = bench.lake.table(Zone::Curated, "dim_shop").await.expect("a lake").expect("the table");
        let file = table.files().max_by_key(|file| file.rows).expect("a file").clone();
        let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let batches = table.read_all(std::slice::from_ref(&file), Some(&names)).await.expect("rows");
        assert!(rows(&batches).iter().any(|row| row[1] == text("n")));
        let copy = weir_lake::NewFile { partition: file.partition, batches, tags: Default::default() };
        let add = vec![table.write_file(copy).await.expect("a file")];
        table.commit(weir_lake::Commit { add, ..Default::default() }).await.expect("a commit by hand");

        let error = build_in(&bench.room).await.expect_err("a doubled row");
        assert!(matches!(&error, CuratedError::Violation { keys, .. } if keys.contains(&"n/1".to_owned())), "{error}");
        let published = crate::latest(&bench.lake).await.expect("a lake").expect("the first publication");
        assert_eq!(published.build, 1, "nothing was published");
    });
}

/// Two builds, of which the second committed every table and died before it published.
async fn unpublished() -> Bench {
    for writes in 0.. {
        let bench = Bench::new(1).await;
        bench.stage(&changes()[..1]).await;
        build_in(&bench.room).await.expect("a build");
        bench.stage(&changes()[1..]).await;
        let faulty = Arc::new(Faulty::dead_after(Arc::new(LocalFileSystem::new()), writes));
        let lake = Lake::with_store(Options::folder(bench.folder.path()), faulty).await.expect("a lake");
        build_in(&Room::of(&models(), &sources(), 1, &lake)).await.expect_err("it published");
        let facts = bench.lake.table(Zone::Curated, "fact_arrival").await.expect("a lake").expect("the table");
        if facts.rows() > 0 {
            return bench;
        }
    }
    unreachable!("the last table is committed some time")
}
