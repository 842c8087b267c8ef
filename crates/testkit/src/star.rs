//! The star schema that a set of changes must lead to, written for eyes and not for speed.
//!
//! Apart from the engine on purpose: it shares `core`'s words (and `surrogate_key`, which is a definition)
//! with it, and no code. It looks at whole lists of changes, one instant after the other, and knows nothing
//! of builds, batches, buckets or stored rows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate};
use weir_core::change::{Change, Op};
use weir_core::name::{ModelName, TableName};
use weir_core::order_key::OrderKey;
use weir_core::surrogate::{UNKNOWN, surrogate_key};
use weir_core::value::{Row, Value};
use weir_project::{
    DateKey, Deletes, DimensionRef, LateParent, Measure, MeasureColumn, Milestone, Model, ModelColumn, ModelKind, Scd,
};

mod members;

use members::{Turns, is_durable, is_taken_over, key_of, of_change, of_fact, own, turns};

/// 9999-12-31T00:00:00 UTC.
const OPEN: i64 = 253_402_214_400_000_000;
/// 0001-01-01T00:00:00 UTC.
const BEGINNING: i64 = -62_135_596_800_000_000;

/// What a model's query makes of one change: its output columns in declared order, or none where its WHERE
/// does not hold. Of a delete only the key columns are looked at.
pub type Projection<'a> = &'a dyn Fn(&Model, &Change) -> Option<Row>;

/// One change as one model sees it.
#[derive(Debug, Clone)]
struct Event {
    op: Op,
    order_key: OrderKey,
    source_ts: i64,
    row: Row,
    /// When it takes effect: filled in once the events of a key are in order.
    at: i64,
}

/// Every curated table's rows in table order (no partition column), sorted.
///
/// `changes` holds each source table's changes, in any order and with repeats; quarantined ones left out.
pub fn star(
    models: &[Model],
    changes: &BTreeMap<TableName, Vec<Change>>,
    project: Projection<'_>,
) -> BTreeMap<ModelName, Vec<Row>> {
    let nothing = Vec::new();
    let histories: Histories<'_> = models
        .iter()
        .filter_map(|model| {
            let source = model.source.as_ref()?;
            Some((&model.name, history(model, changes.get(source).unwrap_or(&nothing), project)))
        })
        .collect();

    let mut tables = BTreeMap::new();
    for model in models {
        let mut rows = match &model.kind {
            ModelKind::Dimension { .. } => dimension(model, models, &histories),
            ModelKind::Fact { .. } => fact(model, models, &histories),
            ModelKind::DateDimension => calendar(models, &histories),
            // Not from changes but from the star: see `aggregate`.
            ModelKind::Aggregate { .. } | ModelKind::View { .. } => continue,
        };
        rows.sort();
        tables.insert(model.name.clone(), rows);
    }
    tables
}

/// What one row of a fact gives an aggregate: per column of the model the group's value, or what is added up or
/// counted. The function that it is given says what stands in a column of a table (the fact's or a dimension's)
/// of the rows that belong together.
pub type Contribution<'a> = &'a dyn Fn(&dyn Fn(&str, &str) -> Value) -> Row;

/// An aggregate's rows in table order, sorted: every row of the fact, one after the other.
pub fn aggregate(
    model: &Model,
    models: &[Model],
    star: &BTreeMap<ModelName, Vec<Row>>,
    contribution: Contribution<'_>,
) -> Vec<Row> {
    let ModelKind::Aggregate { fact, joins, measures } = &model.kind else { return Vec::new() };
    let tables = std::iter::once(fact).chain(joins.iter().map(|join| &join.dimension));
    let columns: BTreeMap<&str, Vec<String>> = tables
        .map(|name| {
            let table = models.iter().find(|m| m.name == *name).expect("a model of the project");
            (name.as_str(), table.table_columns().iter().map(|column| column.name.to_string()).collect())
        })
        .collect();
    let cell = |table: &str, row: &Row, column: &str| -> Value {
        row[columns[table].iter().position(|name| name == column).expect("a column of the table")].clone()
    };
    let members: Vec<BTreeMap<Value, &Row>> = joins
        .iter()
        .map(|join| {
            let key = |row| cell(join.dimension.as_str(), row, join.key_column.as_str());
            star[&join.dimension].iter().map(|row| (key(row), row)).collect()
        })
        .collect();
    let mut groups: BTreeMap<Row, Row> = BTreeMap::new();
    for row in &star[fact] {
        let mut together = BTreeMap::from([(fact.as_str(), row)]);
        for (join, members) in joins.iter().zip(&members) {
            let pointer = cell(fact.as_str(), row, join.fact_column.as_str());
            together.insert(join.dimension.as_str(), members[&pointer]);
        }
        let given = contribution(&|table, column| cell(table, together[table], column));
        let is_key = |i: &usize| model.key.contains(&model.columns[*i].name);
        let key: Row = (0..given.len()).filter(is_key).map(|i| given[i].clone()).collect();
        let total = groups.entry(key).or_insert_with(|| {
            let nothing = |column: &ModelColumn| match measure(measures, column) {
                None => Value::Null,
                Some(Measure::Sum) => Value::Null,
                Some(Measure::Count | Measure::Rows) => Value::Int(0),
            };
            model.columns.iter().map(nothing).collect()
        });
        for (i, column) in model.columns.iter().enumerate() {
            total[i] = match (measure(measures, column), &total[i], &given[i]) {
                (None, _, group) => group.clone(),
                (Some(Measure::Rows), Value::Int(rows), _) => Value::Int(rows + 1),
                (Some(_), before, Value::Null) => before.clone(),
                (Some(Measure::Count), Value::Int(count), _) => Value::Int(count + 1),
                (Some(Measure::Sum), Value::Null, first) => first.clone(),
                (Some(Measure::Sum), Value::Int(a), Value::Int(b)) => Value::Int(a + b),
                (Some(Measure::Sum), Value::Decimal(a, scale), Value::Decimal(b, _)) => Value::Decimal(a + b, *scale),
                (measure, before, value) => panic!("{measure:?} of {before:?} and {value:?}"),
            };
        }
    }
    let mut rows: Vec<Row> = groups.into_values().collect();
    rows.sort();
    rows
}

fn measure(measures: &[MeasureColumn], column: &ModelColumn) -> Option<Measure> {
    measures.iter().find(|measure| measure.column == column.name).map(|measure| measure.measure)
}

/// What a model makes of its source's changes.
fn history(model: &Model, changes: &[Change], project: Projection<'_>) -> History {
    let History { mut keys, mut deliveries, .. } = History::default();
    let turns = if is_durable(model) { turns(model, changes, project) } else { Turns::new() };
    for change in &with_truncations(changes) {
        let projected = project(model, change);
        // A row that the model leaves out is a row that the model does not have any more.
        let op = if projected.is_some() { change.op } else { Op::Delete };
        let Some(row) = projected.or_else(|| key_only(model, change, project)) else { continue };
        let key = key_of(model, &row);
        if key.iter().any(Value::is_null) {
            continue;
        }
        let event = Event { op, order_key: change.order_key.clone(), source_ts: change.source_ts, row, at: 0 };
        deliveries.push(event.clone());
        let events = keys.entry(of_change(model, &turns, &key, &change.order_key)).or_default();
        match events.iter_mut().find(|known| known.op == event.op && known.order_key == event.order_key) {
            Some(known) => {
                if (event.source_ts, &event.row) < (known.source_ts, &known.row) {
                    *known = event;
                }
            }
            None => events.push(event),
        }
    }
    for events in keys.values_mut() {
        events.sort_by_key(|event| (event.order_key.clone(), event.op.rank()));
        let mut latest = i64::MIN;
        for event in events {
            latest = latest.max(event.source_ts);
            event.at = latest;
        }
    }
    History { keys, deliveries, turns }
}

/// Each truncation as deletes at its place, of every key that had a row before it.
fn with_truncations(changes: &[Change]) -> Vec<Change> {
    let (truncations, mut all): (Vec<Change>, Vec<Change>) =
        changes.iter().cloned().partition(|change| change.op == Op::Truncate);
    let rows: Vec<Change> = all.iter().filter(|change| change.op != Op::Delete).cloned().collect();
    for truncation in truncations {
        let mut last: BTreeMap<&Row, &Change> = BTreeMap::new();
        for change in rows.iter().filter(|change| change.order_key < truncation.order_key) {
            let newest = last.entry(&change.key).or_insert(change);
            if newest.place() < change.place() {
                *newest = change;
            }
        }
        all.extend(last.into_iter().map(|(key, newest)| Change {
            key: key.clone(),
            op: Op::Delete,
            row: newest.row.clone(),
            ..truncation.clone()
        }));
    }
    all
}

/// The row of a change that the model's WHERE leaves out: asked for again as a delete, which it amounts to.
fn key_only(model: &Model, change: &Change, project: Projection<'_>) -> Option<Row> {
    let delete = Change { op: Op::Delete, ..change.clone() };
    project(model, &delete)
}

/// What one model has seen.
#[derive(Default)]
struct History {
    /// The events of every business key or, where there is one, durable key, repeats left out, in order, with the time
    /// at which they take effect.
    keys: BTreeMap<Row, Vec<Event>>,
    /// Every delivery, for what deliveries mention: also one that lost against another of its identity.
    deliveries: Vec<Event>,
    /// Of a dimension with a durable key, whose members are the keys above.
    turns: Turns,
}

type Histories<'a> = BTreeMap<&'a ModelName, History>;

/// A version: when it holds, its surrogate key, and its row in table order.
struct Version {
    from: i64,
    surrogate: i64,
    row: Row,
}

fn dimension(model: &Model, models: &[Model], histories: &Histories<'_>) -> Vec<Row> {
    let columns = model.columns.len() + usize::from(is_durable(model));
    let mut rows = vec![member(model, UNKNOWN, vec![Value::Null; columns], false)];
    let mut known = BTreeSet::new();
    for (key, events) in &histories[&model.name].keys {
        let versions = versions(model, key, events);
        if !versions.is_empty() {
            known.insert(key.clone());
        }
        rows.extend(versions.into_iter().map(|version| version.row));
    }
    for (own, key) in inferable(model, models, histories) {
        if !known.contains(&own) {
            let surrogate = surrogate_key(&model.name, &own, 0);
            let mut values = if is_durable(model) { [own, key].concat() } else { own };
            values.resize(columns, Value::Null);
            rows.push(member(model, surrogate, values, true));
        }
    }
    rows
}

/// The row of an unknown or inferred member.
fn member(model: &Model, surrogate: i64, values: Row, inferred: bool) -> Row {
    let mut row = vec![Value::Int(surrogate)];
    row.extend(values);
    row.extend([Value::Timestamp(BEGINNING), Value::Timestamp(OPEN), Value::Bool(true), Value::Bool(inferred)]);
    row.extend(mark(model, false));
    row
}

/// The column that only dimensions with marked deletes have.
fn mark(model: &Model, deleted: bool) -> Option<Value> {
    matches!(model.kind, ModelKind::Dimension { deletes: Deletes::Mark, .. }).then_some(Value::Bool(deleted))
}

/// Keys of a dimension that any change ever of any fact pointed to, but for pointers that wait.
fn referenced(dimension: &ModelName, models: &[Model], histories: &Histories<'_>) -> BTreeSet<Row> {
    let mut keys = BTreeSet::new();
    for fact in models {
        let ModelKind::Fact { dimensions, .. } = &fact.kind else { continue };
        for pointer in dimensions.iter().filter(|pointer| pointer.dimension == *dimension) {
            if pointer.late_parent != LateParent::Infer {
                continue;
            }
            for event in &histories[&fact.name].deliveries {
                let key = pick(fact, pointer, &event.row);
                if event.op != Op::Delete && !key.iter().any(Value::is_null) {
                    keys.insert(key);
                }
            }
        }
    }
    keys
}

/// The members that are inferred where they have no version, with the key that is mentioned.
fn inferable(model: &Model, models: &[Model], histories: &Histories<'_>) -> BTreeMap<Row, Row> {
    let turns = &histories[&model.name].turns;
    let keys = referenced(&model.name, models, histories).into_iter().filter(|key| !is_taken_over(turns, key));
    keys.map(|key| (own(model, &key), key)).collect()
}

fn pick(fact: &Model, pointer: &DimensionRef, row: &Row) -> Row {
    pointer.on.iter().map(|name| value(fact, name.as_str(), row)).collect()
}

fn value(model: &Model, column: &str, row: &Row) -> Value {
    let at = model.columns.iter().position(|c| c.name.as_str() == column).expect("a column of the model");
    row[at].clone()
}

/// The versions of one key: look at every instant at which something took effect.
fn versions(model: &Model, key: &Row, events: &[Event]) -> Vec<Version> {
    let ModelKind::Dimension { deletes, .. } = &model.kind else { return Vec::new() };
    let mut events: Vec<Event> = events.to_vec();
    if *deletes == Deletes::Ignore {
        events.retain(|event| event.op != Op::Delete);
        let mut latest = i64::MIN;
        for event in &mut events {
            latest = latest.max(event.source_ts);
            event.at = latest;
        }
    }
    let instants: BTreeSet<i64> = events.iter().map(|event| event.at).filter(|at| *at < OPEN).collect();
    let instants: Vec<i64> = instants.into_iter().collect();
    let newest_at = |at: i64| events.iter().rfind(|event| event.at <= at);
    // What holds from an instant on: the last event that has taken effect by then, none when it is a delete. Where
    // deletes are marked, what held before a delete goes on to hold, if anything did.
    let states = |at: i64| instants.iter().take_while(move |i| **i <= at).filter_map(|i| newest_at(*i));
    let holds = |at: i64| match deletes {
        Deletes::Mark => states(at).filter(|event| event.op != Op::Delete).last(),
        Deletes::Close | Deletes::Ignore => newest_at(at).filter(|event| event.op != Op::Delete),
    };
    let is_tracked = |scd: Scd| scd == Scd::Type2 || (is_durable(model) && scd == Scd::Key);
    let tracked = |event: &Event| -> Row {
        model.columns.iter().zip(&event.row).filter(|(c, _)| is_tracked(c.scd)).map(|(_, v)| v.clone()).collect()
    };
    let newest = events.iter().rfind(|event| event.op != Op::Delete);

    let mut out: Vec<Version> = Vec::new();
    for (i, from) in instants.iter().enumerate() {
        let Some(opened) = holds(*from) else { continue };
        let before = i.checked_sub(1).and_then(|i| holds(instants[i]));
        if before.is_some_and(|before| tracked(before) == tracked(opened)) {
            continue;
        }
        let same = |at: &i64| holds(*at).is_some_and(|event| tracked(event) == tracked(opened));
        let to = instants[i..].iter().copied().find(|at| !same(at)).unwrap_or(OPEN);
        let last = instants[i..].iter().copied().take_while(|at| *at < to).last().and_then(holds).expect("from itself");
        let newest = newest.expect("the one that opened, at least");

        let surrogate = match (out.is_empty(), *from) {
            (true, _) => surrogate_key(&model.name, key, 0),
            (false, 0) => surrogate_key(&model.name, key, i64::MIN),
            (false, from) => surrogate_key(&model.name, key, from),
        };
        let mut row = vec![Value::Int(surrogate)];
        row.extend(key.iter().cloned());
        if is_durable(model) {
            row.extend(key_of(model, &opened.row));
        }
        for (i, column) in model.columns.iter().enumerate() {
            if model.key.contains(&column.name) {
                continue;
            }
            row.push(match column.scd {
                Scd::Type2 => opened.row[i].clone(),
                Scd::Type1Current => last.row[i].clone(),
                Scd::Type1 | Scd::Key | Scd::None => newest.row[i].clone(),
            });
        }
        row.extend([Value::Timestamp(*from), Value::Timestamp(to), Value::Bool(to == OPEN), Value::Bool(false)]);
        let end = instants[i..].iter().copied().take_while(|at| *at < to).last().and_then(newest_at);
        row.extend(mark(model, end.is_some_and(|event| event.op == Op::Delete)));
        out.push(Version { from: *from, surrogate, row });
    }
    out
}

fn fact(model: &Model, models: &[Model], histories: &Histories<'_>) -> Vec<Row> {
    let ModelKind::Fact { event_time, dimensions, date_keys, milestones } = &model.kind else { return Vec::new() };
    // Versions of every dimension key, once: facts share them.
    let timelines: Vec<BTreeMap<&Row, Vec<(i64, i64)>>> = dimensions
        .iter()
        .map(|pointer| {
            let dimension = models.iter().find(|m| m.name == pointer.dimension).expect("a model of the project");
            histories[&pointer.dimension]
                .keys
                .iter()
                .map(|(key, events)| {
                    (key, versions(dimension, key, events).iter().map(|v| (v.from, v.surrogate)).collect())
                })
                .collect()
        })
        .collect();

    let of_pointer = |pointer: &DimensionRef| {
        let dimension = models.iter().find(|m| m.name == pointer.dimension).expect("a model of the project");
        inferable(dimension, models, histories)
    };
    let inferred: Vec<BTreeMap<Row, Row>> = dimensions.iter().map(of_pointer).collect();

    let mut rows = Vec::new();
    for events in histories[&model.name].keys.values() {
        let newest = events.last().expect("a key has an event");
        if newest.op == Op::Delete {
            continue;
        }
        let living: Vec<&Event> = events.iter().filter(|event| event.op != Op::Delete).collect();
        let declared = event_time.as_ref().map(|column| micros(&value(model, column.as_str(), &newest.row)));
        let event_time = declared.flatten().unwrap_or(living[0].at);

        let mut row = newest.row.clone();
        for ((pointer, timelines), inferred) in dimensions.iter().zip(&timelines).zip(&inferred) {
            let key = pick(model, pointer, &newest.row);
            let dimension = models.iter().find(|m| m.name == pointer.dimension).expect("a model of the project");
            row.push(Value::Int(if key.iter().any(Value::is_null) {
                UNKNOWN
            } else {
                let members = of_fact(dimension, &histories[&pointer.dimension].turns, &key, event_time);
                let found = members.iter().find_map(|member| {
                    let versions = timelines.get(member).map_or(&[][..], Vec::as_slice);
                    let valid = versions.iter().rfind(|(from, _)| *from <= event_time).or(versions.first());
                    match valid {
                        Some((_, surrogate)) => Some(*surrogate),
                        None => inferred.contains_key(member).then(|| surrogate_key(&dimension.name, member, 0)),
                    }
                });
                found.unwrap_or(UNKNOWN)
            }));
        }
        row.extend(date_keys.iter().map(|key| Value::Int(date_key(model, key, &newest.row).into())));
        row.extend(milestones.iter().map(|milestone| reached(model, milestone, &living)));
        row.push(Value::Timestamp(event_time));
        rows.push(row);
    }
    rows
}

fn reached(model: &Model, milestone: &Milestone, living: &[&Event]) -> Value {
    let holds = |event: &&&Event| {
        let value = value(model, milestone.when_column.as_str(), &event.row);
        !value.is_null() && value.to_string() == milestone.equals
    };
    living.iter().find(holds).map_or(Value::Null, |event| Value::Timestamp(event.at))
}

fn micros(value: &Value) -> Option<i64> {
    match value {
        Value::Timestamp(us) => Some(*us),
        Value::Date(days) => Some(i64::from(*days) * 86_400_000_000),
        _ => None,
    }
}

fn day(value: &Value) -> Option<NaiveDate> {
    let date = match value {
        Value::Timestamp(us) => DateTime::from_timestamp_micros(*us)?.date_naive(),
        Value::Date(days) => NaiveDate::from_num_days_from_ce_opt(days.checked_add(719_163)?)?,
        _ => return None,
    };
    (1..=9999).contains(&date.year()).then_some(date)
}

fn date_key(model: &Model, key: &DateKey, row: &Row) -> i32 {
    day(&value(model, key.from.as_str(), row)).map_or(-1, |d| d.format("%Y%m%d").to_string().parse().expect("digits"))
}

fn calendar(models: &[Model], histories: &Histories<'_>) -> Vec<Row> {
    let mut used = BTreeSet::new();
    for model in models {
        let ModelKind::Fact { date_keys, .. } = &model.kind else { continue };
        for event in histories[&model.name].deliveries.iter().filter(|event| event.op != Op::Delete) {
            used.extend(
                date_keys.iter().filter_map(|k| day(&value(model, k.from.as_str(), &event.row))).map(|d| d.year()),
            );
        }
    }
    let mut unknown = vec![Value::Null; 10];
    unknown[0] = Value::Int(-1);
    let mut rows = vec![unknown];
    for year in 1..=9999 {
        let before = used.range(..=year).last();
        let after = used.range(year..).next();
        if !matches!((before, after), (Some(b), Some(a)) if a - b < 100) {
            continue;
        }
        let mut date = NaiveDate::from_ymd_opt(year, 1, 1);
        while let Some(d) = date.filter(|d| d.year() == year) {
            let number = |text: &str| Value::Int(d.format(text).to_string().trim().parse().expect("digits"));
            let word = |text: &str| Value::Text(d.format(text).to_string());
            rows.push(vec![
                number("%Y%m%d"),
                Value::Date(d.num_days_from_ce() - 719_163),
                number("%Y"),
                Value::Int((i64::from(d.month()) + 2) / 3),
                number("%m"),
                number("%d"),
                number("%u"),
                word("%B"),
                word("%A"),
                Value::Bool(["6", "7"].contains(&d.format("%u").to_string().as_str())),
            ]);
            date = d.succ_opt();
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::column::ColumnType;
    use weir_core::order_key::{Lsn, SqlServerPosition};

    fn column(name: &str, kind: ColumnType, scd: Scd) -> ModelColumn {
        ModelColumn { name: name.parse().expect("a name"), kind, scd }
    }

    fn model(name: &str, kind: ModelKind, columns: Vec<ModelColumn>) -> Model {
        let name: ModelName = name.parse().expect("a name");
        Model { source: Some(name.clone()), name, kind, sql: None, key: vec!["id".parse().expect("a name")], columns }
    }

    fn change(table: &str, order: u32, op: Op, ts: i64, row: Row) -> Change {
        let position = SqlServerPosition { commit_lsn: Lsn::new(0, order, 0), change_lsn: None, serial: 1 };
        let key = vec![row[0].clone()];
        Change {
            table: table.parse().expect("a name"),
            key,
            op,
            order_key: position.into(),
            source_ts: ts,
            row: Some(row),
        }
    }

    /// What the model says of four changes and one order, spelled out by hand.
    #[test]
    fn the_reference_model_says_what_a_person_would() {
        let text = |t: &str| Value::Text(t.into());
        let customer = model(
            "dim_customer",
            ModelKind::Dimension {
                surrogate_key: "customer_key".parse().expect("a name"),
                durable_key: None,
                deletes: Deletes::Close,
            },
            vec![
                column("id", ColumnType::Int, Scd::Key),
                column("name", ColumnType::Text { length: None }, Scd::Type1),
                column("country", ColumnType::Text { length: None }, Scd::Type2),
            ],
        );
        let order = model(
            "fact_order",
            ModelKind::Fact {
                event_time: None,
                dimensions: vec![DimensionRef {
                    key_column: "customer_key".parse().expect("a name"),
                    dimension: customer.name.clone(),
                    on: vec!["customer_id".parse().expect("a name")],
                    late_parent: LateParent::Infer,
                }],
                date_keys: vec![],
                milestones: vec![],
            },
            vec![column("id", ColumnType::Int, Scd::Key), column("customer_id", ColumnType::Int, Scd::None)],
        );
        let customers = vec![
            change("dim_customer", 1, Op::Create, 10, vec![Value::Int(1), text("Ann"), text("UK")]),
            change("dim_customer", 2, Op::Update, 20, vec![Value::Int(1), text("Anne"), text("FR")]),
            change("dim_customer", 3, Op::Delete, 30, vec![Value::Int(1), Value::Null, Value::Null]),
            // Back, and gone with the whole table.
            change("dim_customer", 8, Op::Create, 40, vec![Value::Int(1), text("Anna"), text("FR")]),
            Change { key: vec![], row: None, ..change("dim_customer", 9, Op::Truncate, 50, vec![Value::Null]) },
        ];
        let orders = vec![
            change("fact_order", 4, Op::Create, 15, vec![Value::Int(100), Value::Int(1)]),
            change("fact_order", 5, Op::Create, 35, vec![Value::Int(101), Value::Int(1)]),
            change("fact_order", 6, Op::Create, 35, vec![Value::Int(102), Value::Int(2)]),
            change("fact_order", 7, Op::Create, 35, vec![Value::Int(103), Value::Null]),
        ];
        let changes = BTreeMap::from([(customer.name.clone(), customers), (order.name.clone(), orders)]);
        let found = star(&[customer.clone(), order.clone()], &changes, &|_, change| change.row.clone());

        let key = |id, from| surrogate_key(&customer.name, &vec![Value::Int(id)], from);
        let ts = Value::Timestamp;
        let version = |k, name: &str, country: &str, from, to| {
            vec![
                Value::Int(k),
                Value::Int(1),
                text(name),
                text(country),
                ts(from),
                ts(to),
                Value::Bool(false),
                Value::Bool(false),
            ]
        };
        let none = Value::Null;
        let mut wanted = vec![
            member(&customer, -1, vec![none.clone(), none.clone(), none.clone()], false),
            version(key(1, 0), "Anna", "UK", 10, 20),
            version(key(1, 20), "Anna", "FR", 20, 30),
            version(key(1, 40), "Anna", "FR", 40, 50),
            member(&customer, key(2, 0), vec![Value::Int(2), none.clone(), none], true),
        ];
        wanted.sort();
        assert_eq!(found[&customer.name], wanted);
        let fact = |id, customer, key, at| vec![Value::Int(id), customer, Value::Int(key), ts(at)];
        assert_eq!(
            found[&order.name],
            [
                fact(100, Value::Int(1), key(1, 0), 15),
                fact(101, Value::Int(1), key(1, 20), 35),
                fact(102, Value::Int(2), key(2, 0), 35),
                fact(103, Value::Null, -1, 35),
            ]
        );
    }
}
