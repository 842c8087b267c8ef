//! A client of a schema registry that speaks Confluent's REST API, with a cache by id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderValue, Request, header};
use ureq::middleware::MiddlewareNext;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use crate::error::StreamError;

/// "Schema not found" in Confluent's numbering.
const SCHEMA_NOT_FOUND: i64 = 40403;

/// The registry. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Registry {
    url: Arc<str>,
    agent: Agent,
    schemas: Arc<Mutex<HashMap<u32, Arc<str>>>>,
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

impl Registry {
    /// `url` without a final slash, e.g. `http://127.0.0.1:8081`; `user:password@` in front of the host goes to the
    /// registry and nowhere else. Nothing is asked yet.
    pub fn new(url: impl AsRef<str>) -> Self {
        let (url, credentials) = without_credentials(url.as_ref());
        // The system's certificates, where a company's own are.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let mut config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .tls_config(tls);
        if let Some(credentials) = credentials {
            config = config.middleware(move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
                request.headers_mut().insert(header::AUTHORIZATION, credentials.clone());
                next.handle(request)
            });
        }
        Self { url: url.into(), agent: Agent::new_with_config(config.build()), schemas: Arc::default() }
    }

    /// Its URL, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers a schema under a subject; the same schema again gets the same id.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, StreamError> {
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let answer: SchemaId = self.ask(|agent| agent.post(&url).send_json(NewSchema { schema }), None)?;
        self.cache().insert(answer.id, schema.into());
        Ok(answer.id)
    }

    /// The schema of an id. [`StreamError::UnknownSchema`] only when the registry says so: an outage is another error.
    pub fn schema(&self, id: u32) -> Result<Arc<str>, StreamError> {
        if let Some(known) = self.cache().get(&id) {
            return Ok(known.clone());
        }
        let url = format!("{}/schemas/ids/{id}", self.url);
        let answer: SchemaText = self.ask(|agent| agent.get(&url).call(), Some(id))?;
        let schema: Arc<str> = answer.schema.into();
        self.cache().insert(id, schema.clone());
        Ok(schema)
    }

    /// All subjects.
    pub fn subjects(&self) -> Result<Vec<String>, StreamError> {
        let url = format!("{}/subjects", self.url);
        self.ask(|agent| agent.get(&url).call(), None)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<str>>> {
        // A panic elsewhere leaves the map whole: entries are only ever added.
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and again after a pause where the registry did not answer or was out of order.
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        call: impl Fn(&Agent) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        id: Option<u32>,
    ) -> Result<T, StreamError> {
        let once = || {
            let down = |source| StreamError::RegistryDown { url: self.url.to_string(), source: Box::new(source) };
            let mut answer = call(&self.agent).map_err(down)?;
            let status = answer.status().as_u16();
            if answer.status().is_success() {
                return answer.body_mut().read_json::<T>().map_err(down);
            }
            let refusal: Refusal = answer.body_mut().read_json().unwrap_or_default();
            match id {
                Some(id) if refusal.error_code == SCHEMA_NOT_FOUND => Err(StreamError::UnknownSchema { id }),
                _ => Err(StreamError::RegistryRefused { status, code: refusal.error_code, message: refusal.message }),
            }
        };
        let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4);
        let passing = |error: &StreamError| match error {
            StreamError::RegistryDown { .. } => true,
            StreamError::RegistryRefused { status, .. } => *status >= 500,
            _ => false,
        };
        once.retry(pauses).when(passing).call()
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
