//! A view's SQL: one SELECT over curated tables, joined in any way, in the SQL that Redshift reads.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Function, JoinConstraint, JoinOperator, Select, SelectItem, visit_expressions};

use crate::error::{Fault, Problem, suggest};
use crate::sql::{self, FUNCTIONS, Read, Reader, bare, folded, name_parts};
use crate::sql_aggregate::{Input, input};

/// Functions that a view may use beyond those of row-wise models.
const MORE_FUNCTIONS: &[&str] = &["avg", "ceil", "count", "floor", "max", "min", "round", "sum"];

/// What a view's query reads and gives.
#[derive(Debug)]
pub(crate) struct ViewQuery {
    pub reads: Vec<Read>,
    pub inputs: Vec<Input>,
}

/// Reads a query and refuses what cannot be checked without a warehouse.
pub(crate) fn read(file: &str, text: &str) -> Result<ViewQuery, Vec<Problem>> {
    sql::read_select(file, text, Fault::BadView, view)
}

fn view(reader: &mut Reader<'_>, select: &Select) -> Option<ViewQuery> {
    reader.clauses(select, &["GROUP BY", "HAVING", "DISTINCT"]);
    let mut reads = Vec::new();
    let mut conditions = Vec::new();
    for from in &select.from {
        reads.push(reader.table(&from.relation, "curated")?);
        for join in &from.joins {
            let read = reader.table(&join.relation, "curated")?;
            match &join.join_operator {
                JoinOperator::Join(JoinConstraint::On(on))
                | JoinOperator::Inner(JoinConstraint::On(on))
                | JoinOperator::Left(JoinConstraint::On(on))
                | JoinOperator::LeftOuter(JoinConstraint::On(on)) => conditions.push(on),
                _ => reader.refuse("a join other than JOIN and LEFT JOIN with ON", read.place.clone()),
            }
            reads.push(read);
        }
    }
    if reads.is_empty() {
        reader.refuse("a SELECT without FROM", reader.place(select));
    }
    let mut called = BTreeSet::new();
    for read in &reads {
        let name = read.alias.as_ref().unwrap_or(&read.table);
        if !called.insert(name) {
            reader.refuse(format!("a second table under the name `{name}`"), read.place.clone());
        }
    }
    let qualifiers: Vec<Option<String>> =
        reads.iter().flat_map(|read| [Some(read.table.clone()), read.alias.clone()]).collect();
    let mut inputs = Vec::new();
    let mut walk = Walk { qualifiers: &qualifiers, inputs: &mut inputs };
    let _: ControlFlow<()> = visit_expressions(&select.projection, |expr| walk.expression(reader, expr));
    let rest = conditions.into_iter().chain(&select.selection).chain(&select.having);
    for expr in rest {
        let _: ControlFlow<()> = visit_expressions(expr, |expr| walk.expression(reader, expr));
    }
    let _: ControlFlow<()> = visit_expressions(&select.group_by, |expr| walk.expression(reader, expr));
    names(reader, &select.projection);
    Some(ViewQuery { reads, inputs })
}

/// Every column has a name, and each another one.
fn names(reader: &mut Reader<'_>, projection: &[SelectItem]) {
    let mut out: BTreeSet<String> = BTreeSet::new();
    for item in projection {
        let place = reader.place(item);
        let name = match item {
            SelectItem::UnnamedExpr(expr) => bare(expr),
            SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
            _ => None,
        };
        match name {
            None => reader.refuse("an output without a name (no `*`; `AS name` behind an expression)", place),
            Some(name) if out.contains(&name) => {
                reader.refuse(format!("a second column `{name}`"), place);
            }
            Some(name) => {
                out.insert(name);
            }
        }
    }
}

struct Walk<'a> {
    qualifiers: &'a [Option<String>],
    inputs: &'a mut Vec<Input>,
}

impl Walk<'_> {
    fn expression(&mut self, reader: &mut Reader<'_>, expr: &Expr) -> ControlFlow<()> {
        if !matches!(expr, Expr::Nested(_)) {
            self.inputs.extend(input(reader, expr));
        }
        match expr {
            Expr::Function(function) => self.function(reader, function),
            _ => return reader.expression(expr, self.qualifiers, &mut Vec::new()),
        }
        ControlFlow::Continue(())
    }

    fn function(&self, reader: &mut Reader<'_>, function: &Function) {
        let name = name_parts(&function.name).join(".");
        let place = reader.place(function);
        let known = || FUNCTIONS.iter().chain(MORE_FUNCTIONS).copied();
        if function.over.is_some() {
            reader.refuse(format!("the window function `{name}`"), place);
        } else if !known().any(|known| known == name) {
            let fault = (reader.fault)(format!("the function `{name}`"));
            reader.problems.push(Problem::new(fault, place).hint(suggest(&name, known())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_names_its_tables_and_columns() {
        let text = "SELECT d.year, COUNT(DISTINCT a.country) AS markets, AVG(a.amount) AS mean \
                    FROM curated.agg AS a LEFT JOIN curated.dim_date AS d ON d.date_key = a.day \
                    WHERE a.lines > 0 GROUP BY d.year HAVING COUNT(*) > 1";
        let query = read("v.sql", text).expect("a view");
        let reads: Vec<&str> = query.reads.iter().map(|read| read.table.as_str()).collect();
        assert_eq!(reads, ["agg", "dim_date"]);
        let inputs: Vec<&str> = query.inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(inputs, ["year", "country", "amount", "date_key", "day", "lines", "year"]);
    }

    #[test]
    fn what_cannot_be_checked_offline_is_refused_by_name() {
        for (text, expected) in [
            ("SELECT a.x FROM curated.t AS a ORDER BY a.x", "ORDER BY"),
            ("SELECT * FROM curated.t AS a", "an output without a name"),
            ("SELECT a.x, a.x FROM curated.t AS a", "a second column `x`"),
            ("SELECT a.x FROM curated.t AS a WHERE a.x IN (SELECT b.x FROM curated.b AS b)", "a subquery"),
            ("SELECT a.x FROM curated.t AS a JOIN curated.b AS a ON a.x = a.x", "a second table"),
            ("SELECT now() AS n FROM curated.t AS a", "the function `now`"),
            ("SELECT a.x FROM curated.t AS a CROSS JOIN curated.b AS b", "a join other than"),
        ] {
            let problems = read("v.sql", text).expect_err(text);
            let found: Vec<String> = problems.iter().map(|problem| problem.fault.to_string()).collect();
            assert!(found.iter().any(|text| text.contains(expected)), "{text}: {found:?}");
        }
    }
}
