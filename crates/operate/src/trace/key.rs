//! The business key that is traced: from the command line, in the types of the model and of the contract.

use arrow::array::ArrayRef;
use weir_core::column::{Column, ColumnType};
use weir_core::value::{Row, Value};
use weir_project::{Model, Project, Table, parse_literal};

use crate::error::OperateError;
use crate::lineage::{Field, How, Lineage, Place};
use weir_lake::row_batch;

/// A key of a model, and of the source table that the model reads.
pub(super) struct Key<'a> {
    pub model: &'a Model,
    pub table: &'a Table,
    /// In the model's key order and types.
    of_model: Row,
    /// In the table's key order and types.
    of_table: Row,
}

impl<'a> Key<'a> {
    /// The texts of a key in key order: `given` are they, or `column=value,..` in any order.
    pub fn texts(model: &Model, given: &[String]) -> Result<Vec<String>, OperateError> {
        let names: Vec<&str> = model.key.iter().map(|name| name.as_str()).collect();
        let bad = |reason: String| OperateError::BadKey { table: model.name.to_string(), reason };
        let named = |text: &str| text.split_once('=').is_some_and(|(name, _)| names.contains(&name.trim()));
        let values: Vec<String> = if given.first().is_some_and(|first| named(first)) {
            let parts: Vec<&str> = given.iter().flat_map(|text| text.split(',')).collect();
            let value = |wanted: &&str| {
                let found = parts.iter().filter_map(|part| part.split_once('='));
                let mut found = found.filter(|(name, _)| name.trim() == *wanted).map(|(_, value)| value.to_owned());
                found.next().ok_or_else(|| bad(format!("column `{wanted}` of the key is not given")))
            };
            names.iter().map(value).collect::<Result<_, _>>()?
        } else {
            given.to_vec()
        };
        if values.len() != names.len() {
            let columns = names.join(", ");
            return Err(bad(format!("its key is ({columns}), and {} values are given", values.len())));
        }
        Ok(values)
    }

    /// From texts in key order.
    pub fn of(
        project: &'a Project,
        lineage: &Lineage<'_>,
        model: &'a Model,
        texts: &[String],
    ) -> Result<Self, OperateError> {
        let bad = |reason: String| OperateError::BadKey { table: model.name.to_string(), reason };
        // No value in the message: a key may be personal.
        let parsed = |text: &str, name: &str, kind: ColumnType| {
            parse_literal(text, kind).map_err(|why| bad(format!("the value of `{name}` is no {kind}{why}")))
        };
        let table = model.source.as_ref().and_then(|source| project.table(source));
        let table = table.ok_or_else(|| bad("it reads no source table".to_owned()))?;
        let mut of_model = Vec::new();
        let mut of_table = vec![Value::Null; table.key.len()];
        for (name, text) in model.key.iter().zip(texts) {
            let column = model.column(name.as_str()).ok_or_else(|| bad(format!("it has no column `{name}`")))?;
            of_model.push(parsed(text, name.as_str(), column.kind)?);
            let source = source_column(lineage, model, name.as_str());
            let place = source.and_then(|source| table.key.iter().position(|key| key.as_str() == source));
            let unkeyed = || bad(format!("`{name}` is no key column of `{}`", table.name));
            let place = place.ok_or_else(unkeyed)?;
            let source = table.column(table.key[place].as_str()).ok_or_else(unkeyed)?;
            of_table[place] = parsed(text, name.as_str(), source.kind)?;
        }
        Ok(Self { model, table, of_model, of_table })
    }

    /// One row, as the curated tables have it.
    pub fn arrays(&self) -> Result<Vec<ArrayRef>, OperateError> {
        let column = |name| {
            let column = self.model.column(name)?;
            Some(Column { name: column.name.clone(), kind: column.kind, nullable: true })
        };
        let columns: Vec<Column> = self.model.key.iter().filter_map(|name| column(name.as_str())).collect();
        let made = row_batch(&columns, std::slice::from_ref(&self.of_model));
        let bad = |error: arrow::error::ArrowError| OperateError::BadKey {
            table: self.model.name.to_string(),
            reason: error.to_string(),
        };
        Ok(made.map_err(bad)?.columns().to_vec())
    }

    /// Column and value in the source table's types.
    pub fn staged(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.table.key.iter().map(|name| name.as_str()).zip(&self.of_table)
    }

    /// The values in the table's key order.
    pub fn source_values(&self) -> &[Value] {
        &self.of_table
    }

    /// Column and text, as shown.
    pub fn shown(&self, lineage: &Lineage<'_>) -> Vec<(String, String)> {
        let pair = |(name, value): (&weir_core::name::Identifier, &Value)| {
            let field = Field::new(Place::Curated, self.model.name.as_str(), name.as_str());
            let text = if lineage.is_personal(&field) { super::PERSONAL.to_owned() } else { value.to_string() };
            (name.to_string(), text)
        };
        self.model.key.iter().zip(&self.of_model).map(pair).collect()
    }
}

/// The source column that a key column is, unchanged.
fn source_column<'l>(lineage: &'l Lineage<'_>, model: &Model, name: &str) -> Option<&'l str> {
    let field = Field::new(Place::Curated, model.name.as_str(), name);
    let mut plain = lineage.edges().filter(|edge| edge.to == field && edge.how == How::Identity);
    plain.find(|edge| edge.from.place == Place::Staging).map(|edge| edge.from.column.as_str())
}
