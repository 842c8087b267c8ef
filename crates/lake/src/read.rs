//! Reading data files: batches with the table's columns, whatever the file's age, and partition columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use crate::error::LakeError;
use crate::file::{DataFile, Partition};
use crate::schema::align;
use crate::table::Table;

/// Batches of a table, in the order of the files.
pub type Batches = BoxStream<'static, Result<RecordBatch, LakeError>>;

/// Files that are fetched and decoded ahead, where memory allows.
const READS_AT_ONCE: usize = 4;
/// Most rows of a batch. Where rows are wide [`Lake::batch_bytes`](crate::Lake::batch_bytes) allows fewer.
const BATCH_ROWS: usize = 64 * 1024;

impl Table {
    /// Rows of these files, with these columns in this order (none: all, partition columns last).
    /// A column that a file lacks is null. What the columns need of a file is held in memory as it is stored while it is
    /// decoded bit by bit.
    pub fn read(&self, files: &[DataFile], columns: Option<&[&str]>) -> Result<Batches, LakeError> {
        let full = self.full_schema();
        let wanted = match columns {
            None => full,
            Some(names) => {
                let field = |name: &&str| full.fields().find(name).map(|(_, field)| field.clone());
                let unknown = || LakeError::file(&self.full_name, "a column that the table lacks was asked for");
                let fields = names.iter().map(field).collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
                Arc::new(Schema::new(fields))
            }
        };
        let table = self.clone();
        // What is ahead is there as it is stored, and some of it decoded.
        let largest = files.iter().map(|file| file.size.unsigned_abs()).max().unwrap_or_default();
        let ahead = self.lake.memory() / 4 / (largest + self.lake.batch_bytes());
        let batches = futures::stream::iter(files.to_vec())
            .map(move |file| {
                let (table, wanted) = (table.clone(), wanted.clone());
                async move { table.open_file(&file, wanted).await }
            })
            .buffered(usize::try_from(ahead).unwrap_or(READS_AT_ONCE).clamp(1, READS_AT_ONCE))
            .flat_map(|opened| match opened {
                Ok(opened) => opened.batches(),
                Err(error) => futures::stream::once(std::future::ready(Err(error))).boxed(),
            });
        Ok(batches.boxed())
    }

    /// Like [`Table::read`], gathered.
    pub async fn read_all(&self, files: &[DataFile], columns: Option<&[&str]>) -> Result<Vec<RecordBatch>, LakeError> {
        let mut reading = self.read(files, columns)?;
        let mut batches = Vec::new();
        while let Some(batch) = reading.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }

    async fn open_file(&self, file: &DataFile, wanted: SchemaRef) -> Result<Opened, LakeError> {
        let path = self.path_of(file);
        let (chunks, metadata) = self.chunks(file, |name| wanted.fields().find(name).is_some()).await?;
        let (partition, names, most) = (file.partition, self.partitioning().columns(), self.lake.batch_bytes());
        Opened::of(path, most, move || {
            Decoder::new(
                ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata),
                wanted,
                partition,
                names,
                most,
            )
        })
        .await
    }

    pub(crate) async fn bytes_of(&self, file: &DataFile) -> Result<Bytes, LakeError> {
        let path = self.path_of(file);
        let found = self.store().get(&self.location(&file.path)).await.map_err(|e| LakeError::of_file(&path, e))?;
        let bytes = found.bytes().await.map_err(|e| LakeError::store(&path, e))?;
        self.counters.read(bytes.len() as u64, file.rows);
        Ok(bytes)
    }
}

/// A file that is being decoded: what is there of it, and what gives the rest.
struct Opened {
    path: String,
    /// Bytes that are decoded at a time.
    most: u64,
    ready: std::vec::IntoIter<RecordBatch>,
    rest: Option<Decoder>,
}

impl Opened {
    /// Decodes the beginning: all of a file that is not large, so that it costs one task.
    async fn of(
        path: String,
        most: u64,
        decoder: impl FnOnce() -> Result<Decoder, ParquetError> + Send + 'static,
    ) -> Result<Self, LakeError> {
        match tokio::task::spawn_blocking(move || decoder()?.some(most)).await {
            Ok(Ok((ready, rest))) => Ok(Self { path, most, ready: ready.into_iter(), rest }),
            Ok(Err(error)) => Err(LakeError::file(path, error)),
            Err(panicked) => Err(LakeError::file(path, panicked)),
        }
    }

    fn batches(self) -> Batches {
        let next = |mut opened: Self| async move {
            loop {
                if let Some(batch) = opened.ready.next() {
                    return Ok(Some((batch, opened)));
                }
                let Some(rest) = opened.rest.take() else { return Ok(None) };
                opened = Self::of(opened.path, opened.most, || Ok(rest)).await?;
            }
        };
        futures::stream::try_unfold(self, next).boxed()
    }
}

/// Batches of one file with a table's columns.
pub(crate) struct Decoder {
    reader: ParquetRecordBatchReader,
    wanted: SchemaRef,
    partition: Partition,
    partition_columns: &'static [&'static str],
}

impl Decoder {
    /// Batches of no more than `most` bytes, as far as the file tells, but of one row at least.
    pub fn new<T: ChunkReader + 'static>(
        builder: ParquetRecordBatchReaderBuilder<T>,
        wanted: SchemaRef,
        partition: Partition,
        partition_columns: &'static [&'static str],
        most: u64,
    ) -> Result<Self, ParquetError> {
        let in_file = builder.schema().fields().iter().enumerate();
        let roots = in_file.filter(|(_, field)| wanted.fields().find(field.name()).is_some()).map(|(at, _)| at);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let rows = (most / width(builder.metadata(), &mask)).clamp(1, BATCH_ROWS as u64);
        let rows = usize::try_from(rows).unwrap_or(BATCH_ROWS);
        let reader = builder.with_projection(mask).with_batch_size(rows).build()?;
        Ok(Self { reader, wanted, partition, partition_columns })
    }

    /// The next batches, until they take so many bytes; and what gives the rest.
    fn some(mut self, most: u64) -> Result<(Vec<RecordBatch>, Option<Self>), ParquetError> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        for batch in &mut self {
            let batch = batch?;
            bytes += batch.get_array_memory_size() as u64;
            batches.push(batch);
            if bytes >= most {
                return Ok((batches, Some(self)));
            }
        }
        Ok((batches, None))
    }

    fn aligned(&self, batch: &RecordBatch) -> Result<RecordBatch, ParquetError> {
        let values = self.partition.values();
        let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef, arrow::error::ArrowError> {
            if let Some(at) = self.partition_columns.iter().position(|name| name == field.name()) {
                return Ok(Arc::new(Int32Array::from_value(values[at], batch.num_rows())));
            }
            match batch.column_by_name(field.name()) {
                Some(array) => align(array, field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        let columns = self.wanted.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.wanted.clone(), columns, &options)?)
    }
}

impl Iterator for Decoder {
    type Item = Result<RecordBatch, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(ParquetError::from).and_then(|batch| self.aligned(&batch)))
    }
}

/// Bytes that a row with these columns takes in memory, where rows are widest.
fn width(metadata: &ParquetMetaData, mask: &ProjectionMask) -> u64 {
    let of = |group: &RowGroupMetaData| memory(group, mask) / group.num_rows().unsigned_abs().max(1);
    metadata.row_groups().iter().map(of).max().unwrap_or_default().max(1)
}

/// Bytes that these columns of a row group take in memory.
pub(crate) fn memory(group: &RowGroupMetaData, mask: &ProjectionMask) -> u64 {
    let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
    // Of texts the bytes that they had before a dictionary, and their offsets.
    let bytes = leaves.map(|(_, chunk)| {
        let texts = chunk.unencoded_byte_array_data_bytes().unwrap_or_default();
        chunk.uncompressed_size().max(texts + 8 * chunk.num_values()).unsigned_abs()
    });
    bytes.sum()
}
