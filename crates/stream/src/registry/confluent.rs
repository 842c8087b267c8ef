//! Confluent's REST API.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderValue, Request, Response, header};
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, Body, SendBody};
use weir_project::Secret;

use crate::error::StreamError;
use crate::http;

/// "Schema not found" in Confluent's numbering.
const SCHEMA_NOT_FOUND: i64 = 40403;
/// "Subject not found".
const SUBJECT_NOT_FOUND: &str = "40401";

type Answered = Result<Response<Body>, ureq::Error>;

pub(super) struct Confluent {
    /// The URL as written, without credentials.
    pub(super) shown: String,
    url: Secret,
    /// What requests carry.
    credentials: Arc<Mutex<Option<HeaderValue>>>,
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
    pub(super) fn new(url: Secret) -> Self {
        let (shown, _) = without_credentials(url.as_written());
        let credentials: Arc<Mutex<Option<HeaderValue>>> = Arc::default();
        let shared = credentials.clone();
        let config = http::config().middleware(move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            if let Some(credentials) = shared.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                request.headers_mut().insert(header::AUTHORIZATION, credentials);
            }
            next.handle(request)
        });
        Self { shown, url, credentials, agent: config.build().new_agent() }
    }

    pub(super) fn register(&self, subject: &str, schema: &str) -> Result<u32, StreamError> {
        let post =
            |url: &str| self.agent.post(format!("{url}/subjects/{subject}/versions")).send_json(NewSchema { schema });
        let answer: SchemaId = self.ask(post, None)?;
        Ok(answer.id)
    }

    pub(super) fn schema(&self, id: u32) -> Result<String, StreamError> {
        // Ids are Java's integers. Registries answer a greater number in ways that look like a wrong address, and a broken
        // record would hold up its neighbours.
        if i32::try_from(id).is_err() {
            return Err(StreamError::UnknownSchema { id: id.into() });
        }
        let answer: SchemaText = self.ask(|url| self.get(url, &format!("schemas/ids/{id}")), Some(id))?;
        Ok(answer.schema)
    }

    pub(super) fn latest(&self, subject: &str) -> Result<Option<String>, StreamError> {
        match self.ask::<SchemaText>(|url| self.get(url, &format!("subjects/{subject}/versions/latest")), None) {
            Ok(answer) => Ok(Some(answer.schema)),
            Err(StreamError::RegistryRefused { code, .. }) if code == SUBJECT_NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn subjects(&self) -> Result<Vec<String>, StreamError> {
        self.ask(|url| self.get(url, "subjects"), None)
    }

    fn get(&self, url: &str, path: &str) -> Answered {
        self.agent.get(format!("{url}/{path}")).call()
    }

    /// Asks, and again after a pause where the registry did not answer or was out of order; once more at once where it does
    /// not take credentials that have been changed since they were looked up.
    fn ask<T: DeserializeOwned>(&self, call: impl Fn(&str) -> Answered, id: Option<u32>) -> Result<T, StreamError> {
        let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4);
        let may_pass = |error: &StreamError| match error {
            StreamError::RegistryDown { .. } => true,
            StreamError::RegistryRefused { status, .. } => *status >= 500,
            _ => false,
        };
        let asked = || {
            let (url, before) = self.look_up()?;
            match self.once(&url, &call, id) {
                Err(StreamError::RegistryRefused { status: 401, .. }) if self.is_changed(&before)? => {
                    self.once(&url, &call, id)
                }
                answer => answer,
            }
        };
        asked.retry(pauses).when(may_pass).call()
    }

    /// Takes the URL and the credentials as they are now.
    fn look_up(&self) -> Result<(String, Option<HeaderValue>), StreamError> {
        let (url, credentials) = without_credentials(&self.url.get().map_err(StreamError::Secret)?);
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&credentials);
        Ok((url, credentials))
    }

    fn is_changed(&self, before: &Option<HeaderValue>) -> Result<bool, StreamError> {
        self.url.doubt();
        Ok(self.look_up()?.1 != *before)
    }

    fn once<T: DeserializeOwned>(
        &self,
        url: &str,
        call: &impl Fn(&str) -> Answered,
        id: Option<u32>,
    ) -> Result<T, StreamError> {
        let down = |source| StreamError::RegistryDown { url: url.to_owned(), source: Box::new(source) };
        let mut answer = call(url).map_err(down)?;
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
