//! A model's change history: every change of its source as the model sees it, in buckets of the key.
//!
//! It has a position of its own in staging, so a build that was killed between the history and the table
//! reads no staging row into it twice; the table goes on from the history's version that it has seen.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use futures::StreamExt;
use weir_core::failpoint;
use weir_core::name::TableName;
use weir_core::zone::{Hour, Zone};
use weir_lake::{Commit, DataFile, NewFile, Partition, Table, Traffic};
use weir_project::Model;

use crate::bucket::{Cut, by_key, slices};
use crate::error::{CuratedError, of};
use crate::key::{bucket, complete, key_hashes};
use crate::layout::{ORDER_KEY, SOURCE_TS};
use crate::members::durable_key;
use crate::room::{Room, blocking, named, of_staging};
use crate::{key_changes, past, query};

/// Bytes of rows held in memory before every bucket's are written, where memory allows.
const HELD: u64 = 96 << 20;
/// Buckets that are sorted and written at the same time.
const WRITES_AT_ONCE: usize = 4;
/// Position under which a history keeps the time before which a restatement left its rows as they were.
const KEPT_BEFORE: &str = "weir:curated:kept_before";
/// Position of the version at which a history of members by durable keys was last read anew: a table that follows an
/// older one is computed anew as a whole.
const READ_ANEW: &str = "weir:curated:read_anew";
/// Its value where every row is of today's definition.
const NOTHING_KEPT: i64 = i64::MIN;

/// What a history took in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Staging rows read.
    pub read: u64,
    /// Rows without a complete business key, left out.
    pub keyless: u64,
    /// Files of staging read.
    pub traffic: Traffic,
}

/// Appends the new rows of a model's staging table to its history.
pub(crate) async fn append(room: &Room, model: &Model) -> Result<(Table, Taken), CuratedError> {
    let mut history = room.history(model).await?;
    let mut taken = Taken::default();
    let (Some(source), Some(sql)) = (&model.source, &model.sql) else { return Ok((history, taken)) };
    let Some(staging) = room.lake.table(Zone::Staging, source.as_str()).await? else { return Ok((history, taken)) };
    refuse_incomplete(source, &staging)?;
    let position = of_staging(source.as_str());
    let after = history.position(&position).unwrap_or(-1);
    let files: Vec<DataFile> =
        staging.files_added(after, staging.version()).await?.into_iter().map(|(_, file)| file).collect();
    if files.is_empty() {
        return Ok((history, taken));
    }
    let members = key_changes::take_in(room, model, &staging).await?;
    if let Some(members) = &members
        && key_changes::misplaces(model, members, &history).await?
    {
        tracing::warn!(model = %model.name, "a business key's change came behind changes of the new key: the history is read anew");
        return restated(room, model, kept_before(&history)).await;
    }
    let mut out = Spread::into(room, model, &history, Kind::History);
    let mut running = query::run(&room.lake, (model, sql), members.clone(), &staging, &files).await?;
    while let Some(batch) = running.next().await? {
        taken.read += batch.num_rows() as u64;
        taken.keyless += out.take(batch).await?;
    }
    let add = out.finish().await?;
    taken.traffic = staging.traffic();
    if taken.keyless > 0 {
        tracing::warn!(model = %model.name, rows = taken.keyless, "rows without a complete business key left out");
    }
    let rewind = room.history_marks(model, &history);
    let mut positions = vec![(position, staging.version())];
    positions.extend(members.and_then(|members| members.position()));
    let info = info(taken);
    history.commit(Commit { add, positions, rewind, info, ..Commit::default() }).await?;
    failpoint::hit("curated.history_committed");
    Ok((history, taken))
}

fn info(taken: Taken) -> serde_json::Map<String, serde_json::Value> {
    let counts = serde_json::json!({ "read": taken.read, "keyless": taken.keyless });
    [("weir.curated".to_owned(), counts)].into_iter().collect()
}

/// Reads a model's history anew from staging, in today's definition, and swaps it in one commit. With `from`,
/// only changes whose commit time at the source is not before it are read anew; the rows of earlier ones stay, so
/// the columns must be the same.
pub(crate) async fn restate(room: &Room, model: &Model, from: Option<i64>) -> Result<Table, CuratedError> {
    restated(room, model, from).await.map(|(history, _)| history)
}

async fn restated(room: &Room, model: &Model, from: Option<i64>) -> Result<(Table, Taken), CuratedError> {
    let mut history = room.history_to_restate(model).await?;
    let mut taken = Taken::default();
    let (Some(source), Some(sql)) = (&model.source, &model.sql) else { return Ok((history, taken)) };
    let staging = room.lake.table(Zone::Staging, source.as_str()).await?;
    let members = match &staging {
        Some(staging) => key_changes::take_in(room, model, staging).await?,
        None => None,
    };
    let remove: Vec<DataFile> = history.files().cloned().collect();
    let mut out = Spread::into(room, model, &history, Kind::History);
    if let Some(from) = from {
        let mut kept = history.read(&remove, Some(&history.column_names()))?;
        while let Some(batch) = kept.next().await {
            let batch = only(&batch?, |time| time < from).map_err(of(&model.name))?;
            let batch = match &members {
                Some(members) => members.refilled(model, &batch).map_err(of(&model.name))?,
                None => batch,
            };
            out.take(batch).await?;
        }
    }
    let mut positions: Vec<(String, i64)> = members.iter().filter_map(|members| members.position()).collect();
    if durable_key(model).is_some() {
        positions.push((READ_ANEW.to_owned(), history.version() + 1));
    }
    if let Some(staging) = staging {
        refuse_incomplete(source, &staging)?;
        let first = from.map(Hour::of_micros);
        let young = |file: &&DataFile| !matches!(file.partition, Partition::Hour(hour) if Some(hour) < first);
        let files: Vec<DataFile> = staging.files().filter(young).cloned().collect();
        let mut running = query::run(&room.lake, (model, sql), members.clone(), &staging, &files).await?;
        while let Some(batch) = running.next().await? {
            let batch = match from {
                Some(from) => only(&batch, |time| time >= from).map_err(of(&model.name))?,
                None => batch,
            };
            taken.read += batch.num_rows() as u64;
            taken.keyless += out.take(batch).await?;
        }
        positions.push((of_staging(source.as_str()), staging.version()));
    }
    let add = out.finish().await?;
    let mut rewind = room.history_marks(model, &history);
    rewind.push((KEPT_BEFORE.to_owned(), from.unwrap_or(NOTHING_KEPT)));
    let info = info(taken);
    history.commit(Commit { add, remove, positions, rewind, info, ..Commit::default() }).await?;
    failpoint::hit("restate.history_committed");
    Ok((history, taken))
}

/// When a history of members by durable keys was last read anew, as a position of a table that follows it.
pub(crate) fn read_anew(history: &Table) -> Option<(String, i64)> {
    history.position(READ_ANEW).map(|version| (READ_ANEW.to_owned(), version))
}

/// Whether staging holds rows that a history has not taken.
pub(crate) async fn is_behind(room: &Room, model: &Model, history: &Table) -> Result<bool, CuratedError> {
    let Some(source) = &model.source else { return Ok(false) };
    let Some(staging) = room.lake.table(Zone::Staging, source.as_str()).await? else { return Ok(false) };
    let after = history.position(&of_staging(source.as_str())).unwrap_or(-1);
    Ok(!staging.files_added(after, staging.version()).await?.is_empty())
}

/// The time before which a history's rows were kept by a restatement, and so need not be what today's query
/// gives for staging's rows.
pub(crate) fn kept_before(history: &Table) -> Option<i64> {
    history.position(KEPT_BEFORE).filter(|from| *from != NOTHING_KEPT)
}

/// Rows whose commit time is as wanted.
fn only(batch: &RecordBatch, wanted: impl Fn(i64) -> bool) -> Result<RecordBatch, ArrowError> {
    let times = batch.column_by_name(SOURCE_TS).and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let times = times.ok_or_else(|| ArrowError::SchemaError(format!("rows lack `{SOURCE_TS}`")))?;
    let keep: BooleanArray = times.iter().map(|time| Some(time.is_some_and(&wanted))).collect();
    filter_record_batch(batch, &keep)
}

/// Moves a table's rows to today's buckets, in a commit that changes no row; nothing to do when they lie there.
pub(crate) async fn rebucket(room: &Room, model: &Model, table: &mut Table) -> Result<(), CuratedError> {
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut stray = false;
    for file in &files {
        let Partition::Bucket(at) = file.partition else { return Ok(()) };
        let key: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
        for keys in table.read_all(std::slice::from_ref(file), Some(&key)).await? {
            stray = stray || key_hashes(keys.columns()).into_iter().any(|hash| bucket(hash, room.buckets) != at);
        }
    }
    if !stray {
        return Ok(());
    }
    let mut out = Spread::into(room, model, table, Kind::Table);
    let mut rows = table.read(&files, Some(&table.column_names()))?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let parts = spread(model, &batch, room.buckets).map_err(of(&model.name))?;
        out.hold(parts).await?;
    }
    let add = out.finish().await?;
    table.commit(Commit { add, remove: files, rearranges: true, ..Commit::default() }).await?;
    Ok(())
}

/// Whether files say how far the changes in them reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    History,
    Table,
}

/// Rows on their way into the buckets of a table.
struct Spread<'a> {
    buckets: Buckets,
    /// Bytes that are held: sorted and encoded, the rows are there more than once.
    most: u64,
    add: Vec<DataFile>,
    room: &'a Room,
    model: &'a Model,
    table: &'a Table,
    kind: Kind,
}

impl<'a> Spread<'a> {
    fn into(room: &'a Room, model: &'a Model, table: &'a Table, kind: Kind) -> Self {
        let most = HELD.min(room.lake.memory() / 6);
        Self { buckets: Buckets::default(), most, add: Vec::new(), room, model, table, kind }
    }

    /// Takes the rows with a complete key; how many have none.
    async fn take(&mut self, batch: RecordBatch) -> Result<u64, CuratedError> {
        let (owned, to) = (self.model.clone(), self.room.buckets);
        let work = move || split(&owned, &batch, to).map_err(of(&owned.name));
        let (parts, keyless) = blocking(self.model, work).await?;
        self.hold(parts).await?;
        Ok(keyless)
    }

    async fn hold(&mut self, parts: Vec<(u16, RecordBatch)>) -> Result<(), CuratedError> {
        self.buckets.hold(parts);
        if self.buckets.bytes as u64 > self.most { self.write().await } else { Ok(()) }
    }

    /// Bucket by bucket, so that only few rows are there a second time, sorted.
    async fn write(&mut self) -> Result<(), CuratedError> {
        let (model, cut, kind, table) = (self.model, self.room.cut, self.kind, self.table);
        let mut writing = futures::stream::iter(self.buckets.drain())
            .map(|(bucket, batches)| async move {
                let owned = model.clone();
                let work = move || files(&owned, cut, kind, bucket, batches).map_err(of(&owned.name));
                Ok::<_, CuratedError>(table.write_files(blocking(model, work).await?).await?)
            })
            .buffered(WRITES_AT_ONCE);
        while let Some(written) = writing.next().await {
            self.add.extend(written?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<DataFile>, CuratedError> {
        self.write().await?;
        Ok(self.add)
    }
}

/// A bucket's rows in the order of the key.
fn files(
    model: &Model,
    cut: Cut,
    kind: Kind,
    bucket: u16,
    batches: Vec<RecordBatch>,
) -> Result<Vec<NewFile>, ArrowError> {
    let rows = by_key(model, &batches.iter().collect::<Vec<_>>())?;
    drop(batches);
    let file = |part: RecordBatch| {
        let tags = match kind {
            Kind::History => past::tags(&part)?,
            Kind::Table => BTreeMap::new(),
        };
        Ok(NewFile { partition: Partition::Bucket(bucket), batches: vec![part], tags })
    };
    slices(&rows, cut).into_iter().map(file).collect()
}

/// A batch's rows by bucket, and how many have no complete key.
fn split(model: &Model, batch: &RecordBatch, buckets: u16) -> Result<(Vec<(u16, RecordBatch)>, u64), ArrowError> {
    let keys = named(batch, model)?;
    let whole: BooleanArray = (0..batch.num_rows()).map(|row| Some(complete(&keys, row))).collect();
    let keyless = whole.false_count() as u64;
    let filtered = if keyless > 0 { &filter_record_batch(batch, &whole)? } else { batch };
    Ok((spread(model, filtered, buckets)?, keyless))
}

/// A batch's rows by bucket.
fn spread(model: &Model, batch: &RecordBatch, buckets: u16) -> Result<Vec<(u16, RecordBatch)>, ArrowError> {
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); usize::from(buckets)];
    for (row, hash) in (0u32..).zip(key_hashes(&named(batch, model)?)) {
        rows[usize::from(bucket(hash, buckets))].push(row);
    }
    let mut parts = Vec::new();
    for (bucket, rows) in (0u16..).zip(rows) {
        if !rows.is_empty() {
            parts.push((bucket, take_record_batch(batch, &UInt32Array::from(rows))?));
        }
    }
    Ok(parts)
}

fn refuse_incomplete(source: &TableName, staging: &Table) -> Result<(), CuratedError> {
    for column in [crate::layout::OP, ORDER_KEY, SOURCE_TS] {
        if staging.schema().index_of(column).is_err() {
            return Err(CuratedError::Staging { table: source.clone(), column: column.to_owned() });
        }
    }
    Ok(())
}

#[derive(Default)]
struct Buckets {
    held: BTreeMap<u16, Vec<RecordBatch>>,
    bytes: usize,
}

impl Buckets {
    fn hold(&mut self, parts: Vec<(u16, RecordBatch)>) {
        for (bucket, rows) in parts {
            self.bytes += rows.get_array_memory_size();
            self.held.entry(bucket).or_default().push(rows);
        }
    }

    fn drain(&mut self) -> BTreeMap<u16, Vec<RecordBatch>> {
        self.bytes = 0;
        std::mem::take(&mut self.held)
    }
}
