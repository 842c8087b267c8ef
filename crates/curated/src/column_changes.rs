//! What becomes of a table's columns when its model declares others.

use std::fmt;

use arrow::datatypes::{DataType, Schema};

/// How a table's columns differ from those that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnChanges {
    /// Columns that come: name and type.
    pub added: Vec<(String, String)>,
    /// Columns that go.
    pub dropped: Vec<(String, String)>,
    /// Columns that get another type: name, type before, type after.
    pub retyped: Vec<(String, String, String)>,
    /// The columns that stay stand in another order.
    pub reordered: bool,
    /// The stored columns are the same and declared otherwise: a length, say, which a warehouse knows.
    pub redeclared: bool,
}

impl ColumnChanges {
    /// From one schema to another.
    pub fn between(before: &Schema, after: &Schema) -> Self {
        let mut found = Self::default();
        for field in after.fields() {
            let name = || field.name().clone();
            match before.fields().find(field.name()) {
                None => found.added.push((name(), kind(field.data_type()))),
                Some((_, old)) if old.data_type() != field.data_type() => {
                    found.retyped.push((name(), kind(old.data_type()), kind(field.data_type())));
                }
                Some(_) => {}
            }
        }
        let gone = before.fields().iter().filter(|field| after.fields().find(field.name()).is_none());
        found.dropped.extend(gone.map(|field| (field.name().clone(), kind(field.data_type()))));
        let common = |of: &Schema, other: &Schema| -> Vec<String> {
            let stays = |name: &String| other.fields().find(name).is_some();
            of.fields().iter().map(|field| field.name().clone()).filter(stays).collect()
        };
        found.reordered = common(before, after) != common(after, before);
        found
    }

    /// True when every column is the one that it was.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for ColumnChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = self.added.iter().map(|(name, kind)| format!("+{name} {kind}"));
        let dropped = self.dropped.iter().map(|(name, kind)| format!("-{name} {kind}"));
        let retyped = self.retyped.iter().map(|(name, before, after)| format!("{name} {before} -> {after}"));
        let others = [(self.reordered, "another order"), (self.redeclared, "declared otherwise")];
        let others = others.into_iter().filter(|(is_so, _)| *is_so).map(|(_, text)| text.to_owned());
        f.write_str(&added.chain(dropped).chain(retyped).chain(others).collect::<Vec<_>>().join(", "))
    }
}

/// A stored type in the words of a model's file; a text's length is not stored.
fn kind(stored: &DataType) -> String {
    match stored {
        DataType::Boolean => "bit".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "float".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 => "text".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Binary => "binary".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn every_way_in_which_columns_differ_is_named() {
        let schema = |columns: &[(&str, DataType)]| {
            Schema::new(columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
        };
        let (text, int, long) = (DataType::Utf8, DataType::Int32, DataType::Int64);
        let before = schema(&[("a", int.clone()), ("b", text.clone()), ("c", text.clone())]);
        let after = schema(&[("c", text.clone()), ("d", DataType::Decimal128(9, 2)), ("a", long)]);
        let found = ColumnChanges::between(&before, &after);
        assert_eq!(found.to_string(), "+d decimal(9,2), -b text, a int -> bigint, another order");
        assert!(ColumnChanges::between(&before, &before).is_empty());
        let wider = schema(&[("a", int), ("x", text.clone()), ("b", text.clone()), ("c", text)]);
        assert_eq!(ColumnChanges::between(&before, &wider).to_string(), "+x text");
    }
}
