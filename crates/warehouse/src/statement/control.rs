//! Statements that steer the session: transactions, SET, SHOW, maintenance.

use sqlparser::tokenizer::Token;

use super::Statement;
use super::text::{Cursor, Piece};
use crate::error::WarehouseError;

pub fn transaction(piece: &Piece) -> Result<Option<Statement>, WarehouseError> {
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
    cursor.end()?;
    Ok(Some(statement))
}

pub fn set(mut cursor: Cursor<'_>) -> Result<Statement, WarehouseError> {
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

pub fn show(mut cursor: Cursor<'_>) -> Result<Statement, WarehouseError> {
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

pub fn maintain(mut cursor: Cursor<'_>, tag: &'static str) -> Result<Statement, WarehouseError> {
    for words in ["full", "sort only", "delete only", "verbose"] {
        let _ = cursor.accept(words);
    }
    let table = if cursor.done() { String::new() } else { format!(" {}", cursor.name()?.sql()) };
    cursor.end()?;
    Ok(Statement::Maintain { sql: format!("{tag}{table}"), tag })
}
