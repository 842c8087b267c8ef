//! The lake: a root folder, its tables, the store behind them, and the query engine's limits.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;
use uuid::Uuid;
use weir_core::zone::Zone;

use crate::error::LakeError;
use crate::file::Partitioning;
use crate::table::Table;

/// Where the lake is and what the engine may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The root folder; made if missing.
    pub root: PathBuf,
    /// Bytes that the query engine may hold before it spills.
    pub memory: u64,
    /// Partitions that a query is spread over.
    pub parallel: usize,
}

impl Options {
    /// A folder, with 256 MiB for the engine and two partitions per query.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), memory: 256 << 20, parallel: 2 }
    }
}

impl TryFrom<&weir_project::Lake> for Options {
    type Error = LakeError;

    fn try_from(lake: &weir_project::Lake) -> Result<Self, LakeError> {
        match &lake.root {
            weir_project::LakeRoot::Folder(root) => Ok(Self { memory: lake.memory.as_u64(), ..Self::folder(root) }),
            weir_project::LakeRoot::S3(root) => Err(LakeError::UnsupportedRoot { root: root.clone() }),
        }
    }
}

/// The lake. Cheap to clone: clones share the store and the engine's memory limit.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    root: PathBuf,
    /// `/` is the file system's root, as Delta's URLs want it.
    pub(crate) whole: Arc<dyn ObjectStore>,
    /// `/` is the lake's root.
    pub(crate) rooted: Arc<dyn ObjectStore>,
    runtime: Arc<RuntimeEnv>,
    parallel: usize,
    memory: u64,
    /// Nothing of it is where its root says.
    pub(crate) is_scratch: bool,
    /// Begins the names of all data files that this lake writes: what else is older than
    /// [`Inner::opened`] and in no commit belongs to no living writer.
    pub(crate) run: String,
    pub(crate) opened: SystemTime,
}

impl Lake {
    /// Opens the lake in a folder, which is made if missing.
    pub async fn open(options: Options) -> Result<Self, LakeError> {
        Self::with_store(options, Arc::new(LocalFileSystem::new())).await
    }

    /// Opens the lake over a store of the caller's: every read, every write and every commit goes
    /// through it. The store's `/` is the file system's root.
    pub async fn with_store(options: Options, store: Arc<dyn ObjectStore>) -> Result<Self, LakeError> {
        let opened = SystemTime::now();
        let unusable = |source| LakeError::Root { path: options.root.clone(), source };
        let spill = options.root.join("_spill");
        std::fs::create_dir_all(&spill).map_err(unusable)?;
        let root = options.root.canonicalize().map_err(unusable)?;
        let prefix = Path::from_absolute_path(&root).map_err(|e| unusable(std::io::Error::other(e)))?;
        let memory = usize::try_from(options.memory).unwrap_or(usize::MAX);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
            .with_temp_file_path(root.join("_spill"))
            .build_arc()
            .map_err(|e| LakeError::engine("its start", e))?;
        runtime.register_object_store(&file_url(), store.clone());
        let rooted = Arc::new(PrefixStore::new(store.clone(), prefix));
        let run = Uuid::new_v4().simple().to_string()[..8].to_owned();
        let inner = Inner {
            root,
            whole: store,
            rooted,
            runtime,
            parallel: options.parallel,
            memory: options.memory,
            is_scratch: false,
            run,
            opened,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The root folder, absolute.
    pub fn root(&self) -> &FilePath {
        &self.inner.root
    }

    /// The memory limit, in bytes. The query engine keeps it by itself; who holds rows outside of it cuts its work
    /// so that it does too.
    pub fn memory(&self) -> u64 {
        self.inner.memory
    }

    /// Partitions that a query is spread over.
    pub fn parallel(&self) -> usize {
        self.inner.parallel
    }

    /// Bytes of one batch of rows on its way: so few that some may be between any two steps of the work.
    pub fn batch_bytes(&self) -> u64 {
        (self.inner.memory / 64).clamp(1 << 20, 16 << 20)
    }

    /// The store; its `/` is the lake's root.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.inner.rooted.clone()
    }

    /// A session of the query engine. All sessions of a lake share one memory limit; none shares tables.
    pub fn session(&self) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(self.inner.parallel).with_batch_size(8192);
        SessionContext::new_with_config_rt(config, self.inner.runtime.clone())
    }

    /// A table at its newest version; none if nobody has made it.
    pub async fn table(&self, zone: Zone, name: &str) -> Result<Option<Table>, LakeError> {
        Table::open(self, zone, name).await
    }

    /// A table as it was at a version; none if nobody has made it. For reading only: a commit on it conflicts
    /// with whatever came later. Its older files may have been vacuumed.
    pub async fn table_at(&self, zone: Zone, name: &str, version: i64) -> Result<Option<Table>, LakeError> {
        Table::open_at(self, zone, name, version).await
    }

    /// Makes a table, or opens it if another writer was faster. `schema` is without partition columns.
    pub async fn create_table(
        &self,
        zone: Zone,
        name: &str,
        schema: &arrow::datatypes::Schema,
        partitioning: Partitioning,
    ) -> Result<Table, LakeError> {
        Table::create(self, zone, name, schema, partitioning).await
    }

    /// Names of the tables of a zone, sorted.
    pub async fn tables(&self, zone: Zone) -> Result<Vec<String>, LakeError> {
        let folder = Path::from(zone.folder());
        let listed = self.inner.rooted.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|e| LakeError::store(zone.folder(), e))?;
        let names = listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned));
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('_')).collect();
        names.sort();
        Ok(names)
    }

    /// Writes a file whole, unless it is there already: then nothing happens and the answer is false.
    pub async fn put_if_absent(&self, path: &str, content: impl Into<Bytes>) -> Result<bool, LakeError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.inner.rooted.put_opts(&Path::from(path), content.into().into(), options).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(LakeError::store(path, error)),
        }
    }

    /// Writes a file whole, over one that is there.
    pub async fn put(&self, path: &str, content: impl Into<Bytes>) -> Result<(), LakeError> {
        let done = self.inner.rooted.put(&Path::from(path), content.into().into()).await;
        done.map(drop).map_err(|e| LakeError::store(path, e))
    }

    /// Reads a file whole; none if it is not there.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, LakeError> {
        let found = match self.inner.rooted.get(&Path::from(path)).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(LakeError::store(path, error)),
        };
        found.bytes().await.map(Some).map_err(|e| LakeError::store(path, e))
    }

    pub(crate) fn table_url(&self, zone: Zone, name: &str) -> Result<Url, LakeError> {
        let folder = self.inner.root.join(zone.folder()).join(name);
        // The root is absolute: `open` made it so.
        let url = Url::from_directory_path(&folder).map_err(|()| LakeError::Root {
            path: folder,
            source: std::io::Error::from(std::io::ErrorKind::InvalidFilename),
        })?;
        if !self.inner.is_scratch {
            return Ok(url);
        }
        // Delta looks for the folder of a `file:` URL itself, and a scratch lake's tables have none.
        Url::parse(&format!("memory://{}", url.path()))
            .map_err(|source| LakeError::Root { path: self.inner.root.clone(), source: std::io::Error::other(source) })
    }
}

fn file_url() -> Url {
    Url::parse("file:///").expect("a constant URL")
}
