//! What Amazon Redshift refuses, told without running anything.
//!
//! In: a text of statements. Out: a finding for each place that Redshift refuses: the rule, what stands there, where.
//! A text that Redshift takes and the double lacks is no finding. What the parser does not read is passed over here, and
//! told by whoever runs it.
//!
//! The double asks the same function before it reads a statement, so there is one set of rules: [`rule::ALL`].

pub(crate) mod reserved;
pub mod rule;
mod streaming;
mod tree;
mod words;

use std::fmt;

use sqlparser::tokenizer::Location;

use crate::error::WarehouseError;
use crate::statement::text::{Cursor, Piece, split};
pub use rule::Rule;
use words::Words;

/// Something that Redshift refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Why it is refused, and the page that says so.
    pub rule: &'static Rule,
    /// The statement or the part of it, by name.
    pub what: String,
    /// Line in the text, from 1; 0 where it has no place of its own.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl Finding {
    /// One without a place.
    pub(crate) fn of(rule: &'static Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into(), line: 0, column: 0 }
    }

    fn at(self, place: Location) -> Self {
        Self { line: place.line, column: place.column, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused by Amazon Redshift: {} ({})", self.what, self.rule.reason, self.rule.page)
    }
}

/// What Redshift refuses in a text, in the order of its statements. Fails on a text that cannot be cut into statements.
pub fn lint(text: &str) -> Result<Vec<Finding>, WarehouseError> {
    let mut findings = Vec::new();
    let mut in_transaction = false;
    for piece in split(text)? {
        let mut cursor = Cursor::new(&piece);
        if cursor.accept("begin") || cursor.accept("start transaction") {
            in_transaction = true;
        } else if ["commit", "end", "rollback", "abort"].into_iter().any(|word| cursor.accept(word)) {
            in_transaction = false;
        } else if in_transaction && cursor.accept("vacuum") {
            findings.push(in_a_transaction().at(Words::new(&piece).place(None)));
        }
        findings.extend(check(&piece));
    }
    Ok(findings)
}

/// VACUUM between BEGIN and COMMIT, which one statement alone does not show.
pub(crate) fn in_a_transaction() -> Finding {
    Finding::of(&rule::VACUUM_IN_A_TRANSACTION, "VACUUM in a transaction")
}

/// What Redshift refuses in one statement.
pub(crate) fn check(piece: &Piece) -> Vec<Finding> {
    let words = Words::new(piece);
    let mut findings = words::check(&words);
    if findings.is_empty() {
        findings = tree::check(piece, &words);
    }
    findings
}

#[cfg(test)]
mod tests;
