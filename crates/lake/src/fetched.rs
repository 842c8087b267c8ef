//! A data file in memory: fetched once, decoded as often as asked, and written anew with no more work than its
//! rows have changed: a column chunk in which no value changes is copied as it is, compressed.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, Datum, MutableArrayData, RecordBatch, UInt32Array, make_array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{concat, concat_batches, take_record_batch};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::writer::SerializedRowGroupWriter;
use weir_core::zone::Zone;

use crate::encode;
use crate::error::LakeError;
use crate::file::DataFile;
use crate::read::Decoder;
use crate::schema::normal;
use crate::stats;
use crate::table::Table;

/// A data file in memory.
pub struct Fetched {
    file: DataFile,
    path: String,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    zone: Zone,
    schema: SchemaRef,
    /// Bytes of values up to which they are kept decoded: a patch then needs no second look at the file.
    keep: u64,
    /// All rows, once they were asked for and are not too many.
    whole: OnceLock<RecordBatch>,
}

/// The most bytes of values of one file that are kept decoded, where memory allows.
const KEPT: u64 = 16 << 20;
/// Where one of so many rows is asked for, nearly every page is needed anyway.
const MOST_PAGES: usize = 32;

/// What changes in a file: rows at `rows` (growing) held `old` and hold `new` from now on, those at `deleted` go;
/// `added` follow.
/// Batches have the table's own columns.
pub struct Patch<'a> {
    /// Positions in the file.
    pub rows: &'a [u32],
    /// What is there.
    pub old: &'a RecordBatch,
    /// What is to be there.
    pub new: &'a RecordBatch,
    /// Positions in the file, growing, none of them in `rows`.
    pub deleted: &'a [u32],
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
        let (zone, schema) = (self.zone(), self.schema().clone());
        let keep = KEPT.min(self.lake().memory() / 64);
        Ok(Fetched { file: file.clone(), path, bytes, metadata, zone, schema, keep, whole: OnceLock::new() })
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
        self.all(rows).map_err(|e| LakeError::file(&self.path, e))
    }

    fn all(&self, rows: Option<&[u32]>) -> Result<RecordBatch, ParquetError> {
        let large = self.memory() > self.keep;
        let few = rows.is_some_and(|rows| (rows.len() * MOST_PAGES) as u64 <= self.file.rows);
        if self.whole.get().is_none() && (large || few) {
            return self.read(&self.schema, rows);
        }
        let whole = match self.whole.get() {
            Some(whole) => whole,
            None => {
                let read = self.read(&self.schema, None)?;
                self.whole.get_or_init(|| read)
            }
        };
        match rows {
            Some(rows) => Ok(take_record_batch(whole, &UInt32Array::from(rows.to_vec()))?),
            None => Ok(whole.clone()),
        }
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

    /// The file with the patch; none where all of it would have to be written anyway: the table has got other columns
    /// since the file was written, or so many rows are added that it is time to put them in order.
    pub fn patched(&self, patch: &Patch<'_>) -> Result<Option<Encoded>, LakeError> {
        self.spliced(patch).map_err(|e| LakeError::file(&self.path, e))
    }

    fn spliced(&self, patch: &Patch<'_>) -> Result<Option<Encoded>, ParquetError> {
        let schema = normal(&self.schema);
        let capacity = self.bytes.len() + self.bytes.len() / 4;
        let compression = encode::compression(self.zone, capacity);
        let like = [patch.new, patch.added];
        let (mut writer, factory) = encode::writer(compression, capacity, &like, schema.clone())?;
        let before = self.metadata.metadata();
        if writer.schema_descr().columns() != before.file_metadata().schema_descr().columns() {
            return Ok(None);
        }
        let groups: Vec<Edits<'_>> = self.edits(patch);
        let kept = self.kept(&groups, patch.added.num_rows());
        if kept == 0 {
            return Ok(None);
        }
        for edits in &groups[..kept] {
            if edits.leaves() == 0 {
                continue;
            }
            let mut out = writer.next_row_group()?;
            let mut encoders = factory.create_column_writers(edits.group)?.into_iter();
            for (column, chunk) in before.row_group(edits.group).columns().iter().enumerate() {
                // A table's own columns here are flat: one encoder each.
                let Some(encoder) = encoders.next() else { break };
                match edits.changes(column)? {
                    false => out.append_column(&self.bytes, as_it_is(chunk, edits.range.len()))?,
                    true => put(encoder, &mut out, schema.field(column), &self.edited(edits, column)?)?,
                }
            }
            out.close()?;
        }
        let folded = groups[kept..].iter().map(Edits::leaves).sum::<usize>() + patch.added.num_rows();
        if folded > 0 {
            let mut out = writer.next_row_group()?;
            let encoders = factory.create_column_writers(kept)?;
            for ((column, added), encoder) in patch.added.columns().iter().enumerate().zip(encoders) {
                let mut parts =
                    groups[kept..].iter().map(|edits| self.edited(edits, column)).collect::<Result<Vec<_>, _>>()?;
                parts.push(added.clone());
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                put(encoder, &mut out, schema.field(column), &concat(&parts)?)?;
            }
            out.close()?;
        }
        let after: ParquetMetaData = writer.finish()?;
        let rows = u64::try_from(after.file_metadata().num_rows()).unwrap_or_default();
        let stats = stats::of_metadata(&after, &schema);
        Ok(Some(Encoded { bytes: std::mem::take(writer.inner_mut()), rows, stats }))
    }

    /// A patch by row groups.
    fn edits<'a>(&self, patch: &'a Patch<'a>) -> Vec<Edits<'a>> {
        let (mut from, mut replaced, mut deleted) = (0, 0, 0);
        let mut edits = Vec::new();
        for (group, metadata) in self.metadata.metadata().row_groups().iter().enumerate() {
            let until = from + usize::try_from(metadata.num_rows()).unwrap_or_default();
            let up_to =
                |rows: &[u32], first: usize| first + rows[first..].partition_point(|row| (*row as usize) < until);
            let (r, d) = (up_to(patch.rows, replaced), up_to(patch.deleted, deleted));
            let (rows, gone) = (&patch.rows[replaced..r], &patch.deleted[deleted..d]);
            edits.push(Edits { group, range: from..until, first: replaced, rows, deleted: gone, patch });
            (from, replaced, deleted) = (until, r, d);
        }
        edits
    }

    /// How many row groups stay; those behind them become one with the added rows. As in a size-tiered merge, one
    /// that is not much larger than what follows it is taken along, so that there are never many and no row is
    /// written again often. When the first is to be taken depends on the file, so that not all files are at once.
    fn kept(&self, groups: &[Edits<'_>], added: usize) -> usize {
        let (mut kept, mut behind) = (groups.len(), added);
        let first = 1 + self.file.path.bytes().map(usize::from).sum::<usize>() % 3;
        while let Some(last) = kept.checked_sub(1) {
            let rows = groups[last].leaves();
            if rows > behind * if last == 0 { first } else { 2 } {
                break;
            }
            (kept, behind) = (last, behind + rows);
        }
        kept
    }

    /// A row group's column as it is to be.
    fn edited(&self, edits: &Edits<'_>, column: usize) -> Result<ArrayRef, ParquetError> {
        Ok(edits.apply(&self.column(edits.group, edits.range.clone(), column)?, column)?)
    }

    /// One column of one row group, which has these rows of the file.
    fn column(&self, group: usize, rows: Range<usize>, column: usize) -> Result<ArrayRef, ParquetError> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole.column(column).slice(rows.start, rows.len()));
        }
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
        let reader =
            builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(rows.len().max(1)).build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
        Ok(crate::schema::align(&concat(&arrays)?, self.schema.field(column).data_type())?)
    }
}

/// The part of a patch that lies in one row group.
struct Edits<'a> {
    group: usize,
    /// The row group's rows of the file.
    range: Range<usize>,
    /// The first replaced row's place in the patch.
    first: usize,
    rows: &'a [u32],
    deleted: &'a [u32],
    patch: &'a Patch<'a>,
}

impl Edits<'_> {
    /// Rows that stay.
    fn leaves(&self) -> usize {
        self.range.len() - self.deleted.len()
    }

    fn changes(&self, column: usize) -> Result<bool, ParquetError> {
        if !self.deleted.is_empty() || self.rows.is_empty() {
            return Ok(!self.deleted.is_empty());
        }
        let part = |rows: &RecordBatch| rows.column(column).slice(self.first, self.rows.len());
        let (old, new) = (part(self.patch.old), part(self.patch.new));
        Ok(distinct(&old as &dyn Datum, &new as &dyn Datum)?.true_count() > 0)
    }

    fn apply(&self, values: &ArrayRef, column: usize) -> Result<ArrayRef, ArrowError> {
        if self.rows.is_empty() && self.deleted.is_empty() {
            return Ok(values.clone());
        }
        let (before, new) = (values.to_data(), self.patch.new.column(column).to_data());
        let mut after = MutableArrayData::new(vec![&before, &new], false, values.len());
        let place = |row: &u32| *row as usize - self.range.start;
        let replaced = self.rows.iter().enumerate().map(|(edit, row)| (place(row), Some(self.first + edit)));
        let mut edits: Vec<(usize, Option<usize>)> = replaced.collect();
        if !self.deleted.is_empty() {
            edits.extend(self.deleted.iter().map(|row| (place(row), None)));
            edits.sort_unstable();
        }
        let mut copied = 0;
        for (at, edit) in edits {
            after.try_extend(0, copied, at)?;
            if let Some(edit) = edit {
                after.try_extend(1, edit, edit + 1)?;
            }
            copied = at + 1;
        }
        after.try_extend(0, copied, values.len())?;
        Ok(make_array(after.freeze()))
    }
}

fn as_it_is(chunk: &ColumnChunkMetaData, rows: usize) -> ColumnCloseResult {
    ColumnCloseResult {
        bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or_default(),
        rows_written: rows as u64,
        metadata: chunk.clone(),
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    }
}

fn put(
    mut encoder: ArrowColumnWriter,
    out: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    field: &Field,
    values: &ArrayRef,
) -> Result<(), ParquetError> {
    for leaf in compute_leaves(field, values)? {
        encoder.write(&leaf)?;
    }
    encoder.close()?.append_to_row_group(out)
}
