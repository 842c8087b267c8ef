//! Committed offsets: a journal of commits, replayed at start, rewritten when most of it is out of date.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{AtPath, BrokerError};
use crate::journal::Journal;
use crate::recovered::Recovered;

/// The journal is not rewritten while it is smaller than this.
const SMALL: u64 = 1 << 20;

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    #[serde(rename = "o")]
    pub(crate) offset: i64,
    #[serde(rename = "e")]
    pub(crate) leader_epoch: i32,
    #[serde(rename = "m", default, skip_serializing_if = "String::is_empty")]
    pub(crate) metadata: String,
}

/// Group, topic, partition.
pub(crate) type Place = (String, String, i32);

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(rename = "g")]
    group: String,
    #[serde(rename = "t")]
    topic: String,
    #[serde(rename = "p")]
    partition: i32,
    /// None: forgotten.
    #[serde(rename = "c")]
    committed: Option<Committed>,
}

/// All committed offsets.
#[derive(Debug)]
pub(crate) struct Offsets {
    journal: Journal,
    known: BTreeMap<Place, Committed>,
    rewrite_at: u64,
}

impl Offsets {
    /// Reads the journal.
    pub(crate) fn open(dir: &Path, recovered: &mut Recovered) -> Result<Self, BrokerError> {
        let path = dir.join("offsets.jsonl");
        let (journal, lines) = Journal::open::<Line>(&path, recovered)?;
        let mut known = BTreeMap::new();
        for line in lines {
            apply(&mut known, line);
        }
        let mut offsets = Self { journal, known, rewrite_at: SMALL };
        offsets.rewrite_if_due().at(&path)?;
        Ok(offsets)
    }

    /// Commits positions, all or none; they survive a kill after this.
    pub(crate) fn commit(&mut self, group: &str, positions: Vec<(String, i32, Committed)>) -> io::Result<()> {
        let line = |(topic, partition, c): (String, i32, Committed)| Line {
            group: group.into(),
            topic,
            partition,
            committed: Some(c),
        };
        self.write(positions.into_iter().map(line).collect())
    }

    fn write(&mut self, lines: Vec<Line>) -> io::Result<()> {
        self.journal.append(&lines)?;
        for line in lines {
            apply(&mut self.known, line);
        }
        self.rewrite_if_due()
    }

    fn rewrite_if_due(&mut self) -> io::Result<()> {
        if self.journal.size() < self.rewrite_at {
            return Ok(());
        }
        let line = |((group, topic, partition), c): (&Place, &Committed)| Line {
            group: group.clone(),
            topic: topic.clone(),
            partition: *partition,
            committed: Some(c.clone()),
        };
        self.journal.rewrite(&self.known.iter().map(line).collect::<Vec<_>>())?;
        self.rewrite_at = SMALL.max(self.journal.size() * 4);
        Ok(())
    }

    /// The position of a group in a partition.
    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.known.get(&(group.to_owned(), topic.to_owned(), partition))
    }

    /// All positions of a group, by topic and partition.
    pub(crate) fn of_group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a Place, &'a Committed)> {
        self.known.range((group.to_owned(), String::new(), i32::MIN)..).take_while(move |((g, _, _), _)| g == group)
    }

    /// Every group that has a position.
    pub(crate) fn groups(&self) -> Vec<String> {
        let mut names: Vec<_> = self.known.keys().map(|(g, _, _)| g.clone()).collect();
        names.dedup();
        names
    }

    /// Forgets a group.
    pub(crate) fn forget_group(&mut self, group: &str) -> io::Result<()> {
        self.forget(|(g, _, _)| g == group)
    }

    /// Forgets a topic, so that its successor of the same name is not read from its positions.
    pub(crate) fn forget_topic(&mut self, topic: &str) -> io::Result<()> {
        self.forget(|(_, t, _)| t == topic)
    }

    fn forget(&mut self, which: impl Fn(&Place) -> bool) -> io::Result<()> {
        let line = |(group, topic, partition): &Place| Line {
            group: group.clone(),
            topic: topic.clone(),
            partition: *partition,
            committed: None,
        };
        self.write(self.known.keys().filter(|p| which(p)).map(line).collect())
    }

    /// A handle to flush outside the lock.
    pub(crate) fn handle(&self) -> io::Result<std::fs::File> {
        self.journal.handle()
    }
}

fn apply(known: &mut BTreeMap<Place, Committed>, line: Line) {
    let place = (line.group, line.topic, line.partition);
    match line.committed {
        Some(committed) => drop(known.insert(place, committed)),
        None => drop(known.remove(&place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Offsets {
        Offsets::open(dir, &mut Recovered::default()).unwrap()
    }

    fn at(offset: i64) -> Committed {
        Committed { offset, leader_epoch: 0, metadata: String::new() }
    }

    #[test]
    fn the_last_commit_counts_after_a_restart_and_a_forgotten_one_stays_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut offsets = open(dir.path());
        offsets.commit("g", vec![("t".into(), 0, at(1)), ("t".into(), 1, at(2)), ("u".into(), 0, at(3))]).unwrap();
        offsets.commit("g", vec![("t".into(), 0, at(10))]).unwrap();
        offsets.commit("h", vec![("t".into(), 0, at(4))]).unwrap();
        offsets.forget_topic("u").unwrap();
        drop(offsets);
        let mut offsets = open(dir.path());
        let of_g: Vec<_> = offsets.of_group("g").map(|((_, t, p), c)| (t.as_str(), *p, c.offset)).collect();
        assert_eq!(of_g, [("t", 0, 10), ("t", 1, 2)]);
        assert_eq!(offsets.groups(), ["g", "h"]);
        offsets.forget_group("g").unwrap();
        drop(offsets);
        assert_eq!(open(dir.path()).groups(), ["h"]);
    }

    #[test]
    fn the_journal_stays_small_however_often_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut offsets = open(dir.path());
        for n in 0..60_000 {
            offsets.commit("group", vec![("topic".into(), 0, at(n))]).unwrap();
        }
        assert!(offsets.journal.size() < 2 * SMALL);
        drop(offsets);
        assert_eq!(open(dir.path()).get("group", "topic", 0), Some(&at(59_999)));
    }
}
