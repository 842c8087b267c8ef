//! The pure core, in columns and without a lake, equals the reference star: thousands of small histories.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_core::value::{Row, Value};
use weir_project::{Deletes, Model, ModelKind, Scd};

use super::fixture::{
    any_changes, batch, dim_shop, dim_shop_of, expected, fact_arrival, fact_visit, is_unknown, marks, project, rows,
};
use crate::facts::{Lookup, Timelines, mentioned, timelines};
use crate::layout::{arrow_type, history_schema};
use crate::past::{Ends, continued};
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
        let (before, after, _) = parted(changes, cut);
        let wanted = |rows: &RecordBatch| crate::dimension::wanted(&dimension, rows, &[]).expect("rows");
        let stored = wanted(&history(&dimension, &before)).rows;
        let fresh = history(&dimension, &after);
        let continued = wanted(&continued(&dimension, &stored, &[fresh], &Ends::default()).expect("changes"));
        prop_assert_eq!(continued.broken, []);
        let all: Vec<Change> = before.into_iter().chain(after).collect();
        prop_assert_eq!(rows(&[continued.rows]), rows(&[wanted(&history(&dimension, &all)).rows]));
    }

    #[test]
    fn stored_versions_up_to_a_time_and_all_changes_after_it_give_what_the_whole_history_gives(
        changes in any_changes(24), ignore in any::<bool>(), cut in 0u32..12, known in any::<u32>(),
    ) {
        let mut dimension = dim_shop_of(Scd::Type2, Scd::Type1, Scd::Type1);
        if let (ModelKind::Dimension { deletes, .. }, true) = (&mut dimension.kind, ignore) {
            *deletes = Deletes::Ignore;
        }
        let (before, after, end) = parted(changes, cut);
        // Some of the later ones were there when the versions were made, the others come now, among them late ones.
        let (known, fresh): (Vec<_>, Vec<_>) = after.into_iter().enumerate().partition(|(i, _)| known >> i & 1 == 1);
        let of = |changes: Vec<(usize, Change)>| changes.into_iter().map(|(_, change)| change).collect::<Vec<_>>();
        let (known, fresh) = (of(known), of(fresh));
        let wanted = |rows: &RecordBatch| crate::dimension::wanted(&dimension, rows, &[]).expect("rows");
        let stored = wanted(&history(&dimension, &[before.clone(), known.clone()].concat())).rows;
        let at_hand = [history(&dimension, &known), history(&dimension, &fresh)];
        let keys = crate::room::named(&at_hand[0], &dimension).expect("keys");
        let ends = Ends(crate::key::key_hashes(&keys).into_iter().map(|key| (key, end)).collect());
        let continued = wanted(&continued(&dimension, &stored, &at_hand, &ends).expect("changes"));
        prop_assert_eq!(continued.broken, []);
        let all = wanted(&history(&dimension, &[before, known, fresh].concat()));
        prop_assert_eq!(rows(&[continued.rows]), rows(&[all.rows]));
    }
}

/// Changes before a place in the order and those behind it, moved to behind them in time too; and the last time before.
fn parted(changes: Vec<Change>, cut: u32) -> (Vec<Change>, Vec<Change>, i64) {
    let place = super::fixture::shop(cut, Op::Update, 0, ("n", 1), ("Ann", "a", "x")).order_key;
    let (before, mut after): (Vec<Change>, Vec<Change>) =
        changes.into_iter().partition(|change| change.order_key < place);
    let end = before.iter().map(|change| change.source_ts).max().unwrap_or(i64::MIN);
    let earliest = after.iter().map(|change| change.source_ts).min().unwrap_or_default();
    after
        .iter_mut()
        .for_each(|change| change.source_ts += end.max(0).saturating_sub(earliest).saturating_add(1).max(0));
    (before, after, end)
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
