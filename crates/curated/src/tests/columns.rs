//! Rows in columns and back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, SchemaRef};
use weir_core::value::{Row, Value};

use crate::key::value_at;

/// An array of a curated type.
pub fn array(kind: &DataType, values: &[Value]) -> ArrayRef {
    macro_rules! collect {
        ($pattern:pat => $value:expr) => {
            values.iter().map(|value| match value {
                $pattern => Some($value),
                Value::Null => None,
                other => panic!("{other:?} in a column of {kind}"),
            })
        };
    }
    match kind {
        DataType::Boolean => Arc::new(collect!(Value::Bool(v) => *v).collect::<BooleanArray>()),
        DataType::Int32 => {
            Arc::new(collect!(Value::Int(v) => i32::try_from(*v).expect("small")).collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(collect!(Value::Int(v) => *v).collect::<Int64Array>()),
        DataType::Utf8 => Arc::new(collect!(Value::Text(v) => v.as_str()).collect::<StringArray>()),
        DataType::Date32 => Arc::new(collect!(Value::Date(v) => *v).collect::<Date32Array>()),
        DataType::Binary => Arc::new(BinaryArray::from_iter(collect!(Value::Bytes(v) => v.as_slice()))),
        DataType::Decimal128(p, s) => {
            let array: Decimal128Array = collect!(Value::Decimal(v, _) => *v).collect();
            Arc::new(array.with_precision_and_scale(*p, *s).expect("fits"))
        }
        DataType::Timestamp(..) => {
            let array: TimestampMicrosecondArray = collect!(Value::Timestamp(v) => *v).collect();
            Arc::new(array.with_timezone("UTC"))
        }
        other => panic!("no array of {other}"),
    }
}

/// Rows in columns.
pub fn batch(schema: &SchemaRef, rows: &[Row]) -> RecordBatch {
    let column = |i: usize| rows.iter().map(|row| row[i].clone()).collect::<Vec<_>>();
    let columns = schema.fields().iter().enumerate().map(|(i, field)| array(field.data_type(), &column(i))).collect();
    RecordBatch::try_new(schema.clone(), columns).expect("rows of the schema")
}

/// Columns in sorted rows.
pub fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    let mut rows: Vec<Row> = batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(|row| batch.columns().iter().map(|c| value_at(c, row)).collect()))
        .collect();
    rows.sort();
    rows
}
