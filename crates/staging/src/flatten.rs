//! Envelopes to rows: the row image under the contract's column names, beside Weir's own columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use weir_core::column::Column;
use weir_lake::{arrow_type, image_column};

use crate::unavailable;

/// Landing rows, flattened, in the types in which they landed.
#[derive(Debug, Clone)]
pub struct Flat {
    /// One array per contract column; all NULL where landing has no such column.
    pub columns: Vec<ArrayRef>,
    /// Weir's columns, as [`weir_fields`] names and types them.
    pub weir: Vec<ArrayRef>,
    /// Rows that are deletes.
    pub deletes: BooleanArray,
}

/// Weir's columns of a staging table, behind the contract's.
pub fn weir_fields() -> Vec<Field> {
    let at = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("_op", DataType::Utf8),
        ("_order_key", DataType::Binary),
        ("_source_ts", at()),
        ("_topic", DataType::Utf8),
        ("_partition", DataType::Int32),
        ("_offset", DataType::Int64),
        ("_schema_id", DataType::Int32),
        ("_ingested_at", at()),
    ];
    columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect()
}

/// Columns of a staging table.
pub fn staging_schema(columns: &[Column]) -> Schema {
    let typed = columns.iter().map(|column| Field::new(column.name.as_str(), arrow_type(column.kind), true));
    Schema::new(typed.chain(weir_fields()).chain([unavailable::field()]).collect::<Vec<_>>())
}

/// Flattens landing rows: `after`, and `before` for deletes.
pub fn flatten(batch: &RecordBatch, columns: &[Column]) -> Result<Flat, ArrowError> {
    let rows = batch.num_rows();
    let op = cast(column(batch, "op")?, &DataType::Utf8)?;
    let deletes: BooleanArray = op.as_string::<i32>().iter().map(|op| Some(op == Some("d"))).collect();
    let (before, after) = (batch.column_by_name("before"), batch.column_by_name("after"));
    let image = |image: Option<&ArrayRef>, name: &str| image.map_or(Ok(None), |image| image_column(image, name));
    let flat = |wanted: &Column| {
        let (old, new) = (image(before, wanted.name.as_str())?, image(after, wanted.name.as_str())?);
        match (old, new) {
            (Some(old), Some(new)) if old.data_type() == new.data_type() => zip(&deletes, &old, &new),
            (Some(old), Some(new)) => zip(&deletes, &cast(&old, new.data_type())?, &new),
            (None, Some(new)) => zip(&deletes, &new_null_array(new.data_type(), rows), &new),
            (Some(old), None) => zip(&deletes, &old, &new_null_array(old.data_type(), rows)),
            (None, None) => Ok(new_null_array(&arrow_type(wanted.kind), rows)),
        }
    };
    let columns = columns.iter().map(flat).collect::<Result<Vec<_>, _>>()?;
    Ok(Flat { columns, weir: weir_columns(batch)?, deletes })
}

/// Weir's columns of landing rows, as [`weir_fields`] names and types them.
pub(crate) fn weir_columns(batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    let own = |field: &Field| {
        let name = if field.name() == "_op" { "op" } else { field.name() };
        cast(column(batch, name)?, field.data_type())
    };
    weir_fields().iter().map(own).collect()
}

/// A column that rows must have.
pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("rows lack `{name}`")))
}

/// A batch of typed columns, Weir's columns and what is missing.
pub(crate) fn batch(
    columns: &[Column],
    typed: Vec<ArrayRef>,
    weir: Vec<ArrayRef>,
    missing: ArrayRef,
) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(Arc::new(staging_schema(columns)), typed.into_iter().chain(weir).chain([missing]).collect())
}
