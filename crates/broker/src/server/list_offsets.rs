//! ListOffsets (by place and by arrival time) and OffsetForLeaderEpoch.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use super::check_epoch;
use crate::broker::Shared;
use crate::locked;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST_RECORD: i64 = -3;

/// An offset, its record's arrival (-1: not asked for) and its epoch.
type Found = (i64, i64, i32);

/// Finds the offsets.
pub(super) async fn list_offsets(shared: &Arc<Shared>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let working = Arc::clone(shared);
    let answer = tokio::task::spawn_blocking(move || {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| answer(p, find(&working, &topic.name, p)));
            ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    });
    answer.await.unwrap_or_default()
}

fn answer(asked: &ListOffsetsPartition, found: Result<Found, ResponseError>) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
    match found {
        Ok((offset, timestamp, epoch)) => {
            let response = response.with_offset(offset).with_timestamp(timestamp);
            // Versions below 4 have no epoch; those send -1 for the one they believe in, too.
            if asked.current_leader_epoch >= 0 { response.with_leader_epoch(epoch) } else { response }
        }
        Err(error) => response.with_error_code(error.code()).with_offset(-1).with_timestamp(-1),
    }
}

fn find(shared: &Shared, topic: &str, asked: &ListOffsetsPartition) -> Result<Found, ResponseError> {
    let topic = shared.topics.get(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let log = topic.partition(asked.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    check_epoch(shared, asked.current_leader_epoch)?;
    let stretch = {
        let log = locked(&log);
        match asked.timestamp {
            LATEST => return Ok((log.next_offset(), -1, shared.state.leader_epoch)),
            EARLIEST => return Ok((log.start_offset(), -1, log.first_epoch())),
            NEWEST_RECORD => {
                let newest = log.last_arrival().map(|ms| (log.next_offset() - 1, ms, log.last_epoch()));
                return Ok(newest.unwrap_or((-1, -1, -1)));
            }
            ms if ms >= 0 => log.stretch_at(ms),
            _ => return Err(ResponseError::UnsupportedVersion),
        }
    };
    let Some(stretch) = stretch else { return Ok((-1, -1, -1)) };
    // Every record of a batch arrived with it, so the first of them is the one.
    match stretch.find(|header| header.max_timestamp >= asked.timestamp) {
        Ok(Some(header)) => Ok((header.base_offset, header.max_timestamp, header.leader_epoch)),
        Ok(None) => Ok((-1, -1, -1)),
        Err(error) => {
            tracing::error!(%error, topic = topic.name, "could not search the log");
            Err(ResponseError::KafkaStorageError)
        }
    }
}

/// Where the records of an epoch end: how a client finds out that what it had read is gone.
pub(super) fn end_of_epoch(shared: &Shared, request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|asked| {
        let topic = shared.topics.get(&asked.topic);
        let partitions = asked.partitions.iter().map(|p| {
            let response = EpochEndOffset::default().with_partition(p.partition);
            let Some(log) = topic.as_ref().and_then(|t| t.partition(p.partition)) else {
                return response.with_error_code(ResponseError::UnknownTopicOrPartition.code());
            };
            if let Err(error) = check_epoch(shared, p.current_leader_epoch) {
                return response.with_error_code(error.code());
            }
            match locked(&log).end_of_epoch(p.leader_epoch) {
                Some((epoch, end)) => response.with_leader_epoch(epoch).with_end_offset(end),
                None => response,
            }
        });
        OffsetForLeaderTopicResult::default().with_topic(asked.topic.clone()).with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
