//! Produce and InitProducerId.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

use super::refuse::{NO_TRANSACTIONS, NO_TRANSACTIONS_TEXT};
use super::text;
use crate::broker::Shared;
use crate::locked;
use crate::log::batch::BadBatch;
use crate::log::partition::AppendError;
use crate::topics::Topic;

/// Appends; none when the producer wants no answer.
pub(super) async fn produce(shared: &Arc<Shared>, request: ProduceRequest) -> Option<ProduceResponse> {
    let acks = request.acks;
    let working = Arc::clone(shared);
    let answer = tokio::task::spawn_blocking(move || append_all(&working, request)).await;
    shared.appended.send_modify(|n| *n = n.wrapping_add(1));
    let answer = answer.unwrap_or_else(|error| {
        tracing::error!(%error, "a produce request ended early");
        ProduceResponse::default()
    });
    (acks != 0).then_some(answer)
}

fn append_all(shared: &Shared, request: ProduceRequest) -> ProduceResponse {
    let refused = if request.transactional_id.is_some() {
        Some((NO_TRANSACTIONS, NO_TRANSACTIONS_TEXT))
    } else if !(-1..=1).contains(&request.acks) {
        Some((ResponseError::InvalidRequiredAcks, "acks is -1, 0 or 1"))
    } else {
        None
    };
    let topics = request.topic_data.into_iter().map(|data| {
        let topic = shared.topics.get(&data.name);
        let partitions = data.partition_data.into_iter().map(|p| match refused {
            Some((error, why)) => failed(p.index, error, why),
            None => append(shared, topic.as_deref(), p),
        });
        TopicProduceResponse::default().with_partition_responses(partitions.collect()).with_name(data.name)
    });
    ProduceResponse::default().with_responses(topics.collect())
}

fn failed(index: i32, error: ResponseError, why: impl Into<String>) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(error.code())
        .with_base_offset(-1)
        .with_error_message(Some(text(why)))
}

fn append(shared: &Shared, topic: Option<&Topic>, data: PartitionProduceData) -> PartitionProduceResponse {
    let Some((topic, log)) = topic.and_then(|t| Some((t, t.partition(data.index)?))) else {
        return failed(data.index, ResponseError::UnknownTopicOrPartition, "no such topic or partition");
    };
    let config = topic.config();
    let records = data.records.unwrap_or_default();
    let mut log = locked(&log);
    match log.append(&records, &config, shared.clock.now_ms()) {
        Ok(done) => PartitionProduceResponse::default()
            .with_index(data.index)
            .with_base_offset(done.base_offset)
            .with_log_append_time_ms(done.arrived_ms)
            .with_log_start_offset(log.start_offset()),
        Err(error) => {
            if let AppendError::Storage(source) = &error {
                tracing::error!(%source, topic = topic.name, partition = data.index, "could not append");
            }
            failed(data.index, wire_error(&error), error.to_string())
        }
    }
}

fn wire_error(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Bad(BadBatch::Short | BadBatch::Checksum) => ResponseError::CorruptMessage,
        AppendError::Bad(BadBatch::Format) => ResponseError::UnsupportedForMessageFormat,
        AppendError::Bad(BadBatch::Count | BadBatch::Several | BadBatch::Control) => ResponseError::InvalidRecord,
        AppendError::Bad(BadBatch::Codec) => ResponseError::UnsupportedCompressionType,
        AppendError::Bad(BadBatch::Transactional) => NO_TRANSACTIONS,
        AppendError::TooLarge { .. } => ResponseError::MessageTooLarge,
        AppendError::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
        AppendError::StaleEpoch => ResponseError::InvalidProducerEpoch,
        AppendError::Storage(_) => ResponseError::KafkaStorageError,
    }
}

/// Gives an idempotent producer its id.
pub(super) fn init_producer_id(shared: &Shared, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        return refused(NO_TRANSACTIONS);
    }
    match shared.state.producer_id() {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => {
            tracing::error!(%error, "could not note a producer id");
            refused(ResponseError::KafkaStorageError)
        }
    }
}
