//! Why the warehouse did not do what it was asked, with code, cause, fix and SQLSTATE.

use std::path::PathBuf;

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};

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
    #[error("{what} is refused by Amazon Redshift: {rule}")]
    Refused {
        /// The statement or clause, by name.
        what: String,
        /// Redshift's rule.
        rule: &'static str,
    },
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
    /// The password file is not there or holds no `user:password` lines.
    #[error("could not use the password file `{}`", path.display())]
    Passwords {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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

    fn diagnosis(self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::MissingRelation => (
                "W7101",
                "a table, view or schema of this name does not exist in the search path",
                "list what is there with \\dt or \\dv, and name the schema",
                Retry::Never,
            ),
            Self::Binding => (
                "W7102",
                "a column does not exist, or an operator or function does not take these types",
                "look at the columns with \\d, and cast where types differ",
                Retry::Never,
            ),
            Self::Duplicate => {
                ("W7103", "something of this name exists already", "drop it first, or use IF NOT EXISTS", Retry::Never)
            }
            Self::Syntax => {
                ("W7104", "the statement is not well-formed", "compare it with Redshift's manual", Retry::Never)
            }
            Self::NotNull => (
                "W7105",
                "a NULL came to a NOT NULL column; in a load script it is a check that failed (one row per key, no missing build)",
                "look at the statement: in a load, find the doubled key or the missing build",
                Retry::Never,
            ),
            Self::TooLong => (
                "W7106",
                "a text has more bytes than its VARCHAR or CHAR column holds; Redshift counts bytes, not characters",
                "make the column wider, or cut the text",
                Retry::Never,
            ),
            Self::Constraint => ("W7107", "a row breaks a constraint", "correct the row", Retry::Never),
            Self::Conversion => (
                "W7108",
                "a value does not have the form of the type it is cast to",
                "correct the value or the cast",
                Retry::Never,
            ),
            Self::OutOfRange => ("W7109", "a value does not fit its type", "use a wider type", Retry::Never),
            Self::DivisionByZero => ("W7110", "a divisor is zero", "guard it, e.g. `a / NULLIF(b, 0)`", Retry::Never),
            Self::Conflict => {
                ("W7111", "another transaction changed the same rows first", "run the transaction again", Retry::Later)
            }
            Self::Cancelled => {
                ("W7112", "the client asked to cancel it", "run it again if that was a mistake", Retry::Later)
            }
            Self::OutOfMemory => (
                "W7113",
                "the statement needs more than `warehouse.memory` and cannot spill that part to disk",
                "raise `warehouse.memory`, or take fewer rows at once",
                Retry::AfterConfiguration,
            ),
            Self::Disk => (
                "W7114",
                "the disk of the warehouse file failed or is full",
                "free space, then try again",
                Retry::Later,
            ),
            Self::Registry => (
                "W7115",
                "the schema registry did not answer while records were decoded; nothing was applied",
                "bring the registry back; the next refresh goes on where this one began",
                Retry::Later,
            ),
            Self::Internal => (
                "W7116",
                "the engine failed in a way that Weir does not know",
                "report it with the statement",
                Retry::Never,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}

impl WarehouseError {
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(crate) fn refused(what: impl Into<String>, rule: &'static str) -> Self {
        Self::Refused { what: what.into(), rule }
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
            Self::Open { .. } | Self::Listen { .. } | Self::Passwords { .. } | Self::NotLoopback { .. } => "58030",
            Self::Syntax { .. } => "42601",
            Self::Unsupported { .. } | Self::Refused { .. } => "0A000",
            Self::UnknownFunction { .. } => "42883",
            Self::Aborted => "25P02",
            Self::MatchedTwice { .. } => "21000",
            Self::Engine { kind, .. } => kind.sqlstate(),
            Self::CopyUnreadable { .. } | Self::Publication { .. } | Self::ManifestWrite { .. } => "58P01",
            Self::CopyManifest { .. } | Self::CopyLength { .. } | Self::CopyColumns { .. } | Self::CopyType { .. } => {
                "22023"
            }
            Self::Placeholder { .. } => "42P02",
            Self::MissingBuild { .. } => "55000",
            Self::TopicRecreated { .. } | Self::RecordsGone { .. } | Self::NoBrokers { .. } => "55000",
            Self::Topic { .. } => "58000",
        }
    }
}

impl Diagnose for WarehouseError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Locked { .. } => (
                "W7001",
                "one process owns the file, usually a running `weir serve`, `weir up` or a `duckdb` shell",
                "talk to the running Weir over the Postgres wire, or stop that process first",
                Retry::Later,
            ),
            Self::AlreadyOpen { .. } => (
                "W7002",
                "two parts of one program opened the same warehouse",
                "open it once and make sessions from it",
                Retry::Never,
            ),
            Self::Open { .. } => (
                "W7003",
                "the path is not writable, or the file is no DuckDB 1.5 database",
                "check the path and its rights; a file of another version must be exported and loaded again",
                Retry::AfterConfiguration,
            ),
            Self::Syntax { .. } => (
                "W7010",
                "the text is no statement that Redshift reads",
                "compare it with Redshift's manual",
                Retry::Never,
            ),
            Self::Unsupported { .. } => (
                "W7011",
                "the embedded warehouse takes the statements that the pipeline and BI tools use, and refuses the rest by name",
                "write it another way, or run it on Amazon Redshift",
                Retry::Never,
            ),
            Self::Refused { .. } => (
                "W7012",
                "the same text would fail on Amazon Redshift",
                "write it in the form that Redshift takes",
                Retry::Never,
            ),
            Self::UnknownFunction { .. } => (
                "W7013",
                "Redshift or its double has no function of this name",
                "check the spelling; a Lambda function must be declared by CREATE EXTERNAL FUNCTION first",
                Retry::Never,
            ),
            Self::Aborted => (
                "W7020",
                "an earlier statement of this transaction failed, and it is rolled back as a whole",
                "send ROLLBACK, correct the earlier statement, and run the transaction again",
                Retry::Never,
            ),
            Self::MatchedTwice { .. } => (
                "W7021",
                "the source of the MERGE holds several rows for one row of its target",
                "keep one row per key in the source, e.g. by ROW_NUMBER()",
                Retry::Never,
            ),
            Self::Engine { kind, .. } => return kind.diagnosis(),
            Self::CopyUnreadable { .. } => (
                "W7030",
                "the manifest or a file that it lists is missing or not readable",
                "check the lake's root; the build that wrote the manifest may have been removed",
                Retry::Never,
            ),
            Self::CopyManifest { .. } => (
                "W7031",
                "COPY needs {\"entries\":[{\"url\":..,\"mandatory\":true,\"meta\":{\"content_length\":..}}]}",
                "write the manifest again, e.g. by loading the build again",
                Retry::Never,
            ),
            Self::CopyLength { .. } => (
                "W7032",
                "the file was changed or cut after its manifest was written",
                "restore the file, or build and publish again",
                Retry::Never,
            ),
            Self::CopyColumns { .. } => (
                "W7033",
                "columns of a Parquet file load by position, so the counts must be equal",
                "give COPY a column list, or bring the table to the model's columns",
                Retry::Never,
            ),
            Self::CopyType { .. } => (
                "W7034",
                "columns of a Parquet file load by position, and the types at this position do not fit",
                "bring the table's columns into the file's order and types",
                Retry::Never,
            ),
            Self::Placeholder { .. } => (
                "W7040",
                "scripts hold ${lake}, ${iam_role}, ${brokers} and ${auth}, and nothing else is replaced",
                "remove or correct the placeholder",
                Retry::Never,
            ),
            Self::Publication { .. } => (
                "W7041",
                "a file below curated/_published is missing, cut or not readable",
                "check the lake's root and its rights",
                Retry::Never,
            ),
            Self::MissingBuild { .. } => (
                "W7042",
                "change sets build on each other, so builds load in order without gaps",
                "restore the missing publication, or begin with a new warehouse file",
                Retry::Never,
            ),
            Self::ManifestWrite { .. } => (
                "W7043",
                "the lake's folder is not writable or the disk is full",
                "check rights and space, then load again",
                Retry::Later,
            ),
            Self::TopicRecreated { .. } => (
                "W7050",
                "a topic of the same name was deleted and made again; its offsets begin anew",
                "DROP and CREATE the materialized view, and delete its rows from staging.stream_position",
                Retry::Never,
            ),
            Self::RecordsGone { .. } => (
                "W7051",
                "the topic's retention removed records before the view read them; the mirror would miss changes",
                "raise the topic's retention or refresh more often, then DROP and CREATE the view and rebuild the mirror",
                Retry::Never,
            ),
            Self::Topic { .. } => (
                "W7052",
                "the brokers did not answer, or the topic does not exist",
                "check that the stream runs; the refresh is tried again by itself",
                Retry::Later,
            ),
            Self::NoBrokers { .. } => (
                "W7053",
                "the warehouse was opened without a stream",
                "run `weir up` or `weir demo`, which connect both",
                Retry::Never,
            ),
            Self::NotLoopback { .. } => (
                "W7060",
                "the double is for one machine and speaks without TLS",
                "use 127.0.0.1 or ::1",
                Retry::AfterConfiguration,
            ),
            Self::Listen { .. } => {
                ("W7061", "the port is in use or the socket broke", "choose another port", Retry::AfterConfiguration)
            }
            Self::Passwords { .. } => (
                "W7062",
                "the file is missing, not readable, or has a line that is not `user:password`",
                "write one `user:password` per line",
                Retry::AfterConfiguration,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
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
