//! What the brokers say: how much waits in each partition, and since when.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_landing::start::reader;
use weir_project::Table;
use weir_stream::{Consumer, Start, StreamError};

/// How long the first waiting record is waited for. Behind the last record of a transaction none comes.
const PATIENCE: Duration = Duration::from_secs(1);

/// How one partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The table.
    pub table: TableName,
    /// The partition.
    pub partition: i32,
    /// Offset of the next record that landing reads.
    pub next: i64,
    /// Offset of the next record to come.
    pub end: i64,
    /// When the first record arrived that has not landed, milliseconds since 1970 UTC.
    pub waiting_since: Option<i64>,
    /// Commit time of the newest event that has landed, microseconds since 1970 UTC.
    pub newest: Option<i64>,
}

impl PartitionStatus {
    /// Records that have not landed.
    pub fn lag(&self) -> u64 {
        u64::try_from(self.end - self.next).unwrap_or(0)
    }

    /// How long the first of them has been waiting at `now`, milliseconds.
    pub fn lag_milliseconds(&self, now: i64) -> u64 {
        self.waiting_since.map_or(0, |since| u64::try_from(now - since).unwrap_or(0))
    }
}

/// Every partition of a table's topic; none while there is no topic. Blocks.
pub(super) fn partitions(
    consumer: &mut Consumer,
    table: &Table,
    positions: &BTreeMap<String, i64>,
    newest: &BTreeMap<i32, i64>,
) -> Result<Vec<PartitionStatus>, Diagnosed> {
    let numbers = match consumer.partitions() {
        Err(StreamError::UnknownTopic { .. }) => return Ok(Vec::new()),
        numbers => numbers?,
    };
    let topic_id = consumer.topic_id()?;
    let mut found = Vec::with_capacity(numbers.len());
    for partition in numbers {
        let (low, end) = consumer.watermarks(partition)?;
        let next = positions.get(&reader(topic_id.as_str(), partition)).map_or(low, |last| last + 1);
        // What retention took before it landed waits no more; landing itself stops there and says so.
        let waits = next.max(low) < end;
        let waiting_since = if waits { first_time(consumer, partition, next.max(low))? } else { None };
        let (table, newest) = (table.name.clone(), newest.get(&partition).copied());
        found.push(PartitionStatus { table, partition, next, end, waiting_since, newest });
    }
    Ok(found)
}

fn first_time(consumer: &mut Consumer, partition: i32, offset: i64) -> Result<Option<i64>, StreamError> {
    consumer.assign(&[(partition, Start::At(offset))])?;
    let batch = consumer.poll_batch(1, 1, PATIENCE);
    // Nothing more is fetched ahead.
    consumer.assign(&[])?;
    Ok(batch?.records().next().map(|record| record.timestamp_ms).filter(|at| *at >= 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_read_to_its_end_waits_for_nothing() {
        let read = PartitionStatus {
            table: "t".parse().expect("a name"),
            partition: 0,
            next: 7,
            end: 7,
            waiting_since: None,
            newest: None,
        };
        assert_eq!((read.lag(), read.lag_milliseconds(5_000)), (0, 0));
        let behind = PartitionStatus { next: 4, waiting_since: Some(2_000), ..read };
        assert_eq!((behind.lag(), behind.lag_milliseconds(5_000)), (3, 3_000));
        // The brokers' clock is ahead of ours.
        assert_eq!(behind.lag_milliseconds(1_000), 0);
    }
}
