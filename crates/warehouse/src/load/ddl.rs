//! Tables of the star schema in Redshift's DDL, from the project's models.

use std::ops::ControlFlow;

use sqlparser::ast::{Ident, ObjectNamePart, visit_relations_mut};
use sqlparser::dialect::RedshiftSqlDialect;
use sqlparser::parser::Parser;
use weir_project::{Model, ModelKind, Project};

use crate::script::{ident, list, qualified, redshift_type};

/// A column as the warehouse declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Redshift's type.
    pub kind: String,
    /// NOT NULL.
    pub required: bool,
}

/// Columns of a curated table, in the order in which its change sets hold them.
pub fn columns(model: &Model) -> Vec<Column> {
    let declared = |column: weir_core::column::Column| Column {
        name: column.name.to_string(),
        kind: redshift_type(column.kind),
        required: !column.nullable,
    };
    model.table_columns().into_iter().map(declared).collect()
}

/// Columns by which a change set and the table hold one row each.
pub fn key(model: &Model) -> Vec<String> {
    match &model.kind {
        ModelKind::Dimension { surrogate_key, .. } => vec![surrogate_key.to_string()],
        ModelKind::Fact { .. } | ModelKind::DateDimension | ModelKind::Aggregate { .. } | ModelKind::View { .. } => {
            model.key.iter().map(ToString::to_string).collect()
        }
    }
}

/// Everything that a project needs: [`ledger`], then [`star`].
pub fn whole(project: &Project) -> String {
    ledger().to_owned() + &star(project)
}

/// The schemas, the load ledger and the check.
pub fn ledger() -> &'static str {
    "CREATE SCHEMA IF NOT EXISTS staging;
CREATE SCHEMA IF NOT EXISTS analytics;
CREATE TABLE IF NOT EXISTS staging.load_ledger (
    build BIGINT NOT NULL,
    table_name VARCHAR(127) NOT NULL,
    version BIGINT NOT NULL,
    upserts BIGINT NOT NULL,
    deletes BIGINT NOT NULL,
    loaded_at TIMESTAMP NOT NULL
) DISTSTYLE ALL SORTKEY(build);
CREATE TABLE IF NOT EXISTS staging.load_check (
    passed VARCHAR(127) NOT NULL
) DISTSTYLE ALL;
"
}

/// Takes tables away that are made anew in the same transaction, with the project's views: none may stand on a table
/// that goes, and their columns may change with it.
pub fn drops(project: &Project, tables: &[&str]) -> String {
    let mut text = String::new();
    for view in project.models.iter().rev().filter(is_view) {
        text.push_str(&format!("DROP VIEW IF EXISTS {};\n", qualified("analytics", view.name.as_str())));
    }
    for name in tables {
        let (table, load) = (qualified("analytics", name), qualified("staging", &format!("load_{name}")));
        text.push_str(&format!("DROP TABLE IF EXISTS {table};\nDROP TABLE IF EXISTS {load};\n"));
    }
    text
}

fn is_view(model: &&Model) -> bool {
    matches!(model.kind, ModelKind::View { .. })
}

/// Per model its table and its load table, where they are missing, and the views.
pub fn star(project: &Project) -> String {
    let mut text = String::new();
    for model in project.models.iter().filter(|model| !is_view(model)) {
        text.push_str(&tables(model));
    }
    for model in project.models.iter().filter(is_view) {
        text.push_str(&view(model));
    }
    text
}

/// The view's query, with the tables where the warehouse has them.
fn view(model: &Model) -> String {
    let name = qualified("analytics", model.name.as_str());
    let query = model.sql.as_ref().map_or("", |sql| sql.text.as_str());
    let Ok(mut statements) = Parser::parse_sql(&RedshiftSqlDialect {}, query) else { return String::new() };
    let _: ControlFlow<()> = visit_relations_mut(&mut statements, |table| {
        if let Some(ObjectNamePart::Identifier(schema)) = table.0.first_mut() {
            *schema = Ident::new("analytics");
        }
        ControlFlow::Continue(())
    });
    statements.first().map(|query| format!("CREATE OR REPLACE VIEW {name} AS\n{query};\n")).unwrap_or_default()
}

fn tables(model: &Model) -> String {
    let name = model.name.as_str();
    let columns = columns(model);
    let key = key(model);
    let line = |column: &Column, required: bool| {
        format!("    {} {}{}", ident(&column.name), column.kind, if required { " NOT NULL" } else { "" })
    };
    let table: Vec<String> = columns.iter().map(|column| line(column, column.required)).collect();
    let load: Vec<String> = columns.iter().map(|column| line(column, false)).collect();
    let first = key.first().map(|key| ident(key)).unwrap_or_default();
    // A merge joins on the key, so both tables are spread by it; a small dimension of dates is everywhere.
    let spread = match model.kind {
        ModelKind::DateDimension => "DISTSTYLE ALL".to_owned(),
        _ => format!("DISTKEY({first})"),
    };
    let sort = match &model.kind {
        ModelKind::Dimension { .. } | ModelKind::Aggregate { .. } => list(model.key.iter().map(AsRef::as_ref)),
        ModelKind::Fact { .. } | ModelKind::View { .. } => "event_time".to_owned(),
        ModelKind::DateDimension => first,
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
{}
) {spread} SORTKEY({sort});
CREATE TABLE IF NOT EXISTS {} (
{},
    _change VARCHAR(1)
) {spread};
",
        qualified("analytics", name),
        table.join(",\n"),
        qualified("staging", &format!("load_{name}")),
        load.join(",\n"),
    )
}
