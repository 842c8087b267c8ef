//! Cancel requests: which connection may be interrupted by which key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use duckdb::InterruptHandle;
use pgwire::api::cancel::CancelHandler;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::SecretKey;

use crate::database::locked;

/// What runs where, for cancel requests; an entry ends with its session.
#[derive(Default)]
pub struct Cancels(Mutex<BTreeMap<i32, (SecretKey, Weak<InterruptHandle>)>>);

impl Cancels {
    /// From now on this key cancels what the handle belongs to.
    pub fn add(&self, pid: i32, key: SecretKey, handle: &Arc<InterruptHandle>) {
        let mut handles = locked(&self.0);
        handles.retain(|_, (_, handle)| handle.strong_count() > 0);
        handles.insert(pid, (key, Arc::downgrade(handle)));
    }

    /// Cancels everything that runs.
    pub fn all(&self) {
        for (_, handle) in locked(&self.0).values() {
            if let Some(handle) = handle.upgrade() {
                handle.interrupt();
            }
        }
    }
}

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        if let Some((key, handle)) = locked(&self.0).get(&request.pid)
            && key.eq_value(&request.secret_key)
            && let Some(handle) = handle.upgrade()
        {
            handle.interrupt();
        }
    }
}
