//! The pages are true: links lead somewhere, commands exist, and blocks marked `<!-- run -->` do what they show.
//!
//! A marked `console` block is run line by line through a shell, all blocks of one page in one fresh folder that holds
//! `pipelines/`. Each command must end with 0. Lines below it are its standard output: `...` stands for any
//! number of lines, `[..]` for any part of one; no line at all means that the output is not shown.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use weir_testkit::harness::{Weir, binary, root};

use crate::place::copy;

fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages.sort();
    pages.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#:]+)(#[^)]*)?\)").unwrap();
    let mut broken = Vec::new();
    for (path, text) in pages() {
        for found in link.captures_iter(&text) {
            if !path.parent().unwrap().join(&found[1]).exists() {
                broken.push(format!("{}: {}", path.display(), &found[1]));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n  {}", broken.join("\n  "));
}

#[test]
fn every_command_that_a_page_names_exists() {
    let help = Weir::new(["--help"]).run().expect_code(0).stdout;
    let listed = Regex::new(r"(?m)^  ([a-z]+) .*\bweir ").unwrap();
    let commands: BTreeSet<&str> = listed.captures_iter(&help).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(commands.contains("demo"), "the help lists no commands:\n{help}");

    // In code only: a `weir` in a sentence is the product. Options with a value may stand before the command.
    let named =
        Regex::new(r"(?m)(?:`|^\$ \./dev |^\$ )weir((?: +-{1,2}[a-z-]+(?:[= ][^ `-][^ `]*)?)*) +([a-z]+)").unwrap();
    let mut unknown = Vec::new();
    for (path, text) in pages() {
        for found in named.captures_iter(&text) {
            if !commands.contains(&found[2]) {
                unknown.push(format!("{}: {}", path.display(), &found[0]));
            }
        }
    }
    assert!(unknown.is_empty(), "unknown commands:\n  {}", unknown.join("\n  "));
}

struct Example {
    command: String,
    output: Vec<String>,
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let (mut marked, mut inside) = (false, false);
    for line in page.lines() {
        if inside {
            if line == "```" {
                inside = false;
            } else if let Some(command) = line.strip_prefix("$ ") {
                examples.push(Example { command: command.replacen("./dev weir", "weir", 1), output: Vec::new() });
            } else {
                examples.last_mut().expect("a block begins with a command").output.push(line.to_owned());
            }
        } else {
            inside = marked && line == "```console";
            marked = line.trim() == "<!-- run -->" || (marked && line.trim().is_empty());
        }
    }
    examples
}

fn matches(wanted: &[String], found: &[&str]) -> bool {
    match wanted.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "..." => (0..=found.len()).any(|skipped| matches(rest, &found[skipped..])),
        Some((first, rest)) => found.split_first().is_some_and(|(line, left)| {
            let parts: Vec<String> = first.trim_end().split("[..]").map(regex::escape).collect();
            let pattern = Regex::new(&format!("^{}$", parts.join(".*"))).unwrap();
            pattern.is_match(line.trim_end()) && matches(rest, left)
        }),
    }
}

#[test]
fn examples_do_what_they_show() {
    let mut run = 0;
    for (path, text) in pages() {
        let examples = examples(&text);
        if examples.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("pipelines"), &folder.path().join("pipelines"));
        let path_variable = format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
        for example in examples {
            let output = Command::new("sh")
                .args(["-c", &example.command])
                .current_dir(folder.path())
                .env("PATH", &path_variable)
                .output()
                .unwrap();
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            let context = format!(
                "{}: $ {}\n--- stdout\n{stdout}\n--- stderr\n{}",
                path.display(),
                example.command,
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.status.success(), "{} in {context}", output.status);
            let lines: Vec<&str> = stdout.lines().collect();
            assert!(
                example.output.is_empty() || matches(&example.output, &lines),
                "the page shows\n{}\n{context}",
                example.output.join("\n")
            );
            run += 1;
        }
    }
    assert!(run > 0, "no page has an example that runs");
}

#[test]
fn an_example_is_compared_with_wildcards() {
    let page = "<!-- run -->\n```console\n$ ./dev weir x\na [..] c\n...\nend\n```\n```console\n$ not run\n```\n";
    let found = examples(page);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].command, "weir x");
    assert!(matches(&found[0].output, &["a b c", "1", "2", "end"]));
    assert!(!matches(&found[0].output, &["a b", "end"]));
    assert!(!matches(&found[0].output, &["a b c", "1"]));
}
