//! Column types in Hive's words, as Glue, Athena and Spark have them.

use arrow::datatypes::{DataType, Field};

/// A type: `decimal(12,3)`, `struct<id:int,name:string>`.
pub fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp".to_owned(),
        DataType::Timestamp(_, None) => "timestamp_ntz".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Struct(fields) => {
            let field = |field: &std::sync::Arc<Field>| format!("{}:{}", field.name(), type_name(field.data_type()));
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        DataType::List(item) => format!("array<{}>", type_name(item.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                format!("map<{},{}>", type_name(pair[0].data_type()), type_name(pair[1].data_type()))
            }
            other => type_name(other),
        },
        // The lake stores no other; a table that another program made shows Arrow's word.
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_hives_words_inside_each_other_too() {
        let inner = DataType::Struct(vec![Field::new("n", DataType::Decimal128(12, 3), true)].into());
        let list = DataType::List(std::sync::Arc::new(Field::new("element", inner, true)));
        assert_eq!(type_name(&list), "array<struct<n:decimal(12,3)>>");
        assert_eq!(type_name(&weir_lake::timestamp()), "timestamp");
    }
}
