//! Transactions do not exist here. They are not offered in ApiVersions; a client that asks all the same
//! gets the protocol's own error, in the shape of the request that it sent.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey,
    EndTxnRequest, EndTxnResponse, RequestHeader, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::Decodable;

const ERROR: i16 = ResponseError::UnsupportedVersion.code();

/// What is told to a client that has a name for its transactions. Clients treat this error as final; with
/// `CoordinatorNotAvailable` or the like they would try for ever.
pub(super) const NO_TRANSACTIONS: ResponseError = ResponseError::TransactionalIdAuthorizationFailed;
/// The same in words.
pub(super) const NO_TRANSACTIONS_TEXT: &str =
    "transactions are not supported by the embedded broker; use Apache Kafka or Amazon MSK";

/// A refusal in the shape that the client expects.
#[derive(Debug)]
pub(super) enum Answer {
    AddPartitions(AddPartitionsToTxnResponse),
    AddOffsets(AddOffsetsToTxnResponse),
    OffsetCommit(TxnOffsetCommitResponse),
    End(EndTxnResponse),
}

/// The refusal of a transactional request and its correlation id; none for anything else.
pub(super) fn transactional(key: i16, version: i16, mut frame: Bytes) -> Option<(i32, Answer)> {
    let api = ApiKey::try_from(key).ok()?;
    let header = RequestHeader::decode(&mut frame, api.request_header_version(version)).ok()?;
    let answer = match api {
        ApiKey::AddPartitionsToTxn if version <= 3 => {
            Answer::AddPartitions(add_partitions(&AddPartitionsToTxnRequest::decode(&mut frame, version).ok()?))
        }
        // Between brokers only.
        ApiKey::AddPartitionsToTxn => {
            Answer::AddPartitions(AddPartitionsToTxnResponse::default().with_error_code(ERROR))
        }
        ApiKey::AddOffsetsToTxn => {
            AddOffsetsToTxnRequest::decode(&mut frame, version).ok()?;
            Answer::AddOffsets(AddOffsetsToTxnResponse::default().with_error_code(ERROR))
        }
        ApiKey::TxnOffsetCommit => {
            Answer::OffsetCommit(offset_commit(&TxnOffsetCommitRequest::decode(&mut frame, version).ok()?))
        }
        ApiKey::EndTxn => {
            EndTxnRequest::decode(&mut frame, version).ok()?;
            Answer::End(EndTxnResponse::default().with_error_code(ERROR))
        }
        _ => return None,
    };
    Some((header.correlation_id, answer))
}

fn add_partitions(request: &AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let partition = |index: &i32| {
        AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(ERROR)
    };
    let topics = request.v3_and_below_topics.iter().map(|topic| {
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(topic.partitions.iter().map(partition).collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
}

fn offset_commit(request: &TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partition = |p: &kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition| {
            TxnOffsetCommitResponsePartition::default().with_partition_index(p.partition_index).with_error_code(ERROR)
        };
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partitions.iter().map(partition).collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
