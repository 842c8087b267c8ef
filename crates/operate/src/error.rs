//! What goes wrong between the stages.

use std::net::SocketAddr;
use std::path::PathBuf;

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};

/// Why the path as a whole could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// The folder for the embedded parts cannot be used.
    #[error("cannot use the folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file beside the embedded parts cannot be read or written.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The topic no longer holds its first records, so it cannot be compared with the zones.
    #[error("topic `{topic}` partition {partition} begins at offset {low}: its first records are gone")]
    StreamTrimmed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// First offset still held.
        low: i64,
    },
    /// A value in a zone cannot be read back for the comparison.
    #[error("cannot read `{table}` in {zone} for the comparison")]
    Unreadable {
        /// The zone.
        zone: &'static str,
        /// The table.
        table: String,
        /// What Arrow or the engine said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The port of the Postgres wire cannot be listened on.
    #[error("cannot listen on port {port} of the loopback address")]
    Port {
        /// The port.
        port: u16,
        /// The system's error.
        source: std::io::Error,
    },
    /// The address of `metrics.listen` cannot be listened on.
    #[error("cannot listen on {address}, which `metrics.listen` names")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Lineage was asked for a table that is not on the path.
    #[error("`{asked}` names no table of the pipeline; there are {known}")]
    UnknownTable {
        /// What was asked for.
        asked: String,
        /// The tables there are.
        known: String,
    },
    /// Lineage was asked for a column that a table lacks.
    #[error("table `{table}` has no column `{column}`; it has {known}")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The columns it has.
        known: String,
    },
    /// A trace was asked for what is no dimension and no fact.
    #[error("`{asked}` is no dimension and no fact; there are {known}")]
    Untraced {
        /// What was asked for.
        asked: String,
        /// The tables that can be traced.
        known: String,
    },
    /// A trace was given a key that is none of its table's.
    #[error("this is no key of `{table}`: {reason}")]
    BadKey {
        /// The table.
        table: String,
        /// What is wrong with it, without its value.
        reason: String,
    },
    /// A trace found nothing.
    #[error("the lake holds nothing of this key of `{table}`")]
    UnknownKey {
        /// The table.
        table: String,
    },
    /// Landing holds rows that staging has not taken, so the zones cannot be compared.
    #[error("landing of `{table}` holds rows that staging has not taken yet")]
    Behind {
        /// The table.
        table: weir_core::name::TableName,
    },
    /// A drill was asked of a lake that no finished build stands behind.
    #[error("there is nothing to rehearse on: {what}")]
    Undrillable {
        /// What is not there.
        what: String,
    },
    /// A file that an estimate of the cost needs cannot be used.
    #[error("cannot estimate the cost from `{path}`: {reason}")]
    CostFile {
        /// The file.
        path: PathBuf,
        /// What stands in the way.
        reason: String,
    },
    /// What is to be paid for has no price.
    #[error("there is no price of `{name}`")]
    NoPrice {
        /// Its name in the file of prices.
        name: String,
    },
    /// The catalog's service does not answer.
    #[error("the catalog at {endpoint} does not answer: {reason}")]
    CatalogAway {
        /// Where it is asked.
        endpoint: String,
        /// What stands in the way.
        reason: String,
    },
    /// The catalog's service refused a request.
    #[error("the catalog refused {action} ({code}): {message}")]
    CatalogRefused {
        /// What it was asked for.
        action: &'static str,
        /// Its word for the refusal.
        code: String,
        /// What it says.
        message: String,
    },
    /// A part of the path ended by a panic.
    #[error("a worker ended unexpectedly")]
    Worker {
        /// Its end.
        source: tokio::task::JoinError,
    },
    /// A command of the path failed by itself, between two kills.
    #[error("`weir {command}` ended with {status}:\n{said}")]
    RunFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// A command of the path could not be started.
    #[error("cannot start `weir {command}`")]
    NoStart {
        /// The command.
        command: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The command needs a part that this environment has elsewhere.
    #[error("environment `{env}` runs its {part} elsewhere")]
    NotEmbedded {
        /// The environment.
        env: String,
        /// The part.
        part: &'static str,
    },
}

impl Diagnose for OperateError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Folder { .. } => (
                "W9001",
                "the path is below a file, is not writable, or the disk is read-only",
                "name another folder with `--dir` or `--keep`",
                Retry::AfterUsage,
            ),
            Self::File { .. } => (
                "W9002",
                "the file is missing, not readable, or not what Weir wrote",
                "look at the file; removing the whole folder starts afresh",
                Retry::Never,
            ),
            Self::StreamTrimmed { .. } => (
                "W9003",
                "the topic's retention has removed records that were landed before",
                "compare within the retention, or trust the zones' own accounts",
                Retry::Never,
            ),
            Self::Unreadable { .. } => (
                "W9004",
                "a table was changed by another program, or a type is not supported by the comparison",
                "read the engine's own message below",
                Retry::Never,
            ),
            Self::UnknownTable { .. } => (
                "W9601",
                "the table or its schema is misspelled, or belongs to another pipeline",
                "write [SCHEMA.]TABLE[.COLUMN] with one of the tables listed, e.g. `staging.TABLE`",
                Retry::AfterUsage,
            ),
            Self::UnknownColumn { .. } => (
                "W9602",
                "the column is misspelled, or belongs to another table",
                "name one of the columns listed, or leave the column out to see all",
                Retry::AfterUsage,
            ),
            Self::Untraced { .. } => (
                "W9603",
                "the name is misspelled, or the table has no changes of its own, as a date dimension has none",
                "name one of the tables listed",
                Retry::AfterUsage,
            ),
            Self::BadKey { .. } => (
                "W9604",
                "a value is missing, is one too many, or is not of its column's type",
                "give the values in the order of the model's `key`, or as `column=value,..`; texts as they are written",
                Retry::AfterUsage,
            ),
            Self::UnknownKey { .. } => (
                "W9605",
                "the key never came, or its changes have not landed yet",
                "check the key's spelling; `weir stream --once` lands what waits in the stream",
                Retry::Never,
            ),
            Self::Undrillable { .. } => (
                "W9701",
                "a drill compares with the state before, so a build must have published all that has come",
                "run `weir build`, then `weir drill` again",
                Retry::Later,
            ),
            Self::CostFile { .. } => (
                "W9702",
                "the file is missing, or lacks what the estimate reads",
                "name the environment's sizes with `--sizes FILE`, or prices of the shipped form with `--prices FILE`",
                Retry::AfterUsage,
            ),
            Self::NoPrice { .. } => (
                "W9703",
                "the environment has a size that the shipped prices do not know",
                "copy the shipped prices, add this one from AWS's page, and name the file with `--prices`",
                Retry::AfterUsage,
            ),
            Self::CatalogAway { .. } => (
                "W9501",
                "the service is down, out of reach, or asks for credentials that this process does not have",
                "check network and credentials, then `weir catalog sync`: what was built is whole without it",
                Retry::Later,
            ),
            Self::CatalogRefused { .. } => (
                "W9502",
                "the role may not do this, or the catalog was changed by another program",
                "read the service's own words; grant what it names, then `weir catalog sync`",
                Retry::AfterConfiguration,
            ),
            Self::Worker { .. } => (
                "W9005",
                "a defect in Weir; the tables are at their last commits",
                "run the command again: it goes on from the last commits",
                Retry::Later,
            ),
            Self::Port { .. } => (
                "W9007",
                "another program listens there, perhaps another `weir`",
                "name another port with `--port`",
                Retry::AfterUsage,
            ),
            Self::Address { .. } => (
                "W9008",
                "another program listens there, or the address is none of this machine's",
                "set `metrics.listen` to another address or port",
                Retry::AfterConfiguration,
            ),
            Self::Behind { .. } => {
                ("W9401", "records landed since the last build", "run `weir build`, then compare again", Retry::Later)
            }
            Self::RunFailed { .. } => (
                "W9009",
                "what is said above; a start behind a kill must go on by itself, so it may be a defect of Weir",
                "run the command in the folder that is named, and report what it says",
                Retry::Never,
            ),
            Self::NoStart { .. } => (
                "W9010",
                "the binary was moved or replaced while it ran, or no more processes may be started",
                "run the command again",
                Retry::AfterUsage,
            ),
            Self::NotEmbedded { .. } => (
                "W9006",
                "the command works on embedded parts only",
                "use an environment whose parts are embedded, e.g. `--env dev`",
                Retry::AfterConfiguration,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}
