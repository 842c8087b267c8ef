//! Restating models with other columns: what it gives is what the new models would have given from the beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_core::column::ColumnType;
use weir_core::name::ModelName;
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_lake::{Lake, Options};
use weir_project::{Deletes, Measure, MeasureColumn, Milestone, Model, ModelColumn, ModelKind, Scd};
use weir_testkit::fault::Faulty;

use super::fixture::{Bench, any_changes, contribution, expected, expected_of, models, name, project, shop, sources};
use super::restated::{changes, of};
use super::run;
use crate::build::build_in;
use crate::check::check_in;
use crate::error::CuratedError;
use crate::restate::{Restate, plan_in, rebuilt_in, restate_in};
use crate::room::Room;
use crate::table_diff::TableDiff;
use crate::time_travel::query_at;

const TEXT: ColumnType = ColumnType::Text { length: None };

fn column(of: &str, kind: ColumnType, scd: Scd) -> ModelColumn {
    ModelColumn { name: name(of), kind, scd }
}

fn rewrite(model: &mut Model, from: &str, to: &str) {
    let sql = model.sql.as_mut().expect("a query");
    assert!(sql.text.contains(from), "{}", sql.text);
    sql.text = sql.text.replace(from, to);
}

/// The dimension gets `label`, which opens versions, in front of its key, and loses `note`. One fact gets a milestone
/// and another type of a column, the other loses one. The aggregate has one group column less and one count more.
fn other_columns() -> Vec<Model> {
    let mut models = models();
    models[0].columns.remove(4);
    models[0].columns.insert(1, column("label", TEXT, Scd::Type2));
    rewrite(&mut models[0], "grade, region", "grade, name AS label, region");
    rewrite(&mut models[0], ", note FROM", " FROM");
    models[1].columns[2].kind = ColumnType::Int;
    if let ModelKind::Fact { milestones, .. } = &mut models[1].kind {
        milestones.push(Milestone { column: name("begun_at"), when_column: name("state"), equals: "new".to_owned() });
    }
    models[2].columns.push(column("state", TEXT, Scd::None));
    rewrite(&mut models[2], "shop_no FROM", "shop_no, state FROM");
    models[4].key.remove(1);
    models[4].columns.remove(1);
    rewrite(&mut models[4], "COALESCE(s.name, '-') AS name, ", "");
    rewrite(&mut models[4], ", 2, 3", ", 2");
    models[4].columns.push(column("dated", ColumnType::BigInt, Scd::None));
    rewrite(&mut models[4], "COUNT(*) AS visits", "COUNT(*) AS visits, COUNT(v.visited_at) AS dated");
    if let ModelKind::Aggregate { measures, .. } = &mut models[4].kind {
        measures.push(MeasureColumn { column: name("dated"), measure: Measure::Count });
    }
    models
}

fn project_other(model: &Model, change: &Change) -> Option<Row> {
    let mut row = project(model, change)?;
    match model.name.as_str() {
        "dim_shop" => {
            row.remove(4);
            row.insert(1, row[3].clone());
        }
        "fact_arrival" => row.push(change.row.as_ref().expect("a row")[3].clone()),
        _ => {}
    }
    Some(row)
}

fn expected_other(changes: &[Change]) -> BTreeMap<ModelName, Vec<Row>> {
    let models = other_columns();
    let (aggregate, rest) = models.split_last().expect("models");
    let mut star = expected_of(rest, &project_other, changes);
    let other = |of: &dyn Fn(&str, &str) -> Value| {
        let mut row = contribution(of);
        row.remove(1);
        row.push(of("fact_visit", "visited_at"));
        row
    };
    let rows = weir_testkit::star::aggregate(aggregate, &models, &star, &other);
    star.insert(aggregate.name.clone(), rows);
    star
}

fn of_table<'a>(diffs: &'a [TableDiff], table: &str) -> &'a TableDiff {
    diffs.iter().find(|diff| diff.table.as_str() == table).expect("the table")
}

async fn built() -> Bench {
    let bench = Bench::new(2).await;
    bench.stage(&changes()).await;
    build_in(&bench.room).await.expect("a build");
    bench
}

#[test]
fn other_columns_are_refused_by_a_build_shown_by_a_plan_and_swapped_by_a_restatement() {
    run(async {
        let bench = built().await;
        let room = Room::of(&other_columns(), &sources(), 2, &bench.lake);
        let error = build_in(&room).await.expect_err("a build over changed columns");
        assert!(matches!(&error, CuratedError::ColumnsChanged { table, .. } if table == "dim_shop_history"), "{error}");

        let mut of_aggregate = models();
        of_aggregate[4] = other_columns().swap_remove(4);
        let error = check_in(&Room::of(&of_aggregate, &sources(), 2, &bench.lake)).await.expect_err("other groups");
        assert!(matches!(&error, CuratedError::ModelChanged { table, .. } if table == "agg_visit_state"), "{error}");

        let diffs = plan_in(&room, &of(&[])).await.expect("a plan");
        assert_eq!(bench.tables().await, expected(&changes()), "a plan writes nothing");
        let schema = |table: &str| of_table(&diffs, table).schema.to_string();
        assert_eq!(schema("dim_shop"), "+label text, -note text");
        assert_eq!(schema("fact_visit"), "+begun_at timestamp, shop_no bigint -> int");
        assert_eq!(schema("fact_arrival"), "+state text");
        assert_eq!(schema("agg_visit"), "+dated bigint, -name text");
        assert_eq!(schema("dim_date"), "");
        // Two versions, from 10 and 30, become three; the one from 20 is new. Both others get a label, and lose a note.
        let dimension = of_table(&diffs, "dim_shop");
        assert_eq!((dimension.added, dimension.removed, dimension.changed, dimension.unchanged), (1, 0, 2, 2));
        assert_eq!((dimension.columns.get("label"), dimension.columns.get("note")), (Some(&2), Some(&2)));
        assert_eq!(dimension.columns.get("effective_to"), Some(&1), "the first one ends earlier");
        let sample = dimension.samples.iter().find(|sample| sample.change == "changed").expect("a sample");
        let of_column = |column: &str| sample.columns.iter().find(|(name, ..)| name == column).expect("the column");
        assert_eq!(of_column("label").1, "\\N", "a column that comes was nothing before: {sample:?}");
        assert_eq!(of_column("note").1, "(personal)", "a column that the model has no more: {sample:?}");
        // Of three visits one was begun, and points to the new version.
        let facts = of_table(&diffs, "fact_visit");
        assert_eq!((facts.added, facts.removed, facts.changed, facts.repointed), (0, 0, 1, 1), "{facts:?}");
        assert_eq!(facts.columns.get("shop_no"), None, "the same number in another type is no other value");
        let groups = of_table(&diffs, "agg_visit");
        assert_eq!(groups.removed, expected(&changes())[&name("agg_visit")].len() as u64, "other groups, other rows");

        restate_in(&room, &of(&[])).await.expect("a restatement");
        let wanted = expected_other(&changes());
        assert_eq!(bench.tables().await, wanted);
        assert_eq!(bench.loaded().await, wanted, "change sets lead there");
        assert_eq!(check_in(&room).await.expect("a check"), vec![]);
        let again = plan_in(&room, &of(&["dim_shop"])).await.expect("a plan");
        assert!(again.iter().all(|diff| diff.added + diff.removed + diff.changed == 0), "{again:?}");
        assert!(again.iter().all(|diff| diff.schema.is_empty()), "{again:?}");

        // Each published build has its own columns.
        let shops = |column: &str| format!("SELECT {column} FROM curated.dim_shop");
        for (build, there, not) in [(1, "note", "label"), (2, "label", "note")] {
            query_at(&bench.lake, build, &shops(there)).await.expect("its own column");
            query_at(&bench.lake, build, &shops(not)).await.expect_err("not its column");
        }
    });
}

#[test]
fn facts_and_aggregates_follow_a_dimension_that_was_made_anew() {
    run(async {
        let bench = built().await;
        let mut labelled = models();
        labelled[0] = other_columns().swap_remove(0);
        let room = Room::of(&labelled, &sources(), 2, &bench.lake);
        let diffs = plan_in(&room, &of(&["dim_shop"])).await.expect("a plan");
        let facts = of_table(&diffs, "fact_visit");
        assert_eq!((facts.changed, facts.repointed, facts.schema.is_empty()), (1, 1, true), "{facts:?}");
        restate_in(&room, &of(&["dim_shop"])).await.expect("a restatement");
        let project: &dyn Fn(&Model, &Change) -> Option<Row> = &|model, change| match model.name.as_str() {
            "dim_shop" => project_other(model, change),
            _ => project(model, change),
        };
        let mut wanted = expected_of(&labelled, project, &changes());
        assert_eq!(bench.tables().await, wanted);
        assert_eq!(bench.loaded().await, wanted);

        // The inferred member gets its versions, and what was inferred once is not forgotten.
        let late = vec![shop(7, Op::Create, 50_000_000, ("s", 9), ("Cy", "c", "z"))];
        bench.stage(&late).await;
        build_in(&room).await.expect("a build");
        wanted = expected_of(&labelled, project, &[changes(), late].concat());
        assert_eq!(bench.tables().await, wanted);
        assert_eq!(bench.loaded().await, wanted);
        assert_eq!(check_in(&room).await.expect("a check"), vec![]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn tables_with_other_columns_are_what_the_new_models_give_from_the_beginning(
        changes in any_changes(30).prop_shuffle(),
        later in any_changes(8),
        buckets in (1u16..4, 1u16..5),
    ) {
        run(async {
            let bench = Bench::new(buckets.0).await;
            bench.stage(&changes).await;
            build_in(&bench.room).await.expect("a build");
            let room = Room::of(&other_columns(), &sources(), buckets.1, &bench.lake);
            restate_in(&room, &of(&[])).await.expect("a restatement");
            prop_assert_eq!(&bench.tables().await, &expected_other(&changes));

            bench.stage(&later).await;
            build_in(&room).await.expect("a build");
            let all: Vec<Change> = changes.iter().chain(&later).cloned().collect();
            let wanted = expected_other(&all);
            prop_assert_eq!(&bench.tables().await, &wanted);
            prop_assert_eq!(&bench.loaded().await, &wanted);
            prop_assert_eq!(check_in(&room).await.expect("a check"), vec![]);
            let rebuilt = Bench::of(rebuilt_in(&room, false).await.expect("a rebuilt lake"));
            prop_assert_eq!(&rebuilt.tables().await, &wanted);

            // And back.
            let room = Room::of(&models(), &sources(), buckets.0, &bench.lake);
            restate_in(&room, &of(&[])).await.expect("a restatement");
            prop_assert_eq!(&bench.tables().await, &expected(&all));
            prop_assert_eq!(&bench.loaded().await, &expected(&all));
            Ok(())
        })?;
    }
}

#[test]
fn a_restatement_with_other_columns_that_dies_at_any_write_is_gone_on_from() {
    run(async {
        let wanted = expected_other(&changes());
        let (mut gone_on, mut again) = (0, 0);
        for writes in 0.. {
            let bench = built().await;
            let faulty = Arc::new(Faulty::dead_after(Arc::new(LocalFileSystem::new()), writes));
            let lake = Lake::with_store(Options::folder(bench.folder.path()), faulty.clone()).await.expect("a lake");
            let died = restate_in(&Room::of(&other_columns(), &sources(), 3, &lake), &of(&[])).await.is_err();
            assert_eq!(died, faulty.struck());

            let room = Room::of(&other_columns(), &sources(), 3, &bench.lake);
            match build_in(&room).await {
                Ok(_) => gone_on += 1,
                // Not every history, or not the aggregate's state, is swapped yet: nothing was published.
                Err(CuratedError::ModelChanged { .. } | CuratedError::ColumnsChanged { .. }) => {
                    again += 1;
                    restate_in(&room, &of(&[])).await.expect("the restatement again");
                }
                Err(error) => panic!("after {writes} writes: {error}"),
            }
            assert_eq!(bench.tables().await, wanted, "after {writes} writes");
            assert_eq!(bench.loaded().await, wanted, "after {writes} writes");
            assert_eq!(check_in(&room).await.expect("a check"), vec![], "after {writes} writes");
            if !died {
                assert!(gone_on > 1 && again > 3, "{gone_on} went on, {again} were restated again");
                return;
            }
        }
    });
}

#[test]
fn a_group_in_another_type_is_another_group() {
    run(async {
        let bench = built().await;
        let mut wider = models();
        wider[4].columns[2].kind = ColumnType::BigInt;
        let room = Room::of(&wider, &sources(), 2, &bench.lake);
        let diffs = plan_in(&room, &of(&[])).await.expect("a plan");
        let (groups, all) = (of_table(&diffs, "agg_visit"), expected(&changes())[&name("agg_visit")].len() as u64);
        assert_eq!(groups.schema.to_string(), "year int -> bigint");
        assert_eq!((groups.added, groups.removed, groups.changed, groups.unchanged), (all, all, 0, 0));
        restate_in(&room, &of(&["agg_visit"])).await.expect("a restatement");
        assert_eq!(bench.tables().await, expected(&changes()));
        assert_eq!(bench.loaded().await, expected(&changes()));
    });
}

/// Its tables were swapped and never published; then the columns become others once more.
#[test]
fn of_two_restatements_without_a_publication_between_the_older_change_sets_are_not_published() {
    run(async {
        let bench = built().await;
        let room = Room::of(&other_columns(), &sources(), 2, &bench.lake);
        restate_in(&room, &of(&[])).await.expect("a restatement");
        let publication = bench.folder.path().join(weir_core::publication::Publication::path(2));
        std::fs::remove_file(publication).expect("its publication");
        let room = Room::of(&models(), &sources(), 2, &bench.lake);
        restate_in(&room, &of(&[])).await.expect("a restatement");
        assert_eq!(bench.tables().await, expected(&changes()));
        assert_eq!(bench.loaded().await, expected(&changes()));
    });
}

#[test]
fn a_marked_delete_is_a_column_more() {
    run(async {
        let bench = built().await;
        let mut marking = models();
        if let ModelKind::Dimension { deletes, .. } = &mut marking[0].kind {
            *deletes = Deletes::Mark;
        }
        let room = Room::of(&marking, &sources(), 2, &bench.lake);
        let error = build_in(&room).await.expect_err("another model");
        assert!(matches!(error, CuratedError::ModelChanged { .. }), "{error}");
        restate_in(&room, &of(&["dim_shop"])).await.expect("a restatement");
        let wanted = expected_of(&marking, &project, &changes());
        assert_eq!(bench.tables().await, wanted);
        assert_eq!(bench.loaded().await, wanted);
    });
}

#[test]
fn another_length_changes_no_row_and_makes_the_loaded_table_anew() {
    run(async {
        let bench = built().await;
        let mut longer = models();
        longer[0].columns[3].kind = ColumnType::Text { length: Some(200) };
        let room = Room::of(&longer, &sources(), 2, &bench.lake);
        let diffs = plan_in(&room, &of(&["dim_shop"])).await.expect("a plan");
        let dimension = of_table(&diffs, "dim_shop");
        assert_eq!(dimension.schema.to_string(), "declared otherwise");
        assert_eq!((dimension.added, dimension.removed, dimension.changed, dimension.unchanged), (0, 0, 0, 4));
        let build = restate_in(&room, &of(&["dim_shop"])).await.expect("a restatement").published.expect("a build");
        let published = crate::publication(&bench.lake, build).await.expect("a lake").expect("it");
        let sets = &published.tables.iter().find(|table| table.table.as_str() == "dim_shop").expect("it").change_sets;
        assert!(sets.len() == 1 && sets[0].anew && sets[0].upserts == 4, "{sets:?}");
        assert_eq!(bench.loaded().await, expected(&changes()));
        let again = plan_in(&room, &of(&["dim_shop"])).await.expect("a plan");
        assert!(again.iter().all(|diff| diff.schema.is_empty()), "{again:?}");
    });
}

#[test]
fn another_key_and_kept_rows_with_other_columns_are_refused_before_the_first_write() {
    run(async {
        let bench = built().await;
        let versions = |bench: &Bench| {
            let lake = bench.lake.clone();
            async move {
                let mut versions = Vec::new();
                for table in lake.tables(Zone::Curated).await.expect("a lake") {
                    versions.push(lake.table(Zone::Curated, &table).await.expect("a lake").expect("it").version());
                }
                versions
            }
        };
        let before = versions(&bench).await;
        let refused = |models: Vec<Model>, restate: Restate| {
            let room = Room::of(&models, &sources(), 2, &bench.lake);
            async move { restate_in(&room, &restate).await.expect_err("refused") }
        };
        // A part of the key, another type of it, another name of the surrogate key.
        let mut shorter = models();
        shorter[0].key.pop();
        let mut retyped = models();
        retyped[0].columns[2].kind = ColumnType::BigInt;
        let mut renamed = models();
        if let ModelKind::Dimension { surrogate_key, .. } = &mut renamed[0].kind {
            *surrogate_key = name("shop_id");
        }
        for other in [shorter, retyped, renamed] {
            let error = refused(other, of(&["dim_shop"])).await;
            assert!(matches!(error, CuratedError::KeyChanged { .. }), "{error}");
        }
        let error = refused(other_columns(), Restate { from: Some(0), ..of(&[]) }).await;
        assert!(matches!(error, CuratedError::KeptColumns { .. }), "{error}");
        // One that is not restated with the others.
        let error = refused(other_columns(), of(&["dim_shop"])).await;
        assert!(matches!(error, CuratedError::ColumnsChanged { .. }), "{error}");
        assert_eq!(versions(&bench).await, before);
    });
}
