//! Files that are put together, taken away and deleted, and what readers see of it.

use std::time::{Duration, SystemTime};

use super::*;
use crate::{Compacted, Compaction, Expired, GATHERED_UP_TO, MAX_ORDER_KEY, MIN_ORDER_KEY, Rules};

/// All that came with commits up to `taken`, of any age.
fn taken(taken: i64) -> Rules {
    Rules { taken, closed: i64::MAX, size: 1 << 20, rows: 1000 }
}

async fn plan(table: &Table, rules: &Rules) -> Vec<Compaction> {
    table.compactions(rules).await.unwrap()
}

/// One row in each of these commits, in hour 10; ids as versions.
async fn append_each(table: &mut Table, versions: std::ops::RangeInclusive<i64>) {
    for version in versions {
        assert_eq!(append(table, 10, version..version + 1, version).await, version);
    }
}

fn versions(added: &[(i64, DataFile)]) -> Vec<i64> {
    added.iter().map(|(version, _)| *version).collect()
}

async fn added(table: &Table, after: i64) -> Vec<(i64, DataFile)> {
    table.files_added(after, table.version()).await.unwrap()
}

#[tokio::test]
async fn small_files_that_are_taken_become_one_with_their_rows_in_order_and_statistics_as_if_written_at_once() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    for version in 1..=6_i64 {
        let mut add = table.write_files(vec![file(10, 2 * version..2 * version + 2)]).await.unwrap();
        let key = |at: i64| format!("{at:02x}");
        add[0].tags = [(MIN_ORDER_KEY, key(20 - version)), (MAX_ORDER_KEY, key(40 - version))]
            .map(|(name, text)| (name.to_owned(), text))
            .into();
        table.commit(Commit { add, ..Commit::default() }).await.unwrap();
    }
    append(&mut table, 11, 14..16, 7).await;
    let compactions = plan(&table, &taken(5)).await;
    let done = table.compact(&compactions).await.unwrap();
    assert_eq!((done.files, done.into, done.rows), (5, 1, 10));
    assert!(done.bytes_after < done.bytes_before, "{done:?}");

    let again = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    assert!(again.files().eq(table.files()));
    let gathered = again.files().find(|file| file.tag(GATHERED_UP_TO).is_some()).unwrap().clone();
    assert_eq!(gathered.tag(GATHERED_UP_TO), Some("5"));
    assert_eq!((gathered.tag(MIN_ORDER_KEY), gathered.tag(MAX_ORDER_KEY)), (Some("0f"), Some("27")));
    let at_once = table.write_file(file(10, 2..12)).await.unwrap();
    assert_eq!(gathered.stats, at_once.stats);
    let (one, other) = (
        again.read_all(std::slice::from_ref(&gathered), None).await.unwrap(),
        again.read_all(&[at_once], None).await.unwrap(),
    );
    assert_eq!(one, other, "rows, values and order are those of one file");
    assert_eq!(all_ids(&again).await, (2..16).collect::<Vec<_>>());

    // Whoever has read up to 5 sees what it has not read; whoever begins sees each row once.
    assert_eq!(versions(&added(&again, 5).await), [6, 7]);
    let all = added(&again, -1).await;
    assert_eq!(versions(&all), [5, 6, 7]);
    assert_eq!(all[0].1, gathered);
    assert_eq!(plan(&again, &taken(7)).await, vec![], "three small files are few");
}

#[tokio::test]
async fn a_folder_is_left_alone_while_rows_arrive_in_it_and_so_are_large_files_and_few() {
    let folder = TempDir::new().unwrap();
    let mut table = table(&lake(&folder).await).await;
    append_each(&mut table, 1..=4).await;
    let newest = table.files().map(DataFile::arrived).max().unwrap();
    assert_eq!(plan(&table, &Rules { closed: newest, ..taken(9) }).await.len(), 0);
    assert_eq!(plan(&table, &Rules { closed: newest + 1, ..taken(9) }).await.len(), 1);
    assert_eq!(plan(&table, &Rules { size: 1000, ..taken(9) }).await.len(), 0, "none of them is small");
    assert_eq!(plan(&table, &taken(3)).await.len(), 0);
}

#[tokio::test]
async fn a_file_does_not_grow_beyond_its_size_nor_what_a_commit_stands_for_beyond_a_steps_rows() {
    let folder = TempDir::new().unwrap();
    let mut table = table(&lake(&folder).await).await;
    append_each(&mut table, 1..=12).await;
    let size = table.files().next().unwrap().size.unsigned_abs();
    let sizes = |of: &[Compaction]| of.iter().map(|one| one.files.len()).collect::<Vec<_>>();
    assert_eq!(sizes(&plan(&table, &Rules { size: 5 * size + size / 2, ..taken(12) }).await), [5, 5]);
    assert_eq!(sizes(&plan(&table, &Rules { rows: 6, ..taken(12) }).await), [6, 6]);

    // Many hours end with the same commit: it may not come to stand for all of them.
    let folder = TempDir::new().unwrap();
    let mut table = super::table(&lake(&folder).await).await;
    for version in 0..4 {
        let files = (0..5).map(|hour| file(hour, version..version + 1)).collect();
        let add = table.write_files(files).await.unwrap();
        table.commit(Commit { add, ..Commit::default() }).await.unwrap();
    }
    let compactions = plan(&table, &Rules { rows: 12, ..taken(4) }).await;
    assert_eq!(sizes(&compactions), [4, 4]);
    table.compact(&compactions).await.unwrap();
    let mut rows = BTreeMap::new();
    for (version, file) in added(&table, -1).await {
        *rows.entry(version).or_insert(0) += file.rows;
    }
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), [(1, 3), (2, 3), (3, 3), (4, 11)]);
}

#[tokio::test]
async fn a_compaction_goes_behind_a_writer_and_a_writer_behind_a_compaction() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut writer = table(&lake).await;
    append_each(&mut writer, 1..=4).await;
    let mut tending = table(&lake).await;
    let compactions = plan(&tending, &taken(4)).await;
    append(&mut writer, 10, 5..6, 5).await;
    assert_eq!(tending.compact(&compactions).await.unwrap().files, 4);
    let add = writer.write_files(vec![file(10, 6..7)]).await.unwrap();
    let commit = Commit { add, positions: vec![("reader".into(), 6)], ..Commit::default() };
    assert_eq!(writer.commit_behind_others(commit).await.unwrap(), 7);
    assert_eq!(all_ids(&writer).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(versions(&added(&writer, 4).await), [5, 7]);
}

#[tokio::test]
async fn of_two_compactions_at_once_the_second_does_nothing_and_so_does_one_of_rows_that_left() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut first = table(&lake).await;
    append_each(&mut first, 1..=8).await;
    let mut second = table(&lake).await;
    let some = plan(&first, &taken(4)).await;
    let same = plan(&second, &taken(5)).await;
    assert_eq!(first.compact(&some).await.unwrap().files, 4);
    assert_eq!(second.compact(&same).await.unwrap(), Compacted::default());
    assert_eq!(all_ids(&second).await, (1..=8).collect::<Vec<_>>());

    let rest = plan(&second, &taken(8)).await;
    assert_eq!(rest[0].files.len(), 5, "a gathered file that is small is gathered again");
    let newest = first.files().map(DataFile::arrived).max().unwrap();
    assert_eq!(first.expire(newest + 1, 4).await.unwrap(), Expired { files: 1, rows: 4 });
    assert_eq!(second.compact(&rest).await.unwrap(), Compacted::default());
    assert_eq!(all_ids(&second).await, [5, 6, 7, 8]);
}

#[tokio::test]
async fn only_rows_that_are_old_and_taken_leave_the_table_and_the_commit_says_how_many() {
    let folder = TempDir::new().unwrap();
    let mut table = table(&lake(&folder).await).await;
    append(&mut table, 10, 0..3, 1).await;
    append(&mut table, 10, 3..4, 2).await;
    let newest = table.files().map(DataFile::arrived).max().unwrap();
    assert_eq!(table.expire(0, 2).await.unwrap(), Expired::default(), "nothing is old");
    assert_eq!(table.version(), 2);
    assert_eq!(table.expire(newest + 1, 1).await.unwrap(), Expired { files: 1, rows: 3 });
    assert_eq!((all_ids(&table).await, table.position("reader")), (vec![3], Some(2)));
    let infos = table.commit_infos(2, 3).await.unwrap();
    assert_eq!(infos[0].info["weir.retention"]["rows"], 3);
    assert_eq!(versions(&added(&table, -1).await), [2]);
}

#[tokio::test]
async fn the_log_is_asked_only_for_what_files_do_not_say_themselves_and_only_where_something_may_come_of_it() {
    let folder = TempDir::new().unwrap();
    let mut table = table(&lake(&folder).await).await;
    append_each(&mut table, 1..=4).await;
    let size = table.files().next().unwrap().size.unsigned_abs();
    let compactions = plan(&table, &taken(4)).await;
    let first = folder.path().join("landing/customer/_delta_log/00000000000000000001.json");
    std::fs::remove_file(first).unwrap();
    assert_eq!(plan(&table, &Rules { size: 4 * size - 1, ..taken(4) }).await, vec![]);
    assert_eq!(plan(&table, &Rules { rows: 3, ..taken(4) }).await, vec![]);
    assert!(table.compactions(&taken(4)).await.is_err(), "with which commit each came stands in the log alone");
    assert!(table.expire(i64::MAX, 4).await.is_err());

    assert_eq!(table.compact(&compactions).await.unwrap().files, 4);
    assert_eq!(table.expire(i64::MAX, 3).await.unwrap(), Expired::default(), "not all of it is taken");
    assert_eq!(table.expire(i64::MAX, 4).await.unwrap(), Expired { files: 1, rows: 4 });
}

#[tokio::test]
async fn time_counts_from_the_arrival_of_the_newest_row_also_where_rows_were_written_again_later() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let columns = Schema::new(vec![Field::new("_ingested_at", crate::timestamp(), true)]);
    let mut table = lake.create_table(Zone::Landing, "order", &columns, Partitioning::Hour).await.unwrap();
    for at in [7_000_000_i64, 5_000_001, 6_000_000, 4_000_000] {
        let times = arrow::array::TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC");
        let batches = vec![RecordBatch::try_new(table.schema().clone(), vec![Arc::new(times)]).unwrap()];
        let new = NewFile { partition: Partition::Hour(Hour(10)), batches, tags: BTreeMap::new() };
        let add = table.write_files(vec![new]).await.unwrap();
        table.commit(Commit { add, ..Commit::default() }).await.unwrap();
    }
    let compactions = plan(&table, &Rules { closed: 7_000_001, ..taken(4) }).await;
    assert_eq!(table.compact(&compactions).await.unwrap().into, 1);
    assert_eq!(table.files().map(DataFile::arrived).collect::<Vec<_>>(), [7_000_000]);
    assert_eq!(table.expire(7_000_000, 4).await.unwrap(), Expired::default());
    assert_eq!(table.expire(7_000_001, 4).await.unwrap(), Expired { files: 1, rows: 4 });
}

/// Sets when a file of the table was written, so long ago.
fn age(folder: &TempDir, path: &str, ago: Duration) {
    let file = std::fs::File::options().write(true).open(folder.path().join("landing/customer").join(path)).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

async fn unneeded(table: &Table, ago: Duration) -> Vec<String> {
    let since = chrono::Utc::now().timestamp_millis() - i64::try_from(ago.as_millis()).unwrap();
    let found = table.unneeded(since, i64::MAX, since).await.unwrap();
    found.files.into_iter().map(|(path, _)| path).collect()
}

#[tokio::test]
async fn files_that_left_the_table_are_deleted_once_no_version_of_the_kept_time_names_them() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append_each(&mut table, 1..=4).await;
    let old: Vec<String> = table.files().map(|file| file.path.clone()).collect();
    let compactions = plan(&table, &taken(4)).await;
    table.compact(&compactions).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(unneeded(&table, hour).await, Vec::<String>::new(), "the version before was the newest an hour ago");
    for version in 0..=4 {
        age(&folder, &format!("_delta_log/{version:020}.json"), 3 * hour);
    }
    assert_eq!(unneeded(&table, hour).await, Vec::<String>::new(), "and until a moment ago");
    age(&folder, &format!("_delta_log/{:020}.json", 5), 2 * hour);
    assert_eq!(unneeded(&table, hour).await, old);
    let found = table.unneeded(chrono::Utc::now().timestamp_millis(), 4, 0).await.unwrap();
    assert_eq!((found.oldest, found.files), (4, vec![]), "a version that must stay keeps its files");

    assert_eq!(table.unnamed().await.unwrap().0, 4);
    let found = table.unneeded(chrono::Utc::now().timestamp_millis(), i64::MAX, 0).await.unwrap();
    table.delete(&found).await.unwrap();
    table.delete(&found).await.unwrap();
    assert_eq!((found.files.len(), table.unnamed().await.unwrap()), (4, (0, 0)));
    assert_eq!(all_ids(&table).await, [1, 2, 3, 4]);
    let all: Vec<DataFile> = added(&table, -1).await.into_iter().map(|(_, file)| file).collect();
    assert_eq!(ids(&table, &all).await, [1, 2, 3, 4], "whoever begins anew finds every row");
}

#[tokio::test]
async fn an_orphan_is_deleted_only_when_it_is_old_and_its_writer_can_no_longer_commit_it() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append_each(&mut table, 1..=1).await;
    let orphan = table.write_file(file(10, 5..6)).await.unwrap();
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let log = |version: i64| format!("_delta_log/{version:020}.json");
    age(&folder, &orphan.path, 5 * hour);
    age(&folder, &log(0), 6 * hour);
    age(&folder, &log(1), 5 * hour - 10 * minute);
    assert_eq!(unneeded(&table, hour).await, Vec::<String>::new(), "its writer may still come behind that commit");
    append_each(&mut table, 2..=2).await;
    assert_eq!(unneeded(&table, hour).await, std::slice::from_ref(&orphan.path));
    assert_eq!(unneeded(&table, 8 * hour).await, Vec::<String>::new(), "it is younger");
    let since = chrono::Utc::now().timestamp_millis();
    assert_eq!(table.unneeded(since, i64::MAX, since - 8 * 3_600_000).await.unwrap().files, vec![]);
}
