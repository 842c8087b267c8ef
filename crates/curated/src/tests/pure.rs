//! The pure core, in columns and without a lake, equals the reference star: thousands of small histories.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_core::value::{Row, Value};
use weir_project::{Deletes, Model, ModelKind};

use super::fixture::{
    any_changes, batch, dim_shop, expected, fact_arrival, fact_visit, is_unknown, marks, project, rows,
};
use crate::facts::{Lookup, Timelines, mentioned, timelines};
use crate::layout::{arrow_type, history_schema};
use crate::scd::Timeline;

/// A model's history of these changes.
fn history(model: &Model, changes: &[Change]) -> RecordBatch {
    let rows: Vec<Row> = changes
        .iter()
        .filter(|change| Some(&change.table) == model.source.as_ref())
        .map(|change| {
            let delete = Change { op: Op::Delete, ..change.clone() };
            let kept = project(model, change);
            let marked = if kept.is_some() { change } else { &delete };
            let row = kept.or_else(|| project(model, &delete)).expect("a delete is never left out");
            row.into_iter().chain(marks(marked)).chain([Value::Null]).collect()
        })
        .collect();
    batch(&history_schema(model), &rows)
}

struct All(Timelines);

impl Lookup for All {
    fn timeline(&self, _: usize, key: &[u8], _: u64) -> Option<&Timeline> {
        self.0.get(key)
    }
}

/// Every table of the star by the pure functions alone.
fn star(dimension: &Model, changes: &[Change]) -> BTreeMap<String, Vec<Row>> {
    let types: Vec<_> = dimension.key_indexes().into_iter().map(|i| arrow_type(dimension.columns[i].kind)).collect();
    let facts = [fact_visit(), fact_arrival()];
    let mut parts: Vec<Vec<ArrayRef>> = Vec::new();
    for fact in &facts {
        let ModelKind::Fact { dimensions, .. } = &fact.kind else { panic!("a fact") };
        parts.push(mentioned(fact, &dimensions[0], &history(fact, changes), &types).expect("keys"));
    }
    let mentions = crate::mention::together(&parts).expect("keys");
    let found = crate::dimension::wanted(dimension, &history(dimension, changes), &mentions).expect("rows");
    assert_eq!(found.broken, [], "no invariant is broken");
    let dim = found.rows;
    let from =
        dim.column_by_name("effective_from").expect("a column").as_primitive::<TimestampMicrosecondType>().clone();
    let keys = crate::room::named(&dim, dimension).expect("keys");
    let lines = All(timelines(dim.column(0).as_primitive::<Int64Type>(), &keys, &from).expect("timelines"));

    let mut out = BTreeMap::from([(dimension.name.to_string(), rows(&[dim]))]);
    for fact in &facts {
        let spec = crate::facts::spec(fact).expect("a spec").expect("a fact");
        let rows_of = history(fact, changes);
        let found = crate::facts::wanted(fact, &spec, &rows_of, std::slice::from_ref(&types), &lines).expect("rows");
        assert_eq!(found.unresolved, [], "every fact key resolves");
        out.insert(fact.name.to_string(), rows(&[found.rows]));
    }
    out
}

fn reference(dimension: &Model, changes: &[Change]) -> BTreeMap<String, Vec<Row>> {
    let mut by_table = BTreeMap::new();
    for change in changes {
        by_table.entry(change.table.clone()).or_insert_with(Vec::new).push(change.clone());
    }
    let models = [dimension.clone(), fact_visit(), fact_arrival()];
    let mut tables = weir_testkit::star::star(&models, &by_table, &project);
    tables.values_mut().for_each(|rows| rows.retain(|row| !is_unknown(row) || row.len() < 9));
    tables.into_iter().map(|(name, rows)| (name.to_string(), rows)).collect()
}

fn shop_with(of_deletes: Deletes) -> Model {
    let mut dimension = dim_shop();
    if let ModelKind::Dimension { deletes, .. } = &mut dimension.kind {
        *deletes = of_deletes;
    }
    dimension
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_pure_core_equals_the_reference_star_row_for_row(
        changes in any_changes(24),
        of_deletes in proptest::sample::select(&[Deletes::Close, Deletes::Mark, Deletes::Ignore][..]),
    ) {
        let dimension = shop_with(of_deletes);
        prop_assert_eq!(star(&dimension, &changes), reference(&dimension, &changes));
    }

    #[test]
    fn any_permutation_and_repetition_gives_the_same_rows(
        (changes, shuffled) in any_changes(24).prop_flat_map(|changes| {
            let doubled: Vec<Change> = changes.iter().chain(&changes).cloned().collect();
            (Just(changes), Just(doubled).prop_shuffle())
        })
    ) {
        for deletes in [Deletes::Close, Deletes::Mark] {
            let dimension = shop_with(deletes);
            prop_assert_eq!(star(&dimension, &changes), star(&dimension, &shuffled));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn stored_versions_and_later_changes_give_what_the_whole_history_gives(
        changes in any_changes(24), ignore in any::<bool>(), cut in 0u32..12,
    ) {
        let mut dimension = dim_shop();
        if let (ModelKind::Dimension { deletes, .. }, true) = (&mut dimension.kind, ignore) {
            *deletes = Deletes::Ignore;
        }
        let order = |change: &Change| {
            let own = super::fixture::shop(cut, Op::Update, 0, ("n", 1), ("Ann", "a", "x"));
            change.order_key < own.order_key
        };
        let (before, mut after): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(order);
        // Later in time too, whatever time came before.
        let latest = before.iter().map(|change| change.source_ts).max().unwrap_or_default();
        let earliest = after.iter().map(|change| change.source_ts).min().unwrap_or_default();
        after.iter_mut().for_each(|change| change.source_ts += (latest - earliest + 1).max(0));
        let wanted = |rows: &RecordBatch| crate::dimension::wanted(&dimension, rows, &[]).expect("rows");
        let stored = wanted(&history(&dimension, &before)).rows;
        let none = crate::room::KeySet::default();
        let fresh = history(&dimension, &after);
        let continued = wanted(&crate::past::continued(&dimension, &stored, &fresh, &none).expect("changes"));
        prop_assert_eq!(continued.broken, []);
        let all: Vec<Change> = before.into_iter().chain(after).collect();
        prop_assert_eq!(rows(&[continued.rows]), rows(&[wanted(&history(&dimension, &all)).rows]));
    }
}

#[test]
fn the_calendar_covers_what_any_change_mentions() {
    let changes = [
        super::fixture::visit(1, Op::Create, 0, 1, (None, None), "new", Some(1_300_000_000_000_000)),
        super::fixture::visit(2, Op::Update, 0, 1, (None, None), "new", Some(1_400_000_000_000_000)),
    ];
    let spec_of = fact_visit();
    let spec = crate::facts::spec(&spec_of).expect("a spec").expect("a fact");
    let years = crate::facts::years(&spec_of, &spec, &history(&spec_of, &changes)).expect("years");
    let schema = crate::layout::table_schema(&super::fixture::dim_date());
    let found = crate::calendar::rows(Arc::clone(&schema), &crate::calendar::filled(&years), true).expect("rows");
    let wanted = &expected(&changes)[&super::fixture::name("dim_date")];
    assert_eq!(rows(&[found]), *wanted);
    assert_eq!(wanted.len(), 1 + 365 + 366 + 365 + 365, "2011 to 2014");
    assert!(wanted.iter().any(|row| row[0] == Value::Int(20_120_229)));
}
