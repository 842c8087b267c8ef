//! Why the warehouse did not do what it was asked, with its SQLSTATE; code, cause and fix are in `diagnosis`.

mod diagnosis;

use std::path::PathBuf;

use weir_core::diagnosis::Diagnosis;

use crate::lint::Finding;

/// Every failure of this crate. A failed statement changes nothing: its transaction is aborted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarehouseError {
    /// Another process holds the file.
    #[error("the warehouse file `{}` is in use by another process", path.display())]
    Locked {
        /// The DuckDB file.
        path: PathBuf,
    },
    /// A server of this warehouse refused a statement.
    #[error("{message}")]
    Remote {
        /// Its message.
        message: String,
        /// Code, cause and fix as the server gave them.
        diagnosis: Box<Diagnosis>,
    },
    /// The server of this warehouse went away, or answers what is not understood.
    #[error("lost the connection to the process that serves the warehouse")]
    ServerLost {
        /// What the system said.
        source: std::io::Error,
    },
    /// This process holds the file already; a second open would corrupt it.
    #[error("the warehouse file `{}` is already open in this process", path.display())]
    AlreadyOpen {
        /// The DuckDB file.
        path: PathBuf,
    },
    /// The file could not be opened.
    #[error("could not open the warehouse file `{}`", path.display())]
    Open {
        /// The DuckDB file.
        path: PathBuf,
        /// What DuckDB said.
        source: duckdb::Error,
    },
    /// The text is no statement.
    #[error("syntax error: {message}")]
    Syntax {
        /// What was expected where.
        message: String,
    },
    /// Redshift may know it; the double does not. Never ignored.
    #[error("{what} is not supported by the embedded warehouse")]
    Unsupported {
        /// The statement, function, option or type, by name.
        what: String,
    },
    /// Redshift itself refuses it.
    #[error("{0}")]
    Refused(Finding),
    /// No function of this name.
    #[error("function `{name}` does not exist")]
    UnknownFunction {
        /// As written.
        name: String,
    },
    /// A statement inside a failed transaction.
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    Aborted,
    /// Two source rows of a MERGE match one target row.
    #[error("found multiple matches to update the same tuple of `{table}`")]
    MatchedTwice {
        /// The MERGE's target.
        table: String,
    },
    /// The engine ran the statement and failed.
    #[error("{message}")]
    Engine {
        /// What kind of failure.
        kind: EngineFailure,
        /// The engine's words, first line.
        message: String,
    },
    /// COPY's manifest or file is not there or not readable.
    #[error("COPY could not read `{path}`")]
    CopyUnreadable {
        /// The path as resolved.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is no manifest.
    #[error("`{path}` is no COPY manifest: {problem}")]
    CopyManifest {
        /// The manifest.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file's length is not the manifest's `meta.content_length`.
    #[error("`{path}` has {actual} bytes, its manifest says {expected}")]
    CopyLength {
        /// The data file.
        path: String,
        /// `meta.content_length`.
        expected: u64,
        /// On disk.
        actual: u64,
    },
    /// Columns load by position, and the counts differ.
    #[error("`{path}` has {actual} columns, the target of COPY into `{table}` has {expected}")]
    CopyColumns {
        /// The data file.
        path: String,
        /// The target.
        table: String,
        /// Columns that the target takes.
        expected: usize,
        /// Columns of the file.
        actual: usize,
    },
    /// A file's column cannot be loaded into the column at its position.
    #[error("`{path}`: column {position} is {actual}, `{table}` wants {expected} there")]
    CopyType {
        /// The data file.
        path: String,
        /// The target.
        table: String,
        /// From 1.
        position: usize,
        /// The target column's type.
        expected: String,
        /// The file column's type.
        actual: String,
    },
    /// A script holds `${..}` of another name.
    #[error("`${{{name}}}` is no placeholder of a warehouse script")]
    Placeholder {
        /// Between the braces.
        name: String,
    },
    /// A publication could not be read.
    #[error("could not read the publication `{path}`")]
    Publication {
        /// Path relative to the lake's root.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The lake's builds have a hole.
    #[error("build {build} is published, but build {missing} is neither loaded nor there")]
    MissingBuild {
        /// The oldest build there that is not loaded.
        build: u64,
        /// The one that must come first.
        missing: u64,
    },
    /// The lake's builds are not those that were loaded.
    #[error("build {build} that the warehouse has loaded is not the lake's build {build}")]
    AnotherLine {
        /// The newest that was loaded.
        build: u64,
    },
    /// A manifest of a load could not be written to the lake.
    #[error("could not write the manifest `{path}`")]
    ManifestWrite {
        /// Path relative to the lake's root.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The topic is not the one that the view was filled from.
    #[error("topic `{topic}` was recreated since `{view}` last read it")]
    TopicRecreated {
        /// The streaming view.
        view: String,
        /// Its topic.
        topic: String,
    },
    /// Retention removed records that the view had not read.
    #[error("`{view}` stands at offset {position} of `{topic}` partition {partition}, which now begins at {low}")]
    RecordsGone {
        /// The streaming view.
        view: String,
        /// Its topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Next offset wanted.
        position: i64,
        /// First offset there.
        low: i64,
    },
    /// The brokers did not answer as they should.
    #[error("could not read topic `{topic}`")]
    Topic {
        /// The topic.
        topic: String,
        /// The stream's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The double was opened without brokers, so it can refresh no view.
    #[error("`{view}` cannot be refreshed: no brokers are connected to this warehouse")]
    NoBrokers {
        /// The streaming view.
        view: String,
    },
    /// The wire listens on loopback only.
    #[error("the warehouse does not listen on {address}")]
    NotLoopback {
        /// As asked.
        address: std::net::SocketAddr,
    },
    /// The listening socket failed.
    #[error("the warehouse's listener failed")]
    Listen {
        /// Why.
        source: std::io::Error,
    },
    /// AWS, or a Redshift, does not answer; what was under way may be done or not.
    #[error("{endpoint} does not answer: {reason}")]
    Away {
        /// Where it is asked.
        endpoint: String,
        /// What stands in the way.
        reason: String,
    },
    /// A service of AWS refused a request.
    #[error("AWS refused {action} ({code}): {message}")]
    ServiceRefused {
        /// What it was asked for.
        action: &'static str,
        /// Its word for the refusal.
        code: String,
        /// What it says.
        message: String,
    },
    /// A Redshift ran a statement and failed.
    #[error("Redshift failed statement{place} (`{line}`): {message}")]
    Failed {
        /// ` 3 of 17` in a transaction; empty on its own.
        place: String,
        /// Its first line.
        line: String,
        /// Redshift's words, with the position where it tells one.
        message: String,
    },
    /// Another transaction on the Redshift changed the same first.
    #[error("another transaction was faster: {message}")]
    Overtaken {
        /// Redshift's words.
        message: String,
    },
    /// A statement on a Redshift took too long; it was stopped, or its end is not known.
    #[error("a statement on Redshift did not end within {}", humantime(*after))]
    TimedOut {
        /// `warehouse.timeout`.
        after: std::time::Duration,
    },
    /// Nobody can connect there in the way that is wanted.
    #[error("cannot connect to {host}: {reason}")]
    Unusable {
        /// The host, or the address as it is written.
        host: String,
        /// Why not.
        reason: String,
    },
    /// A Redshift does not let a user in.
    #[error("{host} does not let `{user}` in: {reason}")]
    NotLetIn {
        /// The host.
        host: String,
        /// The database user.
        user: String,
        /// What it says.
        reason: String,
    },
    /// A script of Weir's own holds what Redshift refuses; nothing was sent.
    #[error("a script of Weir is wrong: {0}")]
    OwnText(Finding),
    /// A migration is not the one that was applied under its number.
    #[error("migration `{name}` was changed after it was applied")]
    MigrationChanged {
        /// The file's name without `.sql`.
        name: String,
    },
    /// The migrations of the pipeline do not go on where those of the warehouse end.
    #[error("migration `{name}` {problem}")]
    MigrationOrder {
        /// The file's name without `.sql`.
        name: String,
        /// What is wrong with its place.
        problem: String,
    },
    /// A migration holds a statement that ends its transaction.
    #[error("migration `{name}` holds {what}, which does not stay in its transaction")]
    MigrationEnds {
        /// The file's name without `.sql`.
        name: String,
        /// The statement, by name.
        what: String,
    },
    /// The password file is not there or holds no `user:password` lines.
    #[error("could not use the password file `{}`", path.display())]
    Passwords {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A duration as settings write it.
fn humantime(duration: std::time::Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Kinds of engine failure, each with its own SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineFailure {
    /// A table, view or schema is missing.
    MissingRelation,
    /// A column is missing, or an expression does not fit its types.
    Binding,
    /// It exists already.
    Duplicate,
    /// The engine could not parse what it was given.
    Syntax,
    /// NOT NULL.
    NotNull,
    /// A text longer than its column.
    TooLong,
    /// Another constraint.
    Constraint,
    /// A value that does not convert.
    Conversion,
    /// A value outside its type's range.
    OutOfRange,
    /// Division by zero.
    DivisionByZero,
    /// Another transaction changed the same rows.
    Conflict,
    /// Cancelled by its client.
    Cancelled,
    /// The memory limit was reached and spilling did not help.
    OutOfMemory,
    /// Disk.
    Disk,
    /// A record could not be decoded because its schema could not be fetched.
    Registry,
    /// None of the above.
    Internal,
}

impl EngineFailure {
    const fn sqlstate(self) -> &'static str {
        match self {
            Self::MissingRelation => "42P01",
            Self::Binding => "42703",
            Self::Duplicate => "42P07",
            Self::Syntax => "42601",
            Self::NotNull => "23502",
            Self::TooLong => "22001",
            Self::Constraint => "23000",
            Self::Conversion => "22P02",
            Self::OutOfRange => "22003",
            Self::DivisionByZero => "22012",
            Self::Conflict => "40001",
            Self::Cancelled => "57014",
            Self::OutOfMemory => "53200",
            Self::Disk => "58030",
            Self::Registry => "58000",
            Self::Internal => "XX000",
        }
    }
}

impl WarehouseError {
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(crate) fn parser(error: &dyn std::fmt::Display) -> Self {
        let text = error.to_string();
        Self::Syntax { message: text.strip_prefix("sql parser error: ").unwrap_or(&text).to_owned() }
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        Self::Syntax { message: message.into() }
    }

    /// The five characters that Postgres clients read.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Locked { .. } | Self::AlreadyOpen { .. } => "55006",
            Self::Remote { .. } => "XX000",
            Self::ServerLost { .. } => "08006",
            Self::Open { .. } | Self::Listen { .. } | Self::Passwords { .. } | Self::NotLoopback { .. } => "58030",
            Self::Syntax { .. } => "42601",
            Self::Unsupported { .. } | Self::Refused(_) => "0A000",
            Self::UnknownFunction { .. } => "42883",
            Self::Aborted => "25P02",
            Self::MatchedTwice { .. } => "21000",
            Self::Engine { kind, .. } => kind.sqlstate(),
            Self::CopyUnreadable { .. } | Self::Publication { .. } | Self::ManifestWrite { .. } => "58P01",
            Self::CopyManifest { .. } | Self::CopyLength { .. } | Self::CopyColumns { .. } | Self::CopyType { .. } => {
                "22023"
            }
            Self::Placeholder { .. } => "42P02",
            Self::MissingBuild { .. } | Self::AnotherLine { .. } => "55000",
            Self::TopicRecreated { .. } | Self::RecordsGone { .. } | Self::NoBrokers { .. } => "55000",
            Self::Topic { .. } | Self::Away { .. } | Self::ServiceRefused { .. } => "58000",
            Self::Failed { .. } | Self::OwnText(_) => "XX000",
            Self::Overtaken { .. } => "40001",
            Self::TimedOut { .. } => "57014",
            Self::Unusable { .. } => "08001",
            Self::NotLetIn { .. } => "28000",
            Self::MigrationChanged { .. } | Self::MigrationOrder { .. } | Self::MigrationEnds { .. } => "55000",
        }
    }
}

/// Marks an error that Weir's own macros raise inside the engine: `WEIR:<SQLSTATE>:<message>`.
pub(crate) const MARK: &str = "WEIR:";

impl From<duckdb::Error> for WarehouseError {
    fn from(error: duckdb::Error) -> Self {
        let text = error.to_string();
        if let Some(at) = text.find(MARK) {
            let marked = text[at + MARK.len()..].lines().next().unwrap_or_default();
            let (state, message) = marked.split_once(':').unwrap_or(("XX000", marked));
            let kind = match state {
                "22012" => EngineFailure::DivisionByZero,
                "58000" => EngineFailure::Registry,
                _ => EngineFailure::Internal,
            };
            return Self::Engine { kind, message: message.to_owned() };
        }
        let first = text.lines().next().unwrap_or_default();
        let (class, rest) = first.split_once(": ").unwrap_or(("", first));
        let kind = match class.trim_end_matches(" Error") {
            "Catalog" if rest.contains("already exists") => EngineFailure::Duplicate,
            "Catalog" => EngineFailure::MissingRelation,
            "Binder" => EngineFailure::Binding,
            "Parser" => EngineFailure::Syntax,
            "Constraint" if rest.starts_with("NOT NULL") => EngineFailure::NotNull,
            "Constraint" if rest.contains("CHECK((strlen(") => EngineFailure::TooLong,
            "Constraint" => EngineFailure::Constraint,
            "Conversion" => EngineFailure::Conversion,
            "Out of Range" => EngineFailure::OutOfRange,
            "TransactionContext" if rest.contains("onflict") => EngineFailure::Conflict,
            "INTERRUPT" => EngineFailure::Cancelled,
            "Out of Memory" => EngineFailure::OutOfMemory,
            "IO" => EngineFailure::Disk,
            _ => EngineFailure::Internal,
        };
        Self::Engine { kind, message: if class.is_empty() { first.to_owned() } else { rest.to_owned() } }
    }
}
