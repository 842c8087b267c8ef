//! Dead letters again: those that decode by now are sent to their topic once more, and marked; or are discarded.
//!
//! Sent through the topic, and not written into landing: the warehouse's mirrors and every other reader of the topic
//! missed the record too and would go on missing it, and landing keeps one writer per partition. What keeps it exactly
//! once is what keeps every second delivery so. The record carries the same change, so that however often it comes
//! landing keeps its identity once. Sent comes before marked: a kill in between leaves the letter open, the next
//! replay sends once more, and landing counts a repeat. The other order could lose the record.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use weir_core::failpoint;
use weir_core::name::TableName;
use weir_envelope::{Bounds, Decoder, RawRecord, Reject};
use weir_lake::Lake;
use weir_stream::{Header, Producer, StreamError};

use crate::decoding;
use crate::error::LandingError;
use crate::feed::Schemas;
use crate::handled::{self, Actor, Mark};
use crate::letters::{Chosen, Letter, LetterId, Letters, bytes, headers};
use crate::open::blocking;

/// The header that names the letter which a record was sent again for.
pub const ORIGIN: &str = "weir.replay.of";

/// Where records are sent again. All calls block.
pub trait Outlet: Send + 'static {
    /// Queues a record for a partition of the table's topic.
    fn send(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), StreamError>;
    /// Returns once all of them are acknowledged.
    fn flush(&mut self) -> Result<(), StreamError>;
}

/// A topic, written to by the Kafka client.
pub struct TopicOutlet {
    /// The client.
    pub producer: Producer,
    /// The topic.
    pub topic: String,
}

impl Outlet for TopicOutlet {
    fn send(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), StreamError> {
        self.producer.send(&self.topic, partition, key, value, headers)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.producer.flush()
    }
}

/// What became of the chosen letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Letters that were sent again, by the reason that they had.
    pub sent: BTreeMap<String, u64>,
    /// Letters that still do not decode and stay open, by the reason of today.
    pub still: BTreeMap<String, u64>,
}

/// Sends the chosen letters that decode by now to their topic again.
pub async fn replay<S: Schemas, O: Outlet>(
    table: &weir_project::Table,
    lake: &Lake,
    chosen: &Chosen,
    by: &str,
    (schemas, outlet): (S, O),
) -> Result<Replayed, LandingError> {
    let mut done = Replayed::default();
    let letters = Letters::open(lake, &table.name).await?;
    letters.refuse_unknown(chosen).await?;
    let letters = Arc::new(letters);
    let mut again = Again { decoder: Decoder::new(Bounds::default()), schemas, outlet };
    let mut reading = letters.content()?;
    while let Some(batch) = reading.next().await {
        let batch = batch.map_err(|source| LandingError::Lake { table: table.name.clone(), source })?;
        let (table_of, letters, chosen) = (table.clone(), letters.clone(), chosen.clone());
        let work = move || {
            let sent = again.batch(&table_of, &letters, &chosen, &batch);
            (again, sent)
        };
        let (back, tried) = blocking(&table.name, work).await?;
        again = back;
        let Tried { sent, still } = tried?;
        if !sent.is_empty() {
            failpoint::hit("dlq.sent");
        }
        let ids: Vec<LetterId> = sent.iter().map(|letter| letter.id.clone()).collect();
        let actor = Actor { by: by.to_owned(), at: chrono::Utc::now().timestamp_micros() };
        handled::mark(lake, &table.name, &ids, &Mark::Replayed { actor }).await?;
        for letter in sent {
            *done.sent.entry(letter.reason).or_default() += 1;
        }
        for reject in still {
            *done.still.entry(reject.reason().to_owned()).or_default() += 1;
        }
    }
    Ok(done)
}

/// Marks the chosen letters as not to be replayed; how many. Deletes nothing.
pub async fn discard(
    table: &TableName,
    lake: &Lake,
    chosen: &Chosen,
    by: &str,
    because: &str,
) -> Result<u64, LandingError> {
    let letters = Letters::open(lake, table).await?;
    letters.refuse_unknown(chosen).await?;
    let mut ids = Vec::new();
    letters
        .each(|letter| {
            if letter.mark.is_none() && chosen.has(&letter) {
                ids.push(letter.id);
            }
        })
        .await?;
    let actor = Actor { by: by.to_owned(), at: chrono::Utc::now().timestamp_micros() };
    handled::mark(lake, table, &ids, &Mark::Discarded { actor, because: because.to_owned() }).await?;
    Ok(ids.len() as u64)
}

struct Again<S, O> {
    decoder: Decoder,
    schemas: S,
    outlet: O,
}

struct Tried {
    sent: Vec<Letter>,
    still: Vec<Reject>,
}

impl<S: Schemas, O: Outlet> Again<S, O> {
    /// Decodes the chosen letters of a batch, sends those that decode, and waits until they are acknowledged.
    fn batch(
        &mut self,
        table: &weir_project::Table,
        letters: &Letters,
        chosen: &Chosen,
        batch: &RecordBatch,
    ) -> Result<Tried, LandingError> {
        let picked: Vec<(usize, Letter)> = letters.in_batch(batch).filter(|(_, letter)| chosen.has(letter)).collect();
        let raw = picked.iter().map(|(row, letter)| RawRecord {
            partition: letter.id.partition,
            offset: letter.id.offset,
            timestamp_ms: letter.timestamp.map_or(-1, |us| us / 1000),
            key: bytes(batch, "key", *row),
            value: bytes(batch, "value", *row),
        });
        let raw: Vec<RawRecord<'_>> = raw.collect();
        decoding::learn(&mut self.decoder, &self.schemas, &table.name, &raw)?;
        let rejects = self.decoder.decode(table, &raw).rejects;
        let failed = |source| LandingError::Stream { table: table.name.clone(), source: Box::new(source) };
        let mut tried = Tried { sent: Vec::new(), still: rejects.iter().map(|(_, reject)| *reject).collect() };
        for (at, (row, letter)) in picked.into_iter().enumerate() {
            if rejects.binary_search_by_key(&at, |(rejected, _)| *rejected).is_ok() {
                continue;
            }
            let (origin, given) = (letter.id.to_string(), headers(batch, row));
            let mut list: Vec<Header<'_>> = given.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
            list.push((ORIGIN, Some(origin.as_bytes())));
            let RawRecord { partition, key, value, .. } = raw[at];
            self.outlet.send(partition, key, value, &list).map_err(failed)?;
            tried.sent.push(letter);
        }
        self.outlet.flush().map_err(failed)?;
        Ok(tried)
    }
}
