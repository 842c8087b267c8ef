//! User and password that a client shows to brokers with SASL. Where they are changed while it lives, it takes the new ones.

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use weir_project::Secret;

use crate::error::StreamError;

/// librdkafka's settings.
pub(crate) const USER: &str = "sasl.username";
pub(crate) const PASSWORD: &str = "sasl.password";

/// How long connections that were begun with the old ones may take to be refused.
const NEW: Duration = Duration::from_secs(10);

/// Both of one client. Neither is there where the brokers ask for none, or for a token.
pub(crate) struct Login {
    secrets: [Option<Secret>; 2],
    /// What the client shows now.
    shown: Mutex<[String; 2]>,
    renewed: Mutex<Option<Instant>>,
}

impl Login {
    pub(crate) fn new(secrets: [Option<Secret>; 2], shown: [Option<&str>; 2]) -> Self {
        let shown = shown.map(|text| text.unwrap_or_default().to_owned());
        Self { secrets, shown: Mutex::new(shown), renewed: Mutex::default() }
    }

    /// The brokers did not let the client in, or nobody knows: who looks next looks anew.
    pub(crate) fn doubt(&self) {
        self.secrets.iter().flatten().for_each(Secret::doubt);
    }

    /// Whether they were renewed a short while ago: what brokers have refused until then may have been the old ones.
    pub(crate) fn is_new(&self) -> bool {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < NEW)
    }

    /// Gives a client that was not let in what user and password are by now. False where they are what they were.
    pub(crate) fn renew<C: ClientContext>(&self, client: &Client<C>) -> Result<bool, StreamError> {
        self.doubt();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = shown.clone();
        for (text, secret) in now.iter_mut().zip(&self.secrets) {
            if let Some(secret) = secret {
                *text = secret.get().map_err(StreamError::Secret)?;
            }
        }
        if now == *shown {
            return Ok(false);
        }
        show(client, &now)?;
        *shown = now;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        tracing::info!("the brokers are shown another user or password");
        Ok(true)
    }
}

#[allow(unsafe_code, reason = "rdkafka 0.39 does not wrap rd_kafka_sasl_set_credentials")]
fn show<C: ClientContext>(client: &Client<C>, [user, password]: &[String; 2]) -> Result<(), StreamError> {
    let refused = |problem: String| StreamError::Credentials { problem };
    let nul = |_| refused("user or password of the brokers holds a NUL".to_owned());
    let (user, password) = (CString::new(user.as_str()).map_err(nul)?, CString::new(password.as_str()).map_err(nul)?);
    // SAFETY: the handle lives as long as `client`; the texts outlive the call, which copies them. An error is ours to
    // read and to give back, once.
    unsafe {
        let error = rd::rd_kafka_sasl_set_credentials(client.native_ptr(), user.as_ptr(), password.as_ptr());
        if error.is_null() {
            return Ok(());
        }
        let problem = CStr::from_ptr(rd::rd_kafka_error_string(error)).to_string_lossy().into_owned();
        rd::rd_kafka_error_destroy(error);
        Err(refused(format!("librdkafka refused user and password: {problem}")))
    }
}
