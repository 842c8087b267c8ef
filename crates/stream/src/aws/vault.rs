//! Secrets of AWS Secrets Manager and parameters of Systems Manager, looked up when they are needed and kept for a short while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use weir_core::diagnosis::Diagnosed;
use weir_project::{Item, Vault};

use super::credentials::Provider;
use super::service::{Service, ServiceError};
use crate::error::StreamError;

/// Age at which a value is asked for anew.
const OLD: Duration = Duration::from_secs(300);
/// Age below which doubt about a value changes nothing: whoever is refused again and again would ask AWS as often.
const NEW: Duration = Duration::from_secs(5);
/// What the two services call a name that they do not know.
const NOT_THERE: [&str; 2] = ["ResourceNotFoundException", "ParameterNotFound"];

/// The secrets of the account that this process belongs to. Asks nothing until a value is needed.
pub struct AwsVault {
    provider: Provider,
    kept: Mutex<HashMap<Key, Kept>>,
    old: Duration,
    new: Duration,
}

/// Service and name.
type Key = (&'static str, String);

struct Kept {
    text: String,
    at: Instant,
    doubted: bool,
}

/// What Secrets Manager answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<String>,
}

/// What Systems Manager answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterValue {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

impl AwsVault {
    /// With the credentials, region and endpoints that AWS's variables name.
    pub fn of_process() -> Self {
        Self::of(Provider::of_process(), OLD, NEW)
    }

    pub(crate) fn of(provider: Provider, old: Duration, new: Duration) -> Self {
        Self { provider, kept: Mutex::default(), old, new }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Kept>> {
        // A panic elsewhere leaves the map whole: entries are put in as a whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of the text, of which a field may be wanted. One asks at a time: the others then find it here.
    fn text(&self, item: Item<'_>) -> Result<String, StreamError> {
        let mut kept = self.kept();
        let known = kept.get(&key(item));
        if let Some(known) = known.filter(|known| !known.doubted && known.at.elapsed() < self.old) {
            return Ok(known.text.clone());
        }
        match self.ask(item) {
            Ok(text) => {
                kept.insert(key(item), Kept { text: text.clone(), at: Instant::now(), doubted: false });
                Ok(text)
            }
            // Better an old one than none, as long as nobody has refused it.
            Err(error @ (StreamError::SecretsAway { .. } | StreamError::Credentials { .. })) => match known {
                Some(known) if !known.doubted => {
                    tracing::warn!(%error, reference = %item, "a secret could not be looked up anew yet");
                    Ok(known.text.clone())
                }
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn ask(&self, item: Item<'_>) -> Result<String, StreamError> {
        let (service, name) = key(item);
        let region = self.region(&name).ok_or_else(|| StreamError::NoRegion { reference: item.to_string() })?;
        let own = format!("AWS_ENDPOINT_URL_{}", if service == "ssm" { "SSM" } else { "SECRETS_MANAGER" });
        let endpoint = self.provider.var(&own).or_else(|| self.provider.var("AWS_ENDPOINT_URL"));
        let service = Service::of(service, &region, endpoint.as_deref(), self.provider.clone());
        let answer = match item {
            Item::Secret { .. } => service
                .ask("secretsmanager.GetSecretValue", &json!({ "SecretId": name }))
                .map(|value: SecretValue| value.secret_string),
            Item::Parameter { .. } => service
                .ask("AmazonSSM.GetParameter", &json!({ "Name": name, "WithDecryption": true }))
                .map(|value: ParameterValue| Some(value.parameter.value)),
        };
        let reference = item.to_string();
        let failed = match answer {
            Ok(Some(text)) => return Ok(text),
            Ok(None) => return Err(StreamError::SecretForm { reference, problem: "it holds bytes and no text" }),
            Err(failed) => failed,
        };
        let may_pass = failed.may_pass();
        Err(match failed {
            ServiceError::Credentials(error) => error,
            ServiceError::Away(source) => StreamError::SecretsAway { reference, url: service.url().to_owned(), source },
            ServiceError::Refused { status, .. } if may_pass => {
                let source = Box::new(ureq::Error::StatusCode(status));
                StreamError::SecretsAway { reference, url: service.url().to_owned(), source }
            }
            ServiceError::Refused { code, .. } if NOT_THERE.contains(&&*code) => {
                StreamError::SecretUnknown { reference, region }
            }
            ServiceError::Refused { code, message, .. } => StreamError::SecretRefused { reference, code, message },
        })
    }

    /// That of an ARN, else of this process. It becomes part of a host's name.
    fn region(&self, name: &str) -> Option<String> {
        let of_arn = name.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)).map(str::to_owned);
        let region =
            of_arn.or_else(|| self.provider.var("AWS_REGION")).or_else(|| self.provider.var("AWS_DEFAULT_REGION"));
        region.filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
    }
}

impl Vault for AwsVault {
    fn get(&self, item: Item<'_>) -> Result<String, Diagnosed> {
        let text = self.text(item)?;
        let Item::Secret { field: Some(name), .. } = item else { return Ok(text) };
        Ok(field(&text, name).map_err(|problem| StreamError::SecretForm { reference: item.to_string(), problem })?)
    }

    fn doubt(&self, item: Item<'_>) {
        if let Some(known) = self.kept().get_mut(&key(item)).filter(|known| known.at.elapsed() >= self.new) {
            known.doubted = true;
        }
    }
}

fn key(item: Item<'_>) -> Key {
    match item {
        Item::Secret { name, .. } => ("secretsmanager", name.to_owned()),
        Item::Parameter { name } => ("ssm", name.to_owned()),
    }
}

/// The text of a field of a JSON object.
fn field(text: &str, name: &str) -> Result<String, &'static str> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else { return Err("it is no JSON object") };
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err("the field is no text"),
        None => Err("it has no such field"),
    }
}

#[cfg(test)]
mod tests;
