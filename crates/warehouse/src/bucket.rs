//! The lake's files as load scripts and COPY need them: a folder of this machine, or a bucket.
//!
//! The engine reads no bucket: files of a COPY are fetched to a spool folder, which is gone when the COPY is done.

use std::io;
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

/// Files that are fetched at the same time.
const FETCHES_AT_ONCE: usize = 4;

/// The lake's files.
#[derive(Clone)]
pub enum LakeFiles {
    /// Below a folder.
    Folder(PathBuf),
    /// Below `s3://bucket/prefix`.
    Bucket(Bucket),
}

/// The lake's folder of a bucket. Its calls block; they are for threads that may.
#[derive(Clone)]
pub struct Bucket {
    location: String,
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
}

impl LakeFiles {
    /// Names in a folder of the lake; none if it is not there.
    pub(crate) fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        match self {
            Self::Folder(root) => {
                let entries = match std::fs::read_dir(root.join(folder)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                    entries => entries?,
                };
                entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
            }
            Self::Bucket(bucket) => {
                let folder = Path::from(folder);
                let listed = bucket.runtime.block_on(bucket.store.list_with_delimiter(Some(&folder)))?;
                Ok(listed.objects.iter().filter_map(|file| file.location.filename().map(str::to_owned)).collect())
            }
        }
    }

    /// A file, whole.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Folder(root) => std::fs::read(root.join(path)),
            Self::Bucket(bucket) => bucket.read(path),
        }
    }

    /// Writes a file; a reader sees all of it or nothing.
    pub(crate) fn write(&self, path: &str, text: &str) -> io::Result<()> {
        match self {
            Self::Folder(root) => {
                let path = root.join(path);
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let beside = path.with_extension("tmp");
                std::fs::write(&beside, text)?;
                std::fs::rename(&beside, &path)
            }
            Self::Bucket(bucket) => {
                let path = Path::from(path);
                bucket.runtime.block_on(bucket.store.put(&path, text.to_owned().into()))?;
                Ok(())
            }
        }
    }
}

impl Bucket {
    /// The lake at `s3://bucket/prefix`; the store's `/` is the lake's root. `runtime` drives the store's requests.
    pub fn new(location: impl Into<String>, store: Arc<dyn ObjectStore>, runtime: Handle) -> Self {
        Self { location: location.into(), store, runtime }
    }

    /// The path in the lake that a URL names; none for a URL of somewhere else.
    pub(crate) fn path<'a>(&self, url: &'a str) -> Option<&'a str> {
        url.strip_prefix(&self.location)?.strip_prefix('/')
    }

    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let path = Path::from(path);
        let bytes = self.runtime.block_on(async { self.store.get(&path).await?.bytes().await })?;
        Ok(bytes.into())
    }

    /// Paths of the Parquet files below a path, or the path itself if it is one, by name. Hidden names are left out.
    pub(crate) fn parquet_below(&self, path: &str) -> io::Result<Vec<String>> {
        if path.ends_with(".parquet") {
            return Ok(vec![path.to_owned()]);
        }
        let folder = Path::from(path);
        let found: Vec<_> = self.runtime.block_on(self.store.list(Some(&folder)).try_collect())?;
        let shown = |file: &object_store::ObjectMeta| {
            let below = file.location.prefix_match(&folder);
            below.is_some_and(|mut parts| parts.all(|part| !part.as_ref().starts_with(['_', '.'])))
        };
        let files = found.iter().filter(|file| shown(file)).map(|file| file.location.to_string());
        let mut files: Vec<String> = files.filter(|path| path.ends_with(".parquet")).collect();
        files.sort();
        Ok(files)
    }

    /// Fetches files into a folder; per file where it is now and its length, or why not, in the same order.
    pub(crate) fn fetch(&self, paths: &[String], into: &FilePath) -> Vec<io::Result<(PathBuf, u64)>> {
        let fetches = paths.iter().enumerate().map(|(number, path)| {
            let target = into.join(format!("{number}.parquet"));
            async move {
                let mut chunks = self.store.get(&Path::from(path.as_str())).await?.into_stream();
                let (mut file, mut length) = (std::fs::File::create(&target)?, 0);
                while let Some(chunk) = chunks.try_next().await? {
                    file.write_all(&chunk)?;
                    length += chunk.len() as u64;
                }
                Ok((target, length))
            }
        });
        self.runtime.block_on(futures::stream::iter(fetches).buffered(FETCHES_AT_ONCE).collect())
    }
}

/// A folder for fetched files, removed with them when this is dropped.
pub(crate) struct Spool(PathBuf);

impl Spool {
    /// Below `folder`, which is the warehouse's own.
    pub(crate) fn below(folder: &FilePath) -> io::Result<Self> {
        let path = folder.join(uuid::Uuid::new_v4().simple().to_string());
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &FilePath {
        &self.0
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a spool folder is left");
        }
    }
}
