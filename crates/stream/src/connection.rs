//! Where the brokers are, and the client's settings: one way to make every client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use weir_project::Secret;

use crate::aws::{Provider, Source, Tokens};
use crate::error::StreamError;
use crate::login::{Login, PASSWORD, USER};

/// How long a request may take before the brokers count as not answering.
pub(crate) const REQUEST: Duration = Duration::from_secs(20);

/// Brokers and client settings. `Debug` leaves the settings out: they may hold a password.
#[derive(Clone)]
pub struct Connection {
    brokers: Secret,
    client: BTreeMap<String, Secret>,
    /// Where the cluster asks for tokens.
    iam: Option<Arc<Source>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("brokers", &self.shown()).finish_non_exhaustive()
    }
}

impl Connection {
    /// `brokers` is librdkafka's bootstrap list; `client` its settings.
    pub fn new(brokers: impl Into<String>, client: BTreeMap<String, String>) -> Self {
        let client = client.into_iter().map(|(key, value)| (key, Secret::plain(value)));
        Self::secret(Secret::plain(brokers), client.collect())
    }

    /// As [`Connection::new`], where both may hold secrets: they are looked up when a client is made, and anew when the
    /// brokers do not let it in.
    pub fn secret(brokers: Secret, client: BTreeMap<String, Secret>) -> Self {
        Self { brokers, client, iam: None }
    }

    /// The same brokers, which let in whom AWS IAM knows: those of an MSK cluster in this region. Every client shows
    /// them tokens made with the credentials of this process.
    pub fn with_iam(self, region: impl Into<String>) -> Self {
        self.with_source(Source::new(region, Provider::of_process()))
    }

    pub(crate) fn with_source(self, source: Source) -> Self {
        Self { iam: Some(Arc::new(source)), ..self }
    }

    /// Tokens for one client.
    pub(crate) fn tokens(&self) -> Tokens {
        Tokens::new(self.iam.clone())
    }

    /// User and password of one client, made of these settings.
    pub(crate) fn login(&self, config: &ClientConfig) -> Login {
        Login::new(
            [USER, PASSWORD].map(|key| self.client.get(key).cloned()),
            [USER, PASSWORD].map(|key| config.get(key)),
        )
    }

    /// The bootstrap list as written.
    pub fn shown(&self) -> &str {
        self.brokers.as_written()
    }

    /// The bootstrap list.
    pub fn brokers(&self) -> Result<String, StreamError> {
        self.brokers.get().map_err(StreamError::Secret)
    }

    /// A client's settings: ours first, so that the user's win.
    pub(crate) fn config(&self, ours: &[(&str, &str)]) -> Result<ClientConfig, StreamError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers()?);
        if self.iam.is_some() {
            config.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "OAUTHBEARER");
            // A small broker of MSK takes 4 new connections a second with IAM, and refuses more.
            config.set("reconnect.backoff.ms", "1000");
        }
        for (key, value) in ours {
            config.set(*key, *value);
        }
        for (key, value) in &self.client {
            config.set(key, value.get().map_err(StreamError::Secret)?);
        }
        Ok(config)
    }
}
