//! What a build needs of a key's past: its whole history, or, where all its new changes come after everything
//! that was known of it, no more than its stored versions.
//!
//! Versions are a fold over the changes in order, and what the fold carries on is what the last version stores. So
//! the stored versions, written as changes again (one that opens each, one that closes where nothing follows), give
//! with the new changes exactly the versions that the whole history gives. "After everything" means order and
//! commit time both: then no new change shares an effective time with an old one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, StringArray, UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use weir_core::change::Op;
use weir_lake::{DataFile, Sought, Table, order_key_tags};
use weir_project::{Deletes, Model};

use crate::changes::encoded;
use crate::dimension::deletes;
use crate::error::{CuratedError, of};
use crate::key::key_hashes;
use crate::layout::{DIMENSION_TAIL, ORDER_KEY, SOURCE_TS, UNAVAILABLE, history_schema};
use crate::room::{KeySet, Touched, named, rows_of};
use crate::scd::OPEN;

/// Tag of a history file: the latest commit time in it, microseconds since 1970 UTC.
const MAX_TIME: &str = "weir.maxSourceTs";
/// Tag of a history file: bytes that its rows take in memory.
const MEMORY: &str = "weir.memory";
/// Bytes that a bucket's work takes at its peak, for each byte of its history in memory: the history, encodings of its
/// keys, its tracked columns and its whole rows, the versions; then these encoded, and what is written of them.
const WORK: u64 = 6;
/// More parts would read the bucket more often than memory is worth.
const MOST_PARTS: u64 = 64;

/// What is said of a history file with these rows.
pub(crate) fn tags(rows: &RecordBatch) -> Result<BTreeMap<String, String>, ArrowError> {
    let marks = Marks::of(rows)?;
    let orders = || (0..rows.num_rows()).map(|row| marks.orders.value(row));
    let size = |array: &ArrayRef| array.to_data().get_slice_memory_size().map(|bytes| bytes as u64);
    let memory = rows.columns().iter().map(size).sum::<Result<u64, _>>()?;
    let mut tags = BTreeMap::from([(MEMORY.to_owned(), memory.to_string())]);
    if let (Some(low), Some(high), Some(time)) = (orders().min(), orders().max(), marks.times.values().iter().max()) {
        tags.extend(order_key_tags(low, high));
        tags.insert(MAX_TIME.to_owned(), time.to_string());
    }
    Ok(tags)
}

/// Where the rows of a history stand.
struct Marks<'a> {
    orders: &'a BinaryArray,
    times: &'a TimestampMicrosecondArray,
}

impl<'a> Marks<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str| {
            rows.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a history has no `{name}`")))
        };
        Ok(Self {
            orders: column(ORDER_KEY)?.as_binary::<i32>(),
            times: column(SOURCE_TS)?.as_primitive::<TimestampMicrosecondType>(),
        })
    }
}

/// The newest order key and the latest commit time of a file; none where it does not say.
fn end(file: &DataFile) -> Option<(Vec<u8>, i64)> {
    Some((file.max_order_key()?, file.tag(MAX_TIME)?.parse().ok()?))
}

/// In how many parts the touched keys of these history files must be worked on, so that the work takes no more than
/// `memory`. Where the table has `stored` files, the rows of the same keys in them take about as much again.
pub(crate) fn parts(files: &[DataFile], touched: &Touched, stored: &[DataFile], memory: u64) -> u64 {
    let held = |file: &DataFile| {
        let told = file.tag(MEMORY).and_then(|text| text.parse::<u64>().ok());
        told.unwrap_or_else(|| file.size.unsigned_abs() * WORK)
    };
    let work = files.iter().map(held).sum::<u64>() * if stored.is_empty() { WORK } else { 2 * WORK };
    let rows = files.iter().map(|file| file.rows).sum::<u64>().max(1);
    let work = match touched {
        Touched::Keys(keys) => work / rows * rows.min(keys.len() as u64),
        Touched::All | Touched::Part { .. } => work,
    };
    work.div_ceil(memory.max(1)).clamp(1, MOST_PARTS)
}

/// The changes from which the versions of the touched keys follow: those of `fresh` (new rows of the history), and
/// of each key either its stored versions as changes or its rows in the `known` files.
pub(crate) async fn changes(
    model: &Model,
    history: &Table,
    known: &[DataFile],
    fresh: &RecordBatch,
    stored: &RecordBatch,
) -> Result<RecordBatch, CuratedError> {
    let arrow = of(&model.name);
    let keys = named(fresh, model).map_err(arrow)?;
    let hashes = key_hashes(&keys);
    let mut late = late(model, history, known, fresh, &keys, &hashes).await?;
    late.extend(whole_history(model, fresh, &hashes));
    let of_late: BooleanArray = hashes.iter().map(|hash| Some(late.contains(hash))).collect();
    let mut parts = vec![continued(model, stored, fresh, &late).map_err(arrow)?];
    if !late.is_empty() {
        let fresh = filter_record_batch(fresh, &of_late).map_err(arrow)?;
        let sought = Sought::of(&named(&fresh, model).map_err(arrow)?[..1]);
        parts.push(rows_of(model, history, known, &Touched::Keys(late), Some(&sought)).await?);
        parts.push(fresh);
    }
    concat_batches(&history_schema(model), &parts).map_err(arrow)
}

/// Hashes of the keys whose stored versions do not say all that their next versions need: whether a version is
/// marked as deleted, and the values that a change does not carry.
fn whole_history(model: &Model, fresh: &RecordBatch, hashes: &[u64]) -> Vec<u64> {
    if deletes(model) == Deletes::Mark {
        return hashes.to_vec();
    }
    let Some(missing) = fresh.column_by_name(UNAVAILABLE).map(|column| column.as_string::<i32>()) else {
        return Vec::new();
    };
    hashes.iter().zip(missing).filter(|(_, names)| names.is_some()).map(|(hash, _)| *hash).collect()
}

/// Hashes of the keys with a new change that does not come after all known changes of its key.
async fn late(
    model: &Model,
    history: &Table,
    known: &[DataFile],
    fresh: &RecordBatch,
    keys: &[ArrayRef],
    hashes: &[u64],
) -> Result<KeySet, CuratedError> {
    let marks = Marks::of(fresh).map_err(of(&model.name))?;
    let ends: Vec<Option<(Vec<u8>, i64)>> = known.iter().map(end).collect();
    let silent = ends.iter().any(Option::is_none);
    let newest = ends.iter().flatten().map(|(order, _)| order.as_slice()).max().unwrap_or_default();
    let latest = ends.iter().flatten().map(|(_, time)| *time).max().unwrap_or(i64::MIN);
    let suspect = |row: &usize| silent || marks.orders.value(*row) <= newest || marks.times.value(*row) <= latest;
    let suspects: Vec<usize> = (0..fresh.num_rows()).filter(suspect).collect();
    let earliest = suspects.iter().map(|row| marks.times.value(*row)).min().unwrap_or(i64::MAX);
    let Some(oldest) = suspects.iter().map(|row| marks.orders.value(*row)).min() else { return Ok(KeySet::default()) };
    if known.is_empty() {
        return Ok(KeySet::default());
    }
    let suspected: KeySet = suspects.iter().map(|row| hashes[*row]).collect();
    let rows = UInt32Array::from_iter_values(suspects.iter().filter_map(|row| u32::try_from(*row).ok()));
    let sought = match keys.first() {
        Some(first) => Sought::of([&take(first, &rows, None).map_err(of(&model.name))?]),
        None => Sought::Any,
    };
    let names: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
    let mut found = KeySet::default();
    for (file, end) in known.iter().zip(&ends) {
        let before = end.as_ref().is_some_and(|(order, time)| order[..] < *oldest && *time < earliest);
        if before || !model.key.first().is_none_or(|first| file.may_hold(first.as_str(), &sought)) {
            continue;
        }
        for batch in history.read_all(std::slice::from_ref(file), Some(&names)).await? {
            found.extend(key_hashes(batch.columns()).into_iter().filter(|hash| suspected.contains(hash)));
        }
    }
    Ok(found)
}

/// Stored versions as changes, with the new changes behind them; keys in `late` left out.
pub(crate) fn continued(
    model: &Model,
    stored: &RecordBatch,
    fresh: &RecordBatch,
    late: &KeySet,
) -> Result<RecordBatch, ArrowError> {
    let column = |name: &str| {
        stored.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a dimension has no `{name}`")))
    };
    let [from, to, _, inferred] = DIMENSION_TAIL;
    let from = column(from)?.as_primitive::<TimestampMicrosecondType>();
    let to = column(to)?.as_primitive::<TimestampMicrosecondType>();
    let inferred = column(inferred)?.as_boolean();
    let keys = named(stored, model)?;
    let hashes = key_hashes(&keys);
    let keys = encoded(&keys)?;
    let key = |row: &u32| keys.row(*row as usize);
    let mut rows: Vec<u32> = (0u32..)
        .zip(&hashes)
        .filter(|(row, hash)| !inferred.value(*row as usize) && !late.contains(*hash))
        .map(|(row, _)| row)
        .collect();
    rows.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(from.value(*a as usize).cmp(&from.value(*b as usize))));

    let mut past = Past::default();
    for versions in rows.chunk_by(|a, b| key(a) == key(b)) {
        let mut place = 0u32;
        for (i, row) in versions.iter().enumerate() {
            past.push(*row, Op::Update, &mut place, from.value(*row as usize));
            let end = to.value(*row as usize);
            let next = versions.get(i + 1).map(|next| from.value(*next as usize));
            if end != OPEN && next != Some(end) {
                past.push(*row, Op::Delete, &mut place, end);
            }
        }
    }
    let rows = UInt32Array::from(past.rows);
    let mut columns: Vec<ArrayRef> = Vec::new();
    for wanted in &model.columns {
        columns.push(take(column(wanted.name.as_str())?, &rows, None)?);
    }
    columns.push(Arc::new(StringArray::from_iter_values(past.ops.iter().map(|op| op.letter()))));
    columns.push(Arc::new(BinaryArray::from_iter_values(past.places.iter())));
    columns.push(Arc::new(TimestampMicrosecondArray::from(past.times).with_timezone("UTC")));
    columns.push(new_null_array(&DataType::Utf8, columns.first().map_or(0, |column| column.len())));
    let schema = history_schema(model);
    let past = RecordBatch::try_new(schema.clone(), columns)?;

    let hashes = key_hashes(&named(fresh, model)?);
    let keep: BooleanArray = hashes.iter().map(|hash| Some(!late.contains(hash))).collect();
    let fresh = filter_record_batch(fresh, &keep)?;
    concat_batches(&schema, [&past, &behind(&fresh)?])
}

/// Changes made of stored versions.
#[derive(Default)]
struct Past {
    rows: Vec<u32>,
    ops: Vec<Op>,
    /// Begin with 0; the order keys of real changes beside them with 1.
    places: Vec<[u8; 5]>,
    times: Vec<i64>,
}

impl Past {
    fn push(&mut self, row: u32, op: Op, place: &mut u32, time: i64) {
        let [a, b, c, d] = place.to_be_bytes();
        *place += 1;
        self.rows.push(row);
        self.ops.push(op);
        self.places.push([0, a, b, c, d]);
        self.times.push(time);
    }
}

/// The same changes with order keys behind those that stored versions get.
fn behind(fresh: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let at = fresh.schema().index_of(ORDER_KEY)?;
    let mut columns = fresh.columns().to_vec();
    let orders = columns[at].as_binary::<i32>();
    let behind = (0..orders.len()).map(|row| [&[1], orders.value(row)].concat());
    columns[at] = Arc::new(BinaryArray::from_iter_values(behind));
    RecordBatch::try_new(fresh.schema(), columns)
}
