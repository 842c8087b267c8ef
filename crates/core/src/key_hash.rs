//! A quick hash of a business key: it says in which bucket the key's rows are, so it never changes.
//!
//! XXH64, one value after another, each with the hash so far as its seed, the first with 42. That is Spark's
//! `xxhash64` of the same columns, with integers as BIGINT. A NULL, which Spark passes over, counts here.

use twox_hash::XxHash64;

use crate::value::Value;

/// The hash of no value.
pub const START: u64 = 42;

/// Takes in an integer of any width, or a time in microseconds.
#[inline]
pub fn long(hash: u64, value: i64) -> u64 {
    XxHash64::oneshot(hash, &value.to_le_bytes())
}

/// Takes in a float, by the bits of a double.
#[inline]
pub fn float(hash: u64, bits: u64) -> u64 {
    XxHash64::oneshot(hash, &bits.to_le_bytes())
}

/// Takes in a date in days, or a boolean as 0 or 1.
#[inline]
pub fn int(hash: u64, value: i32) -> u64 {
    XxHash64::oneshot(hash, &value.to_le_bytes())
}

/// Takes in a decimal by its unscaled value.
#[inline]
pub fn decimal(hash: u64, unscaled: i128) -> u64 {
    i64::try_from(unscaled).map_or_else(|_| XxHash64::oneshot(hash, &unscaled.to_le_bytes()), |short| long(hash, short))
}

/// Takes in a text or bytes.
#[inline]
pub fn bytes(hash: u64, value: &[u8]) -> u64 {
    XxHash64::oneshot(hash, value)
}

/// Takes in a NULL.
#[inline]
pub fn null(hash: u64) -> u64 {
    XxHash64::oneshot(hash, &[0xff])
}

/// The hash of a key.
pub fn key_hash<'a>(key: impl IntoIterator<Item = &'a Value>) -> u64 {
    key.into_iter().fold(START, |hash, value| match value {
        Value::Null => null(hash),
        Value::Bool(value) => int(hash, i32::from(*value)),
        Value::Int(value) | Value::Timestamp(value) => long(hash, *value),
        Value::Decimal(unscaled, _) => decimal(hash, *unscaled),
        Value::Float(bits) => float(hash, *bits),
        Value::Text(text) => bytes(hash, text.as_bytes()),
        Value::Date(days) => int(hash, *days),
        Value::Bytes(value) => bytes(hash, value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_hash_is_what_spark_says() {
        // SELECT xxhash64('Spark'), xxhash64(1L), xxhash64('Spark', 1L), xxhash64(DATE '1970-01-02', true,
        // CAST(12.34 AS DECIMAL(10, 2)), X'0102', CAST(1.5 AS DOUBLE), TIMESTAMP '1970-01-01 00:00:01Z'), by Spark 4.0
        let text = Value::Text("Spark".to_owned());
        assert_eq!(key_hash([&text]).cast_signed(), -4_294_468_057_691_064_905);
        assert_eq!(key_hash([&Value::Int(1)]).cast_signed(), -7_001_672_635_703_045_582);
        assert_eq!(key_hash([&text, &Value::Int(1)]).cast_signed(), -3_786_025_766_646_407_443);
        let others = [
            Value::Date(1),
            Value::Bool(true),
            Value::Decimal(1234, 2),
            Value::Bytes(vec![1, 2]),
            Value::Float(1.5f64.to_bits()),
            Value::Timestamp(1_000_000),
        ];
        assert_eq!(key_hash(&others).cast_signed(), 4_719_375_235_273_336_842);
    }

    #[test]
    fn a_null_counts_wherever_it_stands() {
        let text = Value::Text("x".to_owned());
        assert_ne!(key_hash([&Value::Null, &text]), key_hash([&text, &Value::Null]));
    }
}
