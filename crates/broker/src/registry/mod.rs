//! The schema registry: Confluent's REST API over an append-only journal, Avro only.
//!
//! The same schema has the same id for ever; what was acknowledged survives a kill and a power cut.

mod avro;
mod compatibility;
mod http;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::BrokerError;
use crate::folder::FolderLock;
use crate::host::{Host, listen};
use crate::recovered::Recovered;
use store::Store;

/// How long requests under way may take at the end.
const GRACE: Duration = Duration::from_secs(2);

/// A running registry, on threads of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Registry {
    host: Host,
    address: SocketAddr,
    recovered: Recovered,
}

impl Registry {
    /// Opens the folder, cuts a torn last line, and listens on a loopback address; port 0 lets the system choose.
    /// Broker and registry may share a folder.
    pub fn start(dir: impl AsRef<Path>, address: SocketAddr) -> Result<Self, BrokerError> {
        let dir = dir.as_ref().to_owned();
        let (host, (address, recovered)) = Host::start("weir-registry", 1, move |stop| {
            let (listener, local) = listen(address)?;
            let lock = FolderLock::take(&dir, "registry.lock")?;
            let mut recovered = Recovered::default();
            let store = Arc::new(Mutex::new(Store::open(&dir, &mut recovered)?));
            let listener = tokio::net::TcpListener::from_std(listener)
                .map_err(|source| BrokerError::Listen { address: local, source })?;
            let serving = async move {
                let _lock = lock;
                run(listener, store, stop).await.map_err(|source| BrokerError::Listen { address: local, source })
            };
            Ok(((local, recovered), serving))
        })?;
        tracing::info!(%address, "embedded schema registry started");
        Ok(Self { host, address, recovered })
    }

    /// For `schema.registry.url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the start found and repaired.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Ends requests under way, and lets go of port and folder.
    pub async fn shutdown(self) -> Result<(), BrokerError> {
        self.host.shutdown().await
    }
}

async fn run(
    listener: tokio::net::TcpListener,
    store: Arc<Mutex<Store>>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let asked = stop.clone();
    let serving = axum::serve(listener, http::routes(store)).with_graceful_shutdown(stop.cancelled_owned());
    tokio::select! {
        result = serving.into_future() => result,
        // A client that keeps a request open does not keep the process.
        () = async { asked.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
