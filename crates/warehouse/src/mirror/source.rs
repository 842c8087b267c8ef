//! Where streaming views read their topics: Kafka in the product, a list of records in tests.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_stream::{Connection, Consumer, Start};

/// Any failure of the stream; printed with its sources.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// A record as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// When it was appended, milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Opens topics.
pub trait Source: Send + Sync {
    /// A reader of one topic; reads nothing yet.
    fn open(&self, topic: &str) -> Result<Box<dyn Reader>, SourceError>;
}

/// Reads one topic from given offsets.
pub trait Reader: Send {
    /// Changes when the topic is deleted and made again.
    fn topic_id(&self) -> Result<String, SourceError>;
    /// Per partition, ascending: the first offset held, and the one of the next record to come.
    fn watermarks(&self) -> Result<Vec<(i32, i64, i64)>, SourceError>;
    /// Goes on from these offsets.
    fn assign(&mut self, starts: &BTreeMap<i32, i64>) -> Result<(), SourceError>;
    /// The next records, in offset order within a partition; empty if none came within `wait`.
    fn poll(&mut self, most: usize, most_bytes: usize, wait: Duration) -> Result<Vec<Record>, SourceError>;
}

/// Kafka, or whatever speaks its protocol.
pub struct Kafka {
    connection: Connection,
}

impl Kafka {
    /// Over this connection; nothing is asked yet.
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }
}

impl Source for Kafka {
    fn open(&self, topic: &str) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(KafkaReader { consumer: Consumer::new(&self.connection, topic)? }))
    }
}

struct KafkaReader {
    consumer: Consumer,
}

impl Reader for KafkaReader {
    fn topic_id(&self) -> Result<String, SourceError> {
        Ok(self.consumer.topic_id()?.as_str().to_owned())
    }

    fn watermarks(&self) -> Result<Vec<(i32, i64, i64)>, SourceError> {
        let mut marks = Vec::new();
        for partition in self.consumer.partitions()? {
            let (low, high) = self.consumer.watermarks(partition)?;
            marks.push((partition, low, high));
        }
        Ok(marks)
    }

    fn assign(&mut self, starts: &BTreeMap<i32, i64>) -> Result<(), SourceError> {
        let starts: Vec<_> = starts.iter().map(|(partition, offset)| (*partition, Start::At(*offset))).collect();
        Ok(self.consumer.assign(&starts)?)
    }

    fn poll(&mut self, most: usize, most_bytes: usize, wait: Duration) -> Result<Vec<Record>, SourceError> {
        let batch = self.consumer.poll_batch(most, most_bytes, wait)?;
        let record = |(index, record): (usize, weir_stream::Record<'_>)| Record {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: batch.headers(index).to_vec(),
        };
        Ok(batch.records().enumerate().map(record).collect())
    }
}
