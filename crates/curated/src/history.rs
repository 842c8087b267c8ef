//! A model's change history: every change of its source as the model sees it, in buckets of the key.
//!
//! It has a position of its own in staging, so a build that was killed between the history and the table
//! reads no staging row into it twice; the table goes on from the history's version that it has seen.

use std::collections::BTreeMap;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::error::ArrowError;
use weir_core::failpoint;
use weir_core::zone::Zone;
use weir_lake::{Commit, DataFile, NewFile, Partition, Table};
use weir_project::Model;

use crate::error::{CuratedError, of};
use crate::key::{bucket, complete, key_hashes};
use crate::layout::{ORDER_KEY, SOURCE_TS};
use crate::query;
use crate::room::{Room, blocking, named, of_staging};

/// Rows held in memory before every bucket's are written.
const HELD: usize = 96 << 20;

/// What a history took in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Staging rows read.
    pub read: u64,
    /// Rows without a complete business key, left out.
    pub keyless: u64,
}

/// Appends the new rows of a model's staging table to its history.
pub(crate) async fn append(room: &Room, model: &Model) -> Result<(Table, Taken), CuratedError> {
    let mut history = room.history(model).await?;
    let mut taken = Taken::default();
    let (Some(source), Some(sql)) = (&model.source, &model.sql) else { return Ok((history, taken)) };
    let Some(staging) = room.lake.table(Zone::Staging, source.as_str()).await? else { return Ok((history, taken)) };
    for column in [crate::layout::OP, ORDER_KEY, SOURCE_TS] {
        if staging.schema().index_of(column).is_err() {
            return Err(CuratedError::Staging { table: source.clone(), column: column.to_owned() });
        }
    }
    let position = of_staging(source.as_str());
    let after = history.position(&position).unwrap_or(-1);
    let files: Vec<DataFile> =
        staging.files_added(after, staging.version()).await?.into_iter().map(|(_, file)| file).collect();
    if files.is_empty() {
        return Ok((history, taken));
    }
    let mut buckets = Buckets::default();
    let mut add = Vec::new();
    let mut running = query::run(&room.lake, model, sql, &staging, &files).await?;
    while let Some(batch) = running.next().await? {
        taken.read += batch.num_rows() as u64;
        let (owned, spread) = (model.clone(), room.buckets);
        let (parts, keyless) = blocking(model, move || split(&owned, &batch, spread).map_err(of(&owned.name))).await?;
        taken.keyless += keyless;
        buckets.hold(parts);
        if buckets.bytes > HELD {
            add.extend(history.write_files(buckets.drain()).await?);
        }
    }
    add.extend(history.write_files(buckets.drain()).await?);
    if taken.keyless > 0 {
        tracing::warn!(model = %model.name, rows = taken.keyless, "rows without a complete business key left out");
    }
    let mut positions = room.first_positions(model, &history);
    positions.push((position, staging.version()));
    let counts = serde_json::json!({ "read": taken.read, "keyless": taken.keyless });
    let info = [("weir.curated".to_owned(), counts)].into_iter().collect();
    history.commit(Commit { add, positions, info, ..Commit::default() }).await?;
    failpoint::hit("curated.history_committed");
    Ok((history, taken))
}

/// A batch's rows by bucket, and how many have no complete key.
fn split(model: &Model, batch: &RecordBatch, buckets: u16) -> Result<(Vec<(u16, RecordBatch)>, u64), ArrowError> {
    let keys = named(batch, model)?;
    let whole: BooleanArray = (0..batch.num_rows()).map(|row| Some(complete(&keys, row))).collect();
    let keyless = whole.false_count() as u64;
    let filtered = if keyless > 0 { &filter_record_batch(batch, &whole)? } else { batch };

    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); usize::from(buckets)];
    for (row, hash) in (0u32..).zip(key_hashes(&named(filtered, model)?)) {
        rows[usize::from(bucket(hash, buckets))].push(row);
    }
    let mut parts = Vec::new();
    for (bucket, rows) in (0u16..).zip(rows) {
        if !rows.is_empty() {
            parts.push((bucket, take_record_batch(filtered, &UInt32Array::from(rows))?));
        }
    }
    Ok((parts, keyless))
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

    fn drain(&mut self) -> Vec<NewFile> {
        self.bytes = 0;
        let held = std::mem::take(&mut self.held);
        let file = |(bucket, batches)| NewFile { partition: Partition::Bucket(bucket), batches, tags: BTreeMap::new() };
        held.into_iter().map(file).collect()
    }
}
