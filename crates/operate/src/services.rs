//! The stream that the path talks to: embedded broker and registry, or those that run elsewhere.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use weir_broker::{Broker, BrokerConfig};
use weir_core::diagnosis::Diagnosed;
use weir_project::{Endpoint, Project, RegistryAt};
use weir_stream::{Connection, Registry};

use crate::running::running;

/// Broker and registry, running as long as this lives.
pub struct Services {
    /// Where the brokers are.
    pub connection: Connection,
    /// The registry's client.
    pub registry: Registry,
    broker: Option<Broker>,
    embedded_registry: Option<weir_broker::Registry>,
}

impl Services {
    /// Starts the embedded parts in `dir`, or talks to those that another process runs there, or to others.
    pub async fn start(project: &Project, dir: &Path) -> Result<Self, Diagnosed> {
        let running = running(dir).and_then(|running| running.stream);
        if let Some(stream) = running.filter(|stream| answers(&stream.registry)) {
            return Ok(Self {
                connection: Connection::new(stream.brokers, BTreeMap::new()),
                registry: Registry::new(stream.registry),
                broker: None,
                embedded_registry: None,
            });
        }
        let mut client = BTreeMap::new();
        for (key, value) in &project.stream.client {
            client.insert(key.clone(), value.resolve()?);
        }
        let (brokers, broker) = match &project.stream.brokers {
            Endpoint::Embedded { port } => {
                let config = BrokerConfig::new(dir.join("broker")).listening(loopback(*port));
                let broker = Broker::start(config)?;
                (broker.bootstrap(), Some(broker))
            }
            Endpoint::External(brokers) => (brokers.resolve()?, None),
        };
        let (registry, embedded_registry) = match &project.stream.registry {
            RegistryAt::Embedded { port } => {
                let registry = weir_broker::Registry::start(dir.join("registry"), loopback(*port))?;
                (Registry::new(registry.url()), Some(registry))
            }
            RegistryAt::Confluent(url) => (Registry::new(url.resolve()?), None),
            RegistryAt::Glue { region, endpoint } => (Registry::glue(region, endpoint.as_deref()), None),
        };
        let connection = Connection::new(brokers, client);
        Ok(Self {
            connection: match &project.stream.iam {
                Some(region) => connection.with_iam(region),
                None => connection,
            },
            registry,
            broker,
            embedded_registry,
        })
    }

    /// The same brokers and registry, for another site of this process, which stops nothing.
    pub(crate) fn shared(&self) -> Self {
        let (connection, registry) = (self.connection.clone(), self.registry.clone());
        Self { connection, registry, broker: None, embedded_registry: None }
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
