//! A file has one subject: one that grows past the limit is cut, or stands here with its reason.

use super::{none, texts};

const LIMIT: usize = 600;

/// Longer files and why they are not cut.
const ALLOWED: &[(&str, &str)] = &[];

#[test]
fn a_source_file_fits_the_limit_or_says_why() {
    let mut findings = Vec::new();
    let texts = texts();
    for (path, text) in &texts {
        let name = path.to_string_lossy().into_owned();
        // Tests at the end of a file are not its subject.
        let lines = text.split("#[cfg(test)]\nmod ").next().unwrap().lines().count();
        let rust = path.extension().is_some_and(|end| end == "rs");
        let allowed = ALLOWED.iter().any(|(file, _)| *file == name);
        if rust && lines > LIMIT && !allowed {
            findings.push(format!("{name} has {lines} lines, the limit is {LIMIT}"));
        }
        if allowed && lines <= LIMIT {
            findings.push(format!("{name} fits the limit again: take it from the list"));
        }
    }
    for (file, _) in ALLOWED.iter().filter(|(file, _)| !texts.iter().any(|(path, _)| path.to_string_lossy() == *file)) {
        findings.push(format!("{file} is on the list and does not exist"));
    }
    none(findings);
}

#[test]
fn a_crate_says_what_it_takes_gives_and_never_does() {
    let mut findings = Vec::new();
    for (path, text) in texts() {
        if path.starts_with("crates") && path.ends_with("src/lib.rs") {
            let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            for word in ["In:", "Out:", "Never:"] {
                if !header.contains(word) {
                    findings.push(format!("{} has no `{word}` in its header", path.display()));
                }
            }
        }
    }
    none(findings);
}
