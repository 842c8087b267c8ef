//! Every error code has its page, every page its code, and the index lists them all.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use weir_testkit::harness::{compare_file, root};

use super::{none, sources};

fn codes_in_code() -> BTreeMap<String, BTreeSet<String>> {
    // A code stands in exactly one form in the code: a string literal, `"W4102"`.
    let literal = Regex::new(r#""(W[0-9]{4})""#).unwrap();
    let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        // Tests may name any code; they stand at the end of a file or in files of their own.
        let product = text.split("#[cfg(test)]").next().unwrap();
        for found in literal.captures_iter(product) {
            let room = path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
            codes.entry(found[1].to_owned()).or_default().insert(room);
        }
    }
    codes
}

fn pages() -> BTreeMap<String, String> {
    let folder = root().join("docs/errors");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter_map(|path| {
            let code = path.file_stem()?.to_str()?.to_owned();
            code.starts_with('W').then(|| (code, std::fs::read_to_string(path).unwrap()))
        })
        .collect()
}

fn title(code: &str, page: &str) -> Option<String> {
    page.lines().next()?.strip_prefix(&format!("# {code}: ")).map(str::to_owned)
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let (codes, pages) = (codes_in_code(), pages());
    let mut findings = Vec::new();
    for code in codes.keys().filter(|code| !pages.contains_key(*code)) {
        findings.push(format!("{code} has no page docs/errors/{code}.md"));
    }
    for (code, page) in &pages {
        if !codes.contains_key(code) {
            findings.push(format!("docs/errors/{code}.md describes a code that nothing raises"));
        }
        if title(code, page).is_none() {
            findings.push(format!("docs/errors/{code}.md must begin with `# {code}: short title`"));
        }
        if page.lines().filter(|line| !line.trim().is_empty()).count() < 2 {
            findings.push(format!("docs/errors/{code}.md says neither why nor what to do"));
        }
    }
    none(findings);
}

#[test]
fn an_error_code_belongs_to_one_crate_whose_range_it_is_in() {
    let mut findings = Vec::new();
    for (code, rooms) in codes_in_code() {
        let owners: &[&str] = match &code[1..3] {
            "31" => &["envelope"],
            "32" => &["stream"],
            "33" => &["broker"],
            range => match &range[..1] {
                "1" => &["project"],
                "2" => &["source"],
                "4" => &["landing"],
                "5" => &["staging"],
                "6" => &["curated"],
                "7" => &["warehouse"],
                "8" => &["lake"],
                "9" => &["operate", "cli"],
                _ => &[],
            },
        };
        for room in rooms.iter().filter(|room| !owners.contains(&room.as_str())) {
            findings.push(format!("{code} is raised in `{room}`, its range belongs to {owners:?}"));
        }
    }
    none(findings);
}

#[test]
fn the_index_of_errors_is_up_to_date() {
    let mut index = String::from(
        "# Errors\n\nEvery error of Weir names its cause and its fix and has a stable code. `weir explain CODE` prints the page.\n",
    );
    let rooms = [
        ("W1", "Project"),
        ("W2", "Source"),
        ("W3", "Stream"),
        ("W4", "Landing"),
        ("W5", "Staging"),
        ("W6", "Curated"),
        ("W7", "Warehouse"),
        ("W8", "Lake"),
        ("W9", "Operation"),
    ];
    let pages = pages();
    for (range, room) in rooms {
        let mut of_room = pages.iter().filter(|(code, _)| code.starts_with(range)).peekable();
        if of_room.peek().is_some() {
            index.push_str(&format!("\n## {room}\n\n"));
            for (code, page) in of_room {
                index.push_str(&format!("- [{code}]({code}.md): {}\n", title(code, page).unwrap_or_default()));
            }
        }
    }
    compare_file("docs/errors/README.md", &index);
}

#[test]
fn the_books_summary_lists_every_page() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let head = summary.split_once("(errors/README.md)").map(|(head, _)| head).unwrap().to_owned();
    let mut wanted = head + "(errors/README.md)\n";
    for (code, page) in pages() {
        wanted.push_str(&format!("  - [{code}: {}](errors/{code}.md)\n", title(&code, &page).unwrap_or_default()));
    }
    compare_file("docs/SUMMARY.md", &wanted);

    let mut findings = Vec::new();
    for (path, _) in super::texts() {
        if let Ok(page) = path.strip_prefix("docs")
            && page.extension().is_some_and(|end| end == "md")
            && page.as_os_str() != "SUMMARY.md"
            && !wanted.contains(&format!("({})", page.display()))
        {
            findings.push(format!("docs/{} is not in docs/SUMMARY.md", page.display()));
        }
    }
    none(findings);
}
