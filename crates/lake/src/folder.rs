//! A local folder that keeps its promises over a power cut.
//!
//! The file system may write what was put in any order, or not at all, until it is told to. So: a file that others
//! are found by (a commit of a log, a checkpoint, a publication) is written beside its place, flushed, and only then
//! given its name, and before that everything put earlier is flushed: data files, change sets, and the folders that
//! hold them. Flushing many small files one by one costs milliseconds each; where the system can flush all at once
//! (Linux), it is asked to.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// From this many files on, the whole file system is flushed instead of each of them.
#[cfg(target_os = "linux")]
const MANY: usize = 16;
/// Files that are flushed at the same time: the file system gathers them into few writes of its journal.
const FLUSHES_AT_ONCE: usize = 8;

/// The file system; `/` is its root.
#[derive(Debug)]
pub(crate) struct Folder {
    inner: LocalFileSystem,
    /// Folders above it are not ours to flush.
    root: PathBuf,
    /// Put, but perhaps not on the disk yet.
    unflushed: Mutex<Vec<PathBuf>>,
    /// Held during a flush: a second commit's files may be among those that the first one flushes.
    flushing: tokio::sync::Mutex<()>,
}

impl Folder {
    /// For files below `root`, an absolute path.
    pub(crate) fn below(root: PathBuf) -> Self {
        Self {
            inner: LocalFileSystem::new(),
            root,
            unflushed: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
        }
    }

    /// Flushes everything that was put. What fails stays to be flushed.
    async fn flush(&self) -> Result<()> {
        let _one_at_a_time = self.flushing.lock().await;
        let files = std::mem::take(&mut *self.unflushed());
        if files.is_empty() {
            return Ok(());
        }
        let (root, taken) = (self.root.clone(), files.clone());
        let flushed = blocking(move || flush(&root, &taken)).await;
        if flushed.is_err() {
            self.unflushed().extend(files);
        }
        flushed
    }

    fn unflushed(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.unflushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a file, flushed, and then gives it its name.
    async fn put_flushed(&self, location: &Path, payload: PutPayload, replace: bool) -> Result<PutResult> {
        let path = self.inner.path_to_filesystem(location)?;
        let (root, named) = (self.root.clone(), path.clone());
        let written = blocking(move || {
            let mut beside = Beside::make(&path)?;
            payload.iter().try_for_each(|bytes| io::Write::write_all(&mut beside.file, bytes))?;
            beside.publish(&path, replace)?;
            flush_folders(&root, [path.as_path()])
        });
        match written.await {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(Error::Generic { source, .. }) if is_taken(source.as_ref()) => {
                Err(Error::AlreadyExists { path: named.display().to_string(), source })
            }
            Err(error) => Err(error),
        }
    }
}

fn is_taken(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

/// Whether others are found by this file.
fn decides(location: &Path, mode: &PutMode) -> bool {
    matches!(mode, PutMode::Create) || is_log(location)
}

fn is_log(location: &Path) -> bool {
    location.parts().any(|part| part.as_ref() == "_delta_log")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|source| Error::JoinError { source })?;
    done.map_err(|source| Error::Generic { store: "folder", source: Box::new(source) })
}

/// A file on its way, under a name that no listing shows.
#[derive(Debug)]
struct Beside {
    file: File,
    path: PathBuf,
}

impl Beside {
    fn make(path: &FilePath) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        for number in 1.. {
            let mut beside = path.as_os_str().to_owned();
            // The mark of `LocalFileSystem`, whose listing leaves such names out.
            beside.push(format!("#{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&beside) {
                Ok(file) => return Ok(Self { file, path: beside.into() }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn publish(&self, path: &FilePath, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replace { std::fs::rename(&self.path, path) } else { std::fs::hard_link(&self.path, path) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already after a rename.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(target_os = "linux")]
fn flush(root: &FilePath, files: &[PathBuf]) -> io::Result<()> {
    if files.len() < MANY {
        return flush_each(root, files);
    }
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

#[cfg(not(target_os = "linux"))]
fn flush(root: &FilePath, files: &[PathBuf]) -> io::Result<()> {
    flush_each(root, files)
}

fn flush_each(root: &FilePath, files: &[PathBuf]) -> io::Result<()> {
    let flush = |files: &[PathBuf]| files.iter().try_for_each(|file| sync(file));
    std::thread::scope(|scope| {
        let share = files.len().div_ceil(FLUSHES_AT_ONCE).max(1);
        let flushes: Vec<_> = files.chunks(share).map(|files| scope.spawn(move || flush(files))).collect();
        flushes.into_iter().try_for_each(|flush| flush.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    })?;
    flush_folders(root, files.iter().map(PathBuf::as_path))
}

/// A new name is on the disk when its folder is; a new folder's when the one above is.
fn flush_folders<'a>(root: &FilePath, files: impl IntoIterator<Item = &'a FilePath>) -> io::Result<()> {
    let above = |file: &'a FilePath| file.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    let folders: BTreeSet<&FilePath> = files.into_iter().flat_map(above).collect();
    folders.into_iter().rev().try_for_each(sync)
}

/// Flushes a file or a folder. What is gone by now was taken back before it was committed.
fn sync(path: &FilePath) -> io::Result<()> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_all(),
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "folder {}", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if decides(location, &options.mode) {
            self.flush().await?;
            return self.put_flushed(location, payload, !matches!(options.mode, PutMode::Create)).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        let put = self.inner.put_opts(location, payload, options).await?;
        self.unflushed().push(path);
        Ok(put)
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.flush().await?;
        let path = self.inner.path_to_filesystem(location)?;
        let named = path.clone();
        let beside = blocking(move || Beside::make(&path)).await?;
        Ok(Box::new(Upload { beside: Some(Arc::new(beside)), path: named, root: self.root.clone(), at: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// A large file in parts: a checkpoint of a table of very many files.
#[derive(Debug)]
struct Upload {
    beside: Option<Arc<Beside>>,
    path: PathBuf,
    root: PathBuf,
    at: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (beside, mut at) = (self.beside.clone(), self.at);
        self.at += data.content_length() as u64;
        Box::pin(blocking(move || {
            let Some(beside) = beside else { return Err(io::ErrorKind::NotFound.into()) };
            data.iter().try_for_each(|bytes| {
                let written = std::os::unix::fs::FileExt::write_all_at(&beside.file, bytes, at);
                at += bytes.len() as u64;
                written
            })
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (beside, path, root) = (self.beside.take(), self.path.clone(), self.root.clone());
        blocking(move || {
            let Some(beside) = beside else { return Err(io::ErrorKind::NotFound.into()) };
            beside.publish(&path, true)?;
            flush_folders(&root, [path.as_path()])
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.beside = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn at(folder: &tempfile::TempDir, path: &str) -> Path {
        Path::from_absolute_path(folder.path().join(path)).unwrap()
    }

    fn names(folder: &FilePath) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_was_put_is_flushed_before_a_commit_gets_its_name() {
        for files in [1, 40] {
            let folder = tempfile::tempdir().unwrap();
            let store = Folder::below(folder.path().to_owned());
            for file in 0..files {
                store.put(&at(&folder, &format!("t/hour={file}/a.parquet")), "rows".into()).await.unwrap();
            }
            assert_eq!(store.unflushed().len(), files);
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let commit = at(&folder, "t/_delta_log/0.json");
            store.put_opts(&commit, "commit".into(), create.clone()).await.unwrap();
            assert!(store.unflushed().is_empty());
            assert_eq!(names(&folder.path().join("t/_delta_log")), ["0.json"], "what lay beside is gone");

            let second = store.put_opts(&commit, "another".into(), create).await;
            assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
            assert_eq!(store.get(&commit).await.unwrap().bytes().await.unwrap(), "commit");
            assert_eq!(names(&folder.path().join("t/_delta_log")), ["0.json"]);
        }
    }

    /// A file that cannot be flushed must not be named by a commit.
    #[tokio::test]
    async fn a_flush_that_fails_stops_the_commit_and_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::below(folder.path().to_owned());
        // Something below a file cannot even be opened, for root neither.
        std::fs::write(folder.path().join("file"), "").unwrap();
        store.unflushed().push(folder.path().join("file/a.parquet"));
        let commit = at(&folder, "t/_delta_log/0.json");
        for _ in 0..2 {
            assert!(store.put(&commit, "commit".into()).await.is_err());
            assert_eq!(store.unflushed().len(), 1);
        }
        assert!(store.get(&commit).await.is_err());
    }

    #[tokio::test]
    async fn parts_become_one_file_when_they_are_complete_and_nothing_when_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::below(folder.path().to_owned());
        let path = at(&folder, "t/_delta_log/1.checkpoint.parquet");
        let mut upload = store.put_multipart(&path).await.unwrap();
        let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert!(store.get(&path).await.is_err());
        upload.complete().await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one two");

        let mut given_up = store.put_multipart(&path).await.unwrap();
        given_up.put_part("three".into()).await.unwrap();
        given_up.abort().await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one two");
        assert_eq!(names(&folder.path().join("t/_delta_log")), ["1.checkpoint.parquet"]);
    }
}
