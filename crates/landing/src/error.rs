//! Why a topic is not landed. Nothing is lost: the table still stands where it stood.

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};
use weir_core::name::TableName;
use weir_lake::LakeError;
use weir_stream::StreamError;

/// Why a micro-batch was not landed. Nothing is lost: its offsets were not committed either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LandingError {
    /// The table was landed from another topic of the same name.
    #[error("topic `{topic}` was made anew: `{table}` stands at offsets of topic id {landed}, the brokers say {found}")]
    TopicRecreated {
        /// The table.
        table: TableName,
        /// The topic.
        topic: String,
        /// The id under which the table's positions stand.
        landed: String,
        /// The id that the brokers say.
        found: String,
    },
    /// Retention took records that were not landed yet.
    #[error(
        "partition {partition} of topic `{topic}` no longer holds offsets {from} to {to}, which `{table}` has not landed"
    )]
    OffsetsLost {
        /// The table.
        table: TableName,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// First offset that is gone.
        from: i64,
        /// Last offset that is gone.
        to: i64,
    },
    /// The table has landed more than the topic holds.
    #[error(
        "partition {partition} of topic `{topic}` ends before offset {high}, but `{table}` has landed offset {landed}"
    )]
    TopicCut {
        /// The table.
        table: TableName,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset of the next record to come.
        high: i64,
        /// Last offset landed.
        landed: i64,
    },
    /// The client handed over records that were landed already, or out of order.
    #[error("partition {partition} of topic `{topic}` gave offset {given} after {before}")]
    OutOfOrder {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that came.
        given: i64,
        /// The offset before it.
        before: i64,
    },
    /// The stream or the registry failed.
    #[error("the stream of `{table}` cannot be read")]
    Stream {
        /// The table.
        table: TableName,
        /// Why.
        source: Box<StreamError>,
    },
    /// The lake failed.
    #[error("`{table}` cannot be landed")]
    Lake {
        /// The table.
        table: TableName,
        /// Why.
        source: LakeError,
    },
    /// Decoded rows do not fit together.
    #[error("decoded rows of `{table}` cannot be brought into the table's columns")]
    Rows {
        /// The table.
        table: TableName,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// A count does not add up; the batch is not committed.
    #[error("a micro-batch of `{table}` does not add up: {received} received, {accounted} accounted for")]
    Unbalanced {
        /// The table.
        table: TableName,
        /// Records received.
        received: u64,
        /// Records landed, dead-lettered, repeated and tombstones.
        accounted: u64,
    },
    /// A dead letter was named that is not there.
    #[error("`{table}` has no dead letter `{id}`")]
    UnknownLetter {
        /// The table.
        table: TableName,
        /// What was asked for.
        id: String,
    },
    /// A worker's thread died.
    #[error("the worker of `{table}` ended unexpectedly")]
    Worker {
        /// The table.
        table: TableName,
        /// How.
        source: tokio::task::JoinError,
    },
}

impl Diagnose for LandingError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::TopicRecreated { .. } => (
                "W4001",
                "the topic was deleted and made again, so its offsets mean other records now",
                "move the landing and dead letter folders of the table away and land the new topic from its start; staging drops what it has already",
                Retry::Never,
            ),
            Self::OffsetsLost { .. } => (
                "W4002",
                "landing was down for longer than the topic's retention, so records were deleted before they were landed",
                "re-read the named range from the source (a connector snapshot), then move the table's landing folder away and land again",
                Retry::Never,
            ),
            Self::TopicCut { .. } => (
                "W4003",
                "the brokers lost the end of the topic, or the lake belongs to other brokers",
                "check `stream.brokers` and `lake.root`: they must belong together",
                Retry::Never,
            ),
            Self::OutOfOrder { .. } => (
                "W4004",
                "the Kafka client broke its promise of order",
                "run the command again; nothing of the batch was committed",
                Retry::Later,
            ),
            Self::Stream { source, .. } => return source.diagnosis(),
            Self::Lake { source, .. } => return source.diagnosis(),
            Self::Rows { .. } => (
                "W4005",
                "two schemas of the topic give a column types that do not fit together",
                "compare the versions of the topic's value schema in the registry",
                Retry::Never,
            ),
            Self::Unbalanced { .. } => (
                "W4006",
                "a defect in Weir; nothing of the batch was committed",
                "report it with the message; the table is as it was",
                Retry::Never,
            ),
            Self::UnknownLetter { .. } => (
                "W4020",
                "the id is misspelled, or belongs to another table or to a topic that was made anew",
                "take an id from `weir dlq ls --each`",
                Retry::AfterUsage,
            ),
            Self::Worker { .. } => (
                "W4007",
                "a defect in Weir, or the process is being ended",
                "run the command again; it goes on where the table stands",
                Retry::Later,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}
