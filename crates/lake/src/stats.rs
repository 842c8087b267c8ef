//! Statistics of a data file, as Delta's `stats` field has them: rows, and per simple top-level column
//! smallest value, largest value, nulls. A reader skips files by them, so they must hold for every row;
//! a column whose bound is not exact in JSON (floats, decimals, bytes, long texts) gets none.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, NaiveDate};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::file::DataFile;

const LONGEST_TEXT: usize = 64;

/// The `stats` text of a file with these rows.
pub(crate) fn stats(batches: &[RecordBatch]) -> String {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    if let Some(first) = batches.first() {
        for (at, field) in first.schema().fields().iter().enumerate() {
            if field.data_type().is_nested() {
                continue;
            }
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(at)).collect();
            let count: usize = arrays.iter().map(|array| array.null_count()).sum();
            nulls.insert(field.name().clone(), json!(count));
            if let Some((smallest, largest)) = bounds(&arrays) {
                low.insert(field.name().clone(), smallest);
                high.insert(field.name().clone(), largest);
            }
        }
    }
    json!({ "numRecords": rows, "minValues": low, "maxValues": high, "nullCount": nulls }).to_string()
}

/// The same of a file that is written already, from the statistics of its column chunks, which are exact.
pub(crate) fn of_metadata(metadata: &ParquetMetaData, schema: &Schema) -> String {
    let rows = metadata.file_metadata().num_rows();
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (at, field) in schema.fields().iter().enumerate() {
        let chunks: Option<Vec<&Statistics>> =
            metadata.row_groups().iter().map(|group| group.column(at).statistics()).collect();
        let Some(chunks) = chunks else { continue };
        let counts: Option<Vec<u64>> = chunks.iter().map(|chunk| chunk.null_count_opt()).collect();
        let Some(counts) = counts else { continue };
        nulls.insert(field.name().clone(), json!(counts.iter().sum::<u64>()));
        let filled = metadata.row_groups().iter().zip(&chunks).zip(&counts);
        let filled = filled.filter(|((group, _), nulls)| u64::try_from(group.num_rows()) != Ok(**nulls));
        let filled: Vec<&Statistics> = filled.map(|((_, chunk), _)| *chunk).collect();
        if let Some((smallest, largest)) = chunk_bounds(field.data_type(), &filled) {
            low.insert(field.name().clone(), smallest);
            high.insert(field.name().clone(), largest);
        }
    }
    json!({ "numRecords": rows, "minValues": low, "maxValues": high, "nullCount": nulls }).to_string()
}

fn chunk_bounds(kind: &DataType, chunks: &[&Statistics]) -> Option<(Value, Value)> {
    let numbers = || {
        let ends = chunks.iter().map(|chunk| match chunk {
            Statistics::Int32(of) => Some((i64::from(*of.min_opt()?), i64::from(*of.max_opt()?))),
            Statistics::Int64(of) => Some((*of.min_opt()?, *of.max_opt()?)),
            _ => None,
        });
        let ends = ends.collect::<Option<Vec<_>>>()?;
        Some((ends.iter().map(|end| end.0).min()?, ends.iter().map(|end| end.1).max()?))
    };
    match kind {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            numbers().map(|(low, high)| (json!(low), json!(high)))
        }
        DataType::Date32 => {
            let (low, high) = numbers()?;
            Some((date(low)?, date(high)?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let (low, high) = numbers()?;
            Some((timestamp(low)?, timestamp(high)?))
        }
        DataType::Utf8 => {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes?.to_vec()).ok();
            let ends = chunks.iter().map(|chunk| {
                let exact = chunk.min_is_exact() && chunk.max_is_exact();
                exact.then_some((text(chunk.min_bytes_opt())?, text(chunk.max_bytes_opt())?))
            });
            let ends = ends.collect::<Option<Vec<_>>>()?;
            let (low, high) = (ends.iter().map(|end| &end.0).min()?, ends.iter().map(|end| &end.1).max()?);
            let short = low.len() <= LONGEST_TEXT && high.len() <= LONGEST_TEXT;
            short.then(|| (json!(low), json!(high)))
        }
        _ => None,
    }
}

/// Values of one column, to ask which files may hold one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Of a type that is not compared here: every file may.
    Any,
    /// Integers, sorted.
    Numbers(Vec<i64>),
    /// Texts, sorted.
    Texts(Vec<String>),
}

impl Sought {
    /// The values of columns of one type.
    pub fn of<'a>(arrays: impl IntoIterator<Item = &'a ArrayRef>) -> Self {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for array in arrays {
            match array.data_type() {
                DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                    let Ok(wide) = arrow::compute::cast(array, &DataType::Int64) else { return Self::Any };
                    numbers.extend(wide.as_primitive::<Int64Type>().iter().flatten());
                }
                DataType::Utf8 => texts.extend(array.as_string::<i32>().iter().flatten().map(str::to_owned)),
                _ => return Self::Any,
            }
        }
        numbers.sort_unstable();
        texts.sort_unstable();
        if texts.is_empty() { Self::Numbers(numbers) } else { Self::Texts(texts) }
    }
}

impl DataFile {
    /// When its newest row arrived, microseconds since 1970 UTC; where its writer did not say, when it was written.
    pub fn arrived(&self) -> i64 {
        let stats = self.parsed_stats();
        let newest = stats.as_ref().and_then(|stats| stats.get("maxValues")?.get("_ingested_at")?.as_str());
        let newest = newest.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        newest.map_or(self.modified.saturating_mul(1000), |at| at.timestamp_micros())
    }

    /// Whether one of these values may be in a column: by the statistics that every reader skips files by.
    pub fn may_hold(&self, column: &str, sought: &Sought) -> bool {
        let stats = self.parsed_stats();
        let end = |which: &str| stats.as_ref()?.get(which)?.get(column);
        let (Some(low), Some(high)) = (end("minValues"), end("maxValues")) else { return true };
        match sought {
            Sought::Any => true,
            Sought::Numbers(values) => {
                let (Some(low), Some(high)) = (low.as_i64(), high.as_i64()) else { return true };
                let at = values.partition_point(|value| *value < low);
                values.get(at).is_some_and(|value| *value <= high)
            }
            Sought::Texts(values) => {
                let (Some(low), Some(high)) = (low.as_str(), high.as_str()) else { return true };
                let at = values.partition_point(|value| value.as_str() < low);
                values.get(at).is_some_and(|value| value.as_str() <= high)
            }
        }
    }

    /// None where its writer gave none.
    fn parsed_stats(&self) -> Option<Value> {
        serde_json::from_str(self.stats.as_deref()?).ok()
    }
}

fn bounds(arrays: &[&ArrayRef]) -> Option<(Value, Value)> {
    macro_rules! integers {
        ($kind:ty) => {{
            let low = arrays.iter().filter_map(|array| min(array.as_primitive::<$kind>())).min()?;
            let high = arrays.iter().filter_map(|array| max(array.as_primitive::<$kind>())).max()?;
            (i64::from(low), i64::from(high))
        }};
    }
    let (low, high) = match arrays.first()?.data_type() {
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::Date32 => {
            let (low, high) = integers!(Date32Type);
            return Some((date(low)?, date(high)?));
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let (low, high) = integers!(TimestampMicrosecondType);
            return Some((timestamp(low)?, timestamp(high)?));
        }
        DataType::Utf8 => {
            let low = arrays.iter().filter_map(|array| min_string(array.as_string::<i32>())).min()?;
            let high = arrays.iter().filter_map(|array| max_string(array.as_string::<i32>())).max()?;
            let short = low.len() <= LONGEST_TEXT && high.len() <= LONGEST_TEXT;
            return short.then(|| (json!(low), json!(high)));
        }
        _ => return None,
    };
    Some((json!(low), json!(high)))
}

fn date(days: i64) -> Option<Value> {
    let from_ce = i32::try_from(days.checked_add(719_163)?).ok()?;
    let date = NaiveDate::from_num_days_from_ce_opt(from_ce)?;
    Some(json!(date.format("%Y-%m-%d").to_string()))
}

fn timestamp(us: i64) -> Option<Value> {
    let at = DateTime::from_timestamp_micros(us)?;
    Some(json!(at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn bounds_hold_over_all_batches_and_long_texts_have_none() {
        let batch = |n: Option<i64>, text: &str, us: i64| {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("n", Arc::new(Int64Array::from(vec![n]))),
                ("text", Arc::new(StringArray::from(vec![text]))),
                ("at", Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC"))),
            ];
            RecordBatch::try_from_iter(columns).expect("a batch")
        };
        let text = stats(&[batch(Some(3), "b", 1), batch(None, &"x".repeat(65), 0)]);
        let stats: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(stats["numRecords"], 2);
        assert_eq!(stats["minValues"], json!({ "n": 3, "at": "1970-01-01T00:00:00.000000Z" }));
        assert_eq!(stats["maxValues"], json!({ "n": 3, "at": "1970-01-01T00:00:00.000001Z" }));
        assert_eq!(stats["nullCount"], json!({ "n": 1, "text": 0, "at": 0 }));
    }
}
