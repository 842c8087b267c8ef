//! One bucket of a curated table: its stored rows of some keys, and its files written anew where a row changes.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use weir_lake::{DataFile, NewFile, Partition, Table};
use weir_project::Model;

use crate::difference::Difference;
use crate::error::{CuratedError, of};
use crate::key::{complete, key_hashes};
use crate::room::{Touched, named};

/// A bucket with this many files is written into one when it changes.
const MANY_FILES: usize = 8;

/// Stored rows of touched keys, and the files that hold them.
pub(crate) struct Stored {
    /// In table order, without the unknown member.
    pub rows: RecordBatch,
    origin: Vec<(usize, u32)>,
    loaded: Vec<(DataFile, RecordBatch)>,
    others: Vec<DataFile>,
}

impl Stored {
    /// Reads the touched rows. `seen` is shown every stored key, a file's at a time, with its hashes.
    pub async fn read(
        model: &Model,
        table: &Table,
        files: Vec<DataFile>,
        touched: &Touched,
        mut seen: impl FnMut(&[ArrayRef], &[u64]) -> Result<(), CuratedError>,
    ) -> Result<Self, CuratedError> {
        let key: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
        let own: Vec<&str> = table.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let mut stored = Self {
            rows: RecordBatch::new_empty(table.schema().clone()),
            origin: vec![],
            loaded: vec![],
            others: vec![],
        };
        let mut parts = Vec::new();
        for file in files {
            let one = std::slice::from_ref(&file);
            let mut hit = false;
            for keys in table.read_all(one, Some(&key)).await? {
                let hashes = key_hashes(keys.columns());
                seen(keys.columns(), &hashes)?;
                hit = hit || hashes.iter().any(|hash| touched.contains(*hash));
            }
            if !hit {
                stored.others.push(file);
                continue;
            }
            let whole = table.read_all(one, Some(&own)).await?;
            let whole = concat_batches(table.schema(), &whole).map_err(of(&model.name))?;
            let keys = named(&whole, model).map_err(of(&model.name))?;
            let hashes = key_hashes(&keys);
            let rows: Vec<u32> = (0u32..)
                .zip(&hashes)
                .filter(|(row, hash)| touched.contains(**hash) && complete(&keys, *row as usize))
                .map(|(row, _)| row)
                .collect();
            stored.origin.extend(rows.iter().map(|row| (stored.loaded.len(), *row)));
            parts.push(take_record_batch(&whole, &UInt32Array::from(rows)).map_err(of(&model.name))?);
            stored.loaded.push((file, whole));
        }
        if !parts.is_empty() {
            stored.rows = concat_batches(table.schema(), &parts).map_err(of(&model.name))?;
        }
        Ok(stored)
    }
}

/// Files that leave a table and files that come.
#[derive(Default)]
pub(crate) struct Rewritten {
    pub add: Vec<DataFile>,
    pub remove: Vec<DataFile>,
}

/// Writes the bucket's changed rows: into a new file, together with what else was in the files that change.
pub(crate) async fn rewrite(
    model: &Model,
    table: &Table,
    partition: Partition,
    stored: Stored,
    difference: &Difference,
    upserts: &RecordBatch,
) -> Result<Rewritten, CuratedError> {
    if difference.is_empty() {
        return Ok(Rewritten::default());
    }
    let mut keep: Vec<Vec<bool>> = stored.loaded.iter().map(|(_, rows)| vec![true; rows.num_rows()]).collect();
    for row in difference.replaced.iter().chain(&difference.deletes) {
        let (file, at) = stored.origin[*row as usize];
        keep[file][at as usize] = false;
    }
    let many = stored.loaded.len() + stored.others.len() >= MANY_FILES;
    let mut remove = Vec::new();
    let mut batches = Vec::new();
    for ((file, rows), keep) in stored.loaded.into_iter().zip(keep) {
        if !many && keep.iter().all(|keep| *keep) {
            continue;
        }
        batches.push(filter_record_batch(&rows, &BooleanArray::from(keep)).map_err(of(&model.name))?);
        remove.push(file);
    }
    if many {
        let own: Vec<&str> = table.schema().fields().iter().map(|field| field.name().as_str()).collect();
        batches.extend(table.read_all(&stored.others, Some(&own)).await?);
        remove.extend(stored.others);
    }
    batches.push(upserts.clone());
    batches.retain(|batch| batch.num_rows() > 0);
    let mut add = Vec::new();
    if !batches.is_empty() {
        add.push(table.write_file(NewFile { partition, batches, tags: BTreeMap::new() }).await?);
    }
    Ok(Rewritten { add, remove })
}
