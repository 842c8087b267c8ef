//! CREATE TABLE: column attributes that the parser lacks, Redshift's own properties, the engine's text.

use sqlparser::ast::{ColumnOption, CreateTable as Tree, Statement as Ast, TableConstraint};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{Names, rewrite_expr, rewrite_query};
use super::syntax;
use super::text::{Cursor, Name, Piece, quoted};
use super::types::column_type;
use crate::error::WarehouseError;

/// A checked CREATE TABLE or CREATE TABLE AS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    /// The table.
    pub name: Name,
    /// The engine's text.
    pub sql: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMP: gone with its session, and in no catalog.
    pub temporary: bool,
    /// Redshift's own properties, kept in the catalog.
    pub properties: Properties,
}

/// What Redshift knows of a table and the engine does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// AUTO, EVEN, ALL or KEY.
    pub diststyle: String,
    /// Column that rows are spread by.
    pub distkey: Option<String>,
    /// COMPOUND or INTERLEAVED; empty without a sort key.
    pub sortstyle: String,
    /// Columns that blocks are sorted by.
    pub sortkey: Vec<String>,
    /// Declared, never enforced.
    pub primary_key: Vec<String>,
    /// Columns as declared; empty for CREATE TABLE AS.
    pub columns: Vec<ColumnProperties>,
}

/// A declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnProperties {
    /// Its name.
    pub name: String,
    /// Redshift's type, e.g. `character varying(50)`.
    pub redshift_type: String,
    /// ENCODE; empty for Redshift's choice.
    pub encoding: String,
}

/// Encodings of columns.
pub(crate) const ENCODINGS: &[&str] = &[
    "raw",
    "az64",
    "bytedict",
    "delta",
    "delta32k",
    "lzo",
    "mostly8",
    "mostly16",
    "mostly32",
    "runlength",
    "text255",
    "text32k",
    "zstd",
    "auto",
];

/// Reads CREATE [TEMP] TABLE.
pub fn parse(piece: &Piece, names: &Names) -> Result<CreateTable, WarehouseError> {
    let (tree, attributes) = read(piece)?;
    build(tree, attributes, names)
}

/// The tree, and what the parser does not know.
pub(crate) fn read(piece: &Piece) -> Result<(Tree, Attributes), WarehouseError> {
    let (tokens, attributes) = strip(piece)?;
    match syntax(tokens)? {
        Ast::CreateTable(tree) => Ok((tree, attributes)),
        other => Err(WarehouseError::unsupported(format!("statement {other}"))),
    }
}

/// What was taken out of the text because the parser does not know it.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    encodings: Vec<(String, String)>,
    distkey: Option<String>,
    sortkey: Option<String>,
    interleaved: bool,
    identity: bool,
}

/// Removes ENCODE, DISTKEY and SORTKEY of columns and COMPOUND / INTERLEAVED of the table.
fn strip(piece: &Piece) -> Result<(Vec<TokenWithSpan>, Attributes), WarehouseError> {
    let all: Vec<&TokenWithSpan> =
        piece.tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let word = |at: usize| match all.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_lowercase(),
        _ => String::new(),
    };
    let mut kept = Vec::new();
    let mut attributes = Attributes::default();
    let (mut depth, mut at, mut column) = (0_i32, 0, String::new());
    let mut starts_column = false;
    while at < all.len() {
        let token = &all[at].token;
        match token {
            Token::LParen => {
                depth += 1;
                starts_column = depth == 1;
            }
            Token::RParen => depth -= 1,
            Token::Comma if depth == 1 => starts_column = true,
            Token::Word(name) if depth == 1 && starts_column => {
                column = name.value.to_lowercase();
                starts_column = false;
            }
            Token::Word(_) if depth == 1 => {
                let taken = match word(at).as_str() {
                    "encode" => {
                        let encoding = word(at + 1);
                        if !ENCODINGS.contains(&encoding.as_str()) {
                            return Err(WarehouseError::unsupported(format!("ENCODE {encoding}")));
                        }
                        attributes.encodings.push((column.clone(), encoding));
                        2
                    }
                    "distkey" if !matches!(all.get(at + 1).map(|t| &t.token), Some(Token::LParen)) => {
                        attributes.distkey = Some(column.clone());
                        1
                    }
                    "sortkey" if !matches!(all.get(at + 1).map(|t| &t.token), Some(Token::LParen)) => {
                        attributes.sortkey = Some(column.clone());
                        1
                    }
                    "identity" => {
                        attributes.identity = true;
                        let rest = &all[at + 1..];
                        rest.iter().position(|token| token.token == Token::RParen).map_or(1, |end| end + 2)
                    }
                    _ => 0,
                };
                at += taken;
                if taken > 0 {
                    continue;
                }
            }
            Token::Word(_) if depth == 0 && word(at + 1) == "sortkey" => match word(at).as_str() {
                "compound" => {
                    at += 1;
                    continue;
                }
                "interleaved" => {
                    attributes.interleaved = true;
                    at += 1;
                    continue;
                }
                _ => {}
            },
            _ => {}
        }
        kept.push(all[at].clone());
        at += 1;
    }
    Ok((kept, attributes))
}

/// Distribution and sort keys.
pub(crate) fn properties(tree: &Tree, attributes: &Attributes) -> Properties {
    let distkey = tree.distkey.as_ref().map(|key| plain(&key.to_string()));
    let mut properties = Properties {
        diststyle: tree.diststyle.as_ref().map_or_else(|| "AUTO".into(), ToString::to_string),
        distkey: attributes.distkey.clone().or(distkey),
        ..Properties::default()
    };
    if properties.distkey.is_some() {
        properties.diststyle = "KEY".into();
    }
    properties.sortkey = match &tree.sortkey {
        Some(keys) => keys.iter().map(|key| plain(&key.to_string())).collect(),
        None => attributes.sortkey.iter().cloned().collect(),
    };
    if !properties.sortkey.is_empty() {
        properties.sortstyle = if attributes.interleaved { "INTERLEAVED" } else { "COMPOUND" }.into();
    }
    properties
}

fn build(tree: Tree, attributes: Attributes, names: &Names) -> Result<CreateTable, WarehouseError> {
    let name = name_of(&tree.name)?;
    if attributes.identity {
        return Err(WarehouseError::unsupported(
            "IDENTITY (its values differ after each rebuild; use deterministic surrogate keys)",
        ));
    }
    if tree.like.is_some() {
        return Err(WarehouseError::unsupported("CREATE TABLE .. LIKE"));
    }
    let odd = tree.external
        || tree.or_replace
        || tree.clone.is_some()
        || tree.partition_by.is_some()
        || tree.order_by.is_some()
        || tree.cluster_by.is_some()
        || tree.inherits.is_some()
        || tree.on_commit.is_some()
        || tree.without_rowid
        || tree.strict
        || tree.iceberg;
    if odd {
        return Err(WarehouseError::unsupported("this clause of CREATE TABLE"));
    }
    let temporary = tree.temporary || name.name.starts_with('#');
    let mut properties = properties(&tree, &attributes);
    let prefix = format!(
        "CREATE {}TABLE {}{}",
        if temporary { "TEMP " } else { "" },
        if tree.if_not_exists { "IF NOT EXISTS " } else { "" },
        if temporary {
            quoted(&name.name)
        } else {
            format!("{}.{}", quoted(name.schema_or_default()), quoted(&name.name))
        },
    );
    let sql = match tree.query {
        Some(mut query) => {
            rewrite_query(&mut query, names)?;
            format!("{prefix} AS {query}")
        }
        None => {
            let mut columns = Vec::new();
            for column in &tree.columns {
                let column_name = column.name.value.to_lowercase();
                let kind = column_type(&column.data_type.to_string())?;
                let mut text = format!("{} {}", quoted(&column_name), kind.engine);
                for option in &column.options {
                    match &option.option {
                        ColumnOption::Null => {}
                        ColumnOption::NotNull => text.push_str(" NOT NULL"),
                        ColumnOption::Default(default) => {
                            let mut default = default.clone();
                            rewrite_expr(&mut default, names)?;
                            text.push_str(&format!(" DEFAULT ({default})"));
                        }
                        ColumnOption::PrimaryKey(_) => {
                            // Declared only; Redshift makes the column NOT NULL and enforces nothing else.
                            text.push_str(" NOT NULL");
                            properties.primary_key.push(column_name.clone());
                        }
                        ColumnOption::Unique(_) | ColumnOption::ForeignKey(_) => {}
                        other => return Err(WarehouseError::unsupported(format!("column attribute {other}"))),
                    }
                }
                if let Some(bytes) = kind.bytes {
                    text.push_str(&format!(" CHECK (strlen({}) <= {bytes})", quoted(&column_name)));
                }
                let encoding = attributes.encodings.iter().find(|(column, _)| *column == column_name);
                properties.columns.push(ColumnProperties {
                    name: column_name,
                    redshift_type: kind.redshift,
                    encoding: encoding.map(|(_, encoding)| encoding.clone()).unwrap_or_default(),
                });
                columns.push(text);
            }
            for constraint in &tree.constraints {
                match constraint {
                    TableConstraint::PrimaryKey(key) => {
                        let columns = key.columns.iter().map(|column| plain(&column.column.expr.to_string()));
                        properties.primary_key.extend(columns);
                    }
                    TableConstraint::Unique(_) | TableConstraint::ForeignKey(_) => {}
                    other => return Err(WarehouseError::unsupported(format!("constraint {other}"))),
                }
            }
            for key in properties.distkey.iter().chain(&properties.sortkey) {
                if !properties.columns.iter().any(|column| column.name == *key) {
                    return Err(WarehouseError::syntax(format!("key column \"{key}\" is no column of the table")));
                }
            }
            if columns.is_empty() {
                return Err(WarehouseError::syntax("a table needs a column"));
            }
            format!("{prefix} ({})", columns.join(", "))
        }
    };
    Ok(CreateTable { name, sql, if_not_exists: tree.if_not_exists, temporary, properties })
}

fn plain(text: &str) -> String {
    text.trim_matches('"').to_lowercase()
}

/// One or two parts, folded to lower case.
pub fn name_of(name: &sqlparser::ast::ObjectName) -> Result<Name, WarehouseError> {
    let mut parts = Vec::new();
    for part in &name.0 {
        let ident = part.as_ident().ok_or_else(|| WarehouseError::unsupported(format!("name {name}")))?;
        parts.push(ident.value.to_lowercase());
    }
    match parts.as_slice() {
        [name] => Ok(Name { schema: None, name: name.clone() }),
        [schema, name] => Ok(Name { schema: Some(schema.clone()), name: name.clone() }),
        _ => Err(WarehouseError::unsupported(format!("name {name}"))),
    }
}

/// Whether a piece begins with CREATE [LOCAL] [TEMP] TABLE.
pub fn begins(piece: &Piece) -> bool {
    let mut cursor = Cursor::new(piece);
    cursor.accept("create") && {
        let _ = cursor.accept("local");
        let _ = cursor.accept("temp") || cursor.accept("temporary");
        cursor.accept("table")
    }
}
