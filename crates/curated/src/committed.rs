//! The last look before a publication: what the tables hold, as committed, for the keys that changed since the
//! publication before. It reads the files anew, so that a fault between computing and storing, or a table
//! changed by somebody else meanwhile, stops the publication and not a user's report.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use weir_core::name::ModelName;
use weir_core::publication::Publication;
use weir_lake::{DataFile, Partition, Sought, Table};
use weir_project::{Model, ModelKind};

use crate::change_set::read_rows;
use crate::changes::Grouping;
use crate::error::{CuratedError, of};
use crate::facts::{point, pointer_keys, spec};
use crate::index::Indexes;
use crate::invariant::Broken;
use crate::key::{bucket, complete, key_hashes};
use crate::layout::{CHANGE, DIMENSION_TAIL, EVENT_TIME, load_key};
use crate::room::{KeySet, Mixed, Room, blocking, may_hold, named};
use crate::scd::OPEN;
use crate::table_diff::by_name;

/// Looks at every table that has something in what is to be published.
pub(crate) async fn verify(
    room: &Room,
    tables: &BTreeMap<ModelName, Table>,
    indexes: &Indexes,
    draft: &Publication,
) -> Result<(), CuratedError> {
    for model in room.models.iter() {
        let published = draft.tables.iter().find(|published| published.table == model.name);
        let Some((table, published)) = tables.get(&model.name).zip(published) else { continue };
        let mut changed = Changed::default();
        let mut columns = load_key(model);
        columns.extend(model.key.iter().map(ToString::to_string));
        columns.push(CHANGE.to_owned());
        for file in published.change_sets.iter().flat_map(|change_set| &change_set.files) {
            for rows in read_rows(&room.lake, &file.path, Some(&columns)).await? {
                changed.add(model, &rows, room.buckets).map_err(of(&model.name))?;
            }
        }
        let sought = changed.sought();
        let mut looks: Vec<BoxFuture<'_, Result<(), CuratedError>>> = Vec::new();
        for (at, changed) in changed.buckets {
            looks.push(look(room, model, table, indexes, &sought, (at, changed)).boxed());
        }
        let mut looking = futures::stream::iter(looks).buffered(room.at_once());
        while let Some(bucket) = looking.next().await {
            bucket?;
        }
    }
    Ok(())
}

async fn look(
    room: &Room,
    model: &Model,
    table: &Table,
    indexes: &Indexes,
    sought: &Sought,
    (at, changed): (u16, OfBucket),
) -> Result<(), CuratedError> {
    let changed = Arc::new(changed);
    let stored = stored(model, table, (at, &changed), sought).await?;
    judge(room, model, &changed, &stored, indexes).await
}

/// Changed rows whose key values are kept, to skip files by; where there are more, most files hold one anyway.
const FEW: usize = 64 * 1024;

/// What change sets say of a table. Keys are known by hash, so that a first load's do not fill the memory.
#[derive(Default)]
struct Changed {
    buckets: BTreeMap<u16, OfBucket>,
    rows: usize,
    /// The first key column of the rows, while they are few.
    first: Vec<ArrayRef>,
}

#[derive(Default)]
struct OfBucket {
    /// Business keys.
    keys: KeySet,
    /// Whether the row of a load key is there.
    rows: HashMap<u64, bool, BuildHasherDefault<Mixed>>,
}

impl Changed {
    fn add(&mut self, model: &Model, rows: &RecordBatch, buckets: u16) -> Result<(), ArrowError> {
        let keys = named(rows, model)?;
        let letters = rows.column(rows.num_columns() - 1).as_string::<i32>();
        let load_keys = key_hashes(&by_name(rows, &load_key(model))?);
        for (row, (key, load_key)) in key_hashes(&keys).into_iter().zip(load_keys).enumerate() {
            let of_bucket = self.buckets.entry(bucket(key, buckets)).or_default();
            of_bucket.keys.insert(key);
            of_bucket.rows.insert(load_key, letters.value(row) == "u");
        }
        self.rows += rows.num_rows();
        if self.rows <= FEW {
            self.first.extend(keys.into_iter().next());
        } else {
            self.first.clear();
        }
        Ok(())
    }

    fn sought(&self) -> Sought {
        // The unknown member has no key.
        let has_null = self.first.iter().any(|keys| keys.null_count() > 0);
        if self.rows > FEW || has_null { Sought::Any } else { Sought::of(&self.first) }
    }
}

/// The stored rows of a bucket's keys that changed, with the columns that invariants speak of.
async fn stored(
    model: &Model,
    table: &Table,
    (at, changed): (u16, &Arc<OfBucket>),
    sought: &Sought,
) -> Result<RecordBatch, CuratedError> {
    let mut names = load_key(model);
    names.extend(model.key.iter().map(ToString::to_string));
    match &model.kind {
        ModelKind::Dimension { .. } => names.extend(DIMENSION_TAIL.iter().take(3).map(|name| (*name).to_owned())),
        ModelKind::Fact { dimensions, .. } => {
            names.push(EVENT_TIME.to_owned());
            for pointer in dimensions {
                names.push(pointer.key_column.to_string());
                names.extend(pointer.on.iter().map(ToString::to_string));
            }
        }
        ModelKind::DateDimension | ModelKind::Aggregate { .. } | ModelKind::View { .. } => {}
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let holds = |file: &&DataFile| {
        let here = !matches!(file.partition, Partition::Bucket(bucket) if bucket != at);
        here && may_hold(model, file, Some(sought))
    };
    let files: Vec<DataFile> = table.files().filter(holds).cloned().collect();
    let mut found = Vec::new();
    let mut reading = table.read(&files, Some(&names))?;
    while let Some(batch) = reading.next().await {
        let (batch, owned, changed) = (batch?, model.clone(), changed.clone());
        let work = move || {
            let arrow = of(&owned.name);
            let hashes = key_hashes(&named(&batch, &owned).map_err(arrow)?);
            let keep = hashes.iter().map(|hash| Some(changed.keys.contains(hash))).collect();
            filter_record_batch(&batch, &keep).map_err(arrow)
        };
        found.push(blocking(model, work).await?);
    }
    let fields = names.iter().filter_map(|name| table.schema().fields().find(name).map(|(_, field)| field.clone()));
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    concat_batches(&schema, &found).map_err(of(&model.name))
}

async fn judge(
    room: &Room,
    model: &Model,
    changed: &Arc<OfBucket>,
    rows: &RecordBatch,
    indexes: &Indexes,
) -> Result<(), CuratedError> {
    let arrow = of(&model.name);
    let (owned, set, seen) = (model.clone(), changed.clone(), rows.clone());
    let mut broken = blocking(model, move || {
        let mut broken = as_written(&owned, &set, &seen).map_err(of(&owned.name))?;
        if matches!(owned.kind, ModelKind::Dimension { .. }) {
            broken.extend(versions(&owned, &seen).map_err(of(&owned.name))?);
        }
        Ok(broken)
    })
    .await?;
    if matches!(model.kind, ModelKind::Fact { .. }) {
        broken.extend(pointers(room, model, rows, indexes).await?);
    }
    let Some((_, first)) = broken.first().copied() else { return Ok(()) };
    let same: Vec<usize> = broken.iter().filter(|(_, rule)| *rule == first).map(|(row, _)| *row).collect();
    let keys = match rows.num_rows() {
        0 => vec!["(no row is stored)".to_owned()],
        _ => room.shown(model, &named(rows, model).map_err(arrow)?, same.iter().copied()),
    };
    Err(CuratedError::Violation { model: model.name.clone(), broken: first, count: same.len(), keys })
}

/// Every row that was set is there once, none that was deleted. A row that is missing has no place of its own:
/// it is told at the first row.
fn as_written(model: &Model, changed: &OfBucket, rows: &RecordBatch) -> Result<Vec<(usize, Broken)>, ArrowError> {
    let columns = by_name(rows, &load_key(model))?;
    let keys = Grouping::new(&columns)?;
    let mut order: Vec<usize> = (0..rows.num_rows()).collect();
    let place = |row: &usize| (keys.at(*row), *row);
    order.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    let mut broken = Vec::new();
    for same in order.chunk_by(|a, b| keys.at(*a) == keys.at(*b)) {
        let is_gone = changed.rows.get(&keys.hashes()[same[0]]) == Some(&false);
        broken.extend(same[1..].iter().map(|row| (*row, Broken::Doubled)));
        broken.extend(is_gone.then_some((same[0], Broken::Differs)));
    }
    broken.sort_by_key(|(row, _)| *row);
    let there: KeySet = keys.hashes().iter().copied().collect();
    let missing = changed.rows.iter().filter(|(key, set)| **set && !there.contains(key)).count();
    broken.extend(std::iter::repeat_n((0, Broken::Differs), missing));
    Ok(broken)
}

/// Versions of one key do not overlap, none is empty, at most one is current, and current is what is open.
fn versions(model: &Model, rows: &RecordBatch) -> Result<Vec<(usize, Broken)>, ArrowError> {
    let [from, to, current, _] = DIMENSION_TAIL.map(|name| rows.column_by_name(name));
    let (Some(from), Some(to), Some(current)) = (from, to, current) else {
        return Err(ArrowError::SchemaError("a dimension lacks its validity".to_owned()));
    };
    let time = |column: &ArrayRef| column.as_primitive::<TimestampMicrosecondType>().values().to_vec();
    let (from, to, current) = (time(from), time(to), current.as_boolean());
    let columns = named(rows, model)?;
    let keys = Grouping::new(&columns)?;
    let mut order: Vec<usize> = (0..rows.num_rows()).filter(|row| complete(&columns, *row)).collect();
    let place = |row: &usize| (keys.at(*row), from[*row]);
    order.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    let mut broken = Vec::new();
    for of_key in order.chunk_by(|a, b| keys.at(*a) == keys.at(*b)) {
        for row in of_key {
            if from[*row] >= to[*row] {
                broken.push((*row, Broken::Empty));
            }
            if current.value(*row) != (to[*row] == OPEN) {
                broken.push((*row, Broken::Differs));
            }
        }
        let overlaps = of_key.windows(2).filter(|pair| to[pair[0]] > from[pair[1]]);
        broken.extend(overlaps.map(|pair| (pair[1], Broken::Overlap)));
        let mut currents = of_key.iter().filter(|row| current.value(**row)).skip(1);
        broken.extend(currents.next().map(|row| (*row, Broken::TwoCurrent)));
    }
    Ok(broken)
}

/// Every pointer leads to the version of its time, as the dimension's table has it.
async fn pointers(
    room: &Room,
    model: &Model,
    rows: &RecordBatch,
    indexes: &Indexes,
) -> Result<Vec<(usize, Broken)>, CuratedError> {
    let arrow = of(&model.name);
    let mut broken = Vec::new();
    let Some(spec) = spec(model).map_err(arrow)? else { return Ok(broken) };
    let lacks = || ArrowError::SchemaError("a fact lacks its pointers".to_owned());
    for pointer in spec.dimensions {
        let Some(index) = indexes.get(&pointer.dimension) else { continue };
        let found = rows.column_by_name(pointer.key_column.as_str()).ok_or_else(lacks).map_err(arrow)?;
        let found = found.as_primitive::<Int64Type>();
        let times = rows.column_by_name(EVENT_TIME).ok_or_else(lacks).map_err(arrow)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let names: Vec<String> = pointer.on.iter().map(ToString::to_string).collect();
        let on = by_name(rows, &names).map_err(arrow)?;
        let keys = pointer_keys(&on, &(0..on.len()).collect::<Vec<_>>(), &index.types).map_err(arrow)?;
        let lookup = vec![index.pointed(&keys, room.members(&pointer.dimension)).await?];
        let mut unresolved = Vec::new();
        let wanted = point(0, pointer, &keys, times, &lookup, &mut unresolved).map_err(arrow)?;
        let lost: HashSet<usize> = unresolved.into_iter().map(|unresolved| unresolved.row).collect();
        let differs = |row: &usize| lost.contains(row) || wanted.value(*row) != found.value(*row);
        broken.extend((0..rows.num_rows()).filter(differs).map(|row| (row, Broken::Unresolved)));
    }
    Ok(broken)
}
