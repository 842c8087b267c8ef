//! JSON values as values of a column's type, without loss or guess.
//!
//! | type | JSON |
//! |---|---|
//! | bit | `true`, `false` |
//! | integers | a whole number in the type's range |
//! | real, float | a number |
//! | decimal, money | a string of digits, no more after the point than the scale: `"12.340"` |
//! | nvarchar, varchar | a string, no longer than the column |
//! | date | `"2024-01-02"` |
//! | datetime2(n) | `"2024-01-02T03:04:05.678"`, with or without `Z`, at most n (and 6) digits of a second |
//! | datetimeoffset | as RFC 3339 says, with `Z` or an offset; kept as its moment |
//! | uniqueidentifier | `"6F1C1F0E-3C9C-4B7C-9F5E-0D4F2C8F7A11"`, any case |
//! | varbinary | hexadecimal |

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value as Json;
use weir_core::column::ColumnType;
use weir_core::value::Value;

/// Reads a value; `null` is NULL whatever the type.
pub(super) fn read(json: &Json, kind: ColumnType) -> Result<Value, &'static str> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    match kind {
        ColumnType::Bit => json.as_bool().map(Value::Bool).ok_or("neither true nor false"),
        ColumnType::TinyInt => integer(json, 0, u8::MAX.into()),
        ColumnType::SmallInt => integer(json, i16::MIN.into(), i16::MAX.into()),
        ColumnType::Int => integer(json, i32::MIN.into(), i32::MAX.into()),
        ColumnType::BigInt => integer(json, i64::MIN, i64::MAX),
        ColumnType::Real => float(json).and_then(single),
        ColumnType::Float => float(json).map(|float| Value::Float(float.to_bits())),
        ColumnType::Decimal { precision, scale } => decimal(string(json)?, precision, scale),
        ColumnType::Text { length } => {
            let text = string(json)?;
            match length {
                // SQL Server counts UTF-16 units in nvarchar(n).
                Some(most) if text.encode_utf16().count() > usize::from(most) => Err("longer than its column"),
                _ => Ok(Value::Text(text.to_owned())),
            }
        }
        ColumnType::Date => {
            const WANTED: &str = "no date of the form 2024-01-02";
            let date = NaiveDate::parse_from_str(string(json)?, "%Y-%m-%d").map_err(|_| WANTED)?;
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            i32::try_from(days).map(Value::Date).map_err(|_| WANTED)
        }
        ColumnType::DateTime2 { precision } => datetime(string(json)?, precision),
        ColumnType::DateTimeOffset => time(string(json)?).map(Value::Timestamp),
        ColumnType::UniqueIdentifier => uuid(string(json)?),
        ColumnType::VarBinary { length } => binary(string(json)?, length),
    }
}

/// A moment with `Z` or an offset, as microseconds since 1970 UTC.
pub(super) fn time(text: &str) -> Result<i64, &'static str> {
    const WANTED: &str = "no time of the form 2024-01-02T03:04:05.678Z with at most 6 digits of a second";
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| WANTED)?;
    if at.timestamp_subsec_nanos() % 1000 != 0 {
        return Err(WANTED);
    }
    Ok(at.timestamp_micros())
}

fn string(json: &Json) -> Result<&str, &'static str> {
    json.as_str().ok_or("no string")
}

fn integer(json: &Json, least: i64, most: i64) -> Result<Value, &'static str> {
    json.as_i64()
        .filter(|value| (least..=most).contains(value))
        .map(Value::Int)
        .ok_or("no whole number in its type's range")
}

fn float(json: &Json) -> Result<f64, &'static str> {
    json.as_f64().filter(|value| value.is_finite()).ok_or("no number")
}

/// Rounds to single precision, then widens, as a `real` column does.
fn single(value: f64) -> Result<Value, &'static str> {
    #[allow(clippy::cast_possible_truncation, reason = "that is what storing a real means")]
    let single = value as f32;
    if single.is_finite() { Ok(Value::Float(f64::from(single).to_bits())) } else { Err("too large for real") }
}

fn decimal(text: &str, precision: u8, scale: i8) -> Result<Value, &'static str> {
    const WANTED: &str = "no decimal with the digits that its column has";
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = match digits.split_once('.') {
        Some((_, "")) => return Err(WANTED),
        Some(parts) => parts,
        None => (digits, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let places = usize::from(scale.unsigned_abs());
    let significant = whole.trim_start_matches('0').len();
    if whole.is_empty()
        || !all_digits(whole)
        || !all_digits(part)
        || part.len() > places
        || significant > usize::from(precision) - places
    {
        return Err(WANTED);
    }
    let unscaled: i128 = format!("{whole}{part:0<places$}").parse().map_err(|_| WANTED)?;
    Ok(Value::Decimal(if negative { -unscaled } else { unscaled }, scale))
}

fn datetime(text: &str, precision: u8) -> Result<Value, &'static str> {
    const WANTED: &str = "no time of the form 2024-01-02T03:04:05.678 with the digits that its column has";
    let local = text.strip_suffix('Z').unwrap_or(text);
    let digits = local.split_once('.').map_or(0, |(_, part)| part.len());
    if digits > usize::from(precision.min(6)) || local.ends_with('.') {
        return Err(WANTED);
    }
    let at = NaiveDateTime::parse_from_str(local, "%Y-%m-%dT%H:%M:%S%.f").map_err(|_| WANTED)?;
    // chrono takes second 60 as a leap second; SQL Server does not.
    if at.and_utc().timestamp_subsec_nanos() >= 1_000_000_000 {
        return Err(WANTED);
    }
    let micros = at.and_utc().timestamp_micros();
    // A connector sends the seventh digit as nanoseconds in 64 bits; Debezium fails such an event.
    if precision == 7 && micros.checked_mul(1000).is_none() {
        return Err("a time before 1677 or after 2262, which an event of a datetime2(7) column cannot hold");
    }
    Ok(Value::Timestamp(micros))
}

fn uuid(text: &str) -> Result<Value, &'static str> {
    let form = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if form { Ok(Value::Text(text.to_ascii_uppercase())) } else { Err("no uniqueidentifier") }
}

fn binary(text: &str, length: Option<u16>) -> Result<Value, &'static str> {
    const WANTED: &str = "no hexadecimal text of whole bytes";
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(WANTED);
    }
    let bytes: Vec<u8> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16))
        .collect::<Result<_, _>>()
        .map_err(|_| WANTED)?;
    if length.is_some_and(|most| bytes.len() > usize::from(most)) {
        return Err("longer than its column");
    }
    Ok(Value::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(text: &str) -> ColumnType {
        text.parse().unwrap()
    }

    #[test]
    fn values_keep_every_digit() {
        for (json, column, value) in [
            (json!("12.34"), "decimal(12,3)", Value::Decimal(12_340, 3)),
            (json!("-0.05"), "decimal(5,2)", Value::Decimal(-5, 2)),
            (json!("99999999999999999999999999999999999999"), "decimal(38,0)", Value::Decimal(10_i128.pow(38) - 1, 0)),
            (json!(255), "tinyint", Value::Int(255)),
            (json!(i64::MAX), "bigint", Value::Int(i64::MAX)),
            (json!("1969-12-31"), "date", Value::Date(-1)),
            (json!("1970-01-01T00:00:00.001"), "datetime2(3)", Value::Timestamp(1000)),
            (json!("1970-01-01T00:00:00.000001Z"), "datetime2(7)", Value::Timestamp(1)),
            (json!("1970-01-01T01:00:00+01:00"), "datetimeoffset", Value::Timestamp(0)),
            (json!("00ff"), "varbinary(2)", Value::Bytes(vec![0, 255])),
            (json!(null), "int", Value::Null),
        ] {
            assert_eq!(read(&json, kind(column)), Ok(value), "{json} as {column}");
        }
    }

    #[test]
    fn a_value_that_would_lose_or_gain_something_is_refused() {
        for (json, column) in [
            (json!(12.34), "decimal(12,3)"),
            (json!("12.3456"), "decimal(12,3)"),
            (json!("1000"), "decimal(5,2)"),
            (json!("1."), "decimal(5,2)"),
            (json!("1e2"), "decimal(5,2)"),
            (json!(256), "tinyint"),
            (json!(-1), "tinyint"),
            (json!(1.5), "int"),
            (json!("1"), "int"),
            (json!(1), "bit"),
            (json!("abc"), "nvarchar(2)"),
            (json!("2024-02-30"), "date"),
            (json!("2024-01-02T03:04:05.6789"), "datetime2(3)"),
            (json!("2024-01-02T03:04:60"), "datetime2(3)"),
            (json!("2024-01-02 03:04:05"), "datetime2(3)"),
            (json!("9999-12-31T00:00:00"), "datetime2(7)"),
            (json!("2024-01-02T03:04:05"), "datetimeoffset"),
            (json!("6F1C1F0E"), "uniqueidentifier"),
            (json!("0"), "varbinary(2)"),
            (json!("000000"), "varbinary(2)"),
        ] {
            assert!(read(&json, kind(column)).is_err(), "{json} as {column}");
        }
    }
}
