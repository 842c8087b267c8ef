//! Quarantine rows: the staging columns as far as they fit, then which rule, column and value.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use weir_project::Table;

use crate::rules::{Reason, Verdict};
use crate::truncation::Truncations;
use crate::value::value_at;

/// The rows of one step, decided.
pub(crate) struct Decided {
    /// Typed rows with Weir's columns.
    pub(crate) batch: RecordBatch,
    /// What landed, for the quarantine's `_value`.
    pub(crate) raw: Vec<ArrayRef>,
    pub(crate) repeats: Vec<bool>,
    pub(crate) verdict: Verdict,
    /// Truncations that staging did not know.
    pub(crate) truncations: Truncations,
    /// Deliveries of truncations that it did.
    pub(crate) truncated_again: u64,
}

/// The staging columns as far as they fit, then what was wrong.
pub(crate) fn rows(table: &Table, decided: &Decided, bad: &[u32]) -> Result<RecordBatch, ArrowError> {
    let rows = take_record_batch(&decided.batch, &UInt32Array::from(bad.to_vec()))?;
    let reasons: Vec<(u32, Reason)> =
        bad.iter().filter_map(|row| Some((*row, decided.verdict.reasons[*row as usize]?))).collect();
    let words = || reasons.iter().map(|(_, reason)| reason.words(table));
    let value = |(row, reason): &(u32, Reason)| {
        let column = reason.column(table)?;
        let value = value_at(&decided.raw[column], *row as usize);
        (!value.is_null()).then(|| value.to_string())
    };
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(words().map(|(rule, _, _)| Some(rule)).collect::<StringArray>()));
    columns.push(Arc::new(words().map(|(_, column, _)| Some(column)).collect::<StringArray>()));
    columns.push(Arc::new(reasons.iter().map(value).collect::<StringArray>()));
    let version = |version: u32| i32::try_from(version).unwrap_or(i32::MAX);
    columns.push(Arc::new(words().map(|(_, _, v)| Some(version(v))).collect::<Int32Array>()));
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    for (name, kind) in [
        ("_rule", DataType::Utf8),
        ("_column", DataType::Utf8),
        ("_value", DataType::Utf8),
        ("_rule_version", DataType::Int32),
    ] {
        fields.push(Arc::new(Field::new(name, kind, true)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
