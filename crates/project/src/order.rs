//! Which model must be built before which: dimensions before the facts that point to them.

use std::collections::{BTreeMap, BTreeSet};

/// What each model waits for, by name.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// The cycles among models, each as its members in reference order, starting with the first by name.
/// Models that only lead into a cycle are not part of it.
pub(crate) fn cycles(edges: &Edges) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for start in edges.keys() {
        if found.iter().any(|cycle| cycle.contains(start)) {
            continue;
        }
        if let Some(cycle) = way_back(edges, start) {
            found.push(cycle);
        }
    }
    found
}

/// A shortest way from a model back to itself (breadth first).
fn way_back(edges: &Edges, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.to_owned()]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last().map(String::as_str).unwrap_or(start);
            for next in edges.get(last).into_iter().flatten() {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push([way.clone(), vec![next.clone()]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &[&str])]) -> Edges {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|t| (*t).to_owned()).collect())).collect()
    }

    #[test]
    fn each_cycle_is_named_once_and_what_only_leads_into_it_is_not() {
        let found = cycles(&edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["d"]), ("e", &[])]));
        assert_eq!(found, [vec!["b".to_owned(), "c".to_owned()], vec!["d".to_owned()]]);
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        assert!(cycles(&edges(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])])).is_empty());
    }
}
