//! A table's records as the bytes of a message.

use weir_core::change::Op;
use weir_core::value::{Row, Value};
use weir_envelope::encode::{Encoder, Event as Envelope, Snapshot};
use weir_project::Table;

use crate::error::SourceError;
use crate::record::{Event, Payload, SourceRecord};

/// Key and value of a message; the bytes live in the encoding's buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// None for a truncation.
    pub key: Option<&'a [u8]>,
    /// None for a tombstone.
    pub value: Option<&'a [u8]>,
}

pub(super) struct Encoding {
    encoder: Encoder,
    key_indexes: Vec<usize>,
    /// NULLs but for the key: all that the encoder reads of a row for its key.
    key_row: Row,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Encoding {
    pub fn new(table: &Table, key_id: u32, value_id: u32) -> Self {
        Self {
            encoder: Encoder::new(table, key_id, value_id),
            key_indexes: table.key_indexes(),
            key_row: vec![Value::Null; table.columns.len()],
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    pub fn encode(&mut self, record: &SourceRecord) -> Result<Message<'_>, SourceError> {
        let has_key = !record.key.is_empty();
        if has_key {
            for (at, value) in self.key_indexes.iter().zip(&record.key) {
                self.key_row[*at].clone_from(value);
            }
            self.key.clear();
            self.encoder.key(&self.key_row, &mut self.key)?;
        }
        let has_value = match &record.payload {
            Payload::Change(event) | Payload::Repeat(event) => {
                self.event(event)?;
                true
            }
            Payload::Tombstone => false,
            Payload::Poison(poison, event) => {
                self.event(event)?;
                self.value = poison.apply(std::mem::take(&mut self.value));
                true
            }
        };
        Ok(Message { key: has_key.then_some(&self.key), value: has_value.then_some(&self.value) })
    }

    fn event(&mut self, event: &Event) -> Result<(), SourceError> {
        self.value.clear();
        let envelope = Envelope {
            op: event.op,
            before: event.before.as_ref(),
            after: event.after.as_ref(),
            position: event.position,
            source_ts_us: event.source_ts,
            snapshot: if event.op == Op::Read { Snapshot::True } else { Snapshot::False },
            transaction: None,
            ts_ns: event.sent_ts.saturating_mul(1000),
        };
        self.encoder.value(&envelope, &mut self.value)?;
        Ok(())
    }
}
