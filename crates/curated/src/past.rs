//! What a build needs of a key's past: its stored versions, and of its history the part that a late change reaches.
//!
//! Versions are a fold over the changes in order, and what the fold carries on is what the last version stores. So
//! the stored versions, written as changes again (one that opens each, one that closes where nothing follows), stand
//! for all changes that come before a point in the order, provided that every change behind it is at hand. A history
//! file says where its changes end. Of a key whose changes at hand all come after a file's end, that file is not read:
//! its versions up to that end are stored. "After" means order and commit time both: then no change at hand shares an
//! effective time with one that is not.
//!
//! A late change thus costs the files written since what it is late for, not the whole history.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::{FutureExt, StreamExt};
use weir_core::change::Op;
use weir_lake::{DataFile, Sought, Table, order_key_tags};
use weir_project::{Deletes, Model, Scd};

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

    fn at(&self, row: usize) -> At<'a> {
        (Cow::Borrowed(self.orders.value(row)), self.times.value(row))
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

/// The changes from which the versions of the touched keys follow: those of `fresh` (new rows of the history), what
/// they reach of the `known` files, and the stored versions before that as changes.
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
    let mut reach = Reach::of(model, fresh, &hashes, known).map_err(arrow)?;
    let mut read = Vec::new();
    loop {
        let asked = reach.further();
        if asked.is_empty() {
            break;
        }
        for batch in rows_of_keys(model, history, (&keys, &hashes), asked).await? {
            reach.take(model, &batch).map_err(arrow)?;
            read.push(batch);
        }
    }
    let ends = reach.ends();
    let (owned, stored, fresh) = (model.clone(), stored.clone(), fresh.clone());
    blocking(model, move || {
        read.push(fresh);
        continued(&owned, &stored, &read, &ends).map_err(of(&owned.name))
    })
    .await
}

/// The place of a change: its order key and its commit time.
type At<'a> = (Cow<'a, [u8]>, i64);

/// Before every change: all of a key's history is needed.
const WHOLE: At<'static> = (Cow::Borrowed(&[]), i64::MIN);

/// How far back the history of each key is needed.
struct Reach<'a> {
    known: Vec<Known>,
    /// Of each key that may need any of the known files, the first of its changes at hand, by order and by time.
    first: HashMap<u64, At<'a>, BuildHasherDefault<Mixed>>,
    /// Keys of which known changes are at hand.
    late: KeySet,
    /// A type 1 column that keeps its value on closed versions: the open version of a moment in the past cannot be told
    /// from the stored one.
    all_or_none: bool,
}

/// A known file of the history.
struct Known {
    file: DataFile,
    /// The newest order key and the latest commit time in it; none where it does not say.
    end: Option<(Vec<u8>, i64)>,
    /// Keys that were looked for in it.
    asked: KeySet,
}

impl Known {
    fn is_before(&self, (order, time): &At<'_>) -> bool {
        self.end.as_ref().is_some_and(|end| **order > *end.0 && *time > end.1)
    }
}

impl<'a> Reach<'a> {
    fn of(model: &Model, fresh: &'a RecordBatch, hashes: &[u64], known: &[DataFile]) -> Result<Self, ArrowError> {
        let known = known.iter().map(|file| Known { file: file.clone(), end: end(file), asked: KeySet::default() });
        let all_or_none = model.columns.iter().any(|column| column.scd == Scd::Type1Current);
        let mut reach =
            Self { known: known.collect(), first: HashMap::default(), late: KeySet::default(), all_or_none };
        let (marks, lacking) = (Marks::of(fresh)?, lacking(fresh));
        // Whether a version is marked as deleted is not in the stored versions before the last.
        let marked = deletes(model) == Deletes::Mark;
        for (row, hash) in hashes.iter().enumerate() {
            let at = if marked || lacking(row) { WHOLE } else { marks.at(row) };
            if reach.first.contains_key(hash) || !reach.known.iter().all(|known| known.is_before(&at)) {
                reach.note(*hash, at);
            }
        }
        Ok(reach)
    }

    fn note(&mut self, key: u64, at: At<'a>) {
        let first = self.first.entry(key).or_insert_with(|| at.clone());
        if at.0 < first.0 {
            first.0 = at.0;
        }
        first.1 = first.1.min(at.1);
    }

    /// The files that do not end before what is at hand of a key, with these keys; each pair once.
    fn further(&mut self) -> Vec<(DataFile, KeySet)> {
        let mut further = Vec::new();
        for known in &mut self.known {
            let needed = self.first.iter().filter(|(key, at)| !known.asked.contains(key) && !known.is_before(at));
            let keys: KeySet = needed.map(|(key, _)| *key).collect();
            if !keys.is_empty() {
                known.asked.extend(&keys);
                further.push((known.file.clone(), keys));
            }
        }
        further
    }

    /// Takes known changes to hand.
    fn take(&mut self, model: &Model, rows: &RecordBatch) -> Result<(), ArrowError> {
        let (marks, lacking) = (Marks::of(rows)?, lacking(rows));
        for (row, hash) in key_hashes(&named(rows, model)?).into_iter().enumerate() {
            self.late.insert(hash);
            let (order, time) = if self.all_or_none || lacking(row) { WHOLE } else { marks.at(row) };
            self.note(hash, (Cow::Owned(order.into_owned()), time));
        }
        Ok(())
    }

    /// Up to when the stored versions of the late keys stand for the changes that are not at hand.
    fn ends(self) -> Ends {
        let end = |key: &u64| {
            let left = self.known.iter().filter(|known| !known.asked.contains(key));
            left.filter_map(|known| known.end.as_ref()).map(|end| end.1).max().unwrap_or(i64::MIN)
        };
        Ends(self.late.iter().map(|key| (*key, end(key))).collect())
    }
}

/// Up to when stored versions count, of the keys where not all do.
#[derive(Default)]
pub(crate) struct Ends(pub HashMap<u64, i64, BuildHasherDefault<Mixed>>);

/// Whether a change lacks values: those are the ones of the change before it, of which a version need not tell.
fn lacking(rows: &RecordBatch) -> impl Fn(usize) -> bool {
    let missing = rows.column_by_name(UNAVAILABLE).cloned();
    move |row| missing.as_ref().is_some_and(|missing| missing.is_valid(row))
}

/// A known file's rows of its keys, for each of the files. Other columns than the key are decoded only where such a row
/// is.
async fn rows_of_keys(
    model: &Model,
    history: &Table,
    (keys, hashes): (&[ArrayRef], &[u64]),
    asked: Vec<(DataFile, KeySet)>,
) -> Result<Vec<RecordBatch>, CuratedError> {
    let any: KeySet = asked.iter().flat_map(|(_, keys)| keys).copied().collect();
    let rows = (0u32..).zip(hashes).filter(|(_, hash)| any.contains(*hash)).map(|(row, _)| row);
    let sought = Sought::of(pick(&keys[..1], rows.collect()).map_err(of(&model.name))?.iter());
    let names: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
    let places = |(file, keys): (DataFile, KeySet)| {
        let names = &names;
        async move {
            let hashes = history.read_all(std::slice::from_ref(&file), Some(names)).await?;
            let hashes = hashes.iter().flat_map(|batch| key_hashes(batch.columns()));
            let rows: Vec<u32> =
                (0u32..).zip(hashes).filter(|(_, hash)| keys.contains(hash)).map(|(row, _)| row).collect();
            Ok::<_, CuratedError>((file, rows))
        }
        .boxed()
    };
    let asked = asked.into_iter().filter(|(file, _)| may_hold(model, file, Some(&sought)));
    let mut looking = futures::stream::iter(asked.collect::<Vec<_>>()).map(places).buffered(AHEAD);
    let (mut files, mut rows) = (Vec::new(), Vec::new());
    while let Some(found) = looking.next().await {
        let (file, found) = found?;
        if !found.is_empty() {
            files.push(file);
            rows.push(found);
        }
    }
    let mut fetching = fetched(history, files);
    let mut read = Vec::new();
    for rows in rows {
        let Some(fetched) = fetching.next().await else { break };
        let fetched = fetched?;
        read.push(blocking(model, move || Ok(fetched.decode_all(Some(&rows))?)).await?);
    }
    Ok(read)
}

/// Stored versions as changes, as far as they count, with the changes at hand behind them.
pub(crate) fn continued(
    model: &Model,
    stored: &RecordBatch,
    at_hand: &[RecordBatch],
    ends: &Ends,
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
    let until = |row: u32| ends.0.get(&keys.hashes()[row as usize]).copied().unwrap_or(i64::MAX);
    let counts = |row: &u32| !inferred.value(*row as usize) && from.value(*row as usize) <= until(*row);
    let mut rows: Vec<u32> = (0u32..).take(stored.num_rows()).filter(counts).collect();
    let place = |row: &u32| (key(row), from.value(*row as usize));
    rows.sort_unstable_by(|a, b| place(a).cmp(&place(b)));

    let mut past = Past::default();
    for versions in rows.chunk_by(|a, b| key(a) == key(b)) {
        let mut place = 0u32;
        for (i, row) in versions.iter().enumerate() {
            past.push(*row, Op::Update, &mut place, from.value(*row as usize));
            let end = to.value(*row as usize);
            let next = versions.get(i + 1).map(|next| from.value(*next as usize));
            if end != OPEN && end <= until(*row) && next != Some(end) {
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

    let behind = at_hand.iter().map(behind).collect::<Result<Vec<_>, _>>()?;
    concat_batches(&schema, [&past].into_iter().chain(&behind))
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
fn behind(changes: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let at = changes.schema().index_of(ORDER_KEY)?;
    let mut columns = changes.columns().to_vec();
    let orders = columns[at].as_binary::<i32>();
    let behind = (0..orders.len()).map(|row| [&[1], orders.value(row)].concat());
    columns[at] = Arc::new(BinaryArray::from_iter_values(behind));
    RecordBatch::try_new(changes.schema(), columns)
}
