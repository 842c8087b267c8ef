//! What every step of one build shares: the project, the lake, and how tables are opened and named.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use weir_core::name::ModelName;
use weir_core::zone::Zone;
use weir_lake::{DataFile, Fetched, Lake, Partition, Partitioning, Sought, Table};
use weir_project::{DimensionRef, LateParent, Model, ModelKind, Project, Selection};

use crate::aggregate::AggregateSpec;
use crate::bucket::Cut;
use crate::error::{CuratedError, of};
use crate::key::{key_hashes, row_at, text_hash};
use crate::key_changes;
use crate::layout::{arrow_type, history_name, history_schema, key_changes_name, state_name, table_schema};
use crate::members::{Members, business_key, durable_key, kept};
use crate::query::plain_columns;

/// Position under which a table keeps the hash of the model that it was built with.
const DEFINITION: &str = "weir:curated:definition";

/// Position under which a history keeps the hash of its business key.
const KEY: &str = "weir:curated:key";
/// Position under which a table keeps the hash of its columns as they are declared: a length is in no data file, but
/// in a warehouse.
const DECLARED: &str = "weir:curated:columns";

/// Position of a table's input: how far staging has gone into it.
pub(crate) fn of_staging(table: &str) -> String {
    format!("weir:staging:{table}")
}

/// Position of another curated table's version in a table.
pub(crate) fn of_curated(table: &str) -> String {
    format!("weir:curated:{table}")
}

/// Position of a dimension's key changes in a table whose rows follow them.
pub(crate) fn of_key_changes(dimension: &ModelName) -> String {
    of_curated(&key_changes_name(dimension))
}

/// One build's surroundings.
#[derive(Clone)]
pub(crate) struct Room {
    /// As their tables are kept ([`kept`]).
    pub models: Arc<[Model]>,
    sources: Arc<[weir_project::Table]>,
    pub lake: Lake,
    pub buckets: u16,
    pub cut: Cut,
    /// The models that take in new staging rows; none: all of them.
    selection: Option<Arc<Selection>>,
    restated: Arc<BTreeSet<ModelName>>,
    /// Of the dimensions with a durable key.
    members: Arc<BTreeMap<ModelName, Arc<Members>>>,
}

/// Files of a bucket that are fetched ahead of the work on them, where memory allows.
pub(crate) const AHEAD: usize = 3;

impl Room {
    pub fn new(project: &Project, lake: &Lake) -> Self {
        Self::of(&project.models, &project.tables, project.curated.buckets, lake)
    }

    /// From the parts of a project that matter here.
    pub fn of(models: &[Model], sources: &[weir_project::Table], buckets: u16, lake: &Lake) -> Self {
        Self {
            models: models.iter().map(kept).collect(),
            sources: sources.into(),
            lake: lake.clone(),
            buckets: buckets.max(1),
            cut: Cut::within(lake.memory()),
            selection: None,
            restated: Arc::default(),
            members: Arc::default(),
        }
    }

    /// Buckets that are worked on at the same time, each in [`Room::bucket_memory`].
    pub fn at_once(&self) -> usize {
        std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
    }

    /// Bytes that the work on one bucket may take, with [`Room::at_once`] of them; twice as much as they take is left for
    /// the rows of change sets, for files on their way, and for what the C library keeps.
    pub fn bucket_memory(&self) -> u64 {
        self.lake.memory() / (3 * self.at_once() as u64)
    }

    /// Only what is selected takes in new staging rows. Every other table still follows, so that all keys lead
    /// somewhere: dimensions get the inferred members that facts need, facts point to versions as they are now.
    pub fn only(self, selection: &Selection) -> Self {
        Self { selection: Some(Arc::new(selection.clone())), ..self }
    }

    /// Whether a model takes in new staging rows.
    pub fn takes(&self, model: &Model) -> bool {
        self.selection.as_ref().is_none_or(|selection| selection.has_model(&model.name))
    }

    /// These models are made anew as a whole, whatever their tables hold.
    pub fn restating(self, models: impl IntoIterator<Item = ModelName>) -> Self {
        Self { restated: Arc::new(models.into_iter().collect()), ..self }
    }

    /// Whether a model is made anew as a whole.
    pub fn restates(&self, model: &Model) -> bool {
        self.restated.contains(&model.name)
    }

    /// With who the members are, by the key changes that these histories follow.
    pub async fn with_members(&self, histories: &BTreeMap<ModelName, Table>) -> Result<Self, CuratedError> {
        let mut all = BTreeMap::new();
        for model in self.models.iter() {
            let Some(history) = histories.get(&model.name) else { continue };
            let members = key_changes::members(self, model, history).await?;
            all.extend(members.map(|members| (model.name.clone(), members)));
        }
        Ok(Self { members: Arc::new(all), ..self.clone() })
    }

    /// Who the members of a dimension with a durable key are.
    pub fn members(&self, dimension: &ModelName) -> Option<&Arc<Members>> {
        self.members.get(dimension)
    }

    /// Complete business keys of a dimension as its own rows would hold them: behind the durable key that an inferred
    /// member has, where there is one.
    pub fn mentioned(&self, dimension: &ModelName, keys: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, ArrowError> {
        match self.members(dimension) {
            Some(members) => members.mentioned(&keys),
            None => Ok(keys),
        }
    }

    /// The same over another lake.
    pub fn elsewhere(&self, lake: Lake) -> Self {
        Self { lake, ..self.clone() }
    }

    /// The model of this name.
    fn model(&self, name: &ModelName) -> Option<&Model> {
        self.models.iter().find(|model| model.name == *name)
    }

    /// A model's history table, made if missing. One of an older definition of the model is refused: only a
    /// restatement reads its rows anew.
    pub async fn history(&self, model: &Model) -> Result<Table, CuratedError> {
        let history = self.history_to_restate(model).await?;
        self.refuse_changed(model, &history)?;
        Ok(history)
    }

    /// A model's history table, made if missing, whatever definition its rows are of.
    pub async fn history_to_restate(&self, model: &Model) -> Result<Table, CuratedError> {
        self.open(&history_name(&model.name), &history_schema(model), Partitioning::Bucket).await
    }

    /// A model's own table, made if missing. One of an older definition is [`Room::stale`]: where its history is
    /// of today's, which a build sees first, the table is computed anew as a whole. One with other columns than the
    /// model declares is, moreover, made anew by its next commit.
    pub async fn table(&self, model: &Model) -> Result<Table, CuratedError> {
        let partitioning = match model.kind {
            ModelKind::DateDimension | ModelKind::View { .. } => Partitioning::None,
            ModelKind::Dimension { .. } | ModelKind::Fact { .. } | ModelKind::Aggregate { .. } => Partitioning::Bucket,
        };
        let schema = table_schema(model);
        let table = self.open(model.name.as_str(), &schema, partitioning).await?;
        // Where nothing is known, the table was built before this was kept.
        let redeclared = table.position(DECLARED).is_some() && declared(model, &table).is_some();
        if redeclared && self.stale(model, &table) {
            return Ok(table.anew(&schema));
        }
        if table.is_anew() && partitioning == Partitioning::None {
            // A table without buckets has no history that would give its rows again.
            self.refuse_changed(model, &table)?;
        }
        Ok(table)
    }

    /// An aggregate's state table, made if missing.
    pub async fn state(&self, model: &Model, spec: &AggregateSpec) -> Result<Table, CuratedError> {
        self.open(&state_name(&model.name), &spec.state_schema(), Partitioning::Bucket).await
    }

    /// A table; with other columns than these, as its next commit makes it anew.
    async fn open(&self, name: &str, schema: &SchemaRef, partitioning: Partitioning) -> Result<Table, CuratedError> {
        let table = self.lake.create_table(Zone::Curated, name, schema, partitioning).await?;
        if columns(table.schema()) == columns(schema) { Ok(table) } else { Ok(table.anew(schema)) }
    }

    /// Whether a table that was opened here is of an older definition of its model, or has other columns.
    pub fn is_changed(&self, model: &Model, table: &Table) -> bool {
        table.is_anew() || self.stale(model, table)
    }

    /// Whether a table holds rows of another form of its model.
    pub fn has_changed(&self, model: &Model, table: &Table, schema: &Schema) -> bool {
        self.stale(model, table) || columns(table.schema()) != columns(schema)
    }

    /// Whether a table's rows are of an older definition of its model.
    pub fn stale(&self, model: &Model, table: &Table) -> bool {
        table.position(DEFINITION).is_some_and(|known| known != self.definition(model))
    }

    /// Refuses a table of an older definition of its model, or with other columns.
    pub fn refuse_changed(&self, model: &Model, table: &Table) -> Result<(), CuratedError> {
        if !self.is_changed(model, table) {
            return Ok(());
        }
        let (model, name) = (model.name.clone(), table.name().to_owned());
        Err(match table.is_anew() {
            true => CuratedError::ColumnsChanged { model, table: name },
            false => CuratedError::ModelChanged { model, table: name },
        })
    }

    /// The mark of the model that a commit must set, where the table does not hold it. A hash is greater or less
    /// than the last one, so it is set as a position that may run backwards.
    pub fn mark(&self, model: &Model, table: &Table) -> Vec<(String, i64)> {
        let definition = self.definition(model);
        if table.position(DEFINITION) == Some(definition) {
            return Vec::new();
        }
        vec![(DEFINITION.to_owned(), definition)]
    }

    /// The marks that a commit of a history must set: as [`Room::mark`], and its business key.
    pub fn history_marks(&self, model: &Model, history: &Table) -> Vec<(String, i64)> {
        let key = (history.position(KEY) != Some(key_mark(model))).then(|| (KEY.to_owned(), key_mark(model)));
        self.mark(model, history).into_iter().chain(key).collect()
    }

    /// Whether a history's rows are known by another business key than the model's.
    pub fn has_other_key(&self, model: &Model, history: &Table) -> bool {
        history.position(KEY).is_some_and(|known| known != key_mark(model))
    }

    /// A hash of everything that rows in a model's tables depend on.
    fn definition(&self, model: &Model) -> i64 {
        let mut text = format!("{};{};", model.name, self.buckets);
        let sql = model.sql.as_ref().map_or("", |sql| sql.text.as_str());
        let columns = model.columns.iter().map(|c| format!("{} {} {:?}", c.name, c.kind, c.scd));
        let key = model.key.iter().map(ToString::to_string);
        text.extend(columns.chain(key).chain([sql.to_owned()]).map(|part| part + ";"));
        let written = match &model.kind {
            ModelKind::Dimension { surrogate_key, deletes, durable_key } => {
                let durable = durable_key.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                write!(text, "{surrogate_key} {deletes:?}{durable}")
            }
            ModelKind::Fact { event_time, dimensions, date_keys, milestones } => {
                write!(text, "{event_time:?} {dimensions:?} {date_keys:?} {milestones:?}")
            }
            ModelKind::Aggregate { fact, joins, measures } => write!(text, "{fact} {joins:?} {measures:?}"),
            ModelKind::DateDimension | ModelKind::View { .. } => Ok(()),
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        mark_of(&text)
    }

    /// Facts with the positions of their pointers to a dimension.
    pub fn facts(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| matches!(model.kind, ModelKind::Fact { .. }))
    }

    /// Every pointer of a fact to this dimension.
    fn pointers_to(&self, dimension: &ModelName) -> impl Iterator<Item = &DimensionRef> {
        let pointers = self.models.iter().flat_map(|model| match &model.kind {
            ModelKind::Fact { dimensions, .. } => dimensions.as_slice(),
            _ => &[],
        });
        pointers.filter(move |pointer| pointer.dimension == *dimension)
    }

    /// Whether a fact points to this dimension.
    pub fn is_pointed_to(&self, dimension: &ModelName) -> bool {
        self.pointers_to(dimension).next().is_some()
    }

    /// Whether a fact may point to the unknown member until a key of this dimension arrives.
    pub fn is_awaited(&self, dimension: &ModelName) -> bool {
        self.pointers_to(dimension).any(|pointer| pointer.late_parent == LateParent::Unknown)
    }

    /// Aggregates, each after everything that it reads.
    pub fn aggregates(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| matches!(model.kind, ModelKind::Aggregate { .. }))
    }

    /// The types of a dimension's business key.
    pub fn key_types(&self, dimension: &ModelName) -> Vec<DataType> {
        let Some(model) = self.model(dimension) else { return Vec::new() };
        business_key(model).into_iter().map(|column| arrow_type(column.kind)).collect()
    }

    /// See [`hides`].
    pub fn hides(&self, model: &Model, column: &str) -> bool {
        hides(&self.sources, model, column)
    }

    /// Business keys for a message: some of them, and none where a key column may be personal data, which is
    /// any that is not a plain, untagged column of the source.
    pub fn shown(&self, model: &Model, keys: &[ArrayRef], rows: impl Iterator<Item = usize>) -> Vec<String> {
        if model.key.iter().any(|name| self.hides(model, name.as_str())) {
            return vec!["(personal)".to_owned()];
        }
        let text = |row| row_at(keys, row).iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
        let mut shown: Vec<String> = Vec::new();
        for key in rows.map(text) {
            if !shown.contains(&key) {
                shown.push(key);
            }
            if shown.len() == 5 {
                break;
            }
        }
        shown
    }
}

/// Whether values of a column may be personal data: of any of the model's own that is not a plain, untagged
/// column of its source. Columns that Weir adds never are; a model without a source has no person in it.
pub fn hides(sources: &[weir_project::Table], model: &Model, column: &str) -> bool {
    let added = durable_key(model).is_some_and(|durable| durable.as_str() == column);
    if model.source.is_none() || model.column(column).is_none() || added {
        return false;
    }
    let source = model.source.as_ref().and_then(|name| sources.iter().find(|table| table.name == *name));
    let columns = model.sql.as_ref().map(|sql| plain_columns(&sql.text)).unwrap_or_default();
    let plain = columns.get(column).and_then(|column| source?.column(column));
    plain.is_none_or(|column| source.is_none_or(|table| table.pii.contains(&column.name)))
}

/// A hash as a position: 63 bits, as a position is a non-negative number.
fn mark_of(text: &str) -> i64 {
    i64::from_ne_bytes((text_hash(text) >> 1).to_ne_bytes())
}

/// A hash of a model's business key: names and stored types.
fn key_mark(model: &Model) -> i64 {
    let columns = model.key.iter().filter_map(|name| model.column(name.as_str()));
    mark_of(&columns.map(|column| format!("{} {};", column.name, arrow_type(column.kind))).collect::<String>())
}

/// The mark of a table's declared columns that a commit must set, where the table does not hold it.
pub(crate) fn declared(model: &Model, table: &Table) -> Option<(String, i64)> {
    let columns = model.table_columns();
    let text: String = columns.iter().map(|c| format!("{} {} {};", c.name, c.kind, c.nullable)).collect();
    (table.position(DECLARED) != Some(mark_of(&text))).then(|| (DECLARED.to_owned(), mark_of(&text)))
}

fn columns(schema: &Schema) -> Vec<(&String, &DataType)> {
    schema.fields().iter().map(|field| (field.name(), field.data_type())).collect()
}

/// Hashes of keys. They are mixed already, so they are not hashed again.
pub(crate) type KeySet = HashSet<u64, BuildHasherDefault<Mixed>>;

/// Takes a hash as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Which keys of a bucket a build looks at. Keys are known by hash: one too many is recomputed for nothing.
#[derive(Debug, Clone)]
pub(crate) enum Touched {
    All,
    /// One of so many equal parts of all keys.
    Part {
        part: u64,
        of: u64,
    },
    Keys(KeySet),
}

impl Touched {
    pub fn none() -> Self {
        Self::Keys(KeySet::default())
    }

    /// Everything, in so many parts.
    pub fn parts(of: u64) -> impl Iterator<Item = Self> {
        (0..of).map(move |part| if of == 1 { Self::All } else { Self::Part { part, of } })
    }

    /// These keys as far as they are in another set.
    pub fn within(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Keys(keys), other) => Self::Keys(keys.iter().copied().filter(|key| other.contains(*key)).collect()),
            (Self::All | Self::Part { .. }, other) => other.clone(),
        }
    }

    pub fn contains(&self, hash: u64) -> bool {
        match self {
            Self::All => true,
            // Not the bits that the bucket is taken from.
            Self::Part { part, of } => (hash >> 40) % of == *part,
            Self::Keys(keys) => keys.contains(&hash),
        }
    }

    pub fn add(&mut self, hashes: impl IntoIterator<Item = u64>) {
        if let Self::Keys(keys) = self {
            keys.extend(hashes);
        }
    }
}

/// The keys that a table must look at because its history has grown, by bucket.
pub(crate) async fn touched(
    model: &Model,
    history: &Table,
    after: Option<i64>,
    buckets: u16,
) -> Result<BTreeMap<u16, Touched>, CuratedError> {
    let Some(after) = after else {
        return Ok((0..buckets).map(|bucket| (bucket, Touched::All)).collect());
    };
    let mut touched: BTreeMap<u16, Touched> = BTreeMap::new();
    let key: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
    for (_, file) in history.files_added(after, history.version()).await? {
        let Partition::Bucket(bucket) = file.partition else { continue };
        let keys = touched.entry(bucket).or_insert_with(Touched::none);
        for batch in history.read_all(std::slice::from_ref(&file), Some(&key)).await? {
            keys.add(key_hashes(batch.columns()));
        }
    }
    Ok(touched)
}

/// A table's new files by bucket; none where it must be read whole.
pub(crate) async fn new_files(table: &Table, after: Option<i64>) -> Result<Option<Files>, CuratedError> {
    let Some(after) = after else { return Ok(None) };
    let mut files = Files::new();
    for (_, file) in table.files_added(after, table.version()).await? {
        let Partition::Bucket(bucket) = file.partition else { continue };
        files.entry(bucket).or_default().push(file);
    }
    Ok(Some(files))
}

/// Files by bucket.
pub(crate) type Files = BTreeMap<u16, Vec<DataFile>>;

/// All rows of these files, with the table's own columns.
pub(crate) async fn all_rows(model: &Model, table: &Table, files: &[DataFile]) -> Result<RecordBatch, CuratedError> {
    let own = table.column_names();
    let found = table.read_all(files, Some(&own)).await?;
    concat_batches(table.schema(), &found).map_err(of(&model.name))
}

/// Rows of these files whose key is touched. A file that holds none of the values `sought` in the first key column
/// is not read; other columns than the key are decoded only where such a row is.
pub(crate) async fn rows_of(
    model: &Model,
    table: &Table,
    files: &[DataFile],
    touched: &Touched,
    sought: Option<&Sought>,
) -> Result<RecordBatch, CuratedError> {
    match touched {
        Touched::All => return all_rows(model, table, files).await,
        Touched::Keys(keys) if keys.is_empty() => return Ok(RecordBatch::new_empty(table.schema().clone())),
        Touched::Keys(_) | Touched::Part { .. } => {}
    }
    let touched = Arc::new(touched.clone());
    let mut found = Vec::new();
    let files = files.iter().filter(|file| may_hold(model, file, sought));
    let mut fetching = fetched(table, files.cloned().collect());
    while let Some(fetched) = fetching.next().await {
        let fetched = fetched?;
        let (owned, touched) = (model.clone(), touched.clone());
        let rows = blocking(model, move || {
            let names: Vec<&str> = owned.key.iter().map(|name| name.as_str()).collect();
            let hashes = key_hashes(fetched.decode(&names, None)?.columns());
            let hit = (0u32..).zip(hashes).filter(|(_, hash)| touched.contains(*hash));
            let rows: Vec<u32> = hit.map(|(row, _)| row).collect();
            Ok(if rows.is_empty() { None } else { Some(fetched.decode_all(Some(&rows))?) })
        });
        found.extend(rows.await?);
    }
    concat_batches(table.schema(), &found).map_err(of(&model.name))
}

/// Whether a file may hold one of the values `sought` in the first key column.
pub(crate) fn may_hold(model: &Model, file: &DataFile, sought: Option<&Sought>) -> bool {
    sought.zip(model.key.first()).is_none_or(|(sought, first)| file.may_hold(first.as_str(), sought))
}

/// Files, in their order, some fetched while the one before is worked on.
pub(crate) fn fetched(table: &Table, files: Vec<DataFile>) -> BoxStream<'_, Result<Fetched, CuratedError>> {
    let largest = files.iter().map(|file| file.size.unsigned_abs()).max().unwrap_or_default().max(1);
    let ahead = usize::try_from(table.lake().memory() / 64 / largest).unwrap_or(AHEAD).clamp(1, AHEAD);
    let fetch = move |file: DataFile| async move { Ok(table.fetch(&file).await?) }.boxed();
    futures::stream::iter(files).map(fetch).buffered(ahead).boxed()
}

/// A batch's business key columns, in key order; of a dimension with a durable key that one.
pub(crate) fn named(batch: &RecordBatch, model: &Model) -> Result<Vec<ArrayRef>, ArrowError> {
    let column = |name: &weir_core::name::Identifier| {
        let found = batch.column_by_name(name.as_str()).cloned();
        found.ok_or_else(|| ArrowError::SchemaError(format!("rows lack the key column `{name}`")))
    };
    model.key.iter().map(column).collect()
}

/// Runs work on a bucket beside that on others.
pub(crate) async fn beside<T: Send + 'static>(
    model: ModelName,
    work: impl Future<Output = Result<T, CuratedError>> + Send + 'static,
) -> Result<T, CuratedError> {
    joined(&model, tokio::spawn(work).await)
}

/// What a task gave, or that it did not end.
pub(crate) fn joined<T>(
    model: &ModelName,
    done: Result<Result<T, CuratedError>, tokio::task::JoinError>,
) -> Result<T, CuratedError> {
    done.map_err(|source| CuratedError::Worker { model: model.clone(), source })?
}

/// Runs what computes for long where it keeps no other task waiting.
pub(crate) async fn blocking<T: Send + 'static>(
    model: &Model,
    work: impl FnOnce() -> Result<T, CuratedError> + Send + 'static,
) -> Result<T, CuratedError> {
    joined(&model.name, tokio::task::spawn_blocking(work).await)
}
