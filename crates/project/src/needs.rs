//! Which input columns a query's output columns and its WHERE depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, SelectItem, SetExpr, Statement, visit_expressions};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::model::SqlFile;
use crate::sql::{bare, folded};

/// Input columns by what needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// What each output column is computed from.
    pub outputs: BTreeMap<String, BTreeSet<String>>,
    /// What the WHERE looks at.
    pub condition: BTreeSet<String>,
}

impl SqlFile {
    /// What the query needs of its table; nothing where the text is no SELECT, which a loaded project refuses.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        let Ok(mut statements) = Parser::parse_sql(&GenericDialect {}, &self.text) else { return needs };
        let Some(Statement::Query(query)) = statements.pop() else { return needs };
        let SetExpr::Select(select) = *query.body else { return needs };
        for item in &select.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, bare(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(folded(alias))),
                _ => continue,
            };
            needs.outputs.extend(name.map(|name| (name, columns(expr))));
        }
        needs.condition = select.selection.as_ref().map(columns).unwrap_or_default();
        needs
    }
}

fn columns(expr: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(expr, |part| {
        names.extend(bare(part));
        ControlFlow::Continue(())
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_each_output_and_its_condition_is_made_of() {
        let text =
            "SELECT c.id, upper(\"Name\") || city AS label, 1 AS one FROM staging.c AS c WHERE note <> '' AND id > 0";
        let needs = SqlFile { path: "m.sql".into(), text: text.to_owned() }.needs();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(needs.outputs["id"], set(&["id"]));
        assert_eq!(needs.outputs["label"], set(&["Name", "city"]));
        assert_eq!(needs.outputs["one"], set(&[]));
        assert_eq!(needs.condition, set(&["id", "note"]));
    }
}
