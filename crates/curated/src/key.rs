//! Business keys in columns: a stable hash that says the bucket, and single values for surrogate keys.

use std::hash::Hasher;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use weir_core::value::{Row, Value};

/// FNV-1a, 64 bit: stored in no file but the choice of bucket, which must never change under a table.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Mixed at the end, because the bucket is taken from the low bits.
    fn finish(&self) -> u64 {
        let mut h = self.0;
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    }
}

/// A hash of a text that stays the same for ever.
pub fn text_hash(text: &str) -> u64 {
    let mut hasher = Fnv::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// A hash per row over the key columns. Integers of all widths hash alike; it never changes between builds.
pub fn key_hashes(columns: &[ArrayRef]) -> Vec<u64> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut hashers: Vec<Fnv> = (0..rows).map(|_| Fnv::new()).collect();
    for column in columns {
        add(&mut hashers, column.as_ref());
    }
    hashers.iter().map(Hasher::finish).collect()
}

/// The bucket of a key.
pub fn bucket(hash: u64, buckets: u16) -> u16 {
    // The remainder is below a u16, so the cast keeps it.
    (hash % u64::from(buckets.max(1))) as u16
}

fn add(hashers: &mut [Fnv], column: &dyn Array) {
    macro_rules! each {
        ($tag:literal, $array:expr, $bytes:expr) => {{
            let array = $array;
            for (i, hasher) in hashers.iter_mut().enumerate() {
                if array.is_null(i) {
                    hasher.write(&[0]);
                } else {
                    hasher.write(&[$tag]);
                    $bytes(hasher, array.value(i));
                }
            }
        }};
    }
    let text = |h: &mut Fnv, bytes: &[u8]| {
        h.write(bytes);
        h.write(&(bytes.len() as u64).to_le_bytes());
    };
    match column.data_type() {
        DataType::Boolean => each!(1, column.as_boolean(), |h: &mut Fnv, v: bool| h.write(&[u8::from(v)])),
        DataType::Int8 => {
            each!(2, column.as_primitive::<Int8Type>(), |h: &mut Fnv, v| h.write(&i64::from(v).to_le_bytes()))
        }
        DataType::Int16 => {
            each!(2, column.as_primitive::<Int16Type>(), |h: &mut Fnv, v| h.write(&i64::from(v).to_le_bytes()))
        }
        DataType::Int32 => {
            each!(2, column.as_primitive::<Int32Type>(), |h: &mut Fnv, v| h.write(&i64::from(v).to_le_bytes()))
        }
        DataType::Int64 => {
            each!(2, column.as_primitive::<Int64Type>(), |h: &mut Fnv, v: i64| h.write(&v.to_le_bytes()))
        }
        DataType::Decimal128(..) => {
            each!(3, column.as_primitive::<Decimal128Type>(), |h: &mut Fnv, v: i128| h.write(&v.to_le_bytes()));
        }
        DataType::Float32 => {
            each!(4, column.as_primitive::<Float32Type>(), |h: &mut Fnv, v| h
                .write(&f64::from(v).to_bits().to_le_bytes()));
        }
        DataType::Float64 => {
            each!(4, column.as_primitive::<Float64Type>(), |h: &mut Fnv, v: f64| h.write(&v.to_bits().to_le_bytes()));
        }
        DataType::Utf8 => each!(5, column.as_string::<i32>(), |h: &mut Fnv, v: &str| text(h, v.as_bytes())),
        DataType::Date32 => {
            each!(6, column.as_primitive::<Date32Type>(), |h: &mut Fnv, v: i32| h.write(&v.to_le_bytes()))
        }
        DataType::Timestamp(..) => {
            each!(7, column.as_primitive::<TimestampMicrosecondType>(), |h: &mut Fnv, v: i64| h
                .write(&v.to_le_bytes()));
        }
        DataType::Binary => each!(8, column.as_binary::<i32>(), |h: &mut Fnv, v: &[u8]| text(h, v)),
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

    use arrow::array::{Int32Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_key_hash_never_changes_and_integer_width_does_not_matter() {
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![7, 8]));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        assert_eq!(key_hashes(&[narrow]), key_hashes(&[wide]));
        assert_eq!(text_hash("weir"), text_hash("weir"));
    }

    #[test]
    fn neighbouring_texts_of_a_compound_key_do_not_run_together() {
        let column = |texts: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
        let hashes = key_hashes(&[column(["ab", "a"]), column(["c", "bc"])]);
        assert_ne!(hashes[0], hashes[1]);
    }
}
