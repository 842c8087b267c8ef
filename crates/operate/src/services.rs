//! The stream that the path talks to: embedded broker and registry, or those that run elsewhere.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use weir_broker::{Broker, BrokerConfig};
use weir_core::diagnosis::Diagnosed;
use weir_project::{Endpoint, Project};
use weir_stream::{Connection, Registry};

use crate::error::OperateError;

/// The file in which `weir up` says where its parts listen.
const RUNNING: &str = "running.json";

/// Broker and registry, running as long as this lives.
pub struct Services {
    /// Where the brokers are.
    pub connection: Connection,
    /// The registry's client.
    pub registry: Registry,
    broker: Option<Broker>,
    embedded_registry: Option<weir_broker::Registry>,
}

/// What `weir up` writes for other commands on the same folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The broker's address.
    pub brokers: String,
    /// The registry's URL.
    pub registry: String,
    /// The Postgres wire's port.
    pub wire: u16,
    /// The process.
    pub pid: u32,
}

impl Services {
    /// Starts the embedded parts in `dir`, or talks to those that `weir up` runs there, or to others.
    pub async fn start(project: &Project, dir: &Path) -> Result<Self, Diagnosed> {
        if let Some(running) = running(dir).filter(|running| answers(&running.registry)) {
            return Ok(Self {
                connection: Connection::new(running.brokers, BTreeMap::new()),
                registry: Registry::new(running.registry),
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
        let (url, embedded_registry) = match &project.stream.registry {
            Endpoint::Embedded { port } => {
                let registry = weir_broker::Registry::start(dir.join("registry"), loopback(*port))?;
                (registry.url(), Some(registry))
            }
            Endpoint::External(url) => (url.resolve()?, None),
        };
        Ok(Self {
            connection: Connection::new(brokers, client),
            registry: Registry::new(url),
            broker,
            embedded_registry,
        })
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

    /// Says where the parts listen, for other commands on the folder.
    pub fn announce(&self, dir: &Path, wire: u16) -> Result<Running, OperateError> {
        let running = Running {
            brokers: self.connection.brokers().to_owned(),
            registry: self.registry.url().to_owned(),
            wire,
            pid: std::process::id(),
        };
        let path = dir.join(RUNNING);
        let text = serde_json::to_string_pretty(&running).map_err(std::io::Error::other);
        text.and_then(|text| std::fs::write(&path, text)).map_err(|source| OperateError::File { path, source })?;
        Ok(running)
    }

    /// Takes back what [`Services::announce`] said.
    pub fn withdraw(dir: &Path) {
        // A file left behind is found out: nothing answers at its addresses.
        let _ = std::fs::remove_file(dir.join(RUNNING));
    }
}

/// What runs on this folder, as far as it says so itself.
pub fn running(dir: &Path) -> Option<Running> {
    serde_json::from_slice(&std::fs::read(dir.join(RUNNING)).ok()?).ok()
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
