//! Dimensions: from the histories of the touched keys to the table's next version.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use futures::StreamExt;
use tokio::sync::Semaphore;
use weir_core::name::ModelName;
use weir_core::surrogate::UNKNOWN;
use weir_lake::{DataFile, Partition, Sought, Table};
use weir_project::Model;

use crate::bucket::{Plan, Rewritten, Stored, rewrite};
use crate::change_set::Writer;
use crate::changes::encoded;
use crate::difference::{Difference, difference};
use crate::dimension::{unknown_member, wanted};
use crate::error::{CuratedError, of};
use crate::facts::timelines;
use crate::history::{read_anew, rebucket};
use crate::key::{bucket, key_hashes};
use crate::layout::{DIMENSION_TAIL, surrogate_column};
use crate::members::{business_key, durable_key, hash};
use crate::mention::{Keys, all_of, ever_mentioned, known_by, pick, together};
use crate::past;
use crate::report::TableReport;
use crate::room::{KeySet, Room, Touched, beside, blocking, named, new_files, of_curated, of_key_changes, rows_of};
use crate::table_commit::{Outcome, commit};

/// What facts mention of a dimension.
#[derive(Default)]
pub(crate) struct Mentioned {
    /// Business keys.
    pub keys: Keys,
    /// `keys` are all that any fact mentions: an inferred member that is not among them goes.
    pub all: bool,
}

/// Builds a dimension: the keys whose history grew, and inferred members for keys that facts mention anew.
/// A table of an older definition of its model is computed anew as a whole.
pub(crate) async fn build(
    room: &Room,
    model: &Model,
    histories: &BTreeMap<ModelName, Table>,
    mentioned: Mentioned,
) -> Result<(Table, TableReport), CuratedError> {
    let mut table = room.table(model).await?;
    let Some(history) = histories.get(&model.name) else { return Ok((table, TableReport::of(model, 0))) };
    let mentioned = match table.is_anew() && !mentioned.all {
        // No stored inferred member tells any more that it was mentioned once.
        true => Mentioned { keys: all_of(room, model, histories).await?, all: true },
        false => mentioned,
    };
    let stale = room.stale(model, &table);
    if stale {
        rebucket(room, model, &mut table).await?;
    }
    let read_anew = read_anew(history);
    let stale = stale || read_anew.as_ref().is_some_and(|(name, version)| table.position(name) != Some(*version));
    let members = room.members(&model.name);
    let mut taken_over: BTreeMap<u16, Vec<i64>> = BTreeMap::new();
    for member in members.iter().flat_map(|of| of.taken_over_since(table.position(&of_key_changes(&model.name)))) {
        taken_over.entry(bucket(hash(member), room.buckets)).or_default().push(member);
    }
    let input = of_curated(history.name());
    let after = table.position(&input).filter(|_| !stale && !mentioned.all);
    let mut added = new_files(history, after).await?;
    let mut mentions = mentioned.keys.by_bucket(model, room.buckets).map_err(of(&model.name))?;
    let first = table.files().next().is_none();

    let mut buckets: BTreeSet<u16> = mentions.keys().copied().collect();
    match &added {
        Some(added) => buckets.extend(added.keys()),
        None => buckets.extend(0..room.buckets),
    }
    buckets.extend(taken_over.keys());
    let unknown = unknown_member(model).map_err(of(&model.name))?;
    let unknown_bucket = bucket(key_hashes(&named(&unknown, model).map_err(of(&model.name))?)[0], room.buckets);
    buckets.extend(first.then_some(unknown_bucket));

    let mut change_set = Writer::new(&room.lake, model, table.schema());
    let mut rewritten = Rewritten::default();
    let mut moved: Vec<u64> = Vec::new();
    let mut jobs = Vec::new();
    let surroundings = Arc::new((room.clone(), model.clone(), histories.clone(), table.clone()));
    // In KiB: buckets with little work wait for their files side by side, those with much are as many as there is memory
    // for.
    let memory = Arc::new(Semaphore::new(room.at_once() * kib(room.bucket_memory())));
    for bucket in buckets {
        let job = Job {
            bucket,
            added: added.as_mut().map(|added| added.remove(&bucket).unwrap_or_default()),
            mentions: mentions.remove(&bucket).unwrap_or_default(),
            taken_over: taken_over.remove(&bucket).map(|members| Arc::new(Int64Array::from(members)) as ArrayRef),
            all_mentions: mentioned.all,
            unknown: (first && bucket == unknown_bucket).then(|| unknown.clone()),
        };
        let (surroundings, memory) = (surroundings.clone(), memory.clone());
        jobs.push(async move {
            let (room, model, histories, table) = &*surroundings;
            one_bucket(room, model, histories, table, job, &memory).await
        });
    }
    let jobs = jobs.into_iter().map(|job| beside(model.name.clone(), job));
    let mut done = futures::stream::iter(jobs).buffered(2 * room.at_once());
    while let Some(bucket) = done.next().await {
        let bucket = bucket?;
        change_set.then(bucket.change_set).await?;
        moved.extend(bucket.moved);
        rewritten.add.extend(bucket.rewritten.add);
        rewritten.remove.extend(bucket.rewritten.remove);
    }
    drop(done);
    change_set.moved(&moved).await?;
    let mut positions = vec![(input, history.version())];
    positions.extend(members.and_then(|members| members.position()));
    positions.extend(read_anew);
    let report = commit(room, model, &mut table, Some(history), Outcome { positions, rewritten, change_set }).await?;
    Ok((table, report))
}

struct Job {
    bucket: u16,
    /// New files of the history; none where all its keys are looked at.
    added: Option<Vec<DataFile>>,
    mentions: Vec<ArrayRef>,
    /// Durable keys of members that lose their inferred rows: their business keys were taken over since.
    taken_over: Option<ArrayRef>,
    all_mentions: bool,
    unknown: Option<RecordBatch>,
}

impl Job {
    fn mentions_among(&self, model: &Model, keys: &Touched) -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
        let known_by = key_hashes(known_by(model, &self.mentions));
        let among = (0u32..).zip(known_by).filter(|(_, hash)| keys.contains(*hash));
        pick(&self.mentions, among.map(|(row, _)| row).collect())
    }
}

struct Done {
    rewritten: Rewritten,
    change_set: Writer,
    moved: Vec<u64>,
}

/// A bucket's next version, in as many parts of its keys as memory makes necessary.
async fn one_bucket(
    room: &Room,
    model: &Model,
    histories: &BTreeMap<ModelName, Table>,
    table: &Table,
    job: Job,
    memory: &Semaphore,
) -> Result<Done, CuratedError> {
    let partition = Partition::Bucket(job.bucket);
    let history = histories.get(&model.name);
    let input: Vec<DataFile> = match &job.added {
        Some(added) => added.clone(),
        None => history.iter().flat_map(|history| history.files_in(partition)).cloned().collect(),
    };
    let mut files: Vec<DataFile> = table.files_in(partition).cloned().collect();
    let change_set = Writer::new(&room.lake, model, table.schema());
    let mut out = Done { rewritten: Rewritten::default(), change_set, moved: Vec::new() };
    let work = past::work(&input, &Touched::All, &files);
    let share = u32::try_from(kib(work.min(room.bucket_memory()))).unwrap_or(u32::MAX);
    // It is never closed.
    let _held = memory.acquire_many(share).await;
    for (number, keys) in Touched::parts(past::parts(work, room.bucket_memory())).enumerate() {
        let plan = plan(room, model, histories, table, &job, (files.clone(), &keys)).await?;
        let unknown = job.unknown.clone().filter(|_| number == 0);
        let rewritten = part_of_bucket(room, model, table, partition, (plan, unknown), &mut out).await?;
        out.rewritten.then(rewritten, &mut files);
    }
    Ok(out)
}

async fn part_of_bucket(
    room: &Room,
    model: &Model,
    table: &Table,
    partition: Partition,
    (mut plan, unknown): (Plan, Option<RecordBatch>),
    out: &mut Done,
) -> Result<Rewritten, CuratedError> {
    refuse_collisions(model, table, &plan).await?;
    let (owned, pointed, awaited) = (model.clone(), room.is_pointed_to(&model.name), room.is_awaited(&model.name));
    let members = room.members(&model.name).cloned();
    let (plan, moved) = blocking(model, move || {
        let share = |hash: u64| members.as_ref().is_some_and(|members| members.share_a_key(hash));
        let any = awaited || members.as_ref().is_some_and(|members| !members.is_empty());
        let new = any.then_some(|hash| awaited || share(hash));
        let moved = if pointed { moved(&owned, &plan, new).map_err(of(&owned.name))? } else { Vec::new() };
        if let Some(unknown) = unknown {
            let row = u32::try_from(plan.wanted.num_rows()).unwrap_or(u32::MAX);
            plan.wanted = concat_batches(&plan.wanted.schema(), [&plan.wanted, &unknown]).map_err(of(&owned.name))?;
            plan.difference.upserts.push(row);
        }
        Ok((plan, moved))
    })
    .await?;
    out.moved.extend(moved);
    out.change_set.upserts(&plan.upserts().map_err(of(&model.name))?).await?;
    out.change_set.deletes(&plan.deletes().map_err(of(&model.name))?).await?;
    rewrite(room, model, table, partition, plan).await
}

/// Compares a whole bucket with its history; for a check, nothing is written.
pub(crate) async fn whole_bucket(
    room: &Room,
    model: &Model,
    histories: &BTreeMap<ModelName, Table>,
    table: &Table,
    bucket: u16,
    mentions: Vec<ArrayRef>,
) -> Result<Plan, CuratedError> {
    let files = table.files_in(Partition::Bucket(bucket)).cloned().collect();
    let job = Job { bucket, added: None, mentions, taken_over: None, all_mentions: true, unknown: None };
    plan(room, model, histories, table, &job, (files, &Touched::All)).await
}

async fn plan(
    room: &Room,
    model: &Model,
    histories: &BTreeMap<ModelName, Table>,
    table: &Table,
    job: &Job,
    (files, keys): (Vec<DataFile>, &Touched),
) -> Result<Plan, CuratedError> {
    let partition = Partition::Bucket(job.bucket);
    let mentions = job.mentions_among(model, keys).map_err(of(&model.name))?;
    let history = histories.get(&model.name);
    let fresh = match (history, &job.added) {
        (Some(history), Some(added)) => Some(rows_of(model, history, added, keys, None).await?),
        _ => None,
    };
    let fresh_keys = fresh.as_ref().map(|fresh| named(fresh, model)).transpose().map_err(of(&model.name))?;
    let mut touched = match &fresh_keys {
        Some(fresh) => Touched::Keys(key_hashes(fresh).into_iter().collect()),
        None => keys.clone(),
    };
    // Of those that have no change among the new ones all of the history is read: there is little, and seldom any.
    let taken_over = job.taken_over.as_slice();
    let is_unheard = |hash: &u64| keys.contains(*hash) && !touched.contains(*hash);
    let unheard: KeySet = key_hashes(taken_over).into_iter().filter(is_unheard).collect();
    touched.add(unheard.iter().copied());
    let sought = fresh_keys.as_ref().map(|keys| [keys.as_slice(), mentions.as_slice(), taken_over]);
    // A mentioned key that is stored and not touched keeps its rows: nothing to do for it.
    let mut missing = Missing::new(model, &mentions).map_err(of(&model.name))?;
    let stored = Stored::read(model, table, files, &touched, sought.as_ref().map(|keys| &keys[..]), |keys, hashes| {
        missing.found(keys, hashes, &touched).map_err(of(&model.name))
    })
    .await?;
    let mut mentioned = vec![missing.left().map_err(of(&model.name))?];
    let mut changes = match (history, &fresh) {
        (Some(history), Some(fresh)) if fresh.num_rows() > 0 => {
            let added = job.added.iter().flatten().map(|file| &file.path).collect::<BTreeSet<_>>();
            let known = history.files_in(partition).filter(|file| !added.contains(&file.path));
            past::changes(model, history, &known.cloned().collect::<Vec<_>>(), fresh, &stored.rows).await?
        }
        (Some(history), None) => {
            let files: Vec<DataFile> = history.files_in(partition).cloned().collect();
            rows_of(model, history, &files, keys, None).await?
        }
        _ => RecordBatch::new_empty(crate::layout::history_schema(model)),
    };
    drop(fresh);
    if let Some(history) = history.filter(|_| !unheard.is_empty()) {
        let files: Vec<DataFile> = history.files_in(partition).cloned().collect();
        let sought = Sought::of(taken_over.iter());
        let rows = rows_of(model, history, &files, &Touched::Keys(unheard), Some(&sought)).await?;
        changes = concat_batches(&changes.schema(), [&changes, &rows]).map_err(of(&model.name))?;
    }
    // An inferred member that is stored was mentioned once, so it is mentioned for ever.
    let (mut inferred, real) = stored_keys(model, &stored.rows).map_err(of(&model.name))?;
    if let Some(members) = room.members(&model.name) {
        inferred = members.not_taken_over(&inferred).map_err(of(&model.name))?;
    }
    if !job.all_mentions {
        mentioned.push(inferred);
    }
    let found = compute(room, model, &changes, &mentioned).await?;
    let vanished = vanished(model, &real, &found).map_err(of(&model.name))?;
    let found = if vanished.is_empty() {
        found
    } else {
        mentioned.push(ever_mentioned(room, histories, model, &vanished).await?);
        compute(room, model, &changes, &mentioned).await?
    };
    drop(changes);
    let difference = differs(model, &stored.rows, &found)?;
    Ok(Plan { stored, wanted: found, difference })
}

async fn compute(
    room: &Room,
    model: &Model,
    history: &RecordBatch,
    mentions: &[Vec<ArrayRef>],
) -> Result<RecordBatch, CuratedError> {
    let parts: Vec<Vec<ArrayRef>> = mentions.iter().filter(|part| !part.is_empty()).cloned().collect();
    let (owned, history) = (model.clone(), history.clone());
    let found = blocking(model, move || {
        let mentioned = together(&parts).map_err(of(&owned.name))?;
        wanted(&owned, &history, &mentioned).map_err(of(&owned.name))
    })
    .await?;
    let Some((_, broken)) = found.broken.first() else { return Ok(found.rows) };
    let keys = named(&found.rows, model).map_err(of(&model.name))?;
    Err(CuratedError::Violation {
        model: model.name.clone(),
        broken: *broken,
        count: found.broken.len(),
        keys: room.shown(model, &keys, found.broken.iter().map(|(row, _)| *row)),
    })
}

fn differs(model: &Model, stored: &RecordBatch, wanted: &RecordBatch) -> Result<Difference, CuratedError> {
    let arrow = of(&model.name);
    let (old, new) = (encoded(stored.columns()).map_err(arrow)?, encoded(wanted.columns()).map_err(arrow)?);
    let (old_keys, new_keys) = (surrogates(stored), surrogates(wanted));
    let old: Vec<(i64, &[u8])> = old_keys.iter().copied().zip(old.iter().map(|row| row.data())).collect();
    let new: Vec<(i64, &[u8])> = new_keys.iter().copied().zip(new.iter().map(|row| row.data())).collect();
    difference(&old, &new).map_err(|collision| {
        let keys = if collision.stored { old_keys } else { new_keys };
        CuratedError::Collision { model: model.name.clone(), key: keys[collision.second as usize].to_string() }
    })
}

fn surrogates(rows: &RecordBatch) -> &[i64] {
    rows.column(0).as_primitive::<Int64Type>().values()
}

/// The stored inferred members as mentioned keys, and the key columns of the stored versions.
fn stored_keys(model: &Model, rows: &RecordBatch) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>), arrow::error::ArrowError> {
    let keys = named(rows, model)?;
    let [.., inferred] = DIMENSION_TAIL;
    let Some(flags) = rows.column_by_name(inferred).and_then(|column| column.as_boolean_opt()) else {
        return Ok((Vec::new(), keys));
    };
    let (yes, no): (Vec<u32>, Vec<u32>) = (0u32..).take(rows.num_rows()).partition(|row| flags.value(*row as usize));
    let mentioned = match durable_key(model) {
        // Behind it stands the business key, as in what facts mention.
        Some(_) => rows.columns()[1..=1 + business_key(model).len()].to_vec(),
        None => keys.clone(),
    };
    Ok((pick(&mentioned, yes)?, pick(&keys, no)?))
}

/// Hashes of keys that had versions and are to have no row.
fn vanished(
    model: &Model,
    stored: &[ArrayRef],
    wanted: &RecordBatch,
) -> Result<HashSet<u64>, arrow::error::ArrowError> {
    let left: HashSet<u64> = key_hashes(&named(wanted, model)?).into_iter().collect();
    Ok(key_hashes(stored).into_iter().filter(|hash| !left.contains(hash)).collect())
}

/// Hashes of keys for which a fact could find another version than before: stored ones, and those `new` ones for which a
/// fact may wait, or for which it points to another member as long as they are not there.
fn moved(model: &Model, plan: &Plan, new: Option<impl Fn(u64) -> bool>) -> Result<Vec<u64>, arrow::error::ArrowError> {
    if plan.difference.is_empty() {
        return Ok(Vec::new());
    }
    let [from, ..] = DIMENSION_TAIL;
    let lines = |rows: &RecordBatch| {
        let from = rows.column_by_name(from).map(|column| column.as_primitive::<TimestampMicrosecondType>().clone());
        let from = from.ok_or_else(|| arrow::error::ArrowError::SchemaError("no effective_from".to_owned()))?;
        timelines(rows.column(0).as_primitive::<Int64Type>(), &named(rows, model)?, &from)
    };
    let (before, after) = (lines(&plan.stored.rows)?, lines(&plan.wanted)?);
    let mut moved: BTreeSet<u64> = BTreeSet::new();
    let known = |_: u64| true;
    let stored: (&RecordBatch, &dyn Fn(u64) -> bool) = (&plan.stored.rows, &known);
    let new = new.as_ref().map(|new| (&plan.wanted, new as &dyn Fn(u64) -> bool));
    for (batch, counts) in std::iter::once(stored).chain(new) {
        let keys = named(batch, model)?;
        let rows = encoded(&keys)?;
        for (row, hash) in key_hashes(&keys).into_iter().enumerate() {
            let key = rows.row(row).data();
            if counts(hash) && before.get(key) != after.get(key) {
                moved.insert(hash);
            }
        }
    }
    Ok(moved.into_iter().collect())
}

fn kib(bytes: u64) -> usize {
    usize::try_from(bytes >> 10).unwrap_or(Semaphore::MAX_PERMITS)
}

/// A surrogate key, which is a hash, as one.
fn bits(surrogate: i64) -> u64 {
    u64::from_ne_bytes(surrogate.to_ne_bytes())
}

/// New surrogate keys against all of the bucket that stay: two keys with one hash must stop the build. Equal surrogate
/// keys are in one bucket ([`weir_core::surrogate`]), so no other bucket has to be asked.
async fn refuse_collisions(model: &Model, table: &Table, plan: &Plan) -> Result<(), CuratedError> {
    let known: KeySet = surrogates(&plan.stored.rows).iter().copied().map(bits).collect();
    let wanted = surrogates(&plan.wanted);
    let upserts = plan.difference.upserts.iter().map(|row| bits(wanted[*row as usize]));
    let fresh: KeySet = upserts.filter(|surrogate| !known.contains(surrogate)).collect();
    let Some(column) = surrogate_column(model).filter(|_| !fresh.is_empty()) else { return Ok(()) };
    let refuse = |stored: &[i64]| match stored.iter().find(|key| **key != UNKNOWN && fresh.contains(&bits(**key))) {
        Some(twice) => Err(CuratedError::Collision { model: model.name.clone(), key: twice.to_string() }),
        None => Ok(()),
    };
    refuse(&plan.stored.surrogates)?;
    let mut unseen = table.read(plan.stored.unseen(), Some(&[column]))?;
    while let Some(batch) = unseen.next().await {
        refuse(surrogates(&batch?))?;
    }
    Ok(())
}

/// Mentioned keys of which no row is stored.
struct Missing<'a> {
    columns: &'a [ArrayRef],
    left: BTreeMap<Box<[u8]>, u32>,
}

impl<'a> Missing<'a> {
    fn new(model: &Model, columns: &'a [ArrayRef]) -> Result<Self, arrow::error::ArrowError> {
        let mut left = BTreeMap::new();
        if !columns.is_empty() {
            let rows = encoded(known_by(model, columns))?;
            left.extend((0u32..).zip(rows.iter()).map(|(row, key)| (Box::from(key.data()), row)));
        }
        Ok(Self { columns, left })
    }

    fn found(&mut self, keys: &[ArrayRef], hashes: &[u64], touched: &Touched) -> Result<(), arrow::error::ArrowError> {
        if self.left.is_empty() {
            return Ok(());
        }
        for (key, hash) in encoded(keys)?.iter().zip(hashes) {
            if !touched.contains(*hash) {
                self.left.remove(key.data());
            }
        }
        Ok(())
    }

    fn left(self) -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
        pick(self.columns, self.left.into_values().collect())
    }
}
