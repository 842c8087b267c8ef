//! Decoding a micro-batch: fetches the schemas that its records name, then decodes. Runs on a blocking thread.

use arrow::array::RecordBatch;
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
    pub(crate) rejects: Vec<(usize, Reject)>,
    pub(crate) tombstones: u64,
    /// The dead letters' rows; none without rejects.
    pub(crate) letters: Option<RecordBatch>,
}

impl<S: Schemas> Decoding<S> {
    /// Fetches the schemas that the records name, then decodes them.
    pub(crate) fn decode(
        &mut self,
        table: &weir_project::Table,
        topic_id: &str,
        polled: &Polled,
        now: i64,
    ) -> Result<Decoded, LandingError> {
        let raw = polled.raw();
        learn(&mut self.decoder, &self.schemas, &table.name, &raw)?;
        let decoded = self.decoder.decode(table, &raw);
        let rows = |source| LandingError::Rows { table: table.name.clone(), source };
        let with_origin = |part| batch::with_origin(part, polled, &table.topic, now);
        let parts = decoded.rows.iter().map(with_origin).collect::<Result<Vec<_>, _>>().map_err(rows)?;
        let letters = (!decoded.rejects.is_empty())
            .then(|| deadletter::rows(&table.name, (&table.topic, topic_id), polled, &decoded.rejects, now))
            .transpose()
            .map_err(rows)?;
        let tombstones = decoded.tombstones.len() as u64;
        Ok(Decoded { parts, rejects: decoded.rejects, tombstones, letters })
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
