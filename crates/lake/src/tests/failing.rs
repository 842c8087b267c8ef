use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::*;
use crate::LakeError;

/// A folder that answers "no space left" from the n-th write on.
#[derive(Debug)]
struct Full {
    inner: LocalFileSystem,
    writes_left: AtomicI64,
}

impl Full {
    fn after(writes: i64) -> Arc<Self> {
        Arc::new(Self { inner: LocalFileSystem::new(), writes_left: AtomicI64::new(writes) })
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("full")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Full {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            let source = Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
            return Err(object_store::Error::Generic { store: "full", source });
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn land(lake: &Lake) -> std::result::Result<(), LakeError> {
    let mut table = lake.create_table(Zone::Landing, "customer", &schema(), Partitioning::Hour).await?;
    for batch in 0..3 {
        let ids = table.position("reader").map_or(0, |position| position + 1);
        if ids >= 4 * (batch + 1) {
            continue;
        }
        let add = table.write_files(vec![file(10, ids..ids + 2), file(11, ids + 2..ids + 4)]).await?;
        table.commit(Commit { add, positions: vec![("reader".into(), ids + 3)], ..Commit::default() }).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_full_disk_at_any_write_leaves_a_readable_table_and_a_second_run_finishes_it() {
    for writes in 0..10 {
        let folder = TempDir::new().unwrap();
        let full = Lake::with_store(Options::folder(folder.path()), Full::after(writes)).await.unwrap();
        let failed = land(&full).await;
        assert!(matches!(failed, Err(LakeError::DiskFull { .. })), "write {writes}: {failed:?}");

        let lake = lake(&folder).await;
        if let Some(table) = lake.table(Zone::Landing, "customer").await.unwrap() {
            let position = table.position("reader").map_or(0, |position| position + 1);
            assert_eq!(all_ids(&table).await, (0..position).collect::<Vec<_>>());
        }
        land(&lake).await.unwrap();
        let table = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
        assert_eq!(all_ids(&table).await, (0..12).collect::<Vec<_>>());
    }
}
