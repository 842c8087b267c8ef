//! What goes wrong between the stages.

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
    /// A part of the path ended by a panic.
    #[error("a worker ended unexpectedly")]
    Worker {
        /// Its end.
        source: tokio::task::JoinError,
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
