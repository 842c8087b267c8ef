//! Lineage for people: a tree per column.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Direction, Edge, Field, How, Lineage, end};

impl Lineage<'_> {
    /// The trees of these columns. What was shown once is not shown a second time.
    pub fn tree(&self, fields: &[Field], direction: Direction) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut seen = BTreeSet::new();
        for field in fields {
            lines.push((self.shown(field), String::new()));
            seen.insert(field.clone());
            self.below(field, direction, "", &mut seen, &mut lines);
        }
        let width = lines.iter().filter(|(_, how)| !how.is_empty()).map(|(name, _)| name.chars().count()).max();
        let mut out = String::new();
        for (name, how) in lines {
            let pad = if how.is_empty() { 0 } else { width.unwrap_or(0).saturating_sub(name.chars().count()) };
            let written = writeln!(out, "{}", format!("{name}{:pad$}  {how}", "").trim_end());
            debug_assert!(written.is_ok(), "writing to a string does not fail");
        }
        out.trim_end().to_owned()
    }

    fn below(
        &self,
        field: &Field,
        direction: Direction,
        indent: &str,
        seen: &mut BTreeSet<Field>,
        lines: &mut Vec<(String, String)>,
    ) {
        // Values first, influences behind them.
        let mut edges: Vec<&Edge> = self.next(field, direction).collect();
        edges.sort_by_key(|edge| (!edge.how.is_direct(), end(edge, direction), edge.how));
        let last = edges.len().saturating_sub(1);
        for (at, edge) in edges.into_iter().enumerate() {
            let (branch, further) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let next = end(edge, direction);
            let has_more = self.next(next, direction).next().is_some();
            let shown = !seen.insert(next.clone());
            let mut how = words(edge);
            if shown && has_more {
                how.push_str(" (see above)");
            }
            lines.push((format!("{indent}{branch}{}", self.shown(next)), how));
            if !shown {
                self.below(next, direction, &format!("{indent}{further}"), seen, lines);
            }
        }
    }
}

fn words(edge: &Edge) -> String {
    let word = match edge.how {
        How::Identity => "direct",
        How::Transformation => "derived",
        How::Aggregation => "aggregated",
        How::Join => "join",
        How::GroupBy => "group by",
        How::Filter => "filter",
        How::Sort => "order",
        How::Conditional => "condition",
    };
    match &edge.text {
        Some(text) => format!("{word}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")),
        None => word.to_owned(),
    }
}
