//! Business keys in columns: a stable hash that says the bucket, and single values for surrogate keys.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use weir_core::value::{Row, Value, key_hash, push_hashed};

/// A hash of a text that stays the same for ever.
pub fn text_hash(text: &str) -> u64 {
    key_hash(text.as_bytes())
}

/// The [`key_hash`] of each row of the key columns. Integers of all widths hash alike.
pub fn key_hashes(columns: &[ArrayRef]) -> Vec<u64> {
    let rows = columns.first().map_or(0, |column| column.len());
    let texts: Vec<Texts<'_>> = columns.iter().map(|column| Texts::of(column.as_ref())).collect();
    let mut digits = itoa::Buffer::new();
    let mut bytes = Vec::new();
    let mut hashes = Vec::with_capacity(rows);
    for row in 0..rows {
        bytes.clear();
        for column in &texts {
            column.push(row, &mut bytes, &mut digits);
        }
        hashes.push(key_hash(&bytes));
    }
    hashes
}

/// The bucket of a key. With a power of two buckets it is told by the low bits of the hash, as surrogate keys are.
pub fn bucket(hash: u64, buckets: u16) -> u16 {
    // The remainder is below a u16, so the cast keeps it.
    (hash % u64::from(buckets.max(1))) as u16
}

/// The canonical texts of a column's values; the usual types of keys without a value in between.
enum Texts<'a> {
    Short(&'a PrimitiveArray<Int16Type>),
    Int(&'a PrimitiveArray<Int32Type>),
    Long(&'a PrimitiveArray<Int64Type>),
    Text(&'a StringArray),
    Other(&'a dyn Array),
}

impl<'a> Texts<'a> {
    fn of(column: &'a dyn Array) -> Self {
        match column.data_type() {
            DataType::Int16 => Self::Short(column.as_primitive()),
            DataType::Int32 => Self::Int(column.as_primitive()),
            DataType::Int64 => Self::Long(column.as_primitive()),
            DataType::Utf8 => Self::Text(column.as_string()),
            _ => Self::Other(column),
        }
    }

    fn push(&self, row: usize, bytes: &mut Vec<u8>, digits: &mut itoa::Buffer) {
        match self {
            Self::Short(array) if array.is_valid(row) => push_hashed(bytes, Some(digits.format(array.value(row)))),
            Self::Int(array) if array.is_valid(row) => push_hashed(bytes, Some(digits.format(array.value(row)))),
            Self::Long(array) if array.is_valid(row) => push_hashed(bytes, Some(digits.format(array.value(row)))),
            Self::Text(array) if array.is_valid(row) => push_hashed(bytes, Some(array.value(row))),
            Self::Other(array) => match value_at(*array, row) {
                Value::Null => push_hashed(bytes, None),
                value => push_hashed(bytes, Some(&value.to_string())),
            },
            Self::Short(_) | Self::Int(_) | Self::Long(_) | Self::Text(_) => push_hashed(bytes, None),
        }
    }
}

/// One value of a column of a curated type.
pub fn value_at(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int8 => Value::Int(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Int(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(_, scale) => Value::Decimal(column.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Float32 => Value::Float(f64::from(column.as_primitive::<Float32Type>().value(row)).to_bits()),
        DataType::Float64 => Value::Float(column.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Date32 => Value::Date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(..) => Value::Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Binary => Value::Bytes(column.as_binary::<i32>().value(row).to_vec()),
        _ => Value::Null,
    }
}

/// The values of one row.
pub fn row_at(columns: &[ArrayRef], row: usize) -> Row {
    columns.iter().map(|column| value_at(column.as_ref(), row)).collect()
}

/// True where no key column is null: only such a row has a business key.
pub fn complete(columns: &[ArrayRef], row: usize) -> bool {
    columns.iter().all(|column| column.is_valid(row))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Int32Array, Int64Array, StringArray};
    use weir_core::value::hashed_bytes;

    use super::*;

    #[test]
    fn a_key_hash_never_changes_and_integer_width_does_not_matter() {
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![7, 8]));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        assert_eq!(key_hashes(&[narrow]), key_hashes(&[wide]));
        assert_eq!(text_hash("weir"), text_hash("weir"));
    }

    #[test]
    fn a_hash_of_columns_is_the_hash_of_their_values() {
        let columns: [ArrayRef; 3] = [
            Arc::new(Int64Array::from(vec![Some(-7), None])),
            Arc::new(StringArray::from(vec![Some("a"), None])),
            Arc::new(Date32Array::from(vec![Some(1), None])),
        ];
        let of_values: Vec<u64> = (0..2).map(|row| key_hash(&hashed_bytes(&row_at(&columns, row)))).collect();
        assert_eq!(key_hashes(&columns), of_values);
    }

    #[test]
    fn neighbouring_texts_of_a_compound_key_do_not_run_together() {
        let column = |texts: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
        let hashes = key_hashes(&[column(["ab", "a"]), column(["c", "bc"])]);
        assert_ne!(hashes[0], hashes[1]);
    }
}
