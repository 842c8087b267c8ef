//! Envelope: Debezium change events between Avro bytes, Arrow and JSON, with bounds.
//!
//! In: raw records of a topic (Confluent's or AWS Glue's wire format) and the writer schemas that they name; or rows to encode.
//! Out: Arrow batches of envelopes with `_order_key` and `_source_ts`, JSON for the warehouse, or encoded records;
//! what cannot be decoded comes back with a [`Reject`], never as a panic and never as a wrong row.
//! Never: a network, a clock, a value changed beyond its type's unit.
//!
//! Read first: [`tree`] (a writer schema, compact), then [`bounds`] (what is checked of every message), then
//! `columns` (the one walk over it) and [`decode`]; the other direction is [`schema`] and [`encode`].
//!
//! ```
//! use weir_envelope::{Body, Decoder, RawRecord, Reject, frame};
//!
//! let value = [0, 0, 0, 0, 7, 2];
//! assert_eq!(frame(&value), Ok((7.into(), Body::Plain(&[2]))));
//! assert_eq!(frame(b"{}"), Err(Reject::WrongMagic));
//!
//! let record = RawRecord { partition: 0, offset: 0, timestamp_ms: 0, key: None, value: Some(&value) };
//! assert_eq!(Decoder::default().schema_ids_needed(&[record]), [7.into()]);
//! ```

pub mod bounds;
pub mod decode;
pub mod encode;
pub mod error;
pub mod frame;
pub mod json;
pub mod record;
pub mod schema;
pub mod texts;
pub mod tree;
pub mod values;

mod columns;
mod parse;
mod position;
mod time;

pub use bounds::Bounds;
pub use decode::{Decoded, Decoder, Part};
pub use encode::{Encoder, Event};
pub use error::EnvelopeError;
pub use frame::{Body, frame};
pub use record::{RawRecord, Reject};
pub use texts::Texts;

#[cfg(test)]
mod tests;
