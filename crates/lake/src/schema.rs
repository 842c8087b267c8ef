//! Schemas: what Delta holds of an Arrow schema, and how a table's schema grows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use deltalake::kernel::StructField;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use weir_core::column::ColumnType;

use crate::error::LakeError;

/// Timestamps are UTC microseconds in every zone.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// How every zone stores a column of a declared type.
pub fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Bit => DataType::Boolean,
        ColumnType::TinyInt | ColumnType::SmallInt => DataType::Int16,
        ColumnType::Int => DataType::Int32,
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Real => DataType::Float32,
        ColumnType::Float => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ColumnType::Text { .. } | ColumnType::UniqueIdentifier => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset => timestamp(),
        ColumnType::VarBinary { .. } => DataType::Binary,
    }
}

/// The schema as a Delta table keeps it: every column nullable, timestamps in UTC microseconds, no
/// metadata, one string and one binary type.
pub(crate) fn normal(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(normal_field).collect::<Vec<_>>()))
}

fn normal_field(field: &FieldRef) -> Field {
    Field::new(field.name(), normal_type(field.data_type()), true)
}

fn normal_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Timestamp(_, _) => timestamp(),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Dictionary(_, value) => normal_type(value),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(normal_field).collect()),
        DataType::List(item) | DataType::LargeList(item) => {
            DataType::List(Arc::new(Field::new("element", normal_type(item.data_type()), true)))
        }
        other => other.clone(),
    }
}

/// Delta's own fields for an Arrow schema.
pub(crate) fn delta_fields(table: &str, schema: &Schema) -> Result<Vec<StructField>, LakeError> {
    let convert = |field: &FieldRef| {
        let kernel: Result<StructField, ArrowError> = field.as_ref().try_into_kernel();
        kernel.map_err(|source| LakeError::UnsupportedType { table: table.to_owned(), source })
    };
    schema.fields().iter().map(convert).collect()
}

/// The columns of both, by name: those of `stored` first, new ones behind, structs merged likewise.
///
/// Fails where a column has two types: a Delta column keeps its type.
pub fn union(table: &str, stored: &Schema, given: &Schema) -> Result<SchemaRef, LakeError> {
    let fields = union_fields(table, "", stored.fields(), normal(given).fields())?;
    Ok(Arc::new(Schema::new(fields)))
}

fn union_fields(table: &str, parent: &str, stored: &Fields, given: &Fields) -> Result<Fields, LakeError> {
    let mut out: Vec<FieldRef> = stored.iter().cloned().collect();
    for new in given {
        let Some((at, old)) = stored.find(new.name()) else {
            out.push(new.clone());
            continue;
        };
        let column = if parent.is_empty() { new.name().clone() } else { format!("{parent}.{}", new.name()) };
        match (old.data_type(), new.data_type()) {
            (DataType::Struct(old_children), DataType::Struct(new_children)) => {
                let children = union_fields(table, &column, old_children, new_children)?;
                out[at] = Arc::new(Field::new(old.name(), DataType::Struct(children), true));
            }
            (old, new) if old == new => {}
            (old, new) => {
                return Err(LakeError::TypeChanged {
                    table: table.to_owned(),
                    column,
                    stored: old.to_string(),
                    given: new.to_string(),
                });
            }
        }
    }
    Ok(out.into())
}

/// The batch with exactly these columns: by name, missing ones null, struct children likewise, other types cast.
pub fn align_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
        Some(array) => align(array, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// The array as `wanted`: struct children by name, missing ones null, other types cast.
pub(crate) fn align(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == wanted {
        return Ok(array.clone());
    }
    let (DataType::Struct(fields), Some(have)) = (wanted, array.as_any().downcast_ref::<StructArray>()) else {
        return arrow::compute::cast(array, wanted);
    };
    let child = |field: &FieldRef| match have.column_by_name(field.name()) {
        Some(child) => align(child, field.data_type()),
        None => Ok(new_null_array(field.data_type(), have.len())),
    };
    let children = fields.iter().map(child).collect::<Result<Vec<_>, _>>()?;
    let aligned = StructArray::try_new_with_length(fields.clone(), children, have.nulls().cloned(), have.len())?;
    Ok(Arc::new(aligned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(fields)
    }

    fn row(children: Vec<Field>) -> Field {
        Field::new("after", DataType::Struct(children.into()), true)
    }

    #[test]
    fn a_new_column_goes_behind_the_stored_ones_inside_structs_too() {
        let id = Field::new("id", DataType::Int32, true);
        let note = Field::new("note", DataType::Utf8, true);
        let stored = schema(vec![row(vec![id.clone()]), Field::new("op", DataType::Utf8, true)]);
        let given = schema(vec![Field::new("op", DataType::Utf8, false), row(vec![note.clone(), id.clone()])]);
        let both = union("landing/t", &stored, &given).expect("fits");
        assert_eq!(*both, schema(vec![row(vec![id, note]), Field::new("op", DataType::Utf8, true)]));
    }

    #[test]
    fn a_column_that_changes_its_type_is_refused_by_name() {
        let stored = schema(vec![row(vec![Field::new("id", DataType::Int32, true)])]);
        let given = schema(vec![row(vec![Field::new("id", DataType::Utf8, true)])]);
        let error = union("landing/t", &stored, &given).expect_err("does not fit");
        assert_eq!(error.to_string(), "column `after.id` of `landing/t` is Int32 and cannot become Utf8");
    }

    #[test]
    fn a_struct_from_an_old_file_gets_nulls_for_children_it_lacks() {
        let id = Arc::new(Field::new("id", DataType::Int32, true));
        let old: ArrayRef =
            Arc::new(StructArray::from(vec![(id.clone(), Arc::new(Int32Array::from(vec![7])) as ArrayRef)]));
        let wanted = DataType::Struct(vec![Field::new("note", DataType::Utf8, true), id.as_ref().clone()].into());
        let new = align(&old, &wanted).expect("aligned");
        let new = new.as_any().downcast_ref::<StructArray>().expect("a struct");
        assert!(new.column(0).is_null(0));
        assert_eq!(new.column(1).as_ref(), &Int32Array::from(vec![7]));
    }
}
