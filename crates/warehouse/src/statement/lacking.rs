//! Statements that the double lacks, told by their first words before the parser gets to say something less clear.

use super::text::Cursor;
use crate::error::WarehouseError;

/// Fails for what the double lacks.
pub fn check(cursor: &Cursor<'_>) -> Result<(), WarehouseError> {
    let title = cursor.title();
    let begins = |words: &str| title == words || title.starts_with(&format!("{words} "));
    let lacking = [
        "CREATE EXTERNAL TABLE",
        "CREATE FUNCTION",
        "CREATE OR REPLACE FUNCTION",
        "CREATE PROCEDURE",
        "CREATE OR REPLACE PROCEDURE",
        "CREATE USER",
        "CREATE GROUP",
        "CREATE DATABASE",
        "CREATE DATASHARE",
        "CREATE MODEL",
        "CREATE LIBRARY",
        "ALTER USER",
        "ALTER GROUP",
        "ALTER DATABASE",
        "ALTER SCHEMA",
        "ALTER MATERIALIZED",
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
