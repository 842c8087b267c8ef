//! Names in double quotes and lower case: words that only the engine reserves are names in Redshift.

use sqlparser::ast::{AssignmentTarget, Ident, MergeAction, ObjectName, ObjectNamePart, Statement, TableAlias};

/// A name; DEFAULT is none.
pub fn quote(ident: &mut Ident) {
    if ident.quote_style.is_none() && !ident.value.eq_ignore_ascii_case("default") {
        ident.value = ident.value.to_lowercase();
        ident.quote_style = Some('"');
    }
}

/// An alias and its columns.
pub fn quote_alias(alias: &mut TableAlias) {
    quote(&mut alias.name);
    alias.columns.iter_mut().for_each(|column| quote(&mut column.name));
}

fn quote_name(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            quote(ident);
        }
    }
}

/// Quotes the column names of INSERT, UPDATE and MERGE, which are no expressions.
pub fn quote_targets(statement: &mut Statement) {
    let assign = |assignments: &mut Vec<sqlparser::ast::Assignment>| {
        for assignment in assignments {
            if let AssignmentTarget::ColumnName(name) = &mut assignment.target {
                quote_name(name);
            }
        }
    };
    match statement {
        Statement::Insert(insert) => insert.columns.iter_mut().for_each(quote_name),
        Statement::Update(update) => assign(&mut update.assignments),
        Statement::Merge(merge) => {
            for clause in &mut merge.clauses {
                match &mut clause.action {
                    MergeAction::Insert(insert) => insert.columns.iter_mut().for_each(quote_name),
                    MergeAction::Update(update) => assign(&mut update.assignments),
                    MergeAction::Delete { .. } => {}
                }
            }
        }
        _ => {}
    }
}
