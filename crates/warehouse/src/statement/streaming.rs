//! The streaming statements: external schema, streaming view, refresh, Lambda function.
//! Rules: "Streaming ingestion to a materialized view" and "CREATE EXTERNAL SCHEMA" in Redshift's guide.

use sqlparser::ast::{Expr, GroupByExpr, SelectItem, SetExpr, Statement as Ast, TableFactor};
use sqlparser::tokenizer::Token;

use super::syntax;
use super::text::{Cursor, Name, Piece};
use crate::error::WarehouseError;

/// CREATE EXTERNAL SCHEMA .. FROM KAFKA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSchema {
    /// Its name.
    pub name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// `host:port,host:port`.
    pub uri: String,
    /// none, iam or mtls.
    pub authentication: String,
}

/// CREATE MATERIALIZED VIEW over a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamingView {
    /// The view.
    pub name: Name,
    /// The external schema in its FROM.
    pub external_schema: String,
    /// The topic in its FROM.
    pub topic: String,
    /// AUTO REFRESH YES.
    pub auto_refresh: bool,
    /// The columns it takes, in order.
    pub columns: Vec<String>,
}

/// CREATE EXTERNAL FUNCTION .. LAMBDA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalFunction {
    /// Its name.
    pub name: String,
    /// OR REPLACE.
    pub or_replace: bool,
    /// The Lambda's name.
    pub lambda: String,
}

/// Columns of a topic, with Redshift's types and the engine's.
pub const TOPIC_COLUMNS: &[(&str, &str, &str)] = &[
    ("kafka_partition", "bigint", "BIGINT"),
    ("kafka_offset", "bigint", "BIGINT"),
    ("kafka_timestamp_type", "character(1)", "VARCHAR"),
    ("kafka_timestamp", "timestamp without time zone", "TIMESTAMP"),
    ("kafka_key", "binary varying(1024000)", "BLOB"),
    ("kafka_value", "binary varying(16777216)", "BLOB"),
    ("kafka_headers", "super", "JSON"),
    ("refresh_time", "timestamp without time zone", "TIMESTAMP"),
];

/// Functions that the double can stand in for.
pub const KNOWN_FUNCTIONS: &[&str] = &["f_cdc_avro_to_json"];

const FAILING: &str =
    "(one that fails, fails the refresh for good in Redshift: keep the raw record and decode it afterwards)";

/// Reads CREATE EXTERNAL SCHEMA.
pub fn external_schema(piece: &Piece) -> Result<ExternalSchema, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    cursor.expect("create external schema")?;
    let if_not_exists = cursor.accept("if not exists");
    let name = cursor.word("a schema name")?;
    cursor.expect("from")?;
    if !cursor.accept("kafka") {
        let other = cursor.word("KAFKA")?.to_uppercase();
        return Err(WarehouseError::unsupported(format!("CREATE EXTERNAL SCHEMA FROM {other}")));
    }
    let (mut uri, mut authentication) = (None, None);
    while !cursor.done() {
        if cursor.accept("iam_role") {
            if !cursor.accept("default") {
                cursor.string("default or a role's ARN")?;
            }
        } else if cursor.accept("authentication") {
            let way = cursor.word("none, iam or mtls")?;
            if !["none", "iam", "mtls"].contains(&way.as_str()) {
                return Err(WarehouseError::syntax(format!("AUTHENTICATION is none, iam or mtls, not {way}")));
            }
            authentication = Some(way);
        } else if cursor.accept("uri") {
            uri = Some(cursor.string("the brokers in single quotes")?);
        } else {
            return Err(cursor.wanted("IAM_ROLE, AUTHENTICATION or URI"));
        }
    }
    let uri = uri.ok_or_else(|| WarehouseError::syntax("CREATE EXTERNAL SCHEMA .. FROM KAFKA needs a URI"))?;
    let authentication = authentication.unwrap_or_else(|| "iam".into());
    if authentication == "mtls" {
        return Err(WarehouseError::unsupported("AUTHENTICATION mtls"));
    }
    Ok(ExternalSchema { name, if_not_exists, uri, authentication })
}

/// Reads CREATE MATERIALIZED VIEW; only views over a topic exist in the double.
pub fn streaming_view(piece: &Piece) -> Result<StreamingView, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    cursor.expect("create materialized view")?;
    let name = cursor.name()?;
    let mut auto_refresh = false;
    loop {
        if cursor.accept("backup") {
            if !(cursor.accept("yes") || cursor.accept("no")) {
                return Err(cursor.wanted("YES or NO"));
            }
        } else if cursor.accept("auto refresh") {
            auto_refresh = cursor.accept("yes");
            if !auto_refresh && !cursor.accept("no") {
                return Err(cursor.wanted("YES or NO"));
            }
        } else if cursor.accept("diststyle") || cursor.accept("distkey") || cursor.accept("sortkey") {
            return Err(WarehouseError::unsupported("DISTSTYLE, DISTKEY or SORTKEY of a streaming view"));
        } else {
            break;
        }
    }
    cursor.expect("as")?;
    let query = after_as(piece)?;
    let refuse = || WarehouseError::unsupported("a materialized view over anything but the columns of one topic");
    if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() {
        return Err(refuse());
    }
    let SetExpr::Select(select) = *query.body else { return Err(refuse()) };
    let [from] = select.from.as_slice() else { return Err(refuse()) };
    if !from.joins.is_empty() || select.distinct.is_some() || select.having.is_some() {
        return Err(refuse());
    }
    if !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) {
        return Err(refuse());
    }
    if select.selection.is_some() {
        return Err(WarehouseError::unsupported("WHERE in a streaming view (rows that it drops are counted nowhere)"));
    }
    let TableFactor::Table { name: source, .. } = &from.relation else { return Err(refuse()) };
    let parts: Vec<_> = source.0.iter().filter_map(|part| part.as_ident()).collect();
    let [schema, topic] = parts.as_slice() else {
        return Err(refuse());
    };
    let columns = view_columns(&select.projection)?;
    Ok(StreamingView {
        name,
        external_schema: schema.value.to_lowercase(),
        topic: topic.value.clone(),
        auto_refresh,
        columns,
    })
}

fn view_columns(projection: &[SelectItem]) -> Result<Vec<String>, WarehouseError> {
    let mut columns = Vec::new();
    for item in projection {
        match item {
            SelectItem::Wildcard(_) => columns.extend(TOPIC_COLUMNS.iter().map(|(name, ..)| (*name).to_owned())),
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                let name = ident.value.to_lowercase();
                if !TOPIC_COLUMNS.iter().any(|(column, ..)| *column == name) {
                    return Err(WarehouseError::syntax(format!("a topic has no column \"{name}\"")));
                }
                columns.push(name);
            }
            SelectItem::UnnamedExpr(Expr::Function(function)) => {
                return Err(WarehouseError::unsupported(format!(
                    "function {} in a streaming view {FAILING}",
                    function.name
                )));
            }
            SelectItem::UnnamedExpr(Expr::Cast { .. }) => {
                return Err(WarehouseError::unsupported(format!("a cast in a streaming view {FAILING}")));
            }
            _ => return Err(WarehouseError::unsupported("an expression in a streaming view")),
        }
    }
    for needed in ["kafka_partition", "kafka_offset"] {
        if !columns.iter().any(|column| column == needed) {
            return Err(WarehouseError::unsupported(format!("a streaming view without {needed}")));
        }
    }
    Ok(columns)
}

/// The query behind the first AS.
pub(crate) fn after_as(piece: &Piece) -> Result<sqlparser::ast::Query, WarehouseError> {
    let is_as = |token: &Token| matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case("as"));
    let at = piece.tokens.iter().position(|token| is_as(&token.token)).map_or(0, |at| at + 1);
    match syntax(piece.tokens[at..].to_vec())? {
        Ast::Query(query) => Ok(*query),
        other => Err(WarehouseError::syntax(format!("expected a query, found {other}"))),
    }
}

/// Reads REFRESH MATERIALIZED VIEW.
pub fn refresh(piece: &Piece) -> Result<Name, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    cursor.expect("refresh materialized view")?;
    let name = cursor.name()?;
    if cursor.accept("cascade") {
        return Err(WarehouseError::unsupported("REFRESH MATERIALIZED VIEW .. CASCADE"));
    }
    let _ = cursor.accept("restrict");
    cursor.end()?;
    Ok(name)
}

/// Reads CREATE EXTERNAL FUNCTION.
pub fn external_function(piece: &Piece) -> Result<ExternalFunction, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    cursor.expect("create")?;
    let or_replace = cursor.accept("or replace");
    cursor.expect("external function")?;
    let name = cursor.name()?.name;
    cursor.expect_token(&Token::LParen)?;
    let argument = cursor.word("an argument type")?;
    if argument != "varchar" {
        return Err(WarehouseError::unsupported(format!("an external function over {argument}")));
    }
    skip_length(&mut cursor)?;
    cursor.expect_token(&Token::RParen)?;
    cursor.expect("returns")?;
    let result = cursor.word("a result type")?;
    if result != "varchar" {
        return Err(WarehouseError::unsupported(format!("an external function that returns {result}")));
    }
    skip_length(&mut cursor)?;
    if !(cursor.accept("stable") || cursor.accept("volatile")) {
        return Err(cursor.wanted("STABLE or VOLATILE"));
    }
    cursor.expect("lambda")?;
    let lambda = cursor.string("the function's name in single quotes")?;
    cursor.expect("iam_role")?;
    if !cursor.accept("default") {
        cursor.string("default or a role's ARN")?;
    }
    while !cursor.done() {
        if cursor.accept("retry_timeout") || cursor.accept("max_batch_rows") {
            number(&mut cursor)?;
        } else if cursor.accept("max_batch_size") {
            number(&mut cursor)?;
            if !(cursor.accept("kb") || cursor.accept("mb")) {
                return Err(cursor.wanted("KB or MB"));
            }
        } else {
            return Err(cursor.wanted("RETRY_TIMEOUT, MAX_BATCH_ROWS or MAX_BATCH_SIZE"));
        }
    }
    if !KNOWN_FUNCTIONS.contains(&name.as_str()) {
        return Err(WarehouseError::unsupported(format!(
            "external function {name} (the double stands in for f_cdc_avro_to_json only)"
        )));
    }
    Ok(ExternalFunction { name, or_replace, lambda })
}

fn skip_length(cursor: &mut Cursor<'_>) -> Result<(), WarehouseError> {
    if cursor.accept_token(&Token::LParen) {
        if !cursor.accept("max") {
            number(cursor)?;
        }
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(())
}

fn number(cursor: &mut Cursor<'_>) -> Result<(), WarehouseError> {
    match cursor.take() {
        Some(Token::Number(..)) => Ok(()),
        _ => Err(WarehouseError::syntax("expected a number")),
    }
}
