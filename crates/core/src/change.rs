//! A change event and what makes two of them the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::TableName;
use crate::order_key::OrderKey;
use crate::value::Row;

/// Debezium's operation codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Op {
    /// A row of the initial snapshot.
    #[serde(rename = "r")]
    Read,
    /// An insert.
    #[serde(rename = "c")]
    Create,
    /// An update.
    #[serde(rename = "u")]
    Update,
    /// A delete.
    #[serde(rename = "d")]
    Delete,
    /// The whole table was emptied at once: no key, no row.
    #[serde(rename = "t")]
    Truncate,
}

impl Op {
    /// The letter in `op` and `_op`.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
        }
    }

    /// Reads the letter; `None` for one that Weir does not know.
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "r" => Some(Self::Read),
            "c" => Some(Self::Create),
            "u" => Some(Self::Update),
            "d" => Some(Self::Delete),
            "t" => Some(Self::Truncate),
            _ => None,
        }
    }

    /// Breaks ties of equal order keys: a delete comes first, which is how a key change arrives.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Delete | Self::Truncate => 0,
            Self::Read => 1,
            Self::Create => 2,
            Self::Update => 3,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letter())
    }
}

/// One change of one row, as every room after the envelope understands it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The source table.
    pub table: TableName,
    /// Values of the key columns, in key order; none of a truncation.
    pub key: Row,
    /// What was done.
    pub op: Op,
    /// When, in the source's own order.
    pub order_key: OrderKey,
    /// Commit time at the source, microseconds since 1970 UTC. May run backwards; the order key does not.
    pub source_ts: i64,
    /// The row after the change, in contract column order; for a delete the last known row, if known.
    pub row: Option<Row>,
}

/// What makes two deliveries the same change: (table, key, op, order key), not the order key alone,
/// because snapshot rows and the two halves of a key change share positions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The source table.
    pub table: TableName,
    /// Values of the key columns, in key order.
    pub key: Row,
    /// What was done.
    pub op: Op,
    /// When, in the source's own order.
    pub order_key: OrderKey,
}

impl Change {
    /// The identity under which a repeated delivery is found.
    pub fn identity(&self) -> Identity {
        Identity { table: self.table.clone(), key: self.key.clone(), op: self.op, order_key: self.order_key.clone() }
    }

    /// The order in which changes of one key apply.
    pub fn place(&self) -> (&OrderKey, u8) {
        (&self.order_key, self.op.rank())
    }
}
