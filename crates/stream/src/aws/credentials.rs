//! Where a process on AWS has its credentials from: its variables, the profile files, a web identity, its container;
//! the first that has any, in the order of AWS's own SDK.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use ureq::Agent;

use super::service::element;
use super::sigv4::query;
use crate::error::StreamError;
use crate::http;

/// Credentials that end sooner than this are fetched anew.
const EARLY: TimeDelta = TimeDelta::minutes(5);
/// Where a container of ECS asks.
const ECS: &str = "http://169.254.170.2";
/// Hosts that may be asked without TLS: the container's own, and those of ECS and EKS.
const LINK_LOCAL: [&str; 6] = ["127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// Credentials. `Debug` shows none of the secrets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) key_id: String,
    pub(crate) secret_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) expires: Option<DateTime<Utc>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Keys without an end.
    pub(crate) fn keys(key_id: &str, secret_key: &str, session_token: Option<&str>) -> Self {
        Self {
            key_id: key_id.to_owned(),
            secret_key: secret_key.to_owned(),
            session_token: session_token.map(str::to_owned),
            expires: None,
        }
    }
}

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Finds credentials, and keeps those that end until shortly before. Clones share them.
#[derive(Clone)]
pub(crate) struct Provider {
    variables: Arc<Variables>,
    agent: Agent,
    kept: Arc<Mutex<Option<Credentials>>>,
}

/// What ECS and EKS answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<DateTime<Utc>>,
}

impl Provider {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    pub(crate) fn of(variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { variables: Arc::new(variables), agent: http::config().build().new_agent(), kept: Arc::default() }
    }

    /// Credentials that hold for now.
    pub(crate) fn get(&self, now: DateTime<Utc>) -> Result<Credentials, StreamError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |credentials: &&Credentials| credentials.expires.is_some_and(|end| end - now > EARLY);
        if let Some(credentials) = kept.as_ref().filter(young) {
            return Ok(credentials.clone());
        }
        match self.find() {
            Ok(found) => {
                *kept = found.expires.is_some().then(|| found.clone());
                Ok(found)
            }
            // Better old ones than none, as long as they hold.
            Err(problem) => match kept.as_ref().filter(|kept| kept.expires.is_some_and(|end| end > now)) {
                Some(old) => {
                    tracing::warn!(problem, "credentials could not be renewed yet");
                    Ok(old.clone())
                }
                None => Err(StreamError::Credentials { problem }),
            },
        }
    }

    /// A variable that is set, and not to nothing.
    pub(crate) fn var(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    fn find(&self) -> Result<Credentials, String> {
        if let (Some(id), Some(secret)) = (self.var("AWS_ACCESS_KEY_ID"), self.var("AWS_SECRET_ACCESS_KEY")) {
            return Ok(Credentials::keys(&id, &secret, self.var("AWS_SESSION_TOKEN").as_deref()));
        }
        if let Some(found) = self.profile()? {
            return Ok(found);
        }
        if let (Some(file), Some(role)) = (self.var("AWS_WEB_IDENTITY_TOKEN_FILE"), self.var("AWS_ROLE_ARN")) {
            return self.web_identity(&file, &role);
        }
        if let Some(url) = self.container_url()? {
            return self.container(&url);
        }
        Err("no variables, no profile with keys, no web identity and no container's credentials".to_owned())
    }

    /// The keys of a profile. One that was asked for by name must have some.
    fn profile(&self) -> Result<Option<Credentials>, String> {
        let wanted = self.var("AWS_PROFILE");
        let name = wanted.as_deref().unwrap_or("default");
        let home = self.var("HOME").map(PathBuf::from).unwrap_or_default().join(".aws");
        let file = |variable: &str, name: &str| self.var(variable).map_or_else(|| home.join(name), PathBuf::from);
        // In `config`, all profiles but the default one have a prefix.
        let in_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
        let files = [
            (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name.to_owned()),
            (file("AWS_CONFIG_FILE", "config"), in_config),
        ];
        let found = files.iter().find_map(|(path, section)| {
            let text = std::fs::read_to_string(path).ok()?;
            let key = |key: &str| in_section(&text, section, key);
            let (id, secret) = (key("aws_access_key_id")?, key("aws_secret_access_key")?);
            Some(Credentials::keys(&id, &secret, key("aws_session_token").as_deref()))
        });
        match (found, wanted) {
            (None, Some(name)) => Err(format!("profile `{name}` has no aws_access_key_id and aws_secret_access_key")),
            (found, _) => Ok(found),
        }
    }

    fn container_url(&self) -> Result<Option<String>, String> {
        if let Some(relative) = self.var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return Ok(Some(format!("{ECS}{relative}")));
        }
        let Some(url) = self.var("AWS_CONTAINER_CREDENTIALS_FULL_URI") else { return Ok(None) };
        let plain = url.strip_prefix("http://").map(|rest| {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            let end = host.rfind(':').filter(|at| !host[*at..].contains(']')).unwrap_or(host.len());
            &host[..end]
        });
        match plain {
            Some(host) if LINK_LOCAL.contains(&host) => Ok(Some(url)),
            None if url.starts_with("https://") => Ok(Some(url)),
            _ => Err("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine".to_owned()),
        }
    }

    fn container(&self, url: &str) -> Result<Credentials, String> {
        let token = match self.var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => Some(read(&path)?),
            None => self.var("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        };
        let mut request = self.agent.get(url);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let mut answer = request.call().map_err(|error| format!("the container's credentials: {error}"))?;
        if !answer.status().is_success() {
            return Err(format!("the container's credentials: answered {}", answer.status().as_u16()));
        }
        // The JSON reader's own message may show what it read.
        let no = |_| "the container's credentials: the answer is not understood".to_owned();
        let answer: Answer = answer.body_mut().read_json().map_err(no)?;
        Ok(Credentials {
            key_id: answer.access_key_id,
            secret_key: answer.secret_access_key,
            session_token: answer.token,
            expires: answer.expiration,
        })
    }

    /// What STS gives a role for a token of somebody else's, e.g. of Kubernetes.
    fn web_identity(&self, file: &str, role: &str) -> Result<Credentials, String> {
        let token = read(file)?;
        let session = self.var("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "weir".to_owned());
        let region = self.var("AWS_REGION").or_else(|| self.var("AWS_DEFAULT_REGION"));
        let host =
            region.map_or_else(|| "sts.amazonaws.com".to_owned(), |region| format!("sts.{region}.amazonaws.com"));
        let url = self.var("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| format!("https://{host}"));
        let form = query(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", &session),
            ("WebIdentityToken", &token),
        ]);
        let request = self.agent.post(&url).header("content-type", "application/x-www-form-urlencoded");
        let mut answer = request.send(form).map_err(|error| format!("STS: {error}"))?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().map_err(|error| format!("STS: {error}"))?;
        if !status.is_success() {
            let code = element(&text, "Code").unwrap_or_default();
            return Err(format!("STS answered {} {code}", status.as_u16()));
        }
        let part = |name: &str| element(&text, name).ok_or_else(|| format!("STS gave no {name}"));
        Ok(Credentials {
            key_id: part("AccessKeyId")?,
            secret_key: part("SecretAccessKey")?,
            session_token: Some(part("SessionToken")?),
            expires: Some(part("Expiration")?.parse().map_err(|_| "STS gave no time of expiration".to_owned())?),
        })
    }
}

fn read(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("`{path}`: {error}"))?;
    Ok(text.trim().to_owned())
}

/// A key's value in a section of a profile file.
fn in_section(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim()) {
            inside = name.split_whitespace().eq(section.split_whitespace());
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests;
