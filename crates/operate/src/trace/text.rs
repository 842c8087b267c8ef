//! A passport for people: one block per change, then versions or the fact, then what was read.

use std::fmt::Write as _;

use super::passport::{Change, Passport, Spot, Verdict, Version};

/// The whole chain as text.
pub fn text(passport: &Passport) -> String {
    let mut out = Page::default();
    out.line(0, &format!("{}  {}", passport.table, key(passport)));
    body(passport, 0, &mut out);
    out.blank();
    let read = passport.read.iter().map(|(table, files)| format!("{table} {}/{}", files.read, files.of));
    out.line(0, &format!("files read: {}", read.collect::<Vec<_>>().join(", ")));
    out.text.trim_end().to_owned()
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let written = writeln!(self.text, "{:indent$}{text}", "");
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A named part of a block.
    fn part(&mut self, indent: usize, name: &str, text: &str) {
        self.line(indent + 2, &format!("{name:<11} {text}"));
    }
}

fn key(passport: &Passport) -> String {
    passport.key.iter().map(|(column, value)| format!("{column}={value}")).collect::<Vec<_>>().join(", ")
}

fn body(passport: &Passport, indent: usize, out: &mut Page) {
    for change in &passport.changes {
        out.blank();
        of_change(change, indent, out);
    }
    for letter in &passport.dead_letters {
        out.blank();
        out.line(indent, "dead letter");
        out.part(indent, "topic", &format!("{} partition {} offset {}", letter.topic, letter.partition, letter.offset));
        out.part(indent, "reason", &letter.reason);
        out.part(indent, "dead letters", &spot(&letter.deadletter));
    }
    for version in &passport.versions {
        out.blank();
        of_version(version, indent, out);
    }
    if let Some(row) = &passport.row {
        out.blank();
        out.line(indent, "row");
        let cells = row.iter().map(|(column, value)| format!("{column}={value}")).collect::<Vec<_>>().join(", ");
        out.part(indent, "columns", &cells);
    }
    for pointer in &passport.pointers {
        out.blank();
        out.line(indent, &format!("pointer {} = {}", pointer.column, pointer.surrogate_key));
        out.part(indent, "why", pointer.why);
        if let Some(member) = &pointer.member {
            out.part(indent, "way back", &format!("{}  {}", member.table, key(member)));
            body(member, indent + 4, out);
        }
    }
}

fn of_change(change: &Change, indent: usize, out: &mut Page) {
    let what = match change.op.as_str() {
        "c" => "insert",
        "u" => "update",
        "d" => "delete",
        "r" => "snapshot row",
        other => other,
    };
    out.line(indent, &format!("change {}: {what} at {}, {}", change.number, change.commit_time, change.state));
    let position = change.position.iter().map(|(name, value)| format!("{name} {value}"));
    let source: Vec<String> = std::iter::once(change.source.clone()).chain(position).collect();
    out.part(indent, "source", &source.join(", "));
    let (partition, offset) = (change.partition, change.offset);
    let schema = match &change.schema_id {
        serde_json::Value::String(uuid) => format!(" schema {uuid}"),
        serde_json::Value::Null => String::new(),
        number => format!(" schema {number}"),
    };
    out.part(indent, "topic", &format!("{} partition {partition} offset {offset}{schema}", change.topic));
    out.part(indent, "landing", &change.landing.as_ref().map_or_else(|| "removed by retention".to_owned(), spot));
    if let Some(staging) = &change.staging {
        out.part(indent, "staging", &spot(staging));
    }
    if let Some(quarantine) = &change.quarantine {
        out.part(indent, "quarantine", &spot(quarantine));
    }
    if !change.rules.is_empty() {
        let rules = change.rules.iter().map(verdict).collect::<Vec<_>>().join(", ");
        out.part(indent, "rules", &rules);
    }
    if !change.effects.is_empty() {
        out.part(indent, "result", &change.effects.join(", "));
    }
}

fn spot(spot: &Spot) -> String {
    format!("{} row {}", spot.file, spot.row)
}

fn verdict(verdict: &Verdict) -> String {
    match &verdict.value {
        Some(value) => format!("{} {} ({} is {value})", verdict.rule, verdict.verdict, verdict.column),
        None => format!("{} {}", verdict.rule, verdict.verdict),
    }
}

fn of_version(version: &Version, indent: usize, out: &mut Page) {
    let mut marks = Vec::new();
    for (holds, mark) in
        [(version.is_current, "current"), (version.is_inferred, "inferred"), (!version.is_built, "not built yet")]
    {
        if holds {
            marks.push(mark);
        }
    }
    let marks = if marks.is_empty() { String::new() } else { format!(", {}", marks.join(", ")) };
    let (from, to) = (&version.effective_from, &version.effective_to);
    out.line(indent, &format!("version {}: key {}, {from} to {to}{marks}", version.number, version.surrogate_key));
    let by = |name: &str, number: Option<usize>| number.map(|number| format!("{name} change {number}"));
    let made =
        [by("opened by", version.opened_by), by("updated by", version.updated_by), by("ended by", version.closed_by)];
    let made = made.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if !made.is_empty() {
        out.part(indent, "made", &made);
    }
    if !version.columns.is_empty() {
        let cells = version.columns.iter().map(|(column, value)| format!("{column}={value}"));
        out.part(indent, "columns", &cells.collect::<Vec<_>>().join(", "));
    }
    for facts in &version.facts {
        let more = if facts.count > facts.first.len() && !facts.first.is_empty() { ", .." } else { "" };
        let first = if facts.first.is_empty() { String::new() } else { format!(": {}{more}", facts.first.join(", ")) };
        out.part(indent, "facts", &format!("{} rows of {} by {}{first}", facts.count, facts.table, facts.column));
    }
}
