//! The workspace's manifest: order, comments, one place for versions, no dependency that nobody uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use cargo_metadata::DependencyKind;
use weir_testkit::harness::root;

use super::{METADATA, none, texts};

#[test]
fn members_stand_in_the_order_of_the_data_each_with_a_comment() {
    const ORDER: &[&str] = &[
        "core",
        "project",
        "envelope",
        "stream",
        "broker",
        "source",
        "lake",
        "landing",
        "staging",
        "curated",
        "warehouse",
        "udf",
        "operate",
        "cli",
        "testkit",
        "tests",
    ];
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members: Vec<&str> =
        text.lines().skip_while(|line| *line != "members = [").skip(1).take_while(|line| *line != "]").collect();
    let mut findings = Vec::new();
    for line in members.iter().filter(|line| !line.contains('#')) {
        findings.push(format!("no comment: {line}"));
    }
    let names: Vec<&str> =
        members.iter().map(|line| line.split('"').nth(1).unwrap().trim_start_matches("crates/")).collect();
    let expected: Vec<&str> = ORDER.iter().copied().filter(|name| names.contains(name)).collect();
    if names != expected {
        findings.push(format!("order is {names:?}, expected {expected:?}"));
    }
    none(findings);
}

#[test]
fn a_package_is_named_after_its_folder() {
    let mut findings = Vec::new();
    for package in METADATA.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap();
        if package.name.as_str() != format!("weir-{folder}") {
            findings.push(format!("folder `{folder}` holds package `{}`", package.name));
        }
        if ["common", "utils", "types", "helpers", "misc"].contains(&folder) {
            findings.push(format!("`{folder}` says nothing about what is inside"));
        }
    }
    none(findings);
}

#[test]
fn versions_stand_only_in_the_workspace() {
    let mut findings = Vec::new();
    for (path, text) in texts() {
        if path.file_name().is_some_and(|name| name == "Cargo.toml") && path.components().count() > 1 {
            let mut inside = false;
            for line in text.lines() {
                if line.starts_with('[') {
                    inside = line.contains("dependencies");
                } else if inside
                    && !line.trim().is_empty()
                    && !line.contains("workspace = true")
                    && !line.starts_with('#')
                {
                    findings.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    none(findings);
}

#[test]
fn no_dependency_is_declared_and_not_used() {
    let texts = texts();
    let mut findings = Vec::new();
    for package in METADATA.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(&METADATA.workspace_root).unwrap();
        let below = |folder: &Path| -> Vec<(&Path, &String)> {
            let is_code = |path: &Path| path.starts_with(folder) && path.extension().is_some_and(|end| end == "rs");
            texts.iter().filter(|(path, _)| is_code(path)).map(|(path, text)| (path.as_path(), text)).collect()
        };
        let own = below(folder.as_std_path());
        // A module may be another package's, shared by its path.
        let shared = own.iter().flat_map(|(path, text)| {
            let paths = text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            paths.flat_map(|other| below(plain(&path.with_file_name(other)).parent().unwrap())).collect::<Vec<_>>()
        });
        let code: Vec<&String> = own.iter().copied().chain(shared).map(|(_, text)| text).collect();
        for on in &package.dependencies {
            let name = on.rename.as_deref().unwrap_or(&on.name).replace('-', "_");
            if !code.iter().any(|text| mentions(text, &name)) {
                let kind = if on.kind == DependencyKind::Development { "dev-dependency" } else { "dependency" };
                findings.push(format!("{folder}: {kind} `{}`", on.name));
            }
        }
    }
    none(findings);
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
        plain
    })
}

fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let bytes = text.as_bytes();
        !word(at.checked_sub(1).and_then(|before| bytes.get(before))) && !word(bytes.get(at + name.len()))
    })
}

#[test]
fn programs_and_tests_are_built_from_the_same_features() {
    let product = features("normal,build");
    let all = features("normal,build,dev");
    let mut findings = Vec::new();
    for (package, sets) in &product {
        for set in sets.difference(&all[package]) {
            findings
                .push(format!("{package} is built with [{set}] without tests, and with {:?} with them", all[package]));
        }
    }
    none(findings);
}

/// `name version` -> every feature set that it is built with.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let tree = Command::new("cargo")
        .args(["tree", "--workspace", "--offline", "--prefix", "none", "--edges", edges, "--format", "{p}\t{f}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(tree.stdout).unwrap().lines() {
        if let Some((package, features)) = line.trim_end_matches(" (*)").split_once('\t') {
            found.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    assert!(found.len() > 100, "cargo tree lists {} packages only", found.len());
    found
}
