use serde_json::json;

use super::*;
use crate::LakeError;

#[tokio::test]
async fn a_commit_holds_rows_position_and_counts_together() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    let mut add = table.write_files(vec![file(10, 0..3), file(11, 3..5)]).await.unwrap();
    add[0].tags.insert(crate::MIN_ORDER_KEY.into(), "0a".into());
    let mut info = serde_json::Map::new();
    info.insert("weir.landing".into(), json!({ "received": 5 }));
    let positions = vec![("weir:t:0".to_owned(), 4), ("weir:t:1".to_owned(), 0)];
    let version = table.commit(Commit { add, positions, info, ..Commit::default() }).await.unwrap();
    assert_eq!(version, 1);

    let again = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    assert_eq!(again.version(), 1);
    assert_eq!(again.position("weir:t:0"), Some(4));
    assert_eq!(again.position("weir:t:2"), None);
    assert_eq!(again.rows(), 5);
    assert_eq!(all_ids(&again).await, vec![0, 1, 2, 3, 4]);
    let hour: Vec<_> = again.files_in(Partition::Hour(Hour(10))).collect();
    assert_eq!((hour.len(), hour[0].rows, hour[0].tag(crate::MIN_ORDER_KEY)), (1, 3, Some("0a")));
    assert!(again.files().eq(table.files()), "the handle that committed sees what a new one sees");
    let infos = again.commit_infos(0, 1).await.unwrap();
    assert_eq!(infos[0].info["weir.landing"], json!({ "received": 5 }));
}

#[tokio::test]
async fn a_table_uses_no_feature_that_other_readers_lack() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append(&mut table, 10, 0..3, 1).await;
    let log =
        std::fs::read_to_string(folder.path().join("landing/customer/_delta_log/00000000000000000000.json")).unwrap();
    let protocol = log.lines().find(|line| line.starts_with("{\"protocol\"")).unwrap();
    let protocol: serde_json::Value = serde_json::from_str(protocol).unwrap();
    assert_eq!(protocol["protocol"]["minReaderVersion"], 1);
    assert_eq!(protocol["protocol"]["minWriterVersion"], 2);
}

#[tokio::test]
async fn of_two_writers_from_one_version_the_second_gets_a_conflict_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut first = table(&lake).await;
    let mut second = table(&lake).await;
    append(&mut first, 10, 0..3, 2).await;
    let add = second.write_files(vec![file(10, 0..3)]).await.unwrap();
    let lost = second.commit(Commit { add, positions: vec![("reader".into(), 2)], ..Commit::default() }).await;
    assert!(matches!(lost, Err(LakeError::Conflict { base: 0, .. })), "{lost:?}");
    assert!(second.refresh().await.unwrap());
    assert_eq!(second.position("reader"), Some(2));
    assert_eq!(all_ids(&second).await, vec![0, 1, 2]);
}

#[tokio::test]
async fn a_position_does_not_run_backwards_unasked() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append(&mut table, 10, 0..3, 2499).await;
    let back = table.commit(Commit { positions: vec![("reader".into(), 5)], ..Commit::default() }).await;
    assert!(matches!(back, Err(LakeError::PositionBackwards { stored: 2499, given: 5, .. })), "{back:?}");
    assert_eq!(table.version(), 1);
}

#[tokio::test]
async fn a_column_added_later_is_null_in_older_files() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append(&mut table, 10, 0..3, 1).await;
    let note = Arc::new(Field::new("note", DataType::Utf8, true));
    let mut fields: Vec<_> = schema().fields().iter().cloned().collect();
    fields.push(note);
    let wider = crate::union("landing/customer", table.schema(), &Schema::new(fields.clone())).unwrap();
    let batch = rows(3..5);
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec!["a", "b"])));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let new = NewFile { partition: Partition::Hour(Hour(10)), batches: vec![batch], tags: BTreeMap::new() };
    let add = table.write_files(vec![new]).await.unwrap();
    table.commit(Commit { add, schema: Some(wider), ..Commit::default() }).await.unwrap();

    let again = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let files: Vec<DataFile> = again.files().cloned().collect();
    let batches = again.read_all(&files, None).await.unwrap();
    assert_eq!(null_count(&batches, "note"), 3);
    assert_eq!(null_count(&batches, "year"), 0);
    assert_eq!(batches[0].schema(), again.full_schema());

    let session = lake.session();
    again.register(&session, "customer").await.unwrap();
    let counted = session.sql("select count(*), count(note) from customer where hour = 10").await.unwrap();
    let counted = counted.collect().await.unwrap();
    let count = |column: usize| counted[0].column(column).as_primitive::<Int64Type>().value(0);
    assert_eq!((count(0), count(1)), (5, 2));
}

#[tokio::test]
async fn a_table_made_anew_has_other_columns_in_one_commit_and_its_older_versions_keep_theirs() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append(&mut table, 10, 0..3, 1).await;
    let was = table.schema().clone();
    // `id` becomes a text, the others go, and one comes.
    let fields = vec![Field::new("note", DataType::Utf8, true), Field::new("id", DataType::Utf8, true)];
    let columns = Arc::new(Schema::new(fields));
    let mut next = table.clone().anew(&columns);
    assert_eq!((next.rows(), next.is_anew(), next.stored_schema()), (0, true, was.clone()));
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as arrow::array::ArrayRef;
    let batch = RecordBatch::try_new(columns.clone(), vec![text(["a", "b"]), text(["7", "x"])]).unwrap();
    let new = NewFile { partition: Partition::Hour(Hour(10)), batches: vec![batch], tags: BTreeMap::new() };
    let add = next.write_files(vec![new]).await.unwrap();
    assert_eq!(lake.table(Zone::Landing, "customer").await.unwrap().unwrap().version(), 1, "nothing yet");
    next.commit(Commit { add, ..Commit::default() }).await.unwrap();
    assert!(!next.is_anew());

    let again = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    assert_eq!((again.version(), again.schema(), again.rows()), (2, &columns, 2));
    assert_eq!(again.position("reader"), Some(1), "positions are kept");
    assert!(again.files().eq(next.files()), "the handle that committed sees what a new one sees");
    let old = lake.table_at(Zone::Landing, "customer", 1).await.unwrap().unwrap();
    assert_eq!((old.schema(), all_ids(&old).await), (&was, vec![0, 1, 2]));
    for (table, wanted) in [(&again, "x"), (&old, "2")] {
        let session = lake.session();
        table.register(&session, "customer").await.unwrap();
        let found = session.sql("select max(cast(id as varchar)) from customer where hour = 10").await.unwrap();
        let found = arrow::compute::cast(found.collect().await.unwrap()[0].column(0), &DataType::Utf8).unwrap();
        assert_eq!(found.as_string::<i32>().value(0), wanted);
    }
    // A handle that went along by refreshing, and a commit on it.
    assert!(table.refresh().await.unwrap());
    assert_eq!(table.schema(), &columns);
    table.commit(Commit { positions: vec![("reader".into(), 2)], ..Commit::default() }).await.unwrap();
    assert_eq!(table.rows(), 2);
}

#[tokio::test]
async fn a_reader_of_additions_gets_each_file_once_and_none_that_was_only_moved() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    append(&mut table, 10, 0..3, 1).await;
    append(&mut table, 10, 3..4, 2).await;
    let remove: Vec<DataFile> = table.files().cloned().collect();
    let add = table.write_files(vec![file(10, 0..4)]).await.unwrap();
    table.commit(Commit { add, remove, rearranges: true, ..Commit::default() }).await.unwrap();
    append(&mut table, 11, 4..6, 3).await;

    let added = table.files_added(0, table.version()).await.unwrap();
    let versions: Vec<i64> = added.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, vec![1, 2, 4]);
    let files: Vec<DataFile> = added.into_iter().map(|(_, file)| file).collect();
    assert_eq!(ids(&table, &files).await, vec![0, 1, 2, 3, 4, 5]);
    assert_eq!(all_ids(&table).await, vec![0, 1, 2, 3, 4, 5]);
    assert_eq!(table.files_added(2, 3).await.unwrap(), vec![]);
}

#[tokio::test]
async fn positions_and_files_are_the_same_behind_a_checkpoint() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    let mut table = table(&lake).await;
    for version in 1..=53 {
        let add = table.write_files(vec![file(10, version..version + 1)]).await.unwrap();
        let reader = if version < 40 { "early" } else { "late" };
        let positions = vec![(reader.to_owned(), version)];
        table.commit(Commit { add, positions, ..Commit::default() }).await.unwrap();
    }
    assert!(folder.path().join("landing/customer/_delta_log/_last_checkpoint").exists());
    let again = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    assert_eq!((again.position("early"), again.position("late")), (Some(39), Some(53)));
    assert!(again.files().eq(table.files()));
}

#[tokio::test]
async fn files_of_a_dead_writer_are_removed_and_files_of_a_commit_are_kept() {
    let folder = TempDir::new().unwrap();
    let dead = lake(&folder).await;
    let mut table = table(&dead).await;
    append(&mut table, 10, 0..3, 1).await;
    let removed: Vec<DataFile> = table.files().cloned().collect();
    let add = table.write_files(vec![file(10, 0..3)]).await.unwrap();
    table.commit(Commit { add, remove: removed, rearranges: true, ..Commit::default() }).await.unwrap();
    table.write_files(vec![file(11, 3..9)]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;

    let lake = lake(&folder).await;
    let table = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let mine = table.write_file(file(12, 0..1)).await.unwrap();
    assert_eq!(table.remove_orphans().await.unwrap(), 1);
    assert_eq!(table.remove_orphans().await.unwrap(), 0);
    assert_eq!(all_ids(&table).await, vec![0, 1, 2]);
    assert!(folder.path().join(table.path_of(&mine)).exists());
}

#[tokio::test]
async fn a_file_is_put_once() {
    let folder = TempDir::new().unwrap();
    let lake = lake(&folder).await;
    assert!(lake.put_if_absent("curated/_published/000000000001.json", "one").await.unwrap());
    assert!(!lake.put_if_absent("curated/_published/000000000001.json", "two").await.unwrap());
    assert_eq!(lake.get("curated/_published/000000000001.json").await.unwrap().unwrap(), "one");
    assert_eq!(lake.get("curated/_published/000000000002.json").await.unwrap(), None);
}

#[tokio::test]
async fn a_root_below_a_regular_file_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let refused = Lake::open(Options::folder(folder.path().join("file/lake"))).await;
    assert!(matches!(refused, Err(LakeError::Root { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_file_of_wide_rows_comes_in_small_batches_with_every_row_in_order() {
    let folder = TempDir::new().unwrap();
    let lake = Lake::open(Options { memory: 64 << 20, ..Options::folder(folder.path()) }).await.unwrap();
    let table = table(&lake).await;
    // The texts repeat, so that a dictionary makes the file far smaller than its rows.
    let names: StringArray = (0..4_000).map(|id| Some(format!("{:>2000}", id % 10))).collect();
    let columns: [Arc<dyn Array>; 2] = [Arc::new(Int64Array::from_iter_values(0..4_000)), Arc::new(names)];
    let batches = vec![RecordBatch::try_new(Arc::new(schema()), columns.to_vec()).unwrap()];
    let file = NewFile { partition: Partition::Hour(Hour(0)), batches, tags: BTreeMap::new() };
    let file = table.write_file(file).await.unwrap();
    let read = table.read_all(&[file], Some(&["id", "name"])).await.unwrap();
    assert!(read.len() >= 8, "8 MB in batches of 1 MiB, not in {}", read.len());
    let ids = read.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
    assert_eq!(ids.collect::<Vec<_>>(), (0..4_000).collect::<Vec<i64>>());
}
