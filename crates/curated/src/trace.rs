//! What a trace needs to know of one key: its changes as a model sees them, the rows that came of them, and
//! which change made which version. Reads one bucket per table. In a dimension with a durable key these are the changes
//! and rows of every member whose key it ever was, under all the keys that the member had.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use weir_core::key_hash::key_hash;
use weir_core::value::Row;
use weir_core::zone::Zone;
use weir_lake::{DataFile, Lake, Partition, Sought, Table};
use weir_project::{Model, Project};

use crate::changes::{Changes, columns};
use crate::dimension::deletes;
use crate::error::{CuratedError, of};
use crate::facts::spec;
use crate::key::{bucket, row_at};
use crate::key_changes;
use crate::layout::history_name;
use crate::members::{durable_key, kept};
use crate::room::{KeySet, Room, Touched, named, of_staging, rows_of};
use crate::scd::{Version, effective_times, version_key, versions};
use crate::unavailable::resolved;

/// Rows of one key, and how much was read to find them.
#[derive(Debug, Clone)]
pub struct Found {
    /// The rows, with the table's columns.
    pub rows: RecordBatch,
    /// The table.
    pub table: Table,
    /// Files of the key's bucket.
    pub files: usize,
}

/// The changes of a key in a model's history; none before the first build. `key` has one row, in key order and
/// in the declared types.
pub async fn history(
    project: &Project,
    lake: &Lake,
    model: &Model,
    key: &[ArrayRef],
) -> Result<Option<Found>, CuratedError> {
    rows(project, lake, model, &history_name(&model.name), key).await
}

/// The rows of a key in a model's table; none before the first build.
pub async fn stored(
    project: &Project,
    lake: &Lake,
    model: &Model,
    key: &[ArrayRef],
) -> Result<Option<Found>, CuratedError> {
    rows(project, lake, model, model.name.as_str(), key).await
}

/// How far a model's history has read its staging table.
pub fn staged_up_to(model: &Model, history: Option<&Table>) -> i64 {
    let source = model.source.as_ref().map(|source| of_staging(source.as_str()));
    source.and_then(|position| history?.position(&position)).unwrap_or(-1)
}

async fn rows(
    project: &Project,
    lake: &Lake,
    model: &Model,
    name: &str,
    key: &[ArrayRef],
) -> Result<Option<Found>, CuratedError> {
    let Some(table) = lake.table(Zone::Curated, name).await? else { return Ok(None) };
    let (room, model) = (Room::new(project, lake), &kept(model));
    let known_by: Vec<Row> = match durable_key(model) {
        None => vec![row_at(key, 0)],
        // All whose key it ever was.
        Some(_) => match lake.table(Zone::Curated, &history_name(&model.name)).await? {
            Some(history) => {
                let members = key_changes::members(&room, model, &history).await?;
                members.map_or_else(Vec::new, |members| members.rows_of(&row_at(key, 0)))
            }
            None => return Ok(None),
        },
    };
    let hashes: KeySet = known_by.iter().map(key_hash).collect();
    let buckets: BTreeSet<u16> = hashes.iter().map(|hash| bucket(*hash, room.buckets)).collect();
    let files: Vec<DataFile> =
        buckets.iter().flat_map(|bucket| table.files_in(Partition::Bucket(*bucket))).cloned().collect();
    let sought = if durable_key(model).is_some() { Sought::Any } else { Sought::of(&key[..1]) };
    let found = rows_of(model, &table, &files, &Touched::Keys(hashes), Some(&sought)).await?;
    // Another key may have the same hash.
    let rows = only(model, &found, &known_by).and_then(|rows| resolved(model, &rows)).map_err(of(&model.name))?;
    Ok(Some(Found { rows, table, files: files.len() }))
}

fn only(model: &Model, rows: &RecordBatch, known_by: &[Row]) -> Result<RecordBatch, ArrowError> {
    let keys = named(rows, model)?;
    let keep = (0..rows.num_rows()).map(|row| Some(known_by.contains(&row_at(&keys, row)))).collect();
    filter_record_batch(rows, &keep)
}

/// A version, and the changes that it comes from, as rows of the history that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeVersion {
    /// Its surrogate key.
    pub surrogate: i64,
    /// Its interval, and the changes that its values come from.
    pub version: Version,
    /// The change that ended it; none for the current one.
    pub closed_by: Option<u32>,
}

/// The versions that a dimension holds for the changes of a key, of each member by itself, oldest first.
pub fn made_versions(model: &Model, history: &RecordBatch) -> Result<Vec<MadeVersion>, CuratedError> {
    let model = &kept(model);
    let made = || -> Result<Vec<MadeVersion>, ArrowError> {
        let changes = Changes::new(model, history)?;
        let keys = columns(history, &model.key_indexes());
        let mut made = Vec::new();
        let mut steps = Vec::new();
        for group in changes.groups() {
            changes.steps(group, &mut steps);
            for (index, version) in versions(&mut steps, deletes(model)).into_iter().enumerate() {
                let key: Row = row_at(&keys, version.opened_by as usize);
                // Of the changes with one effective time the last one counts.
                let ends = effective_times(&steps).filter(|(at, _)| *at == version.to).last();
                made.push(MadeVersion {
                    surrogate: version_key(&model.name, &key, index, version.from),
                    version,
                    closed_by: ends.filter(|_| !version.is_current()).map(|(_, step)| step.row),
                });
            }
        }
        Ok(made)
    };
    made().map_err(of(&model.name))
}

/// The row of the newest change of the one key of these changes; none where that is a delete.
pub fn newest(model: &Model, history: &RecordBatch) -> Result<Option<u32>, CuratedError> {
    let found = || -> Result<Option<u32>, ArrowError> {
        if spec(model)?.is_none() {
            return Ok(None);
        }
        let changes = Changes::new(model, history)?;
        let mut steps = Vec::new();
        let mut newest = None;
        for group in changes.groups() {
            changes.steps(group, &mut steps);
            newest = crate::fact::fact(&mut steps, 0, |_, _| false).map(|fact| fact.newest);
        }
        Ok(newest)
    };
    found().map_err(of(&model.name))
}
