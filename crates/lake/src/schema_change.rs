//! How the columns that come differ from those that a table has.

use arrow::datatypes::{DataType, Fields, Schema};

use crate::schema::normal;

/// A column that one of two schemas lacks, or that has another type in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChange {
    /// The column, with its parents.
    pub column: String,
    /// Its type in the table.
    pub stored: Option<DataType>,
    /// The type that comes.
    pub given: Option<DataType>,
}

/// The differences: columns of the table in its order, then new ones. Structs are compared field by field.
pub fn column_changes(stored: &Schema, given: &Schema) -> Vec<ColumnChange> {
    let mut out = Vec::new();
    changes("", normal(stored).fields(), normal(given).fields(), &mut out);
    out
}

fn changes(parent: &str, stored: &Fields, given: &Fields, out: &mut Vec<ColumnChange>) {
    let path = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    for old in stored {
        let column = path(old.name());
        match (old.data_type(), given.find(old.name()).map(|(_, new)| new.data_type())) {
            (DataType::Struct(old), Some(DataType::Struct(new))) => changes(&column, old, new, out),
            (old, Some(new)) if old == new => {}
            (old, new) => out.push(ColumnChange { column, stored: Some(old.clone()), given: new.cloned() }),
        }
    }
    for new in given.iter().filter(|new| stored.find(new.name()).is_none()) {
        out.push(ColumnChange { column: path(new.name()), stored: None, given: Some(new.data_type().clone()) });
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn columns_that_come_go_or_change_are_told_also_inside_structs() {
        let row = |fields: Vec<Field>| Field::new("after", DataType::Struct(fields.into()), true);
        let field = |name: &str, kind| Field::new(name, kind, true);
        let stored = Schema::new(vec![
            row(vec![field("id", DataType::Int32), field("a", DataType::Utf8), field("b", DataType::Utf8)]),
            field("op", DataType::Utf8),
        ]);
        let given = Schema::new(vec![
            field("new", DataType::Int32),
            row(vec![field("b", DataType::Int64), field("id", DataType::Int32), field("c", DataType::Date32)]),
            // The same to Delta.
            field("op", DataType::LargeUtf8),
        ]);
        let change = |column: &str, stored, given| ColumnChange { column: column.to_owned(), stored, given };
        let wanted = [
            change("after.a", Some(DataType::Utf8), None),
            change("after.b", Some(DataType::Utf8), Some(DataType::Int64)),
            change("after.c", None, Some(DataType::Date32)),
            change("new", None, Some(DataType::Int32)),
        ];
        assert_eq!(column_changes(&stored, &given), wanted);
        assert_eq!(column_changes(&stored, &stored), []);
    }
}
