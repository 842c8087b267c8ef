//! Statements that the parser reads as a tree: checked as written, rewritten, then printed for the engine.

use sqlparser::ast::{
    AlterTableOperation, DescribeAlias, FromTable, ObjectType, RenameTableNameKind, SchemaName, Statement as Ast,
};

use super::create_table::name_of;
use super::rewrite::{self, Names};
use super::text::{Cursor, Piece, quoted};
use super::{Dropped, Statement, merge, syntax, types};
use crate::error::WarehouseError;

/// Checks and rewrites.
pub fn parse(piece: &Piece, names: &Names, title: &str) -> Result<Statement, WarehouseError> {
    if title.starts_with("MERGE") && Cursor::new(piece).ends_with("remove duplicates") {
        return Err(WarehouseError::unsupported("MERGE .. REMOVE DUPLICATES"));
    }
    let mut tree = syntax(piece.tokens.clone())?;
    check(&tree, title)?;
    rewrite::rewrite(&mut tree, names)?;
    finish(tree, title)
}

/// What must be seen before the tree is rewritten.
fn check(tree: &Ast, title: &str) -> Result<(), WarehouseError> {
    match tree {
        Ast::Merge(merge) => merge::check(merge),
        Ast::Insert(insert) => {
            let odd = insert.or.is_some()
                || insert.ignore
                || insert.overwrite
                || insert.replace_into
                || insert.partitioned.is_some()
                || insert.table_alias.is_some()
                || !insert.into
                || insert.source.is_none();
            if odd {
                return Err(WarehouseError::unsupported("this form of INSERT"));
            }
            Ok(())
        }
        Ast::Update(update) => {
            if update.or.is_some() || update.limit.is_some() || !update.table.joins.is_empty() {
                return Err(WarehouseError::unsupported("this form of UPDATE"));
            }
            Ok(())
        }
        Ast::Delete(delete) => {
            let from = match &delete.from {
                FromTable::WithFromKeyword(from) => from,
                FromTable::WithoutKeyword(_) => return Err(WarehouseError::unsupported("DELETE without FROM")),
            };
            if !delete.tables.is_empty() || delete.limit.is_some() || !delete.order_by.is_empty() || from.len() != 1 {
                return Err(WarehouseError::unsupported("this form of DELETE"));
            }
            Ok(())
        }
        Ast::Query(_)
        | Ast::CreateView(_)
        | Ast::CreateSchema { .. }
        | Ast::Drop { .. }
        | Ast::AlterTable(_)
        | Ast::Truncate(_)
        | Ast::Explain { .. } => Ok(()),
        _ => Err(WarehouseError::unsupported(format!("statement {title}"))),
    }
}

fn finish(tree: Ast, title: &str) -> Result<Statement, WarehouseError> {
    Ok(match tree {
        Ast::Query(query) => Statement::Query(query.to_string()),
        Ast::Insert(insert) => Statement::Insert(insert.to_string()),
        Ast::Update(update) => Statement::Update(update.to_string()),
        Ast::Delete(delete) => Statement::Delete(delete.to_string()),
        Ast::Merge(tree) => Statement::Merge(merge::build(&tree)?),
        Ast::Truncate(truncate) => match truncate.table_names.as_slice() {
            [target] => Statement::Truncate(name_of(&target.name)?),
            _ => return Err(WarehouseError::unsupported("TRUNCATE of several tables")),
        },
        Ast::Explain { describe_alias: DescribeAlias::Explain, analyze: false, statement, .. } => match *statement {
            Ast::Query(query) => Statement::Explain(format!("EXPLAIN {query}")),
            _ => return Err(WarehouseError::unsupported("EXPLAIN of anything but a query")),
        },
        Ast::Explain { .. } => return Err(WarehouseError::unsupported("this form of EXPLAIN")),
        Ast::CreateView(view) => {
            if view.materialized || view.temporary || view.if_not_exists || !view.columns.is_empty() {
                return Err(WarehouseError::unsupported("this form of CREATE VIEW"));
            }
            let or_replace = if view.or_replace { "OR REPLACE " } else { "" };
            let name = name_of(&view.name)?;
            Statement::Define {
                sql: format!(
                    "CREATE {or_replace}VIEW {}.{} AS {}",
                    quoted(name.schema_or_default()),
                    quoted(&name.name),
                    view.query
                ),
                tag: "CREATE VIEW",
                dropped: Vec::new(),
            }
        }
        Ast::CreateSchema { schema_name, if_not_exists, with: None, options: None, .. } => {
            let SchemaName::Simple(name) = schema_name else {
                return Err(WarehouseError::unsupported("CREATE SCHEMA .. AUTHORIZATION"));
            };
            let name = name_of(&name)?.name;
            if name.starts_with("weir_") || name.starts_with("pg_") {
                return Err(WarehouseError::unsupported(format!("schema {name} (names that begin so are its own)")));
            }
            let exists = if if_not_exists { "IF NOT EXISTS " } else { "" };
            Statement::Define {
                sql: format!("CREATE SCHEMA {exists}{}", quoted(&name)),
                tag: "CREATE SCHEMA",
                dropped: Vec::new(),
            }
        }
        Ast::Drop { object_type, if_exists, names, cascade, .. } => {
            drop_objects(object_type, if_exists, &names, cascade)?
        }
        Ast::AlterTable(alter) => alter_table(&alter)?,
        _ => return Err(WarehouseError::unsupported(format!("statement {title}"))),
    })
}

fn drop_objects(
    kind: ObjectType,
    if_exists: bool,
    names: &[sqlparser::ast::ObjectName],
    cascade: bool,
) -> Result<Statement, WarehouseError> {
    let (word, tag) = match kind {
        ObjectType::Table => ("TABLE", "DROP TABLE"),
        ObjectType::View => ("VIEW", "DROP VIEW"),
        ObjectType::Schema => ("SCHEMA", "DROP SCHEMA"),
        other => return Err(WarehouseError::unsupported(format!("DROP {other}"))),
    };
    let mut sql = Vec::new();
    let mut dropped = Vec::new();
    for name in names {
        let name = name_of(name)?;
        let exists = if if_exists { "IF EXISTS " } else { "" };
        let cascade = if cascade { " CASCADE" } else { "" };
        sql.push(format!("DROP {word} {exists}{}{cascade}", name.sql()));
        dropped.push(if word == "SCHEMA" { Dropped::Schema(name.name) } else { Dropped::Relation(name) });
    }
    Ok(Statement::Define { sql: sql.join("; "), tag, dropped })
}

fn alter_table(alter: &sqlparser::ast::AlterTable) -> Result<Statement, WarehouseError> {
    let [operation] = alter.operations.as_slice() else {
        return Err(WarehouseError::unsupported("several changes in one ALTER TABLE"));
    };
    let table = name_of(&alter.name)?.sql();
    let change = match operation {
        AlterTableOperation::AddColumn { column_def, if_not_exists: false, column_position: None, .. } => {
            let kind = types::column_type(&column_def.data_type.to_string())?;
            let mut text = format!("ADD COLUMN {} {}", quoted(&column_def.name.value.to_lowercase()), kind.engine);
            for option in &column_def.options {
                match &option.option {
                    sqlparser::ast::ColumnOption::Null => {}
                    sqlparser::ast::ColumnOption::Default(default) => text.push_str(&format!(" DEFAULT ({default})")),
                    other => {
                        return Err(WarehouseError::unsupported(format!("column attribute {other} in ADD COLUMN")));
                    }
                }
            }
            text
        }
        AlterTableOperation::DropColumn { column_names, if_exists: false, .. } => match column_names.as_slice() {
            [column] => format!("DROP COLUMN {}", quoted(&column.value.to_lowercase())),
            _ => return Err(WarehouseError::unsupported("DROP of several columns")),
        },
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => format!(
            "RENAME COLUMN {} TO {}",
            quoted(&old_column_name.value.to_lowercase()),
            quoted(&new_column_name.value.to_lowercase())
        ),
        AlterTableOperation::RenameTable { table_name: RenameTableNameKind::To(name) } => {
            format!("RENAME TO {}", quoted(&name_of(name)?.name))
        }
        other => return Err(WarehouseError::unsupported(format!("ALTER TABLE {other}"))),
    };
    Ok(Statement::Define { sql: format!("ALTER TABLE {table} {change}"), tag: "ALTER TABLE", dropped: Vec::new() })
}
