//! The broker as a whole: start, the background work, the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::error::BrokerError;
use crate::folder::FolderLock;
use crate::groups::Groups;
use crate::host::{Host, listen};
use crate::recovered::Recovered;
use crate::server;
use crate::state::State;
use crate::topics::{Topics, every_partition};

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Everything is kept here; one process at a time.
    pub dir: PathBuf,
    /// A loopback address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Stamps arrival and decides about retention.
    pub clock: Arc<dyn Clock>,
    /// How often old segments are looked for.
    pub retention_check: Duration,
    /// How often what was written is flushed: a power cut loses at most this much, a kill nothing.
    pub flush_every: Duration,
    /// How long an empty group waits for more members before its first assignment.
    pub rebalance_delay: Duration,
}

impl BrokerConfig {
    /// A broker over this folder, on 127.0.0.1 and a port of the system's choice.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Arc::new(SystemClock),
            retention_check: Duration::from_secs(30),
            flush_every: Duration::from_secs(1),
            rebalance_delay: Duration::from_millis(150),
        }
    }

    /// The same on another address.
    pub fn listening(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }
}

/// What every request sees.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) state: State,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) clock: Arc<dyn Clock>,
    /// Changes with every append, so that waiting fetches look again.
    pub(crate) appended: watch::Sender<u64>,
    pub(crate) stop: CancellationToken,
}

/// A running broker. It has threads of its own, so it answers even while the caller's runtime is busy.
///
/// Dropping it stops and flushes it too, but cannot report a failed flush.
#[derive(Debug)]
pub struct Broker {
    host: Host,
    address: SocketAddr,
    recovered: Recovered,
}

impl Broker {
    /// Opens the folder, repairs torn tails, and listens. Blocks until clients can connect.
    pub fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        let (host, (address, recovered)) = Host::start("weir-broker", 2, move |stop| open(config, stop))?;
        tracing::info!(%address, "embedded broker started");
        Ok(Self { host, address, recovered })
    }

    /// For `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the start found and repaired.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Ends requests under way, flushes, and lets go of port and folder.
    pub async fn shutdown(self) -> Result<(), BrokerError> {
        self.host.shutdown().await
    }
}

type Serving = std::pin::Pin<Box<dyn Future<Output = Result<(), BrokerError>> + Send>>;

fn open(config: BrokerConfig, stop: CancellationToken) -> Result<((SocketAddr, Recovered), Serving), BrokerError> {
    let (listener, address) = listen(config.listen)?;
    let lock = FolderLock::take(&config.dir, "broker.lock")?;
    let state = State::open(&config.dir)?;
    let mut recovered = Recovered { unclean: state.unclean, ..Recovered::default() };
    let topics = Topics::open(&config.dir, state.leader_epoch, &mut recovered)?;
    let groups = Groups::open(&config.dir, config.rebalance_delay, &mut recovered)?;
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|source| BrokerError::Listen { address: config.listen, source })?;
    let clock = Arc::clone(&config.clock);
    let shared = Arc::new(Shared { address, state, topics, groups, clock, appended: watch::Sender::new(0), stop });
    let serving = async move {
        // The lock is let go of last.
        let _lock = lock;
        run(listener, shared, config).await
    };
    Ok(((address, recovered), Box::pin(serving)))
}

async fn run(listener: tokio::net::TcpListener, shared: Arc<Shared>, config: BrokerConfig) -> Result<(), BrokerError> {
    let work = async {
        tokio::join!(
            flush_for_ever(&shared, config.flush_every),
            forget_for_ever(&shared, config.retention_check),
            shared.groups.watch(),
        )
    };
    tokio::select! {
        () = server::serve(listener, &shared) => {}
        _ = work => {}
    }
    let closing = Arc::clone(&shared);
    let result = tokio::task::spawn_blocking(move || {
        flush(&closing)?;
        closing.state.close()
    });
    let result = result.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map_err(|source| BrokerError::Flush { path: config.dir, source })
}

fn flush(shared: &Shared) -> std::io::Result<()> {
    let mut pending = Vec::new();
    every_partition(&shared.topics, |_, _, log| pending.extend(log.pending()));
    for part in pending {
        part.flush()?;
    }
    shared.groups.handle()?.sync_data()
}

async fn flush_for_ever(shared: &Arc<Shared>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let shared = Arc::clone(shared);
        match tokio::task::spawn_blocking(move || flush(&shared)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "could not flush the log; a power cut may lose records"),
            Err(error) => tracing::error!(%error, "the flush ended early"),
        }
    }
}

async fn forget_for_ever(shared: &Arc<Shared>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let shared = Arc::clone(shared);
        let swept = tokio::task::spawn_blocking(move || {
            let now = shared.clock.now_ms();
            every_partition(&shared.topics, |topic, partition, log| match log.forget(&topic.config(), now) {
                Ok(0) => {}
                Ok(segments) => {
                    let low = log.start_offset();
                    tracing::info!(topic = topic.name, partition, segments, low, "old segments deleted");
                }
                Err(error) => tracing::error!(%error, topic = topic.name, partition, "could not delete old segments"),
            });
        });
        if let Err(error) = swept.await {
            tracing::error!(%error, "the retention check ended early");
        }
    }
}
