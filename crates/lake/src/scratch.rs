//! A scratch lake over a real one: it reads what the real one holds and writes elsewhere, so that work can be
//! tried, or done a second time, without a trace.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryFutureExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tempfile::TempDir;

use crate::error::LakeError;
use crate::lake::{Lake, Options};

impl Lake {
    /// A lake that begins as this one without the folders in `hidden` (relative to the root). Everything that
    /// is done to it is done in a temporary folder, which goes when its last clone does.
    pub async fn scratch(&self, hidden: &[&str]) -> Result<Self, LakeError> {
        let failed = |source: std::io::Error| LakeError::Root { path: std::env::temp_dir(), source };
        let folder = tempfile::Builder::new().prefix("weir-").tempdir().map_err(failed)?;
        let above =
            LocalFileSystem::new_with_prefix(folder.path()).map_err(|e| LakeError::store("a scratch lake", e))?;
        let root = &self.inner.prefix;
        let hidden = hidden.iter().map(|path| root.parts().chain(Path::from(*path).parts()).collect()).collect();
        let state = Arc::new(State { hidden, gone: Mutex::default() });
        let store = Overlay { below: self.inner.whole.clone(), above: Arc::new(above), state, _folder: folder };
        let root = self.inner.root.clone();
        let options = Options { root, memory: self.memory(), parallel: self.parallel() };
        Self::over(options, Arc::new(store), true)
    }
}

/// Two stores one above the other: writes go above, reads to the first that has the file.
#[derive(Debug)]
struct Overlay {
    below: Arc<dyn ObjectStore>,
    above: Arc<dyn ObjectStore>,
    state: Arc<State>,
    _folder: TempDir,
}

/// What of the store below is not seen.
#[derive(Debug)]
struct State {
    hidden: Vec<Path>,
    gone: Mutex<HashSet<Path>>,
}

impl State {
    fn sees(&self, location: &Path) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        !gone.contains(location) && !self.hidden.iter().any(|folder| location.prefix_matches(folder))
    }

    fn lose(&self, location: &Path) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(location.clone());
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlay({} over {})", self.above, self.below)
    }
}

#[async_trait]
impl ObjectStore for Overlay {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if opts.mode == PutMode::Create && self.state.sees(location) && self.below.head(location).await.is_ok() {
            let source = "it is in the lake below".into();
            return Err(Error::AlreadyExists { path: location.to_string(), source });
        }
        self.above.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.above.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.above.get_opts(location, options.clone()).await {
            Err(Error::NotFound { .. }) if self.state.sees(location) => self.below.get_opts(location, options).await,
            found => found,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (above, state) = (self.above.clone(), self.state.clone());
        let delete = move |location: Result<Path>| {
            let (above, state) = (above.clone(), state.clone());
            async move {
                let location = location?;
                match above.delete(&location).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
                state.lose(&location);
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (above, below, state) = (self.above.list(prefix), self.below.list(prefix), self.state.clone());
        let listed = async move {
            let below = below.try_filter(|meta| std::future::ready(state.sees(&meta.location)));
            let below: Vec<ObjectMeta> = below.try_collect().await?;
            let above: Vec<ObjectMeta> = above.try_collect().await?;
            Ok::<_, Error>(futures::stream::iter(merged(below, above).into_iter().map(Ok)))
        };
        listed.try_flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut below = self.below.list_with_delimiter(prefix).await?;
        let above = self.above.list_with_delimiter(prefix).await?;
        below.objects.retain(|meta| self.state.sees(&meta.location));
        below.common_prefixes.retain(|folder| self.state.sees(folder));
        let objects = merged(below.objects, above.objects);
        let mut folders = below.common_prefixes;
        folders.extend(above.common_prefixes);
        folders.sort();
        folders.dedup();
        Ok(ListResult { objects, common_prefixes: folders })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let bytes = self.get(from).await?.bytes().await?;
        let mode = match options.mode {
            CopyMode::Create => PutMode::Create,
            CopyMode::Overwrite => PutMode::Overwrite,
        };
        self.put_opts(to, bytes.into(), PutOptions { mode, ..PutOptions::default() }).await.map(drop)
    }
}

/// Both lists, in order; a file above stands for the one below.
fn merged(below: Vec<ObjectMeta>, above: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
    let all = below.into_iter().chain(above).map(|meta| (meta.location.clone(), meta));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}
