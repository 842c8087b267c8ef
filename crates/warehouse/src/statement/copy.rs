//! COPY of Parquet from a manifest or a folder: the one form that the load scripts use.
//! Rules: "COPY from columnar data formats" in Redshift's guide.

use sqlparser::tokenizer::Token;

use super::text::{Cursor, Name, Piece};
use crate::error::WarehouseError;

/// A checked COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The target.
    pub table: Name,
    /// Column list; empty for all columns in table order.
    pub columns: Vec<String>,
    /// The manifest, a file or a folder, as written.
    pub from: String,
    /// MANIFEST.
    pub manifest: bool,
    /// FILLRECORD: missing trailing columns become NULL.
    pub fill_record: bool,
}

/// Reads COPY.
pub fn parse(piece: &Piece) -> Result<Copy, WarehouseError> {
    let mut cursor = Cursor::new(piece);
    cursor.expect("copy")?;
    let table = cursor.name()?;
    let mut columns = Vec::new();
    if cursor.accept_token(&Token::LParen) {
        loop {
            columns.push(cursor.word("a column")?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect("from")?;
    let from = cursor.string("the path in single quotes")?;
    let mut copy = Copy { table, columns, from, manifest: false, fill_record: false };
    let (mut role, mut parquet) = (false, false);
    while let Some(token) = cursor.peek() {
        if cursor.accept("iam_role") {
            role = true;
            if !cursor.accept("default") {
                cursor.string("default or a role's ARN")?;
            }
        } else if cursor.accept("format") {
            let _ = cursor.accept("as");
            parquet |= format(&mut cursor)?;
        } else if cursor.accept("parquet") {
            parquet = true;
        } else if cursor.accept("manifest") {
            copy.manifest = true;
        } else if cursor.accept("fillrecord") {
            copy.fill_record = true;
        } else if cursor.accept("statupdate") {
            // The engine keeps its own statistics in either case, as Redshift's planner result is the same.
            if !(cursor.accept("on") || cursor.accept("off")) {
                return Err(cursor.wanted("ON or OFF"));
            }
        } else if cursor.accept("csv") || cursor.accept("json") || cursor.accept("avro") || cursor.accept("orc") {
            return Err(WarehouseError::unsupported(format!("COPY of {token}")));
        } else if cursor.accept("job") {
            return Err(WarehouseError::unsupported("COPY JOB"));
        } else {
            return Err(WarehouseError::unsupported(format!("COPY option {token}")));
        }
    }
    if !parquet {
        return Err(WarehouseError::unsupported("COPY of delimited text (say FORMAT AS PARQUET)"));
    }
    if !role {
        return Err(WarehouseError::unsupported("COPY with credentials other than IAM_ROLE"));
    }
    Ok(copy)
}

fn format(cursor: &mut Cursor<'_>) -> Result<bool, WarehouseError> {
    if cursor.accept("parquet") {
        return Ok(true);
    }
    let other = cursor.word("a format")?;
    Err(WarehouseError::unsupported(format!("COPY of {}", other.to_uppercase())))
}
