//! Topics: made with the wanted partitions and retention, listed, deleted.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::aws::Tokens;
use crate::connection::{Connection, REQUEST};
use crate::error::StreamError;

const RETENTION: &str = "retention.ms";

/// A topic and its number of partitions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
}

/// The administrator's client.
pub struct Admin {
    inner: AdminClient<DefaultClientContext>,
    brokers: String,
    /// Nobody polls this client: it gets its tokens before it asks.
    tokens: Tokens,
}

impl Admin {
    /// Connects.
    pub fn new(connection: &Connection) -> Result<Self, StreamError> {
        let inner = connection.config(&[])?.create().map_err(|source| StreamError::Settings { source })?;
        Ok(Self { inner, brokers: connection.brokers()?, tokens: connection.tokens() })
    }

    /// Topics of the cluster, by name; internal ones left out.
    pub fn topics(&self) -> Result<Vec<TopicInfo>, StreamError> {
        self.tokens.ensure(self.inner.inner())?;
        let metadata = self.inner.inner().fetch_metadata(None, REQUEST);
        let metadata = metadata.map_err(|source| StreamError::topic("list", "*", &self.brokers, source))?;
        let mut topics: Vec<TopicInfo> = metadata
            .topics()
            .iter()
            .filter(|topic| !topic.name().starts_with("__"))
            .map(|topic| TopicInfo { name: topic.name().to_owned(), partitions: topic.partitions().len() })
            .collect();
        topics.sort();
        Ok(topics)
    }

    /// Makes the topic unless it is there; one that is there must have as many partitions, and keeps its records for
    /// at least as long afterwards. Never shortens what a topic keeps: that would delete records.
    /// Retention counts from arrival: the broker stamps each record. Replication is the cluster's default.
    pub async fn ensure_topic(&self, name: &str, partitions: i32, retention: Duration) -> Result<(), StreamError> {
        self.tokens.ensure(self.inner.inner())?;
        let milliseconds = retention.as_millis().to_string();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1))
            .set(RETENTION, &milliseconds)
            .set("message.timestamp.type", "LogAppendTime")
            .set("cleanup.policy", "delete");
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        let answers = self.inner.create_topics([&topic], &options).await;
        let answers = answers.map_err(|source| StreamError::topic("create", name, &self.brokers, source))?;
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {
                    self.compare(name, partitions)?;
                    self.lengthen(name, retention).await?;
                }
                Err((_, code)) => {
                    let source = KafkaError::AdminOp(code);
                    return Err(StreamError::topic("create", name, &self.brokers, source));
                }
            }
        }
        Ok(())
    }

    fn compare(&self, name: &str, wanted: i32) -> Result<(), StreamError> {
        let found = self.topics()?.into_iter().find(|topic| topic.name == name).map_or(0, |topic| topic.partitions);
        if usize::try_from(wanted).is_ok_and(|wanted| wanted == found) {
            Ok(())
        } else {
            Err(StreamError::Partitions { topic: name.to_owned(), found, wanted })
        }
    }

    /// Raises an existing topic's retention to the wanted one.
    async fn lengthen(&self, name: &str, wanted: Duration) -> Result<(), StreamError> {
        let wanted = i64::try_from(wanted.as_millis()).unwrap_or(i64::MAX);
        let found = self.settings(name).await?;
        let kept = found.get(RETENTION).and_then(|entry| entry.value.as_deref()).and_then(|value| value.parse().ok());
        match kept {
            // Below 0 is for ever.
            Some(kept) if (0..wanted).contains(&kept) => {}
            Some(kept) if kept != wanted => {
                tracing::warn!(topic = name, kept, wanted, "the topic keeps records for longer than the project says");
                return Ok(());
            }
            _ => return Ok(()),
        }
        // The request replaces all settings of the topic: those that were set go along.
        let milliseconds = wanted.to_string();
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(RETENTION, &milliseconds);
        for entry in &found.entries {
            if let (ConfigSource::DynamicTopic, Some(value)) = (&entry.source, &entry.value)
                && entry.name != RETENTION
            {
                change = change.set(&entry.name, value);
            }
        }
        let failed = |source| StreamError::topic("lengthen the retention of", name, &self.brokers, source);
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        for answer in self.inner.alter_configs([&change], &options).await.map_err(failed)? {
            answer.map_err(|(_, code)| failed(KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }

    async fn settings(&self, name: &str) -> Result<ConfigResource, StreamError> {
        let failed = |source| StreamError::topic("describe", name, &self.brokers, source);
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let answers = self.inner.describe_configs([&ResourceSpecifier::Topic(name)], &options).await.map_err(failed)?;
        let answer = answers.into_iter().next().unwrap_or(Err(RDKafkaErrorCode::UnknownTopicOrPartition));
        answer.map_err(|code| failed(KafkaError::AdminOp(code)))
    }

    /// Deletes a topic with all its records.
    pub async fn delete_topic(&self, name: &str) -> Result<(), StreamError> {
        self.tokens.ensure(self.inner.inner())?;
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let answers = self.inner.delete_topics(&[name], &options).await;
        let answers = answers.map_err(|source| StreamError::topic("delete", name, &self.brokers, source))?;
        for answer in answers {
            if let Err((_, code)) = answer {
                return Err(StreamError::topic("delete", name, &self.brokers, KafkaError::AdminOp(code)));
            }
        }
        Ok(())
    }
}
