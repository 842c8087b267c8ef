//! One bucket of a curated table: its stored rows of some keys, and its files written anew where a row changes.
//!
//! Inside a bucket the rows stand in the order of the key, in files of at most [`Cut::rows`]: a file whose
//! statistics say that it holds no touched key is not read, so neighbouring keys cost their own files only.
//! A file with changed rows is patched (crate `lake`): unchanged column chunks are copied as they are, new
//! versions follow in a row group of their own. Once many rows were added it is written anew in order, not every
//! file at the same time, so that no build has to do it for all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{
    SortColumn, concat, concat_batches, filter_record_batch, interleave_record_batch, lexsort_to_indices,
    take_record_batch,
};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use weir_lake::{DataFile, Encoded, Fetched, NewFile, Partition, Patch, Sought, Table};
use weir_project::Model;

use crate::difference::Difference;
use crate::error::{CuratedError, of};
use crate::key::{complete, key_hashes};
use crate::layout::surrogate_column;
use crate::room::{Room, Touched, blocking, fetched, may_hold, named};

/// How files are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Rows of a file that is written whole.
    pub rows: usize,
    /// Bytes of these rows in memory, where rows are wide.
    pub bytes: u64,
}

impl Default for Cut {
    fn default() -> Self {
        Self { rows: 16 * 1024, bytes: 16 << 20 }
    }
}

impl Cut {
    /// With files that can be written anew, some at the same time, within so much memory.
    pub fn within(memory: u64) -> Self {
        let cut = Self::default();
        Self { bytes: cut.bytes.min(memory / 32), ..cut }
    }

    /// Whether so many of these rows are too few for a file of their own.
    fn is_few(self, count: usize, rows: &RecordBatch) -> bool {
        let bytes = rows.get_array_memory_size() / rows.num_rows().max(1) * count;
        count <= self.rows / 2 && bytes as u64 <= self.bytes / 2
    }
}

/// Stored rows of touched keys, and the files that hold them.
pub(crate) struct Stored {
    /// In table order, without the unknown member.
    pub rows: RecordBatch,
    /// File (in `loaded`) and position in it of each row.
    origin: Vec<(usize, u32)>,
    loaded: Vec<Arc<Fetched>>,
    others: Vec<DataFile>,
    /// The first so many of `others` hold no touched key by their statistics, and were not looked into.
    unseen: usize,
    /// Of a dimension: the surrogate keys of all rows of the files that were looked into.
    pub surrogates: Vec<i64>,
}

impl Stored {
    /// Reads the touched rows. `keys` are the key columns of all that may be touched or must be seen, none for
    /// all; `seen` is shown the stored keys of every file that may hold one of them, with their hashes.
    pub async fn read(
        model: &Model,
        table: &Table,
        all: Vec<DataFile>,
        touched: &Touched,
        keys: Option<&[&[ArrayRef]]>,
        mut seen: impl FnMut(&[ArrayRef], &[u64]) -> Result<(), CuratedError>,
    ) -> Result<Self, CuratedError> {
        let rows = RecordBatch::new_empty(table.schema().clone());
        let mut stored = Self { rows, origin: vec![], loaded: vec![], others: vec![], unseen: 0, surrogates: vec![] };
        let mut parts = Vec::new();
        let touched = Arc::new(touched.clone());
        let sought = keys.map(|keys| Sought::of(keys.iter().filter_map(|key| key.first())));
        let files;
        (files, stored.others) = all.into_iter().partition(|file| may_hold(model, file, sought.as_ref()));
        stored.unseen = stored.others.len();
        let mut fetching = fetched(table, files);
        while let Some(fetched) = fetching.next().await {
            let fetched = Arc::new(fetched?);
            let (owned, one, wanted) = (model.clone(), fetched.clone(), touched.clone());
            let (keys, surrogates, hashes, rows) = blocking(model, move || {
                let mut names: Vec<&str> = owned.key.iter().map(|name| name.as_str()).collect();
                names.extend(surrogate_column(&owned));
                let mut keys = one.decode(&names, None)?.columns().to_vec();
                let surrogates = keys.split_off(owned.key.len()).pop();
                let hashes = key_hashes(&keys);
                let hit = |(row, hash): &(u32, &u64)| wanted.contains(**hash) && complete(&keys, *row as usize);
                let rows: Vec<u32> = (0u32..).zip(&hashes).filter(hit).map(|(row, _)| row).collect();
                Ok((keys, surrogates, hashes, rows))
            })
            .await?;
            stored.surrogates.extend(surrogates.iter().flat_map(|keys| keys.as_primitive::<Int64Type>().values()));
            seen(&keys, &hashes)?;
            if rows.is_empty() {
                stored.others.push(fetched.file().clone());
                continue;
            }
            stored.origin.extend(rows.iter().map(|row| (stored.loaded.len(), *row)));
            let one = fetched.clone();
            let part = move || Ok(one.decode_all((rows.len() < hashes.len()).then_some(&rows))?);
            parts.push(blocking(model, part).await?);
            stored.loaded.push(fetched);
        }
        if !parts.is_empty() {
            stored.rows = concat_batches(table.schema(), &parts).map_err(of(&model.name))?;
        }
        Ok(stored)
    }

    /// Files that were not looked into.
    pub fn unseen(&self) -> &[DataFile] {
        &self.others[..self.unseen]
    }

    fn take(&self, rows: &[u32]) -> Result<RecordBatch, arrow::error::ArrowError> {
        take_record_batch(&self.rows, &UInt32Array::from(rows.to_vec()))
    }
}

/// What one bucket must become.
pub(crate) struct Plan {
    pub stored: Stored,
    pub wanted: RecordBatch,
    pub difference: Difference,
}

impl Plan {
    pub fn upserts(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        take_record_batch(&self.wanted, &UInt32Array::from(self.difference.upserts.clone()))
    }

    /// Stored rows that give way to upserts.
    pub fn replaced(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        take_record_batch(&self.stored.rows, &UInt32Array::from(self.difference.replaced.clone()))
    }

    pub fn deletes(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        take_record_batch(&self.stored.rows, &UInt32Array::from(self.difference.deletes.clone()))
    }
}

/// Files that leave a table and files that come.
#[derive(Default)]
pub(crate) struct Rewritten {
    pub add: Vec<DataFile>,
    pub remove: Vec<DataFile>,
}

impl Rewritten {
    /// Does another step after this one, which made `files` of what they were.
    pub fn then(&mut self, next: Self, files: &mut Vec<DataFile>) {
        files.retain(|file| !next.remove.contains(file));
        files.extend(next.add.iter().cloned());
        // A file that came and went between two steps is in no commit; it is swept as an orphan.
        let (gone, removed) = next.remove.into_iter().partition::<Vec<_>, _>(|file| self.add.contains(file));
        self.add.retain(|file| !gone.contains(file));
        self.add.extend(next.add);
        self.remove.extend(removed);
    }
}

/// What changes in one file.
#[derive(Default)]
struct Edits {
    /// Position in the file, row of `stored.rows`, row of `wanted`.
    replaced: Vec<(u32, u32, u32)>,
    /// Positions in the file.
    deleted: Vec<u32>,
    /// Rows of `wanted`.
    added: Vec<u32>,
}

/// Writes the bucket's changed rows: into the files that hold their keys.
pub(crate) async fn rewrite(
    room: &Room,
    model: &Model,
    table: &Table,
    partition: Partition,
    plan: Plan,
) -> Result<Rewritten, CuratedError> {
    let Plan { mut stored, wanted, difference } = plan;
    let cut = room.cut;
    let mut out = Rewritten::default();
    if difference.is_empty() {
        return Ok(out);
    }
    let (mut edits, mut rest) = spread(model, &stored, &difference, &wanted).map_err(of(&model.name))?;
    if !rest.is_empty() && cut.is_few(rest.len(), &wanted) {
        let home = match smallest(&stored, cut) {
            Some(Place::Loaded(at)) => Some(at),
            Some(Place::Other(at)) => {
                stored.loaded.push(Arc::new(table.fetch(&stored.others[at]).await?));
                Some(stored.loaded.len() - 1)
            }
            None => None,
        };
        if let Some(home) = home {
            edits.entry(home).or_default().added.append(&mut rest);
        }
    }
    for (at, edits) in edits {
        let fetched = stored.loaded[at].clone();
        out.remove.push(fetched.file().clone());
        let old: Vec<u32> = edits.replaced.iter().map(|(_, old, _)| *old).collect();
        let new: Vec<u32> = edits.replaced.iter().map(|(_, _, new)| *new).collect();
        let pick = |rows: Vec<u32>| take_record_batch(&wanted, &UInt32Array::from(rows)).map_err(of(&model.name));
        let (old, new) = (stored.take(&old).map_err(of(&model.name))?, pick(new)?);
        let added = pick(edits.added.clone())?;
        let owned = model.clone();
        let made = blocking(model, move || made(&owned, cut, &fetched, &edits, [&old, &new, &added])).await?;
        match made {
            Made::Patched(encoded) => out.add.push(table.write_encoded(encoded, partition, BTreeMap::new()).await?),
            Made::Anew(batches) => out.add.extend(table.write_files(files(partition, batches)).await?),
        }
    }
    if !rest.is_empty() {
        let owned = model.clone();
        let rows = blocking(model, move || {
            let arrow = of(&owned.name);
            let rows = take_record_batch(&wanted, &UInt32Array::from(rest)).map_err(arrow)?;
            drop(wanted);
            by_key(&owned, &[&rows]).map_err(arrow)
        });
        let rows = rows.await?;
        drop(stored);
        out.add.extend(table.write_files(files(partition, slices(&rows, cut))).await?);
    }
    Ok(out)
}

enum Place {
    Loaded(usize),
    Other(usize),
}

/// The file that takes rows of new keys: the smallest, if it has room.
fn smallest(stored: &Stored, cut: Cut) -> Option<Place> {
    let loaded = stored.loaded.iter().enumerate().map(|(at, file)| (file.file().rows, Place::Loaded(at)));
    let others = stored.others.iter().enumerate().map(|(at, file)| (file.rows, Place::Other(at)));
    let found = loaded.chain(others).min_by_key(|(rows, _)| *rows)?;
    (found.0 < cut.rows as u64 / 2).then_some(found.1)
}

/// What changes in which file, and the rows of new keys.
fn spread(
    model: &Model,
    stored: &Stored,
    difference: &Difference,
    wanted: &RecordBatch,
) -> Result<(BTreeMap<usize, Edits>, Vec<u32>), arrow::error::ArrowError> {
    let mut edits: BTreeMap<usize, Edits> = BTreeMap::new();
    for (old, new) in difference.replaced.iter().zip(&difference.replacing) {
        let (file, at) = stored.origin[*old as usize];
        edits.entry(file).or_default().replaced.push((at, *old, *new));
    }
    for old in &difference.deletes {
        let (file, at) = stored.origin[*old as usize];
        edits.entry(file).or_default().deleted.push(at);
    }
    let replacing: std::collections::HashSet<u32> = difference.replacing.iter().copied().collect();
    let fresh = difference.upserts.iter().filter(|row| !replacing.contains(row));
    let hashes = key_hashes(&named(wanted, model)?);
    let known: HashMap<u64, usize> =
        key_hashes(&named(&stored.rows, model)?).into_iter().zip(stored.origin.iter().map(|(file, _)| *file)).collect();
    let mut new_keys: Vec<u32> = Vec::new();
    for row in fresh {
        match known.get(&hashes[*row as usize]) {
            Some(file) => edits.entry(*file).or_default().added.push(*row),
            None => new_keys.push(*row),
        }
    }
    for edit in edits.values_mut() {
        edit.replaced.sort_unstable();
        edit.deleted.sort_unstable();
    }
    Ok((edits, new_keys))
}

enum Made {
    Patched(Encoded),
    Anew(Vec<RecordBatch>),
}

/// A file with its edits: patched, or in rows to be written anew.
fn made(
    model: &Model,
    cut: Cut,
    fetched: &Fetched,
    edits: &Edits,
    [old, new, added]: [&RecordBatch; 3],
) -> Result<Made, CuratedError> {
    let long = fetched.file().rows + edits.added.len() as u64 > 2 * cut.rows as u64 || fetched.memory() > 2 * cut.bytes;
    let rows: Vec<u32> = edits.replaced.iter().map(|(at, ..)| *at).collect();
    if !long {
        let patch = Patch { rows: &rows, old, new, deleted: &edits.deleted, added };
        if let Some(encoded) = fetched.patched(&patch)? {
            return Ok(Made::Patched(encoded));
        }
    }
    let arrow = of(&model.name);
    let whole = fetched.decode_all(None)?;
    let mut keep = vec![true; whole.num_rows()];
    rows.iter().chain(&edits.deleted).for_each(|at| keep[*at as usize] = false);
    let kept = filter_record_batch(&whole, &BooleanArray::from(keep)).map_err(arrow)?;
    drop(whole);
    Ok(Made::Anew(slices(&by_key(model, &[&kept, new, added]).map_err(arrow)?, cut)))
}

/// The rows of these batches in the order of the key.
pub(crate) fn by_key(model: &Model, batches: &[&RecordBatch]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let keys = batches.iter().map(|rows| named(rows, model)).collect::<Result<Vec<_>, _>>()?;
    let column = |at: usize| {
        let parts: Vec<&dyn Array> = keys.iter().map(|keys| keys[at].as_ref()).collect();
        Ok(SortColumn { values: concat(&parts)?, options: None })
    };
    let columns = (0..model.key.len()).map(column).collect::<Result<Vec<_>, arrow::error::ArrowError>>()?;
    let places = |(batch, rows): (usize, &RecordBatch)| (0..rows.num_rows()).map(move |row| (batch, row));
    let places: Vec<(usize, usize)> = batches.iter().copied().enumerate().flat_map(places).collect();
    // A grand total has no key.
    let order = match columns.is_empty() {
        true => places,
        false => lexsort_to_indices(&columns, None)?.values().iter().map(|at| places[*at as usize]).collect(),
    };
    interleave_record_batch(batches, &order)
}

/// In parts of nearly equal length, none above [`Cut::rows`] or, as far as rows are alike, [`Cut::bytes`].
pub(crate) fn slices(rows: &RecordBatch, cut: Cut) -> Vec<RecordBatch> {
    let wide = (rows.get_array_memory_size() as u64).div_ceil(cut.bytes);
    let parts = rows.num_rows().div_ceil(cut.rows).max(usize::try_from(wide).unwrap_or(1)).max(1);
    let each = rows.num_rows().div_ceil(parts).max(1);
    let cuts = (0..rows.num_rows()).step_by(each);
    cuts.map(|from| rows.slice(from, each.min(rows.num_rows() - from))).collect()
}

fn files(partition: Partition, batches: Vec<RecordBatch>) -> Vec<NewFile> {
    batches.into_iter().map(|batch| NewFile { partition, batches: vec![batch], tags: BTreeMap::new() }).collect()
}
