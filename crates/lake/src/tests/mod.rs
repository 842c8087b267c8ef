//! The lake on a temporary folder, with and without a store that fails on command.

mod bucket;
mod commits;
mod contended;
mod failing;
mod patch;
mod speed;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use tempfile::TempDir;
use weir_core::zone::{Hour, Zone};

use crate::{Commit, DataFile, Lake, NewFile, Options, Partition, Partitioning, Table};

pub(crate) fn schema() -> Schema {
    Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)])
}

pub(crate) fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let names: StringArray = ids.clone().map(|id| Some(format!("name {id}"))).collect();
    let ids = Int64Array::from_iter_values(ids);
    RecordBatch::try_new(Arc::new(schema()), vec![Arc::new(ids), Arc::new(names)]).unwrap()
}

pub(crate) async fn lake(folder: &TempDir) -> Lake {
    Lake::open(Options::folder(folder.path())).await.unwrap()
}

pub(crate) async fn table(lake: &Lake) -> Table {
    lake.create_table(Zone::Landing, "customer", &schema(), Partitioning::Hour).await.unwrap()
}

pub(crate) fn file(hour: i32, ids: std::ops::Range<i64>) -> NewFile {
    NewFile { partition: Partition::Hour(Hour(hour)), batches: vec![rows(ids)], tags: BTreeMap::new() }
}

pub(crate) async fn ids(table: &Table, files: &[DataFile]) -> Vec<i64> {
    let mut ids = Vec::new();
    for batch in table.read_all(files, Some(&["id"])).await.unwrap() {
        ids.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
    }
    ids.sort_unstable();
    ids
}

pub(crate) async fn all_ids(table: &Table) -> Vec<i64> {
    let files: Vec<DataFile> = table.files().cloned().collect();
    ids(table, &files).await
}

pub(crate) async fn append(table: &mut Table, hour: i32, ids: std::ops::Range<i64>, position: i64) -> i64 {
    let add = table.write_files(vec![file(hour, ids)]).await.unwrap();
    table.commit(Commit { add, positions: vec![("reader".into(), position)], ..Commit::default() }).await.unwrap()
}

pub(crate) fn null_count(batches: &[RecordBatch], column: &str) -> usize {
    batches.iter().map(|batch| batch.column_by_name(column).unwrap().null_count()).sum()
}
