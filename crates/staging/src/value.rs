//! Single values between Arrow arrays and core's [`Value`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};
use weir_core::value::Value;

/// The value of a row; NULL for a type that no contract column has.
pub(crate) fn value_at(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Value::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::Float(f64::from(array.as_primitive::<Float32Type>().value(row)).to_bits()),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(_, scale) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        _ => Value::Null,
    }
}

/// An array of one value in a column's type; none where the value is of another type or does not fit.
pub(crate) fn one(value: &Value, kind: &DataType) -> Option<ArrayRef> {
    let array: ArrayRef = match (value, kind) {
        (Value::Bool(b), DataType::Boolean) => Arc::new(BooleanArray::from(vec![*b])),
        (Value::Int(i), DataType::Int16) => Arc::new(Int16Array::from(vec![i16::try_from(*i).ok()?])),
        (Value::Int(i), DataType::Int32) => Arc::new(Int32Array::from(vec![i32::try_from(*i).ok()?])),
        (Value::Int(i), DataType::Int64) => Arc::new(Int64Array::from(vec![*i])),
        (Value::Int(i), DataType::Decimal128(..)) => return one(&Value::Decimal(i128::from(*i), 0), kind),
        (Value::Decimal(unscaled, from), DataType::Decimal128(precision, to)) => {
            let power = u32::try_from(i16::from(*to) - i16::from(*from)).ok()?;
            let scaled = unscaled.checked_mul(10i128.checked_pow(power)?)?;
            Arc::new(Decimal128Array::from(vec![scaled]).with_precision_and_scale(*precision, *to).ok()?)
        }
        (Value::Float(bits), DataType::Float64) => Arc::new(Float64Array::from(vec![f64::from_bits(*bits)])),
        #[expect(clippy::cast_possible_truncation, reason = "the column is a single: its bound is one too")]
        (Value::Float(bits), DataType::Float32) => Arc::new(Float32Array::from(vec![f64::from_bits(*bits) as f32])),
        (Value::Text(text), DataType::Utf8) => Arc::new(StringArray::from(vec![text.as_str()])),
        (Value::Date(days), DataType::Date32) => Arc::new(Date32Array::from(vec![*days])),
        (Value::Timestamp(us), DataType::Timestamp(TimeUnit::Microsecond, Some(_))) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*us]).with_timezone("UTC"))
        }
        (Value::Bytes(bytes), DataType::Binary) => Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
        _ => return None,
    };
    Some(array)
}
