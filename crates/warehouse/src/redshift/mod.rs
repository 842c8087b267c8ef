//! An Amazon Redshift that runs elsewhere, by one of two ways: the Postgres wire over TLS, or the Data API.
//!
//! What is sent is the text that the double takes, and it is held to Redshift's rules before: a script of ours that breaks
//! one is told here, not by a cluster. A transaction whose end is not known is not run again: the load ledger says what
//! became of it.
//!
//! Read first: [`Redshift`], then [`data_api`] or [`wire`].

mod data_api;
mod password;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use weir_core::diagnosis::Diagnose;
use weir_project::{RedshiftAt, Secret, Vault, WarehouseTarget};
use weir_stream::aws::{AwsVault, Service, ServiceError};

use crate::connection::Connection;
use crate::error::WarehouseError;
use crate::lint::lint;
use crate::statement::text::{Piece, split};
use data_api::DataApi;
pub(crate) use password::Login;
pub(crate) use wire::Address;
use wire::Wire;

/// Times that a request is sent again, at most: half a minute in all.
const TRIES: usize = 8;

/// Where a Redshift is. Nothing is asked before something is to be done there.
#[derive(Debug, Clone)]
pub struct Redshift {
    at: At,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum At {
    Address(Secret),
    Aws(RedshiftAt),
}

impl Redshift {
    /// That of a project's settings; none where the warehouse is embedded.
    pub fn of(settings: &weir_project::Warehouse) -> Option<Self> {
        let at = match &settings.target {
            WarehouseTarget::Embedded { .. } => return None,
            WarehouseTarget::Address(url) => {
                let vault: Arc<dyn Vault> = Arc::new(AwsVault::of_process());
                At::Address(url.within(&vault))
            }
            WarehouseTarget::Redshift(at) => At::Aws(at.clone()),
        };
        Some(Self { at, timeout: settings.timeout })
    }

    /// A connection. Blocks when it is used, not here.
    pub fn connect(&self) -> Result<Box<dyn Connection>, WarehouseError> {
        Ok(match &self.at {
            At::Address(url) => Box::new(Wire::new(Address::of_url(url.clone())?, self.timeout)),
            At::Aws(at) => match &at.host {
                Some(host) => Box::new(Wire::new(Address::of_aws(at, host), self.timeout)),
                None => Box::new(DataApi::new(at, self.timeout)),
            },
        })
    }
}

/// Asks a service of AWS, and again after a pause where that can help.
fn asked<T>(
    service: &Service,
    action: &'static str,
    once: impl FnMut() -> Result<T, ServiceError>,
) -> Result<T, WarehouseError> {
    let busy = |code: &str| ["ActiveStatementsExceededException", "ActiveSessionsExceededException"].contains(&code);
    let may_pass =
        |error: &ServiceError| error.may_pass() || matches!(error, ServiceError::Refused { code, .. } if busy(code));
    let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(TRIES);
    let answer = once.retry(pauses.with_max_delay(Duration::from_secs(5))).when(may_pass).call();
    let away = |reason: String| WarehouseError::Away { endpoint: service.url().to_owned(), reason };
    answer.map_err(|error| match error {
        ServiceError::Credentials(error) => {
            WarehouseError::Remote { message: error.to_string(), diagnosis: Box::new(error.diagnosis()) }
        }
        ServiceError::Refused { ref status, ref code, ref message } if may_pass(&error) => {
            away(format!("it answers {status} {code} {message}"))
        }
        ServiceError::Refused { code, message, .. } => WarehouseError::ServiceRefused { action, code, message },
        ServiceError::Away(source) => away(source.to_string()),
    })
}

/// The statements of a script of ours, none of which Redshift refuses.
fn checked(script: &str) -> Result<Vec<Piece>, WarehouseError> {
    match lint(script)?.into_iter().next() {
        Some(finding) => Err(WarehouseError::OwnText(finding)),
        None => split(script),
    }
}

/// What Redshift says where two transactions changed the same.
fn is_conflict(message: &str) -> bool {
    let lower = message.to_lowercase();
    ["serializable isolation violation", "conflict with concurrent transaction", "error: 1023"]
        .iter()
        .any(|words| lower.contains(words))
}

/// A server's failure with the statement that it belongs to.
pub(crate) fn in_words(error: WarehouseError, number: Option<(usize, usize)>, statement: &str) -> WarehouseError {
    match error {
        WarehouseError::Failed { message, .. } => failed(number, statement, &message),
        other => other,
    }
}

/// A statement's failure. `number` is its place among those of its transaction, from 1, and their count.
fn failed(number: Option<(usize, usize)>, statement: &str, message: &str) -> WarehouseError {
    if is_conflict(message) {
        return WarehouseError::Overtaken { message: message.trim().to_owned() };
    }
    let line = statement.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("--"));
    let line: String = line.unwrap_or_default().chars().take(80).collect();
    let place = number.map(|(at, of)| format!(" {at} of {of}")).unwrap_or_default();
    WarehouseError::Failed { place, line, message: message.trim().to_owned() }
}
