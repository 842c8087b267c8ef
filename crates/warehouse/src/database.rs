//! The one DuckDB file: opened once per process, cloned per session, bootstrapped at each open.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duckdb::{Config, Connection};

use crate::bucket::Bucket;
use crate::error::WarehouseError;
use crate::mirror::decode::{self, Decode};
use crate::mirror::refresh::Kept;
use crate::mirror::source::Source;
use crate::session::Session;

const BOOTSTRAP: &str = include_str!("catalog/bootstrap.sql");

/// Files that this process holds: DuckDB itself does not notice a second open, which would corrupt the file.
static OPEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How a warehouse is opened.
#[derive(Clone, Default)]
pub struct Options {
    /// Memory limit in bytes; beyond it statements spill to `<file>.tmp`. None: 512 MiB.
    pub memory: Option<u64>,
    /// Threads that a statement uses. None: one per core.
    pub threads: Option<usize>,
    /// Decodes records for `f_cdc_avro_to_json`. None: the function cannot be declared.
    pub decode: Option<Arc<dyn Decode>>,
    /// Where streaming views read topics. None: REFRESH is refused.
    pub source: Option<Arc<dyn Source>>,
    /// The bucket that COPY reads. None: COPY reads folders of this machine only.
    pub bucket: Option<Bucket>,
}

/// Redshift's double: one DuckDB file and the sessions on it.
pub struct Warehouse {
    root: Mutex<Connection>,
    pub(crate) shared: Arc<Shared>,
}

/// What sessions share.
pub(crate) struct Shared {
    path: PathBuf,
    /// Rises with each change of the catalog, so that sessions read its names again.
    pub(crate) catalog_version: AtomicU64,
    pub(crate) source: Option<Arc<dyn Source>>,
    pub(crate) can_decode: bool,
    pub(crate) bucket: Option<Bucket>,
    /// Readers by topic, kept between refreshes; held for a whole refresh, because two would read the same records.
    pub(crate) readers: Mutex<BTreeMap<String, Kept>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        locked(&OPEN).remove(&self.path);
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Warehouse {
    /// Opens or makes the file at `path`; its folder is made if missing.
    ///
    /// Fails with [`WarehouseError::Locked`] while another process holds the file, e.g. a running `weir serve`:
    /// that one is to be talked to over the wire.
    #[allow(clippy::disallowed_methods, reason = "the one place that opens the file")]
    pub fn open(path: &Path, options: Options) -> Result<Self, WarehouseError> {
        let path = absolute(path)?;
        if !locked(&OPEN).insert(path.clone()) {
            return Err(WarehouseError::AlreadyOpen { path });
        }
        let shared = Arc::new(Shared {
            path: path.clone(),
            catalog_version: AtomicU64::new(1),
            source: options.source.clone(),
            can_decode: options.decode.is_some(),
            bucket: options.bucket.clone(),
            readers: Mutex::new(BTreeMap::new()),
        });
        let opened = |source: duckdb::Error| {
            let text = source.to_string();
            if text.contains("Could not set lock") || text.contains("Conflicting lock") {
                WarehouseError::Locked { path: path.clone() }
            } else {
                WarehouseError::Open { path: path.clone(), source }
            }
        };
        let memory = options.memory.unwrap_or(512 << 20);
        let mut config = Config::default()
            .max_memory(&format!("{memory}B"))
            .and_then(|config| config.enable_autoload_extension(false))
            .and_then(|config| config.with("autoinstall_known_extensions", "false"))
            .and_then(|config| config.with("preserve_insertion_order", "false"))
            // Macros with typed parameters need it; DuckDB 1.4 and later open the file.
            .and_then(|config| config.with("storage_compatibility_version", "v1.4.0"))
            .map_err(opened)?;
        if let Some(threads) = options.threads {
            config = config.threads(i64::try_from(threads).unwrap_or(1)).map_err(opened)?;
        }
        let root = Connection::open_with_flags(&path, config).map_err(opened)?;
        root.execute_batch(&format!("BEGIN; {BOOTSTRAP} COMMIT;")).map_err(opened)?;
        // Nobody else has the file open: what lies there is a killed process's.
        let _ = std::fs::remove_dir_all(shared.spool());
        if let Some(decode) = options.decode {
            decode::register(&root, decode).map_err(opened)?;
        }
        Ok(Self { root: Mutex::new(root), shared })
    }

    /// A new session: its own connection, transaction and settings.
    pub fn session(&self) -> Result<Session, WarehouseError> {
        let connection = locked(&self.root).try_clone()?;
        Session::new(connection, self.shared.clone())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }
}

impl Shared {
    /// Where files of a bucket lie while they are loaded.
    pub(crate) fn spool(&self) -> PathBuf {
        self.path.with_extension("spool")
    }

    pub(crate) fn catalog_changed(&self) {
        self.catalog_version.fetch_add(1, Ordering::SeqCst);
    }
}

/// The path by which a file is known, whether it exists or not.
fn absolute(path: &Path) -> Result<PathBuf, WarehouseError> {
    let unusable = |source: std::io::Error| WarehouseError::Open {
        path: path.to_owned(),
        source: duckdb::Error::InvalidPath(PathBuf::from(format!("{}: {source}", path.display()))),
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let folder = folder.canonicalize().map_err(unusable)?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

/// Names that the rewriter needs, read from the engine's catalog.
pub(crate) fn names(connection: &Connection) -> Result<crate::statement::rewrite::Names, WarehouseError> {
    let texts = |sql: &str| -> Result<HashSet<String>, WarehouseError> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    Ok(crate::statement::rewrite::Names {
        super_columns: texts(
            "SELECT DISTINCT lower(column_name) FROM duckdb_columns() WHERE data_type = 'JSON' AND NOT internal",
        )?,
        functions: texts("SELECT function_name FROM weir_catalog.functions")?,
    })
}
