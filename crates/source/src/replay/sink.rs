//! Where a replay goes: the stream, or in tests a log in memory that can break off.

use std::time::Duration;

use tokio::runtime::Handle;
use weir_envelope::schema;
use weir_project::Table;
use weir_stream::{Admin, Connection, Consumer, Producer, Registry};

use super::encoding::Message;
use crate::error::SourceError;

/// What a replay needs of a stream. Calls block.
pub(super) trait Sink {
    /// Creates the table's topic unless it exists; gives the end offset of each of its partitions.
    fn topic(&mut self, table: &Table, partitions: i32, retention: Duration) -> Result<Vec<i64>, SourceError>;
    /// Registers the table's two schemas; gives the ids for key and value.
    fn register(&mut self, table: &Table) -> Result<(u32, u32), SourceError>;
    /// Hands a message over; waits while the sink's queue is full.
    fn send(&mut self, table: &Table, partition: i32, message: Message<'_>) -> Result<(), SourceError>;
    /// Waits until everything handed over has arrived.
    fn flush(&mut self) -> Result<(), SourceError>;
}

/// The stream that a replay fills.
#[derive(Clone)]
pub struct Target {
    /// The brokers.
    pub connection: Connection,
    /// The schema registry.
    pub registry: Registry,
}

/// The stream through its clients. Must be used on a blocking thread of a tokio runtime.
pub(super) struct Stream {
    connection: Connection,
    admin: Admin,
    producer: Producer,
    registry: Registry,
}

impl Stream {
    pub fn connect(target: &Target) -> Result<Self, SourceError> {
        Ok(Self {
            connection: target.connection.clone(),
            admin: Admin::new(&target.connection)?,
            producer: Producer::new(&target.connection)?,
            registry: target.registry.clone(),
        })
    }
}

impl Sink for Stream {
    fn topic(&mut self, table: &Table, partitions: i32, retention: Duration) -> Result<Vec<i64>, SourceError> {
        Handle::current().block_on(self.admin.ensure_topic(&table.topic, partitions, retention))?;
        let consumer = Consumer::new(&self.connection, &table.topic)?;
        let ends = (0..partitions).map(|partition| consumer.watermarks(partition).map(|(_, end)| end));
        Ok(ends.collect::<Result<_, _>>()?)
    }

    fn register(&mut self, table: &Table) -> Result<(u32, u32), SourceError> {
        let key = self.registry.register(&table.key_subject(), &schema::key_schema(table))?;
        let value = self.registry.register(&table.value_subject(), &schema::value_schema(table))?;
        Ok((key, value))
    }

    fn send(&mut self, table: &Table, partition: i32, message: Message<'_>) -> Result<(), SourceError> {
        Ok(self.producer.send(&table.topic, partition, message.key, message.value, &[])?)
    }

    fn flush(&mut self) -> Result<(), SourceError> {
        Ok(self.producer.flush()?)
    }
}
