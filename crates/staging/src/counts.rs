//! How many rows broke each rule, as a commit says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_project::{Severity, Table};

use crate::rules::{self, Verdict};

/// Rows that break one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The expectation's name, `type` or `key`.
    pub rule: String,
    /// The column; empty for `type` and `key`, which look at several.
    pub column: String,
    /// `warn` or `quarantine`.
    pub severity: String,
    /// The rule's version.
    pub version: u32,
    /// Rows that break it.
    pub rows: u64,
}

/// The counts of a step, in the order in which rules are asked.
pub(crate) fn rule_counts(table: &Table, verdict: &Verdict) -> Vec<RuleCount> {
    let own = |rule: &str, rows| RuleCount {
        rule: rule.to_owned(),
        column: String::new(),
        severity: Severity::Quarantine.as_str().to_owned(),
        version: 1,
        rows,
    };
    let mut counts = vec![own(rules::TYPE, verdict.misfits), own(rules::KEY, verdict.keyless)];
    counts.extend(table.expectations.iter().zip(&verdict.broken).map(|(expectation, rows)| RuleCount {
        rule: expectation.name.clone(),
        column: expectation.column.to_string(),
        severity: expectation.severity.as_str().to_owned(),
        version: expectation.version,
        rows: *rows,
    }));
    counts
}

/// Adds the counts of another step.
pub(crate) fn add_up(sums: &mut Vec<RuleCount>, more: Vec<RuleCount>) {
    if sums.is_empty() {
        *sums = more;
        return;
    }
    let mut by_rule: BTreeMap<String, u64> = more.into_iter().map(|count| (count.rule, count.rows)).collect();
    for sum in sums {
        sum.rows += by_rule.remove(&sum.rule).unwrap_or_default();
    }
}
