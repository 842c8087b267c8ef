//! Fetch: whole batches from an offset on; waits until there are enough bytes or the time is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::check_epoch;
use crate::broker::Shared;
use crate::locked;
use crate::topics::Topic;

/// From this version on topics are named by id.
const BY_ID: i16 = 13;
/// What one answer holds at most, whatever the client asks for.
const LARGEST_ANSWER: usize = 64 << 20;
/// Read committed.
const COMMITTED: i8 = 1;

/// Answers with what there is, or waits for it.
pub(super) async fn fetch(shared: &Arc<Shared>, version: i16, request: FetchRequest) -> FetchResponse {
    if request.session_id != 0 {
        // No sessions are kept: the client falls back to whole requests.
        return FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let wait = Duration::from_millis(request.max_wait_ms.max(0).unsigned_abs().into());
    let deadline = tokio::time::Instant::now() + wait;
    let mut appended = shared.appended.subscribe();
    while !is_enough(shared, version, &request) {
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => break,
            () = shared.stop.cancelled() => break,
            changed = appended.changed() => if changed.is_err() { break },
        }
    }
    let working = Arc::clone(shared);
    let answer = tokio::task::spawn_blocking(move || read_all(&working, version, &request)).await;
    answer.unwrap_or_else(|error| {
        tracing::error!(%error, "a fetch ended early");
        FetchResponse::default().with_error_code(ResponseError::UnknownServerError.code())
    })
}

fn topic_of(shared: &Shared, version: i16, asked: &FetchTopic) -> Result<Arc<Topic>, ResponseError> {
    if version >= BY_ID {
        shared.topics.by_id(asked.topic_id).ok_or(ResponseError::UnknownTopicId)
    } else {
        shared.topics.get(&asked.topic).ok_or(ResponseError::UnknownTopicOrPartition)
    }
}

/// True when there is an error to tell, or about as many bytes as were asked for: counted by index entries,
/// so up to one of them too many.
fn is_enough(shared: &Shared, version: i16, request: &FetchRequest) -> bool {
    let wanted = u64::from(request.min_bytes.max(0).unsigned_abs());
    let mut found = 0;
    for asked in &request.topics {
        let Ok(topic) = topic_of(shared, version, asked) else { return true };
        for p in &asked.partitions {
            let Some(log) = topic.partition(p.partition) else { return true };
            let log = locked(&log);
            let outside = p.fetch_offset < log.start_offset() || p.fetch_offset > log.next_offset();
            if outside || check_epoch(shared, p.current_leader_epoch).is_err() {
                return true;
            }
            found += log.bytes_from(p.fetch_offset);
        }
    }
    found >= wanted
}

/// What may still go into an answer.
struct Room {
    left: usize,
    empty: bool,
}

fn read_all(shared: &Shared, version: i16, request: &FetchRequest) -> FetchResponse {
    let most = usize::try_from(request.max_bytes).unwrap_or(0).min(LARGEST_ANSWER);
    let mut room = Room { left: most, empty: true };
    let mut answers = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let topic = topic_of(shared, version, asked);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for p in &asked.partitions {
            let data = match &topic {
                Ok(topic) => read_partition(shared, topic, p, &mut room),
                Err(error) => failed(p.partition, *error),
            };
            let aborted = (request.isolation_level == COMMITTED).then(Vec::new);
            partitions.push(data.with_aborted_transactions(aborted));
        }
        let answer = FetchableTopicResponse::default().with_partitions(partitions);
        answers.push(if version >= BY_ID {
            answer.with_topic_id(asked.topic_id)
        } else {
            answer.with_topic(asked.topic.clone())
        });
    }
    FetchResponse::default().with_responses(answers)
}

fn failed(partition: i32, error: ResponseError) -> PartitionData {
    PartitionData::default().with_partition_index(partition).with_error_code(error.code()).with_high_watermark(-1)
}

fn read_partition(shared: &Shared, topic: &Topic, asked: &FetchPartition, room: &mut Room) -> PartitionData {
    let Some(log) = topic.partition(asked.partition) else {
        return failed(asked.partition, ResponseError::UnknownTopicOrPartition);
    };
    if let Err(error) = check_epoch(shared, asked.current_leader_epoch) {
        return failed(asked.partition, error);
    }
    let most = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(room.left);
    let (start, end, stretch) = {
        let log = locked(&log);
        (log.start_offset(), log.next_offset(), log.stretch(asked.fetch_offset, most))
    };
    let mut data = PartitionData::default()
        .with_partition_index(asked.partition)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_log_start_offset(start);
    if asked.fetch_offset < start || asked.fetch_offset > end {
        return data.with_error_code(ResponseError::OffsetOutOfRange.code());
    }
    let Some(stretch) = stretch.filter(|_| room.empty || room.left > 0) else { return data };
    // The first batch goes out whatever its size, or a reader with small limits would never get past it.
    match if room.empty { stretch.read_at_least_one() } else { stretch.read() } {
        Ok(records) => {
            room.left = room.left.saturating_sub(records.len());
            room.empty &= records.is_empty();
            data.records = Some(records);
        }
        Err(error) => {
            tracing::error!(%error, topic = topic.name, partition = asked.partition, "could not read the log");
            data.error_code = ResponseError::KafkaStorageError.code();
            data.records = Some(Bytes::new());
        }
    }
    data
}
