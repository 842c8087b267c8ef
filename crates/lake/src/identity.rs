//! The identity of changes in record batches: (key, op, order key) as bytes that can be compared.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{cast, kernels::zip::zip, nullif};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

/// The identity of every row. Equal rows of one table give equal bytes, whichever batch they stand in.
pub fn identities(op: &ArrayRef, order_key: &ArrayRef, keys: &[ArrayRef]) -> Result<Vec<Box<[u8]>>, ArrowError> {
    let mut columns = vec![cast(op, &DataType::Utf8)?, cast(order_key, &DataType::Binary)?];
    for key in keys {
        // A column that was widened at the source names the same rows as before.
        columns.push(match key.data_type() {
            DataType::Int8 | DataType::Int16 | DataType::Int32 => cast(key, &DataType::Int64)?,
            _ => key.clone(),
        });
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.as_ref().into()).collect())
}

/// The key columns of envelopes: from `after`, and from `before` where the row is a delete; NULL of a truncation.
pub fn envelope_keys(
    op: &ArrayRef,
    before: &ArrayRef,
    after: &ArrayRef,
    names: &[&str],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let op = cast(op, &DataType::Utf8)?;
    let deletes = op.as_string::<i32>().iter().map(|op| Some(op == Some("d"))).collect();
    let child = |image: &ArrayRef, name: &str| {
        let missing = || ArrowError::SchemaError(format!("the row image has no key column `{name}`"));
        image_column(image, name)?.ok_or_else(missing)
    };
    let key = |name: &&str| {
        let new = child(after, name)?;
        let old = match child(before, name) {
            Ok(old) if old.data_type() == new.data_type() => old,
            Ok(old) => cast(&old, new.data_type())?,
            Err(error) => return Err(error),
        };
        zip(&deletes, &old, &new)
    };
    names.iter().map(key).collect()
}

/// A column of row images, NULL where there is no image: what stands beneath is no value. None without the column.
pub fn image_column(image: &ArrayRef, name: &str) -> Result<Option<ArrayRef>, ArrowError> {
    let Some(image) = image.as_struct_opt() else { return Ok(None) };
    let Some(child) = image.column_by_name(name) else { return Ok(None) };
    let Some(nulls) = image.nulls() else { return Ok(Some(child.clone())) };
    nullif(child, &BooleanArray::new(!nulls.inner(), None)).map(Some)
}

/// Lower-case hexadecimal; sorts as the bytes do.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string does not fail");
        out
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Int32Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_change_is_named_by_key_op_and_order_key_together() {
        let op: ArrayRef = Arc::new(StringArray::from(vec!["c", "c", "d", "c", "c"]));
        let order: ArrayRef = Arc::new(BinaryArray::from(vec![&b"1"[..], b"1", b"1", b"2", b"1"]));
        let key: ArrayRef = Arc::new(Int32Array::from(vec![7, 8, 7, 7, 7]));
        let ids = identities(&op, &order, &[key]).unwrap();
        let mut different = ids.clone();
        different.sort();
        different.dedup();
        assert_eq!((different.len(), ids[0] == ids[4]), (4, true));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 7, 7, 7]));
        assert_eq!(identities(&op, &order, &[wide]).unwrap(), ids);
    }
}
