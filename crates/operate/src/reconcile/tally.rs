//! Compares what is expected with what is found, under a hashed name, without holding a row.

use std::collections::HashMap;

use weir_core::name::Identifier;
use weir_core::value::{Value, row_hash};

use super::report::ZoneLine;

/// A hash that stands for a key or for a whole row: 128 bits of SHA-256.
pub type Fingerprint = u128;

/// The fingerprint of some values.
pub fn fingerprint<'a>(values: impl IntoIterator<Item = &'a Value>) -> Fingerprint {
    u128::from_be_bytes(row_hash(values))
}

/// What is expected under each name, and how often it was found.
#[derive(Debug, Default)]
pub struct Tally {
    expected: HashMap<Fingerprint, Entry>,
    found: u64,
    unexpected: u64,
    different: u64,
}

#[derive(Debug)]
struct Entry {
    content: Option<Fingerprint>,
    seen: u32,
}

impl Tally {
    /// Expects a row under this name; without a content, any content is right.
    pub fn expect(&mut self, name: Fingerprint, content: Option<Fingerprint>) {
        self.expected.insert(name, Entry { content, seen: 0 });
    }

    /// Counts a row that is there.
    pub fn find(&mut self, name: Fingerprint, content: Fingerprint) {
        self.found += 1;
        match self.expected.get_mut(&name) {
            None => self.unexpected += 1,
            Some(entry) => {
                entry.seen += 1;
                if entry.content.is_some_and(|expected| expected != content) {
                    self.different += 1;
                }
            }
        }
    }

    /// Counts a row that is known to have been there, if it is missing; whether it was.
    pub fn find_missing(&mut self, name: Fingerprint) -> bool {
        let Some(entry) = self.expected.get_mut(&name).filter(|entry| entry.seen == 0) else { return false };
        entry.seen = 1;
        self.found += 1;
        true
    }

    /// The line of the report.
    pub fn line(&self, zone: &'static str, table: &Identifier) -> ZoneLine {
        let count = |test: fn(u32) -> bool| self.expected.values().filter(|entry| test(entry.seen)).count() as u64;
        ZoneLine {
            zone,
            table: table.clone(),
            expected: self.expected.len() as u64,
            found: self.found,
            missing: count(|seen| seen == 0),
            doubled: count(|seen| seen > 1),
            different: self.different + self.unexpected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tally: &Tally) -> (u64, u64, u64, u64, u64) {
        let line = tally.line("landing", &"customer".parse().expect("a name"));
        (line.expected, line.found, line.missing, line.doubled, line.different)
    }

    #[test]
    fn a_missing_a_doubled_a_changed_and_a_strange_row_are_told_apart() {
        let mut tally = Tally::default();
        for name in 1..=4 {
            tally.expect(name, Some(name * 10));
        }
        tally.find(1, 10);
        assert_eq!(line(&tally), (4, 1, 3, 0, 0));
        tally.find(2, 20);
        tally.find(2, 20);
        tally.find(3, 31);
        tally.find(9, 90);
        assert_eq!(line(&tally), (4, 5, 1, 1, 2));
    }
}
