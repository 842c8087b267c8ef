//! A model's query held to its YAML and to the table that it reads.

use std::collections::BTreeSet;

use weir_core::column::ColumnType;
use weir_core::name::Identifier;

use crate::check_model::{ModelCheck, is_curated};
use crate::check_table::{comparable, unknown_inputs};
use crate::error::{Fault, Problem, suggest};
use crate::model::ModelColumn;
use crate::sql::RowQuery;
use crate::table::Table;

impl<'t> ModelCheck<'_, 't> {
    /// The staging table that a query reads.
    pub(crate) fn source(&mut self, query: &RowQuery) -> Option<&'t Table> {
        let tables = self.tables;
        let found = tables.tables.iter().find(|table| table.name.as_str() == query.table);
        let problem = match (query.schema.as_str(), found) {
            ("staging", Some(table)) if !tables.broken.contains(&query.table) => {
                return Some(table);
            }
            // Reported with the table, or with the cycle.
            ("staging", _) if tables.broken.contains(&query.table) => return None,
            (schema, _) if is_curated(schema) && self.in_cycle => return None,
            ("staging", _) => {
                let hint = suggest(&query.table, tables.tables.iter().map(|table| table.name.as_str()));
                Problem::new(Fault::UnknownTable(query.table.clone()), query.table_place.clone()).hint(hint)
            }
            (schema, _) if is_curated(schema) && !self.files.contains_key(&query.table) => {
                let hint = suggest(&query.table, self.files.keys().map(String::as_str));
                Problem::new(Fault::UnknownModel(query.table.clone()), query.table_place.clone()).hint(hint)
            }
            (schema, _) if is_curated(schema) => {
                let fault = Fault::ReadsModel { model: self.name.to_string(), other: query.table.clone() };
                Problem::new(fault, query.table_place.clone())
            }
            (schema, _) => {
                let fault = Fault::SqlNotRowWise(format!("a table of schema `{schema}`"));
                let hint = "read `staging.<table>`".to_owned();
                Problem::new(fault, query.table_place.clone()).hint(Some(hint))
            }
        };
        self.problems.push(problem);
        None
    }

    pub(crate) fn query(&mut self, query: &RowQuery, source: &Table, columns: &[ModelColumn], key: &[Identifier]) {
        unknown_inputs(query, source, "staging", self.problems);
        let given: Vec<&str> = query.outputs.iter().map(|output| output.name.as_str()).collect();
        if !self.declares(&given) {
            return;
        }
        for (output, column) in query.outputs.iter().zip(columns) {
            let Some(input) = output.bare.as_ref().and_then(|name| source.column(name)) else {
                continue;
            };
            if !comparable(input.kind, column.kind) || narrower(column.kind, input.kind) {
                let fault = Fault::ColumnsDiffer(format!(
                    "column `{}` is {} in `staging.{}` and {} in `{}`",
                    column.name, input.kind, source.name, column.kind, self.name
                ));
                let hint = "declare the same type, or CAST in the query".to_owned();
                self.push(fault, &format!("columns[{}].type", position(columns, &column.name)), Some(hint));
            }
        }
        let selected: BTreeSet<&str> = (query.outputs.iter())
            .filter(|output| key.iter().any(|name| name.as_str() == output.name))
            .filter_map(|output| output.bare.as_deref())
            .collect();
        let wanted: BTreeSet<&str> = source.key.iter().map(Identifier::as_str).collect();
        if selected != wanted && !key.is_empty() {
            let fault = Fault::KeyNotSourceKey {
                model: self.name.to_string(),
                source_table: format!("staging.{}", source.name),
            };
            let names = source.key.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", ");
            self.push(fault, "key", Some(format!("select ({names}) unchanged, and name them all in `key:`")));
        }
    }
}

fn position(columns: &[ModelColumn], name: &Identifier) -> usize {
    columns.iter().position(|column| column.name == *name).unwrap_or(0)
}

/// Whether values of `input` may not fit into `declared`.
pub(crate) fn narrower(declared: ColumnType, input: ColumnType) -> bool {
    let bits = |kind| match kind {
        ColumnType::TinyInt => 8,
        ColumnType::SmallInt => 16,
        ColumnType::Int => 32,
        ColumnType::BigInt => 64,
        _ => 0,
    };
    match (declared, input) {
        (ColumnType::Text { length: Some(_) }, ColumnType::Text { length: None }) => true,
        (ColumnType::Text { length: Some(a) }, ColumnType::Text { length: Some(b) }) => a < b,
        (ColumnType::VarBinary { length: Some(_) }, ColumnType::VarBinary { length: None }) => true,
        (ColumnType::VarBinary { length: Some(a) }, ColumnType::VarBinary { length: Some(b) }) => a < b,
        (ColumnType::Decimal { precision: a, .. }, ColumnType::Decimal { precision: b, .. }) => a < b,
        (ColumnType::DateTime2 { precision: a }, ColumnType::DateTime2 { precision: b }) => a < b,
        (a, b) => bits(a) < bits(b),
    }
}
