//! Statements that are refused by their first words, before the parser gets to say something less clear.

use super::text::Cursor;
use crate::error::WarehouseError;

/// Fails for what Redshift refuses or the double lacks.
pub fn check(cursor: &Cursor<'_>) -> Result<(), WarehouseError> {
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
