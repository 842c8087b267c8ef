//! Where reading begins: behind what the table has landed, and nowhere else. What lies between the table and the topic
//! is a gap, and stops the table until somebody accepts it.

use std::collections::BTreeMap;
use std::fmt;

use weir_core::value::Value;

/// What all readers' names begin with.
pub const READERS: &str = "weir:";

/// The name under which a partition's position stands in the table: `weir:<topic id>:<partition>`.
pub fn reader(topic_id: &str, partition: i32) -> String {
    format!("{READERS}{topic_id}:{partition}")
}

/// The name of the number that changes when a worker takes a partition's dead letters back: whoever wrote them can no
/// longer commit their micro-batch.
pub fn claim(topic_id: &str, partition: i32) -> String {
    format!("weir-claim:{topic_id}:{partition}")
}

/// Topic id and partition of a reader.
pub fn of_reader(reader: &str) -> Option<(&str, i32)> {
    let (id, partition) = reader.strip_prefix(READERS)?.rsplit_once(':')?;
    Some((id, partition.parse().ok()?))
}

/// What the brokers say of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The partition.
    pub partition: i32,
    /// First offset still held.
    pub low: i64,
    /// Offset of the next record to come.
    pub high: i64,
}

/// Records of one partition that the table has not landed and the topic no longer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The partition.
    pub partition: i32,
    /// First offset that is gone.
    pub from: i64,
    /// Last offset that is gone; none where nobody knows it any more.
    pub to: Option<i64>,
    /// Commit time of the newest event that was landed, microseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Arrival of the first record that is still there, microseconds since 1970 UTC.
    pub until: Option<i64>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} offset {}", self.partition, self.from)?;
        match self.to {
            Some(to) => write!(f, " to {to}")?,
            None => f.write_str(" on")?,
        }
        if let Some(since) = self.since {
            write!(f, ", after the event of {}", Value::Timestamp(since))?;
        }
        match self.until {
            Some(until) => write!(f, ", before the record of {}", Value::Timestamp(until)),
            None => Ok(()),
        }
    }
}

/// A partition that ends before the table does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The partition.
    pub partition: i32,
    /// Offset of the next record to come.
    pub high: i64,
    /// Last offset landed.
    pub landed: i64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "partition {} ends before offset {}, and offset {} was landed",
            self.partition, self.high, self.landed
        )
    }
}

/// Why a table may not go on reading its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// Retention took records that were not landed yet.
    Retention(Vec<Lost>),
    /// The topic is not there, and records of it were landed.
    Gone(Vec<Lost>),
    /// The topic was deleted and made again: its offsets mean other records.
    Recreated {
        /// The topic id under which the table's positions stand.
        landed: String,
        /// The topic id now.
        found: String,
        /// What the old topic may have held behind them.
        lost: Vec<Lost>,
    },
    /// The table has landed more than the topic holds.
    Cut(Vec<Cut>),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retention(lost) => write!(f, "no longer holds records that were not landed: {}", list(lost)),
            Self::Gone(lost) => write!(f, "is gone, and with it what was not landed: {}", list(lost)),
            Self::Recreated { landed, found, lost } => {
                write!(f, "was made anew (id {landed}, now {found}); not landed of the old one: {}", list(lost))
            }
            Self::Cut(cut) => write!(f, "holds less than was landed: {}", list(cut)),
        }
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join("; ")
}

/// Where a table stands in its topics: the last landed offset of each reader, the time of each partition's newest event.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The table's positions.
    pub positions: BTreeMap<String, i64>,
    /// Newest event of each partition, microseconds since 1970 UTC.
    pub newest: BTreeMap<i32, i64>,
}

impl Standing {
    /// Whether the table has landed from any topic yet.
    pub fn has_begun(&self) -> bool {
        self.positions.keys().any(|reader| of_reader(reader).is_some())
    }

    /// A position that a commit follows: where it stands here.
    pub fn follows(&self, name: String) -> (String, Option<i64>) {
        let at = self.positions.get(&name).copied();
        (name, at)
    }

    /// What is lost when the topic that was landed is no more: all behind the last landed offsets.
    pub fn all_behind(&self) -> Vec<Lost> {
        let readers = self.positions.iter().filter_map(|(reader, last)| Some((of_reader(reader)?.1, *last)));
        readers.map(|(partition, last)| self.lost(partition, last + 1, None)).collect()
    }

    fn lost(&self, partition: i32, from: i64, to: Option<i64>) -> Lost {
        Lost { partition, from, to, since: self.newest.get(&partition).copied(), until: None }
    }

    /// The offset from which each of these partitions is read, or the gap that forbids it.
    ///
    /// A table that has landed nothing begins with what is held. After that every partition counts from its first
    /// offset: one that was added later must not be skipped in part.
    pub fn starts(&self, topic_id: &str, held: &[Held]) -> Result<Vec<(i32, i64)>, Gap> {
        let landed: Vec<&str> = self.positions.keys().filter_map(|reader| Some(of_reader(reader)?.0)).collect();
        if let Some(other) = landed.first().filter(|_| !landed.contains(&topic_id)) {
            let (landed, found) = ((*other).to_owned(), topic_id.to_owned());
            return Err(Gap::Recreated { landed, found, lost: self.all_behind() });
        }
        let (mut starts, mut lost, mut cut) = (Vec::with_capacity(held.len()), Vec::new(), Vec::new());
        for Held { partition, low, high } in held.iter().copied() {
            let last = self.positions.get(&reader(topic_id, partition)).copied();
            let next = match last {
                Some(last) => last + 1,
                None if landed.is_empty() => low,
                None => 0,
            };
            if next < low {
                lost.push(self.lost(partition, next, Some(low - 1)));
            }
            if next > high {
                cut.push(Cut { partition, high, landed: next - 1 });
            }
            starts.push((partition, next));
        }
        match (lost.is_empty(), cut.is_empty()) {
            (true, true) => Ok(starts),
            (false, _) => Err(Gap::Retention(lost)),
            (true, false) => Err(Gap::Cut(cut)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting(landed: &[(&str, i64)], held: &[(i32, i64, i64)]) -> Result<Vec<(i32, i64)>, Gap> {
        let positions = landed.iter().map(|(reader, at)| ((*reader).to_owned(), *at)).collect();
        let held: Vec<Held> = held.iter().map(|&(partition, low, high)| Held { partition, low, high }).collect();
        Standing { positions, newest: BTreeMap::from([(0, 1_700_000_000_000_000)]) }.starts("A", &held)
    }

    #[test]
    fn reading_goes_on_behind_the_last_landed_offset() {
        assert_eq!(starting(&[("weir:A:0", 9)], &[(0, 3, 20)]), Ok(vec![(0, 10)]));
        assert_eq!(starting(&[("weir:A:0", 19)], &[(0, 20, 20)]), Ok(vec![(0, 20)]));
    }

    #[test]
    fn a_table_that_has_landed_nothing_begins_with_what_is_held() {
        assert_eq!(starting(&[("weir-claim:A:0", 1)], &[(0, 7, 9), (1, 0, 0)]), Ok(vec![(0, 7), (1, 0)]));
    }

    #[test]
    fn a_partition_that_was_added_later_is_read_from_its_first_offset_or_its_loss_is_named() {
        assert_eq!(starting(&[("weir:A:0", 9)], &[(0, 3, 20), (1, 0, 5)]), Ok(vec![(0, 10), (1, 0)]));
        let gap = starting(&[("weir:A:0", 9)], &[(0, 3, 20), (1, 4, 5)]).expect_err("a gap");
        assert_eq!(gap, Gap::Retention(vec![Lost { partition: 1, from: 0, to: Some(3), since: None, until: None }]));
    }

    #[test]
    fn records_that_were_deleted_before_they_were_landed_are_named_with_offsets_and_times() {
        let gap = starting(&[("weir:A:0", 9), ("weir:A:1", 0)], &[(0, 15, 20), (1, 1, 1)]).expect_err("a gap");
        let text = gap.to_string();
        assert!(text.contains("partition 0 offset 10 to 14, after the event of 2023-11-14T22:13:20"), "{text}");
        assert!(!text.contains("partition 1"), "{text}");
    }

    #[test]
    fn a_topic_that_was_made_anew_is_not_taken_for_its_predecessor_until_the_table_has_positions_of_it() {
        let gap = starting(&[("weir:B:0", 9)], &[(0, 0, 20)]).expect_err("a gap");
        assert!(matches!(&gap, Gap::Recreated { landed, lost, .. } if landed == "B" && lost[0].from == 10), "{gap}");
        assert_eq!(starting(&[("weir:B:0", 9), ("weir:A:0", -1)], &[(0, 0, 20)]), Ok(vec![(0, 0)]));
    }

    #[test]
    fn a_topic_that_ends_before_the_table_is_refused() {
        let gap = starting(&[("weir:A:0", 9)], &[(0, 0, 9)]).expect_err("a gap");
        assert_eq!(gap, Gap::Cut(vec![Cut { partition: 0, high: 9, landed: 9 }]));
    }
}
