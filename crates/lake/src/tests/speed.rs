use std::time::Instant;

use super::*;

/// Not a benchmark: says when thousands of small files became slow by an order of magnitude.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_hour_folders_are_written_and_opened_in_seconds() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    let start = Instant::now();
    let files = (0..3000).map(|hour| file(hour, 0..180)).collect();
    let add = table.write_files(files).await.unwrap();
    let written = start.elapsed();
    table.commit(Commit { add, ..Commit::default() }).await.unwrap();
    let committed = start.elapsed() - written;
    append(&mut table, 1, 0..3, 1).await;
    let second = start.elapsed() - written - committed;
    let open = Instant::now();
    let again = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let opened = open.elapsed();
    let read = Instant::now();
    assert_eq!(all_ids(&again).await.len(), 540_003);
    println!(
        "written {written:?}, committed {committed:?}, second {second:?}, opened {opened:?}, read {:?}",
        read.elapsed()
    );
    assert!(start.elapsed().as_secs() < 60);
}
