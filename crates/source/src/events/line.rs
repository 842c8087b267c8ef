//! One line of an events file, held strictly to its table's contract.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value as Json;
use weir_core::change::Op;
use weir_core::value::{Row, Value};
use weir_project::Table;

use super::value;
use crate::error::SourceError;

/// Where a problem is.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub path: &'a Path,
    pub line: u64,
}

/// A line that is right.
pub(super) struct EventLine {
    /// Index in the project's tables.
    pub table: usize,
    pub op: Op,
    pub before: Option<Row>,
    pub after: Option<Row>,
    /// Microseconds since 1970 UTC.
    pub time: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    table: String,
    op: String,
    #[serde(default)]
    before: Option<Columns>,
    #[serde(default)]
    after: Option<Columns>,
    time: String,
}

/// An object whose repeated names are refused; a map would keep the last one silently.
struct Columns(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the row's columns")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut entries: Vec<(String, Json)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a column is named twice"));
                    }
                    entries.push((name, value));
                }
                Ok(Columns(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Reads and checks a line.
pub(super) fn read(text: &[u8], at: At<'_>, tables: &[Table]) -> Result<EventLine, SourceError> {
    let path = || at.path.to_owned();
    let line: Text = serde_json::from_slice(text).map_err(|source| SourceError::NotAnEvent {
        path: path(),
        line: at.line,
        source,
    })?;
    let table = tables.iter().position(|table| table.name.as_str() == line.table).ok_or_else(|| {
        let known = tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ");
        SourceError::EventTable { path: path(), line: at.line, table: line.table.clone(), known }
    })?;
    let shape = |problem| SourceError::EventShape { path: path(), line: at.line, op: line.op.clone(), problem };
    let op = Op::from_letter(&line.op).ok_or_else(|| shape("is none of c, u, d, r, t"))?;
    match (op, &line.before, &line.after) {
        (Op::Create | Op::Read, Some(_), _) => return Err(shape("must not have `before`")),
        (Op::Create | Op::Read | Op::Update, _, None) => return Err(shape("needs `after`")),
        (Op::Delete, None, _) => return Err(shape("needs `before`")),
        (Op::Delete, _, Some(_)) => return Err(shape("must not have `after`")),
        (Op::Truncate, Some(_), _) | (Op::Truncate, _, Some(_)) => return Err(shape("must not have a row")),
        _ => {}
    }
    let time = value::time(&line.time).map_err(|problem| SourceError::BadValue {
        path: path(),
        line: at.line,
        column: "time".to_owned(),
        problem,
    })?;
    let row = |columns: Option<Columns>| columns.map(|columns| row(columns, at, &tables[table])).transpose();
    Ok(EventLine { table, op, before: row(line.before)?, after: row(line.after)?, time })
}

fn row(columns: Columns, at: At<'_>, table: &Table) -> Result<Row, SourceError> {
    let mut row: Vec<Option<Value>> = vec![None; table.columns.len()];
    let wrong = |column: &str, problem: String| SourceError::EventColumn {
        path: at.path.to_owned(),
        line: at.line,
        column: column.to_owned(),
        problem,
    };
    for (name, json) in columns.0 {
        let Some(index) = table.column_index(&name) else {
            let known = table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(wrong(&name, format!("is no column of `{}`; it has {known}", table.name)));
        };
        let value = value::read(&json, table.columns[index].kind).map_err(|problem| SourceError::BadValue {
            path: at.path.to_owned(),
            line: at.line,
            column: name,
            problem,
        })?;
        row[index] = Some(value);
    }
    let mut values = Vec::with_capacity(row.len());
    for (value, column) in row.into_iter().zip(&table.columns) {
        let value = value.unwrap_or(Value::Null);
        if value.is_null() && !column.nullable {
            return Err(wrong(column.name.as_str(), format!("must have a value in `{}`", table.name)));
        }
        values.push(value);
    }
    Ok(values)
}
