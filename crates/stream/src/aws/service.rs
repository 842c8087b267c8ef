//! Requests to a service of AWS, signed: answered or refused.

use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use chrono::Utc;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;

use super::sigv4::query;
use super::{Provider, Scope, Signable};
use crate::error::StreamError;
use crate::http;

const JSON: &str = "application/x-amz-json-1.1";
const FORM: &str = "application/x-www-form-urlencoded";

/// A service of a region.
pub struct Service {
    name: &'static str,
    region: String,
    url: String,
    /// Host and port, as the request names them.
    host: String,
    credentials: Provider,
    agent: Agent,
}

/// Why a service did not do what it was asked.
#[derive(Debug)]
pub enum ServiceError {
    /// Nothing around this process says who it is.
    Credentials(StreamError),
    /// Nobody answered, or what came is no answer. Whether the request was carried out is not known.
    Away(Box<ureq::Error>),
    /// The service answered that it does not.
    Refused {
        /// HTTP status.
        status: u16,
        /// Its word, e.g. `ThrottlingException`, without a namespace in front.
        code: String,
        /// What it says.
        message: String,
    },
}

impl ServiceError {
    /// Whether the same request may succeed a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Credentials(_) => false,
            Self::Away(_) => true,
            Self::Refused { status, code, .. } => *status >= 500 || *status == 429 || code.starts_with("Throttl"),
        }
    }
}

impl Service {
    /// The service of a region, with the credentials of this process; at `endpoint` instead of AWS's own where one is
    /// given. `name` stands in its host's name and in the signature. Nothing is asked yet.
    pub fn new(name: &'static str, region: &str, endpoint: Option<&str>) -> Self {
        Self::of(name, region, endpoint, Provider::of_process())
    }

    pub(crate) fn of(name: &'static str, region: &str, endpoint: Option<&str>, credentials: Provider) -> Self {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let url = endpoint.map_or_else(|| format!("https://{name}.{region}.amazonaws.com{suffix}"), str::to_owned);
        let url = url.trim_end_matches('/').to_owned();
        let host = url.split_once("://").map_or(&*url, |(_, rest)| rest).to_owned();
        // Longer than the service itself takes to say that it is busy.
        let agent = http::config().timeout_global(Some(Duration::from_secs(30))).build().new_agent();
        Self { name, region: region.to_owned(), url, host, credentials, agent }
    }

    /// Where it is asked, without a final slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks once by AWS's JSON protocol; `target` is e.g. `AWSGlue.GetTables`.
    pub fn json<T: DeserializeOwned>(&self, target: &str, body: &Value) -> Result<T, ServiceError> {
        let answer = self.post(JSON, Some(target), &body.to_string())?;
        // The JSON reader's own message may show what it read, which may be a secret.
        let odd = |_| ServiceError::Away(Box::new(ureq::Error::Other("the answer is not understood".into())));
        serde_json::from_str(&answer).map_err(odd)
    }

    /// The same, and again after a pause where the service did not answer, was out of order or asked for patience.
    pub(crate) fn ask<T: DeserializeOwned>(&self, target: &str, body: &Value) -> Result<T, ServiceError> {
        let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4);
        (|| self.json(target, body)).retry(pauses).when(ServiceError::may_pass).call()
    }

    /// Asks once by AWS's older protocol, of parameters and XML; gives the text of the answer.
    pub fn form(&self, parameters: &[(&str, &str)]) -> Result<String, ServiceError> {
        self.post(FORM, None, &query(parameters))
    }

    fn post(&self, content_type: &str, target: Option<&str>, body: &str) -> Result<String, ServiceError> {
        let now = Utc::now();
        let credentials = self.credentials.get(now).map_err(ServiceError::Credentials)?;
        let scope = Scope { region: &self.region, service: self.name, at: now };
        let time = scope.time();
        let mut headers = vec![("content-type", content_type), ("host", &self.host), ("x-amz-date", &time)];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token));
        }
        if let Some(target) = target {
            headers.push(("x-amz-target", target));
        }
        let signable = Signable { method: "POST", query: &[], headers: &headers, body: body.as_bytes() };
        let mut request = self.agent.post(format!("{}/", self.url));
        // The client names the host itself.
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        request = request.header("authorization", scope.authorization(signable, &credentials));

        let away = |source| ServiceError::Away(Box::new(source));
        let mut answer = request.send(body).map_err(away)?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(LARGEST).read_to_string().map_err(away)?;
        if status.is_success() {
            return Ok(text);
        }
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        // Some services write a name large or small, or both.
        let field = |names: [&str; 2]| names.iter().find_map(|name| told.get(name)?.as_str().map(str::to_owned));
        let kind = field(["__type", "code"]).or_else(|| element(&text, "Code")).unwrap_or_default();
        let message = field(["message", "Message"]).or_else(|| element(&text, "Message")).unwrap_or_default();
        // There may be a namespace in front, `com.amazonaws.glue#`.
        let code = kind.rsplit('#').next().unwrap_or_default().to_owned();
        Err(ServiceError::Refused { status: status.as_u16(), code, message })
    }
}

/// Bytes of an answer; the Data API's pages are smaller.
const LARGEST: u64 = 64 << 20;

/// The text of an XML element; AWS's have no attributes where this looks.
pub fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(value.trim().to_owned(), |text, (entity, letter)| text.replace(entity, letter)))
}
