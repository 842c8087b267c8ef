//! Business keys in columns: a stable hash that says the bucket, and single values for surrogate keys.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use weir_core::key_hash;
use weir_core::value::{Row, Value};

/// A hash of a text that stays the same for ever.
pub fn text_hash(text: &str) -> u64 {
    key_hash::bytes(key_hash::START, text.as_bytes())
}

/// The [`key_hash::key_hash`] of each row of the key columns.
pub fn key_hashes(columns: &[ArrayRef]) -> Vec<u64> {
    let mut hashes = vec![key_hash::START; columns.first().map_or(0, |column| column.len())];
    for column in columns {
        add(&mut hashes, column.as_ref());
    }
    hashes
}

/// The bucket of a key. With a power of two buckets it is told by the low bits of the hash, as surrogate keys are.
pub fn bucket(hash: u64, buckets: u16) -> u16 {
    // The remainder is below a u16, so the cast keeps it.
    (hash % u64::from(buckets.max(1))) as u16
}

fn add(hashes: &mut [u64], column: &dyn Array) {
    macro_rules! each {
        ($array:expr, $add:expr) => {{
            let array = $array;
            for (i, hash) in hashes.iter_mut().enumerate() {
                *hash = if array.is_null(i) { key_hash::null(*hash) } else { $add(*hash, array.value(i)) };
            }
        }};
    }
    use key_hash::{bytes, decimal, float, int, long};
    match column.data_type() {
        DataType::Boolean => each!(column.as_boolean(), |h, v| int(h, i32::from(v))),
        DataType::Int8 => each!(column.as_primitive::<Int8Type>(), |h, v| long(h, i64::from(v))),
        DataType::Int16 => each!(column.as_primitive::<Int16Type>(), |h, v| long(h, i64::from(v))),
        DataType::Int32 => each!(column.as_primitive::<Int32Type>(), |h, v| long(h, i64::from(v))),
        DataType::Int64 => each!(column.as_primitive::<Int64Type>(), long),
        DataType::Decimal128(..) => each!(column.as_primitive::<Decimal128Type>(), decimal),
        DataType::Utf8 => each!(column.as_string::<i32>(), |h, v: &str| bytes(h, v.as_bytes())),
        DataType::Date32 => each!(column.as_primitive::<Date32Type>(), int),
        DataType::Timestamp(..) => each!(column.as_primitive::<TimestampMicrosecondType>(), long),
        DataType::Binary => each!(column.as_binary::<i32>(), bytes),
        DataType::Float32 => each!(column.as_primitive::<Float32Type>(), |h, v| float(h, f64::from(v).to_bits())),
        DataType::Float64 => each!(column.as_primitive::<Float64Type>(), |h, v: f64| float(h, v.to_bits())),
        // `layout::arrow_type` makes no other type, and every key column was cast to its declared one.
        _ => {}
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
        let of_values: Vec<u64> = (0..2).map(|row| key_hash::key_hash(&row_at(&columns, row))).collect();
        assert_eq!(key_hashes(&columns), of_values);
    }

    #[test]
    fn neighbouring_texts_of_a_compound_key_do_not_run_together() {
        let column = |texts: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
        let hashes = key_hashes(&[column(["ab", "a"]), column(["c", "bc"])]);
        assert_ne!(hashes[0], hashes[1]);
    }
}
