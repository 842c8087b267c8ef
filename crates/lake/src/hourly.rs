//! Rows to hour folders: sorted by the hour of their commit time, one file per hour, one after the other.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BinaryArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use weir_core::zone::Hour;

use crate::file::{NewFile, Partition, order_key_tags};
use crate::identity::hex;

/// The hour of each row, by its `_source_ts`.
pub fn hours(batch: &RecordBatch) -> Result<Vec<Hour>, ArrowError> {
    let at = batch.column_by_name("_source_ts").and_then(|at| at.as_primitive_opt::<TimestampMicrosecondType>());
    let at = at.ok_or_else(|| ArrowError::SchemaError("`_source_ts` is missing or no timestamp".into()))?;
    Ok(at.values().iter().map(|us| Hour::of_micros(*us)).collect())
}

/// Smallest and largest order key of each hour among these rows, hexadecimal.
pub fn order_key_ranges(
    batch: &RecordBatch,
    hours: &[Hour],
    rows: &[u32],
) -> Result<BTreeMap<Hour, (String, String)>, ArrowError> {
    Ok(ranges(batch, hours, rows)?.into_iter().map(|(hour, (low, high))| (hour, (hex(low), hex(high)))).collect())
}

type Range<'a> = (&'a [u8], &'a [u8]);

fn ranges<'a>(batch: &'a RecordBatch, hours: &[Hour], rows: &[u32]) -> Result<BTreeMap<Hour, Range<'a>>, ArrowError> {
    let keys = order_keys(batch)?;
    let mut ranges: BTreeMap<Hour, Range<'a>> = BTreeMap::new();
    for row in rows.iter().map(|row| *row as usize) {
        let key = keys.value(row);
        let range = ranges.entry(hours[row]).or_insert((key, key));
        range.0 = range.0.min(key);
        range.1 = range.1.max(key);
    }
    Ok(ranges)
}

/// These rows as one file per hour, hours in order, rows of an hour in the given order, tagged with
/// their order keys.
pub fn hour_files(batch: &RecordBatch, hours: &[Hour], mut rows: Vec<u32>) -> Result<Vec<NewFile>, ArrowError> {
    let ranges = ranges(batch, hours, &rows)?;
    rows.sort_by_key(|row| hours[*row as usize]);
    let sorted_hours: Vec<Hour> = rows.iter().map(|row| hours[*row as usize]).collect();
    // A batch that stands as it is to be written is not copied: it may be most of what memory holds.
    let as_it_is = rows.len() == batch.num_rows() && rows.iter().zip(0u32..).all(|(row, at)| *row == at);
    let sorted = if as_it_is { batch.clone() } else { take_record_batch(batch, &UInt32Array::from(rows))? };
    let mut files = Vec::with_capacity(ranges.len());
    let mut from = 0;
    for (chunk, (hour, (low, high))) in sorted_hours.chunk_by(|a, b| a == b).zip(ranges) {
        files.push(NewFile {
            partition: Partition::Hour(hour),
            batches: vec![sorted.slice(from, chunk.len())],
            tags: order_key_tags(low, high),
        });
        from += chunk.len();
    }
    Ok(files)
}

fn order_keys(batch: &RecordBatch) -> Result<&BinaryArray, ArrowError> {
    let keys = batch.column_by_name("_order_key").and_then(|keys| keys.as_binary_opt::<i32>());
    keys.ok_or_else(|| ArrowError::SchemaError("`_order_key` is missing or not binary".into()))
}
