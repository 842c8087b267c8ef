//! Sends records to given partitions, idempotently, in order, with back-pressure.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::aws::Tokens;
use crate::connection::Connection;
use crate::error::StreamError;

/// A header of a record.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// Counts what was refused; success needs no memory.
struct Deliveries {
    refused: AtomicU64,
    first: Mutex<Option<KafkaError>>,
    tokens: Tokens,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.tokens.generate()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.refused.fetch_add(1, Ordering::SeqCst);
            if let Ok(mut first) = self.first.lock() {
                first.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// A writer.
pub struct Producer {
    inner: ThreadedProducer<Deliveries>,
    brokers: String,
}

impl Producer {
    /// Connects. Records of one partition keep their order, and a retry doubles none.
    pub fn new(connection: &Connection) -> Result<Self, StreamError> {
        let config = connection.config(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.type", "lz4"),
            ("linger.ms", "20"),
            ("batch.num.messages", "20000"),
            ("batch.size", "1000000"),
            ("queue.buffering.max.messages", "200000"),
            ("queue.buffering.max.kbytes", "131072"),
            ("message.max.bytes", "16777216"),
        ])?;
        let deliveries =
            Deliveries { refused: AtomicU64::default(), first: Mutex::default(), tokens: connection.tokens() };
        // Its own thread polls it, so that it has tokens from the start.
        let inner = config.create_with_context(deliveries).map_err(|source| StreamError::Settings { source })?;
        Ok(Self { inner, brokers: connection.brokers()? })
    }

    /// Queues a record; waits while the queue is full. Refusals show at [`Producer::flush`].
    pub fn send(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), StreamError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.key = key;
        record.payload = value;
        if !headers.is_empty() {
            let mut list = OwnedHeaders::new_with_capacity(headers.len());
            for (name, value) in headers {
                list = list.insert(KafkaHeader { key: name, value: *value });
            }
            record.headers = Some(list);
        }
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.refused()?;
                    // The queue is emptied by librdkafka's own threads.
                    std::thread::sleep(Duration::from_millis(2));
                    record = back;
                }
                Err((source, _)) => return Err(StreamError::topic("write to", topic, &self.brokers, source)),
            }
        }
    }

    /// Returns once every record is acknowledged; an error if one was refused.
    pub fn flush(&self) -> Result<(), StreamError> {
        let flushed = self.inner.flush(Duration::from_secs(60));
        self.refused()?;
        flushed.map_err(|source| StreamError::NotAcknowledged {
            count: u64::try_from(self.inner.in_flight_count()).unwrap_or(0),
            source,
        })
    }

    fn refused(&self) -> Result<(), StreamError> {
        let context = self.inner.context();
        let count = context.refused.load(Ordering::SeqCst);
        if count == 0 {
            return Ok(());
        }
        let first = context.first.lock().ok().and_then(|first| first.clone());
        let source = first.unwrap_or(KafkaError::Flush(RDKafkaErrorCode::Fail));
        Err(StreamError::NotAcknowledged { count, source })
    }
}
