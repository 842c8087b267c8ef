//! Aggregates: from what changed in a fact and its dimensions to the table's next version.
//!
//! The state (`<name>_state`) keeps as positions the versions of the tables that it adds up. What a build must
//! take back are the fact's rows in files that are gone since, as the dimensions were then; what it must add are
//! the rows in files that came. Where a dimension's row changed and kept its surrogate key, the facts that point
//! to it are taken back and added, too: they are found by their pointers alone. The table follows from the state.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use futures::StreamExt;
use weir_core::failpoint;
use weir_core::name::ModelName;
use weir_core::zone::Zone;
use weir_lake::{Batches, Commit, DataFile, Partition, Table};
use weir_project::{AggregateJoin, Model, ModelKind};

use crate::aggregate::{AggregateSpec, Groups, Sign, visible};
use crate::aggregate_query::Contributions;
use crate::bucket::{Plan, Rewritten, Stored, rewrite};
use crate::change_set::Writer;
use crate::changes::encoded;
use crate::error::{CuratedError, of};
use crate::fact_table::differs;
use crate::history::rebucket;
use crate::key::{bucket, key_hashes};
use crate::report::TableReport;
use crate::room::{Room, Touched, named, of_curated};
use crate::table_commit::{Outcome, commit};

/// The tables that an aggregate adds up.
pub(crate) struct Inputs<'a> {
    joins: &'a [AggregateJoin],
    fact: &'a Table,
    dimensions: BTreeMap<&'a ModelName, &'a Table>,
}

impl<'a> Inputs<'a> {
    /// None while one of them is not there.
    pub fn new(model: &'a Model, tables: &'a BTreeMap<ModelName, Table>) -> Option<Self> {
        let ModelKind::Aggregate { fact, joins, .. } = &model.kind else { return None };
        let dimensions = joins.iter().map(|join| Some((&join.dimension, tables.get(&join.dimension)?)));
        Some(Self { joins, fact: tables.get(fact)?, dimensions: dimensions.collect::<Option<_>>()? })
    }

    /// All of them, the fact first.
    pub fn tables(&self) -> Vec<&'a Table> {
        std::iter::once(self.fact).chain(self.dimensions.values().copied()).collect()
    }

    /// Whether a state was made from exactly these versions.
    pub fn are_in(&self, state: &Table) -> bool {
        self.tables().iter().all(|table| state.position(&of_curated(table.name())) == Some(table.version()))
    }
}

/// Builds an aggregate; none while a table that it reads is not there.
pub(crate) async fn build(
    room: &Room,
    model: &Model,
    tables: &BTreeMap<ModelName, Table>,
) -> Result<Option<(Table, TableReport)>, CuratedError> {
    let (Some(spec), Some(inputs)) = (AggregateSpec::new(model), Inputs::new(model, tables)) else { return Ok(None) };
    let mut state = room.state(model, &spec).await?;
    let restated = room.restates(model);
    if !restated {
        room.refuse_changed(model, &state)?;
    } else if room.stale(model, &state) {
        rebucket(room, model, &mut state).await?;
    }
    if restated || !inputs.are_in(&state) {
        renew(room, model, &spec, &inputs, &mut state).await?;
    }
    show(room, model, &spec, &state).await.map(Some)
}

/// Brings the state up to the inputs' versions.
async fn renew(
    room: &Room,
    model: &Model,
    spec: &AggregateSpec,
    inputs: &Inputs<'_>,
    state: &mut Table,
) -> Result<(), CuratedError> {
    let Some(query) = Contributions::plan(&room.lake, model, &inputs.tables()).await? else { return Ok(()) };
    let work = Work { room, model, spec, inputs, query };
    let since = match room.restates(model) {
        true => None,
        false => Since::of(room, model, inputs, state).await?,
    };
    let rewritten = match since {
        Some(since) => {
            let difference = work.difference(&since).await?;
            let merged = work.merge(state, &difference, false).await?;
            if merged.is_none() {
                anew(model, "its state does not add up");
            }
            merged
        }
        None => None,
    };
    let rewritten = match rewritten {
        Some(rewritten) => rewritten,
        None => {
            let whole = work.whole().await?;
            let broken = || CuratedError::Unsound { model: model.name.clone() };
            work.merge(state, &whole, true).await?.ok_or_else(broken)?
        }
    };
    let positions = inputs.tables().into_iter().map(|table| (of_curated(table.name()), table.version()));
    // A table that was made anew begins at a lower version.
    let back = |(name, version): &(String, i64)| state.position(name).is_some_and(|stored| stored > *version);
    let (mut rewind, positions): (Vec<_>, Vec<_>) = positions.partition(back);
    rewind.extend(room.mark(model, state));
    let Rewritten { add, remove } = rewritten;
    state.commit(Commit { add, remove, positions, rewind, ..Commit::default() }).await?;
    failpoint::hit("curated.state_committed");
    Ok(())
}

fn anew(model: &Model, why: &'static str) {
    tracing::warn!(aggregate = %model.name, why, "added up anew from the whole fact");
}

/// Files that left a table, that came, and that stayed.
struct Moves {
    old: Table,
    gone: Vec<DataFile>,
    came: Vec<DataFile>,
    same: Vec<DataFile>,
}

impl Moves {
    fn new(old: Table, new: &Table) -> Self {
        let paths = |table: &Table| table.files().map(|file| file.path.clone()).collect::<HashSet<_>>();
        let (before, after) = (paths(&old), paths(new));
        let gone = old.files().filter(|file| !after.contains(&file.path)).cloned().collect();
        let (same, came) = new.files().cloned().partition(|file| before.contains(&file.path));
        Self { old, gone, came, same }
    }

    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.came.is_empty()
    }
}

/// What happened to the inputs since the state was made.
struct Since {
    fact: Moves,
    dimensions: BTreeMap<String, Moves>,
}

impl Since {
    /// None when everything must be added up: at first, and when an older version is not there any more.
    async fn of(room: &Room, model: &Model, inputs: &Inputs<'_>, state: &Table) -> Result<Option<Self>, CuratedError> {
        let mut moves = BTreeMap::new();
        for table in inputs.tables() {
            let Some(after) = state.position(&of_curated(table.name())) else { return Ok(None) };
            let old = if after == table.version() {
                Some(table.clone())
            } else if after < table.version() {
                room.lake.table_at(Zone::Curated, table.name(), after).await?
            } else {
                None
            };
            let Some(old) = old else {
                anew(model, "a table that it reads was made anew");
                return Ok(None);
            };
            if old.schema() != table.schema() {
                anew(model, "a table that it reads has other columns");
                return Ok(None);
            }
            let found = Moves::new(old, table);
            if !found.gone.is_empty() && !found.old.is_whole().await? {
                anew(model, "files of the versions that it was built from were vacuumed");
                return Ok(None);
            }
            moves.insert(table.name().to_owned(), found);
        }
        let fact = moves.remove(inputs.fact.name());
        Ok(fact.map(|fact| Self { fact, dimensions: moves }))
    }
}

/// Values of an integer column.
fn numbers(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    cast(column, &DataType::Int64)
}

/// Surrogate keys, by the fact's column that holds them.
type Pointed = BTreeMap<String, HashSet<i64>>;

struct Work<'a> {
    room: &'a Room,
    model: &'a Model,
    spec: &'a AggregateSpec,
    inputs: &'a Inputs<'a>,
    query: Contributions<'a>,
}

impl Work<'_> {
    fn groups(&self) -> Result<Groups, CuratedError> {
        Groups::new(self.spec).map_err(of(&self.model.name))
    }

    /// Everything added up.
    async fn whole(&self) -> Result<Groups, CuratedError> {
        let mut groups = self.groups()?;
        let mut dimensions = BTreeMap::new();
        for table in self.inputs.dimensions.values() {
            dimensions.insert(table.name().to_owned(), self.members(table, None).await?);
        }
        let files: Vec<DataFile> = self.inputs.fact.files().cloned().collect();
        let rows = self.inputs.fact.read(&files, Some(&self.query.columns(self.inputs.fact.name())))?;
        self.fold(rows, &dimensions, Sign::Plus, &mut groups).await?;
        Ok(groups)
    }

    /// What is to be added to the state: rows that came, and those that are gone with the opposite sign.
    async fn difference(&self, since: &Since) -> Result<Groups, CuratedError> {
        let mut groups = self.groups()?;
        let altered = self.altered(since).await?;
        let hit = self.pointing(since, &altered).await?;
        let sides =
            [(Sign::Minus, &since.fact.old, &since.fact.gone), (Sign::Plus, self.inputs.fact, &since.fact.came)];
        let mut pointed = Pointed::new();
        for (_, table, files) in sides {
            self.pointers(table, files, &mut pointed).await?;
        }
        for (column, keys) in &altered {
            pointed.entry(column.clone()).or_default().extend(keys);
        }
        if !hit.is_empty() {
            self.pointers(self.inputs.fact, &hit, &mut pointed).await?;
        }
        for (sign, table, files) in sides {
            if files.is_empty() && hit.is_empty() {
                continue;
            }
            let mut dimensions = BTreeMap::new();
            for (name, now) in &self.inputs.dimensions {
                let old = since.dimensions.get(now.name()).map(|moves| &moves.old);
                let table = if sign == Sign::Minus { old.unwrap_or(now) } else { now };
                dimensions.insert(table.name().to_owned(), self.members(table, Some((name, &pointed))).await?);
            }
            let columns = self.query.columns(table.name());
            let changed = table.read(files, Some(&columns))?;
            let stayed = only_pointing(self.inputs.fact.read(&hit, Some(&columns))?, altered.clone());
            self.fold(changed.chain(stayed).boxed(), &dimensions, sign, &mut groups).await?;
        }
        Ok(groups)
    }

    async fn fold(
        &self,
        rows: Batches,
        dimensions: &BTreeMap<String, RecordBatch>,
        sign: Sign,
        groups: &mut Groups,
    ) -> Result<(), CuratedError> {
        let fact = self.inputs.fact;
        let schema = narrow(fact.schema(), &self.query.columns(fact.name()));
        let run = self.query.run(&self.room.lake, self.spec, (fact.name(), schema, rows), dimensions, |columns| {
            groups.fold(columns, sign).map_err(of(&self.model.name))
        });
        run.await
    }

    /// Surrogate keys whose row stays and has other values in a column that the query reads.
    async fn altered(&self, since: &Since) -> Result<Pointed, CuratedError> {
        let mut out = Pointed::new();
        for join in self.inputs.joins {
            let Some(moves) = since.dimensions.get(join.dimension.as_str()).filter(|moves| !moves.is_empty()) else {
                continue;
            };
            let now = self.inputs.dimensions[&join.dimension];
            let before = self.contents(join, &moves.old, &moves.gone).await?;
            let after = self.contents(join, now, &moves.came).await?;
            let keys = before.iter().filter(|(key, row)| after.get(key).is_some_and(|now| now != *row));
            let keys = keys.map(|(key, _)| *key);
            out.entry(join.fact_column.to_string()).or_default().extend(keys);
        }
        out.retain(|_, keys| !keys.is_empty());
        Ok(out)
    }

    /// What these files hold for the query, by surrogate key.
    async fn contents(
        &self,
        join: &AggregateJoin,
        table: &Table,
        files: &[DataFile],
    ) -> Result<BTreeMap<i64, Box<[u8]>>, CuratedError> {
        let arrow = of(&self.model.name);
        let mut columns = self.query.columns(table.name());
        columns.retain(|name| *name != join.key_column.as_str());
        columns.insert(0, join.key_column.as_str());
        let mut out = BTreeMap::new();
        for batch in table.read_all(files, Some(&columns)).await? {
            let keys = numbers(batch.column(0)).map_err(arrow)?;
            let rows = encoded(batch.columns()).map_err(arrow)?;
            let keys = keys.as_primitive::<Int64Type>().values().iter();
            out.extend(keys.zip(rows.iter()).map(|(key, row)| (*key, Box::from(row.data()))));
        }
        Ok(out)
    }

    /// Files of the fact that stayed and hold a row that points to one of these keys; reads pointers only.
    async fn pointing(&self, since: &Since, altered: &Pointed) -> Result<Vec<DataFile>, CuratedError> {
        let mut hit = Vec::new();
        if altered.is_empty() {
            return Ok(hit);
        }
        let columns: Vec<&str> = altered.keys().map(String::as_str).collect();
        for file in &since.fact.same {
            let batches = self.inputs.fact.read_all(std::slice::from_ref(file), Some(&columns)).await?;
            if batches.iter().any(|batch| points_to(batch, altered).true_count() > 0) {
                hit.push(file.clone());
            }
        }
        Ok(hit)
    }

    /// Adds the surrogate keys that the rows of these files point to.
    async fn pointers(&self, table: &Table, files: &[DataFile], out: &mut Pointed) -> Result<(), CuratedError> {
        let columns: BTreeSet<&str> = self.inputs.joins.iter().map(|join| join.fact_column.as_str()).collect();
        let columns: Vec<&str> = columns.into_iter().collect();
        if columns.is_empty() {
            return Ok(());
        }
        let mut reading = table.read(files, Some(&columns))?;
        while let Some(batch) = reading.next().await {
            let batch = batch?;
            for (name, column) in columns.iter().zip(batch.columns()) {
                let keys = numbers(column).map_err(of(&self.model.name))?;
                out.entry((*name).to_owned()).or_default().extend(keys.as_primitive::<Int64Type>().values());
            }
        }
        Ok(())
    }

    /// A dimension's rows with the columns that the query reads: all, or those that are pointed to.
    async fn members(&self, table: &Table, only: Option<(&ModelName, &Pointed)>) -> Result<RecordBatch, CuratedError> {
        let columns = self.query.columns(table.name());
        let mut wanted: HashSet<i64> = HashSet::new();
        let mut key_column = None;
        if let Some((name, pointed)) = only {
            for join in self.inputs.joins.iter().filter(|join| join.dimension == *name) {
                key_column = Some(join.key_column.as_str());
                wanted.extend(pointed.get(join.fact_column.as_str()).into_iter().flatten());
            }
        }
        let files: Vec<DataFile> = match key_column.is_some() && wanted.is_empty() {
            true => Vec::new(),
            false => table.files().cloned().collect(),
        };
        let mut reading = table.read(&files, Some(&columns))?;
        let mut parts = Vec::new();
        while let Some(batch) = reading.next().await {
            let batch = batch?;
            parts.push(match key_column.and_then(|name| batch.column_by_name(name)) {
                Some(keys) => {
                    let keys = numbers(keys).map_err(of(&self.model.name))?;
                    let keys = keys.as_primitive::<Int64Type>().values().iter();
                    let keep: BooleanArray = keys.map(|key| Some(wanted.contains(key))).collect();
                    filter_record_batch(&batch, &keep).map_err(of(&self.model.name))?
                }
                None => batch,
            });
        }
        concat_batches(&narrow(table.schema(), &columns), &parts).map_err(of(&self.model.name))
    }

    /// The state's files written anew where groups differ; none when the sum is no state that rows can have.
    async fn merge(&self, state: &Table, groups: &Groups, whole: bool) -> Result<Option<Rewritten>, CuratedError> {
        let (model, arrow) = (self.model, of(&self.model.name));
        let all = groups.to_state().map_err(arrow)?;
        let hashes = key_hashes(&named(&all, model).map_err(arrow)?);
        let mut rows: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        if whole {
            rows.extend((0..self.room.buckets).map(|bucket| (bucket, Vec::new())));
        }
        for (row, hash) in (0u32..).zip(&hashes) {
            rows.entry(bucket(*hash, self.room.buckets)).or_default().push(row);
        }
        let mut out = Rewritten::default();
        for (bucket, rows) in rows {
            let mut touched = if whole { Touched::All } else { Touched::none() };
            touched.add(rows.iter().map(|row| hashes[*row as usize]));
            let partition = Partition::Bucket(bucket);
            let files: Vec<DataFile> = state.files_in(partition).cloned().collect();
            let part = take_record_batch(&all, &UInt32Array::from(rows)).map_err(arrow)?;
            let keys = named(&part, model).map_err(arrow)?;
            let sought: [&[ArrayRef]; 1] = [&keys];
            let stored =
                Stored::read(model, state, files, &touched, (!whole).then_some(&sought), |_, _| Ok(())).await?;
            let mut merged = self.groups()?;
            if !whole {
                merged.add_state(&stored.rows).map_err(arrow)?;
            }
            merged.add_state(&part).map_err(arrow)?;
            if !merged.is_sound() {
                return Ok(None);
            }
            let wanted = merged.to_state().map_err(arrow)?;
            let difference = differs(self.room, model, &stored.rows, &wanted)?;
            let done = rewrite(self.room, model, state, partition, Plan { stored, wanted, difference }).await?;
            out.add.extend(done.add);
            out.remove.extend(done.remove);
        }
        Ok(Some(out))
    }
}

fn narrow(schema: &SchemaRef, columns: &[&str]) -> SchemaRef {
    let fields = columns.iter().filter_map(|name| schema.fields().find(name).map(|(_, field)| field.clone()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows of a fact that point to one of these keys.
fn points_to(batch: &RecordBatch, keys: &Pointed) -> BooleanArray {
    let mut found = vec![false; batch.num_rows()];
    for (name, keys) in keys {
        let column = batch.column_by_name(name).and_then(|column| numbers(column).ok());
        let Some(column) = column else { continue };
        for (found, key) in found.iter_mut().zip(column.as_primitive::<Int64Type>().values()) {
            *found = *found || keys.contains(key);
        }
    }
    found.into()
}

fn only_pointing(rows: Batches, keys: Pointed) -> Batches {
    let filtered = rows.map(move |batch| {
        let batch = batch?;
        let kept = filter_record_batch(&batch, &points_to(&batch, &keys));
        Ok(kept.expect("a mask that was made from the batch is as long as the batch"))
    });
    filtered.boxed()
}

/// Brings the table up to the state.
async fn show(
    room: &Room,
    model: &Model,
    spec: &AggregateSpec,
    state: &Table,
) -> Result<(Table, TableReport), CuratedError> {
    let arrow = of(&model.name);
    let mut table = room.table(model).await?;
    let input = of_curated(state.name());
    let stale = room.stale(model, &table);
    if stale {
        rebucket(room, model, &mut table).await?;
    }
    let mut buckets: BTreeSet<Partition> = BTreeSet::new();
    match table.position(&input).filter(|_| !stale) {
        Some(after) if after == state.version() => {}
        Some(after) if after < state.version() => {
            if let Some(old) = room.lake.table_at(Zone::Curated, state.name(), after).await? {
                let moves = Moves::new(old, state);
                buckets.extend(moves.gone.iter().chain(&moves.came).map(|file| file.partition));
            }
        }
        _ => buckets.extend((0..room.buckets).map(Partition::Bucket)),
    }
    let own = state.column_names();
    let mut change_set = Writer::new(&room.lake, model, table.schema());
    let mut rewritten = Rewritten::default();
    for partition in buckets {
        let files: Vec<DataFile> = state.files_in(partition).cloned().collect();
        let rows = state.read_all(&files, Some(&own)).await?;
        let rows = concat_batches(state.schema(), &rows).map_err(arrow)?;
        let wanted = visible(model, spec, &rows).map_err(arrow)?;
        let files: Vec<DataFile> = table.files_in(partition).cloned().collect();
        let stored = Stored::read(model, &table, files, &Touched::All, None, |_, _| Ok(())).await?;
        let difference = differs(room, model, &stored.rows, &wanted)?;
        let plan = Plan { stored, wanted, difference };
        change_set.upserts(&plan.upserts().map_err(arrow)?).await?;
        change_set.deletes(&plan.deletes().map_err(arrow)?).await?;
        let done = rewrite(room, model, &table, partition, plan).await?;
        rewritten.add.extend(done.add);
        rewritten.remove.extend(done.remove);
    }
    let positions = vec![(input, state.version())];
    let report = commit(room, model, &mut table, None, Outcome { positions, rewritten, change_set }).await?;
    Ok((table, report))
}
