//! Decoding a micro-batch: fetches the schemas that its records name, then decodes. Runs on a blocking thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use weir_core::name::TableName;
use weir_envelope::{Decoder, RawRecord, Reject};
use weir_stream::StreamError;

use crate::batch::{self, Polled};
use crate::deadletter;
use crate::error::LandingError;
use crate::feed::Schemas;

pub(crate) struct Decoding<S> {
    pub(crate) decoder: Decoder,
    pub(crate) schemas: S,
}

/// A decoded micro-batch: rows with their origin, and what is no row.
pub(crate) struct Decoded {
    pub(crate) parts: Vec<RecordBatch>,
    /// The dead letters' rows; none without any.
    pub(crate) letters: Option<RecordBatch>,
    pub(crate) tombstones: u64,
    /// Records.
    pub(crate) received: u64,
    /// Bytes of their keys and values.
    pub(crate) bytes: usize,
    /// First and last offset of each partition.
    pub(crate) ranges: BTreeMap<i32, (i64, i64)>,
    /// When they had been polled.
    pub(crate) ingested_at: DateTime<Utc>,
    /// How long decoding took.
    pub(crate) took: Duration,
}

impl<S: Schemas> Decoding<S> {
    /// Fetches the schemas that the records name, then decodes them.
    pub(crate) fn decode(
        &mut self,
        table: &weir_project::Table,
        topic_id: &str,
        polled: Polled,
    ) -> Result<Decoded, LandingError> {
        let (began, ingested_at) = (Instant::now(), Utc::now());
        let now = ingested_at.timestamp_micros();
        let ranges = polled.ranges(&table.topic)?;
        let raw = polled.raw();
        learn(&mut self.decoder, &self.schemas, &table.name, &raw)?;
        let decoded = self.decoder.decode(table, &raw);
        drop(raw);
        let rows = |source| LandingError::Rows { table: table.name.clone(), source };
        let with_origin = |part| batch::with_origin(part, &polled, &table.topic, now);
        let parts = decoded.rows.iter().map(with_origin).collect::<Result<Vec<_>, _>>().map_err(rows)?;
        let letters = (!decoded.rejects.is_empty())
            .then(|| deadletter::rows(&table.name, (&table.topic, topic_id), &polled, &decoded.rejects, now))
            .transpose()
            .map_err(rows)?;
        Ok(Decoded {
            parts,
            letters,
            tombstones: decoded.tombstones.len() as u64,
            received: polled.len() as u64,
            bytes: polled.bytes(),
            ranges,
            ingested_at,
            took: began.elapsed(),
        })
    }
}

/// Fetches the schemas that these records name and the decoder does not know.
pub(crate) fn learn(
    decoder: &mut Decoder,
    schemas: &impl Schemas,
    table: &TableName,
    raw: &[RawRecord<'_>],
) -> Result<(), LandingError> {
    for id in decoder.schema_ids_needed(raw) {
        match schemas.schema(id) {
            Ok(text) => {
                if let Err(error) = decoder.add_schema(id, &text) {
                    tracing::warn!(%id, %error, "records of this schema go to the dead letters");
                    decoder.refuse_schema(id, Reject::UnsupportedSchema(id));
                }
            }
            // Rejected as unknown for now; asked again in the next micro-batch.
            Err(StreamError::UnknownSchema { .. }) => {}
            Err(source) => return Err(LandingError::Stream { table: table.clone(), source: Box::new(source) }),
        }
    }
    Ok(())
}
