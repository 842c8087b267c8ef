//! A client of a schema registry, with a cache by id: Confluent's REST API, or the AWS Glue Schema Registry.

mod confluent;
mod glue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use weir_core::schema_id::SchemaId;

use self::confluent::Confluent;
use self::glue::Glue;
use crate::aws::Provider;
use crate::error::StreamError;

/// The registry. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Registry {
    kind: Arc<Kind>,
    schemas: Arc<Mutex<HashMap<SchemaId, Arc<str>>>>,
}

enum Kind {
    Confluent(Confluent),
    Glue(Glue),
}

impl Registry {
    /// One with Confluent's API. `url` without a final slash, e.g. `http://127.0.0.1:8081`; `user:password@` in front of
    /// the host goes to the registry and nowhere else. Nothing is asked yet.
    pub fn new(url: impl AsRef<str>) -> Self {
        Self::of(Kind::Confluent(Confluent::new(url.as_ref())))
    }

    /// AWS Glue's in a region, with the credentials of this process; at `endpoint` instead of AWS's own where one is
    /// given. Nothing is asked yet.
    pub fn glue(region: &str, endpoint: Option<&str>) -> Self {
        Self::of(Kind::Glue(Glue::new(region, endpoint, Provider::of_process())))
    }

    fn of(kind: Kind) -> Self {
        Self { kind: Arc::new(kind), schemas: Arc::default() }
    }

    /// Its URL, without credentials.
    pub fn url(&self) -> &str {
        match &*self.kind {
            Kind::Confluent(confluent) => &confluent.url,
            Kind::Glue(glue) => glue.url(),
        }
    }

    /// Registers a schema under a subject; the same schema again gets the same id. Not in Glue's, which Weir only reads.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, StreamError> {
        let Kind::Confluent(confluent) = &*self.kind else { return Err(StreamError::OnlyRead { what: "written" }) };
        let id = confluent.register(subject, schema)?;
        self.cache().insert(id.into(), schema.into());
        Ok(id)
    }

    /// The schema of an id. [`StreamError::UnknownSchema`] only when the registry says so, or gives no ids of this kind:
    /// an outage is another error.
    pub fn schema(&self, id: SchemaId) -> Result<Arc<str>, StreamError> {
        if let Some(known) = self.cache().get(&id) {
            return Ok(known.clone());
        }
        let schema: Arc<str> = match (&*self.kind, id) {
            (Kind::Confluent(confluent), SchemaId::Number(number)) => confluent.schema(number)?.into(),
            (Kind::Glue(glue), SchemaId::Version(_)) => glue.schema(id)?.into(),
            _ => return Err(StreamError::UnknownSchema { id }),
        };
        self.cache().insert(id, schema.clone());
        Ok(schema)
    }

    /// The newest schema of a subject; none where the registry has no such subject. Not of Glue's.
    pub fn latest(&self, subject: &str) -> Result<Option<String>, StreamError> {
        match &*self.kind {
            Kind::Confluent(confluent) => confluent.latest(subject),
            Kind::Glue(_) => Err(StreamError::OnlyRead { what: "asked for a subject's newest schema" }),
        }
    }

    /// All subjects. Not of Glue's.
    pub fn subjects(&self) -> Result<Vec<String>, StreamError> {
        match &*self.kind {
            Kind::Confluent(confluent) => confluent.subjects(),
            Kind::Glue(_) => Err(StreamError::OnlyRead { what: "listed" }),
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<SchemaId, Arc<str>>> {
        // A panic elsewhere leaves the map whole: entries are only ever added.
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks, and again after a pause where the registry did not answer or was out of order.
fn again<T>(once: impl FnMut() -> Result<T, StreamError>) -> Result<T, StreamError> {
    let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4);
    let passing = |error: &StreamError| match error {
        StreamError::RegistryDown { .. } => true,
        StreamError::RegistryRefused { status, code, .. } => *status >= 500 || code == glue::THROTTLED,
        _ => false,
    };
    once.retry(pauses).when(passing).call()
}
