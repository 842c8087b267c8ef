//! Facts: from the histories of the touched keys, and the dimensions' versions, to the table's next version.
//!
//! A fact is touched when its own history grew, and when the versions of a business key that it points to
//! changed since the dimension's version that the fact table was built against, which it keeps as a position.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use weir_core::name::ModelName;
use weir_lake::{DataFile, Partition, Table};
use weir_project::Model;

use crate::bucket::{Plan, Rewritten, Stored, rewrite};
use crate::change_set::{Writer, moved_since};
use crate::changes::encoded;
use crate::difference::{Difference, difference};
use crate::error::{CuratedError, of};
use crate::facts::{FactSpec, Wanted, pointer_columns, pointer_keys, spec, wanted};
use crate::history::rebucket;
use crate::index::{Indexes, Pointed};
use crate::invariant::Broken;
use crate::key::{bucket, key_hashes};
use crate::moved;
use crate::past;
use crate::report::TableReport;
use crate::room::{Room, Touched, blocking, named, of_curated, of_key_changes, rows_of, touched};
use crate::table_commit::{Outcome, commit};

/// Builds a fact table.
pub(crate) async fn build(
    room: &Room,
    model: &Model,
    history: &Table,
    indexes: &Indexes,
) -> Result<(Table, TableReport), CuratedError> {
    let mut table = room.table(model).await?;
    let Some(spec) = spec(model).map_err(of(&model.name))? else { return Ok((table, TableReport::of(model, 0))) };
    let stale = room.stale(model, &table);
    if stale {
        rebucket(room, model, &mut table).await?;
    }
    let input = of_curated(history.name());
    let moved = moved_members(room, &spec, &table, indexes).await?;
    let after = table.position(&input).filter(|_| !stale && moved.is_some());
    let mut touched = touched(model, history, after, room.buckets).await?;
    let moved = moved.unwrap_or_default();
    if after.is_some() && moved.iter().any(|(_, hashes)| !hashes.is_empty()) {
        touch_pointing(room, model, &table, &moved, indexes, &mut touched).await?;
    }

    let mut change_set = Writer::new(&room.lake, model, table.schema());
    let mut rewritten = Rewritten::default();
    let mut repointed = Vec::new();
    let mut jobs: Vec<BoxFuture<'_, Result<Done, CuratedError>>> = Vec::new();
    for (bucket, touched) in touched {
        jobs.push(one_bucket(room, model, history, indexes, &table, (bucket, touched)).boxed());
    }
    let mut done = futures::stream::iter(jobs).buffered(room.at_once());
    while let Some(bucket) = done.next().await {
        let bucket = bucket?;
        change_set.then(bucket.change_set).await?;
        rewritten.add.extend(bucket.rewritten.add);
        rewritten.remove.extend(bucket.rewritten.remove);
        repointed.extend(bucket.repointed);
    }
    drop(done);
    change_set.repointed(repointed).await?;
    let mut positions = vec![(input, history.version())];
    for pointer in spec.dimensions {
        if let Some(index) = indexes.get(&pointer.dimension) {
            positions.push((of_curated(pointer.dimension.as_str()), index.table().version()));
        }
        positions.extend(room.members(&pointer.dimension).and_then(|members| members.position()));
    }
    let report = commit(room, model, &mut table, Some(history), Outcome { positions, rewritten, change_set }).await?;
    moved::append(room, model, &table).await?;
    Ok((table, report))
}

/// For each pointer, the business keys (by hash) whose versions changed since this table was built; none where a
/// dimension was made anew since.
async fn moved_members(
    room: &Room,
    spec: &FactSpec<'_>,
    table: &Table,
    indexes: &Indexes,
) -> Result<Option<Vec<(usize, HashSet<u64>)>>, CuratedError> {
    let mut all = Vec::new();
    let mut read: BTreeMap<&ModelName, HashSet<u64>> = BTreeMap::new();
    for (i, pointer) in spec.dimensions.iter().enumerate() {
        let Some(index) = indexes.get(&pointer.dimension) else { continue };
        let Some(after) = table.position(&of_curated(pointer.dimension.as_str())) else { continue };
        if !read.contains_key(&pointer.dimension) {
            let Some(mut moved) = moved_since(index.table(), after).await? else { return Ok(None) };
            // Whom a key belongs to may be another, though no version is.
            if let Some(members) = room.members(&pointer.dimension) {
                moved.extend(members.touched_since(table.position(&of_key_changes(&pointer.dimension))));
            }
            read.insert(&pointer.dimension, moved);
        }
        all.push((i, read[&pointer.dimension].clone()));
    }
    Ok(Some(all))
}

/// Touches the stored facts that point to one of these business keys; reads key columns only.
async fn touch_pointing(
    room: &Room,
    model: &Model,
    table: &Table,
    moved: &[(usize, HashSet<u64>)],
    indexes: &Indexes,
    touched: &mut BTreeMap<u16, Touched>,
) -> Result<(), CuratedError> {
    let Some(spec) = spec(model).map_err(of(&model.name))? else { return Ok(()) };
    let mut columns: BTreeSet<&str> = model.key.iter().map(|name| name.as_str()).collect();
    columns.extend(spec.dimensions.iter().flat_map(|pointer| &pointer.on).map(|name| name.as_str()));
    let columns: Vec<&str> = columns.into_iter().collect();
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut stored = table.read(&files, Some(&columns))?;
    while let Some(batch) = stored.next().await {
        let batch = batch?;
        let arrow = of(&model.name);
        let keys = key_hashes(&named(&batch, model).map_err(arrow)?);
        for (i, hashes) in moved {
            let pointer = &spec.dimensions[*i];
            let Some(index) = indexes.get(&pointer.dimension) else { continue };
            let positions = pointer.on.iter().map(|name| batch.schema().index_of(name.as_str()));
            let positions = positions.collect::<Result<Vec<_>, _>>().map_err(arrow)?;
            let pointed = pointer_keys(batch.columns(), &positions, &index.types).map_err(arrow)?;
            let pointed: Vec<(usize, u64)> = match room.members(&pointer.dimension) {
                Some(members) => members.hashes(&pointed),
                None => key_hashes(&pointed).into_iter().enumerate().collect(),
            };
            for (row, _) in pointed.into_iter().filter(|(_, hash)| hashes.contains(hash)) {
                let in_bucket = touched.entry(bucket(keys[row], room.buckets)).or_insert_with(Touched::none);
                in_bucket.add([keys[row]]);
            }
        }
    }
    Ok(())
}

struct Done {
    rewritten: Rewritten,
    change_set: Writer,
    repointed: Vec<RecordBatch>,
}

/// A bucket's next version, in as many parts of its keys as memory makes necessary.
async fn one_bucket(
    room: &Room,
    model: &Model,
    history: &Table,
    indexes: &Indexes,
    table: &Table,
    (bucket, touched): (u16, Touched),
) -> Result<Done, CuratedError> {
    let partition = Partition::Bucket(bucket);
    let input: Vec<DataFile> = history.files_in(partition).cloned().collect();
    let spec = spec(model).map_err(of(&model.name))?;
    let mut files: Vec<DataFile> = table.files_in(partition).cloned().collect();
    let change_set = Writer::new(&room.lake, model, table.schema());
    let mut out = Done { rewritten: Rewritten::default(), change_set, repointed: Vec::new() };
    for keys in Touched::parts(past::parts(past::work(&input, &touched, &files), room.bucket_memory())) {
        let touched = touched.within(&keys);
        let plan = plan(room, model, history, indexes, table, (bucket, files.clone(), touched)).await?;
        let upserts = plan.upserts().map_err(of(&model.name))?;
        if let Some(spec) = &spec {
            let replaced = plan.replaced().map_err(of(&model.name))?;
            out.repointed.push(moved::moves(model, spec, &replaced, &upserts).map_err(of(&model.name))?);
        }
        out.change_set.upserts(&upserts).await?;
        out.change_set.deletes(&plan.deletes().map_err(of(&model.name))?).await?;
        drop(upserts);
        let next = rewrite(room, model, table, partition, plan).await?;
        out.rewritten.then(next, &mut files);
    }
    Ok(out)
}

/// What one bucket must become.
pub(crate) async fn plan(
    room: &Room,
    model: &Model,
    history: &Table,
    indexes: &Indexes,
    table: &Table,
    (bucket, files, touched): (u16, Vec<DataFile>, Touched),
) -> Result<Plan, CuratedError> {
    let partition = Partition::Bucket(bucket);
    let stored = Stored::read(model, table, files, &touched, None, |_, _| Ok(())).await?;
    let files: Vec<DataFile> = history.files_in(partition).cloned().collect();
    let rows = rows_of(model, history, &files, &touched, None).await?;
    let (loaded, types) = load(room, model, &rows, indexes).await?;
    let owned = model.clone();
    let found = blocking(model, move || {
        let arrow = of(&owned.name);
        match spec(&owned).map_err(arrow)? {
            Some(spec) => wanted(&owned, &spec, &rows, &types, &loaded).map_err(arrow),
            None => {
                Ok(Wanted { rows: RecordBatch::new_empty(crate::layout::table_schema(&owned)), unresolved: vec![] })
            }
        }
    })
    .await?;
    if !found.unresolved.is_empty() {
        let keys = named(&found.rows, model).map_err(of(&model.name))?;
        return Err(CuratedError::Violation {
            model: model.name.clone(),
            broken: Broken::Unresolved,
            count: found.unresolved.len(),
            keys: room.shown(model, &keys, found.unresolved.iter().map(|one| one.row)),
        });
    }
    let difference = differs(room, model, &stored.rows, &found.rows)?;
    Ok(Plan { stored, wanted: found.rows, difference })
}

/// What these changes need of the dimensions that they point to, and the types of their keys.
async fn load(
    room: &Room,
    model: &Model,
    history: &RecordBatch,
    indexes: &Indexes,
) -> Result<(Vec<Pointed>, Vec<Vec<arrow::datatypes::DataType>>), CuratedError> {
    let mut pointers = Vec::new();
    let mut types = Vec::new();
    let spec = spec(model).map_err(of(&model.name))?;
    for pointer in spec.iter().flat_map(|spec| spec.dimensions) {
        let Some(index) = indexes.get(&pointer.dimension) else {
            pointers.push(Pointed::default());
            types.push(Vec::new());
            continue;
        };
        let positions = pointer_columns(model, pointer).map_err(of(&model.name))?;
        let keys = pointer_keys(history.columns(), &positions, &index.types).map_err(of(&model.name))?;
        pointers.push(index.pointed(&keys, room.members(&pointer.dimension)).await?);
        types.push(index.types.clone());
    }
    Ok((pointers, types))
}

/// What of these rows must be written, by business key.
pub(crate) fn differs(
    room: &Room,
    model: &Model,
    stored: &RecordBatch,
    wanted: &RecordBatch,
) -> Result<Difference, CuratedError> {
    let arrow = of(&model.name);
    if stored.num_rows() == 0 {
        // Keys of one computation differ, so nothing can collide.
        return Ok(Difference { upserts: (0..wanted.num_rows() as u32).collect(), ..Difference::default() });
    }
    let columns = |rows: &RecordBatch| encoded(rows.columns());
    let (old, new) = (columns(stored).map_err(arrow)?, columns(wanted).map_err(arrow)?);
    let keys = |rows: &RecordBatch| encoded(&named(rows, model)?);
    let (old_keys, new_keys) = (keys(stored).map_err(arrow)?, keys(wanted).map_err(arrow)?);
    let pairs = |keys: &arrow::row::Rows, rows: &arrow::row::Rows| keys.num_rows().min(rows.num_rows());
    let old: Vec<(&[u8], &[u8])> =
        (0..pairs(&old_keys, &old)).map(|i| (old_keys.row(i).data(), old.row(i).data())).collect();
    let new: Vec<(&[u8], &[u8])> =
        (0..pairs(&new_keys, &new)).map(|i| (new_keys.row(i).data(), new.row(i).data())).collect();
    difference(&old, &new).or_else(|collision| {
        let rows = if collision.stored { stored } else { wanted };
        let keys = named(rows, model).map_err(arrow)?;
        let key = room.shown(model, &keys, std::iter::once(collision.second as usize)).join("");
        Err(CuratedError::Collision { model: model.name.clone(), key })
    })
}
