//! Arrow columns back to [`Value`]s, by what the contract declares: for tests, reconciliation and reference models.

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type,
};
use weir_core::column::{Column, ColumnType};
use weir_core::value::{Row, Value};

use crate::error::EnvelopeError;
use crate::time;

/// The value at a row; `None` for an Arrow type that has no [`Value`].
pub fn value_at(array: &dyn Array, row: usize) -> Option<Value> {
    if array.is_null(row) {
        return Some(Value::Null);
    }
    Some(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Value::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Value::Int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Value::Int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Value::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::Float32 => Value::Float(f64::from(array.as_primitive::<Float32Type>().value(row)).to_bits()),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(_, scale) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Value::Text(array.as_string_view().value(row).to_owned()),
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).to_owned()),
        DataType::LargeBinary => Value::Bytes(array.as_binary::<i64>().value(row).to_owned()),
        DataType::BinaryView => Value::Bytes(array.as_binary_view().value(row).to_owned()),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(unit, _) => Value::Timestamp(match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000)?,
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1000)?,
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000),
        }),
        _ => return None,
    })
}

/// A row of a struct in contract column order, e.g. of `before` or `after` of a landing row. A column that the struct
/// lacks is NULL (its schema is older than the contract); a null struct is `None`.
pub fn row_at(rows: &StructArray, columns: &[Column], row: usize) -> Result<Option<Row>, EnvelopeError> {
    if rows.is_null(row) {
        return Ok(None);
    }
    let values = columns.iter().map(|column| match rows.column_by_name(column.name.as_str()) {
        None => Ok(Value::Null),
        Some(array) => typed(array, column, row),
    });
    values.collect::<Result<Row, _>>().map(Some)
}

/// The value as the contract's type has it: a `datetimeoffset` is a point in time, an identifier is in upper case.
fn typed(array: &dyn Array, column: &Column, row: usize) -> Result<Value, EnvelopeError> {
    let value = value_at(array, row).and_then(|value| fit(value, column.kind));
    value.ok_or_else(|| EnvelopeError::ArrayType {
        column: column.name.to_string(),
        declared: column.kind.to_string(),
        found: array.data_type().to_string(),
    })
}

fn fit(value: Value, kind: ColumnType) -> Option<Value> {
    Some(match (kind, value) {
        (_, Value::Null) => Value::Null,
        (ColumnType::DateTimeOffset, Value::Text(text)) => Value::Timestamp(time::parse_zoned(&text)?),
        (ColumnType::DateTime2 { .. }, Value::Text(text)) => Value::Timestamp(time::parse_zoned(&text)?),
        (ColumnType::Date, Value::Text(text)) => Value::Date(time::parse_date(text.get(..10)?)?),
        (ColumnType::UniqueIdentifier, Value::Text(text)) => Value::Text(text.to_ascii_uppercase()),
        (ColumnType::Bit, value @ Value::Bool(_))
        | (ColumnType::TinyInt | ColumnType::SmallInt | ColumnType::Int | ColumnType::BigInt, value @ Value::Int(_))
        | (ColumnType::Real | ColumnType::Float, value @ Value::Float(_))
        | (ColumnType::Text { .. }, value @ Value::Text(_))
        | (ColumnType::Date, value @ Value::Date(_))
        | (ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset, value @ Value::Timestamp(_))
        | (ColumnType::VarBinary { .. }, value @ Value::Bytes(_)) => value,
        (ColumnType::Decimal { scale, .. }, Value::Decimal(unscaled, own)) if own == scale => {
            Value::Decimal(unscaled, own)
        }
        _ => return None,
    })
}
