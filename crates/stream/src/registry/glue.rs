//! The AWS Glue Schema Registry: the schema of a version, by its UUID.

use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;
use weir_core::schema_id::SchemaId;

use super::again;
use crate::aws::{Provider, Scope, Signable};
use crate::error::StreamError;
use crate::http;

/// Glue's word for "more slowly".
pub(super) const THROTTLED: &str = "ThrottlingException";
/// Glue's word for an id that it does not know.
const NOT_FOUND: &str = "EntityNotFoundException";
const TARGET: &str = "AWSGlue.GetSchemaVersion";
const JSON: &str = "application/x-amz-json-1.1";

pub(super) struct Glue {
    region: String,
    /// With a final slash or without, as it was given.
    pub(super) url: String,
    /// Host and port, as the request names them.
    host: String,
    credentials: Provider,
    agent: Agent,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    schema_definition: String,
}

/// The answer of a refusal; its type may have a namespace in front, `com.amazonaws.glue#`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

impl Glue {
    pub(super) fn new(region: &str, endpoint: Option<&str>, credentials: Provider) -> Self {
        let url = endpoint.map_or_else(|| format!("https://glue.{region}.amazonaws.com"), str::to_owned);
        let host = url.split_once("://").map_or(&*url, |(_, rest)| rest).trim_end_matches('/').to_owned();
        Self { region: region.to_owned(), url, host, credentials, agent: http::config().build().new_agent() }
    }

    pub(super) fn schema(&self, id: SchemaId) -> Result<String, StreamError> {
        let body = json!({ "SchemaVersionId": id.to_string() }).to_string();
        again(|| self.ask(&body, id))
    }

    fn ask(&self, body: &str, id: SchemaId) -> Result<String, StreamError> {
        let now = Utc::now();
        let credentials = self.credentials.get(now)?;
        let scope = Scope { region: &self.region, service: "glue", at: now };
        let time = scope.time();
        let mut headers = vec![("content-type", JSON), ("host", &self.host), ("x-amz-date", &time)];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token));
        }
        headers.push(("x-amz-target", TARGET));
        let signable = Signable { method: "POST", query: &[], headers: &headers, body: body.as_bytes() };
        let mut request = self.agent.post(format!("{}/", self.url.trim_end_matches('/')));
        // The client names the host itself.
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        request = request.header("authorization", scope.authorization(signable, &credentials));

        let down = |source| StreamError::RegistryDown { url: self.url.clone(), source: Box::new(source) };
        let mut answer = request.send(body).map_err(down)?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return answer.body_mut().read_json::<Version>().map(|version| version.schema_definition).map_err(down);
        }
        let Refusal { kind, message } = answer.body_mut().read_json().unwrap_or_default();
        match kind.rsplit('#').next().unwrap_or_default() {
            NOT_FOUND => Err(StreamError::UnknownSchema { id }),
            code => Err(StreamError::RegistryRefused { status, code: code.to_owned(), message }),
        }
    }
}

#[cfg(test)]
mod tests;
