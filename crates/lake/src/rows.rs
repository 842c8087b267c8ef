//! Rows of single values as columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use weir_core::column::{Column, ColumnType};
use weir_core::value::{Row, Value};

use crate::schema::arrow_type;

/// Rows in the order of `columns` as a batch, typed as every zone stores them.
pub fn row_batch(columns: &[Column], rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> =
        columns.iter().map(|column| Field::new(column.name.as_str(), arrow_type(column.kind), true)).collect();
    let arrays = columns.iter().enumerate().map(|(i, column)| array(column, rows, i)).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn array(column: &Column, rows: &[Row], at: usize) -> Result<ArrayRef, ArrowError> {
    let wrong = || ArrowError::CastError(format!("a value of `{}` is no {}", column.name, column.kind));
    macro_rules! built {
        ($builder:expr, $($pattern:pat => $value:expr),+) => {{
            let mut builder = $builder;
            for row in rows {
                match &row[at] {
                    Value::Null => builder.append_null(),
                    $($pattern => builder.append_value($value),)+
                    _ => return Err(wrong()),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    macro_rules! integers {
        ($builder:expr) => {{
            let mut builder = $builder;
            for row in rows {
                match &row[at] {
                    Value::Null => builder.append_null(),
                    Value::Int(i) => builder.append_value((*i).try_into().map_err(|_| wrong())?),
                    _ => return Err(wrong()),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    let single = |bits: &u64| f64::from_bits(*bits) as f32;
    Ok(match column.kind {
        ColumnType::Bit => built!(BooleanBuilder::new(), Value::Bool(b) => *b),
        ColumnType::TinyInt | ColumnType::SmallInt => integers!(Int16Builder::new()),
        ColumnType::Int => integers!(Int32Builder::new()),
        ColumnType::BigInt => integers!(Int64Builder::new()),
        ColumnType::Real => built!(Float32Builder::new(), Value::Float(bits) => single(bits)),
        ColumnType::Float => built!(Float64Builder::new(), Value::Float(bits) => f64::from_bits(*bits)),
        ColumnType::Decimal { precision, scale } => {
            let builder = Decimal128Builder::new().with_precision_and_scale(precision, scale)?;
            built!(builder, Value::Decimal(unscaled, _) => *unscaled)
        }
        ColumnType::Text { .. } | ColumnType::UniqueIdentifier => {
            built!(StringBuilder::new(), Value::Text(text) => text)
        }
        ColumnType::Date => built!(Date32Builder::new(), Value::Date(days) => *days),
        ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset => {
            let builder = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            built!(builder, Value::Timestamp(us) => *us)
        }
        ColumnType::VarBinary { .. } => built!(BinaryBuilder::new(), Value::Bytes(bytes) => bytes),
    })
}
