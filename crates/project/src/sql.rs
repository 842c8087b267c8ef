//! A model's SQL: one row-wise SELECT over one table, in the SQL that DataFusion and Redshift share.
//!
//! Everything is refused that is not known to be row-wise and deterministic: what a row becomes must
//! depend on that row alone.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, ObjectName,
    ObjectNamePart, Query, Select, SelectFlavor, SelectItem, SetExpr, Spanned, Statement, TableFactor, TableWithJoins,
    visit_expressions,
};
use sqlparser::dialect::{Dialect, GenericDialect, RedshiftSqlDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

use crate::error::{Fault, Place, Problem, suggest};

/// Scalar, deterministic, and the same in DataFusion and Redshift. No rounding and no logarithms:
/// they would lead decimals through floats.
pub(crate) const FUNCTIONS: &[&str] = &[
    "abs",
    "btrim",
    "char_length",
    "coalesce",
    "concat",
    "date_part",
    "date_trunc",
    "greatest",
    "initcap",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "nullif",
    "nvl",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "strpos",
    "substr",
    "substring",
    "translate",
    "trim",
    "upper",
];

/// What a query reads and gives.
#[derive(Debug)]
pub(crate) struct RowQuery {
    /// `staging` in `staging.customer`.
    pub schema: String,
    /// `customer` in `staging.customer`.
    pub table: String,
    /// Where that stands.
    pub table_place: Place,
    /// Output columns in order.
    pub outputs: Vec<Output>,
    /// Input columns that it names, each with its place.
    pub inputs: Vec<(String, Place)>,
    /// Where its WHERE stands.
    pub filter: Option<Place>,
}

/// An output column.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The input column that it is, unchanged.
    pub bare: Option<String>,
}

/// Reads a query and refuses what is not row-wise.
pub(crate) fn read(file: &str, text: &str) -> Result<RowQuery, Vec<Problem>> {
    read_select(file, text, Fault::SqlNotRowWise, |reader, select| reader.row_query(select))
}

/// Reads the one SELECT of a file by `query`; what that refuses is a `fault`.
pub(crate) fn read_select<Q>(
    file: &str,
    text: &str,
    fault: fn(String) -> Fault,
    query: impl FnOnce(&mut Reader<'_>, &Select) -> Option<Q>,
) -> Result<Q, Vec<Problem>> {
    let statement = parse(file, text).map_err(|problem| vec![*problem])?;
    let mut reader = Reader { file, text, fault, problems: Vec::new() };
    let select = reader.only_a_select(&statement);
    match select.and_then(|select| query(&mut reader, select)) {
        Some(query) if reader.problems.is_empty() => Ok(query),
        _ => Err(reader.problems),
    }
}

/// The text without a final `;`, as the rest of Weir takes it.
pub(crate) fn without_semicolon(text: &str) -> String {
    text.trim_end().trim_end_matches(';').trim_end().to_owned()
}

/// One statement that both dialects read.
pub(crate) fn parse(file: &str, text: &str) -> Result<Statement, Box<Problem>> {
    let fail = |message: &str| {
        let (message, line, column) = split_location(message);
        Box::new(Problem::new(Fault::SqlSyntax(message), Place::at(file, text, line, column, 1)))
    };
    let with = |dialect: &dyn Dialect| {
        Parser::parse_sql(dialect, text).map_err(|error| match error {
            sqlparser::parser::ParserError::TokenizerError(m) | sqlparser::parser::ParserError::ParserError(m) => {
                fail(&m)
            }
            sqlparser::parser::ParserError::RecursionLimitExceeded => fail("it is nested too deeply"),
        })
    };
    let mut statements = with(&GenericDialect {})?;
    with(&RedshiftSqlDialect {})?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(fail("the file holds no query at Line: 1, Column: 1")),
        (Some(_), false) => Err(fail("the file holds more than one statement at Line: 1, Column: 1")),
    }
}

/// sqlparser puts the place at the end of its message.
fn split_location(message: &str) -> (String, usize, usize) {
    let split = message.rsplit_once(" at Line: ").and_then(|(text, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((text.to_owned(), line.trim().parse().ok()?, column.trim().parse().ok()?))
    });
    split.unwrap_or((message.to_owned(), 1, 1))
}

pub(crate) struct Reader<'a> {
    pub file: &'a str,
    pub text: &'a str,
    /// What a refused part of the query is a fault against.
    pub fault: fn(String) -> Fault,
    pub problems: Vec<Problem>,
}

/// A table in FROM or JOIN.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// `curated` in `curated.fact_loan AS l`.
    pub schema: String,
    /// `fact_loan`.
    pub table: String,
    /// `l`.
    pub alias: Option<String>,
    /// Where its name stands.
    pub place: Place,
}

impl Reader<'_> {
    pub(crate) fn place(&self, node: &impl Spanned) -> Place {
        self.place_of(node.span())
    }

    pub(crate) fn place_of(&self, span: Span) -> Place {
        let (start, end) = (span.start, span.end);
        let width = if start.line == end.line { end.column.saturating_sub(start.column) } else { 1 };
        let number = |n: u64| usize::try_from(n).unwrap_or(0);
        match start.line {
            0 => Place::whole(self.file),
            line => Place::at(self.file, self.text, number(line), number(start.column), number(width)),
        }
    }

    pub(crate) fn refuse(&mut self, what: impl Into<String>, place: Place) {
        self.problems.push(Problem::new((self.fault)(what.into()), place));
    }

    fn row_query(&mut self, select: &Select) -> Option<RowQuery> {
        let Read { schema, table, alias, place: table_place } = self.only_one_table(select)?;
        let mut inputs = Vec::new();
        let qualifiers = [Some(table.clone()), alias];
        self.expressions(select, &qualifiers, &mut inputs);
        Some(RowQuery {
            schema,
            table,
            table_place,
            outputs: self.outputs(select),
            inputs,
            filter: select.selection.as_ref().map(|filter| self.place(filter)),
        })
    }

    /// Names every clause of a query, so that a new one of the parser's cannot slip through.
    fn only_a_select<'q>(&mut self, statement: &'q Statement) -> Option<&'q Select> {
        let Statement::Query(query) = statement else {
            self.refuse("a statement other than SELECT", self.place(statement));
            return None;
        };
        let query: &Query = query;
        let whole = self.place(query);
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        for (there, what) in [
            (with.is_some(), "WITH"),
            (order_by.is_some(), "ORDER BY"),
            (limit_clause.is_some() || fetch.is_some(), "LIMIT"),
            (!locks.is_empty(), "FOR UPDATE"),
            (for_clause.is_some() || settings.is_some() || format_clause.is_some(), "this clause after the query"),
            (!pipe_operators.is_empty(), "a pipe operator"),
        ] {
            if there {
                self.refuse(what, whole.clone());
            }
        }
        match body.as_ref() {
            SetExpr::Select(select) => Some(select),
            SetExpr::SetOperation { op, .. } => {
                self.refuse(op.to_string(), whole);
                None
            }
            _ => {
                self.refuse("a query that is no plain SELECT", whole);
                None
            }
        }
    }

    /// The table in FROM; every other clause of a SELECT but the projection and WHERE is refused.
    fn only_one_table(&mut self, select: &Select) -> Option<Read> {
        self.clauses(select, &[]);
        let whole = self.place(select);
        let relation = match select.from.as_slice() {
            [TableWithJoins { relation, joins }] if joins.is_empty() => relation,
            [] => {
                self.refuse("a SELECT without FROM", whole);
                return None;
            }
            _ => {
                self.refuse("a join", whole);
                return None;
            }
        };
        self.table(relation, "staging")
    }

    /// Names every clause of a SELECT, so that a new one of the parser's cannot slip through.
    pub(crate) fn clauses(&mut self, select: &Select, allowed: &[&str]) {
        let whole = self.place(select);
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection: _,
            exclude,
            into,
            from: _,
            lateral_views,
            prewhere,
            selection: _,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let grouped = match group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
        };
        for (there, what) in [
            (!optimizer_hints.is_empty() || select_modifiers.is_some(), "a hint"),
            (distinct.is_some(), "DISTINCT"),
            (top.is_some(), "TOP"),
            (exclude.is_some(), "EXCLUDE"),
            (into.is_some(), "INTO"),
            (!lateral_views.is_empty(), "LATERAL VIEW"),
            (prewhere.is_some(), "PREWHERE"),
            (!connect_by.is_empty(), "CONNECT BY"),
            (grouped, "GROUP BY"),
            (
                !cluster_by.is_empty() || !distribute_by.is_empty() || !sort_by.is_empty(),
                "CLUSTER, DISTRIBUTE or SORT BY",
            ),
            (having.is_some(), "HAVING"),
            (!named_window.is_empty(), "WINDOW"),
            (qualify.is_some(), "QUALIFY"),
            (value_table_mode.is_some(), "SELECT AS"),
            (*flavor != SelectFlavor::Standard, "FROM before SELECT"),
        ] {
            if there && !allowed.contains(&what) {
                self.refuse(what, whole.clone());
            }
        }
    }

    /// A plain table of a schema, with or without a short name.
    pub(crate) fn table(&mut self, relation: &TableFactor, wanted: &str) -> Option<Read> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = relation
        else {
            self.refuse("a FROM that is no table", self.place(relation));
            return None;
        };
        let place = self.place(name);
        let extras = args.is_some() || version.is_some() || *with_ordinality || json_path.is_some() || sample.is_some();
        let hints = !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty();
        let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty() || alias.at.is_some());
        if extras || hints || renames {
            self.refuse("a table with anything but a short name behind it", place.clone());
        }
        let (schema, table) = match name_parts(name).as_slice() {
            [schema, table] => (schema.clone(), table.clone()),
            _ => {
                let what = format!("a table named `{name}` instead of `{wanted}.<table>`");
                self.refuse(what, place);
                return None;
            }
        };
        Some(Read { schema, table, alias: alias.as_ref().map(|alias| folded(&alias.name)), place })
    }

    fn outputs(&mut self, select: &Select) -> Vec<Output> {
        let mut outputs = Vec::new();
        for item in &select.projection {
            let place = self.place(item);
            match item {
                SelectItem::UnnamedExpr(expr) => match bare(expr) {
                    Some(name) => outputs.push(Output { name: name.clone(), place, bare: Some(name) }),
                    None => self.refuse("an expression without a name (`AS name`)", place),
                },
                SelectItem::ExprWithAlias { expr, alias } => {
                    outputs.push(Output { name: folded(alias), place, bare: bare(expr) });
                }
                SelectItem::ExprWithAliases { .. } => self.refuse("several names for one expression", place),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    self.refuse("`*` (name each column)", place);
                }
            }
        }
        outputs
    }

    /// Walks every expression: collects column names, refuses what is not row-wise.
    fn expressions(&mut self, select: &Select, qualifiers: &[Option<String>], inputs: &mut Vec<(String, Place)>) {
        let _: ControlFlow<()> =
            visit_expressions(&select.projection, |expr| self.expression(expr, qualifiers, inputs));
        if let Some(filter) = &select.selection {
            let _: ControlFlow<()> = visit_expressions(filter, |expr| self.expression(expr, qualifiers, inputs));
        }
    }

    pub(crate) fn expression(
        &mut self,
        expr: &Expr,
        qualifiers: &[Option<String>],
        inputs: &mut Vec<(String, Place)>,
    ) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => inputs.push((folded(name), self.place_of(name.span))),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [table, name] if qualifiers.iter().flatten().any(|q| *q == folded(table)) => {
                    inputs.push((folded(name), self.place_of(name.span)));
                }
                _ => self.refuse(format!("`{expr}`, which is no column of the table in FROM,"), self.place(expr)),
            },
            Expr::Function(function) => self.function(function),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, array: false, format: None, .. } => {}
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                self.refuse("a subquery", self.place(expr));
                return ControlFlow::Break(());
            }
            Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::BinaryOp { .. }
            | Expr::Like { any: false, .. }
            | Expr::UnaryOp { .. }
            | Expr::Extract { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Case { .. }
            | Expr::Interval(_) => {}
            _ => self.refuse(format!("`{expr}`"), self.place(expr)),
        }
        ControlFlow::Continue(())
    }

    fn function(&mut self, function: &Function) {
        let place = self.place(function);
        let name = name_parts(&function.name).join(".");
        if function.over.is_some() {
            return self.refuse(format!("the window function `{name}`"), place);
        }
        if !FUNCTIONS.contains(&name.as_str()) {
            let fault = (self.fault)(format!("the function `{name}`"));
            let hint = suggest(&name, FUNCTIONS.iter().copied())
                .unwrap_or_else(|| format!("use operators, CASE, CAST and these functions: {}", FUNCTIONS.join(", ")));
            self.problems.push(Problem::new(fault, place).hint(Some(hint)));
            return;
        }
        let plain = match &function.args {
            FunctionArguments::List(list) => {
                list.duplicate_treatment.is_none()
                    && list.clauses.is_empty()
                    && list.args.iter().all(|arg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(_))))
            }
            FunctionArguments::None | FunctionArguments::Subquery(_) => false,
        };
        let nothing_else = function.filter.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && matches!(function.parameters, FunctionArguments::None);
        if !plain || !nothing_else {
            self.refuse(format!("`{name}` with anything but plain arguments"), place);
        }
    }
}

/// The column that an expression is, without any change.
pub(crate) fn bare(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(names) => names.last().map(folded),
        Expr::Nested(inner) => bare(inner),
        _ => None,
    }
}

/// Both engines fold unquoted names to lower case.
pub(crate) fn folded(name: &Ident) -> String {
    match name.quote_style {
        None => name.value.to_lowercase(),
        Some(_) => name.value.clone(),
    }
}

pub(crate) fn name_parts(name: &ObjectName) -> Vec<String> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => folded(ident),
        ObjectNamePart::Function(function) => function.to_string(),
    };
    name.0.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(text: &str) -> String {
        let problems = read("m.sql", text).expect_err(text);
        let line = |p: &Problem| format!("{}:{} {}", p.place.line, p.place.column, p.fault);
        problems.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_projection_of_scalar_expressions_is_read_with_its_columns() {
        let text = "SELECT o.order_id, Quantity * unit_price AS amount,\n  CASE WHEN quantity < 0 THEN TRUE ELSE FALSE END AS back\nFROM staging.\"order\" AS o WHERE quantity IS NOT NULL";
        let query = read("m.sql", text).expect("row-wise");
        assert_eq!((query.schema.as_str(), query.table.as_str()), ("staging", "order"));
        let outputs: Vec<_> = query.outputs.iter().map(|o| (o.name.as_str(), o.bare.as_deref())).collect();
        assert_eq!(outputs, [("order_id", Some("order_id")), ("amount", None), ("back", None)]);
        let inputs: Vec<_> = query.inputs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(inputs, ["order_id", "quantity", "unit_price", "quantity", "quantity"]);
        assert!(query.filter.is_some());
    }

    #[test]
    fn what_looks_beyond_its_own_row_is_refused_at_its_place() {
        for (text, expected) in [
            ("SELECT a FROM staging.t JOIN staging.u ON true", "a join"),
            ("SELECT a FROM staging.t, staging.u", "a join"),
            ("SELECT a\nFROM staging.t GROUP BY a", "GROUP BY"),
            ("SELECT DISTINCT a FROM staging.t", "DISTINCT"),
            ("SELECT a,\n  sum(b) AS s FROM staging.t", "2:3 the function `sum`"),
            ("SELECT row_number() OVER (ORDER BY a) AS n FROM staging.t", "the window function `row_number`"),
            ("SELECT (SELECT 1) AS n FROM staging.t", "a subquery"),
            ("SELECT a FROM staging.t WHERE a IN (SELECT b FROM staging.u)", "a subquery"),
            ("SELECT now() AS n FROM staging.t", "the function `now`"),
            ("SELECT a FROM (SELECT a FROM staging.t) AS x", "a FROM that is no table"),
            ("SELECT a FROM staging.t UNION ALL SELECT b FROM staging.u", "UNION"),
            ("SELECT a FROM staging.t LIMIT 1", "LIMIT"),
            ("SELECT * FROM staging.t", "`*` (name each column)"),
            ("SELECT a + 1 FROM staging.t", "an expression without a name"),
            ("SELECT a FROM t", "a table named `t`"),
            ("SELECT x.a FROM staging.t", "which is no column of the table in FROM"),
            ("WITH t AS (SELECT 1) SELECT a FROM staging.t", "WITH"),
            ("DELETE FROM staging.t", "a statement other than SELECT"),
            ("SELECT 1 AS a; SELECT 2 AS b", "more than one statement"),
            ("SELECT a FROM staging.t WHERE", "not readable as SQL"),
            ("", "the file holds no query"),
        ] {
            let found = refusals(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
