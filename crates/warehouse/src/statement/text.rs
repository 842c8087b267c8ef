//! Cuts a text into statements, and gives each its tokens.

use sqlparser::dialect::RedshiftSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::WarehouseError;

/// One statement: its text and its tokens, whitespace and comments included.
#[derive(Debug, Clone)]
pub struct Piece {
    /// As written, without the final `;`.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<TokenWithSpan>,
}

/// The statements of a text, in order; empty ones are left out.
pub fn split(text: &str) -> Result<Vec<Piece>, WarehouseError> {
    let tokens = Tokenizer::new(&RedshiftSqlDialect {}, text)
        .tokenize_with_location()
        .map_err(|error| WarehouseError::parser(&error))?;
    let lines = Lines::new(text);
    let mut pieces = Vec::new();
    let mut current: Vec<TokenWithSpan> = Vec::new();
    let mut start = 0;
    for token in tokens {
        if token.token == Token::SemiColon {
            let end = lines.offset(token.span.start);
            push(&mut pieces, &mut current, &text[start..end]);
            start = end + 1;
        } else if token.token != Token::EOF {
            current.push(token);
        }
    }
    push(&mut pieces, &mut current, &text[start..]);
    Ok(pieces)
}

fn push(pieces: &mut Vec<Piece>, current: &mut Vec<TokenWithSpan>, text: &str) {
    let tokens = std::mem::take(current);
    if tokens.iter().any(|token| !matches!(token.token, Token::Whitespace(_))) {
        pieces.push(Piece { text: text.trim().to_owned(), tokens });
    }
}

/// Replaces `$1`, `$2`, .. by literals, which must be complete SQL texts.
pub fn bind(text: &str, literals: &[String]) -> Result<String, WarehouseError> {
    let tokens = Tokenizer::new(&RedshiftSqlDialect {}, text)
        .tokenize_with_location()
        .map_err(|error| WarehouseError::parser(&error))?;
    let lines = Lines::new(text);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for token in &tokens {
        let Some(number) = placeholder(&token.token) else { continue };
        let literal = literals
            .get(number - 1)
            .ok_or_else(|| WarehouseError::syntax(format!("there is no parameter ${number}")))?;
        out.push_str(&text[from..lines.offset(token.span.start)]);
        out.push_str(literal);
        from = lines.offset(token.span.end);
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// The highest `$n` of a text.
pub fn parameters(pieces: &[Piece]) -> usize {
    let tokens = pieces.iter().flat_map(|piece| &piece.tokens);
    tokens.filter_map(|token| placeholder(&token.token)).max().unwrap_or(0)
}

fn placeholder(token: &Token) -> Option<usize> {
    match token {
        Token::Placeholder(name) => name.strip_prefix('$')?.parse().ok().filter(|n| *n > 0),
        _ => None,
    }
}

/// Where each line begins; a location counts characters, a slice bytes.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn offset(&self, at: Location) -> usize {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(line).copied() else { return self.text.len() };
        let rest = &self.text[start..];
        rest.char_indices().nth(column).map_or(self.text.len(), |(byte, _)| start + byte)
    }
}

/// Walks over a statement's tokens that carry meaning.
pub struct Cursor<'a> {
    tokens: Vec<&'a Token>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first token of a piece.
    pub fn new(piece: &'a Piece) -> Self {
        let tokens = piece.tokens.iter().map(|token| &token.token);
        Self { tokens: tokens.filter(|token| !matches!(token, Token::Whitespace(_))).collect(), at: 0 }
    }

    /// The next token, not taken.
    pub fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).copied()
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Whether nothing is left.
    pub fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Takes these words if they are next, case aside and never quoted.
    pub fn accept(&mut self, words: &str) -> bool {
        let fits = words.split(' ').enumerate().all(|(i, word)| {
            matches!(self.tokens.get(self.at + i), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
        });
        if fits {
            self.at += words.split(' ').count();
        }
        fits
    }

    /// Whether these words are the last ones.
    pub fn ends_with(&self, words: &str) -> bool {
        let count = words.split(' ').count();
        let mut end = Cursor { tokens: self.tokens.clone(), at: self.tokens.len().saturating_sub(count) };
        end.accept(words)
    }

    /// Takes this token if it is next.
    pub fn accept_token(&mut self, token: &Token) -> bool {
        let fits = self.peek() == Some(token);
        if fits {
            self.at += 1;
        }
        fits
    }

    /// Takes these words or fails.
    pub fn expect(&mut self, words: &str) -> Result<(), WarehouseError> {
        if self.accept(words) { Ok(()) } else { Err(self.wanted(words)) }
    }

    /// Takes this token or fails.
    pub fn expect_token(&mut self, token: &Token) -> Result<(), WarehouseError> {
        if self.accept_token(token) { Ok(()) } else { Err(self.wanted(&token.to_string())) }
    }

    /// Takes a text in single quotes.
    pub fn string(&mut self, what: &str) -> Result<String, WarehouseError> {
        match self.peek() {
            Some(Token::SingleQuotedString(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.wanted(what)),
        }
    }

    /// Takes a name, folded to lower case as Redshift does.
    pub fn word(&mut self, what: &str) -> Result<String, WarehouseError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.value.to_lowercase())
            }
            _ => Err(self.wanted(what)),
        }
    }

    /// Takes `name` or `schema.name`.
    pub fn name(&mut self) -> Result<Name, WarehouseError> {
        let first = self.word("a name")?;
        if self.accept_token(&Token::Period) {
            return Ok(Name { schema: Some(first), name: self.word("a name")? });
        }
        Ok(Name { schema: None, name: first })
    }

    /// Fails unless nothing is left.
    pub fn end(&self) -> Result<(), WarehouseError> {
        if self.done() { Ok(()) } else { Err(self.wanted("the end of the statement")) }
    }

    /// The error that names what was wanted and what stands there.
    pub fn wanted(&self, what: &str) -> WarehouseError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |token| format!("`{token}`"));
        WarehouseError::syntax(format!("expected {what}, found {found}"))
    }

    /// The first words of the statement, to name it.
    pub fn title(&self) -> String {
        let words = self.tokens.iter().map_while(|token| match token {
            Token::Word(word) if word.keyword != Keyword::NoKeyword && word.quote_style.is_none() => {
                Some(word.value.to_uppercase())
            }
            _ => None,
        });
        let title = words.take(3).collect::<Vec<_>>().join(" ");
        if title.is_empty() { "this statement".to_owned() } else { title }
    }
}

/// `name` or `schema.name`, folded to lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// None: found by the search path, made in `public`.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
}

impl Name {
    /// The schema that a new object goes to.
    pub fn schema_or_default(&self) -> &str {
        self.schema.as_deref().unwrap_or("public")
    }

    /// Quoted for the engine.
    pub fn sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes for Redshift, where a backslash escapes.
pub fn redshift_literal(text: &str) -> String {
    literal(&text.replace('\\', "\\\\"))
}

/// A text in single quotes for the engine, where a backslash is a backslash.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_a_text_a_name_or_a_comment_ends_no_statement() {
        let pieces = split("select ';é' ; -- a; b\n select \"x;y\" from t /* ; */;;\n").unwrap();
        let texts: Vec<_> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts, ["select ';é'", "-- a; b\n select \"x;y\" from t /* ; */"]);
    }

    #[test]
    fn parameters_are_replaced_outside_of_texts_only() {
        let bound = bind("select '$1', $1, $2", &["'it''s'".into(), "NULL".into()]).unwrap();
        assert_eq!(bound, "select '$1', 'it''s', NULL");
        assert!(bind("select $3", &["1".into()]).is_err());
    }
}
