//! Roles and what they are granted. The double keeps and shows it; whoever reaches it may do everything, since it has no
//! users, so grants to users and groups are refused.

use sqlparser::tokenizer::Token;

use super::Statement;
use super::text::{Cursor, Name, Piece};
use crate::error::WarehouseError;

/// A change of roles or of what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// CREATE ROLE.
    Create(String),
    /// DROP ROLE.
    Drop(String),
    /// GRANT or REVOKE.
    Change {
        /// GRANT.
        gives: bool,
        /// In upper case.
        privileges: Vec<String>,
        /// On what.
        on: On,
        /// The roles.
        roles: Vec<String>,
    },
}

/// What a privilege is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Tables and views.
    Relations(Vec<Name>),
    /// Those that schemas have now.
    AllOf(Vec<String>),
    /// Schemas themselves.
    Schemas(Vec<String>),
    /// Tables and views that a schema gets from now on.
    LaterIn(Vec<String>),
}

const OF_RELATIONS: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "REFERENCES", "ALTER", "TRUNCATE"];
const OF_SCHEMAS: [&str; 4] = ["CREATE", "USAGE", "ALTER", "DROP"];

/// The statement, if it is one of these.
pub fn parse(piece: &Piece) -> Result<Option<Statement>, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    let grant = if cursor.accept("create role") {
        Grant::Create(cursor.word("a role")?)
    } else if cursor.accept("drop role") {
        let role = cursor.word("a role")?;
        let _ = cursor.accept("force") || cursor.accept("restrict");
        Grant::Drop(role)
    } else if cursor.accept("alter default privileges in schema") {
        let schemas = list(&mut cursor, |cursor| cursor.word("a schema"))?;
        let gives = direction(&mut cursor)?;
        let privileges = privileges(&mut cursor, &OF_RELATIONS)?;
        cursor.expect("on tables")?;
        change(&mut cursor, gives, privileges, On::LaterIn(schemas))?
    } else if let Ok(gives) = direction(&mut cursor) {
        // What it is on decides which privileges there are.
        let known: &[&str] = if has(piece, "on schema") { &OF_SCHEMAS } else { &OF_RELATIONS };
        let privileges = privileges(&mut cursor, known)?;
        cursor.expect("on")?;
        let on = if cursor.accept("schema") {
            On::Schemas(list(&mut cursor, |cursor| cursor.word("a schema"))?)
        } else if cursor.accept("all tables in schema") {
            On::AllOf(list(&mut cursor, |cursor| cursor.word("a schema"))?)
        } else {
            let _ = cursor.accept("table");
            On::Relations(list(&mut cursor, Cursor::name)?)
        };
        change(&mut cursor, gives, privileges, on)?
    } else {
        return Ok(None);
    };
    cursor.end()?;
    Ok(Some(Statement::Grant(grant)))
}

fn direction(cursor: &mut Cursor<'_>) -> Result<bool, WarehouseError> {
    if cursor.accept("grant") {
        return Ok(true);
    }
    cursor.expect("revoke").map(|()| false)
}

fn change(cursor: &mut Cursor<'_>, gives: bool, privileges: Vec<String>, on: On) -> Result<Grant, WarehouseError> {
    cursor.expect(if gives { "to" } else { "from" })?;
    let roles = list(cursor, |cursor| {
        if !cursor.accept("role") {
            return Err(WarehouseError::unsupported("a grant to a user or group (it has roles only)"));
        }
        cursor.word("a role")
    })?;
    Ok(Grant::Change { gives, privileges, on, roles })
}

fn privileges(cursor: &mut Cursor<'_>, known: &[&str]) -> Result<Vec<String>, WarehouseError> {
    if cursor.accept("all") {
        let _ = cursor.accept("privileges");
        return Ok(known.iter().map(|word| (*word).to_owned()).collect());
    }
    list(cursor, |cursor| {
        let word = cursor.word("a privilege")?.to_uppercase();
        if known.contains(&word.as_str()) {
            Ok(word)
        } else {
            Err(WarehouseError::unsupported(format!("privilege {word}")))
        }
    })
}

fn list<'a, T>(
    cursor: &mut Cursor<'a>,
    mut one: impl FnMut(&mut Cursor<'a>) -> Result<T, WarehouseError>,
) -> Result<Vec<T>, WarehouseError> {
    let mut all = vec![one(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        all.push(one(cursor)?);
    }
    Ok(all)
}

fn has(piece: &Piece, words: &str) -> bool {
    let mut cursor = Cursor::new(piece);
    while !cursor.done() {
        if cursor.accept(words) {
            return true;
        }
        cursor.take();
    }
    false
}
