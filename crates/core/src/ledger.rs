//! What a source really did, row by row: the expectation that any zone can be judged against.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::name::TableName;

/// One record of the stream, in the order of its partition, with what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// Table whose topic the record went to.
    pub table: TableName,
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition, from 0.
    pub offset: i64,
    /// What it is.
    pub kind: RecordKind,
}

/// What a record of the stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A change, delivered for the first time.
    Change(Change),
    /// The same change delivered again.
    Repeat(Change),
    /// Null value after a delete.
    Tombstone,
    /// A record that no decoder can read; the word says how it was broken.
    Poison(String),
}
