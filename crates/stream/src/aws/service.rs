//! A service of AWS's that takes and gives JSON: signed requests, answered or refused.

use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use chrono::Utc;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;

use super::credentials::Provider;
use super::sigv4::{Scope, Signable};
use crate::error::StreamError;
use crate::http;

const JSON: &str = "application/x-amz-json-1.1";
/// AWS's word for "more slowly".
const THROTTLED: &str = "ThrottlingException";

pub(crate) struct Service {
    /// As requests are signed for it, and as its host is called.
    name: &'static str,
    region: String,
    /// With a final slash or without, as it was given.
    pub(crate) url: String,
    /// Host and port, as the request names them.
    host: String,
    credentials: Provider,
    agent: Agent,
}

/// Why a service did not give what it was asked for.
pub(crate) enum Failed {
    /// There is nothing to sign with.
    Credentials(StreamError),
    /// It did not answer, or in no way that is understood.
    Away(Box<ureq::Error>),
    Refused {
        status: u16,
        code: String,
        message: String,
    },
}

impl Failed {
    /// Whether the service is away or overloaded, rather than of another opinion.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Credentials(_) => false,
            Self::Away(_) => true,
            Self::Refused { status, code, .. } => *status >= 500 || code == THROTTLED,
        }
    }
}

impl Service {
    /// Nothing is asked yet. At `endpoint` instead of AWS's own where one is given.
    pub(crate) fn new(name: &'static str, region: &str, endpoint: Option<&str>, credentials: Provider) -> Self {
        let url = endpoint.map_or_else(|| format!("https://{name}.{region}.amazonaws.com"), str::to_owned);
        let host = url.split_once("://").map_or(&*url, |(_, rest)| rest).trim_end_matches('/').to_owned();
        Self { name, region: region.to_owned(), url, host, credentials, agent: http::config().build().new_agent() }
    }

    /// Asks, and again after a pause where the service did not answer, was out of order or asked for patience.
    pub(crate) fn ask<T: DeserializeOwned>(&self, target: &str, body: &Value) -> Result<T, Failed> {
        let body = body.to_string();
        let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(4);
        (|| self.once(target, &body)).retry(pauses).when(Failed::may_pass).call()
    }

    fn once<T: DeserializeOwned>(&self, target: &str, body: &str) -> Result<T, Failed> {
        let now = Utc::now();
        let credentials = self.credentials.get(now).map_err(Failed::Credentials)?;
        let scope = Scope { region: &self.region, service: self.name, at: now };
        let time = scope.time();
        let mut headers = vec![("content-type", JSON), ("host", &self.host), ("x-amz-date", &time)];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token));
        }
        headers.push(("x-amz-target", target));
        let signable = Signable { method: "POST", query: &[], headers: &headers, body: body.as_bytes() };
        let mut request = self.agent.post(format!("{}/", self.url.trim_end_matches('/')));
        // The client names the host itself.
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        request = request.header("authorization", scope.authorization(signable, &credentials));

        let away = |error| Failed::Away(Box::new(error));
        let mut answer = request.send(body).map_err(away)?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            let text = answer.body_mut().read_to_string().map_err(away)?;
            // The JSON reader's own message may show what it read.
            return serde_json::from_str(&text)
                .map_err(|_| away(ureq::Error::Other("the answer is not understood".into())));
        }
        let refusal: Value = answer.body_mut().read_json().unwrap_or_default();
        let text = |name: &str| refusal.get(name).and_then(Value::as_str);
        // The type may have a namespace in front, `com.amazonaws.glue#`; the message is written either way, or both ways.
        let code = text("__type").and_then(|kind| kind.rsplit('#').next()).unwrap_or_default().to_owned();
        let message = text("message").or_else(|| text("Message")).unwrap_or_default().to_owned();
        Err(Failed::Refused { status, code, message })
    }
}
