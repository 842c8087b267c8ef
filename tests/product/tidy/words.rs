//! Words that may not stand everywhere: the example's own trade, names of hosts, paths of one machine.

use std::path::Path;

use regex::RegexBuilder;

use super::{none, texts};

/// Where the reference pipeline's trade may be named in code.
const TRADE: &[&str] =
    &["pipelines", "tests", "bench", "crates/source/src/online_retail", "crates/source/src/simulate"];

fn is_code(path: &Path) -> bool {
    path.starts_with("crates") && path.extension().is_some_and(|end| end == "rs" || end == "toml" || end == "sql")
}

#[test]
fn the_engine_does_not_know_the_trade_of_its_example() {
    // Names of the data set and of its command are names of a source, not of a trade.
    let names = RegexBuilder::new(r"online[-_ ]?retail|pipelines/retail").case_insensitive(true).build().unwrap();
    let word = RegexBuilder::new("retail").case_insensitive(true).build().unwrap();
    let mut findings = Vec::new();
    for (path, text) in texts() {
        let allowed = TRADE.iter().any(|folder| path.starts_with(folder))
            || path.components().any(|part| part.as_os_str() == "tests")
            || path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs");
        if allowed || !is_code(&path) {
            continue;
        }
        let product = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in product.lines().enumerate() {
            if word.is_match(&names.replace_all(line, "")) {
                findings.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none(findings);
}

#[test]
fn no_package_host_and_no_path_of_one_machine_is_written_down() {
    // Put together here, so that this file does not find itself.
    let forbidden = [
        ["registry.npm", "js"].concat(),
        ["pypi.", "org"].concat(),
        ["pythonhosted.", "org"].concat(),
        ["static.", "crates.io"].concat(),
        ["index.", "crates.io"].concat(),
        ["proxy.", "golang"].concat(),
        ["deb.", "debian"].concat(),
        ["/", "root/"].concat(),
        ["/", "home/"].concat(),
        ["/", "work/"].concat(),
        ["/", "Users/"].concat(),
    ];
    let mut findings = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{}: `{word}`", path.display(), number + 1));
            }
        }
    }
    none(findings);
}

#[test]
fn unfinished_work_is_not_merged() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut findings = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric());
            if words.into_iter().any(|word| marks.iter().any(|mark| mark == word)) {
                findings.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none(findings);
}
