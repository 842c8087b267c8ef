//! Rules of a materialized view over a topic.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, FunctionArguments, ObjectName, Query, SetExpr, Spanned, visit_expressions,
    visit_relations,
};
use sqlparser::tokenizer::{Location, Span};

use super::words::Words;
use super::{Finding, rule};
use crate::statement::streaming::TOPIC_COLUMNS;

/// Whether a view's query reads a topic: a topic's columns or a name with a dot, which no table has, say so.
pub fn reads_topic(query: &Query) -> bool {
    let names_column = |name: &str| TOPIC_COLUMNS.iter().any(|(column, ..)| column.eq_ignore_ascii_case(name));
    let by_column = visit_expressions(query, |expr| match expr {
        Expr::Identifier(ident) if names_column(&ident.value) => ControlFlow::Break(()),
        Expr::CompoundIdentifier(parts) if parts.last().is_some_and(|part| names_column(&part.value)) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    let by_name = visit_relations(query, |name| {
        if topic(name).is_some_and(|topic| topic.contains('.')) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    by_column.is_break() || by_name.is_break()
}

fn topic(name: &ObjectName) -> Option<&str> {
    name.0.last()?.as_ident().map(|ident| ident.value.as_str())
}

/// What is refused in it.
pub fn check(query: &Query, words: &Words<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |rule, what: &str, span: Span| {
        let place = if span.start == Location::empty() { words.place(None) } else { span.start };
        findings.push(Finding::of(rule, what).at(place));
    };
    if let Some(with) = &query.with {
        add(&rule::STREAM_VIEW, "WITH in a streaming view", with.span());
    }
    if query.order_by.is_some() || query.limit_clause.is_some() {
        add(&rule::STREAM_VIEW, "ORDER BY or LIMIT in a streaming view", Span::empty());
    }
    let _: ControlFlow<()> = visit_relations(query, |name| {
        if topic(name).is_some_and(|topic| topic != topic.to_lowercase()) {
            add(&rule::STREAM_TOPIC, &format!("topic {name}"), name.span());
        }
        ControlFlow::Continue(())
    });
    let SetExpr::Select(select) = query.body.as_ref() else {
        add(&rule::STREAM_VIEW, "a set operation in a streaming view", query.span());
        return findings;
    };
    if let [_, second, ..] = select.from.as_slice() {
        add(&rule::STREAM_VIEW, "a join in a streaming view", second.span());
    }
    if let Some(join) = select.from.first().and_then(|from| from.joins.first()) {
        add(&rule::STREAM_VIEW, "a join in a streaming view", join.span());
    }
    if let Some(Distinct::Distinct) = &select.distinct {
        add(&rule::STREAM_VIEW, "DISTINCT in a streaming view", select.select_token.0.span);
    }
    let _: ControlFlow<()> = visit_expressions(query, |expr| {
        match expr {
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let is_distinct = matches!(&function.args, FunctionArguments::List(list)
                    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
                // Redshift's own naming: only functions of one's own begin so.
                if name.starts_with("f_") {
                    let what = format!("function {} in a streaming view", function.name);
                    add(&rule::STREAM_FUNCTION, &what, function.name.span());
                } else if function.over.is_some() {
                    add(&rule::STREAM_VIEW, "a window in a streaming view", function.name.span());
                } else if is_distinct {
                    add(&rule::STREAM_VIEW, "DISTINCT in a streaming view", function.name.span());
                }
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                add(&rule::STREAM_VIEW, "a subquery in a streaming view", expr.span());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    findings
}
