//! Confluent's REST API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderValue, Request, header};
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, SendBody};

use super::again;
use crate::error::StreamError;
use crate::http;

/// "Schema not found" in Confluent's numbering.
const SCHEMA_NOT_FOUND: i64 = 40403;
/// "Subject not found".
const SUBJECT_NOT_FOUND: &str = "40401";

pub(super) struct Confluent {
    /// Without credentials.
    pub(super) url: String,
    agent: Agent,
}

#[derive(Serialize)]
struct NewSchema<'a> {
    schema: &'a str,
}

#[derive(Deserialize)]
struct SchemaId {
    id: u32,
}

#[derive(Deserialize)]
struct SchemaText {
    schema: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error_code: i64,
    message: String,
}

impl Confluent {
    pub(super) fn new(url: &str) -> Self {
        let (url, credentials) = without_credentials(url);
        let mut config = http::config();
        if let Some(credentials) = credentials {
            config = config.middleware(move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
                request.headers_mut().insert(header::AUTHORIZATION, credentials.clone());
                next.handle(request)
            });
        }
        Self { url, agent: config.build().new_agent() }
    }

    pub(super) fn register(&self, subject: &str, schema: &str) -> Result<u32, StreamError> {
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let answer: SchemaId = self.ask(|agent| agent.post(&url).send_json(NewSchema { schema }), None)?;
        Ok(answer.id)
    }

    pub(super) fn schema(&self, id: u32) -> Result<String, StreamError> {
        // Ids are Java's integers. Registries answer a greater number in ways that look like a wrong address, and a broken
        // record would hold up its neighbours.
        if i32::try_from(id).is_err() {
            return Err(StreamError::UnknownSchema { id: id.into() });
        }
        let url = format!("{}/schemas/ids/{id}", self.url);
        let answer: SchemaText = self.ask(|agent| agent.get(&url).call(), Some(id))?;
        Ok(answer.schema)
    }

    pub(super) fn latest(&self, subject: &str) -> Result<Option<String>, StreamError> {
        let url = format!("{}/subjects/{subject}/versions/latest", self.url);
        match self.ask::<SchemaText>(|agent| agent.get(&url).call(), None) {
            Ok(answer) => Ok(Some(answer.schema)),
            Err(StreamError::RegistryRefused { code, .. }) if code == SUBJECT_NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn subjects(&self) -> Result<Vec<String>, StreamError> {
        let url = format!("{}/subjects", self.url);
        self.ask(|agent| agent.get(&url).call(), None)
    }

    /// Asks, and again after a pause where the registry did not answer or was out of order.
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        call: impl Fn(&Agent) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        id: Option<u32>,
    ) -> Result<T, StreamError> {
        again(|| {
            let down = |source| StreamError::RegistryDown { url: self.url.clone(), source: Box::new(source) };
            let mut answer = call(&self.agent).map_err(down)?;
            let status = answer.status().as_u16();
            if answer.status().is_success() {
                return answer.body_mut().read_json::<T>().map_err(down);
            }
            let refusal: Refusal = answer.body_mut().read_json().unwrap_or_default();
            match id {
                Some(id) if refusal.error_code == SCHEMA_NOT_FOUND => Err(StreamError::UnknownSchema { id: id.into() }),
                _ => {
                    let code = refusal.error_code.to_string();
                    Err(StreamError::RegistryRefused { status, code, message: refusal.message })
                }
            }
        })
    }
}

/// A URL without `user:password@`, and what they are as a header. Both are percent-encoded there, as in any URL.
fn without_credentials(url: &str) -> (String, Option<HeaderValue>) {
    let parts = url.split_once("://").and_then(|(scheme, rest)| rest.rsplit_once('@').map(|parts| (scheme, parts)));
    let Some((scheme, (user, rest))) = parts else { return (url.to_owned(), None) };
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(user).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain)));
    let header = header.ok().map(|mut header| {
        header.set_sensitive(true);
        header
    });
    (format!("{scheme}://{rest}"), header)
}
