//! Gathering a micro-batch: looks at the topic, polls until there is enough and decodes it, and knows when reading is
//! done or must begin anew. Runs on blocking threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use weir_core::failpoint;
use weir_stream::{Record, Start, StreamError};

use crate::batch::Polled;
use crate::decoding::{Decoded, Decoding};
use crate::error::LandingError;
use crate::feed::{Feed, Schemas};
use crate::start::{Held, Lost};
use crate::worker::Until;

/// Longest single wait for records: how soon a cancelled worker notices.
const SLICE: Duration = Duration::from_millis(200);
/// A topic whose last offsets hold no record (transaction markers, compaction) counts as read after this.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

/// What the brokers say of a topic.
pub(crate) struct Seen {
    pub(crate) topic_id: String,
    pub(crate) held: Vec<Held>,
}

impl Seen {
    /// What they say of these partitions.
    pub(crate) fn of(&self, partitions: &[i32]) -> Vec<Held> {
        self.held.iter().filter(|held| partitions.contains(&held.partition)).copied().collect()
    }
}

/// Reads one worker's partitions of a topic.
pub(crate) struct Reader<F> {
    feed: F,
    until: Until,
    stop: Arc<AtomicBool>,
    topic_id: String,
    /// The partitions that are this reader's: those that the group gives, or all.
    pub(crate) partitions: Vec<i32>,
    /// Offset of the next record of each partition.
    next: BTreeMap<i32, i64>,
    /// Offsets at which the partitions count as read; none before the first look at the topic.
    goal: Option<BTreeMap<i32, i64>>,
    /// Positions that the group has not been told.
    pub(crate) unpublished: Vec<(i32, i64)>,
    /// What was polled is not to be used: the partitions, or what the brokers hold of them, are others now.
    pub(crate) must_reopen: bool,
}

impl<F: Feed> Reader<F> {
    pub(crate) fn new(feed: F, until: Until, stop: Arc<AtomicBool>) -> Self {
        let (topic_id, partitions, next) = (String::new(), Vec::new(), BTreeMap::new());
        let (goal, unpublished) = (None, Vec::new());
        Self { feed, until, stop, topic_id, partitions, next, goal, unpublished, must_reopen: false }
    }

    /// A worker that goes on for ever shares the topic with others; one that catches up reads all of it.
    pub(crate) fn join_if_forever(&mut self) -> Result<(), StreamError> {
        if self.is_once() { Ok(()) } else { self.feed.join() }
    }

    pub(crate) fn is_once(&self) -> bool {
        matches!(self.until, Until::CaughtUp)
    }

    /// What the brokers hold of this reader's partitions, or of all; nothing where the topic does not exist.
    pub(crate) fn look(&mut self, at_all: bool) -> Result<Option<Seen>, StreamError> {
        match self.look_at_topic(at_all) {
            Ok(seen) => Ok(Some(seen)),
            Err(StreamError::UnknownTopic { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn look_at_topic(&mut self, at_all: bool) -> Result<Seen, StreamError> {
        let topic_id = self.feed.topic_id()?;
        let mut partitions = self.feed.partitions()?;
        if self.is_once() {
            self.partitions.clone_from(&partitions);
        }
        partitions.retain(|partition| at_all || self.partitions.contains(partition));
        let mut held = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let (low, high) = self.feed.watermarks(partition)?;
            held.push(Held { partition, low, high });
        }
        Ok(Seen { topic_id, held })
    }

    /// Starts reading. The first time fixes what counts as caught up.
    pub(crate) fn begin(&mut self, seen: Seen, starts: &[(i32, i64)]) -> Result<(), StreamError> {
        let at: Vec<(i32, Start)> = starts.iter().map(|(partition, next)| (*partition, Start::At(*next))).collect();
        self.feed.assign(&at)?;
        self.feed.publish(starts);
        self.topic_id = seen.topic_id;
        self.next = starts.iter().copied().collect();
        // A partition that holds nothing is read already.
        let open = seen.held.into_iter().filter(|held| held.high > held.low);
        self.goal.get_or_insert_with(|| open.map(|held| (held.partition, held.high)).collect());
        self.must_reopen = false;
        Ok(())
    }

    /// Reads nothing until the group has news; one that only catches up has nothing to do.
    pub(crate) fn begin_without_topic(&mut self) {
        self.next.clear();
        self.goal.get_or_insert_default();
        self.must_reopen = false;
    }

    /// Finds out when the first record behind a loss arrived, where that can be told.
    pub(crate) fn date(&mut self, lost: &mut [Lost]) {
        for lost in lost {
            let Some(to) = lost.to else { continue };
            let first = self.feed.assign(&[(lost.partition, Start::At(to + 1))]);
            let first = first.and_then(|()| self.feed.poll(1, usize::MAX, QUIET));
            let at = first.ok().and_then(|batch| batch.records().next().map(|record| record.timestamp_ms));
            lost.until = at.filter(|at| *at >= 0).map(|at| at.saturating_mul(1000));
        }
    }

    pub(crate) fn publish(&mut self) {
        let told = std::mem::take(&mut self.unpublished);
        self.feed.publish(&told);
        if !told.is_empty() {
            failpoint::hit("landing.offsets_published");
        }
    }

    fn is_cancelled(&self) -> bool {
        let asked = matches!(&self.until, Until::Forever(token) if token.is_cancelled());
        asked || self.stop.load(Ordering::Relaxed)
    }

    fn is_caught_up(&self) -> bool {
        let reached = |(partition, high): (&i32, &i64)| self.next.get(partition).is_some_and(|next| next >= high);
        self.is_once() && self.goal.as_ref().is_some_and(|goal| goal.iter().all(reached))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_caught_up() || self.is_cancelled()
    }

    /// Polls one micro-batch.
    fn poll(&mut self, limits: Limits) -> Result<Polled, StreamError> {
        self.publish();
        let mut polled = Polled::default();
        let start = Instant::now();
        let mut heard = start;
        while polled.len() < limits.rows && polled.bytes() < limits.bytes && !self.is_done() {
            let left = limits.wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let wait = left.min(SLICE);
            let records = match self.feed.poll(limits.rows - polled.len(), limits.bytes - polled.bytes(), wait) {
                // Whether it is so, and what that means, the next look at the topic says.
                Err(StreamError::OffsetGone { .. } | StreamError::UnknownTopic { .. }) => {
                    self.must_reopen = true;
                    break;
                }
                // The offset may lie outside of a topic that was made anew, and inside of what it holds by now.
                Err(error) => {
                    self.must_reopen = self.is_another_topic()?;
                    if self.must_reopen {
                        break;
                    }
                    return Err(error);
                }
                Ok(records) => records,
            };
            if let Some(given) = self.feed.given() {
                self.partitions = given;
                self.must_reopen = true;
                break;
            }
            if records.is_empty() {
                if self.is_once() && heard.elapsed() >= QUIET {
                    tracing::warn!("the topic's last offsets hold no records; taken as read");
                    self.goal = Some(BTreeMap::new());
                }
                continue;
            }
            heard = Instant::now();
            // What was not asked for, e.g. of a partition that another worker has now, is none of this reader's.
            let is_next =
                |record: Record<'_>| self.next.get(&record.partition).is_some_and(|next| record.offset >= *next);
            if !records.records().all(is_next) {
                self.must_reopen = true;
                break;
            }
            self.next.extend(records.records().map(|record| (record.partition, record.offset + 1)));
            polled.push(records);
        }
        // Asked last: a topic that was made anew before now has another id.
        if !polled.is_empty() && !self.must_reopen {
            self.must_reopen = self.is_another_topic()?;
        }
        Ok(polled)
    }

    /// Whether the topic was deleted, or made anew, since this reader looked at it.
    fn is_another_topic(&mut self) -> Result<bool, StreamError> {
        match self.feed.topic_id() {
            Ok(id) => Ok(id != self.topic_id),
            Err(StreamError::UnknownTopic { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The reader, and what it gathered: nothing where no record came, or where reading must begin anew.
pub(crate) type Gathered<F> = (Reader<F>, Option<Decoded>);

pub(crate) fn gather<F: Feed, S: Schemas>(
    mut reader: Reader<F>,
    limits: Limits,
    table: &weir_project::Table,
    decoding: &Arc<Mutex<Decoding<S>>>,
) -> JoinHandle<Result<Gathered<F>, LandingError>> {
    let (table, decoding) = (table.clone(), decoding.clone());
    tokio::task::spawn_blocking(move || {
        let failed = |source| LandingError::Stream { table: table.name.clone(), source: Box::new(source) };
        let polled = reader.poll(limits).map_err(failed)?;
        if polled.is_empty() || reader.must_reopen {
            return Ok((reader, None));
        }
        failpoint::hit("landing.polled");
        // A panic of the decoder ends the worker: nobody meets its half-done state.
        let mut decoding = decoding.lock().unwrap_or_else(PoisonError::into_inner);
        let decoded = decoding.decode(&table, &reader.topic_id, polled)?;
        failpoint::hit("landing.decoded");
        Ok((reader, Some(decoded)))
    })
}
