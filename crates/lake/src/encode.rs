//! Record batches to the bytes of a Parquet file. Thousands of hour folders mean thousands of small
//! files, so a small file costs little: no compressor state, no page index, no Arrow schema inside.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use weir_core::zone::Zone;

/// Below this much memory a file is compressed with snappy, which starts at no cost.
const SMALL: usize = 512 * 1024;
/// Values looked at to decide how a column is encoded, and the fewest that say anything.
const SAMPLE: usize = 256;
const FEWEST: usize = 64;

/// How a file is compressed: snappy where it is small or soon read and written again, as builds do with curated
/// tables; zstd where it is written once and kept.
pub(crate) fn compression(zone: Zone, memory: usize) -> Compression {
    match zone {
        Zone::Curated => Compression::SNAPPY,
        _ if memory < SMALL => Compression::SNAPPY,
        _ => Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()),
    }
}

/// A dictionary of a column in which values seldom come twice is built for nothing: the writer would give it up
/// once it is too large. `like` are batches with values like those to come.
fn properties<'a>(compression: Compression, like: impl IntoIterator<Item = &'a RecordBatch>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_created_by("weir".to_owned())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(256 * 1024));
    if let Some(batch) = like.into_iter().max_by_key(|batch| batch.num_rows()) {
        for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
            if seldom_twice(column) {
                properties =
                    properties.set_column_dictionary_enabled(ColumnPath::from(vec![field.name().clone()]), false);
            }
        }
    }
    properties.build()
}

/// Whether most values of a sample are there once. Other types than these keep their dictionaries.
fn seldom_twice(column: &ArrayRef) -> bool {
    let rows = column.len();
    if rows < FEWEST || column.null_count() * 2 > rows {
        return false;
    }
    let sample = || (0..rows).step_by((rows / SAMPLE).max(1));
    macro_rules! distinct {
        ($array:expr) => {{
            let array = $array;
            sample().map(|row| array.value(row)).collect::<HashSet<_>>().len()
        }};
    }
    let distinct = match column.data_type() {
        DataType::Int32 => distinct!(column.as_primitive::<Int32Type>()),
        DataType::Int64 => distinct!(column.as_primitive::<Int64Type>()),
        DataType::Date32 => distinct!(column.as_primitive::<Date32Type>()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => distinct!(column.as_primitive::<TimestampMicrosecondType>()),
        DataType::Decimal128(..) => distinct!(column.as_primitive::<Decimal128Type>()),
        DataType::Utf8 => distinct!(column.as_string::<i32>()),
        DataType::Binary => distinct!(column.as_binary::<i32>()),
        _ => return false,
    };
    distinct * 2 > sample().count()
}

/// The Parquet file with these rows; all batches have the schema of the first.
pub(crate) fn encode(zone: Zone, batches: &[RecordBatch]) -> Result<Vec<u8>, ParquetError> {
    let Some(first) = batches.first() else {
        return Ok(Vec::new());
    };
    let memory: usize = batches.iter().map(sliced_size).sum();
    // Dictionaries are no Delta type; readers other than Arrow's would see plain values anyway.
    let schema = crate::schema::normal(&first.schema());
    let properties = properties(compression(zone, memory), batches);
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::with_capacity(memory / 2), schema.clone(), options)?;
    for batch in batches {
        writer.write(&conform(batch, &schema)?)?;
    }
    writer.into_inner()
}

/// A writer of a file's row groups, column by column, and what makes the columns' encoders, for values like these.
pub(crate) fn writer(
    compression: Compression,
    capacity: usize,
    like: &[&RecordBatch],
    schema: Arc<Schema>,
) -> Result<(SerializedFileWriter<Vec<u8>>, ArrowRowGroupWriterFactory), ParquetError> {
    let properties = properties(compression, like.iter().copied());
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::with_capacity(capacity), schema, options)?.into_serialized_writer()
}

fn sliced_size(batch: &RecordBatch) -> usize {
    let column = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or_default();
    batch.columns().iter().map(column).sum()
}

/// The batch with the types and nullability that the table has.
fn conform(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, ParquetError> {
    let column = |(array, field): (&ArrayRef, &Arc<Field>)| {
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

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_column_gets_a_dictionary_when_its_values_come_again() {
        let distinct: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
        let few: ArrayRef = Arc::new(StringArray::from_iter_values((0..20_000).map(|i| format!("city {}", i % 50))));
        let short: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
        assert_eq!([&distinct, &few, &short].map(seldom_twice), [true, false, false]);
    }
}
