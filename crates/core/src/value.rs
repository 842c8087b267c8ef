//! A value as it travels between source, reference models and reconciliation, with one canonical text.

use std::fmt::{self, Write};

use chrono::{DateTime, NaiveDate};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A value without its column. Decimals are exact; there is no float between source and fact,
/// but a source may have float columns, kept by their bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// `bit`.
    Bool(bool),
    /// Every integer type.
    Int(i64),
    /// Unscaled value and scale: 12.340 is `(12340, 3)`.
    Decimal(i128, i8),
    /// IEEE 754 bits of a double; a single is widened first.
    Float(u64),
    /// Every text type, and `uniqueidentifier` in upper case.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Timestamp(i64),
    /// Binary.
    Bytes(Vec<u8>),
}

/// Values in the order of a column list.
pub type Row = Vec<Value>;

impl Value {
    /// True for SQL NULL.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// The canonical text: what any reader of any zone must come to for the same value.
///
/// NULL is `\N`; booleans `true`/`false`; decimals with all digits of their scale; timestamps
/// `2024-01-02T03:04:05.000006Z`; bytes in lower-case hexadecimal; floats as Rust prints the shortest
/// text that reads back.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("\\N"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Decimal(unscaled, scale) => f.write_str(&decimal_text(*unscaled, *scale)),
            Self::Float(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::Text(text) => f.write_str(text),
            Self::Date(days) => match NaiveDate::from_num_days_from_ce_opt(days.saturating_add(719_163)) {
                Some(date) => write!(f, "{date}"),
                None => write!(f, "day {days}"),
            },
            Self::Timestamp(us) => match DateTime::from_timestamp_micros(*us) {
                Some(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
                None => write!(f, "microsecond {us}"),
            },
            Self::Bytes(bytes) => f.write_str(&hex::encode(bytes)),
        }
    }
}

/// `(12340, 3)` as `12.340`, `(-5, 2)` as `-0.05`.
pub fn decimal_text(unscaled: i128, scale: i8) -> String {
    if scale <= 0 {
        let zeros = "0".repeat(usize::from(scale.unsigned_abs()));
        return if unscaled == 0 { "0".into() } else { format!("{unscaled}{zeros}") };
    }
    let scale = usize::from(scale.unsigned_abs());
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{part}")
}

/// A hash of a row's canonical texts, for comparing rows across zones: 16 bytes of SHA-256,
/// each value preceded by its length so that neighbours cannot run together.
pub fn row_hash<'a>(row: impl IntoIterator<Item = &'a Value>) -> [u8; 16] {
    let mut hasher = Sha256::new();
    let mut text = String::new();
    for value in row {
        text.clear();
        // A NULL and the text `\N` must differ: the length of a NULL is written as all ones.
        let length = if value.is_null() {
            u64::MAX
        } else {
            write!(text, "{value}").expect("writing to a string does not fail");
            text.len() as u64
        };
        hasher.update(length.to_be_bytes());
        hasher.update(text.as_bytes());
    }
    let digest = hasher.finalize();
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit_of_their_scale() {
        for (value, text) in [
            (Value::Decimal(12340, 3), "12.340"),
            (Value::Decimal(-5, 2), "-0.05"),
            (Value::Decimal(0, 3), "0.000"),
            (Value::Decimal(7, 0), "7"),
            (Value::Decimal(i128::MIN, 2), "-1701411834604692317316873037158841057.28"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn dates_and_times_have_one_text() {
        assert_eq!(Value::Date(0).to_string(), "1970-01-01");
        assert_eq!(Value::Date(-1).to_string(), "1969-12-31");
        assert_eq!(Value::Timestamp(1).to_string(), "1970-01-01T00:00:00.000001Z");
    }

    #[test]
    fn a_row_hash_tells_null_from_its_text_and_neighbours_apart() {
        let text = |t: &str| Value::Text(t.into());
        assert_ne!(row_hash(&[Value::Null]), row_hash(&[text("\\N")]));
        assert_ne!(row_hash(&[text("ab"), text("c")]), row_hash(&[text("a"), text("bc")]));
        assert_eq!(row_hash(&[Value::Int(1)]), row_hash(&[text("1")]));
    }
}
