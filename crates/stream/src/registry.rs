//! A client of a schema registry that speaks Confluent's REST API, with a cache by id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use serde::{Deserialize, Serialize};
use ureq::Agent;

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
    /// `url` without a final slash, e.g. `http://127.0.0.1:8081`. Nothing is asked yet.
    pub fn new(url: impl Into<Arc<str>>) -> Self {
        let config =
            Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).http_status_as_error(false).build();
        Self { url: url.into(), agent: Agent::new_with_config(config), schemas: Arc::default() }
    }

    /// Its URL.
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
