//! The lake in a bucket.

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::memory::InMemory;
use weir_testkit::fault::Faulty;
use weir_testkit::harness::s3;

use super::*;
use crate::{LakeError, S3, side};

async fn over(store: Arc<dyn ObjectStore>) -> Lake {
    Lake::with_store(Options::s3(S3::of_url("s3://lake/shop")), store).await.unwrap()
}

async fn reopened(table: &Table) -> Table {
    table.lake().table(table.zone(), table.name()).await.unwrap().unwrap()
}

/// Eight writers commit to one version, again and again: each time one wins, and in the end every row is there once.
async fn contend(store: Arc<dyn ObjectStore>, rounds: i64) {
    let first = table(&over(store.clone()).await).await;
    let mut written = 0..0;
    let mut landed = Vec::new();
    for _ in 0..rounds {
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            written = written.end..written.end + 2;
            let (store, ids) = (store.clone(), written.clone());
            writers.spawn(async move {
                let mut table = table(&over(store).await).await;
                let add = table.write_files(vec![file(10, ids.clone())]).await.unwrap();
                let from = table.version();
                (ids, from, table.commit(Commit { add, ..Commit::default() }).await)
            });
        }
        let mut won = Vec::new();
        while let Some(done) = writers.join_next().await {
            match done.unwrap() {
                (ids, from, Ok(version)) => {
                    assert_eq!(version, from + 1);
                    assert!(!won.contains(&version), "two writers made version {version}");
                    won.push(version);
                    landed.extend(ids);
                }
                (_, _, Err(LakeError::Conflict { .. })) => {}
                (_, _, Err(other)) => panic!("{other:?}"),
            }
        }
        assert!(!won.is_empty(), "somebody wins");
    }
    landed.sort_unstable();
    assert_eq!(all_ids(&reopened(&first).await).await, landed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_writers_of_one_version_one_wins() {
    contend(Arc::new(InMemory::new()), 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_writers_of_one_version_one_wins_on_an_s3_server() {
    let Some(server) = s3(0) else { return };
    let store = AmazonS3Builder::new()
        .with_bucket_name(&server.bucket)
        .with_endpoint(&server.endpoint)
        .with_region("us-east-1")
        .with_allow_http(true)
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()
        .unwrap();
    contend(Arc::new(store), 2).await;
}

/// Whatever call of a commit loses its reply: what the commit says is what the log says.
#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_found_in_the_log() {
    let inner = Arc::new(InMemory::new());
    table(&over(inner.clone()).await).await;
    let mut commits = 0;
    for call in 0.. {
        let store = Arc::new(inner.fork());
        let faulty = Arc::new(Faulty::call_loses_reply(store.clone(), call));
        let lake = over(faulty.clone()).await;
        let Ok(mut writer) = lake.create_table(Zone::Landing, "customer", &schema(), Partitioning::Hour).await else {
            continue;
        };
        let Ok(add) = writer.write_files(vec![file(10, 0..3)]).await else { continue };
        let said = writer.commit(Commit { add, ..Commit::default() }).await.is_ok();
        // Otherwise it failed before the commit was sent.
        let wanted = if said { vec![0, 1, 2] } else { vec![] };
        assert_eq!(all_ids(&table(&over(store).await).await).await, wanted, "call {call}");
        if !faulty.struck() {
            break;
        }
        commits += u32::from(said);
    }
    assert!(commits > 0, "the call that puts the commit was met");
}

/// A commit that is on its way while its writer is dead must not come after its side commit was taken back.
#[tokio::test]
async fn a_main_commit_on_its_way_cannot_come_once_its_side_commit_is_taken_back() {
    let lake = over(Arc::new(InMemory::new())).await;
    let mut late = table(&lake).await;
    let mut letters = lake.create_table(Zone::Deadletter, "customer", &schema(), Partitioning::Hour).await.unwrap();
    append(&mut letters, 10, 0..1, 7).await;

    let mut main = reopened(&late).await;
    assert_eq!(side::undo_ahead(&mut letters, &mut main, "reader").await.unwrap(), 1);
    let add = late.write_files(vec![file(10, 1..2)]).await.unwrap();
    let sent = late.commit(Commit { add, positions: vec![("reader".into(), 7)], ..Commit::default() }).await;
    assert!(matches!(sent, Err(LakeError::Conflict { .. })), "{sent:?}");
    append(&mut main, 10, 1..2, 7).await;
}

/// Its time is the server's, and its commit may still be on its way.
#[tokio::test]
async fn a_young_file_that_no_commit_names_is_kept() {
    let store = Arc::new(InMemory::new());
    let dead = table(&over(store.clone()).await).await;
    let file = dead.write_file(file(10, 0..3)).await.unwrap();
    let lake = over(store).await;
    assert_eq!(table(&lake).await.remove_orphans().await.unwrap(), 0);
    assert!(lake.get(&dead.path_of(&file)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_scratch_lake_over_a_bucket_leaves_no_trace_in_it() {
    let lake = over(Arc::new(InMemory::new())).await;
    append(&mut table(&lake).await, 10, 0..3, 1).await;
    let scratch = lake.scratch(&["staging"]).await.unwrap();
    let mut tried = table(&scratch).await;
    append(&mut tried, 10, 3..5, 2).await;
    assert_eq!(all_ids(&tried).await, [0, 1, 2, 3, 4]);
    assert_eq!(all_ids(&table(&lake).await).await, [0, 1, 2]);
}
