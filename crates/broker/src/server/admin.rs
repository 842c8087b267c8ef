//! CreateTopics, DeleteTopics, CreatePartitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse,
};
use uuid::Uuid;

use super::{NODE, text, topic_name};
use crate::broker::Shared;
use crate::log::config::{KNOWN, TopicConfig};
use crate::topics::{Topic, TopicError};

/// Source of a setting, in Kafka's numbers.
pub(super) const SET_ON_TOPIC: i8 = 1;
/// The same, when nobody has set it.
pub(super) const DEFAULT: i8 = 5;

/// An error on the wire with its reason.
type Refusal = (ResponseError, String);

fn refusal(error: &TopicError) -> Refusal {
    let wire = match error {
        TopicError::Exists(_) => ResponseError::TopicAlreadyExists,
        TopicError::Name(_) => ResponseError::InvalidTopicException,
        TopicError::Partitions(_) | TopicError::Fewer { .. } => ResponseError::InvalidPartitions,
        TopicError::Storage(_) | TopicError::Open(_) => ResponseError::KafkaStorageError,
    };
    if wire == ResponseError::KafkaStorageError {
        tracing::error!(error = %chain(error), "could not change a topic");
    }
    (wire, chain(error))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        out = format!("{out}: {source}");
        next = source.source();
    }
    out
}

/// Makes topics.
pub(super) async fn create_topics(
    shared: &Arc<Shared>,
    version: i16,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let shared = Arc::clone(shared);
    let work = move || {
        let topics = request.topics.iter().map(|asked| {
            let answer = CreatableTopicResult::default().with_name(asked.name.clone());
            match create(&shared, asked, request.validate_only) {
                Ok(made) => answered(answer, version, &made),
                Err((error, why)) => answer
                    .with_error_code(error.code())
                    .with_error_message(Some(text(why)))
                    .with_num_partitions(-1)
                    .with_replication_factor(-1),
            }
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

struct Made {
    id: Uuid,
    partitions: i32,
    config: TopicConfig,
}

fn create(shared: &Shared, asked: &CreatableTopic, validate_only: bool) -> Result<Made, Refusal> {
    if !matches!(asked.replication_factor, -1 | 1) {
        return Err((ResponseError::InvalidReplicationFactor, "one broker keeps one copy: use 1".into()));
    }
    let partitions = if asked.assignments.is_empty() {
        if asked.num_partitions == -1 { 1 } else { asked.num_partitions }
    } else {
        if asked.assignments.iter().any(|a| a.broker_ids.len() != 1 || a.broker_ids[0].0 != NODE) {
            return Err((ResponseError::InvalidReplicaAssignment, format!("there is one broker, {NODE}")));
        }
        i32::try_from(asked.assignments.len()).unwrap_or(i32::MAX)
    };
    let mut set = BTreeMap::new();
    for config in &asked.configs {
        let name = config.name.to_string();
        let Some(value) = &config.value else {
            return Err((ResponseError::InvalidConfig, format!("`{name}` has no value")));
        };
        set.insert(name, value.to_string());
    }
    let config = TopicConfig::parse(set).map_err(|e| (ResponseError::InvalidConfig, e.to_string()))?;
    shared.topics.check_new(&asked.name, partitions).map_err(|e| refusal(&e))?;
    let id = if validate_only {
        Uuid::nil()
    } else {
        shared.topics.create(&asked.name, partitions, config.clone()).map_err(|e| refusal(&e))?.id
    };
    Ok(Made { id, partitions, config })
}

fn answered(answer: CreatableTopicResult, version: i16, made: &Made) -> CreatableTopicResult {
    let answer = answer.with_topic_id(made.id).with_num_partitions(made.partitions).with_replication_factor(1);
    if version < 5 {
        return answer;
    }
    let configs = KNOWN.iter().map(|known| {
        let (value, is_set) = made.config.value(known);
        CreatableTopicConfigs::default()
            .with_name(text(known.name))
            .with_value(Some(text(value)))
            .with_config_source(if is_set { SET_ON_TOPIC } else { DEFAULT })
    });
    answer.with_configs(Some(configs.collect()))
}

/// Deletes topics, and the groups' positions in them.
pub(super) async fn delete_topics(
    shared: &Arc<Shared>,
    version: i16,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let shared = Arc::clone(shared);
    let work = move || {
        let named = |name: &str| shared.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition);
        let responses = if version >= 6 {
            let each = request.topics.iter().map(|asked| {
                let found = match &asked.name {
                    Some(name) => named(name),
                    None => shared.topics.by_id(asked.topic_id).ok_or(ResponseError::UnknownTopicId),
                };
                let answer = DeletableTopicResult::default()
                    .with_name(found.as_ref().map(|t| topic_name(&t.name)).ok().or_else(|| asked.name.clone()))
                    .with_topic_id(found.as_ref().map_or(asked.topic_id, |t| t.id));
                deleted(&shared, answer, found)
            });
            each.collect()
        } else {
            let each = request.topic_names.iter().map(|name| {
                deleted(&shared, DeletableTopicResult::default().with_name(Some(name.clone())), named(name))
            });
            each.collect()
        };
        DeleteTopicsResponse::default().with_responses(responses)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

fn deleted(
    shared: &Shared,
    answer: DeletableTopicResult,
    found: Result<Arc<Topic>, ResponseError>,
) -> DeletableTopicResult {
    let topic = match found {
        Ok(topic) => topic,
        Err(error) => return answer.with_error_code(error.code()),
    };
    let outcome = shared.topics.delete(&topic.name).and_then(|_| Ok(shared.groups.forget_topic(&topic.name)?));
    // Readers that wait for more learn that there is no more.
    shared.appended.send_modify(|n| *n = n.wrapping_add(1));
    match outcome {
        Ok(()) => answer,
        Err(error) => {
            let (error, why) = refusal(&error);
            answer.with_error_code(error.code()).with_error_message(Some(text(why)))
        }
    }
}

/// Adds partitions.
pub(super) async fn create_partitions(
    shared: &Arc<Shared>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let shared = Arc::clone(shared);
    let work = move || {
        let results = request.topics.iter().map(|asked| {
            let answer = CreatePartitionsTopicResult::default().with_name(asked.name.clone());
            match grow(&shared, asked, request.validate_only) {
                Ok(()) => answer,
                Err((error, why)) => answer.with_error_code(error.code()).with_error_message(Some(text(why))),
            }
        });
        CreatePartitionsResponse::default().with_results(results.collect())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

fn grow(shared: &Shared, asked: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    let unknown = || (ResponseError::UnknownTopicOrPartition, format!("no topic `{}`", asked.name.0));
    let topic = shared.topics.get(&asked.name).ok_or_else(unknown)?;
    if validate_only {
        let has = topic.count();
        let fewer = TopicError::Fewer { name: topic.name.clone(), has };
        return if asked.count > has { Ok(()) } else { Err(refusal(&fewer)) };
    }
    topic.grow(asked.count, shared.state.leader_epoch).map_err(|e| refusal(&e))
}
