//! Rules that a statement's words show, before or without a tree: first words, COPY, and what streams need.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::{Finding, Rule, rule};
use crate::statement::create_table::ENCODINGS;
use crate::statement::text::Piece;

/// First words of statements that Redshift lacks.
const REFUSED: &[(&str, &Rule)] = &[
    ("CREATE INDEX", &rule::INDEX),
    ("CREATE UNIQUE INDEX", &rule::INDEX),
    ("CREATE TRIGGER", &rule::TRIGGER),
    ("CREATE SEQUENCE", &rule::SEQUENCE),
    ("CREATE TYPE", &rule::OWN_TYPE),
    ("CREATE DOMAIN", &rule::OWN_TYPE),
    ("CREATE EXTENSION", &rule::COMMAND),
    ("CREATE RULE", &rule::COMMAND),
    ("CREATE OR REPLACE TABLE", &rule::OR_REPLACE_TABLE),
    ("CREATE OR REPLACE MATERIALIZED VIEW", &rule::OR_REPLACE_VIEW),
    ("SAVEPOINT", &rule::SAVEPOINT),
    ("RELEASE", &rule::SAVEPOINT),
    ("ROLLBACK TO", &rule::SAVEPOINT),
    ("EXPLAIN ANALYZE", &rule::EXPLAIN_ANALYZE),
    ("REPLACE INTO", &rule::COMMAND),
    ("REINDEX", &rule::COMMAND),
    ("LISTEN", &rule::COMMAND),
    ("NOTIFY", &rule::COMMAND),
    ("PRAGMA", &rule::COMMAND),
    ("INSTALL", &rule::COMMAND),
    ("LOAD", &rule::COMMAND),
];

/// Options of COPY that other formats take and Parquet does not.
const NOT_FOR_PARQUET: &[&str] = &[
    "ACCEPTANYDATE",
    "BLANKSASNULL",
    "BZIP2",
    "COMPROWS",
    "COMPUPDATE",
    "DATEFORMAT",
    "DELIMITER",
    "EMPTYASNULL",
    "ENCODING",
    "ENCRYPTED",
    "ESCAPE",
    "FIXEDWIDTH",
    "GZIP",
    "IGNOREBLANKLINES",
    "IGNOREHEADER",
    "LZOP",
    "MAXERROR",
    "NOLOAD",
    "NULLAS",
    "QUOTE",
    "REGION",
    "REMOVEQUOTES",
    "TIMEFORMAT",
    "TRIMBLANKS",
    "TRUNCATECOLUMNS",
    "ZSTD",
];

/// Words by which COPY gets its credentials.
const CREDENTIALS: &[&str] = &["IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID"];

/// A statement's tokens that carry meaning: its words and signs.
pub struct Words<'a> {
    tokens: Vec<&'a TokenWithSpan>,
}

impl<'a> Words<'a> {
    pub fn new(piece: &'a Piece) -> Self {
        Self { tokens: piece.tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect() }
    }

    /// A word without quotes, upper case.
    fn word(&self, at: usize) -> Option<String> {
        match &self.tokens.get(at)?.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    fn is_at(&self, at: usize, words: &str) -> bool {
        words.split(' ').enumerate().all(|(i, word)| self.word(at + i).as_deref() == Some(word))
    }

    /// Whether these are its first words.
    pub fn begins(&self, words: &str) -> bool {
        self.is_at(0, words)
    }

    /// Where these words stand first.
    pub fn find(&self, words: &str) -> Option<usize> {
        (0..self.tokens.len()).find(|at| self.is_at(*at, words))
    }

    fn has(&self, words: &str) -> bool {
        self.find(words).is_some()
    }

    fn is(&self, at: usize, token: &Token) -> bool {
        self.tokens.get(at).is_some_and(|found| found.token == *token)
    }

    /// The place of a word; of the statement where there is none.
    pub fn place(&self, at: Option<usize>) -> Location {
        let token = at.and_then(|at| self.tokens.get(at)).or_else(|| self.tokens.first());
        token.map_or_else(|| Location::new(0, 0), |token| token.span.start)
    }

    fn finding(&self, rule: &'static Rule, what: impl Into<String>, at: Option<usize>) -> Finding {
        Finding::of(rule, what).at(self.place(at))
    }
}

/// What the words show.
pub fn check(words: &Words<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((title, rule)) = REFUSED.iter().find(|(title, _)| words.begins(title)) {
        let what = if **rule == rule::SAVEPOINT { "SAVEPOINT" } else { *title };
        findings.push(words.finding(rule, what, None));
    } else if words.begins("ATTACH") && !words.begins("ATTACH RLS") && !words.begins("ATTACH MASKING") {
        findings.push(words.finding(&rule::COMMAND, "ATTACH", None));
    } else if words.begins("COPY") {
        copy(words, &mut findings);
    } else if words.begins("CREATE EXTERNAL SCHEMA") {
        external_schema(words, &mut findings);
    } else if words.begins("CREATE EXTERNAL FUNCTION") || words.begins("CREATE OR REPLACE EXTERNAL FUNCTION") {
        external_function(words, &mut findings);
    } else {
        filters(words, &mut findings);
        encodings(words, &mut findings);
    }
    findings
}

fn copy(words: &Words<'_>, findings: &mut Vec<Finding>) {
    // Behind FROM and the path, so that a column of the list is taken for no option.
    let options = words.find("FROM").map_or(0, |at| at + 2);
    let word = |at: usize| words.word(at).unwrap_or_default();
    let all = options..words.tokens.len();
    let is_columnar = all.clone().any(|at| matches!(word(at).as_str(), "PARQUET" | "ORC"));
    for at in all.clone().filter(|at| is_columnar && NOT_FOR_PARQUET.contains(&word(*at).as_str())) {
        findings.push(words.finding(&rule::COPY_OPTION, format!("COPY option {}", word(at)), Some(at)));
    }
    if !all.clone().any(|at| CREDENTIALS.contains(&word(at).as_str())) {
        findings.push(words.finding(&rule::COPY_CREDENTIALS, "COPY without credentials", None));
    }
}

fn external_schema(words: &Words<'_>, findings: &mut Vec<Finding>) {
    let streams = words.has("FROM KAFKA") || words.has("FROM MSK") || words.has("FROM KINESIS");
    let by_role = !words.has("AUTHENTICATION NONE") && !words.has("AUTHENTICATION MTLS");
    if streams && by_role && !words.has("IAM_ROLE") {
        let at = words.find("AUTHENTICATION");
        findings.push(words.finding(&rule::STREAM_ROLE, "AUTHENTICATION iam without IAM_ROLE", at));
    }
}

fn external_function(words: &Words<'_>, findings: &mut Vec<Finding>) {
    // Arguments and result; a text behind LAMBDA is no type.
    let end = words.find("LAMBDA").unwrap_or(words.tokens.len());
    let name = words.find("FUNCTION").map_or(0, |at| at + 2);
    for at in name..end {
        match words.word(at).as_deref() {
            Some(kind @ ("SUPER" | "VARBYTE" | "VARBINARY")) => {
                let returned = at > 0 && words.is_at(at - 1, "RETURNS");
                let what = if returned { format!("RETURNS {kind}") } else { format!("an argument of type {kind}") };
                findings.push(words.finding(&rule::LAMBDA_TYPE, what, Some(at)));
            }
            Some("IMMUTABLE") => findings.push(words.finding(&rule::LAMBDA_IMMUTABLE, "IMMUTABLE", Some(at))),
            _ => {}
        }
    }
}

/// `f(..) FILTER (WHERE ..)`, which the dialect's parser does not read.
fn filters(words: &Words<'_>, findings: &mut Vec<Finding>) {
    for at in 1..words.tokens.len() {
        if words.is(at - 1, &Token::RParen) && words.is_at(at, "FILTER") && words.is(at + 1, &Token::LParen) {
            findings.push(words.finding(&rule::FILTER, "FILTER of an aggregate", Some(at)));
        }
    }
}

/// `ENCODE x` of a column, which the parser does not read either.
fn encodings(words: &Words<'_>, findings: &mut Vec<Finding>) {
    if !(words.begins("CREATE") || words.begins("ALTER TABLE")) || !words.has("TABLE") {
        return;
    }
    for at in 0..words.tokens.len() {
        let Some(encoding) = words.is_at(at, "ENCODE").then(|| words.word(at + 1)).flatten() else { continue };
        if !ENCODINGS.contains(&encoding.to_lowercase().as_str()) {
            findings.push(words.finding(&rule::ENCODING, format!("ENCODE {encoding}"), Some(at)));
        }
    }
}
