//! From Redshift's text to a checked statement: refuse what Redshift ([`lint`](crate::lint)) or the double does not take,
//! rewrite the rest for the engine.
//!
//! Read first: [`Statement`], then [`parse`]; [`rewrite`] and [`functions`] hold the dialect.

mod column_name;
mod control;
pub mod copy;
pub mod create_table;
mod functions;
pub mod grant;
mod lacking;
pub mod merge;
mod quote;
pub mod rewrite;
pub mod streaming;
mod super_path;
pub mod text;
mod tree;
pub mod types;

use sqlparser::ast::Statement as Ast;
use sqlparser::dialect::RedshiftSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::WarehouseError;
use crate::lint;
use crate::wire::catalog;
use copy::Copy;
use create_table::CreateTable;
use grant::Grant;
use merge::Merge;
use rewrite::Names;
use streaming::{ExternalFunction, ExternalSchema, StreamingView};
use text::{Cursor, Name, Piece};

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
    /// CREATE ROLE, GRANT, ALTER DEFAULT PRIVILEGES and their opposites.
    Grant(Grant),
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
    let asks_catalog = catalog::asks(piece);
    if !asks_catalog && let Some(finding) = lint::check(piece).into_iter().next() {
        return Err(WarehouseError::Refused(finding));
    }
    if let Some(statement) = control::transaction(piece)? {
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
        return control::set(cursor);
    }
    if cursor.accept("show") {
        return control::show(cursor);
    }
    if cursor.accept("reset") || cursor.accept("discard") {
        cursor.expect("all")?;
        cursor.end()?;
        return Ok(Statement::Discard);
    }
    if cursor.accept("analyze") {
        return control::maintain(cursor, "ANALYZE");
    }
    if cursor.accept("vacuum") {
        return control::maintain(cursor, "VACUUM");
    }
    if let Some(statement) = grant::parse(piece)? {
        return Ok(statement);
    }
    lacking::check(&cursor)?;
    if asks_catalog {
        return Ok(Statement::CatalogQuery(catalog::rewrite(piece)));
    }
    tree::parse(piece, names, &title)
}

/// Reads one statement as a tree.
pub(crate) fn syntax(tokens: Vec<TokenWithSpan>) -> Result<Ast, WarehouseError> {
    let mut parser = Parser::new(&RedshiftSqlDialect {}).with_tokens_with_locations(tokens);
    let tree = parser.parse_statement().map_err(|error| WarehouseError::parser(&error))?;
    if parser.peek_token().token != Token::EOF {
        return Err(WarehouseError::syntax(format!("unexpected `{}`", parser.peek_token())));
    }
    Ok(tree)
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
