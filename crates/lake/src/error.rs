//! What can go wrong in the lake, and what a person does about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};

/// Why the lake did not do what it was asked. Nothing of a failed commit is visible to any reader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The root cannot be made or is no folder.
    #[error("the lake's root `{path}` is no folder that can be written")]
    Root {
        /// The root.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A bucket cannot be used.
    #[error("cannot use the lake's root `{root}`")]
    Bucket {
        /// The root as configured.
        root: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No space is left for a file; it was not written.
    #[error("no space is left for `{what}`")]
    DiskFull {
        /// The table or file that was being written.
        what: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store refused or did not answer.
    #[error("the store failed on `{what}`")]
    Store {
        /// The table or file.
        what: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another writer has committed since this handle read the table.
    #[error("another writer has committed to `{table}` since version {base}")]
    Conflict {
        /// The table, as `zone/name`.
        table: String,
        /// The version that this writer started from.
        base: i64,
    },
    /// A position would run backwards.
    #[error("`{table}` stands at position {stored} of `{reader}`; a commit at {given} would run backwards")]
    PositionBackwards {
        /// The table, as `zone/name`.
        table: String,
        /// Whose position, e.g. `weir:<topic id>:<partition>`.
        reader: String,
        /// The position in the table.
        stored: i64,
        /// The position that was to be committed.
        given: i64,
    },
    /// Another writer has taken over what this one was doing.
    #[error("another writer has moved `{reader}` of `{table}` from {} to {}", at(*read), at(*stored))]
    PositionMoved {
        /// The table, as `zone/name`.
        table: String,
        /// Whose position, e.g. `weir:<topic id>:<partition>`.
        reader: String,
        /// The position when this writer read it; none: there was none.
        read: Option<i64>,
        /// The position now.
        stored: Option<i64>,
    },
    /// A column comes with a type that the table's column cannot take.
    #[error("column `{column}` of `{table}` is {stored} and cannot become {given}")]
    TypeChanged {
        /// The table, as `zone/name`.
        table: String,
        /// The column, with its parents.
        column: String,
        /// Its type in the table.
        stored: String,
        /// The type that came.
        given: String,
    },
    /// A type that Delta does not know.
    #[error("a column of `{table}` has a type that a Delta table cannot hold")]
    UnsupportedType {
        /// The table, as `zone/name`.
        table: String,
        /// Which.
        source: arrow::error::ArrowError,
    },
    /// The table's log lacks a commit or holds one that cannot be read.
    #[error("commit {version} of `{table}` is missing or unreadable")]
    Log {
        /// The table, as `zone/name`.
        table: String,
        /// The commit.
        version: i64,
        /// What is wrong with it.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A data file cannot be read or encoded.
    #[error("data file `{path}` cannot be read or encoded")]
    File {
        /// The file, relative to the lake's root.
        path: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The Delta library refused.
    #[error("the Delta table `{table}` cannot be opened or changed")]
    Delta {
        /// The table, as `zone/name`.
        table: String,
        /// What it said.
        source: Box<DeltaTableError>,
    },
    /// The query engine failed.
    #[error("the query engine failed on {what}")]
    Engine {
        /// The query's name, never its values.
        what: String,
        /// What it said.
        source: Box<datafusion::error::DataFusionError>,
    },
}

fn at(position: Option<i64>) -> String {
    position.map_or_else(|| "nowhere".to_owned(), |position| position.to_string())
}

impl Diagnose for LakeError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Root { .. } => (
                "W8001",
                "the folder, or a folder above it, is missing, read-only, or a regular file",
                "set `lake.root` to a folder that this user may write",
                Retry::AfterConfiguration,
            ),
            Self::Bucket { .. } => (
                "W8002",
                "the bucket is not there, cannot be reached, or refuses these credentials",
                "check `lake.root`, `lake.region` and `lake.endpoint`, and that the process has AWS credentials which may list, read, write and delete there",
                Retry::AfterConfiguration,
            ),
            Self::DiskFull { .. } => (
                "W8003",
                "the disk or the quota is full; nothing of the commit is visible and nothing is lost",
                "free some space and run the command again; it goes on where the tables stand",
                Retry::Later,
            ),
            Self::Store { .. } => (
                "W8004",
                "the store refused the request or did not answer",
                "check the permissions on the folder or bucket, the disk and the network; run the command again",
                Retry::Later,
            ),
            Self::Conflict { .. } => (
                "W8005",
                "two writers work on one table",
                "stop one of them and run the other again; it goes on where the table stands",
                Retry::Later,
            ),
            Self::PositionBackwards { .. } => (
                "W8006",
                "two writers work on one table, or a writer was started from an old state",
                "stop the other writer and run the command again",
                Retry::Never,
            ),
            Self::PositionMoved { .. } => (
                "W8013",
                "this writer was paused or cut off, and another one has taken over; nothing of its commit is visible",
                "run the command again; it goes on where the table stands",
                Retry::Later,
            ),
            Self::TypeChanged { .. } => (
                "W8007",
                "the source changed the type of a column; a Delta column keeps its type",
                "give the column a new name at the source, or move the table's folder away and replay the topic",
                Retry::Never,
            ),
            Self::UnsupportedType { .. } => (
                "W8008",
                "the value's Arrow type has no Delta type",
                "declare the column with another type in its contract",
                Retry::AfterConfiguration,
            ),
            Self::Log { .. } => (
                "W8009",
                "a file under `_delta_log` was deleted or changed by hand, or cleaned up by another tool",
                "restore the file; if it is gone, move the table's folder away and build it again from the stage before",
                Retry::Never,
            ),
            Self::File { .. } => (
                "W8010",
                "a data file was deleted or changed by hand, or its disk is failing",
                "restore the file; if it is gone, move the table's folder away and build it again from the stage before",
                Retry::Never,
            ),
            Self::Delta { .. } => (
                "W8011",
                "the table's log is damaged, or another tool switched on a feature that Weir does not write",
                "look at the message below; a table that another tool changed must be restored or built again",
                Retry::Never,
            ),
            Self::Engine { .. } => (
                "W8012",
                "the query engine ran out of memory or met data that it cannot compute with",
                "raise `lake.memory`, or look at the message below",
                Retry::Never,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}

impl LakeError {
    /// Sorts a store's failure: a full disk has a code of its own.
    pub(crate) fn store(what: impl Into<String>, source: object_store::Error) -> Self {
        let what = what.into();
        if is_full(&source) {
            Self::DiskFull { what, source: Box::new(source) }
        } else {
            Self::Store { what, source: Box::new(source) }
        }
    }

    /// The failure of reading a file that a log names: one that is not there is no fault of the store.
    pub(crate) fn of_file(path: &str, source: object_store::Error) -> Self {
        match source {
            source @ object_store::Error::NotFound { .. } => Self::file(path, source),
            source => Self::store(path, source),
        }
    }

    /// Sorts the Delta library's failure: a conflict and a full disk have codes of their own.
    pub(crate) fn delta(table: &str, base: i64, source: DeltaTableError) -> Self {
        let conflict = matches!(
            &source,
            DeltaTableError::VersionAlreadyExists(_)
                | DeltaTableError::Transaction {
                    source: TransactionError::MaxCommitAttempts(_)
                        | TransactionError::CommitConflict(_)
                        | TransactionError::VersionAlreadyExists(_)
                }
        );
        if conflict {
            return Self::Conflict { table: table.to_owned(), base };
        }
        if is_full(&source) {
            return Self::DiskFull { what: table.to_owned(), source: Box::new(source) };
        }
        match source {
            DeltaTableError::ObjectStore { source } => Self::store(table, source),
            source => Self::Delta { table: table.to_owned(), source: Box::new(source) },
        }
    }

    /// A file that cannot be read or encoded.
    pub(crate) fn file(path: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::File { path: path.into(), source: source.into() }
    }

    /// The query engine's failure; `what` names the query, never its values.
    pub fn engine(what: impl Into<String>, source: datafusion::error::DataFusionError) -> Self {
        let what = what.into();
        if is_full(&source) {
            return Self::DiskFull { what, source: Box::new(source) };
        }
        Self::Engine { what, source: Box::new(source) }
    }
}

/// Whether "no space left" is anywhere in the chain of causes.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let full = matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let inner = io.get_ref().is_some_and(|inner| is_full(inner));
            if full || inner {
                return true;
            }
        }
        next = error.source();
    }
    false
}
