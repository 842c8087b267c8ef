//! The AWS Glue Schema Registry: the schema of a version, by its UUID.

use serde::Deserialize;
use serde_json::json;
use weir_core::schema_id::SchemaId;

use crate::aws::{Provider, Service, ServiceError};
use crate::error::StreamError;

/// Glue's word for an id that it does not know.
const NOT_FOUND: &str = "EntityNotFoundException";

pub(super) struct Glue(Service);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    schema_definition: String,
}

impl Glue {
    pub(super) fn new(region: &str, endpoint: Option<&str>, credentials: Provider) -> Self {
        Self(Service::of("glue", region, endpoint, credentials))
    }

    pub(super) fn url(&self) -> &str {
        self.0.url()
    }

    pub(super) fn schema(&self, id: SchemaId) -> Result<String, StreamError> {
        let asked = self.0.ask("AWSGlue.GetSchemaVersion", &json!({ "SchemaVersionId": id.to_string() }));
        asked.map(|version: Version| version.schema_definition).map_err(|failed| match failed {
            ServiceError::Credentials(error) => error,
            ServiceError::Away(source) => StreamError::RegistryDown { url: self.0.url().to_owned(), source },
            ServiceError::Refused { code, .. } if code == NOT_FOUND => StreamError::UnknownSchema { id },
            ServiceError::Refused { status, code, message } => StreamError::RegistryRefused { status, code, message },
        })
    }
}

#[cfg(test)]
mod tests;
