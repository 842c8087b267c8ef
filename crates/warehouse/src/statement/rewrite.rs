//! Checks a syntax tree against what Redshift takes, and turns it into the engine's dialect, in place.
//!
//! Everything that is not known here is refused by name. Expressions that need another form are replaced by
//! an identifier without quotes that holds the engine's text: the printer writes it as it is.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Ident, LimitClause, ObjectName, Query, Select, SelectItem,
    SetExpr, SetOperator, Statement, Subscript, TableFactor, TopQuantity, UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::column_name::column_name;
use super::functions;
use super::quote::{quote, quote_alias, quote_targets};
use super::super_path::{EXTRACT, close, element_text, key, subscript};
use super::types::column_type;
use crate::error::WarehouseError;

/// What the rewriter must know of the database.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Names of columns of type SUPER, in any table.
    pub super_columns: HashSet<String>,
    /// Lambda functions that were declared.
    pub functions: HashSet<String>,
}

/// Rewrites a statement; the error is the first thing that is refused.
pub fn rewrite(statement: &mut Statement, names: &Names) -> Result<(), WarehouseError> {
    quote_targets(statement);
    run(statement, names)
}

/// Rewrites an expression that stands alone, e.g. a default.
pub fn rewrite_expr(expr: &mut Expr, names: &Names) -> Result<(), WarehouseError> {
    run(expr, names)
}

/// Rewrites a query that stands alone.
pub fn rewrite_query(query: &mut Query, names: &Names) -> Result<(), WarehouseError> {
    run(query, names)
}

fn run(node: &mut impl VisitMut, names: &Names) -> Result<(), WarehouseError> {
    let mut rewriter = Rewriter { names, super_aliases: HashSet::new() };
    match node.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Rewriter<'a> {
    names: &'a Names,
    /// Aliases in this statement of expressions that give SUPER.
    super_aliases: HashSet<String>,
}

type Flow = ControlFlow<WarehouseError>;

fn unsupported(what: impl Into<String>) -> Flow {
    ControlFlow::Break(WarehouseError::unsupported(what))
}

fn or_break(result: Result<(), WarehouseError>) -> Flow {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// An expression that prints as this text.
pub fn raw(text: impl Into<String>) -> Expr {
    Expr::Identifier(Ident::new(text))
}

impl VisitorMut for Rewriter<'_> {
    type Break = WarehouseError;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        if query.fetch.is_some() {
            return unsupported("FETCH (use LIMIT)");
        }
        if query.settings.is_some() || query.format_clause.is_some() || query.for_clause.is_some() {
            return unsupported("this clause of a query");
        }
        if !query.pipe_operators.is_empty() {
            return unsupported("pipe operators");
        }
        if let Some(with) = &mut query.with {
            with.cte_tables.iter_mut().for_each(|cte| quote_alias(&mut cte.alias));
        }
        minus_to_except(&mut query.body);
        or_break(top_to_limit(query))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        if select.top.is_some() {
            return unsupported("TOP in an arm of a set operation");
        }
        if select.into.is_some() {
            return unsupported("SELECT INTO (use CREATE TABLE AS)");
        }
        let odd = !select.connect_by.is_empty()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.value_table_mode.is_some()
            || select.select_modifiers.is_some();
        if odd {
            return unsupported("this clause of SELECT");
        }
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    if let Some(name) = column_name(expr) {
                        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
                    }
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    if self.gives_super(expr) {
                        self.super_aliases.insert(alias.value.to_lowercase());
                    }
                    quote(alias);
                }
                SelectItem::ExprWithAliases { .. } => return unsupported("several aliases of one column"),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        if let TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } = factor
        {
            quote_alias(alias);
        }
        match factor {
            TableFactor::Table { json_path: Some(_), .. } => unsupported("unnesting of SUPER in FROM"),
            TableFactor::Table { version: Some(_), .. } => unsupported("time travel"),
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                unsupported("TABLESAMPLE")
            }
            TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => {
                ControlFlow::Continue(())
            }
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => unsupported("PIVOT"),
            _ => unsupported("this kind of FROM item"),
        }
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> Flow {
        let mut parts = Vec::new();
        for part in &relation.0 {
            match part.as_ident() {
                Some(ident) => parts.push(ident.value.to_lowercase()),
                None => return unsupported("this form of a table's name"),
            }
        }
        // Names with a dot or slash would be taken by the engine for files.
        if parts.iter().any(|part| part.contains(['.', '/', '\\', '*']) || part.is_empty()) {
            let message = format!("relation \"{}\" does not exist", parts.join("."));
            return ControlFlow::Break(WarehouseError::Engine {
                kind: crate::error::EngineFailure::MissingRelation,
                message,
            });
        }
        match parts.as_slice() {
            [_] | [_, _] => {}
            [database, rest @ ..] if rest.len() == 2 && database == "dev" => {
                relation.0.remove(0);
                parts.remove(0);
            }
            _ => return unsupported("a query across databases"),
        }
        let system = match parts.as_slice() {
            [name] => system_view(name),
            [schema, name] if schema == "pg_catalog" => system_view(name),
            [schema, name] if schema == "information_schema" => match name.as_str() {
                "tables" => Some("info_tables"),
                "columns" => Some("info_columns"),
                "schemata" => Some("info_schemata"),
                _ => return unsupported(format!("information_schema.{name}")),
            },
            [schema, _] if schema.starts_with("weir_") || schema == "main" || schema == "temp" => {
                return ControlFlow::Break(WarehouseError::Engine {
                    kind: crate::error::EngineFailure::MissingRelation,
                    message: format!("schema \"{schema}\" does not exist"),
                });
            }
            _ => None,
        };
        let idents = match system {
            Some(view) => vec![Ident::new("weir_pg"), Ident::new(view)],
            None => parts.into_iter().map(|part| Ident::with_quote('"', part)).collect(),
        };
        *relation = ObjectName::from(idents);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match self.engine_text(expr) {
            Ok(Some(text)) => {
                *expr = raw(text);
                ControlFlow::Continue(())
            }
            Ok(None) => {
                // Words that only the engine reserves are names here.
                match expr {
                    Expr::Identifier(ident) => quote(ident),
                    Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(quote),
                    _ => {}
                }
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter<'_> {
    /// The engine's text, where it differs. Children are the engine's already.
    fn engine_text(&self, expr: &Expr) -> Result<Option<String>, WarehouseError> {
        let no = |what: &str| Err(WarehouseError::unsupported(what));
        match expr {
            Expr::Identifier(ident) if ident.quote_style.is_none() => {
                // Redshift's functions without parentheses.
                match ident.value.to_lowercase().as_str() {
                    "sysdate" => Ok(Some("CAST(now() AS TIMESTAMP)".into())),
                    "current_user" | "user" | "session_user" => Ok(Some("'weir'".into())),
                    _ => Ok(None),
                }
            }
            Expr::BinaryOp { left, op, right } => binary(left, op, right),
            Expr::UnaryOp { op, .. } => match op {
                UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not | UnaryOperator::BitwiseNot => Ok(None),
                other => Err(WarehouseError::unsupported(format!("operator {other}"))),
            },
            Expr::CompoundIdentifier(parts) => Ok(self.navigate(parts)),
            Expr::JsonAccess { value, path } => {
                let mut text = self.base(value);
                for element in &path.path {
                    text.push_str(&element_text(element)?);
                }
                Ok(Some(close(text)))
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut text = self.base(root);
                for access in access_chain {
                    match access {
                        AccessExpr::Dot(Expr::Identifier(ident)) => text.push_str(&key(&ident.value)),
                        AccessExpr::Subscript(Subscript::Index { index }) => text.push_str(&subscript(index)?),
                        _ => return no("this access path"),
                    }
                }
                Ok(Some(close(text)))
            }
            Expr::Cast { kind, expr: inner, data_type, format: None, array: false } => {
                self.cast(*kind == CastKind::TryCast, inner, data_type).map(Some)
            }
            Expr::Cast { .. } => no("CAST .. FORMAT"),
            Expr::TypedString(typed) => {
                let engine = column_type(&typed.data_type.to_string())?.engine;
                Ok(Some(format!("CAST({} AS {engine})", typed.value)))
            }
            Expr::Function(function) => {
                let name = function.name.to_string().replace('"', "").to_lowercase();
                let declared = self.names.functions.contains(&name);
                functions::rewrite(function, declared)
            }
            Expr::SimilarTo { .. } => no("SIMILAR TO (use ~)"),
            Expr::RLike { .. } | Expr::MemberOf(_) | Expr::MatchAgainst { .. } | Expr::InUnnest { .. } => {
                no("this predicate")
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => Ok(None),
            Expr::Collate { .. } => no("COLLATE"),
            Expr::Struct { .. }
            | Expr::Named { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::Array(_)
            | Expr::Lambda(_)
            | Expr::Prefixed { .. }
            | Expr::Prior(_)
            | Expr::OuterJoin(_)
            | Expr::Convert { .. }
            | Expr::IsNormalized { .. } => no("this expression"),
            Expr::Extract { field, expr: inner, .. } => {
                Ok(Some(format!("date_part('{}', CAST({inner} AS TIMESTAMP))", field.to_string().to_lowercase())))
            }
            Expr::Value(value) => match &value.value {
                Value::Placeholder(name) => Err(WarehouseError::syntax(format!("there is no parameter {name}"))),
                Value::EscapedStringLiteral(text) => Ok(Some(super::text::literal(text))),
                Value::DollarQuotedString(text) => Ok(Some(super::text::literal(&text.value))),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn is_super(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.names.super_columns.contains(&name) || self.super_aliases.contains(&name)
    }

    fn gives_super(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Function(function) => function.name.to_string().eq_ignore_ascii_case("json_parse"),
            Expr::JsonAccess { .. } => true,
            Expr::Identifier(ident) => self.is_super(&ident.value),
            Expr::CompoundIdentifier(parts) => parts.iter().any(|part| self.is_super(&part.value)),
            Expr::Nested(inner) => self.gives_super(inner),
            _ => false,
        }
    }

    /// `t.data.after.id` where `data` is a SUPER column; none if no part before the last one is.
    fn navigate(&self, parts: &[Ident]) -> Option<String> {
        let at = parts[..parts.len() - 1].iter().position(|part| self.is_super(&part.value))?;
        let column = parts[..=at].iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        let path: String = parts[at + 1..].iter().map(|part| key(&part.value)).collect();
        Some(close(format!("{EXTRACT}{column}, '${path}")))
    }

    /// The open text of a path, to which elements are added.
    fn base(&self, value: &Expr) -> String {
        let text = value.to_string();
        match text.strip_suffix("')").filter(|open| open.starts_with(EXTRACT)) {
            Some(open) => open.to_owned(),
            None => format!("{EXTRACT}{text}, '$"),
        }
    }

    fn cast(&self, try_cast: bool, inner: &Expr, data_type: &DataType) -> Result<String, WarehouseError> {
        let to = column_type(&data_type.to_string())?;
        let text = inner.to_string();
        let of_super = match inner {
            Expr::Identifier(ident) if ident.value.starts_with(EXTRACT) => {
                Some(text.replacen(EXTRACT, "json_extract_string(", 1))
            }
            Expr::Identifier(ident) if self.is_super(&ident.value) => Some(format!("json_extract_string({text}, '$')")),
            Expr::CompoundIdentifier(parts) if parts.last().is_some_and(|part| self.is_super(&part.value)) => {
                Some(format!("json_extract_string({text}, '$')"))
            }
            _ => None,
        };
        let cut = |text: String| match to.bytes {
            // A cast cuts what does not fit; storing refuses it.
            Some(bytes) if bytes < 65_535 => format!("left({text}, {bytes})"),
            _ => text,
        };
        Ok(match of_super {
            Some(text) if to.engine == "VARCHAR" => cut(text),
            Some(_) if to.semi_structured => text,
            // A wrong cast of SUPER gives NULL, as in Redshift's lax mode.
            Some(text) => format!("TRY_CAST({text} AS {})", to.engine),
            None if to.engine == "VARCHAR" => cut(format!("CAST({text} AS VARCHAR)")),
            None if to.semi_structured => format!("to_json({text})"),
            None if try_cast => format!("TRY_CAST({text} AS {})", to.engine),
            None => format!("CAST({text} AS {})", to.engine),
        })
    }
}

/// A number in quotes takes the type of what it is divided by or divides, as in Redshift.
fn operand(expr: &Expr) -> String {
    if let Expr::Value(value) = expr
        && let Value::SingleQuotedString(text) = &value.value
        && text.parse::<f64>().is_ok_and(f64::is_finite)
    {
        return text.trim().to_owned();
    }
    expr.to_string()
}

fn binary(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<String>, WarehouseError> {
    use BinaryOperator as Op;
    Ok(match op {
        // Redshift fails on a zero divisor, the engine gives NULL or infinity.
        Op::Divide => Some(format!("({} / weir_sql.nz({}))", operand(left), operand(right))),
        Op::Modulo => Some(format!("({} % weir_sql.nz({}))", operand(left), operand(right))),
        Op::PGRegexMatch => Some(format!("regexp_matches({left}, {right})")),
        Op::PGRegexIMatch => Some(format!("regexp_matches({left}, {right}, 'i')")),
        Op::PGRegexNotMatch => Some(format!("(NOT regexp_matches({left}, {right}))")),
        Op::PGRegexNotIMatch => Some(format!("(NOT regexp_matches({left}, {right}, 'i'))")),
        Op::Plus
        | Op::Minus
        | Op::Multiply
        | Op::StringConcat
        | Op::Gt
        | Op::Lt
        | Op::GtEq
        | Op::LtEq
        | Op::Eq
        | Op::NotEq
        | Op::And
        | Op::Or
        | Op::BitwiseAnd
        | Op::BitwiseOr
        | Op::PGBitwiseShiftLeft
        | Op::PGBitwiseShiftRight
        | Op::PGExp => None,
        Op::BitwiseXor => Some(format!("power({left}, {right})")),
        Op::PGBitwiseXor => Some(format!("xor({left}, {right})")),
        other => return Err(WarehouseError::unsupported(format!("operator {other}"))),
    })
}

/// Redshift's MINUS is EXCEPT.
fn minus_to_except(body: &mut SetExpr) {
    if let SetExpr::SetOperation { left, op, right, .. } = body {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        minus_to_except(left);
        minus_to_except(right);
    }
}

/// `SELECT TOP n ..` becomes `SELECT .. LIMIT n`.
fn top_to_limit(query: &mut Query) -> Result<(), WarehouseError> {
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
    let Some(top) = select.top.take() else { return Ok(()) };
    if top.percent || top.with_ties || query.limit_clause.is_some() {
        return Err(WarehouseError::unsupported("TOP with PERCENT, TIES or LIMIT"));
    }
    let limit = match top.quantity {
        Some(TopQuantity::Constant(n)) => Expr::value(Value::Number(n.to_string(), false)),
        Some(TopQuantity::Expr(expr)) => expr,
        None => return Err(WarehouseError::syntax("TOP needs a number")),
    };
    query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
    Ok(())
}

fn system_view(name: &str) -> Option<&'static str> {
    const OURS: [&str; 9] = [
        "svv_mv_info",
        "sys_stream_scan_errors",
        "svv_external_schemas",
        "svv_table_info",
        "svv_tables",
        "svv_columns",
        "svv_roles",
        "svv_relation_privileges",
        "svv_schema_privileges",
    ];
    OURS.into_iter().find(|view| *view == name)
}
