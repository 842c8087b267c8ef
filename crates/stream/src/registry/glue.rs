//! The AWS Glue Schema Registry: the schema of a version, by its UUID.

use serde_json::{Value, json};
use weir_core::schema_id::SchemaId;

use super::again;
use crate::aws::{Provider, Service, ServiceError};
use crate::error::StreamError;

/// Glue's word for "more slowly".
pub(super) const THROTTLED: &str = "ThrottlingException";
/// Glue's word for an id that it does not know.
const NOT_FOUND: &str = "EntityNotFoundException";
const TARGET: &str = "AWSGlue.GetSchemaVersion";

pub(super) struct Glue {
    service: Service,
}

impl Glue {
    pub(super) fn new(region: &str, endpoint: Option<&str>, credentials: Provider) -> Self {
        Self { service: Service::of("glue", region, endpoint, credentials) }
    }

    pub(super) fn url(&self) -> &str {
        self.service.url()
    }

    pub(super) fn schema(&self, id: SchemaId) -> Result<String, StreamError> {
        let body = json!({ "SchemaVersionId": id.to_string() });
        again(|| self.ask(&body, id))
    }

    fn ask(&self, body: &Value, id: SchemaId) -> Result<String, StreamError> {
        match self.service.json(TARGET, body) {
            Ok(answer) => {
                let schema = answer["SchemaDefinition"].as_str().map(str::to_owned);
                schema.ok_or_else(|| StreamError::RegistryRefused {
                    status: 200,
                    code: String::new(),
                    message: "the answer holds no schema".to_owned(),
                })
            }
            Err(ServiceError::Credentials(error)) => Err(error),
            Err(ServiceError::Away(source)) => Err(StreamError::RegistryDown { url: self.url().to_owned(), source }),
            Err(ServiceError::Refused { code, .. }) if code == NOT_FOUND => Err(StreamError::UnknownSchema { id }),
            Err(ServiceError::Refused { status, code, message }) => {
                Err(StreamError::RegistryRefused { status, code, message })
            }
        }
    }
}

#[cfg(test)]
mod tests;
