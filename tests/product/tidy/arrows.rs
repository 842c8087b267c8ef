//! Dependencies point one way, as the table in ARCHITECTURE.md says.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Package, PackageId};
use weir_testkit::harness::root;

use super::{METADATA, none};

/// Crates whose tests run in seconds: none of [`HEAVY`] may be linked, even indirectly.
const LIGHT: &[&str] = &["core", "project", "envelope", "stream", "broker", "source", "udf"];
const HEAVY: &[&str] = &["datafusion", "deltalake", "duckdb", "libduckdb-sys"];

/// Room -> the rooms it may use, read from the table in ARCHITECTURE.md.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| crate | may use |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let rooms = cells[1].split(',').map(|room| room.trim().trim_matches('`').to_owned());
            (cells[0].trim_matches('`').to_owned(), rooms.filter(|room| room != "-").collect())
        })
        .collect()
}

fn room(package: &str) -> Option<String> {
    package.strip_prefix("weir-").map(str::to_owned)
}

fn rooms(package: &Package, kinds: &[DependencyKind]) -> BTreeSet<String> {
    package.dependencies.iter().filter(|on| kinds.contains(&on.kind)).filter_map(|on| room(&on.name)).collect()
}

#[test]
fn the_manifests_hold_only_the_arrows_of_the_architecture() {
    let table = table();
    let mut findings = Vec::new();
    for package in METADATA.workspace_packages() {
        let name = room(&package.name).unwrap();
        if name == "tests" {
            continue;
        }
        let Some(allowed) = table.get(&name) else {
            findings.push(format!("crate `{name}` has no row in the table of ARCHITECTURE.md"));
            continue;
        };
        for used in rooms(package, &[DependencyKind::Normal, DependencyKind::Build]).difference(allowed) {
            findings.push(format!("`{name}` depends on `{used}`, which the table does not allow"));
        }
        if rooms(package, &[DependencyKind::Normal]).contains("testkit") {
            findings.push(format!("`{name}` depends on `testkit` outside its tests"));
        }
    }
    let members: BTreeSet<String> =
        METADATA.workspace_packages().iter().filter_map(|package| room(&package.name)).collect();
    for name in table.keys().filter(|name| !members.contains(*name)) {
        findings.push(format!("the table has a row for `{name}`, which is no crate"));
    }
    none(findings);
}

#[test]
fn stages_do_not_know_each_other() {
    const STAGES: &[&str] = &["landing", "staging", "curated", "warehouse"];
    let mut findings = Vec::new();
    for package in METADATA.workspace_packages() {
        let name = room(&package.name).unwrap();
        if STAGES.contains(&name.as_str()) {
            let kinds = [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];
            let others = rooms(package, &kinds).into_iter().filter(|used| STAGES.contains(&used.as_str()));
            findings.extend(others.map(|used| format!("`{name}` depends on its sibling `{used}`")));
        }
    }
    none(findings);
}

#[test]
fn light_crates_link_nothing_heavy_even_indirectly() {
    let mut findings = Vec::new();
    for light in LIGHT {
        let package = METADATA.workspace_packages().into_iter().find(|p| p.name.as_str() == format!("weir-{light}"));
        let linked = linked(&package.unwrap().id);
        for heavy in HEAVY.iter().filter(|heavy| linked.contains(**heavy)) {
            findings.push(format!("`{light}` links `{heavy}`"));
        }
        assert!(!linked.is_empty(), "`{light}` links nothing at all: the graph was not read");
    }
    none(findings);
}

/// Names of all packages that are linked into a package, tests left out.
fn linked(start: &PackageId) -> BTreeSet<String> {
    let nodes: BTreeMap<_, _> = METADATA.resolve.as_ref().unwrap().nodes.iter().map(|n| (&n.id, n)).collect();
    let names: BTreeMap<_, _> = METADATA.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
    let mut seen = BTreeSet::new();
    let mut next = vec![start];
    while let Some(id) = next.pop() {
        for on in &nodes[id].deps {
            let normal = on.dep_kinds.iter().any(|info| info.kind == DependencyKind::Normal);
            if normal && seen.insert(&on.pkg) {
                next.push(&on.pkg);
            }
        }
    }
    seen.into_iter().map(|id| names[id].clone()).collect()
}
