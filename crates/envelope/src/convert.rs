//! Columns as arrow-avro gives them, brought to what the tree says that they mean.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, ListArray, MapArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;

use crate::tree::{IntKind, LongKind, Node, Record};

/// The zone of every timestamp.
pub(crate) const UTC: &str = "UTC";

/// The Arrow type of a converted value.
pub(crate) fn data_type(node: &Node) -> DataType {
    match node {
        Node::Boolean => DataType::Boolean,
        Node::Int(IntKind::Plain) => DataType::Int32,
        Node::Int(IntKind::Date) => DataType::Date32,
        Node::Long(LongKind::Plain) => DataType::Int64,
        Node::Long(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Node::Float => DataType::Float32,
        Node::Double => DataType::Float64,
        Node::Bytes => DataType::Binary,
        Node::Text(_) | Node::Enum(_) => DataType::Utf8,
        Node::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        Node::Record(record) => DataType::Struct(fields(record)),
        Node::Array(item) => DataType::List(element(item)),
        Node::Map(item) => DataType::Map(entries(item), false),
        Node::Nullable { inner, .. } => data_type(inner),
    }
}

/// A column of this name. Every column is nullable: a table outlives the schema in which a column was not.
pub(crate) fn field(name: &str, node: &Node) -> Field {
    Field::new(name, data_type(node), true)
}

fn fields(record: &Record) -> Fields {
    record.fields.iter().map(|one| field(&one.name, &one.node)).collect()
}

fn element(item: &Node) -> FieldRef {
    Arc::new(field("element", item))
}

fn entries(item: &Node) -> FieldRef {
    let pair = vec![Field::new("key", DataType::Utf8, false), field("value", item)];
    Arc::new(Field::new("key_value", DataType::Struct(pair.into()), false))
}

/// Converts a column; the walk over its messages has made sure that every value can be.
pub(crate) fn convert(array: &ArrayRef, node: &Node) -> Result<ArrayRef, ArrowError> {
    let odd = || ArrowError::CastError(format!("arrow-avro gave {} for {node:?}", array.data_type()));
    Ok(match node {
        Node::Int(IntKind::Date) => {
            let days = array.as_primitive_opt::<Int32Type>().ok_or_else(odd)?;
            Arc::new(Date32Array::new(days.values().clone(), days.nulls().cloned()))
        }
        Node::Long(kind @ (LongKind::Millis | LongKind::Micros | LongKind::Nanos)) => {
            timestamps(array.as_primitive_opt::<Int64Type>().ok_or_else(odd)?, *kind)
        }
        Node::Enum(_) => cast(array, &DataType::Utf8)?,
        Node::Record(record) => Arc::new(structure(array.as_struct_opt().ok_or_else(odd)?, record)?),
        Node::Array(item) => {
            let list = array.as_list_opt::<i32>().ok_or_else(odd)?;
            let values = convert(list.values(), item)?;
            Arc::new(ListArray::try_new(element(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        Node::Map(item) => {
            let map = array.as_map_opt().ok_or_else(odd)?;
            let field = entries(item);
            let DataType::Struct(pair) = field.data_type() else { return Err(odd()) };
            let columns = vec![Arc::clone(map.keys()), convert(map.values(), item)?];
            let pairs = StructArray::try_new(pair.clone(), columns, None)?;
            Arc::new(MapArray::try_new(field, map.offsets().clone(), pairs, map.nulls().cloned(), false)?)
        }
        Node::Nullable { inner, .. } => convert(array, inner)?,
        _ => Arc::clone(array),
    })
}

fn structure(array: &StructArray, record: &Record) -> Result<StructArray, ArrowError> {
    let columns: Result<Vec<_>, _> =
        array.columns().iter().zip(&record.fields).map(|(column, field)| convert(column, &field.node)).collect();
    StructArray::try_new_with_length(fields(record), columns?, array.nulls().cloned(), array.len())
}

/// Values under a null are 0 and stay so.
fn timestamps(array: &Int64Array, kind: LongKind) -> ArrayRef {
    let values: ScalarBuffer<i64> = match kind {
        LongKind::Millis => array.values().iter().map(|ms| ms.wrapping_mul(1000)).collect(),
        LongKind::Nanos => array.values().iter().map(|ns| ns.div_euclid(1000)).collect(),
        LongKind::Micros | LongKind::Plain => array.values().clone(),
    };
    Arc::new(TimestampMicrosecondArray::new(values, array.nulls().cloned()).with_timezone(UTC))
}
