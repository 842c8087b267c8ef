//! Change sets: the rows that a load must apply, in Parquet files of their own, written before the commit that
//! they describe and named in it. A file that no commit names belongs to a build that was killed.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowWriterOptions, compute_leaves};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use uuid::Uuid;
use weir_core::failpoint;
use weir_core::publication::{ChangeSet, ChangeSetFile};
use weir_lake::{CommitInfo, Lake, Table};
use weir_project::Model;

use crate::error::{CuratedError, of};
use crate::layout::change_set_schema;
use crate::room::{blocking, joined};

/// Bytes of rows of a change set that are held before a file is written, where memory allows.
const FILE_BYTES: u64 = 16 << 20;
/// Columns of a file that are encoded at the same time.
const COLUMNS_AT_ONCE: usize = 4;
/// The entry in a commit's info.
const ENTRY: &str = "weir.curated";

/// What a table's commit says of its change set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Rows to write.
    pub upserts: u64,
    /// Rows to delete.
    pub deletes: u64,
    /// The files.
    pub files: Vec<ChangeSetFile>,
    /// They hold every row of a table whose columns are others from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// Of a dimension: the file with hashes of the business keys whose facts must be pointed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
    /// Of a fact: the file with the pointers that moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repointed: Option<String>,
}

impl Written {
    /// What stands in the commit's info.
    pub fn info(&self) -> Result<Map<String, Value>, serde_json::Error> {
        Ok([(ENTRY.to_owned(), serde_json::to_value(self)?)].into_iter().collect())
    }

    /// What a commit says; none for one without rows to load.
    pub fn of(table: &str, commit: &CommitInfo) -> Result<Option<Self>, CuratedError> {
        let Some(entry) = commit.info.get(ENTRY) else { return Ok(None) };
        let read = match entry {
            // The log may hold the entry as a text with JSON inside.
            Value::String(text) => serde_json::from_str(text),
            other => serde_json::from_value(other.clone()),
        };
        read.map(Some).map_err(|source| CuratedError::Unreadable {
            path: format!("curated/{table}/_delta_log/{:020}.json", commit.version),
            source: Box::new(source),
        })
    }

    /// What the commits of a table behind a version say.
    pub async fn since(table: &Table, after: i64) -> Result<Vec<(CommitInfo, Self)>, CuratedError> {
        let mut found = Vec::new();
        for commit in table.commit_infos(after, table.version()).await? {
            if let Some(written) = Self::of(table.name(), &commit)? {
                found.push((commit, written));
            }
        }
        Ok(found)
    }

    /// Every file that the commit needs beside the table's own.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let Self { upserts: _, deletes: _, files, anew: _, moved, repointed } = self;
        let change_set = files.iter().map(|file| file.path.as_str());
        change_set.chain(moved.as_deref()).chain(repointed.as_deref())
    }

    /// As a publication lists it; none when there is nothing to load.
    pub fn change_set(self, version: i64) -> Option<ChangeSet> {
        let Self { upserts, deletes, files, anew, .. } = self;
        (anew || !files.is_empty()).then_some(ChangeSet { version, upserts, deletes, files, anew })
    }
}

/// Writes one table's change set.
pub(crate) struct Writer {
    lake: Lake,
    model: Model,
    schema: SchemaRef,
    held: Vec<RecordBatch>,
    bytes: usize,
    /// A file that is written while buckets are still worked on.
    writing: Option<JoinHandle<Result<ChangeSetFile, CuratedError>>>,
    written: Written,
}

impl Writer {
    pub fn new(lake: &Lake, model: &Model, table: &Schema) -> Self {
        let (lake, model, schema) = (lake.clone(), model.clone(), change_set_schema(table));
        Self { lake, model, schema, held: vec![], bytes: 0, writing: None, written: Written::default() }
    }

    /// Takes in what another writer has got of the same table. Rows that it has not written yet are put together with
    /// those of others, so that small parts of a change set make no files of their own.
    pub async fn then(&mut self, mut next: Self) -> Result<(), CuratedError> {
        next.settle().await?;
        self.written.upserts += next.written.upserts;
        self.written.deletes += next.written.deletes;
        self.written.files.extend(next.written.files);
        for rows in next.held {
            self.keep(rows).await?;
        }
        Ok(())
    }

    /// Rows that the table has from now on.
    pub async fn upserts(&mut self, rows: &RecordBatch) -> Result<(), CuratedError> {
        self.written.upserts += rows.num_rows() as u64;
        self.hold(rows, "u").await
    }

    /// Rows that the table has no more.
    pub async fn deletes(&mut self, rows: &RecordBatch) -> Result<(), CuratedError> {
        self.written.deletes += rows.num_rows() as u64;
        self.hold(rows, "d").await
    }

    /// Hashes of business keys that the facts must look up anew.
    pub async fn moved(&mut self, hashes: &[u64]) -> Result<(), CuratedError> {
        if hashes.is_empty() {
            return Ok(());
        }
        let numbers: Int64Array = hashes.iter().map(|hash| Some(i64::from_ne_bytes(hash.to_ne_bytes()))).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("_key_hash", DataType::Int64, true)]));
        let rows = RecordBatch::try_new(schema, vec![Arc::new(numbers)]).map_err(of(&self.model.name))?;
        let path = format!("curated/_changes/{}/{}.moved.parquet", self.model.name, Uuid::new_v4());
        put(&self.lake, &self.model, &path, vec![rows]).await?;
        self.written.moved = Some(path);
        Ok(())
    }

    /// What [`crate::moved`] says of this build's rows.
    pub async fn repointed(&mut self, rows: Vec<RecordBatch>) -> Result<(), CuratedError> {
        let rows: Vec<RecordBatch> = rows.into_iter().filter(|rows| rows.num_rows() > 0).collect();
        if !rows.is_empty() {
            let path = format!("curated/_changes/{}/{}.repointed.parquet", self.model.name, Uuid::new_v4());
            put(&self.lake, &self.model, &path, rows).await?;
            self.written.repointed = Some(path);
        }
        Ok(())
    }

    async fn hold(&mut self, rows: &RecordBatch, change: &'static str) -> Result<(), CuratedError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let letters: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(change, rows.num_rows())));
        let columns = rows.columns().iter().cloned().chain([letters]).collect();
        self.keep(RecordBatch::try_new(self.schema.clone(), columns).map_err(of(&self.model.name))?).await
    }

    async fn keep(&mut self, rows: RecordBatch) -> Result<(), CuratedError> {
        self.bytes += rows.get_array_memory_size();
        self.held.push(rows);
        let most = FILE_BYTES.min(self.lake.memory() / 16);
        if self.bytes as u64 > most { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), CuratedError> {
        self.bytes = 0;
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        let (lake, model) = (self.lake.clone(), self.model.clone());
        self.writing = Some(tokio::spawn(async move {
            let rows = held.iter().map(|batch| batch.num_rows() as u64).sum();
            let path = format!("curated/_changes/{}/{}.parquet", model.name, Uuid::new_v4());
            let content_length = put(&lake, &model, &path, held).await?;
            Ok(ChangeSetFile { path, content_length, rows })
        }));
        Ok(())
    }

    /// Waits for the file that is being written.
    async fn settle(&mut self) -> Result<(), CuratedError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        self.written.files.push(joined(&self.model.name, writing.await)?);
        Ok(())
    }

    /// All rows are in files.
    pub async fn finish(mut self) -> Result<Written, CuratedError> {
        self.flush().await?;
        self.settle().await?;
        failpoint::hit("curated.change_set_written");
        Ok(self.written)
    }
}

/// Writes a file; how many bytes it has.
async fn put(lake: &Lake, model: &Model, path: &str, rows: Vec<RecordBatch>) -> Result<u64, CuratedError> {
    let bytes = encoded(model, path, rows).await?;
    let length = bytes.len() as u64;
    lake.put(path, bytes).await?;
    Ok(length)
}

/// The Parquet file with these rows: one row group, its columns encoded at the same time.
async fn encoded(model: &Model, path: &str, rows: Vec<RecordBatch>) -> Result<Vec<u8>, CuratedError> {
    let unwritable =
        |source: ParquetError| CuratedError::Unreadable { path: path.to_owned(), source: Box::new(source) };
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let schema = first.schema();
    let (mut writer, encoders) = writer(schema.clone()).map_err(unwritable)?;
    let mut columns: Vec<BoxFuture<'_, _>> = Vec::new();
    for (at, encoder) in encoders.into_iter().enumerate() {
        let arrays: Vec<ArrayRef> = rows.iter().map(|batch| batch.column(at).clone()).collect();
        let field = schema.field(at).clone();
        columns.push(blocking(model, move || Ok(encode(encoder, &field, &arrays))).boxed());
    }
    let mut encoding = futures::stream::iter(columns).buffered(COLUMNS_AT_ONCE);
    let mut group = writer.next_row_group().map_err(unwritable)?;
    while let Some(chunk) = encoding.next().await {
        chunk?.and_then(|chunk| chunk.append_to_row_group(&mut group)).map_err(unwritable)?;
    }
    group.close().map_err(unwritable)?;
    writer.into_inner().map_err(unwritable)
}

/// A writer of one row group, and an encoder for each of its columns.
fn writer(schema: SchemaRef) -> Result<(SerializedFileWriter<Vec<u8>>, Vec<ArrowColumnWriter>), ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("weir".to_owned())
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let (writer, factory) = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?.into_serialized_writer()?;
    Ok((writer, factory.create_column_writers(0)?))
}

fn encode(
    mut encoder: ArrowColumnWriter,
    field: &Field,
    arrays: &[ArrayRef],
) -> Result<ArrowColumnChunk, ParquetError> {
    for array in arrays {
        for leaf in compute_leaves(field, array)? {
            encoder.write(&leaf)?;
        }
    }
    encoder.close()
}

/// The rows of a file that a commit names.
///
/// With `columns`, these only, in the file's order.
pub(crate) async fn read_rows(
    lake: &Lake,
    path: &str,
    columns: Option<&[String]>,
) -> Result<Vec<RecordBatch>, CuratedError> {
    let unreadable =
        |source: Box<dyn std::error::Error + Send + Sync>| CuratedError::Unreadable { path: path.to_owned(), source };
    let bytes = lake.get(path).await?.ok_or_else(|| unreadable("it is not there".into()))?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| unreadable(e.into()))?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().map(String::as_str));
        builder = builder.with_projection(mask);
    }
    let reader = builder.build().map_err(|e| unreadable(e.into()))?;
    reader.map(|batch| batch.map_err(|e| unreadable(e.into()))).collect()
}

/// Hashes of the business keys of a dimension whose facts must be pointed anew since a version of it; none where it
/// was made anew since, so that any may have moved.
pub(crate) async fn moved_since(dimension: &Table, after: i64) -> Result<Option<HashSet<u64>>, CuratedError> {
    let mut hashes = HashSet::new();
    for (_, written) in Written::since(dimension, after).await? {
        if written.anew {
            return Ok(None);
        }
        let Some(path) = written.moved else { continue };
        for batch in read_rows(dimension.lake(), &path, None).await? {
            let column = batch.column(0).as_primitive_opt::<Int64Type>();
            let column = column.ok_or_else(|| CuratedError::Unreadable {
                path: path.clone(),
                source: "its column is of another type".into(),
            })?;
            hashes.extend(column.values().iter().map(|hash| u64::from_ne_bytes(hash.to_ne_bytes())));
        }
    }
    Ok(Some(hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vacuum_is_told_every_file_that_a_commit_names() {
        let file = |path: &str| ChangeSetFile { path: path.to_owned(), content_length: 1, rows: 1 };
        let written = Written {
            files: vec![file("a"), file("b")],
            moved: Some("c".to_owned()),
            repointed: Some("d".to_owned()),
            ..Written::default()
        };
        assert_eq!(written.paths().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
