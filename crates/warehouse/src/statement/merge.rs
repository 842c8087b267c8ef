//! MERGE by Redshift's rules, which are stricter than the engine's; the rules are those of its manual.

use sqlparser::ast::{BinaryOperator, Expr, Merge as Tree, SetExpr, TableFactor};

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

/// Refuses forms that the double lacks; what Redshift refuses is refused already.
pub fn check(tree: &Tree) -> Result<(), WarehouseError> {
    if !tree.into {
        return Err(WarehouseError::syntax("expected INTO after MERGE"));
    }
    if let TableFactor::Derived { subquery, alias, .. } = &tree.source {
        if alias.is_none() {
            return Err(WarehouseError::syntax("a subquery as MERGE's source needs an alias"));
        }
        if !matches!(subquery.body.as_ref(), SetExpr::Select(_) | SetExpr::SetOperation { .. }) {
            return Err(WarehouseError::unsupported("this source of MERGE"));
        }
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

/// The equalities of a condition that holds nothing else but AND.
pub(crate) fn equalities(on: &Expr) -> Option<Vec<(&Expr, &Expr)>> {
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
