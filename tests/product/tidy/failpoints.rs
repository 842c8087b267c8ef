//! A failpoint that is listed stands in the code, and one that stands in the code is listed.

use std::collections::BTreeSet;

use regex::Regex;
use weir_core::failpoint::NAMES;

use super::{none, sources};

#[test]
fn every_failpoint_is_listed_and_hit() {
    let call = Regex::new(r#"\bhit\(\s*"([a-z_.]+)"\s*,?\s*\)"#).unwrap();
    // A name may also be handed to the function that hits it; that each is reached, the kill test shows.
    let name = Regex::new(r#""([a-z]+\.[a-z_]+)""#).unwrap();
    let mut hit = BTreeSet::new();
    let mut named = BTreeSet::new();
    for (path, text) in sources() {
        if !path.ends_with("core/src/failpoint.rs") {
            hit.extend(call.captures_iter(&text).map(|found| found[1].to_owned()));
            named.extend(name.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    let listed: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut findings = Vec::new();
    findings.extend(listed.difference(&named).map(|name| format!("`{name}` is listed, but no code reaches it")));
    findings.extend(hit.difference(&listed).map(|name| format!("`{name}` is hit, but not listed")));
    none(findings);
}
