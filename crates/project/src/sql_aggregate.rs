//! An aggregate's SQL: sums and counts over one fact, its dimensions joined by their keys.
//!
//! Everything is refused that cannot be kept up by differences: what a fact's row adds to its group must depend
//! on that row and the dimension rows that it points to alone, and must be taken back exactly when it leaves.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    JoinConstraint, JoinOperator, Select, SelectItem, TableWithJoins, Value, ValueWithSpan, visit_expressions,
};

use crate::error::{Fault, Place, Problem};
use crate::sql::{self, Read, Reader, bare, folded, name_parts};

/// Functions over many rows that people reach for and that a difference cannot undo.
const OTHER_AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "first_value",
    "last_value",
    "listagg",
    "max",
    "median",
    "min",
    "percentile_cont",
    "percentile_disc",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "var_pop",
    "var_samp",
    "variance",
];

/// What an aggregate's query reads and gives.
#[derive(Debug)]
pub(crate) struct AggregateQuery {
    /// The table in FROM.
    pub fact: Read,
    /// The tables in JOIN.
    pub joins: Vec<JoinRead>,
    /// Output columns in order.
    pub outputs: Vec<AggregateOutput>,
    /// Columns that it names outside ON.
    pub inputs: Vec<Input>,
}

/// A table in JOIN, and the two columns that its ON compares.
#[derive(Debug)]
pub(crate) struct JoinRead {
    pub read: Read,
    pub on: (Input, Input),
}

/// A column as a query names it.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The table's name or short name before the dot.
    pub qualifier: Option<String>,
    pub name: String,
    pub place: Place,
}

/// An output column.
#[derive(Debug)]
pub(crate) struct AggregateOutput {
    pub name: String,
    pub place: Place,
    pub gives: Gives,
}

/// What an output column is.
#[derive(Debug)]
pub(crate) enum Gives {
    /// A column of the group: the input that it is or falls back from, and whether its form rules out NULL.
    Group { source: Option<Input>, never_null: bool },
    /// `SUM(x)`, and the input that `x` is.
    Sum { source: Option<Input> },
    /// `COUNT(x)`.
    Count,
    /// `COUNT(*)`.
    Rows,
}

/// Reads a query and refuses what cannot be kept up.
pub(crate) fn read(file: &str, text: &str) -> Result<AggregateQuery, Vec<Problem>> {
    sql::read_select(file, text, Fault::NotKeptUp, aggregate)
}

fn aggregate(reader: &mut Reader<'_>, select: &Select) -> Option<AggregateQuery> {
    reader.clauses(select, &["GROUP BY"]);
    let (fact, joins) = tables(reader, select)?;
    let qualifiers: Vec<Option<String>> =
        std::iter::once(&fact).chain(joins.iter().map(|join| &join.read)).flat_map(names).collect();
    let mut inputs = Vec::new();
    let mut outputs = Vec::new();
    let mut expressions = Vec::new();
    for item in &select.projection {
        let (output, expression) = output(reader, item, &qualifiers, &mut inputs)?;
        outputs.push(output);
        expressions.push(expression);
    }
    if let Some(filter) = &select.selection {
        columns(reader, filter, &qualifiers, &mut inputs);
    }
    grouping(reader, select, &outputs, &expressions);
    Some(AggregateQuery { fact, joins, outputs, inputs })
}

/// What a column of this table may have before its dot.
fn names(read: &Read) -> [Option<String>; 2] {
    [Some(read.table.clone()), read.alias.clone()]
}

/// One fact, and inner joins that compare one column with one.
fn tables(reader: &mut Reader<'_>, select: &Select) -> Option<(Read, Vec<JoinRead>)> {
    let whole = reader.place(select);
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else {
        reader.refuse("a list of tables instead of one fact and JOINs", whole);
        return None;
    };
    let fact = reader.table(relation, "curated")?;
    let mut out: Vec<JoinRead> = Vec::new();
    for join in joins {
        let read = reader.table(&join.relation, "curated")?;
        let (JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on))) =
            &join.join_operator
        else {
            reader.refuse("a join other than JOIN .. ON", read.place.clone());
            return None;
        };
        let Some(on) = equal_columns(reader, on) else {
            reader.refuse("an ON that does not compare two columns", reader.place(on));
            return None;
        };
        let known = std::iter::once(&fact).chain(out.iter().map(|join| &join.read));
        let name = |read: &Read| read.alias.clone().unwrap_or_else(|| read.table.clone());
        if known.clone().any(|other| name(other) == name(&read)) {
            reader.refuse(format!("a second table under the name `{}`", name(&read)), read.place.clone());
            return None;
        }
        out.push(JoinRead { read, on });
    }
    Some((fact, out))
}

fn equal_columns(reader: &Reader<'_>, on: &Expr) -> Option<(Input, Input)> {
    match on {
        Expr::Nested(inner) => equal_columns(reader, inner),
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => Some((input(reader, left)?, input(reader, right)?)),
        _ => None,
    }
}

/// The column that an expression is.
pub(crate) fn input(reader: &Reader<'_>, expr: &Expr) -> Option<Input> {
    match expr {
        Expr::Nested(inner) => input(reader, inner),
        Expr::Identifier(name) => {
            Some(Input { qualifier: None, name: folded(name), place: reader.place_of(name.span) })
        }
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, name] => {
                Some(Input { qualifier: Some(folded(table)), name: folded(name), place: reader.place_of(name.span) })
            }
            _ => None,
        },
        _ => None,
    }
}

fn output<'q>(
    reader: &mut Reader<'_>,
    item: &'q SelectItem,
    qualifiers: &[Option<String>],
    inputs: &mut Vec<Input>,
) -> Option<(AggregateOutput, &'q Expr)> {
    let place = reader.place(item);
    let (expr, alias) = match item {
        SelectItem::UnnamedExpr(expr) => (expr, None),
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(folded(alias))),
        _ => {
            reader.refuse("`*` (name each column)", place);
            return None;
        }
    };
    let gives = match aggregate_call(expr) {
        Some((name, function)) => measure(reader, &name, function, qualifiers, inputs)?,
        None => {
            columns(reader, expr, qualifiers, inputs);
            Gives::Group { source: source(reader, expr), never_null: never_null(expr) }
        }
    };
    let Some(name) = alias.or_else(|| bare(expr)) else {
        reader.refuse("an expression without a name (`AS name`)", place);
        return None;
    };
    Some((AggregateOutput { name, place, gives }, expr))
}

/// A function over many rows, with its name.
fn aggregate_call(expr: &Expr) -> Option<(String, &Function)> {
    let Expr::Function(function) = expr else { return None };
    let name = name_parts(&function.name).join(".");
    let known = ["sum", "count"].contains(&name.as_str()) || OTHER_AGGREGATES.contains(&name.as_str());
    known.then_some((name, function))
}

fn refuse_with(reader: &mut Reader<'_>, what: String, hint: &str, place: Place) {
    reader.problems.push(Problem::new((reader.fault)(what), place).hint(Some(hint.to_owned())));
}

fn measure(
    reader: &mut Reader<'_>,
    name: &str,
    function: &Function,
    qualifiers: &[Option<String>],
    inputs: &mut Vec<Input>,
) -> Option<Gives> {
    let place = reader.place(function);
    if OTHER_AGGREGATES.contains(&name) {
        let hint = match name {
            "avg" => "keep SUM(x) and COUNT(x) here, and divide them in a model of kind view",
            _ => {
                "only SUM, COUNT(*) and COUNT(x) can be taken back when a row leaves; compute it in a model of kind view"
            }
        };
        refuse_with(reader, format!("`{name}`"), hint, place);
        return None;
    }
    let list = match &function.args {
        FunctionArguments::List(list) => list,
        FunctionArguments::None | FunctionArguments::Subquery(_) => {
            reader.refuse(format!("`{name}` without an argument"), place);
            return None;
        }
    };
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
        let hint = "a distinct count cannot be taken back when a row leaves; compute it in a model of kind view";
        refuse_with(reader, format!("`{name}(DISTINCT ..)`"), hint, place);
        return None;
    }
    let extras = function.filter.is_some()
        || function.over.is_some()
        || function.null_treatment.is_some()
        || !function.within_group.is_empty()
        || !list.clauses.is_empty()
        || !matches!(function.parameters, FunctionArguments::None);
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if name == "count" && !extras => Some(Gives::Rows),
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] if !extras => {
            columns(reader, argument, qualifiers, inputs);
            Some(if name == "count" { Gives::Count } else { Gives::Sum { source: input(reader, argument) } })
        }
        _ => {
            let hint = "write CASE WHEN .. THEN .. END inside for a condition";
            refuse_with(reader, format!("`{name}` with anything but one plain argument"), hint, place);
            None
        }
    }
}

/// Walks an expression over one row: collects columns, refuses what is not row-wise.
fn columns(reader: &mut Reader<'_>, expr: &Expr, qualifiers: &[Option<String>], inputs: &mut Vec<Input>) {
    let mut names = Vec::new();
    let _: ControlFlow<()> = visit_expressions(expr, |expr| {
        if let Some((name, function)) = aggregate_call(expr) {
            let hint = "select SUM and COUNT as columns of their own, and compute with them in a model of kind view";
            let place = reader.place(function);
            refuse_with(reader, format!("`{name}` inside an expression"), hint, place);
            return ControlFlow::Break(());
        }
        if !matches!(expr, Expr::Nested(_)) {
            inputs.extend(input(reader, expr));
        }
        reader.expression(expr, qualifiers, &mut names)
    });
}

/// The column that a group's expression is, or is where that is not NULL.
fn source(reader: &Reader<'_>, expr: &Expr) -> Option<Input> {
    match coalesced(expr).and_then(|arguments| arguments.into_iter().next()) {
        Some(first) => input(reader, first),
        None => input(reader, expr),
    }
}

/// Whether an expression's form rules out NULL.
fn never_null(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => never_null(inner),
        Expr::Value(ValueWithSpan { value, .. }) => !matches!(value, Value::Null),
        _ => coalesced(expr).is_some_and(|arguments| arguments.into_iter().any(never_null)),
    }
}

/// The arguments of COALESCE.
fn coalesced(expr: &Expr) -> Option<Vec<&Expr>> {
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    let plain = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    let named = ["coalesce", "nvl"].contains(&name_parts(&function.name).join(".").as_str());
    named.then(|| list.args.iter().map(plain).collect()).flatten()
}

/// GROUP BY names exactly the columns that are not added up, as they are selected or by their number.
fn grouping(reader: &mut Reader<'_>, select: &Select, outputs: &[AggregateOutput], expressions: &[&Expr]) {
    let GroupByExpr::Expressions(grouped, modifiers) = &select.group_by else {
        return reader.refuse("GROUP BY ALL (name each column)", reader.place(select));
    };
    if !modifiers.is_empty() {
        return reader.refuse("GROUP BY with more than columns", reader.place(select));
    }
    let is_group = |at: &usize| matches!(outputs[*at].gives, Gives::Group { .. });
    let mut found = vec![false; outputs.len()];
    for expr in grouped {
        let number = match expr {
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.to_string().parse().ok(),
            _ => None,
        };
        let at = match number {
            Some(number) => usize::checked_sub(number, 1).filter(|at| *at < outputs.len()),
            None => expressions.iter().position(|selected| *selected == expr),
        };
        match at.filter(is_group) {
            Some(at) => found[at] = true,
            None => {
                reader.refuse(format!("GROUP BY `{expr}`, which is not selected as it stands,"), reader.place(expr))
            }
        }
    }
    for (at, _) in found.iter().enumerate().filter(|(at, found)| !**found && is_group(at)) {
        let output = &outputs[at];
        reader.refuse(format!("`{}`, which is neither added up nor in GROUP BY,", output.name), output.place.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "FROM curated.fact_loan AS l JOIN curated.dim_book AS b ON b.book_key = l.book_key";

    #[test]
    fn groups_sums_and_counts_are_told_apart() {
        let text = format!(
            "SELECT l.day_key, COALESCE(b.topic, '?') AS topic, SUM(l.fee * 2) AS fees, SUM(l.days) AS days, \
             COUNT(l.fee) AS paid, COUNT(*) AS loans {FROM} WHERE l.days > 0 GROUP BY 1, COALESCE(b.topic, '?')"
        );
        let query = read("a.sql", &text).expect("an aggregate");
        assert_eq!((query.fact.table.as_str(), query.joins[0].read.table.as_str()), ("fact_loan", "dim_book"));
        let kinds: Vec<String> = (query.outputs.iter())
            .map(|output| match &output.gives {
                Gives::Group { source, never_null } => {
                    format!("{} group {} {never_null}", output.name, source.as_ref().expect("a column").name)
                }
                Gives::Sum { source } => format!("{} sum {}", output.name, source.is_some()),
                Gives::Count => format!("{} count", output.name),
                Gives::Rows => format!("{} rows", output.name),
            })
            .collect();
        let wanted = [
            "day_key group day_key false",
            "topic group topic true",
            "fees sum false",
            "days sum true",
            "paid count",
            "loans rows",
        ];
        assert_eq!(kinds, wanted);
        let inputs: Vec<&str> = query.inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(inputs, ["day_key", "topic", "fee", "days", "fee", "days"]);
    }

    #[test]
    fn what_a_difference_cannot_undo_is_refused_by_name() {
        for (select, expected) in [
            ("SELECT l.d, AVG(l.fee) AS a FROM curated.f AS l GROUP BY l.d", "`avg`"),
            ("SELECT l.d, MIN(l.fee) AS a FROM curated.f AS l GROUP BY l.d", "`min`"),
            ("SELECT l.d, COUNT(DISTINCT l.x) AS a FROM curated.f AS l GROUP BY l.d", "`count(DISTINCT ..)`"),
            ("SELECT l.d, SUM(l.x) / COUNT(*) AS a FROM curated.f AS l GROUP BY l.d", "`sum` inside an expression"),
            ("SELECT l.d, SUM(l.x) OVER () AS a FROM curated.f AS l GROUP BY l.d", "one plain argument"),
            ("SELECT l.d, SUM(l.x) AS a FROM curated.f AS l GROUP BY l.d HAVING SUM(l.x) > 1", "HAVING"),
            ("SELECT l.d, l.e, SUM(l.x) AS a FROM curated.f AS l GROUP BY l.d", "`e`, which is neither"),
            ("SELECT l.d, SUM(l.x) AS a FROM curated.f AS l GROUP BY l.d, l.e", "GROUP BY `l.e`"),
            ("SELECT l.d, SUM(l.x) AS a FROM curated.f AS l GROUP BY 2", "GROUP BY `2`"),
            ("SELECT l.d, SUM(l.x) AS a FROM curated.f AS l GROUP BY ROLLUP (l.d)", "GROUP BY `ROLLUP (l.d)`"),
            ("SELECT l.d, SUM(l.x) FROM curated.f AS l GROUP BY l.d", "an expression without a name"),
            ("SELECT l.d FROM curated.f AS l LEFT JOIN curated.g AS g ON g.k = l.k GROUP BY l.d", "JOIN .. ON"),
            ("SELECT l.d FROM curated.f AS l JOIN curated.g AS g ON g.k > l.k GROUP BY l.d", "compare two columns"),
            ("SELECT l.d FROM curated.f AS l JOIN curated.g AS l ON l.k = l.k GROUP BY l.d", "a second table"),
            ("SELECT l.d FROM curated.f AS l, curated.g AS g GROUP BY l.d", "a list of tables"),
            ("SELECT l.d, SUM(now()) AS a FROM curated.f AS l GROUP BY l.d", "the function `now`"),
        ] {
            let problems = read("a.sql", select).expect_err(select);
            let found: Vec<String> = problems.iter().map(|problem| problem.fault.to_string()).collect();
            assert!(found.iter().any(|text| text.contains(expected)), "{select}: {found:?}");
        }
        let average = read("a.sql", "SELECT l.d, AVG(l.fee) AS a FROM curated.f AS l GROUP BY l.d").expect_err("avg");
        assert!(average[0].hint.as_ref().is_some_and(|hint| hint.contains("divide them in a model of kind view")));
    }
}
