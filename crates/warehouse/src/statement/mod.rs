//! From Redshift's text to a checked statement: parse, refuse what Redshift or the double does not take,
//! rewrite the rest for the engine.
//!
//! Read first: [`Statement`], then [`parse`]; [`rewrite`] and [`functions`] hold the dialect.

pub mod copy;
pub mod create_table;
pub mod functions;
pub mod merge;
pub mod rewrite;
pub mod streaming;
pub mod text;
pub mod types;

use sqlparser::ast::{
    AlterTableOperation, DescribeAlias, FromTable, ObjectType, RenameTableNameKind, SchemaName, Statement as Ast,
};
use sqlparser::dialect::RedshiftSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::WarehouseError;
use crate::wire::catalog;
use copy::Copy;
use create_table::{CreateTable, name_of};
use merge::Merge;
use rewrite::Names;
use streaming::{ExternalFunction, ExternalSchema, StreamingView};
use text::{Cursor, Name, Piece, quoted};

/// One statement, checked. Texts are the engine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// BEGIN.
    Begin {
        /// READ ONLY.
        read_only: bool,
    },
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SELECT, VALUES, WITH.
    Query(String),
    /// A client's question about the catalog, answered from `weir_pg`.
    CatalogQuery(String),
    /// EXPLAIN of a query.
    Explain(String),
    /// INSERT.
    Insert(String),
    /// UPDATE.
    Update(String),
    /// DELETE.
    Delete(String),
    /// TRUNCATE: removes all rows and commits, as in Redshift.
    Truncate(Name),
    /// MERGE.
    Merge(Merge),
    /// COPY.
    Copy(Copy),
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// CREATE EXTERNAL SCHEMA .. FROM KAFKA.
    CreateExternalSchema(ExternalSchema),
    /// CREATE MATERIALIZED VIEW over a topic.
    CreateStreamingView(StreamingView),
    /// REFRESH MATERIALIZED VIEW.
    Refresh(Name),
    /// CREATE EXTERNAL FUNCTION .. LAMBDA.
    CreateExternalFunction(ExternalFunction),
    /// Another change of the catalog: engine's text, command tag, and objects that go away.
    Define {
        /// The engine's text.
        sql: String,
        /// What the client is told, e.g. `CREATE VIEW`.
        tag: &'static str,
        /// Objects whose properties are forgotten.
        dropped: Vec<Dropped>,
    },
    /// SET of a session parameter.
    Set {
        /// Its name, lower case.
        name: String,
        /// Its value, without quotes.
        value: String,
    },
    /// SHOW of a session parameter.
    Show(String),
    /// ANALYZE, VACUUM: engine's text and tag.
    Maintain {
        /// The engine's text.
        sql: String,
        /// What the client is told.
        tag: &'static str,
    },
    /// DISCARD ALL, RESET ALL.
    Discard,
}

/// Something that a DROP or RENAME takes out of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// A table or a view.
    Relation(Name),
    /// A streaming view.
    StreamingView(Name),
    /// A schema, external or not.
    Schema(String),
}

/// Checks one statement and rewrites it.
pub fn parse(piece: &Piece, names: &Names) -> Result<Statement, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    let title = cursor.title();
    if let Some(statement) = transaction(piece)? {
        return Ok(statement);
    }
    if cursor.accept("copy") {
        return copy::parse(piece).map(Statement::Copy);
    }
    if cursor.accept("create external schema") {
        return streaming::external_schema(piece).map(Statement::CreateExternalSchema);
    }
    if cursor.accept("create external function") || cursor.accept("create or replace external function") {
        return streaming::external_function(piece).map(Statement::CreateExternalFunction);
    }
    if cursor.accept("create materialized view") {
        return streaming::streaming_view(piece).map(Statement::CreateStreamingView);
    }
    if cursor.accept("refresh materialized view") {
        return streaming::refresh(piece).map(Statement::Refresh);
    }
    if cursor.accept("drop materialized view") {
        return drop_streaming_view(cursor);
    }
    if create_table::begins(piece) {
        return create_table::parse(piece, names).map(Statement::CreateTable);
    }
    if cursor.accept("set") {
        return set(cursor);
    }
    if cursor.accept("show") {
        return show(cursor);
    }
    if cursor.accept("reset") || cursor.accept("discard") {
        cursor.expect("all")?;
        cursor.end()?;
        return Ok(Statement::Discard);
    }
    if cursor.accept("analyze") {
        return maintain(cursor, "ANALYZE");
    }
    if cursor.accept("vacuum") {
        return maintain(cursor, "VACUUM");
    }
    refuse_by_title(&cursor)?;
    if catalog::asks(piece) {
        return Ok(Statement::CatalogQuery(catalog::rewrite(piece)));
    }
    general(piece, names, &title)
}

fn transaction(piece: &Piece) -> Result<Option<Statement>, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    let statement = if cursor.accept("begin") || cursor.accept("start transaction") {
        let _ = cursor.accept("transaction") || cursor.accept("work");
        let mut read_only = false;
        while !cursor.done() {
            let known = cursor.accept("isolation level serializable")
                || cursor.accept("isolation level snapshot")
                || cursor.accept("isolation level read committed")
                || cursor.accept("isolation level read uncommitted")
                || cursor.accept("isolation level repeatable read")
                || cursor.accept("read write")
                || cursor.accept_token(&Token::Comma);
            if !known {
                if !cursor.accept("read only") {
                    return Err(cursor.wanted("a transaction mode"));
                }
                read_only = true;
            }
        }
        return Ok(Some(Statement::Begin { read_only }));
    } else if cursor.accept("commit") || cursor.accept("end") {
        Statement::Commit
    } else if cursor.accept("rollback") || cursor.accept("abort") {
        Statement::Rollback
    } else {
        return Ok(None);
    };
    let _ = cursor.accept("transaction") || cursor.accept("work");
    if cursor.accept("to") {
        return Err(WarehouseError::refused("SAVEPOINT", "transactions have no savepoints"));
    }
    cursor.end()?;
    Ok(Some(statement))
}

/// Statements that Redshift refuses or the double lacks, before the parser gets to say something less clear.
fn refuse_by_title(cursor: &Cursor<'_>) -> Result<(), WarehouseError> {
    let title = cursor.title();
    let begins = |words: &str| title == words || title.starts_with(&format!("{words} "));
    let refused = [
        ("CREATE INDEX", "it has no indexes; declare a SORTKEY"),
        ("CREATE UNIQUE INDEX", "it has no indexes; declare a SORTKEY"),
        ("CREATE TRIGGER", "it has no triggers"),
        ("CREATE SEQUENCE", "it has no sequences"),
        ("CREATE EXTENSION", "it has no extensions"),
        ("CREATE TYPE", "it has no types of one's own"),
        ("CREATE DOMAIN", "it has no domains"),
        ("CREATE RULE", "it has no rules"),
        ("SAVEPOINT", "transactions have no savepoints"),
        ("RELEASE", "transactions have no savepoints"),
        ("REPLACE INTO", "write a MERGE"),
        ("PRAGMA", "it is another database's"),
        ("ATTACH", "it is another database's"),
        ("INSTALL", "it is another database's"),
        ("LOAD", "it is another database's"),
    ];
    if let Some((what, rule)) = refused.iter().find(|(words, _)| begins(words)) {
        return Err(WarehouseError::refused(*what, rule));
    }
    let lacking = [
        "CREATE EXTERNAL TABLE",
        "CREATE FUNCTION",
        "CREATE OR REPLACE FUNCTION",
        "CREATE PROCEDURE",
        "CREATE OR REPLACE PROCEDURE",
        "CREATE USER",
        "CREATE GROUP",
        "CREATE ROLE",
        "CREATE DATABASE",
        "CREATE DATASHARE",
        "CREATE MODEL",
        "CREATE LIBRARY",
        "ALTER USER",
        "ALTER GROUP",
        "ALTER DATABASE",
        "ALTER SCHEMA",
        "ALTER MATERIALIZED",
        "GRANT",
        "REVOKE",
        "UNLOAD",
        "LOCK",
        "CALL",
        "COMMENT",
        "CANCEL",
        "DECLARE",
        "FETCH",
        "CLOSE",
        "PREPARE",
        "EXECUTE",
        "DEALLOCATE",
        "USE",
    ];
    match lacking.iter().find(|words| begins(words)) {
        Some(words) => Err(WarehouseError::unsupported(format!("statement {words}"))),
        None => Ok(()),
    }
}

fn general(piece: &Piece, names: &Names, title: &str) -> Result<Statement, WarehouseError> {
    if title.starts_with("MERGE") && Cursor::new(piece).ends_with("remove duplicates") {
        return Err(WarehouseError::unsupported("MERGE .. REMOVE DUPLICATES"));
    }
    let mut parser = Parser::new(&RedshiftSqlDialect {}).with_tokens_with_locations(piece.tokens.clone());
    let mut tree = parser.parse_statement().map_err(|error| WarehouseError::parser(&error))?;
    if parser.peek_token().token != Token::EOF {
        return Err(WarehouseError::syntax(format!("unexpected `{}`", parser.peek_token().token)));
    }
    check(&tree, title)?;
    rewrite::rewrite(&mut tree, names)?;
    finish(tree, title)
}

/// What must be seen before the tree is rewritten.
fn check(tree: &Ast, title: &str) -> Result<(), WarehouseError> {
    match tree {
        Ast::Merge(merge) => merge::check(merge),
        Ast::Insert(insert) => {
            if insert.on.is_some() {
                return Err(WarehouseError::refused("INSERT .. ON CONFLICT", "write a MERGE"));
            }
            if insert.returning.is_some() {
                return Err(WarehouseError::refused("RETURNING", "INSERT, UPDATE and DELETE give no rows"));
            }
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
            if update.returning.is_some() {
                return Err(WarehouseError::refused("RETURNING", "INSERT, UPDATE and DELETE give no rows"));
            }
            if update.or.is_some() || update.limit.is_some() || !update.table.joins.is_empty() {
                return Err(WarehouseError::unsupported("this form of UPDATE"));
            }
            Ok(())
        }
        Ast::Delete(delete) => {
            if delete.returning.is_some() {
                return Err(WarehouseError::refused("RETURNING", "INSERT, UPDATE and DELETE give no rows"));
            }
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
            _ => return Err(WarehouseError::refused("TRUNCATE of several tables", "one table at a time")),
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
                return Err(WarehouseError::refused(format!("schema {name}"), "names that begin with pg_ are its own"));
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

fn drop_streaming_view(mut cursor: Cursor<'_>) -> Result<Statement, WarehouseError> {
    let exists = if cursor.accept("if exists") { "IF EXISTS " } else { "" };
    let name = cursor.name()?;
    let _ = cursor.accept("restrict");
    cursor.end()?;
    Ok(Statement::Define {
        sql: format!("DROP TABLE {exists}{}", name.sql()),
        tag: "DROP MATERIALIZED VIEW",
        dropped: vec![Dropped::StreamingView(name)],
    })
}

fn alter_table(alter: &sqlparser::ast::AlterTable) -> Result<Statement, WarehouseError> {
    let [operation] = alter.operations.as_slice() else {
        return Err(WarehouseError::refused("several changes in one ALTER TABLE", "one change at a time"));
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
            _ => return Err(WarehouseError::refused("DROP of several columns", "one column at a time")),
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

fn set(mut cursor: Cursor<'_>) -> Result<Statement, WarehouseError> {
    let _ = cursor.accept("session");
    if cursor.accept("local") {
        return Err(WarehouseError::unsupported("SET LOCAL"));
    }
    if cursor.accept("time zone") {
        let value = setting(&mut cursor)?;
        return Ok(Statement::Set { name: "timezone".into(), value });
    }
    if cursor.accept("characteristics as transaction isolation level") {
        return Err(WarehouseError::unsupported("SET SESSION CHARACTERISTICS"));
    }
    let name = cursor.word("a parameter")?;
    if !(cursor.accept("to") || cursor.accept_token(&Token::Eq)) {
        return Err(cursor.wanted("TO or ="));
    }
    let value = setting(&mut cursor)?;
    Ok(Statement::Set { name, value })
}

fn setting(cursor: &mut Cursor<'_>) -> Result<String, WarehouseError> {
    let mut parts = Vec::new();
    while let Some(token) = cursor.take() {
        match token {
            Token::SingleQuotedString(text) => parts.push(text.clone()),
            Token::Word(word) => parts.push(word.value.clone()),
            Token::Number(number, _) => parts.push(number.clone()),
            Token::Comma => {}
            Token::Minus => parts.push("-".into()),
            other => return Err(WarehouseError::syntax(format!("unexpected `{other}` in SET"))),
        }
    }
    if parts.is_empty() { Err(WarehouseError::syntax("SET needs a value")) } else { Ok(parts.join(",")) }
}

fn show(mut cursor: Cursor<'_>) -> Result<Statement, WarehouseError> {
    let mut words = vec![cursor.word("a parameter")?];
    while !cursor.done() {
        words.push(cursor.word("a parameter")?);
    }
    let name = match words.join(" ").as_str() {
        "transaction isolation level" => "transaction_isolation".to_owned(),
        "time zone" => "timezone".to_owned(),
        other => other.to_owned(),
    };
    Ok(Statement::Show(name))
}

fn maintain(mut cursor: Cursor<'_>, tag: &'static str) -> Result<Statement, WarehouseError> {
    for words in ["full", "sort only", "delete only", "verbose"] {
        let _ = cursor.accept(words);
    }
    let table = if cursor.done() { String::new() } else { format!(" {}", cursor.name()?.sql()) };
    cursor.end()?;
    Ok(Statement::Maintain { sql: format!("{tag}{table}"), tag })
}
