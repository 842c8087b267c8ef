//! Contract types: bringing what landed into the type of its column without losing a digit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use weir_core::column::{Column, ColumnType};
use weir_lake::arrow_type;

/// A column in its contract type; rows whose value does not fit are NULL and named.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The values.
    pub array: ArrayRef,
    /// Rows whose value does not fit, in order.
    pub misfits: Vec<usize>,
}

/// Brings an array into a column's type. Exact: a value that would lose a digit, be cut or be rounded
/// does not fit. (Times keep microseconds: SQL Server's seventh digit of a second is dropped.)
pub fn fit(raw: &ArrayRef, column: &Column) -> Result<Fitted, ArrowError> {
    let wanted = arrow_type(column.kind);
    if raw.data_type().is_null() {
        return Ok(Fitted { array: arrow::array::new_null_array(&wanted, raw.len()), misfits: Vec::new() });
    }
    let mut array = match (raw.data_type(), &wanted) {
        (have, wanted) if have == wanted => raw.clone(),
        (DataType::Utf8, DataType::Decimal128(precision, scale)) => decimals(raw.as_string(), *precision, *scale)?,
        (have, wanted) if converts(have, wanted) => exact_cast(raw, wanted)?,
        _ => arrow::array::new_null_array(&wanted, raw.len()),
    };
    if column.kind == ColumnType::UniqueIdentifier {
        let text = array.as_string::<i32>();
        array = Arc::new(text.iter().map(|text| text.map(str::to_ascii_uppercase)).collect::<StringArray>());
    }
    let mut misfits: Vec<usize> = (0..raw.len()).filter(|row| raw.is_valid(*row) && array.is_null(*row)).collect();
    let beyond = out_of_bounds(&array, column.kind);
    if !beyond.is_empty() {
        misfits.extend(beyond);
        misfits.sort_unstable();
        array = without(&array, &misfits)?;
    }
    Ok(Fitted { array, misfits })
}

fn is_integer(kind: &DataType) -> bool {
    matches!(kind, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// Which types a source's value may have in place of the contract's: the same kind of thing, only.
fn converts(have: &DataType, wanted: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Timestamp, Utf8};
    match (have, wanted) {
        (have, wanted) if is_integer(have) && (is_integer(wanted) || matches!(wanted, Decimal128(..))) => true,
        (Decimal128(..), wanted) => is_integer(wanted) || matches!(wanted, Decimal128(..)),
        (Float32 | Float64, Float32 | Float64) => true,
        (Timestamp(..), Timestamp(..)) | (Date32, Timestamp(..)) | (Timestamp(..), Date32) => true,
        (Utf8, Timestamp(..) | Date32) => true,
        _ => false,
    }
}

/// A cast whose result reads back as the same value, or NULL.
fn exact_cast(raw: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let null_on_failure = CastOptions { safe: true, ..CastOptions::default() };
    let array = cast_with_options(raw, wanted, &null_on_failure)?;
    if matches!(raw.data_type(), DataType::Utf8) || is_same_instant(raw.data_type(), wanted) {
        return Ok(array);
    }
    let back = cast_with_options(&array, raw.data_type(), &null_on_failure)?;
    let same = arrow::compute::kernels::cmp::not_distinct(&back, raw)?;
    let lost: Vec<usize> = (0..raw.len()).filter(|row| array.is_valid(*row) && !same.value(*row)).collect();
    if lost.is_empty() { Ok(array) } else { without(&array, &lost) }
}

/// Timestamps of other units and zones name the same instant; only digits below a microsecond go.
fn is_same_instant(have: &DataType, wanted: &DataType) -> bool {
    matches!((have, wanted), (DataType::Timestamp(..), DataType::Timestamp(..)))
}

/// Decimals from text: every digit counts, zeros behind the last one do not.
fn decimals(texts: &StringArray, precision: u8, scale: i8) -> Result<ArrayRef, ArrowError> {
    let parse = |text: Option<&str>| text.and_then(|text| decimal(text.trim(), precision, scale));
    let values: Decimal128Array = texts.iter().map(parse).collect();
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
}

fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    let scale = usize::try_from(scale).ok()?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() > scale || !plain(whole) || !plain(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let unscaled: i128 = format!("{whole}{part:0<scale$}").parse().ok()?;
    let limit = 10i128.checked_pow(u32::from(precision))?;
    (unscaled < limit).then_some(sign * unscaled)
}

/// Rows whose value is of the right kind and too long or too large for the column.
fn out_of_bounds(array: &ArrayRef, kind: ColumnType) -> Vec<usize> {
    let rows = |too_long: &dyn Fn(usize) -> bool| -> Vec<usize> {
        (0..array.len()).filter(|row| array.is_valid(*row) && too_long(*row)).collect()
    };
    match kind {
        ColumnType::Text { length: Some(length) } => {
            let (texts, length) = (array.as_string::<i32>(), usize::from(length));
            // No text has more characters than bytes.
            rows(&|row| texts.value(row).len() > length && texts.value(row).chars().count() > length)
        }
        ColumnType::VarBinary { length: Some(length) } => {
            let bytes = array.as_binary::<i32>();
            rows(&|row| bytes.value(row).len() > usize::from(length))
        }
        ColumnType::TinyInt => {
            let numbers = array.as_primitive::<arrow::datatypes::Int16Type>();
            rows(&|row| !(0..=255).contains(&numbers.value(row)))
        }
        ColumnType::Decimal { precision, .. } => {
            let decimals = array.as_primitive::<arrow::datatypes::Decimal128Type>();
            let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
            rows(&|row| decimals.value(row).unsigned_abs() >= limit.unsigned_abs())
        }
        _ => Vec::new(),
    }
}

/// The array with NULL in these rows.
fn without(array: &ArrayRef, rows: &[usize]) -> Result<ArrayRef, ArrowError> {
    let mut keep = vec![true; array.len()];
    for row in rows {
        keep[*row] = false;
    }
    let none = arrow::array::new_null_array(array.data_type(), array.len());
    let chosen = arrow::compute::kernels::zip::zip(&keep.into(), array, &none)?;
    if chosen.data_type() == array.data_type() { Ok(chosen) } else { cast(&chosen, array.data_type()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::value_at;
    use arrow::array::{Float64Array, Int64Array};
    use weir_core::value::Value;

    fn fitted(raw: impl Array + 'static, kind: &str) -> (Vec<String>, Vec<usize>) {
        let column = Column { name: "c".parse().expect("a name"), kind: kind.parse().expect("a type"), nullable: true };
        let raw: ArrayRef = Arc::new(raw);
        let fitted = fit(&raw, &column).expect("fits or not");
        let text = |row| value_at(&fitted.array, row).to_string();
        ((0..raw.len()).map(text).collect(), fitted.misfits)
    }

    #[test]
    fn a_number_that_is_too_large_for_its_column_does_not_fit() {
        let (texts, misfits) = fitted(Int64Array::from(vec![Some(7), Some(40_000), None]), "smallint");
        assert_eq!((texts, misfits), (vec!["7".into(), "\\N".into(), "\\N".into()], vec![1]));
        assert_eq!(fitted(Int64Array::from(vec![255, 256, -1]), "tinyint").1, vec![1, 2]);
    }

    #[test]
    fn a_decimal_keeps_every_digit_or_does_not_fit() {
        let raw = Decimal128Array::from(vec![12_340, 12_345]).with_precision_and_scale(12, 4).expect("a type");
        let (texts, misfits) = fitted(raw, "decimal(12,3)");
        assert_eq!((texts, misfits), (vec!["1.234".into(), "\\N".into()], vec![1]));
        let raw = StringArray::from(vec!["-11062.060", "0.0005", "1e3", ".5", "12345678901.000"]);
        let (texts, misfits) = fitted(raw, "decimal(12,3)");
        assert_eq!(texts[0], "-11062.060");
        assert_eq!(texts[3], "0.500");
        assert_eq!(misfits, vec![1, 2, 4]);
    }

    #[test]
    fn a_time_with_an_offset_becomes_utc() {
        let raw = StringArray::from(vec!["2024-01-02T03:04:05.1234567+02:00", "2024-01-02T03:04:05Z", "yesterday"]);
        let (texts, misfits) = fitted(raw, "datetimeoffset");
        assert_eq!(texts[..2], ["2024-01-02T01:04:05.123456Z", "2024-01-02T03:04:05.000000Z"]);
        assert_eq!(misfits, vec![2]);
    }

    #[test]
    fn a_text_longer_than_its_column_does_not_fit() {
        let (texts, misfits) = fitted(StringArray::from(vec!["äöü", "äöüß"]), "nvarchar(3)");
        assert_eq!((texts, misfits), (vec!["äöü".into(), "\\N".into()], vec![1]));
    }

    #[test]
    fn a_value_of_another_kind_does_not_fit() {
        assert_eq!(fitted(StringArray::from(vec!["7"]), "int").1, vec![0]);
        assert_eq!(fitted(Float64Array::from(vec![0.1]), "decimal(12,3)").1, vec![0]);
        assert_eq!(value_at(&StringArray::from(vec!["x"]), 0), Value::Text("x".into()));
    }
}
