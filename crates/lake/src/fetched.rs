//! A data file in memory: fetched once, decoded as often as asked, and written anew with no more work than its
//! rows have changed: a column chunk in which no value changes is copied as it is, compressed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Datum, RecordBatch};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{concat, concat_batches, interleave};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::writer::SerializedRowGroupWriter;

use crate::encode;
use crate::error::LakeError;
use crate::file::DataFile;
use crate::read::Decoder;
use crate::schema::normal;
use crate::stats;
use crate::table::Table;

/// A data file in memory.
#[derive(Clone)]
pub struct Fetched {
    file: DataFile,
    path: String,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
}

/// What changes in a file: rows at `rows` (growing) held `old` and hold `new` from now on; `added` follow them.
/// Batches have the table's own columns.
pub struct Patch<'a> {
    /// Positions in the file.
    pub rows: &'a [u32],
    /// What is there.
    pub old: &'a RecordBatch,
    /// What is to be there.
    pub new: &'a RecordBatch,
    /// Rows behind the last.
    pub added: &'a RecordBatch,
}

/// The bytes of a file that is no part of a table yet.
pub struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u64,
    pub(crate) stats: String,
}

impl Table {
    /// Fetches a file whole.
    pub async fn fetch(&self, file: &DataFile) -> Result<Fetched, LakeError> {
        let path = self.path_of(file);
        let bytes = self.bytes_of(file).await?;
        let metadata = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(|e| LakeError::file(&path, e))?;
        Ok(Fetched { file: file.clone(), path, bytes, metadata, schema: self.schema().clone() })
    }
}

impl Fetched {
    /// The file.
    pub fn file(&self) -> &DataFile {
        &self.file
    }

    /// The table's own columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Row groups: every patch that adds rows adds one.
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Bytes that its rows take in memory.
    pub fn memory(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups.iter().map(|group| crate::read::memory(group, &ProjectionMask::all())).sum()
    }

    /// These columns, of all rows or of those at these growing positions. A column that the file lacks is null.
    pub fn decode(&self, columns: &[&str], rows: Option<&[u32]>) -> Result<RecordBatch, LakeError> {
        let fields = columns.iter().map(|name| self.schema.fields().find(name).map(|(_, field)| field.clone()));
        let fields =
            fields.collect::<Option<Vec<_>>>().ok_or_else(|| LakeError::file(&self.path, "an unknown column"))?;
        let wanted = Arc::new(arrow::datatypes::Schema::new(fields));
        self.read(&wanted, rows).map_err(|e| LakeError::file(&self.path, e))
    }

    /// All columns of the table, as [`Fetched::decode`].
    pub fn decode_all(&self, rows: Option<&[u32]>) -> Result<RecordBatch, LakeError> {
        self.read(&self.schema, rows).map_err(|e| LakeError::file(&self.path, e))
    }

    fn read(&self, wanted: &SchemaRef, rows: Option<&[u32]>) -> Result<RecordBatch, ParquetError> {
        let total = usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default();
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        if let Some(rows) = rows {
            let ranges = rows.chunk_by(|a, b| a + 1 == *b).map(|run| run[0] as usize..run[run.len() - 1] as usize + 1);
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(ranges, total));
        }
        // In one batch where that is possible: to put batches together takes their memory twice.
        let batches = Decoder::new(builder, wanted.clone(), self.file.partition, &[], u64::MAX)?;
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(wanted, &batches)?)
    }

    /// The file with the patch; none where the table has got other columns since the file was written.
    pub fn patched(&self, patch: &Patch<'_>) -> Result<Option<Encoded>, LakeError> {
        self.spliced(patch).map_err(|e| LakeError::file(&self.path, e))
    }

    fn spliced(&self, patch: &Patch<'_>) -> Result<Option<Encoded>, ParquetError> {
        let schema = normal(&self.schema);
        let (mut writer, factory) = encode::writer(self.bytes.len() + self.bytes.len() / 4, schema.clone())?;
        let before = self.metadata.metadata();
        if writer.schema_descr().columns() != before.file_metadata().schema_descr().columns() {
            return Ok(None);
        }
        let mut from = 0;
        let mut done = 0;
        for (number, group) in before.row_groups().iter().enumerate() {
            let until = from + usize::try_from(group.num_rows()).unwrap_or_default();
            let here = patch.rows[done..].partition_point(|row| (*row as usize) < until);
            let edits = Edits { from, first: done, rows: &patch.rows[done..done + here], patch };
            let mut out = writer.next_row_group()?;
            for (column, chunk) in group.columns().iter().enumerate() {
                match edits.changes(column)? {
                    false => out.append_column(&self.bytes, as_it_is(chunk, group.num_rows()))?,
                    true => {
                        let values = edits.apply(&self.column(number, column)?, column)?;
                        put(&factory, &mut out, number, column, &schema, &values)?;
                    }
                }
            }
            out.close()?;
            (from, done) = (until, done + here);
        }
        if patch.added.num_rows() > 0 {
            let number = before.num_row_groups();
            let mut out = writer.next_row_group()?;
            for (column, values) in patch.added.columns().iter().enumerate() {
                put(&factory, &mut out, number, column, &schema, values)?;
            }
            out.close()?;
        }
        let after: ParquetMetaData = writer.finish()?;
        let rows = u64::try_from(after.file_metadata().num_rows()).unwrap_or_default();
        let stats = stats::of_metadata(&after, &schema);
        Ok(Some(Encoded { bytes: std::mem::take(writer.inner_mut()), rows, stats }))
    }

    /// One column of one row group.
    fn column(&self, group: usize, column: usize) -> Result<ArrayRef, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
        let rows = usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or_default();
        let reader = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(rows.max(1)).build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let arrays: Vec<&dyn arrow::array::Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
        Ok(crate::schema::align(&concat(&arrays)?, self.schema.field(column).data_type())?)
    }
}

/// The part of a patch that lies in one row group.
struct Edits<'a> {
    /// The row group's first row.
    from: usize,
    /// The first edit's place in the patch.
    first: usize,
    rows: &'a [u32],
    patch: &'a Patch<'a>,
}

impl Edits<'_> {
    fn changes(&self, column: usize) -> Result<bool, ParquetError> {
        if self.rows.is_empty() {
            return Ok(false);
        }
        let part = |rows: &RecordBatch| rows.column(column).slice(self.first, self.rows.len());
        let (old, new) = (part(self.patch.old), part(self.patch.new));
        Ok(distinct(&old as &dyn Datum, &new as &dyn Datum)?.true_count() > 0)
    }

    fn apply(&self, values: &ArrayRef, column: usize) -> Result<ArrayRef, ParquetError> {
        let mut places: Vec<(usize, usize)> = (0..values.len()).map(|row| (0, row)).collect();
        for (edit, row) in self.rows.iter().enumerate() {
            places[*row as usize - self.from] = (1, self.first + edit);
        }
        Ok(interleave(&[values.as_ref(), self.patch.new.column(column).as_ref()], &places)?)
    }
}

fn as_it_is(chunk: &ColumnChunkMetaData, rows: i64) -> ColumnCloseResult {
    ColumnCloseResult {
        bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or_default(),
        rows_written: u64::try_from(rows).unwrap_or_default(),
        metadata: chunk.clone(),
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    }
}

fn put(
    factory: &ArrowRowGroupWriterFactory,
    out: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    group: usize,
    column: usize,
    schema: &SchemaRef,
    values: &ArrayRef,
) -> Result<(), ParquetError> {
    // A table's own columns here are flat: one leaf each.
    let mut writer = factory.create_column_writers(group)?.swap_remove(column);
    for leaf in compute_leaves(schema.field(column), values)? {
        writer.write(&leaf)?;
    }
    writer.close()?.append_to_row_group(out)
}
