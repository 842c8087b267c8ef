//! From sources and contracts to tables: names, keys, types, rules and cleaning queries held to each other.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::column::{Column, ColumnType};
use weir_core::name::{Identifier, TableName};

use crate::check_rule;
use crate::error::{Fault, Place, Problem, suggest};
use crate::file::{ConnectorWord, ContractFile, SchemaChangesWord, SourceFile};
use crate::model::SqlFile;
use crate::sql;
use crate::table::{Connector, ConnectorKind, SchemaChanges, Table};
use crate::yaml::Document;

/// A file that was read: its tree for places, its value for content.
pub(crate) struct Typed<T> {
    pub document: Document,
    pub value: T,
}

/// What `sources/`, `contracts/` and `models/staging/` hold. `None` where a file could not be read.
pub(crate) struct TableFiles {
    pub sources: Vec<Typed<SourceFile>>,
    pub contracts: BTreeMap<String, Option<Typed<ContractFile>>>,
    pub cleaning: BTreeMap<String, SqlFile>,
    /// A source could not be read, so its tables are not known.
    pub source_missing: bool,
}

/// The tables that are right, and the names of those that are declared and not right.
pub(crate) struct Tables {
    pub tables: Vec<Table>,
    pub broken: BTreeSet<String>,
}

/// Checks all tables; every problem is pushed.
pub(crate) fn check(files: &TableFiles, problems: &mut Vec<Problem>) -> Tables {
    let declared = declared_tables(files, problems);
    orphans(files, &declared, problems);
    let mut broken = BTreeSet::new();
    let mut tables = Vec::new();
    for (name, topic, connector) in declared {
        match files.contracts.get(name.as_str()) {
            Some(Some(contract)) => {
                let before = problems.len();
                let columns = columns(contract, problems);
                let key = key(contract, &name, &columns, problems);
                if problems.len() > before {
                    broken.insert(name.to_string());
                }
                let pii = contract.value.columns.iter().filter(|c| c.pii).filter_map(|c| c.name.parse().ok()).collect();
                tables.push(Table {
                    name,
                    topic,
                    connector,
                    columns,
                    key,
                    pii,
                    expectations: Vec::new(),
                    schema_changes: match contract.value.schema_changes {
                        None | Some(SchemaChangesWord::Evolve) => SchemaChanges::Evolve,
                        Some(SchemaChangesWord::Hold) => SchemaChanges::Hold,
                        Some(SchemaChangesWord::Stop) => SchemaChanges::Stop,
                    },
                    staging_sql: None,
                });
            }
            // Its own problems were reported when it was read, or its absence with the source.
            Some(None) | None => {
                broken.insert(name.to_string());
            }
        }
    }
    let known = Tables { tables: tables.clone(), broken };
    for table in &mut tables {
        if let Some(Some(contract)) = files.contracts.get(table.name.as_str()) {
            table.expectations = check_rule::expectations(contract, table, &known, problems);
        }
        let whole = !known.broken.contains(table.name.as_str());
        if let Some(file) = files.cleaning.get(table.name.as_str()).filter(|_| whole) {
            cleaning(file, table, problems);
            table.staging_sql = Some(file.clone());
        }
    }
    Tables { tables, broken: known.broken }
}

fn declared_tables(files: &TableFiles, problems: &mut Vec<Problem>) -> Vec<(TableName, String, Connector)> {
    let mut out: Vec<(TableName, String, Connector)> = Vec::new();
    for source in &files.sources {
        let SourceFile { connector, server, database, schema, topic, tables } = &source.value;
        let place = |path: &str| source.document.place_of(path);
        for (path, text) in [("server", server), ("database", database), ("schema", schema)] {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
            if text.is_empty() || !text.bytes().all(allowed) {
                let reason = format!("`{text}` is no name: use letters, digits, `_` and `-`");
                problems.push(Problem::new(Fault::BadValue { path: path.into(), reason }, place(path)));
            }
        }
        let pattern = topic.clone().unwrap_or_else(|| format!("{server}.{{table}}.cdc"));
        let topic_letters =
            pattern.replace("{table}", "").bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !pattern.contains("{table}") || !topic_letters || pattern.len() > 140 {
            let reason = "a topic name has `{table}` in it, and else only letters, digits, `.`, `_` and `-`".into();
            problems.push(Problem::new(Fault::BadValue { path: "topic".into(), reason }, place("topic")));
        }
        for (index, name) in tables.iter().enumerate() {
            let path = format!("tables[{index}]");
            let Some(name) = identifier(name, &path, &place(&path), problems) else {
                continue;
            };
            if out.iter().any(|(other, ..)| *other == name) {
                let fault = Fault::Duplicate { what: "table", name: name.to_string() };
                problems.push(Problem::new(fault, place(&path)));
                continue;
            }
            if !files.contracts.contains_key(name.as_str()) {
                let hint = suggest(name.as_str(), files.contracts.keys().map(String::as_str))
                    .filter(|hint| hint.starts_with("did"))
                    .unwrap_or_else(|| format!("write `contracts/{name}.yaml`, or remove the table"));
                problems.push(Problem::new(Fault::NoContract(name.to_string()), place(&path)).hint(Some(hint)));
            }
            let topic = pattern.replace("{table}", name.as_str());
            if out.iter().any(|(_, other, _)| *other == topic) {
                problems.push(Problem::new(Fault::Duplicate { what: "topic", name: topic.clone() }, place(&path)));
            }
            let (server, database, schema) = (server.clone(), database.clone(), schema.clone());
            let kind = match connector {
                ConnectorWord::Sqlserver => ConnectorKind::SqlServer,
                ConnectorWord::Postgresql => ConnectorKind::Postgres,
            };
            out.push((name, topic, Connector { kind, server, database, schema }));
        }
    }
    out
}

/// Contracts and cleaning queries of tables that no source lists would do nothing.
fn orphans(files: &TableFiles, declared: &[(TableName, String, Connector)], problems: &mut Vec<Problem>) {
    if files.source_missing {
        return;
    }
    let names = || declared.iter().map(|(name, ..)| name.as_str());
    let contracts = files.contracts.keys().map(|name| (name, format!("contracts/{name}.yaml")));
    let cleaning = files.cleaning.iter().map(|(name, file)| (name, file.path.display().to_string()));
    for (name, file) in contracts.chain(cleaning) {
        if !names().any(|declared| declared == name) {
            let problem = Problem::new(Fault::UnknownTable(name.clone()), Place::whole(file));
            problems.push(problem.hint(suggest(name, names()).filter(|hint| hint.starts_with("did"))));
        }
    }
}

/// A text as a name; `_` in front is kept for Weir's own columns.
pub(crate) fn identifier(text: &str, path: &str, place: &Place, problems: &mut Vec<Problem>) -> Option<Identifier> {
    let reason = match text.parse::<Identifier>() {
        Ok(name) if !text.starts_with('_') => return Some(name),
        Ok(_) => format!("`{text}` begins with `_`, which is kept for Weir's own columns"),
        Err(error) => error.to_string(),
    };
    problems.push(Problem::new(Fault::BadValue { path: path.to_owned(), reason }, place.clone()));
    None
}

/// A text as a column type.
pub(crate) fn column_type(text: &str, path: &str, place: &Place, problems: &mut Vec<Problem>) -> Option<ColumnType> {
    match text.parse() {
        Ok(kind) => Some(kind),
        Err(error) => {
            let fault = Fault::BadValue { path: path.to_owned(), reason: format!("`{text}` is no column type") };
            let all = error.to_string();
            let hint = all.split_once(": ").map(|(_, use_these)| use_these.to_owned());
            problems.push(Problem::new(fault, place.clone()).hint(hint));
            None
        }
    }
}

fn columns(contract: &Typed<ContractFile>, problems: &mut Vec<Problem>) -> Vec<Column> {
    let mut out: Vec<Column> = Vec::new();
    for (index, column) in contract.value.columns.iter().enumerate() {
        let path = |key: &str| format!("columns[{index}].{key}");
        let place = |key: &str| contract.document.place_of(&path(key));
        let name = identifier(&column.name, &path("name"), &place("name"), problems);
        let kind = column_type(&column.kind, &path("type"), &place("type"), problems);
        let (Some(name), Some(kind)) = (name, kind) else {
            continue;
        };
        if out.iter().any(|other| other.name == name) {
            let fault = Fault::Duplicate { what: "column", name: name.to_string() };
            problems.push(Problem::new(fault, place("name")));
            continue;
        }
        out.push(Column { name, kind, nullable: column.nullable });
    }
    out
}

fn key(
    contract: &Typed<ContractFile>,
    table: &TableName,
    columns: &[Column],
    problems: &mut Vec<Problem>,
) -> Vec<Identifier> {
    let mut out: Vec<Identifier> = Vec::new();
    for (index, name) in contract.value.key.iter().enumerate() {
        let path = format!("key[{index}]");
        let place = contract.document.place_of(&path);
        match columns.iter().find(|column| column.name.as_str() == name) {
            // A column of that name that is itself wrong was reported there.
            None if contract.value.columns.iter().any(|column| column.name == *name) => {}
            None => {
                let fault = Fault::KeyIsNoColumn { key: name.clone(), of: format!("table `{table}`") };
                let hint = suggest(name, columns.iter().map(|column| column.name.as_str()));
                problems.push(Problem::new(fault, place).hint(hint));
            }
            Some(column) if out.contains(&column.name) => {
                problems.push(Problem::new(Fault::Duplicate { what: "key column", name: name.clone() }, place));
            }
            Some(column) if column.nullable => {
                let fault = Fault::BadValue { path, reason: format!("key column `{name}` is nullable") };
                let hint = "a primary key holds no NULL: remove `nullable: true` from the column".to_owned();
                problems.push(Problem::new(fault, place).hint(Some(hint)));
            }
            Some(column) => out.push(column.name.clone()),
        }
    }
    out
}

/// Whether equal values of two types have equal texts.
pub(crate) fn comparable(a: ColumnType, b: ColumnType) -> bool {
    let whole =
        |kind| matches!(kind, ColumnType::TinyInt | ColumnType::SmallInt | ColumnType::Int | ColumnType::BigInt);
    match (a, b) {
        (ColumnType::Text { .. }, ColumnType::Text { .. }) => true,
        (ColumnType::VarBinary { .. }, ColumnType::VarBinary { .. }) => true,
        (
            ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset,
            ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset,
        ) => true,
        (ColumnType::Decimal { scale: a, .. }, ColumnType::Decimal { scale: b, .. }) => a == b,
        (a, b) => a == b || (whole(a) && whole(b)),
    }
}

/// A cleaning query gives the contract's columns again: same names, same order, keys untouched, no row less.
fn cleaning(file: &SqlFile, table: &Table, problems: &mut Vec<Problem>) {
    let path = file.path.display().to_string();
    let query = match sql::read(&path, &file.text) {
        Ok(query) => query,
        Err(found) => return problems.extend(found),
    };
    if query.schema != "landing" || query.table != table.name.as_str() {
        let what = format!("a cleaning query over `{}.{}`", query.schema, query.table);
        let hint = format!("read `FROM landing.\"{}\"`", table.name);
        problems.push(Problem::new(Fault::SqlNotRowWise(what), query.table_place.clone()).hint(Some(hint)));
    }
    if let Some(place) = &query.filter {
        let hint = "use an expectation with severity quarantine, which loses nothing".to_owned();
        let fault = Fault::SqlNotRowWise("WHERE in a cleaning query, which would drop changes,".into());
        problems.push(Problem::new(fault, place.clone()).hint(Some(hint)));
    }
    unknown_inputs(&query, table, "landing", problems);
    for output in &query.outputs {
        let is_key = table.key.iter().any(|key| key.as_str() == output.name);
        if is_key && output.bare.as_deref() != Some(output.name.as_str()) {
            let fault = Fault::SqlNotRowWise(format!("a changed key column `{}`", output.name));
            let hint = "select it as it is; a cleaned key would no longer match its deletes".to_owned();
            problems.push(Problem::new(fault, output.place.clone()).hint(Some(hint)));
        }
    }
    let wanted: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let given: Vec<&str> = query.outputs.iter().map(|output| output.name.as_str()).collect();
    if wanted != given {
        let fault = Fault::ColumnsDiffer(format!(
            "the query gives ({}), the contract of `{}` has ({})",
            given.join(", "),
            table.name,
            wanted.join(", ")
        ));
        let hint = "give every column of the contract, in its order".to_owned();
        problems.push(Problem::new(fault, Place::whole(path)).hint(Some(hint)));
    }
}

/// Columns that a query names and its table lacks.
pub(crate) fn unknown_inputs(query: &sql::RowQuery, table: &Table, schema: &str, problems: &mut Vec<Problem>) {
    for (name, place) in &query.inputs {
        if table.column(name).is_none() {
            let of = format!("table `{schema}.{}`", table.name);
            let fault = Fault::UnknownColumn { column: name.clone(), of };
            let hint = suggest(name, table.columns.iter().map(|column| column.name.as_str()));
            problems.push(Problem::new(fault, place.clone()).hint(hint));
        }
    }
}
