//! Which dimension keys and which years the facts' changes mention.
//!
//! A key that any change ever of any fact pointed to, and that has no version of its own, has an inferred
//! member, unless the pointer says that it waits at the unknown member. "Ever" makes this a function of the set of changes that only grows: how changes were cut into
//! builds, or that a fact was corrected or deleted since, does not matter. It counts deliveries: should two come
//! with one identity and different contents, both mention.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::error::ArrowError;
use weir_core::name::ModelName;
use weir_lake::{DataFile, Table};
use weir_project::{DimensionRef, LateParent, Model};

use crate::changes::encoded;
use crate::error::{CuratedError, of};
use crate::facts::{FactSpec, mentioned, spec, years};
use crate::key::{bucket, key_hashes};
use crate::layout::OP;
use crate::room::{Room, of_curated};

/// Distinct business keys of one dimension, each behind its durable key, where there is one.
#[derive(Default)]
pub(crate) struct Keys {
    seen: HashSet<Box<[u8]>>,
    parts: Vec<Vec<ArrayRef>>,
}

impl Keys {
    /// Adds rows of key columns, all complete, each key once.
    pub fn add(&mut self, columns: &[ArrayRef]) -> Result<(), ArrowError> {
        if columns.first().is_none_or(|column| column.is_empty()) {
            return Ok(());
        }
        let rows = encoded(columns)?;
        let mut fresh: Vec<u32> = Vec::new();
        for (row, key) in (0u32..).zip(rows.iter()) {
            if !self.seen.contains(key.data()) {
                self.seen.insert(key.data().into());
                fresh.push(row);
            }
        }
        if !fresh.is_empty() {
            self.parts.push(pick(columns, fresh)?);
        }
        Ok(())
    }

    /// All keys in columns, by the dimension's bucket.
    pub fn by_bucket(self, dimension: &Model, buckets: u16) -> Result<BTreeMap<u16, Vec<ArrayRef>>, ArrowError> {
        let all = together(&self.parts)?;
        let mut rows: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (row, hash) in (0u32..).zip(key_hashes(known_by(dimension, &all))) {
            rows.entry(bucket(hash, buckets)).or_default().push(row);
        }
        rows.into_iter().map(|(bucket, rows)| Ok((bucket, pick(&all, rows)?))).collect()
    }
}

/// Of the columns of mentioned keys, those by which the dimension knows them: all, or the durable key in front.
pub(crate) fn known_by<'a>(dimension: &Model, mentioned: &'a [ArrayRef]) -> &'a [ArrayRef] {
    mentioned.get(..dimension.key.len()).unwrap_or(mentioned)
}

/// Some rows of columns.
pub(crate) fn pick(columns: &[ArrayRef], rows: Vec<u32>) -> Result<Vec<ArrayRef>, ArrowError> {
    let rows = UInt32Array::from(rows);
    columns.iter().map(|column| take(column, &rows, None)).collect()
}

/// Columns one below the other.
pub(crate) fn together(parts: &[Vec<ArrayRef>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let Some(first) = parts.first() else { return Ok(Vec::new()) };
    (0..first.len()).map(|i| concat(&parts.iter().map(|part| part[i].as_ref()).collect::<Vec<_>>())).collect()
}

/// What new fact changes mention.
#[derive(Default)]
pub(crate) struct Mentions {
    pub keys: BTreeMap<ModelName, Keys>,
    pub years: BTreeSet<i32>,
}

/// Reads what the changes that the facts have not seen yet mention.
pub(crate) async fn new_mentions(
    room: &Room,
    histories: &BTreeMap<ModelName, Table>,
) -> Result<Mentions, CuratedError> {
    let mut mentions = Mentions::default();
    for model in room.facts() {
        let (Some(history), Some(spec)) = (histories.get(&model.name), spec(model).map_err(of(&model.name))?) else {
            continue;
        };
        let table = room.table(model).await?;
        let after = table.position(&of_curated(history.name())).unwrap_or(-1);
        let files: Vec<DataFile> =
            history.files_added(after, history.version()).await?.into_iter().map(|(_, file)| file).collect();
        add(room, model, &spec, history, &files, &mut mentions).await?;
    }
    Ok(mentions)
}

/// Reads what all changes ever mention.
pub(crate) async fn all_mentions(
    room: &Room,
    histories: &BTreeMap<ModelName, Table>,
) -> Result<Mentions, CuratedError> {
    let mut mentions = Mentions::default();
    for model in room.facts() {
        let (Some(history), Some(spec)) = (histories.get(&model.name), spec(model).map_err(of(&model.name))?) else {
            continue;
        };
        let files: Vec<DataFile> = history.files().cloned().collect();
        add(room, model, &spec, history, &files, &mut mentions).await?;
    }
    Ok(mentions)
}

/// Keys of one dimension that any change ever mentions.
pub(crate) async fn all_of(
    room: &Room,
    dimension: &Model,
    histories: &BTreeMap<ModelName, Table>,
) -> Result<Keys, CuratedError> {
    Ok(all_mentions(room, histories).await?.keys.remove(&dimension.name).unwrap_or_default())
}

async fn add(
    room: &Room,
    model: &Model,
    spec: &FactSpec<'_>,
    history: &Table,
    files: &[DataFile],
    mentions: &mut Mentions,
) -> Result<(), CuratedError> {
    let mut columns: BTreeSet<&str> = BTreeSet::from([OP]);
    columns.extend(spec.dimensions.iter().flat_map(|pointer| &pointer.on).map(|name| name.as_str()));
    columns.extend(spec.date_keys.iter().map(|key| key.from.as_str()));
    let columns: Vec<&str> = columns.into_iter().collect();
    for file in files {
        for batch in history.read_all(std::slice::from_ref(file), Some(&columns)).await? {
            for pointer in spec.dimensions.iter().filter(|pointer| pointer.late_parent == LateParent::Infer) {
                let types = room.key_types(&pointer.dimension);
                let keys = mentioned(model, pointer, &batch, &types).map_err(of(&model.name))?;
                let keys = room.mentioned(&pointer.dimension, keys).map_err(of(&model.name))?;
                let known = mentions.keys.entry(pointer.dimension.clone()).or_default();
                known.add(&keys).map_err(of(&model.name))?;
            }
            mentions.years.extend(years(model, spec, &batch).map_err(of(&model.name))?);
        }
    }
    Ok(())
}

/// Of these keys of a dimension (by hash), those that any change ever of any fact pointed to.
pub(crate) async fn ever_mentioned(
    room: &Room,
    histories: &BTreeMap<ModelName, Table>,
    dimension: &Model,
    hashes: &HashSet<u64>,
) -> Result<Vec<ArrayRef>, CuratedError> {
    let types = room.key_types(&dimension.name);
    let mut found = Keys::default();
    for model in room.facts() {
        let (Some(history), Some(spec)) = (histories.get(&model.name), spec(model).map_err(of(&model.name))?) else {
            continue;
        };
        let infers = |pointer: &&DimensionRef| pointer.late_parent == LateParent::Infer;
        for pointer in spec.dimensions.iter().filter(infers).filter(|pointer| pointer.dimension == dimension.name) {
            for file in history.files() {
                let read = history.read_all(std::slice::from_ref(file), Some(&pointer_columns(pointer))).await?;
                for batch in read {
                    let keys = mentioned(model, pointer, &batch, &types).map_err(of(&model.name))?;
                    let keys = room.mentioned(&dimension.name, keys).map_err(of(&model.name))?;
                    let known_by = key_hashes(known_by(dimension, &keys));
                    let rows = (0u32..).zip(known_by).filter(|(_, hash)| hashes.contains(hash));
                    let keys = pick(&keys, rows.map(|(row, _)| row).collect()).map_err(of(&model.name))?;
                    found.add(&keys).map_err(of(&model.name))?;
                }
            }
        }
    }
    together(&found.parts).map_err(of(&dimension.name))
}

fn pointer_columns(pointer: &DimensionRef) -> Vec<&str> {
    let mut columns: Vec<&str> = pointer.on.iter().map(|name| name.as_str()).collect();
    columns.push(OP);
    columns
}
