//! A batch of records to Arrow batches, one writer schema at a time.
//!
//! Every record ends in exactly one place: a row of a part, a reject, or a tombstone.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow_avro::reader::{Decoder as AvroDecoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use weir_core::schema_id::SchemaId;
use weir_project::Table;

use crate::bounds::{Bounds, Facts, KeyColumns};
use crate::convert::{self, UTC};
use crate::error::EnvelopeError;
use crate::frame::{NUMBER_0, frame};
use crate::json;
use crate::record::{RawRecord, Reject};
use crate::tree::Envelope;

/// A part holds no more rows.
const MAX_ROWS: usize = 1 << 16;
/// A part holds no more encoded bytes, so that no text column outgrows its 31-bit offsets.
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

/// The writer schemas that are known, and the ids that are known to be none.
#[derive(Debug, Default)]
pub struct Schemas {
    bounds: Bounds,
    by_id: HashMap<SchemaId, Result<Arc<Envelope>, Reject>>,
}

impl Schemas {
    /// No schema yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, by_id: HashMap::new() }
    }

    /// Takes the registry's text for an id. On an error the id stays unknown: stop, or [`Schemas::refuse`] it.
    pub fn add(&mut self, id: impl Into<SchemaId>, text: &str) -> Result<(), EnvelopeError> {
        let id = id.into();
        self.by_id.insert(id, Ok(Arc::new(Envelope::parse(id, text)?)));
        Ok(())
    }

    /// From now on records of this id are rejected so: the registry knows it not, or its schema is no change event.
    pub fn refuse(&mut self, id: impl Into<SchemaId>, reject: Reject) {
        self.by_id.insert(id.into(), Err(reject));
    }

    /// Whether this id was taken or refused.
    pub fn knows(&self, id: SchemaId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The schema of this id.
    pub fn get(&self, id: SchemaId) -> Result<&Arc<Envelope>, Reject> {
        match self.by_id.get(&id) {
            Some(Ok(envelope)) => Ok(envelope),
            Some(Err(reject)) => Err(*reject),
            None => Err(Reject::UnknownSchema(id)),
        }
    }

    /// The ids in these values that are neither taken nor refused yet, ascending.
    pub fn needed<'a>(&self, values: impl IntoIterator<Item = &'a [u8]>) -> Vec<SchemaId> {
        let ids = values.into_iter().filter_map(|value| frame(value).ok()).map(|(id, _)| id);
        let needed: BTreeSet<SchemaId> = ids.filter(|id| !self.knows(*id)).collect();
        needed.into_iter().collect()
    }

    /// Appends a value as JSON: [`json::cdc_json`] under the schema that it names.
    pub fn cdc_json(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        let (id, body) = frame(value)?;
        let envelope = self.get(id)?;
        json::cdc_json(envelope, &self.bounds, &body.unpack(self.bounds.max_bytes)?, out)
    }
}

/// Decodes batches of records.
#[derive(Debug, Default)]
pub struct Decoder {
    schemas: Schemas,
    /// arrow-avro's decoders by schema id; one that failed is poisoned and leaves.
    decoders: HashMap<SchemaId, AvroDecoder>,
}

impl Decoder {
    /// A decoder that knows no schema yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { schemas: Schemas::new(bounds), decoders: HashMap::new() }
    }

    /// As [`Schemas::add`].
    pub fn add_schema(&mut self, id: impl Into<SchemaId>, text: &str) -> Result<(), EnvelopeError> {
        let id = id.into();
        self.decoders.remove(&id);
        self.schemas.add(id, text)
    }

    /// As [`Schemas::refuse`].
    pub fn refuse_schema(&mut self, id: impl Into<SchemaId>, reject: Reject) {
        self.schemas.refuse(id, reject);
    }

    /// Whether this id was taken or refused.
    pub fn knows(&self, id: SchemaId) -> bool {
        self.schemas.knows(id)
    }

    /// The ids that must be added or refused before these records are decoded, ascending.
    pub fn schema_ids_needed(&self, records: &[RawRecord<'_>]) -> Vec<SchemaId> {
        self.schemas.needed(records.iter().filter_map(|record| record.value))
    }

    /// Decodes records of one table's topic. A record whose schema id is neither added nor refused is rejected as
    /// unknown: ask [`Decoder::schema_ids_needed`] first.
    pub fn decode(&mut self, table: &Table, records: &[RawRecord<'_>]) -> Decoded {
        let mut decoded = Decoded::default();
        let mut groups: Vec<(SchemaId, Vec<usize>)> = Vec::new();
        for (at, record) in records.iter().enumerate() {
            match record.value.map(frame) {
                None => decoded.tombstones.push(at),
                Some(Err(reject)) => decoded.rejects.push((at, reject)),
                Some(Ok((id, _))) => match groups.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, group)) => group.push(at),
                    None => groups.push((id, vec![at])),
                },
            }
        }
        for (id, group) in groups {
            match self.schemas.get(id).map(Arc::clone) {
                Ok(envelope) => self.decode_group(table, &envelope, records, &group, &mut decoded),
                Err(reject) => decoded.rejects.extend(group.into_iter().map(|at| (at, reject))),
            }
        }
        decoded.rejects.sort_unstable_by_key(|(at, _)| *at);
        decoded
    }

    fn decode_group(
        &mut self,
        table: &Table,
        envelope: &Envelope,
        records: &[RawRecord<'_>],
        group: &[usize],
        decoded: &mut Decoded,
    ) {
        let keys = KeyColumns::of(envelope, table.key.iter().map(|name| name.as_str()));
        let mut rows = Rows::default();
        for &at in group {
            let Some(value) = records[at].value else { continue }; // groups hold records with a value
            match self.schemas.bounds.checked(envelope, value, &keys) {
                Ok((framed, facts)) => rows.push(at, framed, facts),
                Err(reject) => decoded.rejects.push((at, reject)),
            }
            if rows.index.len() == MAX_ROWS || rows.bytes >= MAX_BYTES {
                self.finish(envelope, std::mem::take(&mut rows), decoded);
            }
        }
        if !rows.index.is_empty() {
            self.finish(envelope, rows, decoded);
        }
    }

    /// Gives checked rows to arrow-avro. Should it fail in spite of the checks, each row is tried alone.
    fn finish(&mut self, envelope: &Envelope, rows: Rows<'_>, decoded: &mut Decoded) {
        match self.part(envelope, &rows) {
            Ok(batch) => decoded.rows.push(Part { batch, index: rows.index, schema_id: envelope.id }),
            Err(_) if rows.index.len() == 1 => decoded.rejects.push((rows.index[0], Reject::Undecodable)),
            Err(_) => {
                for ((at, value), facts) in rows.index.into_iter().zip(rows.values).zip(rows.facts) {
                    let mut one = Rows::default();
                    one.push(at, value, facts);
                    self.finish(envelope, one, decoded);
                }
            }
        }
    }

    fn part(&mut self, envelope: &Envelope, rows: &Rows<'_>) -> Result<RecordBatch, ArrowError> {
        let mut decoder = match self.decoders.remove(&envelope.id) {
            Some(decoder) => decoder,
            None => avro_decoder(envelope)?,
        };
        let odd = |what: &str| ArrowError::ParseError(what.to_owned());
        for value in &rows.values {
            let mut rest = &**value;
            while !rest.is_empty() {
                match decoder.decode(rest)? {
                    0 => return Err(odd("the decoder took nothing")),
                    taken => rest = rest.get(taken..).ok_or_else(|| odd("the decoder took too much"))?,
                }
            }
        }
        let batch = decoder.flush()?.ok_or_else(|| odd("the decoder gave nothing"))?;
        if batch.num_rows() != rows.index.len() {
            return Err(odd("the decoder gave another number of rows"));
        }
        self.decoders.insert(envelope.id, decoder);
        assemble(envelope, &batch, rows)
    }
}

/// Rows that passed the checks and wait for arrow-avro.
#[derive(Debug, Default)]
struct Rows<'a> {
    index: Vec<usize>,
    /// In Confluent's frame, which arrow-avro reads.
    values: Vec<Cow<'a, [u8]>>,
    facts: Vec<Facts>,
    bytes: usize,
}

impl<'a> Rows<'a> {
    fn push(&mut self, at: usize, value: Cow<'a, [u8]>, facts: Facts) {
        self.index.push(at);
        self.bytes += value.len();
        self.values.push(value);
        self.facts.push(facts);
    }
}

impl Bounds {
    /// Checks a value; gives it in the frame that arrow-avro reads.
    fn checked<'a>(
        &self,
        envelope: &Envelope,
        value: &'a [u8],
        keys: &KeyColumns,
    ) -> Result<(Cow<'a, [u8]>, Facts), Reject> {
        let (id, body) = frame(value)?;
        let body = body.unpack(self.max_bytes)?;
        let facts = self.check(envelope, &body, keys)?;
        let framed = match id {
            SchemaId::Number(_) => Cow::Borrowed(value),
            SchemaId::Version(_) => Cow::Owned([&NUMBER_0[..], &body].concat()),
        };
        Ok((framed, facts))
    }
}

fn avro_decoder(envelope: &Envelope) -> Result<AvroDecoder, ArrowError> {
    // Each decoder knows one schema. What has no number of its own is framed under 0.
    let id = Fingerprint::Id(match envelope.id {
        SchemaId::Number(number) => number,
        SchemaId::Version(_) => 0,
    });
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(id, AvroSchema::new(envelope.plain_schema()))?;
    ReaderBuilder::new()
        // One more than a part ever holds: the decoder never closes a batch by itself.
        .with_batch_size(MAX_ROWS + 1)
        .with_writer_schema_store(store)
        .with_active_fingerprint(id)
        .build_decoder()
}

/// The schema of the parts of a writer schema.
pub fn part_schema(envelope: &Envelope) -> SchemaRef {
    let mut fields = Vec::with_capacity(COLUMNS.len());
    for name in &COLUMNS[..5] {
        fields.push(match envelope.root.fields.iter().find(|field| field.name == *name) {
            Some(field) => convert::field(name, &field.node),
            None => Field::new(*name, DataType::Int64, true), // `ts_ms`, which Debezium calls optional
        });
    }
    fields.push(Field::new(COLUMNS[5], DataType::Binary, false));
    fields.push(Field::new(COLUMNS[6], DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())), false));
    Arc::new(Schema::new(fields))
}

fn assemble(envelope: &Envelope, batch: &RecordBatch, rows: &Rows<'_>) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(COLUMNS.len());
    for name in &COLUMNS[..5] {
        columns.push(match envelope.root.index(name) {
            Some(at) => convert::convert(batch.column(at), &envelope.root.fields[at].node)?,
            None => arrow::array::new_null_array(&DataType::Int64, batch.num_rows()),
        });
    }
    let mut keys = BinaryBuilder::with_capacity(rows.facts.len(), rows.facts.len() * 32);
    let mut times = TimestampMicrosecondBuilder::with_capacity(rows.facts.len());
    for facts in &rows.facts {
        keys.append_value(facts.order_key.as_bytes());
        times.append_value(facts.source_ts);
    }
    columns.push(Arc::new(keys.finish()));
    columns.push(Arc::new(times.finish().with_timezone(UTC)));
    RecordBatch::try_new(part_schema(envelope), columns)
}
