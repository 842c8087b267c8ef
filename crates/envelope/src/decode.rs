//! A batch of records to Arrow batches, one writer schema at a time.
//!
//! Every record ends in exactly one place: a row of a part, a reject, or a tombstone.

use std::collections::{BTreeSet, HashMap};

use arrow::array::RecordBatch;
use weir_core::schema_id::SchemaId;
use weir_project::Table;

use crate::bounds::{Bounds, KeyColumns};
use crate::columns::Columns;
pub use crate::columns::part_schema;
use crate::error::EnvelopeError;
use crate::frame::{Body, frame};
use crate::json;
use crate::record::{RawRecord, Reject};
use crate::tree::Envelope;

/// A part holds no more rows.
const MAX_ROWS: usize = 1 << 16;
/// A part holds no more bytes, as [`Columns::push`] counts them, so that no text column outgrows its 31-bit offsets.
const MAX_BYTES: usize = 256 << 20;

/// Columns of every part, in order.
pub const COLUMNS: [&str; 7] = ["before", "after", "source", "op", "ts_ms", "_order_key", "_source_ts"];

/// What became of a batch of records.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Rows, by writer schema; each in the order of its records.
    pub rows: Vec<Part>,
    /// Records that cannot be decoded, by their number in the batch, ascending.
    pub rejects: Vec<(usize, Reject)>,
    /// Records with a null value, by their number in the batch, ascending.
    pub tombstones: Vec<usize>,
}

/// Rows of one writer schema.
#[derive(Debug)]
pub struct Part {
    /// The rows, with the columns of [`COLUMNS`].
    pub batch: RecordBatch,
    /// For each row the number of its record in the batch, ascending.
    pub index: Vec<usize>,
    /// The writer schema's id.
    pub schema_id: SchemaId,
}

/// Decodes records by the writer schemas that it knows: to batches, or one value to JSON.
#[derive(Debug, Default)]
pub struct Decoder {
    bounds: Bounds,
    /// An error for the ids that are known to be no schema.
    schemas: HashMap<SchemaId, Result<Envelope, Reject>>,
}

impl Decoder {
    /// A decoder that knows no schema yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, schemas: HashMap::new() }
    }

    /// Takes the registry's text for an id. On an error the id stays unknown: stop, or [`Decoder::refuse_schema`] it.
    pub fn add_schema(&mut self, id: impl Into<SchemaId>, text: &str) -> Result<(), EnvelopeError> {
        let id = id.into();
        self.schemas.insert(id, Ok(Envelope::parse(id, text)?));
        Ok(())
    }

    /// From now on records of this id are rejected so: the registry knows it not, or its schema is no change event.
    pub fn refuse_schema(&mut self, id: impl Into<SchemaId>, reject: Reject) {
        self.schemas.insert(id.into(), Err(reject));
    }

    /// Whether this id was added or refused.
    pub fn knows(&self, id: SchemaId) -> bool {
        self.schemas.contains_key(&id)
    }

    fn schema(&self, id: SchemaId) -> Result<&Envelope, Reject> {
        match self.schemas.get(&id) {
            Some(known) => known.as_ref().map_err(|reject| *reject),
            None => Err(Reject::UnknownSchema(id)),
        }
    }

    /// The ids that must be added or refused before these records are decoded, ascending.
    pub fn schema_ids_needed(&self, records: &[RawRecord<'_>]) -> Vec<SchemaId> {
        let ids = records.iter().filter_map(|record| frame(record.value?).ok()).map(|(id, _)| id);
        let needed: BTreeSet<SchemaId> = ids.filter(|id| !self.knows(*id)).collect();
        needed.into_iter().collect()
    }

    /// Appends a value as JSON: [`json::cdc_json`] under the schema that it names.
    pub fn cdc_json(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        let (id, body) = frame(value)?;
        let envelope = self.schema(id)?;
        json::cdc_json(envelope, &self.bounds, &body.unpack(self.bounds.max_bytes)?, out)
    }

    /// Decodes records of one table's topic. A record whose schema id is neither added nor refused is rejected as
    /// unknown: ask [`Decoder::schema_ids_needed`] first.
    pub fn decode(&self, table: &Table, records: &[RawRecord<'_>]) -> Decoded {
        let mut decoded = Decoded::default();
        let mut groups: Vec<(SchemaId, Vec<(usize, Body<'_>)>)> = Vec::new();
        for (at, record) in records.iter().enumerate() {
            match record.value.map(frame) {
                None => decoded.tombstones.push(at),
                Some(Err(reject)) => decoded.rejects.push((at, reject)),
                Some(Ok((id, body))) => match groups.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, group)) => group.push((at, body)),
                    None => groups.push((id, vec![(at, body)])),
                },
            }
        }
        for (id, group) in groups {
            match self.schema(id) {
                Ok(envelope) => self.decode_group(table, envelope, &group, &mut decoded),
                Err(reject) => decoded.rejects.extend(group.into_iter().map(|(at, _)| (at, reject))),
            }
        }
        decoded.rejects.sort_unstable_by_key(|(at, _)| *at);
        decoded
    }

    fn decode_group(&self, table: &Table, envelope: &Envelope, group: &[(usize, Body<'_>)], decoded: &mut Decoded) {
        let keys = KeyColumns::of(envelope, table.key.iter().map(|name| name.as_str()));
        let mut rows = Rows::new(envelope, group.len());
        for (done, &(at, body)) in group.iter().enumerate() {
            let body = body.unpack(self.bounds.max_bytes);
            match body.and_then(|body| rows.columns.push(envelope, &self.bounds, &body, &keys)) {
                Ok(bytes) => {
                    rows.index.push(at);
                    rows.bytes += bytes;
                }
                Err(reject) => decoded.rejects.push((at, reject)),
            }
            if rows.index.len() == MAX_ROWS || rows.bytes >= MAX_BYTES {
                let next = Rows::new(envelope, group.len() - done - 1);
                std::mem::replace(&mut rows, next).finish(envelope, decoded);
            }
        }
        if !rows.index.is_empty() {
            rows.finish(envelope, decoded);
        }
    }
}

/// Rows of a part in the making.
struct Rows {
    index: Vec<usize>,
    columns: Columns,
    bytes: usize,
}

impl Rows {
    fn new(envelope: &Envelope, expected: usize) -> Self {
        let expected = expected.min(MAX_ROWS);
        Self { index: Vec::with_capacity(expected), columns: Columns::new(envelope, expected), bytes: 0 }
    }

    /// Every value was checked when it was appended: columns that make no batch are a defect, and cost no record.
    fn finish(self, envelope: &Envelope, decoded: &mut Decoded) {
        match self.columns.finish(envelope) {
            Ok(batch) => decoded.rows.push(Part { batch, index: self.index, schema_id: envelope.id }),
            Err(_) => decoded.rejects.extend(self.index.into_iter().map(|at| (at, Reject::Undecodable))),
        }
    }
}
