//! Reads a topic from given offsets on. Positions are the caller's: a group says at most which partitions are whose.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::aws::Tokens;
use crate::batch::{Batch, Record};
use crate::connection::{Connection, REQUEST};
use crate::error::StreamError;
use crate::login::Login;
use crate::topic_id::{TopicId, topic_id};

/// Where to start in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this offset; one that is no longer held is an error.
    At(i64),
    /// At the first record still held.
    Earliest,
}

/// The group that a reader names where nobody joins it and nothing is published: librdkafka wants one.
const NO_GROUP: &str = "weir";
/// Time between two looks for a partition's leader.
const ELECTION: Duration = Duration::from_millis(100);

/// What the group has said since the caller last asked: this reader's partitions from now on.
struct Given {
    partitions: Mutex<Option<Vec<i32>>>,
    tokens: Tokens,
}

impl Given {
    fn news(&self) -> std::sync::MutexGuard<'_, Option<Vec<i32>>> {
        // What is inside is whole after a panic elsewhere.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Given {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.tokens.generate()
    }
}

impl ConsumerContext for Given {
    /// Takes note, and reads nothing: the offsets to read from are the caller's, which assigns.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let given = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let answered = if given { consumer.assign(&TopicPartitionList::new()) } else { consumer.unassign() };
        if let Err(error) = answered {
            tracing::warn!(%error, "the group's assignment could not be answered");
        }
        let mut partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        partitions.sort_unstable();
        *self.news() = Some(if given { partitions } else { Vec::new() });
    }
}

/// A reader of one topic.
pub struct Consumer {
    inner: BaseConsumer<Given>,
    topic: String,
    brokers: String,
    login: Login,
    started: Vec<(i32, Start)>,
    /// Whether there is a group that hears of positions.
    publishes: bool,
    /// An error that came behind records: they are handed over first, then it is.
    pending: Mutex<Option<KafkaError>>,
}

impl Consumer {
    /// Connects; reads nothing yet.
    pub fn new(connection: &Connection, topic: &str) -> Result<Self, StreamError> {
        Ok(Self { publishes: false, ..Self::of_group(connection, topic, NO_GROUP)? })
    }

    /// As [`Consumer::new`], for a group that it may join, and where it may publish its positions.
    pub fn of_group(connection: &Connection, topic: &str, group: &str) -> Result<Self, StreamError> {
        let mut config = connection.config(&[
            // How soon new partitions, and a topic that somebody makes, are noticed.
            ("topic.metadata.refresh.interval.ms", "10000"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("check.crcs", "true"),
            // Of each partition at once. A record may be larger: the broker sends a first one whole.
            ("fetch.message.max.bytes", "2097152"),
            ("fetch.wait.max.ms", "100"),
            // A record that waits costs twice its size and more; fetching goes on soon after there is room again.
            ("queued.max.messages.kbytes", "8192"),
            ("fetch.queue.backoff.ms", "10"),
        ])?;
        config.set("group.id", group);
        // The only protocol that [`Given`] speaks: each round takes all partitions away and gives them anew.
        config.set("group.protocol", "classic").set("partition.assignment.strategy", "range,roundrobin");
        let (login, brokers) = (connection.login(&config), connection.brokers()?);
        let given = Given { partitions: Mutex::default(), tokens: connection.tokens() };
        let made = config.create_with_context(given);
        let inner: BaseConsumer<Given> = made.map_err(|source| StreamError::Settings { source })?;
        Ok(Self {
            inner,
            topic: topic.to_owned(),
            brokers,
            login,
            started: Vec::new(),
            publishes: true,
            pending: Mutex::new(None),
        })
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Partition numbers, ascending.
    pub fn partitions(&self) -> Result<Vec<i32>, StreamError> {
        self.let_in()?;
        let metadata =
            self.inner.fetch_metadata(Some(&self.topic), REQUEST).map_err(|source| self.failed("describe", source))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == self.topic) else {
            return Err(StreamError::UnknownTopic { topic: self.topic.clone() });
        };
        if let Some(code) = topic.error() {
            return Err(self.failed("describe", KafkaError::MetadataFetch(code.into())));
        }
        let mut partitions: Vec<i32> = topic.partitions().iter().map(|partition| partition.id()).collect();
        if partitions.is_empty() {
            return Err(StreamError::UnknownTopic { topic: self.topic.clone() });
        }
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// First offset still held, and the offset of the next record to come.
    pub fn watermarks(&self, partition: i32) -> Result<(i64, i64), StreamError> {
        self.let_in()?;
        let end = Instant::now() + REQUEST;
        loop {
            match self.inner.fetch_watermarks(&self.topic, partition, REQUEST) {
                Err(error) if has_no_leader(&error) && Instant::now() < end => std::thread::sleep(ELECTION),
                marks => return marks.map_err(|source| self.failed("read the offsets of", source)),
            }
        }
    }

    /// The id under which the broker knows this topic; another one after it was deleted and made anew.
    pub fn topic_id(&self) -> Result<TopicId, StreamError> {
        self.let_in()?;
        topic_id(self.inner.client(), &self.topic).map_err(|source| self.failed("describe", source))
    }

    /// Starts reading these partitions, each at its own offset.
    pub fn assign(&mut self, starts: &[(i32, Start)]) -> Result<(), StreamError> {
        let mut list = TopicPartitionList::new();
        for (partition, start) in starts {
            let offset = match start {
                Start::At(offset) => Offset::Offset(*offset),
                Start::Earliest => Offset::Beginning,
            };
            list.add_partition_offset(&self.topic, *partition, offset).map_err(|source| self.failed("read", source))?;
        }
        self.inner.assign(&list).map_err(|source| self.failed("read", source))?;
        self.started = starts.to_vec();
        *self.pending.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// Joins the group: from now on [`Consumer::given`] says which partitions are this reader's. It must poll.
    pub fn join(&self) -> Result<(), StreamError> {
        self.inner.subscribe(&[&self.topic]).map_err(|source| self.failed("read", source))
    }

    /// The partitions that the group has given since the last call, possibly none; nothing while all is as before. What
    /// was given before is no longer this reader's, and it reads nothing until it assigns.
    pub fn given(&self) -> Option<Vec<i32>> {
        self.inner.context().news().take()
    }

    /// Tells the group where this reader stands, for tools that show how far behind it is. Nothing depends on it, so
    /// nothing waits for it, and that it did not work is no error.
    pub fn publish(&self, next: &[(i32, i64)]) {
        let mut list = TopicPartitionList::new();
        for (partition, next) in next {
            if let Err(error) = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*next)) {
                tracing::debug!(%error, "position not published");
            }
        }
        if self.publishes
            && list.count() > 0
            && let Err(error) = self.inner.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "positions not published");
        }
    }

    /// The next records: returns when there are `max_records` or `max_bytes` of them, or after `max_wait`.
    /// An empty batch means that nothing came, or that the group has news. An error skips no record: what came before it is handed over first.
    pub fn poll_batch(&self, max_records: usize, max_bytes: usize, max_wait: Duration) -> Result<Batch, StreamError> {
        if let Some(source) = self.pending().take() {
            return Err(self.explained(source));
        }
        let end = Instant::now() + max_wait;
        let mut batch = Batch::default();
        while batch.len() < max_records && batch.bytes() < max_bytes && self.inner.context().news().is_none() {
            let left = end.saturating_duration_since(Instant::now());
            match self.inner.poll(left) {
                None if left.is_zero() => break,
                None => {}
                Some(Ok(message)) => push(&mut batch, &message),
                // librdkafka reconnects by itself; the caller sees a short batch and asks again.
                Some(Err(source)) if is_passing(&source) || self.is_let_in_by_now(&source) => break,
                Some(Err(source)) if batch.is_empty() => return Err(self.explained(source)),
                Some(Err(source)) => {
                    *self.pending() = Some(source);
                    break;
                }
            }
        }
        Ok(batch)
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Option<KafkaError>> {
        // What is inside is whole after a panic elsewhere.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn explained(&self, source: KafkaError) -> StreamError {
        match source.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => self.gap(source),
            _ => self.failed("read", source),
        }
    }

    /// Names the partition whose next record lies outside of what is held.
    fn gap(&self, source: KafkaError) -> StreamError {
        let positions = self.inner.position().unwrap_or_default();
        for (partition, start) in &self.started {
            let reached = positions.find_partition(&self.topic, *partition).map(|element| element.offset());
            let wanted = match (reached, start) {
                (Some(Offset::Offset(next)), _) => next,
                (_, Start::At(offset)) => *offset,
                (_, Start::Earliest) => continue,
            };
            let Ok((low, high)) = self.watermarks(*partition) else { continue };
            if wanted < low || wanted > high {
                return StreamError::OffsetGone { topic: self.topic.clone(), partition: *partition, wanted, low, high };
            }
        }
        self.failed("read", source)
    }

    /// Before whatever may come before the first poll.
    fn let_in(&self) -> Result<(), StreamError> {
        self.inner.context().tokens.ensure(self.inner.client())
    }

    /// Whether the brokers refused user and password, and the client has other ones by now.
    fn is_let_in_by_now(&self, error: &KafkaError) -> bool {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::AllBrokersDown) if self.login.is_new() => true,
            Some(RDKafkaErrorCode::Authentication) => self.login.renew(self.inner.client()).unwrap_or_else(|error| {
                tracing::warn!(%error, "user and password of the brokers cannot be looked up anew");
                false
            }),
            _ => false,
        }
    }

    fn failed(&self, action: &'static str, source: KafkaError) -> StreamError {
        let error = StreamError::topic(action, &self.topic, &self.brokers, source);
        if matches!(error, StreamError::Unreachable { .. }) {
            // What is asked outside of polling is not told that it was a password.
            self.login.doubt();
        }
        error
    }
}

/// A partition that was just made, or moves to another broker.
fn has_no_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition))
}

/// A connection that broke and comes back, or a group that finds together again.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator, PollExceeded,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            BrokerTransportFailure
                | CoordinatorLoadInProgress
                | CoordinatorNotAvailable
                | NotCoordinator
                | PollExceeded
        )
    )
}

fn push(batch: &mut Batch, message: &BorrowedMessage<'_>) {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    let record = Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key(),
        value: message.payload(),
    };
    batch.push(record, headers);
}
