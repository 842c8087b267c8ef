//! What can go wrong between Weir and the stream. No variant holds a record's content.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use weir_core::diagnosis::{Code, Diagnose, Diagnosed, Diagnosis, Retry};
use weir_core::schema_id::SchemaId;

/// Why the stream did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// librdkafka refused its settings.
    #[error("the Kafka client refused its settings")]
    Settings {
        /// librdkafka's error.
        source: KafkaError,
    },
    /// No broker answered in time.
    #[error("the brokers at `{brokers}` did not answer")]
    Unreachable {
        /// The bootstrap list.
        brokers: String,
        /// librdkafka's error.
        source: KafkaError,
    },
    /// A request that a broker answered with an error.
    #[error("could not {action} topic `{topic}`")]
    Topic {
        /// What was tried, e.g. `read`.
        action: &'static str,
        /// The topic.
        topic: String,
        /// librdkafka's error.
        source: KafkaError,
    },
    /// The topic is not there.
    #[error("topic `{topic}` does not exist")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// A topic that exists has another number of partitions than the project says.
    #[error("topic `{topic}` has {found} partitions, the project says {wanted}")]
    Partitions {
        /// The topic.
        topic: String,
        /// Partitions there.
        found: usize,
        /// Partitions wanted.
        wanted: i32,
    },
    /// The position to read from is outside what the partition holds.
    #[error("topic `{topic}` partition {partition} holds offsets {low} to {high}, not {wanted}")]
    OffsetGone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        wanted: i64,
        /// First offset still held.
        low: i64,
        /// Offset of the next record to come.
        high: i64,
    },
    /// A record was not acknowledged.
    #[error("{count} records were not acknowledged")]
    NotAcknowledged {
        /// How many.
        count: u64,
        /// The first error.
        source: KafkaError,
    },
    /// The registry did not answer.
    #[error("the schema registry at `{url}` did not answer")]
    RegistryDown {
        /// Its URL.
        url: String,
        /// The HTTP client's error.
        source: Box<ureq::Error>,
    },
    /// The registry answered and does not know the id.
    #[error("the schema registry does not know schema id {id}")]
    UnknownSchema {
        /// The id.
        id: SchemaId,
    },
    /// The registry answered with an error.
    #[error("the schema registry answered {status} (code {code}): {message}")]
    RegistryRefused {
        /// HTTP status.
        status: u16,
        /// The registry's own code.
        code: String,
        /// The registry's own message.
        message: String,
    },
    /// The Glue registry is asked for schemas by id, and for nothing else.
    #[error("an AWS Glue registry cannot be {what} by Weir")]
    OnlyRead {
        /// What was tried, e.g. `written`.
        what: &'static str,
    },
    /// AWS asks who this is, and nothing around this process says so.
    #[error("no AWS credentials: {problem}")]
    Credentials {
        /// Where they were looked for, and why nothing was found there; no secret.
        problem: String,
    },
    /// A secret that AWS keeps is wanted, and nothing says in which region.
    #[error("no AWS region for `{reference}`")]
    NoRegion {
        /// The reference.
        reference: String,
    },
    /// AWS keeps no such secret.
    #[error("`{reference}` is not in region {region}")]
    SecretUnknown {
        /// The reference.
        reference: String,
        /// Where it was looked for.
        region: String,
    },
    /// AWS does not give a secret.
    #[error("AWS refused `{reference}` ({code}): {message}")]
    SecretRefused {
        /// The reference.
        reference: String,
        /// AWS's word for the refusal.
        code: String,
        /// What it says.
        message: String,
    },
    /// A secret is there, and not what the reference takes it for.
    #[error("`{reference}`: {problem}")]
    SecretForm {
        /// The reference.
        reference: String,
        /// What it is not; no secret.
        problem: &'static str,
    },
    /// Secrets Manager or Systems Manager did not answer.
    #[error("`{reference}` cannot be looked up: {url} did not answer")]
    SecretsAway {
        /// The reference.
        reference: String,
        /// The service.
        url: String,
        /// The HTTP client's error.
        source: Box<ureq::Error>,
    },
    /// A setting's secret cannot be had; its own diagnosis says why.
    #[error("{}", .0.messages().join(": "))]
    Secret(Diagnosed),
}

impl StreamError {
    /// The error of a request about a topic: an outage where nobody answered.
    pub(crate) fn topic(action: &'static str, topic: &str, brokers: &str, source: KafkaError) -> Self {
        use RDKafkaErrorCode::{
            AllBrokersDown, Authentication, BrokerTransportFailure, OperationTimedOut, Resolve, TimedOutQueue,
        };
        let code = match &source {
            // rdkafka gives no code for this variant.
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        match code {
            // Who is not let in may be soon: a password is changed here and there, not at one moment.
            Some(
                Authentication | AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve | TimedOutQueue,
            ) => Self::Unreachable { brokers: brokers.to_owned(), source },
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Self::UnknownTopic { topic: topic.to_owned() }
            }
            _ => Self::Topic { action, topic: topic.to_owned(), source },
        }
    }
}

impl Diagnose for StreamError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Secret(error) => return error.diagnosis.clone(),
            Self::Settings { .. } => (
                "W3201",
                "a setting under `stream.client` is unknown to librdkafka or does not fit the others",
                "compare `stream.client` with librdkafka's CONFIGURATION page",
                Retry::AfterConfiguration,
            ),
            Self::Unreachable { .. } => (
                "W3202",
                "no broker listens there, a firewall is in between, or TLS and SASL settings do not match the listener",
                "check `stream.brokers` and `stream.client`; with embedded brokers start `weir up`",
                Retry::Later,
            ),
            Self::Topic { .. } => {
                ("W3203", "the broker refused the request", "read the broker's own reason below", Retry::Never)
            }
            Self::UnknownTopic { .. } => (
                "W3204",
                "nothing has created the topic yet, or the source names it otherwise",
                "compare `topic` in sources/*.yaml with the broker's topics",
                Retry::AfterConfiguration,
            ),
            Self::Partitions { .. } => (
                "W3205",
                "partitions of a topic that holds records cannot be changed without moving keys",
                "set `stream.partitions` to what the topic has",
                Retry::AfterConfiguration,
            ),
            Self::OffsetGone { .. } => (
                "W3206",
                "retention removed records that were not yet landed, or the topic was made anew",
                "re-read the table from its source, or take the gap knowingly; nothing was skipped",
                Retry::Never,
            ),
            Self::NotAcknowledged { .. } => (
                "W3207",
                "the broker refused the records or did not answer in time",
                "run the command again: it goes on behind what was acknowledged",
                Retry::Later,
            ),
            Self::RegistryDown { .. } => (
                "W3208",
                "no registry listens there, or a firewall is in between",
                "check `stream.registry`; positions wait, nothing is skipped",
                Retry::Later,
            ),
            Self::UnknownSchema { .. } => (
                "W3209",
                "the record was written with another registry, or its schema was deleted",
                "point `stream.registry` at the writer's registry",
                Retry::AfterConfiguration,
            ),
            Self::RegistryRefused { .. } => (
                "W3210",
                "the schema is not compatible with the subject's, or the registry wants credentials",
                "read the registry's own message",
                Retry::Never,
            ),
            Self::OnlyRead { .. } => (
                "W3211",
                "Weir reads schemas of an AWS Glue registry by their ids; its producers register them",
                "use a registry with Confluent's API for this command",
                Retry::Never,
            ),
            Self::Credentials { .. } => (
                "W3212",
                "services of AWS ask who this process is, and no credentials were found",
                "give the task or the pod a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                Retry::Later,
            ),
            Self::NoRegion { .. } => (
                "W3213",
                "neither the secret's name is an ARN, nor do AWS_REGION and AWS_DEFAULT_REGION name a region",
                "set AWS_REGION, e.g. to `eu-central-1`",
                Retry::AfterConfiguration,
            ),
            Self::SecretUnknown { .. } => (
                "W3214",
                "the name is misspelled, or the secret is in another region or account, or has no value yet",
                "compare the name with `aws secretsmanager list-secrets` or `aws ssm describe-parameters`",
                Retry::AfterConfiguration,
            ),
            Self::SecretRefused { .. } => (
                "W3215",
                "the role may not read it or may not use its key, or the credentials are none that AWS knows",
                "grant secretsmanager:GetSecretValue or ssm:GetParameter on it, and kms:Decrypt on its key",
                Retry::AfterConfiguration,
            ),
            Self::SecretForm { .. } => (
                "W3216",
                "`#field` takes a secret for a JSON object with this field; without it all of its text is taken",
                "correct the field's name, or the secret",
                Retry::AfterConfiguration,
            ),
            Self::SecretsAway { .. } => (
                "W3217",
                "no way leads there from this network, or the service is down or asks for patience",
                "check the network's endpoints, or AWS_ENDPOINT_URL where it is set; what was committed stays",
                Retry::Later,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}
