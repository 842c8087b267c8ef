//! The stream that the path talks to: embedded broker and registry, or those that run elsewhere.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use weir_broker::{Broker, BrokerConfig};
use weir_core::diagnosis::Diagnosed;
use weir_project::{Endpoint, Project, RegistryAt, Secret, Vault};
use weir_stream::{AwsVault, Connection, Registry};

use crate::running::running;

/// Broker and registry, running as long as this lives.
pub struct Services {
    /// Where the brokers are.
    pub connection: Connection,
    /// The registry's client.
    pub registry: Registry,
    /// Where the settings' secrets are looked up.
    pub vault: Arc<dyn Vault>,
    broker: Option<Broker>,
    embedded_registry: Option<weir_broker::Registry>,
}

impl Services {
    /// Starts the embedded parts in `dir`, or talks to those that another process runs there, or to others. No secret is
    /// looked up yet.
    pub async fn start(project: &Project, dir: &Path) -> Result<Self, Diagnosed> {
        let vault: Arc<dyn Vault> = Arc::new(AwsVault::of_process());
        let running = running(dir).and_then(|running| running.stream);
        if let Some(stream) = running.filter(|stream| answers(&stream.registry)) {
            return Ok(Self {
                connection: Connection::new(stream.brokers, BTreeMap::new()),
                registry: Registry::new(stream.registry),
                vault,
                broker: None,
                embedded_registry: None,
            });
        }
        let client = project.stream.client.iter().map(|(key, value)| (key.clone(), value.within(&vault))).collect();
        let (brokers, broker) = match &project.stream.brokers {
            Endpoint::Embedded { port } => {
                let config = BrokerConfig::new(dir.join("broker")).listening(loopback(*port));
                let broker = Broker::start(config)?;
                (Secret::plain(broker.bootstrap()), Some(broker))
            }
            Endpoint::External(brokers) => (brokers.within(&vault), None),
        };
        let (registry, embedded_registry) = match &project.stream.registry {
            RegistryAt::Embedded { port } => {
                let registry = weir_broker::Registry::start(dir.join("registry"), loopback(*port))?;
                (Registry::new(registry.url()), Some(registry))
            }
            RegistryAt::Confluent(url) => (Registry::secret(url.within(&vault)), None),
            RegistryAt::Glue { region, endpoint } => (Registry::glue(region, endpoint.as_deref()), None),
        };
        let connection = Connection::secret(brokers, client);
        Ok(Self {
            connection: match &project.stream.iam {
                Some(region) => connection.with_iam(region),
                None => connection,
            },
            registry,
            vault,
            broker,
            embedded_registry,
        })
    }

    /// The same brokers and registry, for another site of this process, which stops nothing.
    pub(crate) fn shared(&self) -> Self {
        let (connection, registry, vault) = (self.connection.clone(), self.registry.clone(), self.vault.clone());
        Self { connection, registry, vault, broker: None, embedded_registry: None }
    }

    /// Whether this process runs them. Others have secrets in their settings, which go into no file.
    pub fn are_embedded(&self) -> bool {
        self.broker.is_some() && self.embedded_registry.is_some()
    }

    /// Flushes and stops what this process runs.
    pub async fn stop(self) -> Result<(), Diagnosed> {
        if let Some(registry) = self.embedded_registry {
            registry.shutdown().await?;
        }
        if let Some(broker) = self.broker {
            broker.shutdown().await?;
        }
        Ok(())
    }
}

fn answers(registry: &str) -> bool {
    let Some(address) = registry.strip_prefix("http://").and_then(|rest| rest.parse::<SocketAddr>().ok()) else {
        return false;
    };
    std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(300)).is_ok()
}

fn loopback(port: Option<u16>) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))
}
