//! How the registries and whoever gives credentials are asked.

use std::time::Duration;

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The system's certificates, where a company's own are.
pub fn tls() -> TlsConfig {
    TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build()
}

/// An agent's settings. A refusal is an answer, whose body says more.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).tls_config(tls())
}
