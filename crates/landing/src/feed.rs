//! Where records and schemas come from: the Kafka client and the registry, or a test's hand-made ones.

use std::sync::Arc;
use std::time::Duration;

use weir_core::schema_id::SchemaId;
use weir_stream::{Batch, Consumer, Registry, Start, StreamError};

/// A reader of one topic from given offsets on. All calls block.
pub trait Feed: Send + 'static {
    /// The id that the topic has for as long as it lives.
    fn topic_id(&self) -> Result<String, StreamError>;
    /// The topic's partitions.
    fn partitions(&self) -> Result<Vec<i32>, StreamError>;
    /// First offset still held, and the offset of the next record to come.
    fn watermarks(&self, partition: i32) -> Result<(i64, i64), StreamError>;
    /// Shares the partitions with others from now on: [`Feed::given`] says which are this reader's.
    fn join(&mut self) -> Result<(), StreamError>;
    /// The partitions given since the last call; nothing while all is as before.
    fn given(&mut self) -> Option<Vec<i32>>;
    /// Starts reading.
    fn assign(&mut self, starts: &[(i32, Start)]) -> Result<(), StreamError>;
    /// The next records; returns early when there are enough, or when there is news of the partitions.
    fn poll(&mut self, max_records: usize, max_bytes: usize, max_wait: Duration) -> Result<Batch, StreamError>;
    /// Tells others how far the table is: per partition, the next offset. Nothing is ever read from it.
    fn publish(&mut self, next: &[(i32, i64)]);
}

impl Feed for Consumer {
    fn topic_id(&self) -> Result<String, StreamError> {
        Consumer::topic_id(self).map(|id| id.as_str().to_owned())
    }

    fn partitions(&self) -> Result<Vec<i32>, StreamError> {
        Consumer::partitions(self)
    }

    fn watermarks(&self, partition: i32) -> Result<(i64, i64), StreamError> {
        Consumer::watermarks(self, partition)
    }

    fn join(&mut self) -> Result<(), StreamError> {
        Consumer::join(self)
    }

    fn given(&mut self) -> Option<Vec<i32>> {
        Consumer::given(self)
    }

    fn assign(&mut self, starts: &[(i32, Start)]) -> Result<(), StreamError> {
        Consumer::assign(self, starts)
    }

    fn poll(&mut self, max_records: usize, max_bytes: usize, max_wait: Duration) -> Result<Batch, StreamError> {
        self.poll_batch(max_records, max_bytes, max_wait)
    }

    fn publish(&mut self, next: &[(i32, i64)]) {
        Consumer::publish(self, next);
    }
}

/// Who knows the schema of an id. The call blocks.
pub trait Schemas: Send + 'static {
    /// The schema's text. An id that the registry does not know is [`StreamError::UnknownSchema`],
    /// an outage is another error: it must not turn good records into dead letters.
    fn schema(&self, id: SchemaId) -> Result<Arc<str>, StreamError>;
}

impl Schemas for Registry {
    fn schema(&self, id: SchemaId) -> Result<Arc<str>, StreamError> {
        Registry::schema(self, id)
    }
}
