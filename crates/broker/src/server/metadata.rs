//! Metadata, DescribeCluster, FindCoordinator: a cluster of one, which leads and coordinates everything.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse,
};

use super::refuse::{NO_TRANSACTIONS, NO_TRANSACTIONS_TEXT};
use super::{NODE, text, topic_name};
use crate::broker::Shared;
use crate::topics::{Topic, is_topic_name};

fn host(shared: &Shared) -> String {
    shared.address.ip().to_string()
}

fn port(shared: &Shared) -> i32 {
    shared.address.port().into()
}

/// Tells about topics: all, or those asked for. A topic is never made by asking for it.
pub(super) fn metadata(shared: &Shared, version: i16, request: &MetadataRequest) -> MetadataResponse {
    let topics = match &request.topics {
        None => shared.topics.all().iter().map(|t| told(shared, t)).collect(),
        Some(asked) if version == 0 && asked.is_empty() => {
            shared.topics.all().iter().map(|t| told(shared, t)).collect()
        }
        Some(asked) => asked.iter().map(|a| tell(shared, a)).collect(),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE))
        .with_host(text(host(shared)))
        .with_port(port(shared));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(shared.state.cluster_id.clone())))
        .with_controller_id(BrokerId(NODE))
        .with_topics(topics)
}

fn tell(shared: &Shared, asked: &MetadataRequestTopic) -> MetadataResponseTopic {
    let failed = |error: ResponseError| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(asked.name.clone())
            .with_topic_id(asked.topic_id)
    };
    match &asked.name {
        Some(name) => match shared.topics.get(name) {
            Some(topic) => told(shared, &topic),
            None if is_topic_name(name) => failed(ResponseError::UnknownTopicOrPartition),
            None => failed(ResponseError::InvalidTopicException),
        },
        None => match shared.topics.by_id(asked.topic_id) {
            Some(topic) => told(shared, &topic),
            None => failed(ResponseError::UnknownTopicId),
        },
    }
}

fn told(shared: &Shared, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE))
            .with_leader_epoch(shared.state.leader_epoch)
            .with_replica_nodes(vec![BrokerId(NODE)])
            .with_isr_nodes(vec![BrokerId(NODE)])
    };
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_partitions((0..topic.count()).map(partition).collect())
}

/// Tells about the cluster.
pub(super) fn describe_cluster(shared: &Shared) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE))
        .with_host(text(host(shared)))
        .with_port(port(shared));
    DescribeClusterResponse::default()
        .with_cluster_id(text(shared.state.cluster_id.clone()))
        .with_controller_id(BrokerId(NODE))
        .with_brokers(vec![broker])
}

const GROUP: i8 = 0;

/// Names the coordinator of groups: this broker. There is none for transactions.
pub(super) fn find_coordinator(
    shared: &Shared,
    version: i16,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let is_group = request.key_type == GROUP;
    if version >= 4 {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let found = Coordinator::default().with_key(key.clone());
            if is_group {
                found.with_node_id(BrokerId(NODE)).with_host(text(host(shared))).with_port(port(shared))
            } else {
                found
                    .with_node_id(BrokerId(-1))
                    .with_port(-1)
                    .with_error_code(NO_TRANSACTIONS.code())
                    .with_error_message(Some(text(NO_TRANSACTIONS_TEXT)))
            }
        });
        return FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
    }
    let response = FindCoordinatorResponse::default();
    if is_group {
        response.with_node_id(BrokerId(NODE)).with_host(text(host(shared))).with_port(port(shared))
    } else {
        response
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(NO_TRANSACTIONS.code())
            .with_error_message(Some(text(NO_TRANSACTIONS_TEXT)))
    }
}
