//! What a build needs of a key's past: its whole history, or, where all its new changes come after everything
//! that was known of it, no more than its stored versions.
//!
//! Versions are a fold over the changes in order, and what the fold carries on is what the last version stores. So
//! the stored versions, written as changes again (one that opens each, one that closes where nothing follows), give
//! with the new changes exactly the versions that the whole history gives. "After everything" means order and
//! commit time both: then no new change shares an effective time with an old one.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, StringArray, UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::{FutureExt, StreamExt};
use weir_core::change::Op;
use weir_lake::{DataFile, Sought, Table, order_key_tags};
use weir_project::{Deletes, Model};

use crate::changes::Grouping;
use crate::dimension::deletes;
use crate::error::{CuratedError, of};
use crate::key::key_hashes;
use crate::layout::{DIMENSION_TAIL, ORDER_KEY, SOURCE_TS, UNAVAILABLE, history_schema};
use crate::mention::pick;
use crate::room::{AHEAD, KeySet, Mixed, Touched, blocking, fetched, may_hold, named};
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

/// Bytes that the work on the touched keys of these history files takes at its peak. Where the table has `stored` files,
/// the rows of the same keys in them take about as much again.
pub(crate) fn work(files: &[DataFile], touched: &Touched, stored: &[DataFile]) -> u64 {
    let held = |file: &DataFile| {
        let told = file.tag(MEMORY).and_then(|text| text.parse::<u64>().ok());
        told.unwrap_or_else(|| file.size.unsigned_abs() * WORK)
    };
    let work = files.iter().map(held).sum::<u64>() * if stored.is_empty() { WORK } else { 2 * WORK };
    let rows = files.iter().map(|file| file.rows).sum::<u64>().max(1);
    match touched {
        Touched::Keys(keys) => work / rows * rows.min(keys.len() as u64),
        Touched::All | Touched::Part { .. } => work,
    }
}

/// In how many parts so much [`work`] must be done, so that it takes no more than `memory`.
pub(crate) fn parts(work: u64, memory: u64) -> u64 {
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
    let mut late: KeySet = whole_history(model, fresh, &hashes).into_iter().collect();
    let marks = Marks::of(fresh).map_err(arrow)?;
    let suspects = Suspects::among(&marks, &hashes, known);
    let mut read = Vec::new();
    if !known.is_empty() && (!late.is_empty() || !suspects.0.is_empty()) {
        let asked: KeySet = suspects.0.keys().chain(&late).copied().collect();
        let places = places(model, history, known, (&keys, &hashes), &asked).await?;
        for of_file in &places {
            let end = end(&of_file.file);
            let keys = of_file.rows.iter().map(|(_, hash)| *hash);
            late.extend(keys.filter(|key| suspects.is_late(*key, end.as_ref())));
        }
        read = rows_at(model, history, places, &late).await?;
    }
    let (owned, stored, fresh) = (model.clone(), stored.clone(), fresh.clone());
    blocking(model, move || {
        let arrow = of(&owned.name);
        let of_late: BooleanArray = hashes.iter().map(|hash| Some(late.contains(hash))).collect();
        read.push(continued(&owned, &stored, &fresh, &late).map_err(arrow)?);
        read.push(filter_record_batch(&fresh, &of_late).map_err(arrow)?);
        concat_batches(&history_schema(&owned), &read).map_err(arrow)
    })
    .await
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

/// The keys, by hash, with a new change that may not come after all that is known of them, as far as files say; with the
/// first of their new changes, by order and by time.
struct Suspects<'a>(HashMap<u64, (&'a [u8], i64), BuildHasherDefault<Mixed>>);

impl<'a> Suspects<'a> {
    fn among(marks: &'a Marks<'_>, hashes: &[u64], known: &[DataFile]) -> Self {
        let ends: Vec<Option<(Vec<u8>, i64)>> = known.iter().map(end).collect();
        let silent = ends.iter().any(Option::is_none);
        let newest = ends.iter().flatten().map(|(order, _)| order.as_slice()).max().unwrap_or_default();
        let latest = ends.iter().flatten().map(|(_, time)| *time).max().unwrap_or(i64::MIN);
        let mut first: HashMap<u64, (&[u8], i64), _> = HashMap::default();
        for (row, hash) in hashes.iter().enumerate() {
            let (order, time) = (marks.orders.value(row), marks.times.value(row));
            if silent || order <= newest || time <= latest {
                let known = first.entry(*hash).or_insert((order, time));
                *known = (known.0.min(order), known.1.min(time));
            }
        }
        Self(first)
    }

    /// Whether a key has a new change that does not come after all changes in a file, which ends there.
    fn is_late(&self, key: u64, end: Option<&(Vec<u8>, i64)>) -> bool {
        let follows = |(order, time): &(&[u8], i64)| end.is_some_and(|end| *order > &end.0[..] && *time > end.1);
        self.0.get(&key).is_some_and(|first| !follows(first))
    }
}

/// A file's rows of some keys: their positions and their keys' hashes.
struct Places {
    file: DataFile,
    rows: Vec<(u32, u64)>,
}

/// Where the known changes of the keys `asked` are; reads key columns only.
async fn places(
    model: &Model,
    history: &Table,
    known: &[DataFile],
    (keys, hashes): (&[ArrayRef], &[u64]),
    asked: &KeySet,
) -> Result<Vec<Places>, CuratedError> {
    let rows = (0u32..).zip(hashes).filter(|(_, hash)| asked.contains(*hash)).map(|(row, _)| row);
    let sought = Sought::of(pick(&keys[..1], rows.collect()).map_err(of(&model.name))?.iter());
    let names: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
    let read = |file: DataFile| {
        let names = &names;
        async move { Ok::<_, CuratedError>((history.read_all(std::slice::from_ref(&file), Some(names)).await?, file)) }
            .boxed()
    };
    let files = known.iter().filter(|file| may_hold(model, file, Some(&sought)));
    let mut reading = futures::stream::iter(files.cloned().collect::<Vec<_>>()).map(read).buffered(AHEAD);
    let mut found = Vec::new();
    while let Some(read) = reading.next().await {
        let (batches, file) = read?;
        let mut rows = Vec::new();
        let mut from = 0u32;
        for batch in batches {
            let hit = (from..).zip(key_hashes(batch.columns())).filter(|(_, hash)| asked.contains(hash));
            rows.extend(hit);
            from += u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        }
        if !rows.is_empty() {
            found.push(Places { file, rows });
        }
    }
    Ok(found)
}

/// The rows of these keys at these places.
async fn rows_at(
    model: &Model,
    history: &Table,
    places: Vec<Places>,
    keys: &KeySet,
) -> Result<Vec<RecordBatch>, CuratedError> {
    let (files, rows): (Vec<DataFile>, Vec<Vec<u32>>) = places
        .into_iter()
        .map(|Places { file, rows }| {
            let of_keys = rows.into_iter().filter(|(_, hash)| keys.contains(hash));
            (file, of_keys.map(|(row, _)| row).collect::<Vec<_>>())
        })
        .filter(|(_, rows)| !rows.is_empty())
        .unzip();
    let mut fetching = fetched(history, files);
    let mut read = Vec::new();
    for rows in rows {
        let Some(fetched) = fetching.next().await else { break };
        let fetched = fetched?;
        read.push(blocking(model, move || Ok(fetched.decode_all(Some(&rows))?)).await?);
    }
    Ok(read)
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
    let keys = Grouping::new(&named(stored, model)?)?;
    let key = |row: &u32| keys.at(*row as usize);
    let mut rows: Vec<u32> = (0u32..)
        .zip(keys.hashes())
        .filter(|(row, hash)| !inferred.value(*row as usize) && !late.contains(*hash))
        .map(|(row, _)| row)
        .collect();
    let place = |row: &u32| (key(row), from.value(*row as usize));
    rows.sort_unstable_by(|a, b| place(a).cmp(&place(b)));

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
