//! From `tests:` of a model to [`UnitTest`]: every table, column and value held to contracts and models.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::change::{Change, Op};
use weir_core::column::{Column, ColumnType};
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value};

use crate::check_model::ModelFiles;
use crate::check_table::{Tables, Typed};
use crate::error::{Fault, Problem, suggest};
use crate::file::{CellFile, ChangeFile, ModelFile, OpWord};
use crate::graph::{Graph, Node};
use crate::literal::parse_literal;
use crate::model::{Model, ModelKind};
use crate::table::Table;
use crate::unit_test::{Expected, ExpectedRow, UnitTest};
use crate::yaml::{ScalarKind, Value as Yaml, steps};

/// The unit tests of all models, in the models' order; every problem is pushed.
pub(crate) fn check(
    files: &BTreeMap<String, ModelFiles>,
    models: &[Model],
    tables: &Tables,
    problems: &mut Vec<Problem>,
) -> Vec<UnitTest> {
    let graph = Graph::new(&tables.tables, models);
    let mut found = Vec::new();
    for model in models {
        let Some(Some(Some(yaml))) = files.get(model.name.as_str()).map(|files| &files.yaml) else { continue };
        let above = graph.upstream([Node::Model(model.name.clone())].into());
        let mut check = Check { model, models, yaml, tables, above, problems };
        let mut names = BTreeSet::new();
        for (index, test) in yaml.value.tests.iter().flatten().enumerate() {
            let path = format!("tests[{index}]");
            if !names.insert(&test.name) {
                check.push(Fault::Duplicate { what: "test", name: test.name.clone() }, &format!("{path}.name"), None);
            }
            let given = check.given(&test.given, &format!("{path}.given"));
            let mut expect = Vec::with_capacity(test.expect.len());
            for (i, cells) in test.expect.iter().enumerate() {
                expect.push(check.expected(cells, &format!("{path}.expect[{i}]")));
            }
            let place = yaml.document.place_of(&format!("{path}.name"));
            found.push(UnitTest { model: model.name.clone(), name: test.name.clone(), place, given, expect });
        }
    }
    found
}

struct Check<'a> {
    model: &'a Model,
    models: &'a [Model],
    yaml: &'a Typed<ModelFile>,
    tables: &'a Tables,
    /// What the model is made from, all the way up.
    above: BTreeSet<Node>,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn push(&mut self, fault: Fault, path: &str, hint: Option<String>) {
        self.problems.push(Problem::new(fault, self.yaml.document.place_of(path)).hint(hint));
    }

    fn given(&mut self, given: &BTreeMap<String, Vec<ChangeFile>>, path: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        let read: Vec<String> = (self.above.iter())
            .filter_map(|node| if let Node::Table(name) = node { Some(name.to_string()) } else { None })
            .collect();
        for (name, rows) in given {
            let path = format!("{path}.{name}");
            let Some(table) = self.tables.tables.iter().find(|table| table.name.as_str() == name) else {
                let hint = suggest(name, read.iter().map(String::as_str));
                self.push(Fault::UnknownTable(name.clone()), &path, hint);
                continue;
            };
            if !read.contains(name) {
                let reason =
                    format!("neither `{}` nor a dimension that it points to reads this table", self.model.name);
                self.push(Fault::Useless { path: path.clone(), reason }, &path, None);
                continue;
            }
            for (index, change) in rows.iter().enumerate() {
                changes.extend(self.change(table, index, change, &format!("{path}[{index}]")));
            }
        }
        changes
    }

    fn change(&mut self, table: &Table, index: usize, change: &ChangeFile, path: &str) -> Option<Change> {
        let moment = ColumnType::DateTime2 { precision: 6 };
        let at = self.value(&format!("{path}.at"), moment);
        let mut row: Row = vec![Value::Null; table.columns.len()];
        for name in change.row.keys() {
            let path = format!("{path}.row.{name}");
            let of = format!("table `staging.{}`", table.name);
            let Some(at) = self.position(&table.columns, name, of, &path) else { continue };
            if let Some(value) = self.value(&path, table.columns[at].kind) {
                row[at] = value;
            }
        }
        for key in &table.key {
            if !change.row.contains_key(key.as_str()) {
                let fault = Fault::MissingKey { key: key.to_string(), parent: format!("{path}.row") };
                let hint = "every change names the key of its row, a delete too".to_owned();
                self.push(fault, &format!("{path}.row"), Some(hint));
            }
        }
        let Some(Value::Timestamp(at)) = at else { return None };
        let key = table.key_indexes().into_iter().map(|i| row[i].clone()).collect();
        let op = match change.op {
            OpWord::R => Op::Read,
            OpWord::C => Op::Create,
            OpWord::U => Op::Update,
            OpWord::D => Op::Delete,
        };
        Some(Change {
            table: table.name.clone(),
            key,
            op,
            order_key: log_position(at, index),
            source_ts: at,
            row: Some(row),
        })
    }

    fn expected(&mut self, cells: &BTreeMap<String, CellFile>, path: &str) -> ExpectedRow {
        let columns = self.model.table_columns();
        let mut found: Vec<(usize, Expected)> = Vec::new();
        for (name, cell) in cells {
            let path = format!("{path}.{name}");
            let of = format!("table `{}`", self.model.name);
            let Some(at) = self.position(&columns, name, of, &path) else { continue };
            let expected = match cell {
                CellFile::Value => self.value(&path, columns[at].kind).map(Expected::Is),
                CellFile::Row(row) => self.member(name, row, &path),
            };
            found.extend(expected.map(|expected| (at, expected)));
        }
        if cells.is_empty() {
            let reason = "a row without columns matches every row".to_owned();
            self.push(Fault::BadValue { path: path.to_owned(), reason }, path, None);
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(at, expected)| (columns[at].name.clone(), expected)).collect()
    }

    /// A mapping in the place of a surrogate key: columns of the version that it must lead to.
    fn member(&mut self, column: &str, row: &BTreeMap<String, CellFile>, path: &str) -> Option<Expected> {
        let pointers = match &self.model.kind {
            ModelKind::Fact { dimensions, .. } => dimensions.as_slice(),
            _ => &[],
        };
        let pointer = pointers.iter().find(|pointer| pointer.key_column.as_str() == column);
        let models = self.models;
        let dimension = pointer.and_then(|pointer| models.iter().find(|model| model.name == pointer.dimension));
        let Some(dimension) = dimension else {
            let reason = format!("`{column}` points to no dimension");
            let hint = "only a fact's key column takes a mapping: columns of the version that it leads to".to_owned();
            self.push(Fault::BadValue { path: path.to_owned(), reason }, path, Some(hint));
            return None;
        };
        let columns = dimension.table_columns();
        let mut found = Vec::new();
        for name in row.keys() {
            let path = format!("{path}.{name}");
            let of = format!("table `{}`", dimension.name);
            let Some(at) = self.position(&columns, name, of, &path) else { continue };
            found.extend(self.value(&path, columns[at].kind).map(|value| (at, value)));
        }
        found.sort_by_key(|(at, _)| *at);
        let row = found.into_iter().map(|(at, value)| (columns[at].name.clone(), value)).collect();
        Some(Expected::Member { dimension: dimension.name.clone(), row })
    }

    fn position(&mut self, columns: &[Column], name: &str, of: String, path: &str) -> Option<usize> {
        let found = columns.iter().position(|column| column.name.as_str() == name);
        if found.is_none() {
            let hint = suggest(name, columns.iter().map(|column| column.name.as_str()));
            self.push(Fault::UnknownColumn { column: name.to_owned(), of }, path, hint);
        }
        found
    }

    /// A scalar as it is written (`0123` keeps its zero), read by its column's type.
    fn value(&mut self, path: &str, kind: ColumnType) -> Option<Value> {
        let (node, _) = self.yaml.document.root.nearest(&steps(path));
        // Another shape was refused by the schema.
        let Yaml::Scalar { text, plain } = &node.value else { return None };
        if ScalarKind::of(text, *plain) == ScalarKind::Null {
            return Some(Value::Null);
        }
        match parse_literal(text, kind) {
            Ok(value) => Some(value),
            Err(reason) => {
                let fault = Fault::BadLiteral { literal: text.clone(), kind: kind.to_string(), reason };
                self.push(fault, path, None);
                None
            }
        }
    }
}

/// A place in a log that sorts as time does, and then as the list does.
fn log_position(at: i64, index: usize) -> weir_core::order_key::OrderKey {
    let [a, b, c, d, e, f, g, h] = (at ^ i64::MIN).to_be_bytes();
    // A list of more than 65535 changes in a YAML file is no unit test.
    let [i, j] = u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes();
    let lsn = Lsn([a, b, c, d, e, f, g, h, i, j]);
    SqlServerPosition { commit_lsn: lsn, change_lsn: Some(lsn), serial: 1 }.into()
}
