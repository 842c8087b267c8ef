//! Broker: the laptop's stand-in for Apache Kafka and the Confluent schema registry.
//!
//! In: Kafka protocol on a loopback port; a folder. Out: a durable log, consumer groups, schemas.
//! Never: transactions, replication, compaction, encryption, or an address that another machine can reach;
//! what it lacks it refuses by name. For one machine: production is Kafka or Amazon MSK.
//!
//! Read first: `log` (what is kept), then `server` (the protocol's face), then `groups`, then `registry`.
//!
//! ```no_run
//! # async fn example() -> Result<(), weir_broker::BrokerError> {
//! use weir_broker::{Broker, BrokerConfig};
//!
//! let broker = Broker::start(BrokerConfig::new("data/stream"))?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.shutdown().await
//! # }
//! ```

mod broker;
mod clock;
mod error;
mod folder;
mod groups;
mod host;
mod journal;
mod log;
mod recovered;
mod registry;
mod server;
mod state;
mod topics;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use broker::{Broker, BrokerConfig};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::BrokerError;
pub use recovered::{Cut, Recovered};
pub use registry::Registry;

// A panic while a lock is held leaves every structure of this crate usable: files are written before memory.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
