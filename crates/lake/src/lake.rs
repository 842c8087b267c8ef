//! The lake: a root, its tables, the store behind them, and the query engine's limits.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;
use uuid::Uuid;
use weir_core::zone::Zone;

use crate::error::LakeError;
use crate::file::Partitioning;
use crate::folder::Folder;
use crate::s3::S3;
use crate::table::Table;

/// Where the lake is and what the engine may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where its root is.
    pub root: Root,
    /// Bytes that the query engine may hold before it spills.
    pub memory: u64,
    /// Partitions that a query is spread over.
    pub parallel: usize,
}

/// Where a lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A folder of this machine; made if missing.
    Folder(PathBuf),
    /// A folder of a bucket.
    S3(S3),
}

impl Options {
    /// A folder, with 256 MiB for the engine and two partitions per query.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self::of_root(Root::Folder(root.into()))
    }

    /// A folder of a bucket, with the same limits.
    pub fn s3(root: S3) -> Self {
        Self::of_root(Root::S3(root))
    }

    fn of_root(root: Root) -> Self {
        Self { root, memory: 256 << 20, parallel: 2 }
    }
}

impl From<&weir_project::Lake> for Options {
    fn from(lake: &weir_project::Lake) -> Self {
        let options = match &lake.root {
            weir_project::LakeRoot::Folder(root) => Self::folder(root),
            weir_project::LakeRoot::S3(url) => Self::s3(S3 {
                region: lake.region.clone(),
                endpoint: lake.endpoint.clone(),
                kms_key: lake.kms_key.clone(),
                ..S3::of_url(url)
            }),
        };
        Self { memory: lake.memory.as_u64(), ..options }
    }
}

/// The lake. Cheap to clone: clones share the store and the engine's memory limit.
#[derive(Debug, Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: Root,
    /// An absolute path or `s3://bucket/prefix`, without a final slash.
    location: String,
    /// The same as a URL, with one.
    url: Url,
    /// The lake's root in [`Inner::whole`].
    pub(crate) prefix: Path,
    /// `/` is the root of the file system or the bucket, as Delta's URLs want it.
    pub(crate) whole: Arc<dyn ObjectStore>,
    /// `/` is the lake's root.
    pub(crate) rooted: Arc<dyn ObjectStore>,
    runtime: Arc<RuntimeEnv>,
    parallel: usize,
    memory: u64,
    /// Begins the names of all data files that this lake writes: what else is older than
    /// [`Inner::opened`] and in no commit belongs to no living writer.
    pub(crate) run: String,
    pub(crate) opened: SystemTime,
    /// How old a file that no commit names must be to be nobody's: on a store, the clock is another machine's, and
    /// a commit whose sender is gone may still arrive.
    pub(crate) settled: Duration,
    is_scratch: bool,
}

impl Lake {
    /// Opens the lake: a folder is made if missing, a bucket must be there and let itself be listed.
    ///
    /// In a folder, what a commit names is on the disk before the commit is, and a commit is on the disk before it is
    /// answered: a power cut takes whole commits or nothing of them.
    pub async fn open(options: Options) -> Result<Self, LakeError> {
        match &options.root {
            Root::Folder(root) => {
                let store = Folder::below(made(root)?);
                Self::with_store(options, Arc::new(store)).await
            }
            Root::S3(s3) => {
                let (s3, store) = (s3.clone(), s3.store()?);
                let lake = Self::with_store(options, Arc::new(store)).await?;
                let seen = lake.inner.rooted.list_with_delimiter(None).await;
                seen.map_err(|source| s3.unusable(source))?;
                Ok(lake)
            }
        }
    }

    /// Opens the lake over a store of the caller's: every read, every write and every commit goes
    /// through it. The store's `/` is the root of the file system or of the bucket.
    pub async fn with_store(options: Options, store: Arc<dyn ObjectStore>) -> Result<Self, LakeError> {
        Self::over(options, store, false)
    }

    /// The same; of a scratch lake nothing need be where its root says.
    pub(crate) fn over(options: Options, store: Arc<dyn ObjectStore>, is_scratch: bool) -> Result<Self, LakeError> {
        let opened = SystemTime::now();
        let memory = usize::try_from(options.memory).unwrap_or(usize::MAX);
        let mut runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory)));
        let (location, prefix, url, settled) = match &options.root {
            Root::Folder(folder) => {
                let root = made(folder)?;
                let unusable = |source| LakeError::Root { path: root.clone(), source };
                let prefix = Path::from_absolute_path(&root).map_err(|e| unusable(std::io::Error::other(e)))?;
                let spill = root.join("_spill");
                std::fs::create_dir_all(&spill).map_err(unusable)?;
                runtime = runtime.with_temp_file_path(spill);
                let named = Url::from_directory_path(&root);
                let mut url = named.map_err(|()| unusable(std::io::ErrorKind::InvalidFilename.into()))?;
                if is_scratch {
                    // Delta looks for the folder of a `file:` URL itself, and a scratch lake's own tables have none.
                    let other = Url::parse(&format!("memory://{}", url.path()));
                    url = other.map_err(|e| unusable(std::io::Error::other(e)))?;
                }
                (root.display().to_string(), prefix, url, Duration::ZERO)
            }
            Root::S3(s3) => (s3.location(), s3.path()?, s3.url()?, Duration::from_hours(1)),
        };
        let runtime = runtime.build_arc().map_err(|e| LakeError::engine("its start", e))?;
        // The engine finds a store by scheme and host alone.
        runtime.register_object_store(&url, store.clone());
        let rooted = Arc::new(PrefixStore::new(store.clone(), prefix.clone()));
        let run = Uuid::new_v4().simple().to_string()[..8].to_owned();
        let inner = Inner {
            root: options.root,
            location,
            url,
            prefix,
            whole: store,
            rooted,
            runtime,
            parallel: options.parallel,
            memory: options.memory,
            run,
            opened,
            settled,
            is_scratch,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The root: an absolute path or `s3://bucket/prefix`, without a final slash.
    pub fn location(&self) -> &str {
        &self.inner.location
    }

    /// The folder of this machine in which other programs find the lake's files; none for a bucket, nor for a scratch lake.
    pub fn folder(&self) -> Option<&FilePath> {
        (matches!(self.inner.root, Root::Folder(_)) && !self.inner.is_scratch)
            .then(|| FilePath::new(&self.inner.location))
    }

    /// Whether what is done to it is done on a copy, which goes with it.
    pub fn is_scratch(&self) -> bool {
        self.inner.is_scratch
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

    /// Writes a file whole, unless it is there already with another content: then nothing happens and the answer
    /// is false.
    pub async fn put_if_absent(&self, path: &str, content: impl Into<Bytes>) -> Result<bool, LakeError> {
        let content = content.into();
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.rooted.put_opts(&Path::from(path), content.clone().into(), options).await;
        let Err(error) = put else { return Ok(true) };
        // The reply of our own put may be what was lost: then the file is there, and it is ours.
        let found = self.get(path).await;
        if found.is_ok_and(|found| found.is_some_and(|found| found == content)) {
            return Ok(true);
        }
        match error {
            StoreError::AlreadyExists { .. } => Ok(false),
            error => Err(LakeError::store(path, error)),
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

    /// A table's folder, as Delta's own store.
    pub(crate) fn log_store(&self, zone: Zone, name: &str) -> Result<LogStoreRef, LakeError> {
        let folder = format!("{}/{name}", zone.folder());
        let url = self.inner.url.join(&format!("{folder}/")).map_err(|e| LakeError::file(&folder, e))?;
        let table = Arc::new(PrefixStore::new(self.inner.rooted.clone(), Path::from(folder)));
        Ok(default_logstore(table, self.inner.whole.clone(), &url, &StorageConfig::default()))
    }
}

/// The folder, made and absolute.
fn made(folder: &FilePath) -> Result<PathBuf, LakeError> {
    let unusable = |source| LakeError::Root { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    folder.canonicalize().map_err(unusable)
}
