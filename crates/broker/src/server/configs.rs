//! DescribeConfigs, IncrementalAlterConfigs, AlterConfigs: topics only, since the broker itself has no settings
//! that a client could change.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as AlterAllResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::admin::{DEFAULT, SET_ON_TOPIC};
use super::text;
use crate::broker::Shared;
use crate::log::config::{KNOWN, Known, TYPE_INT, TopicConfig};
use crate::topics::{MOST_PARTITIONS, Topic};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Tells the settings in force.
pub(super) fn describe(shared: &Shared, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|asked| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        match asked.resource_type {
            TOPIC => match shared.topics.get(&asked.resource_name) {
                Some(topic) => answer.with_configs(of_topic(&topic.config(), asked, request)),
                None => answer
                    .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                    .with_error_message(Some(text("no such topic"))),
            },
            BROKER => answer.with_configs(of_broker(asked)),
            _ => answer
                .with_error_code(ResponseError::InvalidRequest.code())
                .with_error_message(Some(text("only topics and the broker have settings"))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn is_asked(asked: &DescribeConfigsResource, name: &str) -> bool {
    asked.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|k| k.as_str() == name))
}

fn of_topic(
    config: &TopicConfig,
    asked: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Vec<DescribeConfigsResourceResult> {
    let told = |known: &Known| {
        let (value, is_set) = config.value(known);
        let mut synonyms = Vec::new();
        if request.include_synonyms {
            let synonym = |value: String, source| {
                DescribeConfigsSynonym::default()
                    .with_name(text(known.name))
                    .with_value(Some(text(value)))
                    .with_source(source)
            };
            if is_set {
                synonyms.push(synonym(value.clone(), SET_ON_TOPIC));
            }
            synonyms.push(synonym(known.default.into(), DEFAULT));
        }
        DescribeConfigsResourceResult::default()
            .with_name(text(known.name))
            .with_value(Some(text(value)))
            .with_config_source(if is_set { SET_ON_TOPIC } else { DEFAULT })
            .with_synonyms(synonyms)
            .with_config_type(known.kind)
            .with_documentation(request.include_documentation.then(|| text(known.meaning)))
    };
    KNOWN.iter().filter(|k| is_asked(asked, k.name)).map(told).collect()
}

/// The broker's fixed limits, under the names that Kafka has for them.
fn of_broker(asked: &DescribeConfigsResource) -> Vec<DescribeConfigsResourceResult> {
    let fixed = [
        ("auto.create.topics.enable", "false".to_owned()),
        ("default.replication.factor", "1".to_owned()),
        ("max.partitions.per.topic", MOST_PARTITIONS.to_string()),
        ("num.partitions", "1".to_owned()),
    ];
    let told = |(name, value): (&'static str, String)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(DEFAULT)
            .with_config_type(TYPE_INT)
    };
    fixed.into_iter().filter(|(name, _)| is_asked(asked, name)).map(told).collect()
}

type Refusal = (ResponseError, String);

fn topic_of(shared: &Shared, kind: i8, name: &str) -> Result<Arc<Topic>, Refusal> {
    if kind != TOPIC {
        return Err((ResponseError::InvalidRequest, "only topics have settings that can be changed".into()));
    }
    shared.topics.get(name).ok_or_else(|| (ResponseError::UnknownTopicOrPartition, format!("no topic `{name}`")))
}

fn put(topic: &Topic, set: BTreeMap<String, String>, validate_only: bool) -> Result<(), Refusal> {
    let config = TopicConfig::parse(set).map_err(|e| (ResponseError::InvalidConfig, e.to_string()))?;
    if validate_only {
        return Ok(());
    }
    topic.configure(config).map_err(|error| {
        tracing::error!(%error, topic = topic.name, "could not write a topic's settings");
        (ResponseError::KafkaStorageError, error.to_string())
    })
}

/// What an operation of IncrementalAlterConfigs does to the settings.
fn apply(set: &mut BTreeMap<String, String>, change: &AlterableConfig) -> Result<(), Refusal> {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;
    let name = change.name.to_string();
    let value = change.value.as_ref().map(ToString::to_string);
    let is_list = name == "cleanup.policy";
    match (change.config_operation, value) {
        (DELETE, _) => drop(set.remove(&name)),
        (SET, Some(value)) => drop(set.insert(name, value)),
        (APPEND | SUBTRACT, Some(value)) if is_list => {
            let current = set.get(&name).cloned().unwrap_or_else(|| "delete".into());
            let mut parts: Vec<_> = current.split(',').map(|p| p.trim().to_owned()).collect();
            parts.retain(|p| *p != value);
            if change.config_operation == APPEND {
                parts.push(value);
            }
            set.insert(name, parts.join(","));
        }
        (APPEND | SUBTRACT, Some(_)) => {
            return Err((ResponseError::InvalidConfig, format!("`{name}` is no list")));
        }
        (_, None) => return Err((ResponseError::InvalidConfig, format!("`{name}` has no value"))),
        (other, _) => return Err((ResponseError::InvalidRequest, format!("no operation {other}"))),
    }
    Ok(())
}

/// Changes single settings.
pub(super) async fn alter_some(
    shared: &Arc<Shared>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let shared = Arc::clone(shared);
    let work = move || {
        let responses = request.resources.iter().map(|asked| {
            let change = || {
                let topic = topic_of(&shared, asked.resource_type, &asked.resource_name)?;
                let mut set = topic.config().set().clone();
                asked.configs.iter().try_for_each(|c| apply(&mut set, c))?;
                put(&topic, set, request.validate_only)
            };
            let answer = AlterConfigsResourceResponse::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name.clone());
            match change() {
                Ok(()) => answer,
                Err((error, why)) => answer.with_error_code(error.code()).with_error_message(Some(text(why))),
            }
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

/// Replaces all settings.
pub(super) async fn alter_all(shared: &Arc<Shared>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let shared = Arc::clone(shared);
    let work = move || {
        let responses = request.resources.iter().map(|asked| {
            let change = || {
                let topic = topic_of(&shared, asked.resource_type, &asked.resource_name)?;
                let named =
                    asked.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
                put(&topic, named.collect(), request.validate_only)
            };
            let answer = AlterAllResponse::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name.clone());
            match change() {
                Ok(()) => answer,
                Err((error, why)) => answer.with_error_code(error.code()).with_error_message(Some(text(why))),
            }
        });
        AlterConfigsResponse::default().with_responses(responses.collect())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}
