//! The repository's own rules, each a test: arrows, words, error pages, failpoints, sizes, dependencies.

mod arrows;
mod errors;
mod failpoints;
mod manifests;
mod size;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{Metadata, MetadataCommand};
use weir_testkit::harness::root;

/// The workspace as cargo resolves it for this machine, without the network.
static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let host = rustc_host();
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--offline".into(), "--filter-platform".into(), host])
        .exec()
        .unwrap()
});

fn rustc_host() -> String {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Files that git knows or would add, relative to the root.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    let text = String::from_utf8(listed.stdout).unwrap();
    let mut files: Vec<PathBuf> = text.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    files.retain(|path| root().join(path).is_file());
    files.sort();
    files.dedup();
    files
}

/// Relative path and text of every file of ours that is text; test data is left out.
fn texts() -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|path| !path.starts_with("tests/fixtures") && path != Path::new("Cargo.lock"))
        .filter_map(|path| std::fs::read_to_string(root().join(&path)).ok().map(|text| (path, text)))
        .collect()
}

/// Rust files of the crates, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    texts()
        .into_iter()
        .filter(|(path, _)| path.starts_with("crates") && path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// Fails with every finding, not the first.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n  {}\n", findings.len(), findings.join("\n  "));
}
