//! Where reading begins: behind what the table has landed, and nowhere else.

use std::collections::BTreeMap;

use weir_core::name::TableName;
use weir_stream::Start;

use crate::error::LandingError;

/// The name under which a partition's position stands in the table: `weir:<topic id>:<partition>`.
pub fn reader(topic_id: &str, partition: i32) -> String {
    format!("{READERS}{topic_id}:{partition}")
}

/// What all readers' names begin with.
pub const READERS: &str = "weir:";

/// The topic id in a reader's name; none if it is not a topic's reader.
pub fn topic_id(reader: &str) -> Option<&str> {
    reader.strip_prefix(READERS)?.rsplit_once(':').map(|(id, _)| id)
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

/// Where each partition is read from, or why it may not be read: a topic that was made anew, records
/// that were deleted before they were landed, a topic that ends before the table does.
pub fn starts(
    table: &TableName,
    topic: &str,
    topic_id: &str,
    landed: &BTreeMap<String, i64>,
    held: &[Held],
) -> Result<Vec<(i32, Start)>, LandingError> {
    refuse_another_topic(table, topic, topic_id, landed)?;
    let mut starts = Vec::with_capacity(held.len());
    for Held { partition, low, high } in held.iter().copied() {
        let Some(last) = landed.get(&reader(topic_id, partition)).copied() else {
            starts.push((partition, Start::Earliest));
            continue;
        };
        let next = last + 1;
        let (table, topic) = (table.clone(), topic.to_owned());
        if next < low {
            return Err(LandingError::OffsetsLost { table, topic, partition, from: next, to: low - 1 });
        }
        if next > high {
            return Err(LandingError::TopicCut { table, topic, partition, high, landed: last });
        }
        starts.push((partition, Start::At(next)));
    }
    Ok(starts)
}

fn refuse_another_topic(
    table: &TableName,
    topic: &str,
    topic_id: &str,
    landed: &BTreeMap<String, i64>,
) -> Result<(), LandingError> {
    match landed.keys().filter_map(|reader| self::topic_id(reader)).find(|id| *id != topic_id) {
        Some(other) => Err(LandingError::TopicRecreated {
            table: table.clone(),
            topic: topic.to_owned(),
            landed: other.to_owned(),
            found: topic_id.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting(landed: &[(&str, i64)], held: &[(i32, i64, i64)]) -> Result<Vec<(i32, Start)>, LandingError> {
        let landed = landed.iter().map(|(reader, at)| ((*reader).to_owned(), *at)).collect();
        let held: Vec<Held> = held.iter().map(|&(partition, low, high)| Held { partition, low, high }).collect();
        starts(&"customer".parse().expect("a name"), "retail.customer.cdc", "A", &landed, &held)
    }

    #[test]
    fn reading_goes_on_behind_the_last_landed_offset() {
        let found = starting(&[("weir:A:0", 9)], &[(0, 3, 20), (1, 0, 5)]).expect("starts");
        assert_eq!(found, vec![(0, Start::At(10)), (1, Start::Earliest)]);
        assert_eq!(starting(&[("weir:A:0", 19)], &[(0, 20, 20)]).expect("starts"), vec![(0, Start::At(20))]);
    }

    #[test]
    fn records_that_were_deleted_before_they_were_landed_stop_the_table_and_are_named() {
        let error = starting(&[("weir:A:0", 9)], &[(0, 15, 20)]).expect_err("lost");
        assert!(matches!(error, LandingError::OffsetsLost { partition: 0, from: 10, to: 14, .. }), "{error}");
    }

    #[test]
    fn a_topic_that_was_made_anew_is_not_taken_for_its_predecessor() {
        let error = starting(&[("weir:B:0", 9)], &[(0, 0, 20)]).expect_err("another topic");
        assert!(matches!(&error, LandingError::TopicRecreated { landed, .. } if landed == "B"), "{error}");
    }

    #[test]
    fn a_topic_that_ends_before_the_table_is_refused() {
        let error = starting(&[("weir:A:0", 9)], &[(0, 0, 9)]).expect_err("cut");
        assert!(matches!(error, LandingError::TopicCut { high: 9, landed: 9, .. }), "{error}");
    }
}
