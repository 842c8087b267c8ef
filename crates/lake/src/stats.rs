//! Statistics of a data file, as Delta's `stats` field has them: rows, and per simple top-level column
//! smallest value, largest value, nulls. A reader skips files by them, so they must hold for every row;
//! a column whose bound is not exact in JSON (floats, decimals, bytes, long texts) gets none.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, NaiveDate};
use serde_json::{Map, Value, json};

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
