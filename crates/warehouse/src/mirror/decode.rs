//! The double of the Lambda function `f_cdc_avro_to_json`: hexadecimal record in, JSON text out.
//!
//! A record that cannot be decoded gives NULL and is counted by the script; a registry that does not answer
//! fails the statement, because the record may be good.
#![allow(unsafe_code, reason = "vectors of the engine are read and written through its raw slices")]

use std::sync::Arc;

use duckdb::Connection;
use duckdb::core::{DataChunkHandle, Inserter, LogicalTypeId};
use duckdb::ffi::duckdb_string_t;
use duckdb::types::DuckString;
use duckdb::vscalar::{ScalarFunctionSignature, VScalar};
use duckdb::vtab::arrow::WritableVector;
use weir_envelope::Texts;
use weir_stream::Registry;

/// Turns a record's value into the JSON that the mirrors read.
pub trait Decode: Send + Sync {
    /// None for a record that no schema decodes; an error only if trying again may help.
    fn json(&self, value: &[u8]) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Decodes records by the schemas of a registry, each fetched once.
pub struct RegistryDecode {
    registry: Registry,
    texts: Texts,
}

impl RegistryDecode {
    /// Asks nothing yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, texts: Texts::default() }
    }
}

impl Decode for RegistryDecode {
    fn json(&self, value: &[u8]) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.texts.json(value, |id| self.registry.find(id))?.ok())
    }
}

/// Makes the function known to the database, under a name that no statement can use unless it is declared.
pub fn register(connection: &Connection, decode: Arc<dyn Decode>) -> Result<(), duckdb::Error> {
    connection.register_scalar_function_with_state::<AvroToJson>("weir_f_cdc_avro_to_json", &Shared(decode))
}

#[derive(Clone)]
struct Shared(Arc<dyn Decode>);

struct AvroToJson;

impl VScalar for AvroToJson {
    type State = Shared;

    fn invoke(
        state: &Self::State,
        input: &mut DataChunkHandle,
        output: &mut dyn WritableVector,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let rows = input.len();
        let texts = input.flat_vector(0);
        let mut out = output.flat_vector();
        // SAFETY: the only argument is VARCHAR, so its vector holds `rows` engine strings that live for this call.
        let strings = unsafe { texts.as_slice_with_len::<duckdb_string_t>(rows) };
        let mut bytes = Vec::new();
        for (row, string) in strings.iter().enumerate() {
            if texts.row_is_null(row as u64) {
                out.set_null(row);
                continue;
            }
            let mut string = *string;
            let text = DuckString::new(&mut string).as_bytes();
            bytes.clear();
            bytes.resize(text.len() / 2, 0);
            let decoded = match hex::decode_to_slice(text, &mut bytes) {
                Ok(()) => state.0.json(&bytes).map_err(|error| format!("WEIR:58000:{error}"))?,
                Err(_) => None,
            };
            match decoded {
                Some(json) => out.insert(row, json.as_str()),
                None => out.set_null(row),
            }
        }
        Ok(())
    }

    fn signatures() -> Vec<ScalarFunctionSignature> {
        vec![ScalarFunctionSignature::exact(vec![LogicalTypeId::Varchar.into()], LogicalTypeId::Varchar.into())]
    }
}
