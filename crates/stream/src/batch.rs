//! Raw records of a topic, held together in one buffer: one copy per record and no object each.

use std::ops::Range;

/// One record as it lies in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The broker's or the producer's time, milliseconds since 1970 UTC; -1 if the record has none.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Records in the order in which each partition holds them.
#[derive(Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Batch {
    /// Adds a copy of a record.
    pub fn push(&mut self, record: Record<'_>, headers: Vec<(String, Option<Vec<u8>>)>) {
        let mut keep = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| {
                let start = self.arena.len();
                self.arena.extend_from_slice(bytes);
                start..self.arena.len()
            })
        };
        let (key, value) = (keep(record.key), keep(record.value));
        let Record { partition, offset, timestamp_ms, .. } = record;
        self.entries.push(Entry { partition, offset, timestamp_ms, key, value, headers });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// A record by its place in the batch.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn record(&self, index: usize) -> Record<'_> {
        let entry = &self.entries[index];
        let part = |range: &Option<Range<usize>>| range.clone().map(|range| &self.arena[range]);
        Record {
            partition: entry.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            key: part(&entry.key),
            value: part(&entry.value),
        }
    }

    /// Headers of a record, in their order; a name may come twice.
    pub fn headers(&self, index: usize) -> &[(String, Option<Vec<u8>>)] {
        &self.entries[index].headers
    }

    /// All records, in order of arrival.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }
}
