//! A fact's rows, in columns, from the change history of some keys and the dimensions' timelines.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use weir_core::change::Op;
use weir_core::surrogate::UNKNOWN;
use weir_project::{DateKey, DimensionRef, LateParent, Milestone, Model, ModelKind};

use crate::calendar::{date_keys, years_of};
use crate::changes::{Changes, encoded};
use crate::fact::fact;
use crate::key::complete;
use crate::layout::{OP, table_schema, timestamp};
use crate::members::{Members, hash};
use crate::scd::Timeline;
use crate::unavailable::resolved;

/// The timelines of a dimension's keys, by encoded business key.
pub type Timelines = HashMap<Box<[u8]>, Timeline>;

/// Where a fact finds the timeline of a key: implemented over the buckets that were loaded.
pub trait Lookup {
    /// The timeline of a key of the `dimension`-th pointer, by encoding and hash.
    fn timeline(&self, dimension: usize, key: &[u8], hash: u64) -> Option<&Timeline>;

    /// Who the members of the `dimension`-th pointer are, where that has a durable key: timelines are known by it then.
    fn members(&self, _dimension: usize) -> Option<&Members> {
        None
    }
}

/// A business key without a member, which an inferred one should have been made for: the build must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unresolved {
    /// Which pointer of the fact.
    pub dimension: usize,
    /// Row of the wanted rows.
    pub row: usize,
}

/// Rows that a fact must hold for some keys.
pub struct Wanted {
    /// In table order.
    pub rows: RecordBatch,
    /// Rows whose dimension key has no member.
    pub unresolved: Vec<Unresolved>,
}

/// The parts of a fact model.
pub struct FactSpec<'a> {
    /// The column that says when it happened.
    pub event_time: Option<usize>,
    /// Pointers to dimensions.
    pub dimensions: &'a [DimensionRef],
    /// Pointers to the date dimension.
    pub date_keys: &'a [DateKey],
    /// Times at which a column took a value.
    pub milestones: &'a [Milestone],
}

/// Where a column of this name stands among a model's output columns.
pub fn position(model: &Model, name: &str) -> Result<usize, ArrowError> {
    let found = model.columns.iter().position(|column| column.name.as_str() == name);
    found.ok_or_else(|| ArrowError::SchemaError(format!("model `{}` has no column `{name}`", model.name)))
}

/// Positions of the columns that hold a dimension's business key.
pub fn pointer_columns(model: &Model, pointer: &DimensionRef) -> Result<Vec<usize>, ArrowError> {
    pointer.on.iter().map(|name| position(model, name.as_str())).collect()
}

/// The parts of a fact model; none for another kind.
pub fn spec(model: &Model) -> Result<Option<FactSpec<'_>>, ArrowError> {
    let ModelKind::Fact { event_time, dimensions, date_keys, milestones } = &model.kind else { return Ok(None) };
    let event_time = event_time.as_ref().map(|name| position(model, name.as_str())).transpose()?;
    Ok(Some(FactSpec { event_time, dimensions, date_keys, milestones }))
}

/// The newest state of every key in `history`, and for each pointer the encoded keys' types as declared by the
/// dimension (`key_types`), so that an `int` may point to a `bigint`.
pub fn wanted(
    model: &Model,
    spec: &FactSpec<'_>,
    history: &RecordBatch,
    key_types: &[Vec<DataType>],
    lookup: &dyn Lookup,
) -> Result<Wanted, ArrowError> {
    let history = &resolved(model, history)?;
    let changes = Changes::new(model, history)?;
    let reached = spec.milestones.iter().map(|m| holds(model, history, m)).collect::<Result<Vec<_>, _>>()?;
    let mut newest = Vec::new();
    let mut inserted_at = Vec::new();
    let mut milestones: Vec<Vec<Option<i64>>> = vec![Vec::new(); spec.milestones.len()];
    let mut steps = Vec::new();
    for group in changes.groups() {
        changes.steps(group, &mut steps);
        let reached = |row: u32, i: usize| reached[i].value(row as usize);
        let Some(found) = fact(&mut steps, spec.milestones.len(), reached) else { continue };
        newest.push(found.newest);
        inserted_at.push(found.inserted_at);
        for (column, time) in milestones.iter_mut().zip(found.milestones) {
            column.push(time);
        }
    }
    let newest = UInt32Array::from(newest);
    let mut out: Vec<ArrayRef> =
        (0..model.columns.len()).map(|i| take(history.column(i), &newest, None)).collect::<Result<_, _>>()?;
    let event_time = event_times(spec.event_time.map(|i| &out[i]), inserted_at)?;

    let mut unresolved = Vec::new();
    for (i, pointer) in spec.dimensions.iter().enumerate() {
        let keys = pointer_keys(&out, &pointer_columns(model, pointer)?, &key_types[i])?;
        let found = point(i, pointer, &keys, &event_time, lookup, &mut unresolved)?;
        out.push(Arc::new(found));
    }
    for key in spec.date_keys {
        out.push(Arc::new(date_keys(&out[position(model, key.from.as_str())?])));
    }
    let times = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
    out.extend(milestones.into_iter().map(|values| Arc::new(times(values)) as ArrayRef));
    out.push(Arc::new(event_time));
    Ok(Wanted { rows: RecordBatch::try_new(table_schema(model), out)?, unresolved })
}

/// A pointer's columns, in the dimension's own types.
pub fn pointer_keys(all: &[ArrayRef], positions: &[usize], types: &[DataType]) -> Result<Vec<ArrayRef>, ArrowError> {
    positions.iter().zip(types).map(|(i, kind)| cast(&all[*i], kind)).collect()
}

/// The years that changes of a history have date keys in.
pub fn years(model: &Model, spec: &FactSpec<'_>, history: &RecordBatch) -> Result<BTreeSet<i32>, ArrowError> {
    let mut years = BTreeSet::new();
    for key in spec.date_keys {
        if let Some(column) = history.column_by_name(key.from.as_str()) {
            years.extend(years_of(&date_keys(&alive(history, column)?)));
        } else {
            position(model, key.from.as_str())?;
        }
    }
    Ok(years)
}

/// A history's column without the values of deletes.
fn alive(history: &RecordBatch, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    arrow::compute::filter(column, &not_deleted(history)?)
}

/// True for the rows of a history that are no deletes.
pub fn not_deleted(history: &RecordBatch) -> Result<BooleanArray, ArrowError> {
    let ops = history.column_by_name(OP).ok_or_else(|| ArrowError::SchemaError(format!("a history has no `{OP}`")))?;
    Ok(ops.as_string::<i32>().iter().map(|op| Some(op != Some(Op::Delete.letter()))).collect())
}

fn holds(model: &Model, history: &RecordBatch, milestone: &Milestone) -> Result<BooleanArray, ArrowError> {
    let column = cast(history.column(position(model, milestone.when_column.as_str())?), &DataType::Utf8)?;
    let texts: &StringArray = column.as_string();
    Ok(texts.iter().map(|text| Some(text == Some(milestone.equals.as_str()))).collect())
}

/// The declared column's time, or where it is null that of the first insert.
fn event_times(declared: Option<&ArrayRef>, inserted_at: Vec<i64>) -> Result<TimestampMicrosecondArray, ArrowError> {
    let Some(declared) = declared else {
        return Ok(TimestampMicrosecondArray::from(inserted_at).with_timezone("UTC"));
    };
    let declared = cast(declared, &timestamp())?;
    let declared = declared.as_primitive::<TimestampMicrosecondType>();
    let times = inserted_at.iter().enumerate().map(|(i, at)| if declared.is_null(i) { *at } else { declared.value(i) });
    Ok(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

/// The version that each row points to; which of them find none is said in `unresolved`.
pub fn point(
    dimension: usize,
    pointer: &DimensionRef,
    keys: &[ArrayRef],
    event_time: &TimestampMicrosecondArray,
    lookup: &dyn Lookup,
    unresolved: &mut Vec<Unresolved>,
) -> Result<Int64Array, ArrowError> {
    let is_there = |durable: i64| {
        let column: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![durable]))];
        encoded(&column).is_ok_and(|rows| lookup.timeline(dimension, rows.row(0).data(), hash(durable)).is_some())
    };
    // By a durable key, where there is one.
    let durable = lookup.members(dimension).map(|members| [members.of_facts(keys, event_time, is_there)]);
    let keys = durable.as_ref().map_or(keys, |durable| durable.as_slice());
    let rows = encoded(keys)?;
    let hashes = crate::key::key_hashes(keys);
    let mut out = Vec::with_capacity(event_time.len());
    for (row, hash) in hashes.into_iter().enumerate() {
        if !complete(keys, row) {
            out.push(UNKNOWN);
            continue;
        }
        let timeline = lookup.timeline(dimension, rows.row(row).data(), hash);
        out.push(timeline.and_then(|timeline| timeline.at(event_time.value(row))).unwrap_or_else(|| {
            if pointer.late_parent == LateParent::Infer {
                unresolved.push(Unresolved { dimension, row });
            }
            UNKNOWN
        }));
    }
    Ok(out.into())
}

/// Timelines from rows of a dimension: its surrogate keys, encoded business keys and beginnings.
pub fn timelines(
    surrogates: &Int64Array,
    keys: &[ArrayRef],
    from: &TimestampMicrosecondArray,
) -> Result<Timelines, ArrowError> {
    let rows = encoded(keys)?;
    let mut versions: HashMap<&[u8], Vec<(i64, i64)>> = HashMap::new();
    for (row, surrogate) in surrogates.values().iter().enumerate() {
        if *surrogate != UNKNOWN {
            versions.entry(rows.row(row).data()).or_default().push((from.value(row), *surrogate));
        }
    }
    Ok(versions.into_iter().map(|(key, versions)| (key.into(), Timeline::new(versions))).collect())
}

/// A history's key columns for one pointer, deletes and rows without a key left out.
pub fn mentioned(
    model: &Model,
    pointer: &DimensionRef,
    history: &RecordBatch,
    types: &[DataType],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let all: Vec<ArrayRef> = pointer
        .on
        .iter()
        .zip(types)
        .map(|(name, kind)| {
            position(model, name.as_str())?;
            let column = history.column_by_name(name.as_str());
            cast(column.ok_or_else(|| ArrowError::SchemaError(format!("a history has no `{name}`")))?, kind)
        })
        .collect::<Result<_, _>>()?;
    let alive = not_deleted(history)?;
    let keep: BooleanArray = (0..history.num_rows()).map(|i| Some(alive.value(i) && complete(&all, i))).collect();
    all.iter().map(|column| arrow::compute::filter(column, &keep)).collect()
}
