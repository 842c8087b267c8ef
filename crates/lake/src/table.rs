//! A Delta table of a zone, as one writer or reader sees it: at one version, until it refreshes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::table::state::DeltaTableState;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use uuid::Uuid;
use weir_core::zone::Zone;

use crate::error::LakeError;
use crate::fetched::Encoded;
use crate::file::{DataFile, NewFile, Partition, Partitioning};
use crate::lake::Lake;
use crate::traffic::Counters;
use crate::{encode, log, schema, stats};

/// Files that are encoded and written at the same time.
const WRITES_AT_ONCE: usize = 4;

/// A table of the lake. Its version, schema, files and positions belong together.
#[derive(Clone)]
pub struct Table {
    pub(crate) lake: Lake,
    pub(crate) zone: Zone,
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) log_store: LogStoreRef,
    pub(crate) state: DeltaTableState,
    /// The table's own columns.
    pub(crate) schema: SchemaRef,
    /// The next commit takes every row of this version away: see [`Table::anew`].
    pub(crate) anew: bool,
    pub(crate) partitioning: Partitioning,
    pub(crate) files: Arc<BTreeMap<String, DataFile>>,
    pub(crate) positions: Arc<BTreeMap<String, i64>>,
    pub(crate) counters: Arc<Counters>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at version {}", self.full_name, self.version())
    }
}

impl Table {
    pub(crate) async fn open(lake: &Lake, zone: Zone, name: &str) -> Result<Option<Self>, LakeError> {
        let full_name = format!("{zone}/{name}");
        let log_store = lake.log_store(zone, name)?;
        if !log::exists(&log_store, &full_name).await? {
            return Ok(None);
        }
        let state = DeltaTableState::try_new(&log_store, None).await;
        let state = state.map_err(|e| LakeError::delta(&full_name, -1, e))?;
        Self::of_state(lake.clone(), zone, name, log_store, state).await.map(Some)
    }

    /// As [`Table::open`], at a version that was committed once.
    pub(crate) async fn open_at(lake: &Lake, zone: Zone, name: &str, version: i64) -> Result<Option<Self>, LakeError> {
        let full_name = format!("{zone}/{name}");
        let log_store = lake.log_store(zone, name)?;
        let number =
            u64::try_from(version).map_err(|_| LakeError::Log { table: full_name.clone(), version, source: None })?;
        if !log::exists(&log_store, &full_name).await? {
            return Ok(None);
        }
        let state = DeltaTableState::try_new(&log_store, Some(number)).await;
        let state = state.map_err(|e| LakeError::delta(&full_name, version, e))?;
        Self::of_state(lake.clone(), zone, name, log_store, state).await.map(Some)
    }

    pub(crate) async fn create(
        lake: &Lake,
        zone: Zone,
        name: &str,
        columns: &Schema,
        partitioning: Partitioning,
    ) -> Result<Self, LakeError> {
        if let Some(table) = Self::open(lake, zone, name).await? {
            return Ok(table);
        }
        let full_name = format!("{zone}/{name}");
        let columns = with_partition_columns(&schema::normal(columns), partitioning);
        let created = CreateBuilder::new()
            .with_log_store(lake.log_store(zone, name)?)
            .with_table_name(name)
            .with_columns(schema::delta_fields(&full_name, &columns)?)
            .with_partition_columns(partitioning.columns().iter().copied())
            .with_save_mode(SaveMode::Ignore)
            // Readers of additions read the log's commits; no other tool may clean them up.
            .with_configuration_property(deltalake::TableProperty::EnableExpiredLogCleanup, Some("false"))
            .await;
        // Made by us, by somebody else between our look and our commit, or by us without a reply: it is there.
        match (Self::open(lake, zone, name).await?, created) {
            (Some(table), _) => Ok(table),
            (None, Err(error)) => Err(LakeError::delta(&full_name, -1, error)),
            (None, Ok(_)) => Err(LakeError::Log { table: full_name, version: 0, source: None }),
        }
    }

    async fn of_state(
        lake: Lake,
        zone: Zone,
        name: &str,
        log_store: LogStoreRef,
        state: DeltaTableState,
    ) -> Result<Self, LakeError> {
        let full_name = format!("{zone}/{name}");
        let partition_columns: Vec<String> =
            state.metadata().partition_columns().iter().map(ToString::to_string).collect();
        let foreign = || LakeError::Log { table: full_name.clone(), version: version_of(&state), source: None };
        let partitioning = Partitioning::of_columns(&partition_columns).ok_or_else(foreign)?;
        let positions = log::positions(&log_store, &full_name, version_of(&state)).await?;
        let mut table = Self {
            schema: own_columns(&state, partitioning),
            anew: false,
            lake,
            zone,
            name: name.to_owned(),
            full_name,
            log_store,
            state,
            partitioning,
            files: Arc::default(),
            positions: Arc::default(),
            counters: Arc::default(),
        };
        table.read_state(positions)?;
        Ok(table)
    }

    /// Takes files and schema from the newest state, at which readers stand so.
    fn read_state(&mut self, positions: BTreeMap<String, i64>) -> Result<(), LakeError> {
        self.schema = self.stored_schema();
        self.anew = false;
        self.files = Arc::new(self.stored_files()?);
        self.positions = Arc::new(positions);
        Ok(())
    }

    /// The files of the version in the log.
    pub(crate) fn stored_files(&self) -> Result<BTreeMap<String, DataFile>, LakeError> {
        let mut files = BTreeMap::new();
        for view in self.state.log_data().iter() {
            #[allow(deprecated, reason = "the arrays behind it are private")]
            let add = view.add_action();
            let foreign =
                || LakeError::Log { table: self.full_name.clone(), version: version_of(&self.state), source: None };
            let file = DataFile::of_add(&add).ok_or_else(foreign)?;
            files.insert(file.path.clone(), file);
        }
        Ok(files)
    }

    /// The table as its next commit makes it anew: with these columns, without a row, its positions kept. Until that
    /// commit nothing has happened to it; the commit takes every older file away, so that any column may be another.
    pub fn anew(self, schema: &Schema) -> Self {
        Self { schema: schema::normal(schema), files: Arc::default(), anew: true, ..self }
    }

    /// Whether the next commit makes the table anew.
    pub fn is_anew(&self) -> bool {
        self.anew
    }

    /// The table's own columns at the handle's version, whatever its next commit makes of them.
    pub fn stored_schema(&self) -> SchemaRef {
        own_columns(&self.state, self.partitioning)
    }

    /// Goes to the newest version; true if that is another one. Only the commits since are read.
    pub async fn refresh(&mut self) -> Result<bool, LakeError> {
        let before = self.version();
        let mut state = self.state.clone();
        let updated = state.update(&self.log_store, None).await;
        updated.map_err(|e| LakeError::delta(&self.full_name, before, e))?;
        let version = version_of(&state);
        if version == before {
            return Ok(false);
        }
        let positions = if version > before && state.metadata().id() == self.id() {
            let mut positions = (*self.positions).clone();
            log::move_positions(&self.log_store, &self.full_name, before + 1..=version, &mut positions).await?;
            positions
        } else {
            log::positions(&self.log_store, &self.full_name, version).await?
        };
        self.state = state;
        self.read_state(positions)?;
        Ok(true)
    }

    /// The lake that it was opened in.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The zone.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// The name inside its zone.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `zone/name`, as messages have it.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Names of the table's own columns, in their order.
    pub fn column_names(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// The id that the table has for as long as it lives; another one after its folder was made anew.
    pub fn id(&self) -> &str {
        self.state.metadata().id()
    }

    /// The version that this handle sees.
    pub fn version(&self) -> i64 {
        version_of(&self.state)
    }

    /// The table's own columns, without partition columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns as a reader sees them: the table's own, then the partition columns.
    pub fn full_schema(&self) -> SchemaRef {
        Arc::new(with_partition_columns(&self.schema, self.partitioning))
    }

    /// How the files are spread over folders.
    pub fn partitioning(&self) -> Partitioning {
        self.partitioning
    }

    /// Where a reader's writer stands; none if it has never committed here.
    pub fn position(&self, reader: &str) -> Option<i64> {
        self.positions.get(reader).copied()
    }

    /// All positions, by reader.
    pub fn positions(&self) -> &BTreeMap<String, i64> {
        &self.positions
    }

    /// The files of this version, by path.
    pub fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.files.values()
    }

    /// The files of one folder.
    pub fn files_in(&self, partition: Partition) -> impl Iterator<Item = &DataFile> {
        let prefix = partition.prefix();
        let from = self.files.range(prefix.clone()..);
        from.map(|(_, file)| file).take_while(move |file| file.path.starts_with(&prefix))
    }

    /// Rows of this version.
    pub fn rows(&self) -> u64 {
        self.files.values().map(|file| file.rows).sum()
    }

    /// Encodes and writes one file. It is no part of the table before a commit names it.
    pub async fn write_file(&self, file: NewFile) -> Result<DataFile, LakeError> {
        let what = self.full_name.clone();
        let zone = self.zone;
        let encoded = tokio::task::spawn_blocking(move || {
            let rows = file.batches.iter().map(|batch| batch.num_rows() as u64).sum();
            let (bytes, stats) = (encode::encode(zone, &file.batches)?, stats::stats(&file.batches));
            Ok::<_, parquet::errors::ParquetError>((Encoded { bytes, rows, stats }, file.partition, file.tags))
        });
        let (encoded, partition, tags) = match encoded.await {
            Ok(done) => done.map_err(|e| LakeError::file(&what, e))?,
            Err(panicked) => return Err(LakeError::file(&what, panicked)),
        };
        self.write_encoded(encoded, partition, tags).await
    }

    /// Writes a file that is encoded already. It is no part of the table before a commit names it.
    pub async fn write_encoded(
        &self,
        encoded: Encoded,
        partition: Partition,
        tags: BTreeMap<String, String>,
    ) -> Result<DataFile, LakeError> {
        let Encoded { bytes, rows, stats } = encoded;
        let path = format!("{}{}-{}.parquet", partition.prefix(), self.lake.inner.run, Uuid::new_v4());
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let written = self.store().put(&self.location(&path), PutPayload::from(bytes)).await;
        written.map_err(|e| LakeError::store(format!("{}/{path}", self.full_name), e))?;
        self.counters.written(size.unsigned_abs(), rows);
        let modified = chrono::Utc::now().timestamp_millis();
        Ok(DataFile { path, partition, size, rows, modified, tags, stats: Some(stats) })
    }

    /// Encodes and writes files, some at the same time; the answer is in the same order.
    pub async fn write_files(&self, files: Vec<NewFile>) -> Result<Vec<DataFile>, LakeError> {
        let mut writing = futures::stream::iter(files).map(|file| self.write_file(file)).buffered(WRITES_AT_ONCE);
        let mut written = Vec::new();
        while let Some(file) = writing.next().await {
            written.push(file?);
        }
        Ok(written)
    }

    /// The path of a file relative to the lake's root.
    pub fn path_of(&self, file: &DataFile) -> String {
        format!("{}/{}", self.full_name, file.path)
    }

    /// This version as the query engine reads it. Sessions come from [`Lake::session`].
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>, LakeError> {
        let snapshot = self.state.snapshot().clone();
        let builder = DeltaTable::new(self.log_store.clone()).table_provider().with_eager_snapshot(snapshot);
        let provider = builder.build().await;
        Ok(Arc::new(provider.map_err(|e| LakeError::delta(&self.full_name, self.version(), e.into()))?))
    }

    /// Registers this version in a session under a name.
    pub async fn register(&self, session: &SessionContext, name: &str) -> Result<(), LakeError> {
        let provider = self.provider().await?;
        let quoted = datafusion::common::TableReference::bare(name);
        session.register_table(quoted, provider).map(drop).map_err(|e| LakeError::engine(&self.full_name, e))
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        self.lake.inner.rooted.as_ref()
    }

    pub(crate) fn location(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.full_name))
    }
}

fn version_of(state: &DeltaTableState) -> i64 {
    i64::try_from(state.version()).unwrap_or(i64::MAX)
}

fn own_columns(state: &DeltaTableState, partitioning: Partitioning) -> SchemaRef {
    let all = schema::normal(&state.snapshot().arrow_schema());
    let own = all.fields().iter().filter(|field| !partitioning.columns().contains(&field.name().as_str()));
    Arc::new(Schema::new(own.cloned().collect::<Vec<_>>()))
}

fn with_partition_columns(schema: &Schema, partitioning: Partitioning) -> Schema {
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.extend(partitioning.fields().map(Arc::new));
    debug_assert!(fields.iter().all(|field| !matches!(field.data_type(), DataType::Null)));
    Schema::new(fields)
}
