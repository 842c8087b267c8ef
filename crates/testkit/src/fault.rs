//! An object store that breaks on command, over a real one.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Lets some writes pass, then fails every later one: as a killed process writes nothing any more, or as a
/// full disk takes nothing any more. Reads always pass.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    left: AtomicU64,
    struck: AtomicBool,
    kind: io::ErrorKind,
}

impl Faulty {
    /// Dead after this many writes.
    pub fn dead_after(inner: Arc<dyn ObjectStore>, writes: u64) -> Self {
        Self::new(inner, writes, io::ErrorKind::BrokenPipe)
    }

    /// Full after this many writes.
    pub fn full_after(inner: Arc<dyn ObjectStore>, writes: u64) -> Self {
        Self::new(inner, writes, io::ErrorKind::StorageFull)
    }

    fn new(inner: Arc<dyn ObjectStore>, writes: u64, kind: io::ErrorKind) -> Self {
        Self { inner, left: AtomicU64::new(writes), struck: AtomicBool::new(false), kind }
    }

    /// Whether a write has failed.
    pub fn struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    fn write(&self) -> Result<()> {
        let passes = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if passes {
            return Ok(());
        }
        self.struck.store(true, Ordering::SeqCst);
        Err(Error::Generic { store: "Faulty", source: Box::new(io::Error::from(self.kind)) })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.write()?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.write()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.write() {
            Ok(()) => self.inner.delete_stream(locations),
            Err(error) => async { Err(error) }.into_stream().boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.write()?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.write()?;
        self.inner.rename_opts(from, to, options).await
    }
}
