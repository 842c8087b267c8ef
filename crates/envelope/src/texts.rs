//! Values as JSON texts, by schemas that are learnt when they are first met: what the warehouse's decode function does,
//! wherever it runs.

use std::sync::{Arc, PoisonError, RwLock};

use weir_core::schema_id::SchemaId;

use crate::decode::Decoder;
use crate::frame::frame;
use crate::record::Reject;

/// A [`Decoder`] that asks for what it does not know.
#[derive(Debug, Default)]
pub struct Texts {
    decoder: RwLock<Decoder>,
}

impl Texts {
    /// The JSON of a value. `schema` gives a registry's text for an id, none where it knows no such id, which is asked for
    /// again with the next value; its error is an outage, and says nothing about the value.
    pub fn json<E>(
        &self,
        value: &[u8],
        schema: impl FnOnce(SchemaId) -> Result<Option<Arc<str>>, E>,
    ) -> Result<Result<String, Reject>, E> {
        let id = match frame(value) {
            Ok((id, _)) => id,
            Err(reject) => return Ok(Err(reject)),
        };
        if !self.decoder.read().unwrap_or_else(PoisonError::into_inner).knows(id)
            && let Some(text) = schema(id)?
        {
            let mut decoder = self.decoder.write().unwrap_or_else(PoisonError::into_inner);
            if decoder.add_schema(id, &text).is_err() {
                decoder.refuse_schema(id, Reject::UnsupportedSchema(id));
            }
        }
        let mut out = Vec::with_capacity(value.len() * 3);
        let decoder = self.decoder.read().unwrap_or_else(PoisonError::into_inner);
        let decoded = decoder.cdc_json(value, &mut out);
        Ok(decoded.and_then(|()| String::from_utf8(out).map_err(|_| Reject::BadUtf8)))
    }
}
