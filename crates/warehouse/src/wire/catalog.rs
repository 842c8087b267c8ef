//! Clients' own catalog queries (psql's `\d`, drivers' look-ups): sent to the views and macros of `weir_pg`.
//!
//! They are rewritten as tokens, not as a tree: they are PostgreSQL's, with casts, operators and collations
//! that neither Redshift's dialect nor the engine reads.

use sqlparser::tokenizer::Token;

use crate::statement::text::{Piece, literal};

/// Relations and functions of `weir_pg`; what is not listed is left to the engine.
const OURS: &[&str] = &[
    "pg_namespace",
    "pg_class",
    "pg_attribute",
    "pg_attrdef",
    "pg_type",
    "pg_views",
    "pg_tables",
    "pg_roles",
    "pg_user",
    "pg_auth_members",
    "pg_database",
    "pg_proc",
    "pg_index",
    "pg_constraint",
    "pg_description",
    "pg_shdescription",
    "pg_inherits",
    "pg_collation",
    "pg_am",
    "pg_language",
    "pg_tablespace",
    "pg_trigger",
    "pg_rewrite",
    "pg_policy",
    "pg_enum",
    "pg_range",
    "pg_depend",
    "pg_settings",
    "pg_table_def",
    "svv_mv_info",
    "svv_external_schemas",
    "svv_roles",
    "svv_relation_privileges",
    "svv_schema_privileges",
    "svv_table_info",
    "svv_tables",
    "svv_columns",
    "format_type",
    "pg_get_userbyid",
    "pg_table_is_visible",
    "pg_type_is_visible",
    "pg_function_is_visible",
    "pg_get_expr",
    "pg_get_viewdef",
    "pg_get_constraintdef",
    "pg_get_indexdef",
    "pg_get_function_result",
    "pg_get_function_arguments",
    "obj_description",
    "col_description",
    "shobj_description",
    "pg_encoding_to_char",
    "pg_table_size",
    "pg_relation_size",
    "pg_database_size",
    "pg_size_pretty",
    "has_schema_privilege",
    "has_table_privilege",
    "has_database_privilege",
    "current_schemas",
    "current_schema",
    "current_database",
    "version",
    "pg_backend_pid",
    "pg_is_in_recovery",
    "quote_ident",
];

/// Whether a statement reads the catalog.
pub fn asks(piece: &Piece) -> bool {
    let mut words = piece.tokens.iter().filter_map(|token| match &token.token {
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    });
    let first = words.next();
    matches!(first.as_deref(), Some("select" | "with"))
        && words.any(|word| word.starts_with("pg_") && word != "pg_backend_pid")
}

/// The engine's text for a catalog query.
pub fn rewrite(piece: &Piece) -> String {
    let tokens: Vec<&Token> = piece.tokens.iter().map(|token| &token.token).collect();
    let mut out = String::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(next) = operator(&tokens, at, &mut out).or_else(|| collate(&tokens, at)) {
            at = next;
            continue;
        }
        match tokens[at] {
            Token::Word(word) if is(tokens[at], "pg_catalog") && tokens.get(at + 1) == Some(&&Token::Period) => {
                let _ = word;
                at += 2;
                continue;
            }
            Token::Word(word) if word.quote_style.is_none() && !after_period(&tokens, at) => {
                let lower = word.value.to_lowercase();
                if OURS.contains(&lower.as_str())
                    && !(is_function(&lower) && tokens.get(at + 1) != Some(&&Token::LParen))
                {
                    out.push_str("weir_pg.");
                }
                out.push_str(&word.value);
            }
            Token::DoubleColon => {
                at = cast(&tokens, at, &mut out);
                continue;
            }
            Token::SingleQuotedString(text) => out.push_str(&literal(text)),
            Token::EscapedStringLiteral(text) => out.push_str(&literal(text)),
            other => out.push_str(&other.to_string()),
        }
        at += 1;
    }
    out
}

fn is(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn is_function(name: &str) -> bool {
    !(name.starts_with("pg_") || name.starts_with("svv_")) || name == "version"
}

/// Whether the word is a column behind an alias; `pg_catalog.` has been dropped already and does not count.
fn after_period(tokens: &[&Token], at: usize) -> bool {
    at >= 2 && tokens[at - 1] == &Token::Period && !is(tokens[at - 2], "pg_catalog")
}

/// `OPERATOR(pg_catalog.~)` becomes `~`.
fn operator(tokens: &[&Token], at: usize, out: &mut String) -> Option<usize> {
    if !is(tokens[at], "operator") || tokens.get(at + 1) != Some(&&Token::LParen) {
        return None;
    }
    let close = at + tokens[at..].iter().position(|token| **token == Token::RParen)?;
    out.push(' ');
    for token in &tokens[at + 2..close] {
        if !is(token, "pg_catalog") && **token != Token::Period {
            out.push_str(&token.to_string());
        }
    }
    out.push(' ');
    Some(close + 1)
}

/// `COLLATE pg_catalog.default` goes.
fn collate(tokens: &[&Token], at: usize) -> Option<usize> {
    if !is(tokens[at], "collate") {
        return None;
    }
    let solid = |from: usize| {
        tokens.iter().enumerate().skip(from).find(|(_, t)| !matches!(t, Token::Whitespace(_))).map(|(i, _)| i)
    };
    let first = solid(at + 1)?;
    if is(tokens[first], "pg_catalog") { Some(first + 3) } else { Some(first + 1) }
}

/// Takes back the text literal, quotes included, that was written last.
fn take_text(out: &mut String) -> Option<String> {
    let open = out.trim_end().strip_suffix('\'')?;
    let start = open.rfind('\'')?;
    let text = out.trim_end()[start..].to_owned();
    out.truncate(start);
    Some(text)
}

/// Types that only PostgreSQL knows become the engine's, or go.
fn cast(tokens: &[&Token], at: usize, out: &mut String) -> usize {
    let mut next = at + 1;
    if tokens.get(next).is_some_and(|token| is(token, "pg_catalog")) {
        next += 2;
    }
    let Some(Token::Word(word)) = tokens.get(next).copied() else { return next };
    next += 1;
    match word.value.to_lowercase().as_str() {
        // A name is looked up; a number stays itself.
        "regclass" => {
            if let Some(name) = take_text(out) {
                out.push_str(&format!("weir_pg.to_regclass({name})"));
            }
        }
        "regtype" => {
            if let Some(name) = take_text(out) {
                let bare = name.replace("'pg_catalog.", "'");
                out.push_str(&format!("(SELECT max(oid) FROM weir_pg.pg_type WHERE typname = {bare})"));
            }
        }
        "regproc" | "regprocedure" | "regnamespace" | "regrole" | "int2vector" | "oidvector" => {}
        "oid" | "xid" => out.push_str("::BIGINT"),
        "name" | "text" | "char" | "\"char\"" => out.push_str("::VARCHAR"),
        other => {
            out.push_str("::");
            out.push_str(other);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::text::split;

    fn rewritten(text: &str) -> String {
        let piece = split(text).unwrap().remove(0);
        assert!(asks(&piece));
        rewrite(&piece)
    }

    #[test]
    fn qualified_operators_collations_and_casts_become_the_engine_s() {
        let text = "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c \
                    WHERE c.relname OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default AND c.oid = 'a.b'::regclass";
        insta::assert_snapshot!(rewritten(text), @"SELECT c.oid FROM weir_pg.pg_class c WHERE c.relname  ~  '^(x)$'  AND c.oid = weir_pg.to_regclass('a.b')");
    }

    #[test]
    fn the_name_of_a_type_is_looked_up() {
        let text = "SELECT 1 FROM pg_catalog.pg_proc p WHERE p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype";
        insta::assert_snapshot!(rewritten(text), @"SELECT 1 FROM weir_pg.pg_proc p WHERE p.prorettype = (SELECT max(oid) FROM weir_pg.pg_type WHERE typname = 'trigger')");
    }

    #[test]
    fn a_quoted_alias_is_no_keyword() {
        let text = "SELECT d.datcollate AS \"Collate\", d.x AS \"Operator\" FROM pg_catalog.pg_database d";
        insta::assert_snapshot!(rewritten(text), @r#"SELECT d.datcollate AS "Collate", d.x AS "Operator" FROM weir_pg.pg_database d"#);
    }

    #[test]
    fn a_query_that_only_mentions_a_catalog_name_in_a_text_is_an_ordinary_one() {
        assert!(!asks(&split("select 'pg_class' from t").unwrap()[0]));
        assert!(!asks(&split("insert into t select * from pg_class").unwrap()[0]));
    }
}
