//! Where the brokers are, and the client's settings: one way to make every client.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How long a request may take before the brokers count as not answering.
pub(crate) const REQUEST: Duration = Duration::from_secs(20);

/// Brokers and client settings. `Debug` leaves the settings out: they may hold a password.
#[derive(Clone)]
pub struct Connection {
    brokers: String,
    client: BTreeMap<String, String>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Connection {
    /// `brokers` is librdkafka's bootstrap list; `client` its settings, with secrets resolved.
    pub fn new(brokers: impl Into<String>, client: BTreeMap<String, String>) -> Self {
        Self { brokers: brokers.into(), client }
    }

    /// The bootstrap list.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A client's settings: ours first, so that the user's win.
    pub(crate) fn config(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (key, value) in ours {
            config.set(*key, *value);
        }
        for (key, value) in &self.client {
            config.set(key, value);
        }
        config
    }
}
