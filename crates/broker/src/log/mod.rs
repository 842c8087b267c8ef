//! The log: a partition is a folder of segments that hold v2 record batches as they came off the wire.
//!
//! In: one record batch per append. Out: whole batches from an offset on.
//! Never: opens a batch (no compression codec is linked), and never deletes anything but whole segments.
//! A batch gets three things from the broker: its base offset, the leader epoch, and its arrival time
//! (`LogAppendTime`), so that retention counts from arrival, whatever time a producer claims.

pub(crate) mod batch;
pub(crate) mod config;
pub(crate) mod partition;
pub(crate) mod producers;
pub(crate) mod recovery;
pub(crate) mod segment;

#[cfg(test)]
pub(crate) mod testing;
