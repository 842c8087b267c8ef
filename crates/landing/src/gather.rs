//! Gathering a micro-batch: opens the topic where the table stands, polls until there is enough, and
//! knows when reading is done. Runs on blocking threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use weir_stream::StreamError;

use crate::batch::Polled;
use crate::error::LandingError;
use crate::feed::Feed;
use crate::start::{self, Held, reader};
use crate::worker::Until;

/// Longest single wait for records: how soon a cancelled worker notices.
const SLICE: Duration = Duration::from_millis(200);
/// A topic whose last offsets hold no record (transaction markers, compaction) counts as read after this.
const QUIET: Duration = Duration::from_secs(5);

/// What is needed to open the feed on a blocking thread.
pub(crate) struct Starting {
    pub(crate) table: weir_core::name::TableName,
    pub(crate) topic: String,
    pub(crate) landed: BTreeMap<String, i64>,
}

/// The offsets at which each partition counts as read, and the topic's id.
pub(crate) struct Goal {
    pub(crate) topic_id: String,
    pub(crate) highs: BTreeMap<i32, i64>,
}

impl Starting {
    pub(crate) fn open<F: Feed>(self, mut feed: F) -> Result<(F, Goal), LandingError> {
        let failed = |source: StreamError| LandingError::Stream { table: self.table.clone(), source: Box::new(source) };
        let topic_id = feed.topic_id().map_err(failed)?;
        let mut held = Vec::new();
        for partition in feed.partitions().map_err(failed)? {
            let (low, high) = feed.watermarks(partition).map_err(failed)?;
            held.push(Held { partition, low, high });
        }
        let starts = start::starts(&self.table, &self.topic, &topic_id, &self.landed, &held)?;
        feed.assign(&starts).map_err(failed)?;
        // A partition that holds nothing is read already.
        let open = held.into_iter().filter(|held| held.high > held.low);
        let highs = open.map(|held| (held.partition, held.high)).collect();
        Ok((feed, Goal { topic_id, highs }))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

/// Knows when reading is done.
pub(crate) struct Poller {
    pub(crate) goal: Goal,
    /// Offset of the next record of each partition.
    pub(crate) next: BTreeMap<String, i64>,
    pub(crate) until: Until,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Poller {
    pub(crate) fn is_cancelled(&self) -> bool {
        let asked = matches!(&self.until, Until::Forever(token) if token.is_cancelled());
        asked || self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn is_caught_up(&self) -> bool {
        let reached = |(partition, high): (&i32, &i64)| {
            let next = self.next.get(&reader(&self.goal.topic_id, *partition));
            next.is_some_and(|next| next >= high)
        };
        matches!(self.until, Until::CaughtUp) && self.goal.highs.iter().all(reached)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_caught_up() || self.is_cancelled()
    }

    /// Gathers one micro-batch.
    pub(crate) fn gather<F: Feed>(&mut self, feed: &mut F, limits: Limits) -> Result<Polled, StreamError> {
        let mut polled = Polled::default();
        let start = Instant::now();
        let mut heard = start;
        while polled.len() < limits.rows && polled.bytes() < limits.bytes && !self.is_done() {
            let left = limits.wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let records = feed.poll(limits.rows - polled.len(), limits.bytes - polled.bytes(), left.min(SLICE))?;
            if records.is_empty() {
                if matches!(self.until, Until::CaughtUp) && heard.elapsed() >= QUIET {
                    tracing::warn!("the topic's last offsets hold no records; taken as read");
                    self.goal.highs.clear();
                }
                continue;
            }
            heard = Instant::now();
            for record in records.records() {
                self.next.insert(reader(&self.goal.topic_id, record.partition), record.offset + 1);
            }
            polled.push(records);
        }
        Ok(polled)
    }
}

pub(crate) type Polling<F> = JoinHandle<Result<(F, Poller, Polled), StreamError>>;

pub(crate) fn poll<F: Feed>(mut feed: F, mut poller: Poller, limits: Limits) -> Polling<F> {
    tokio::task::spawn_blocking(move || {
        let polled = poller.gather(&mut feed, limits)?;
        Ok((feed, poller, polled))
    })
}
