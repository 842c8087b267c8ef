//! Stream: the client side of Kafka and of the schema registry, for the embedded broker, Kafka and MSK alike.
//!
//! In: brokers and a registry URL; where to start reading. Out: batches of raw records, acknowledged
//! sends, topics with the wanted partitions and retention, schemas by id.
//! Beside them, what else Weir asks AWS for by hand: secrets ([`AwsVault`]).
//! Never: asks a consumer group where it stopped (the caller's table knows), reads what it was not told to, decodes
//! a record, jumps silently over a gap.
//!
//! All calls block: an async caller runs them on a blocking thread.
//!
//! Read first: [`Consumer::poll_batch`], then [`Producer`], [`Admin`] and [`Registry`].
//!
//! ```no_run
//! # use std::{collections::BTreeMap, time::Duration};
//! # fn example() -> Result<(), weir_stream::StreamError> {
//! use weir_stream::{Connection, Consumer, Start};
//!
//! let mut consumer = Consumer::new(&Connection::new("127.0.0.1:9092", BTreeMap::new()), "shop.customer.cdc")?;
//! consumer.assign(&[(0, Start::At(42))])?;
//! for record in consumer.poll_batch(1000, 1 << 20, Duration::from_secs(1))?.records() {
//!     println!("{} {:?}", record.offset, record.value.map(<[u8]>::len));
//! }
//! # Ok(())
//! # }
//! ```

mod admin;
pub mod aws;
mod batch;
mod connection;
mod consumer;
pub mod deadletter;
mod error;
pub mod http;
mod login;
mod producer;
mod registry;
mod topic_id;

pub use admin::{Admin, TopicInfo};
pub use aws::AwsVault;
pub use batch::{Batch, Record};
pub use connection::Connection;
pub use consumer::{Consumer, Start};
pub use error::StreamError;
pub use producer::{Header, Producer};
pub use registry::Registry;
pub use topic_id::TopicId;

#[cfg(test)]
mod tests;
