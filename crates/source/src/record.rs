//! One record of a source, before it is encoded: which table, which partition, what it is.

use std::fmt::Write;

use weir_core::change::{Change, Op};
use weir_core::ledger::RecordKind;
use weir_core::order_key::{OrderKey, SqlServerPosition};
use weir_core::value::Row;
use weir_project::Table;

/// Microseconds between a commit and the moment when the connector is said to have seen it.
pub const CONNECTOR_DELAY: i64 = 500_000;

/// A record that a source sends, in the order of its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Index of the table in the project's tables.
    pub table: usize,
    /// Partition of the table's topic: [`partition_of`] the key.
    pub partition: i32,
    /// Values of the key columns, in key order; none of a truncation, whose record has no key.
    pub key: Row,
    /// What the record holds.
    pub payload: Payload,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A change, delivered for the first time.
    Change(Event),
    /// The same change again.
    Repeat(Event),
    /// The null value that follows a delete.
    Tombstone,
    /// An event whose bytes are broken after encoding; its position is used by no other event.
    Poison(Poison, Event),
}

/// A change event before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What was done; `Read` marks a row of a snapshot.
    pub op: Op,
    /// The row before, in contract column order.
    pub before: Option<Row>,
    /// The row after, in contract column order.
    pub after: Option<Row>,
    /// Where in the source's log.
    pub position: SqlServerPosition,
    /// Commit time at the source, microseconds since 1970 UTC.
    pub source_ts: i64,
    /// When the connector sent it, microseconds since 1970 UTC; belongs to the delivery, not the change.
    pub sent_ts: i64,
}

/// How a record was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Poison {
    /// No byte at all, which is not the same as a null value.
    EmptyValue,
    /// The first byte is not the wire format's 0.
    WrongMagic,
    /// The registry has never given this schema id.
    UnknownSchemaId,
    /// The Avro body ends in the middle.
    Truncated,
    /// Bytes follow the Avro body.
    TrailingBytes,
}

impl Poison {
    /// Every way, in the order in which the simulator uses them.
    pub const ALL: [Self; 5] =
        [Self::EmptyValue, Self::WrongMagic, Self::UnknownSchemaId, Self::Truncated, Self::TrailingBytes];

    /// The word in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EmptyValue => "empty_value",
            Self::WrongMagic => "wrong_magic",
            Self::UnknownSchemaId => "unknown_schema_id",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing_bytes",
        }
    }

    /// Breaks the bytes of a good value.
    pub fn apply(self, mut value: Vec<u8>) -> Vec<u8> {
        match self {
            Self::EmptyValue => value.clear(),
            Self::WrongMagic => value[0] = 0x7b,
            // Confluent ids are positive and start at 1; none gets near this one.
            Self::UnknownSchemaId => value[1..5].copy_from_slice(&0x7fff_fff1_u32.to_be_bytes()),
            // A strict prefix of an Avro body never decodes: the schema says what must follow.
            Self::Truncated => value.truncate(5 + (value.len() - 5) / 2),
            Self::TrailingBytes => value.extend_from_slice(&[0, 0, 0]),
        }
        value
    }
}

impl SourceRecord {
    /// The record as the ledger tells it.
    pub fn kind(&self, table: &Table) -> RecordKind {
        let change = |event: &Event| Change {
            table: table.name.clone(),
            key: self.key.clone(),
            op: event.op,
            order_key: OrderKey::from(event.position),
            source_ts: event.source_ts,
            row: event.after.clone().or_else(|| event.before.clone()),
        };
        match &self.payload {
            Payload::Change(event) => RecordKind::Change(change(event)),
            Payload::Repeat(event) => RecordKind::Repeat(change(event)),
            Payload::Tombstone => RecordKind::Tombstone,
            Payload::Poison(poison, _) => RecordKind::Poison(poison.word().to_owned()),
        }
    }
}

/// The partition of a key: Kafka's default rule (murmur2, positive, modulo), but over the key's canonical
/// texts joined by byte 0x1f, not over its encoded bytes: those begin with a schema id that each registry
/// hands out anew, and a replay must find each key where an earlier run put it.
pub fn partition_of(key: &Row, partitions: i32) -> i32 {
    let mut text = String::with_capacity(24);
    for (index, value) in key.iter().enumerate() {
        if index > 0 {
            text.push('\u{1f}');
        }
        write!(text, "{value}").expect("writing to a string does not fail");
    }
    let positive = murmur2(text.as_bytes()) & 0x7fff_ffff;
    i32::try_from(positive).expect("31 bits are an i32") % partitions.max(1)
}

/// `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        h = (h ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use weir_core::value::Value;

    use super::*;

    #[test]
    fn murmur2_gives_what_kafka_gives() {
        // From Kafka's own UtilsTest.testMurmur2.
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash.cast_unsigned(), "{text}");
        }
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0; 3];
        for id in 0..3000 {
            counts[usize::try_from(partition_of(&vec![Value::Int(id)], 3)).expect("not negative")] += 1;
        }
        assert!(counts.iter().all(|count| *count > 800), "{counts:?}");
    }

    #[test]
    fn every_poison_changes_the_bytes() {
        let good = vec![0, 0, 0, 0, 7, 1, 2, 3, 4];
        for poison in Poison::ALL {
            assert_ne!(poison.apply(good.clone()), good, "{}", poison.word());
        }
    }
}
