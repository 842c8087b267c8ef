//! Arrow and core's values, both ways, for the comparison.

use arrow::array::{Array, ArrayRef, StructArray};
use weir_core::column::Column;
use weir_core::value::{Row, Value};
use weir_envelope::values;

/// A value; an Arrow type that Weir's tables never have is an error.
pub fn value_at(array: &dyn Array, index: usize) -> Result<Value, String> {
    values::value_at(array, index).ok_or_else(|| format!("a column of type {}", array.data_type()))
}

/// The values of some columns of a row.
pub fn row(columns: &[ArrayRef], index: usize) -> Result<Row, String> {
    columns.iter().map(|column| value_at(column.as_ref(), index)).collect()
}

/// A row image in contract order and types; a change without one is an error.
pub fn image_row(columns: &[Column], image: &StructArray, index: usize) -> Result<Row, String> {
    let row = values::row_at(image, columns, index).map_err(|error| error.to_string())?;
    row.ok_or_else(|| "a change without its row image".to_owned())
}
