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

/// Passes calls on to another store, and breaks some.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    plan: Plan,
    /// Calls so far that the plan counts.
    calls: AtomicU64,
    struck: AtomicBool,
    kind: io::ErrorKind,
}

/// What breaks.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// Every write from this one on; reads always pass.
    WritesFrom(u64),
    /// This one call, of any kind: it is not done.
    NotDone(u64),
    /// This one call, of any kind: it is done, and its reply is lost.
    ReplyLost(u64),
    /// So many requests of a hundred, chosen by the seed: every other one of them is done all the same. A request is
    /// sent again, as a client of S3 does after a 500 or 503, until [`TRIES`] are used up.
    AtRandom { percent: u64, seed: u64 },
}

/// Requests that a client makes for one call.
const TRIES: u32 = 5;

/// What becomes of one call.
#[derive(PartialEq)]
enum Fate {
    Passes,
    Fails,
    LosesReply,
}

impl Faulty {
    /// Dead after this many writes: as a killed process writes nothing any more.
    pub fn dead_after(inner: Arc<dyn ObjectStore>, writes: u64) -> Self {
        Self::new(inner, Plan::WritesFrom(writes), io::ErrorKind::BrokenPipe)
    }

    /// Full after this many writes: as a disk that takes nothing any more.
    pub fn full_after(inner: Arc<dyn ObjectStore>, writes: u64) -> Self {
        Self::new(inner, Plan::WritesFrom(writes), io::ErrorKind::StorageFull)
    }

    /// Fails one call, reads too; those before it and behind it pass.
    pub fn call_fails(inner: Arc<dyn ObjectStore>, call: u64) -> Self {
        Self::new(inner, Plan::NotDone(call), io::ErrorKind::ConnectionRefused)
    }

    /// Does one call and says that it failed; those before it and behind it pass.
    pub fn call_loses_reply(inner: Arc<dyn ObjectStore>, call: u64) -> Self {
        Self::new(inner, Plan::ReplyLost(call), io::ErrorKind::ConnectionReset)
    }

    /// Breaks so many requests of a hundred, half of them after they were done. The client sends each again, a few times.
    pub fn at_random(inner: Arc<dyn ObjectStore>, percent: u64, seed: u64) -> Self {
        Self::new(inner, Plan::AtRandom { percent, seed }, io::ErrorKind::Other)
    }

    fn new(inner: Arc<dyn ObjectStore>, plan: Plan, kind: io::ErrorKind) -> Self {
        Self { inner, plan, calls: AtomicU64::new(0), struck: AtomicBool::new(false), kind }
    }

    /// Whether a call has failed.
    pub fn struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    fn fate(&self, writes: bool) -> Fate {
        if matches!(self.plan, Plan::WritesFrom(_)) && !writes {
            return Fate::Passes;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let fate = match self.plan {
            Plan::WritesFrom(first) if call >= first => Fate::Fails,
            Plan::NotDone(this) if call == this => Fate::Fails,
            Plan::ReplyLost(this) if call == this => Fate::LosesReply,
            Plan::AtRandom { percent, seed } => match mix(seed.wrapping_add(call.wrapping_mul(STEP))) {
                drawn if drawn % 100 >= percent => Fate::Passes,
                drawn if drawn >> 63 == 0 => Fate::Fails,
                _ => Fate::LosesReply,
            },
            _ => Fate::Passes,
        };
        if fate != Fate::Passes {
            self.struck.store(true, Ordering::SeqCst);
        }
        fate
    }

    fn error(&self) -> Error {
        Error::Generic { store: "Faulty", source: Box::new(io::Error::from(self.kind)) }
    }

    async fn write<T, F: Future<Output = Result<T>> + Send>(&self, call: impl Fn() -> F + Send + Sync) -> Result<T> {
        self.meet(true, call).await
    }

    async fn read<T, F: Future<Output = Result<T>> + Send>(&self, call: impl Fn() -> F + Send + Sync) -> Result<T> {
        self.meet(false, call).await
    }

    async fn meet<T, F: Future<Output = Result<T>> + Send>(
        &self,
        writes: bool,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T> {
        for _ in 0..self.tries() {
            match self.fate(writes) {
                Fate::Passes => return call().await,
                Fate::Fails => {}
                // What it would have said is what is lost.
                Fate::LosesReply => drop(call().await),
            }
        }
        Err(self.error())
    }

    fn tries(&self) -> u32 {
        if matches!(self.plan, Plan::AtRandom { .. }) { TRIES } else { 1 }
    }

    fn meet_stream<T: Send + 'static>(
        &self,
        writes: bool,
        call: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let error = self.error();
        let mut fate = self.fate(writes);
        for _ in 1..self.tries() {
            if fate != Fate::Passes {
                fate = self.fate(writes);
            }
        }
        match fate {
            Fate::Passes => call,
            Fate::Fails => async { Err(error) }.into_stream().boxed(),
            Fate::LosesReply => async {
                let _: Vec<_> = call.collect().await;
                Err(error)
            }
            .into_stream()
            .boxed(),
        }
    }
}

/// From one seed of SplitMix64 to the next.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that looks drawn by chance: SplitMix64's first of this seed.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.write(|| self.inner.put_opts(location, payload.clone(), opts.clone())).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.write(|| self.inner.put_multipart_opts(location, opts.clone())).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(|| self.inner.get_opts(location, options.clone())).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read(|| self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.meet_stream(true, self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.meet_stream(false, self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.meet_stream(false, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.read(|| self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.write(|| self.inner.copy_opts(from, to, options.clone())).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.write(|| self.inner.rename_opts(from, to, options.clone())).await
    }
}
