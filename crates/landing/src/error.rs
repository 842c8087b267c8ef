//! Why a topic is not landed. Nothing is lost: the table still stands where it stood.

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};
use weir_core::name::TableName;
use weir_lake::LakeError;
use weir_stream::StreamError;

use crate::start::Gap;

/// The code of an error of one table that ends landing of all.
pub const STOPS_ALL: Code = Code("W4011");

/// Why a micro-batch was not landed. Nothing is lost: its offsets were not committed either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LandingError {
    /// Between what the table has landed and what its topic holds, records are missing.
    #[error("`{table}` stops: topic `{topic}` {gap}")]
    Gap {
        /// The table.
        table: TableName,
        /// The topic.
        topic: String,
        /// What is missing, and why.
        gap: Gap,
    },
    /// A gap was to be accepted where there is none.
    #[error("`{table}` has no gap: nothing was accepted")]
    NoGap {
        /// The table.
        table: TableName,
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
    /// Records came whose schema would change the table, and the contract does not let it.
    #[error("`{table}` {}: records come with {columns}", doing(.holds))]
    SchemaChange {
        /// The table.
        table: TableName,
        /// What is new.
        columns: String,
        /// Whether the table waits alone.
        holds: bool,
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

fn doing(holds: &bool) -> &'static str {
    if *holds { "is held at its position" } else { "stops landing" }
}

impl Diagnose for LandingError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Gap { gap: Gap::Recreated { .. }, .. } => (
                "W4001",
                "the topic was deleted and made again, so its offsets mean other records now",
                "read what is missing from the source again (a connector snapshot), or do without it; then `weir stream --once --accept-gap TABLE` lands the new topic from its start, and staging drops what it has already",
                Retry::Never,
            ),
            Self::Gap { gap: Gap::Retention(_), .. } => (
                "W4002",
                "landing was down for longer than the topic's retention, so records were deleted before they were landed",
                "read the named range from the source again (a connector snapshot), or do without it; then `weir stream --once --accept-gap TABLE` goes on behind it",
                Retry::Never,
            ),
            Self::Gap { gap: Gap::Cut(_), .. } => (
                "W4003",
                "the brokers lost the end of the topic, or the lake belongs to other brokers",
                "check `stream.brokers` and `lake.root`: they must belong together; where the brokers did lose records, `weir stream --once --accept-gap TABLE` goes on at the end that they have",
                Retry::Never,
            ),
            Self::Gap { gap: Gap::Gone(_), .. } => (
                "W4008",
                "the topic was deleted, or renamed, or `stream.brokers` names other brokers",
                "let the topic be made again and filled from the source (a connector snapshot); then `weir stream --once --accept-gap TABLE` lands it from its start",
                Retry::Never,
            ),
            Self::NoGap { .. } => (
                "W4009",
                "the gap was accepted before, or the table never stopped at one",
                "leave `--accept-gap` out",
                Retry::AfterUsage,
            ),
            Self::OutOfOrder { .. } => (
                "W4004",
                "the Kafka client broke its promise of order",
                "run the command again; nothing of the batch was committed",
                Retry::Later,
            ),
            Self::Stream { source, .. } => return source.diagnosis(),
            Self::Lake { source, .. } => return source.diagnosis(),
            Self::SchemaChange { holds, .. } => (
                if *holds { "W4010" } else { STOPS_ALL.0 },
                if *holds {
                    "the source's schema changed, and the contract says `schema_changes: hold`"
                } else {
                    "the source's schema changed, and the contract says `schema_changes: stop`"
                },
                "see with `weir schema diff` what the change does; then set `schema_changes: evolve` and start landing again, or undo it at the source",
                Retry::AfterConfiguration,
            ),
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
