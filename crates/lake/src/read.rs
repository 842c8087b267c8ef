//! Reading data files: batches with the table's columns, whatever the file's age, and partition columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use crate::error::LakeError;
use crate::file::{DataFile, Partition};
use crate::schema::align;
use crate::table::Table;

/// Batches of a table, in the order of the files.
pub type Batches = BoxStream<'static, Result<RecordBatch, LakeError>>;

/// Files that are fetched and decoded ahead, where memory allows.
const READS_AT_ONCE: usize = 4;
const BATCH_ROWS: usize = 64 * 1024;

impl Table {
    /// Rows of these files, with these columns in this order (none: all, partition columns last).
    /// A column that a file lacks is null. What the columns need of a file is held in memory while it is decoded.
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
        // Decoded, a file takes several times its bytes.
        let largest = files.iter().map(|file| file.size.unsigned_abs() * 8).max().unwrap_or_default().max(1);
        let at_once = usize::try_from(self.lake.memory() / 4 / largest).unwrap_or(READS_AT_ONCE);
        let batches = futures::stream::iter(files.to_vec())
            .map(move |file| {
                let (table, wanted) = (table.clone(), wanted.clone());
                async move { table.read_file(&file, wanted).await }
            })
            .buffered(at_once.clamp(1, READS_AT_ONCE))
            .flat_map(|file| match file {
                Ok(batches) => futures::stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => futures::stream::iter(vec![Err(error)]),
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

    async fn read_file(&self, file: &DataFile, wanted: SchemaRef) -> Result<Vec<RecordBatch>, LakeError> {
        let path = self.path_of(file);
        let (chunks, metadata) = self.chunks(file, |name| wanted.fields().find(name).is_some()).await?;
        let partition = file.partition;
        let names = self.partitioning().columns();
        let decoded = tokio::task::spawn_blocking(move || {
            decode(ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata), &wanted, partition, names)
        });
        match decoded.await {
            Ok(batches) => batches.map_err(|e| LakeError::file(path, e)),
            Err(panicked) => Err(LakeError::file(path, panicked)),
        }
    }

    pub(crate) async fn bytes_of(&self, file: &DataFile) -> Result<Bytes, LakeError> {
        let path = self.path_of(file);
        let found = self.store().get(&self.location(&file.path)).await.map_err(|e| LakeError::of_file(&path, e))?;
        let bytes = found.bytes().await.map_err(|e| LakeError::store(&path, e))?;
        self.counters.read(bytes.len() as u64, file.rows);
        Ok(bytes)
    }
}

pub(crate) fn decode<T: ChunkReader + 'static>(
    builder: ParquetRecordBatchReaderBuilder<T>,
    wanted: &SchemaRef,
    partition: Partition,
    partition_columns: &[&str],
) -> Result<Vec<RecordBatch>, parquet::errors::ParquetError> {
    let in_file = builder.schema().fields().iter().enumerate();
    let roots = in_file.filter(|(_, field)| wanted.fields().find(field.name()).is_some()).map(|(at, _)| at);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let values = partition.values();
    let mut batches = Vec::new();
    for batch in builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef, arrow::error::ArrowError> {
            if let Some(at) = partition_columns.iter().position(|name| name == field.name()) {
                return Ok(Arc::new(Int32Array::from_value(values[at], batch.num_rows())));
            }
            match batch.column_by_name(field.name()) {
                Some(array) => align(array, field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        let columns = wanted.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        batches.push(RecordBatch::try_new_with_options(wanted.clone(), columns, &options)?);
    }
    Ok(batches)
}
