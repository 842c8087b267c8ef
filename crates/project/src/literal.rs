//! Texts in project files as values of a column's type: what rules compare with.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use weir_core::column::ColumnType;
use weir_core::value::Value;

/// Reads a literal by the type of its column; the error says what is wrong with it.
pub fn parse_literal(text: &str, kind: ColumnType) -> Result<Value, String> {
    let no = || String::new();
    match kind {
        ColumnType::Bit => match text {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(": use true or false".into()),
        },
        ColumnType::TinyInt => integer(text, 0, i64::from(u8::MAX)),
        ColumnType::SmallInt => integer(text, i64::from(i16::MIN), i64::from(i16::MAX)),
        ColumnType::Int => integer(text, i64::from(i32::MIN), i64::from(i32::MAX)),
        ColumnType::BigInt => integer(text, i64::MIN, i64::MAX),
        ColumnType::Real => {
            let single = text.parse::<f32>().ok().filter(|x| x.is_finite()).ok_or_else(no)?;
            Ok(Value::Float(f64::from(single).to_bits()))
        }
        ColumnType::Float => {
            let double = text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(no)?;
            Ok(Value::Float(double.to_bits()))
        }
        ColumnType::Decimal { precision, scale } => decimal(text, precision, scale),
        ColumnType::Text { length } => match length {
            Some(most) if text.encode_utf16().count() > usize::from(most) => {
                Err(": it is longer than the column".into())
            }
            _ => Ok(Value::Text(text.to_owned())),
        },
        ColumnType::Date => {
            let date: NaiveDate = text.parse().map_err(|_| no())?;
            let since = date.signed_duration_since(NaiveDate::default()).num_days();
            i32::try_from(since).map(Value::Date).map_err(|_| no())
        }
        ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset => timestamp(text).ok_or_else(no),
        ColumnType::UniqueIdentifier => {
            let parts: Vec<&str> = text.split('-').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            let hex = parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
            if hex && lengths == [8, 4, 4, 4, 12] { Ok(Value::Text(text.to_ascii_uppercase())) } else { Err(no()) }
        }
        ColumnType::VarBinary { .. } => Err(": a binary column takes no literal".into()),
    }
}

fn integer(text: &str, min: i64, max: i64) -> Result<Value, String> {
    match text.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(Value::Int(number)),
        Ok(_) => Err(format!(": it is not between {min} and {max}")),
        Err(_) => Err(String::new()),
    }
}

fn decimal(text: &str, precision: u8, scale: i8) -> Result<Value, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + part.len() == 0 || !all_digits(whole) || !all_digits(part) {
        return Err(String::new());
    }
    let part = part.trim_end_matches('0');
    let scale_digits = usize::from(scale.unsigned_abs());
    if part.len() > scale_digits {
        return Err(format!(": it has more than {scale} digits after the point"));
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() + scale_digits > usize::from(precision) {
        return Err(": it has too many digits".into());
    }
    let unscaled = format!("{whole}{part:0<scale_digits$}");
    let unscaled = if unscaled.is_empty() { 0 } else { unscaled.parse::<i128>().map_err(|_| String::new())? };
    Ok(Value::Decimal(sign * unscaled, scale))
}

/// `2024-01-31T08:00:00Z`, with an offset, without one (UTC), or a bare date (midnight UTC).
fn timestamp(text: &str) -> Option<Value> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Value::Timestamp(at.timestamp_micros()));
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(Value::Timestamp(at.and_utc().timestamp_micros()));
        }
    }
    let date: NaiveDate = text.parse().ok()?;
    Some(Value::Timestamp(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_core::value::decimal_text;

    use super::*;

    fn read(text: &str, kind: &str) -> Result<Value, String> {
        parse_literal(text, kind.parse().expect("a type"))
    }

    #[test]
    fn a_literal_is_read_exactly_as_its_column_would_hold_it() {
        for (text, kind, value) in [
            ("0", "decimal(12,3)", Value::Decimal(0, 3)),
            ("-0.5", "decimal(12,3)", Value::Decimal(-500, 3)),
            (".25", "decimal(12,3)", Value::Decimal(250, 3)),
            ("1.5000", "money", Value::Decimal(15000, 4)),
            ("1.50000", "money", Value::Decimal(15000, 4)),
            ("255", "tinyint", Value::Int(255)),
            ("true", "bit", Value::Bool(true)),
            ("1970-01-02", "date", Value::Date(1)),
            ("1970-01-01T00:00:01Z", "datetime2(3)", Value::Timestamp(1_000_000)),
            ("1970-01-01T01:00:00+01:00", "datetimeoffset", Value::Timestamp(0)),
            ("1970-01-02", "datetime2(3)", Value::Timestamp(86_400_000_000)),
            ("C", "nvarchar(1)", Value::Text("C".into())),
        ] {
            assert_eq!(read(text, kind), Ok(value), "{text} {kind}");
        }
    }

    #[test]
    fn a_literal_that_the_column_cannot_hold_is_refused() {
        for (text, kind) in [
            ("0.0001", "decimal(12,3)"),
            ("1000000000", "decimal(12,3)"),
            ("1e3", "decimal(12,3)"),
            ("256", "tinyint"),
            ("-1", "tinyint"),
            ("x", "int"),
            ("yes", "bit"),
            ("2024-02-30", "date"),
            ("soon", "datetime2(3)"),
            ("ab", "nvarchar(1)"),
            ("00", "varbinary(4)"),
            ("", "decimal(12,3)"),
            ("-", "decimal(12,3)"),
        ] {
            assert!(read(text, kind).is_err(), "{text} {kind}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_reads_back_from_its_text(unscaled in -999_999_999_999i128..=999_999_999_999, scale in 0i8..=12) {
            let text = decimal_text(unscaled, scale);
            let kind = ColumnType::Decimal { precision: 38, scale };
            prop_assert_eq!(parse_literal(&text, kind), Ok(Value::Decimal(unscaled, scale)));
        }

        #[test]
        fn no_text_makes_a_literal_panic(text in ".{0,20}") {
            for kind in ["bit", "int", "float", "decimal(38,3)", "nvarchar(3)", "date", "datetime2(3)", "uniqueidentifier"] {
                let _ = parse_literal(&text, kind.parse().expect("a type"));
            }
        }
    }
}
