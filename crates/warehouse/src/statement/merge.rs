//! MERGE by Redshift's rules, which are stricter than the engine's; the rules are those of its manual.

use sqlparser::ast::{BinaryOperator, Expr, Merge as Tree, MergeAction, MergeClauseKind, SetExpr, TableFactor};

use super::create_table::name_of;
use super::text::Name;
use crate::error::WarehouseError;

/// A checked MERGE, rewritten for the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The target.
    pub table: Name,
    /// The engine's text.
    pub sql: String,
    /// Gives a row if the source holds several rows with one join key.
    pub repeated: String,
    /// Gives a row if a target row matches several source rows; dearer, asked only if `repeated` gives one.
    pub matched_twice: String,
}

const CLAUSES: &str =
    "exactly one WHEN MATCHED THEN UPDATE or DELETE and one WHEN NOT MATCHED THEN INSERT, without AND";

/// Checks the tree as written, before it is rewritten.
pub fn check(tree: &Tree) -> Result<(), WarehouseError> {
    if !tree.into {
        return Err(WarehouseError::syntax("expected INTO after MERGE"));
    }
    if tree.output.is_some() {
        return Err(WarehouseError::refused("MERGE .. RETURNING", "MERGE gives no rows"));
    }
    match &tree.table {
        TableFactor::Table { alias: None, .. } => {}
        TableFactor::Table { .. } => {
            return Err(WarehouseError::refused("an alias of MERGE's target", "the target is named by its own name"));
        }
        _ => return Err(WarehouseError::refused("this target of MERGE", "the target is a table")),
    }
    match &tree.source {
        TableFactor::Table { .. } => {}
        TableFactor::Derived { subquery, alias, .. } => {
            if subquery.with.is_some() {
                return Err(WarehouseError::refused("WITH in MERGE", "the source is a table, view or plain subquery"));
            }
            if alias.is_none() {
                return Err(WarehouseError::syntax("a subquery as MERGE's source needs an alias"));
            }
            if !matches!(subquery.body.as_ref(), SetExpr::Select(_) | SetExpr::SetOperation { .. }) {
                return Err(WarehouseError::unsupported("this source of MERGE"));
            }
        }
        _ => return Err(WarehouseError::refused("this source of MERGE", "the source is a table, view or subquery")),
    }
    let (mut matched, mut not_matched) = (0, 0);
    for clause in &tree.clauses {
        if clause.predicate.is_some() {
            return Err(WarehouseError::refused("WHEN .. AND in MERGE", CLAUSES));
        }
        match (&clause.clause_kind, &clause.action) {
            (MergeClauseKind::Matched, MergeAction::Update(update)) => {
                if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                    return Err(WarehouseError::refused("WHERE in MERGE", CLAUSES));
                }
                matched += 1;
            }
            (MergeClauseKind::Matched, MergeAction::Delete { .. }) => matched += 1,
            (MergeClauseKind::NotMatched, MergeAction::Insert(insert)) => {
                if insert.insert_predicate.is_some() {
                    return Err(WarehouseError::refused("WHERE in MERGE", CLAUSES));
                }
                not_matched += 1;
            }
            _ => return Err(WarehouseError::refused("this clause of MERGE", CLAUSES)),
        }
    }
    if (matched, not_matched) != (1, 1) {
        return Err(WarehouseError::refused("this set of MERGE's clauses", CLAUSES));
    }
    if equalities(&tree.on).is_none() {
        return Err(WarehouseError::refused("this ON of MERGE", "the condition is equalities joined by AND"));
    }
    Ok(())
}

/// Builds the checks from the rewritten tree.
pub fn build(tree: &Tree) -> Result<Merge, WarehouseError> {
    let TableFactor::Table { name, .. } = &tree.table else {
        return Err(WarehouseError::unsupported("this target of MERGE"));
    };
    let table = name_of(name)?;
    let pairs = equalities(&tree.on).unwrap_or_default();
    let keys: Vec<String> = pairs
        .into_iter()
        .map(|(left, right)| if mentions(left, &table) { right.to_string() } else { left.to_string() })
        .collect();
    let not_null: Vec<String> = keys.iter().map(|key| format!("{key} IS NOT NULL")).collect();
    Ok(Merge {
        repeated: format!(
            "SELECT 1 FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
            tree.source,
            not_null.join(" AND "),
            keys.join(", ")
        ),
        matched_twice: format!(
            "SELECT 1 FROM {} JOIN {} ON {} GROUP BY {}.rowid HAVING count(*) > 1 LIMIT 1",
            tree.table,
            tree.source,
            tree.on,
            super::text::quoted(&table.name)
        ),
        sql: tree.to_string(),
        table,
    })
}

fn equalities(on: &Expr) -> Option<Vec<(&Expr, &Expr)>> {
    match on {
        Expr::Nested(inner) => equalities(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut pairs = equalities(left)?;
            pairs.extend(equalities(right)?);
            Some(pairs)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => Some(vec![(left, right)]),
        _ => None,
    }
}

/// Whether an expression is a column of the target, named by the target's name.
fn mentions(expr: &Expr, table: &Name) -> bool {
    match expr {
        Expr::CompoundIdentifier(parts) => {
            parts.len() >= 2 && parts[parts.len() - 2].value.eq_ignore_ascii_case(&table.name)
        }
        Expr::Nested(inner) => mentions(inner, table),
        _ => false,
    }
}
