//! Record batches to the bytes of a Parquet file. Thousands of hour folders mean thousands of small
//! files, so a small file costs little: no compressor state, no page index, no Arrow schema inside.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

/// Below this much memory a file is compressed with snappy, which starts at no cost; above with zstd.
const SMALL: usize = 512 * 1024;

static SMALL_FILE: LazyLock<WriterProperties> = LazyLock::new(|| properties(Compression::SNAPPY));
static LARGE_FILE: LazyLock<WriterProperties> =
    LazyLock::new(|| properties(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default())));

fn properties(compression: Compression) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(compression)
        .set_created_by("weir".to_owned())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(256 * 1024))
        .build()
}

/// The Parquet file with these rows; all batches have the schema of the first.
pub(crate) fn encode(batches: &[RecordBatch]) -> Result<Vec<u8>, ParquetError> {
    let Some(first) = batches.first() else {
        return Ok(Vec::new());
    };
    let memory: usize = batches.iter().map(sliced_size).sum();
    let properties = if memory < SMALL { &SMALL_FILE } else { &LARGE_FILE };
    // Dictionaries are no Delta type; readers other than Arrow's would see plain values anyway.
    let schema = crate::schema::normal(&first.schema());
    let options = ArrowWriterOptions::new().with_properties((*properties).clone()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::with_capacity(memory / 2), schema.clone(), options)?;
    for batch in batches {
        writer.write(&conform(batch, &schema)?)?;
    }
    writer.into_inner()
}

/// A writer of a file's row groups, column by column, and what makes the columns' encoders.
pub(crate) fn writer(
    capacity: usize,
    schema: Arc<Schema>,
) -> Result<(SerializedFileWriter<Vec<u8>>, ArrowRowGroupWriterFactory), ParquetError> {
    let properties = if capacity < SMALL { &SMALL_FILE } else { &LARGE_FILE };
    let options = ArrowWriterOptions::new().with_properties((*properties).clone()).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::with_capacity(capacity), schema, options)?.into_serialized_writer()
}

fn sliced_size(batch: &RecordBatch) -> usize {
    let column = |array: &arrow::array::ArrayRef| array.to_data().get_slice_memory_size().unwrap_or_default();
    batch.columns().iter().map(column).sum()
}

/// The batch with the types and nullability that the table has.
fn conform(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, ParquetError> {
    let column = |(array, field): (&arrow::array::ArrayRef, &Arc<Field>)| {
        if array.data_type() == field.data_type() {
            Ok(array.clone())
        } else if array.data_type().is_nested() {
            crate::schema::align(array, field.data_type())
        } else {
            cast(array, field.data_type())
        }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
