use object_store::local::LocalFileSystem;
use weir_testkit::fault::Faulty;

use super::*;
use crate::LakeError;

async fn land(lake: &Lake) -> Result<(), LakeError> {
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
        let full = Arc::new(Faulty::full_after(Arc::new(LocalFileSystem::new()), writes));
        let full = Lake::with_store(Options::folder(folder.path()), full).await.unwrap();
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
