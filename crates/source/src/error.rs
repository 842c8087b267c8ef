//! Why a source gives no events, or a replay stopped.

use std::path::PathBuf;

use weir_core::column::ColumnType;
use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};
use weir_core::name::Identifier;
use weir_envelope::EnvelopeError;
use weir_stream::StreamError;

/// Why a source gives no events, or a replay stopped. A file with a bad line gives none at all; a replay
/// that stopped goes on behind what the stream already holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file cannot be opened.
    #[error("could not open `{}`", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Reading broke off, e.g. in the middle of a gzip stream.
    #[error("could not read `{}` to its end; the last whole line was line {line}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Last line read, from 1; 0 when there was none.
        line: u64,
        /// What the system or the decompressor said.
        source: std::io::Error,
    },
    /// The first line does not name the data set's columns.
    #[error("line 1 of `{}` is not the header `{wanted}`", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The header that the data set has.
        wanted: String,
    },
    /// A line has too few or too many columns.
    #[error("line {line} of `{}` has {found} columns instead of {wanted}", .path.display())]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Columns in the line.
        found: usize,
        /// Columns in the header.
        wanted: usize,
    },
    /// A value is not what its column needs. The value itself is not shown.
    #[error("line {line} of `{}`: `{column}` is {problem}", .path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// The column.
        column: String,
        /// What it is, and what it should be.
        problem: &'static str,
    },
    /// The project has no table that the source fills.
    #[error("the project has no table `{table}`")]
    TableMissing {
        /// The table.
        table: &'static str,
    },
    /// The contract has no column that the source fills.
    #[error("the contract of `{table}` has no column `{column}`")]
    ColumnMissing {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A column cannot hold what the source puts into it.
    #[error("`{table}.{column}` is {found}; the source needs {wanted}{}", if *.nullable { ", NULL allowed" } else { "" })]
    ColumnUnfit {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// Its type in the contract.
        found: ColumnType,
        /// A type that would do.
        wanted: &'static str,
        /// Whether the source leaves it NULL at times.
        nullable: bool,
    },
    /// A column must have a value and the source has none.
    #[error("`{table}.{column}` is NOT NULL and the source does not fill it")]
    ColumnUnfilled {
        /// The table.
        table: &'static str,
        /// The column.
        column: Identifier,
    },
    /// The contract's key is not the source's.
    #[error("the key of `{table}` is not `{}`", .wanted.join(", "))]
    KeyUnfit {
        /// The table.
        table: &'static str,
        /// The key that the source makes.
        wanted: &'static [&'static str],
    },
    /// A size of the simulator is out of range.
    #[error("the number of {what} is {given}, not {least} to {most}")]
    SizeOutOfRange {
        /// `customers`, `products` or `orders`.
        what: &'static str,
        /// What was asked for.
        given: u32,
        /// Smallest.
        least: u32,
        /// Largest.
        most: u32,
    },
    /// A switch that has no effect without another one.
    #[error("`{switch}` is on and `{needs}` is off")]
    SwitchWithoutEffect {
        /// The switch that would do nothing.
        switch: &'static str,
        /// The switch that it builds on.
        needs: &'static str,
    },
    /// A switch that the simulator does not have.
    #[error("the simulator has no switch `{name}`; it has {known}")]
    UnknownSwitch {
        /// What was given.
        name: String,
        /// Every switch.
        known: String,
    },
    /// A line of an events file is no JSON object of the expected form.
    #[error("line {line} of `{}` is no event", .path.display())]
    NotAnEvent {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// An event names a table that the project lacks.
    #[error("line {line} of `{}`: the project has no table `{table}`; it has {known}", .path.display())]
    EventTable {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What was given.
        table: String,
        /// The project's tables.
        known: String,
    },
    /// A row image has a column that its contract lacks, or lacks one that must have a value.
    #[error("line {line} of `{}`: `{column}` {problem}", .path.display())]
    EventColumn {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// The column.
        column: String,
        /// `is no column of ..` or the like.
        problem: String,
    },
    /// `before` or `after` does not go with the operation.
    #[error("line {line} of `{}`: an event with op `{op}` {problem}", .path.display())]
    EventShape {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// The operation.
        op: String,
        /// What is missing or too much.
        problem: &'static str,
    },
    /// The events file is not the one that was checked.
    #[error("`{}` changed while it was replayed", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The folder was filled from another source, seed, size or file.
    #[error("the folder was filled by another replay: {differences}")]
    OtherReplay {
        /// Each setting that differs, with both values.
        differences: String,
    },
    /// The replay's manifest cannot be read or written.
    #[error("could not read or write `{}`", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A topic holds records and no manifest says which replay made them.
    #[error("topic `{topic}` already holds records that no replay of this folder made")]
    ForeignRecords {
        /// The topic.
        topic: String,
    },
    /// A partition holds more records than the source has.
    #[error("partition {partition} of `{topic}` ends at {found}; the source has only {wanted} records for it")]
    TooManyRecords {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// End of its log.
        found: i64,
        /// What the source makes for it.
        wanted: i64,
    },
    /// A table's topic belongs to a connector that Weir does not speak for.
    #[error("the events of `{table}` come from another connector than SQL Server's")]
    ForeignConnector {
        /// The table.
        table: String,
    },
    /// A record does not fit its table's schema.
    #[error("a record of the source could not be encoded")]
    Encode {
        /// What the encoder said.
        #[from]
        source: EnvelopeError,
    },
    /// The stream did not answer or refused.
    #[error("the stream did not take the replay")]
    Stream {
        /// What the client said.
        #[from]
        source: StreamError,
    },
}

impl SourceError {
    /// Whether the text or the bytes of the user's file are at fault.
    pub const fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Open { .. }
                | Self::Read { .. }
                | Self::Header { .. }
                | Self::ColumnCount { .. }
                | Self::BadValue { .. }
                | Self::NotAnEvent { .. }
                | Self::EventTable { .. }
                | Self::EventColumn { .. }
                | Self::EventShape { .. }
        )
    }
}

const fn diagnosis(code: &'static str, cause: &'static str, fix: &'static str, retry: Retry) -> Diagnosis {
    Diagnosis { code: Code(code), cause, fix, retry }
}

impl Diagnose for SourceError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Open { .. } => diagnosis(
                "W2001",
                "the file is missing, is a folder, or may not be read",
                "check the path and its permissions",
                Retry::AfterUsage,
            ),
            Self::Read { .. } => diagnosis(
                "W2002",
                "the file is cut short or damaged; nothing of it was sent",
                "fetch the file again and compare its size and checksum",
                Retry::Never,
            ),
            Self::Header { .. } => diagnosis(
                "W2003",
                "the file is not the Online Retail data set as CSV, or its columns were renamed or reordered",
                "give the original file, with its header line",
                Retry::Never,
            ),
            Self::ColumnCount { .. } => diagnosis(
                "W2004",
                "a line is cut short or holds an unquoted comma; nothing of the file was sent",
                "repair the line, or fetch the file again",
                Retry::Never,
            ),
            Self::BadValue { .. } => diagnosis(
                "W2005",
                "a value cannot be read as its column's type; nothing of the file was sent",
                "repair the value in the named line",
                Retry::Never,
            ),
            Self::TableMissing { .. } => diagnosis(
                "W2010",
                "the source makes changes of tables that the project does not declare",
                "use the pipeline that ships with it, or declare the table; for other tables use `weir replay events`",
                Retry::AfterConfiguration,
            ),
            Self::ColumnMissing { .. } => diagnosis(
                "W2011",
                "the contract left out a column that the source fills",
                "add the column to the table's contract",
                Retry::AfterConfiguration,
            ),
            Self::ColumnUnfit { .. } => diagnosis(
                "W2012",
                "the contract's type or NOT NULL does not hold the values of the source",
                "change the column's type or allow NULL in the table's contract",
                Retry::AfterConfiguration,
            ),
            Self::ColumnUnfilled { .. } => diagnosis(
                "W2013",
                "the contract has a column of its own that must not be NULL",
                "allow NULL in the contract, or remove the column",
                Retry::AfterConfiguration,
            ),
            Self::KeyUnfit { .. } => diagnosis(
                "W2014",
                "the contract declares another key than the one that the source's changes carry",
                "declare the named key in the table's contract",
                Retry::AfterConfiguration,
            ),
            Self::SizeOutOfRange { .. } => diagnosis(
                "W2020",
                "the simulator needs someone to order and something to be ordered, and keys that fit an int",
                "use a number in the named range",
                Retry::AfterUsage,
            ),
            Self::SwitchWithoutEffect { .. } => diagnosis(
                "W2021",
                "a switch that does nothing would hide that its kind of event is not tested",
                "switch on the other one too, or switch this one off",
                Retry::AfterUsage,
            ),
            Self::UnknownSwitch { .. } => {
                diagnosis("W2022", "the name is misspelt", "use one of the named switches", Retry::AfterUsage)
            }
            Self::NotAnEvent { .. } => diagnosis(
                "W2030",
                "the line is no JSON object with table, op, before, after and time, or has other or repeated fields",
                "write one object per line: {\"table\":..,\"op\":\"c|u|d|r\",\"before\":..,\"after\":..,\"time\":\"2024-01-02T03:04:05Z\"}",
                Retry::Never,
            ),
            Self::EventTable { .. } => diagnosis(
                "W2031",
                "the event belongs to another project, or the table's name is misspelt",
                "use a table that the project's sources declare",
                Retry::Never,
            ),
            Self::EventColumn { .. } => diagnosis(
                "W2032",
                "the row image does not have the columns of the table's contract",
                "name each column of the contract; one that allows NULL may be left out",
                Retry::Never,
            ),
            Self::EventShape { .. } => diagnosis(
                "W2033",
                "inserts and snapshot rows have only `after`, updates have `after` and may have `before`, deletes have only `before`, truncations have neither",
                "give the row images that the operation needs",
                Retry::Never,
            ),
            Self::Changed { .. } => diagnosis(
                "W2034",
                "another program wrote to the file between its check and its replay; what was sent before stays",
                "start again with a new folder when the file is complete",
                Retry::Never,
            ),
            Self::OtherReplay { .. } => diagnosis(
                "W2040",
                "a replay goes on where the stream ends, which only the same source, seed, size and file can do",
                "use the settings of the first run, or another folder",
                Retry::AfterUsage,
            ),
            Self::Manifest { .. } => diagnosis(
                "W2041",
                "the folder is not writable or `replay.json` is damaged",
                "check permissions and free space; with a damaged manifest use a new folder",
                Retry::Never,
            ),
            Self::ForeignRecords { .. } => diagnosis(
                "W2042",
                "somebody else produces to the topic, or `replay.json` was removed",
                "replay into an empty topic or a new folder",
                Retry::Never,
            ),
            Self::TooManyRecords { .. } => diagnosis(
                "W2043",
                "somebody else produced to the topic after the replay",
                "replay into a new folder",
                Retry::Never,
            ),
            Self::ForeignConnector { .. } => diagnosis(
                "W2044",
                "replayed events are those of SQL Server, with its positions in the log",
                "let the connector send them, or replay into a pipeline whose source says `connector: sqlserver`",
                Retry::AfterConfiguration,
            ),
            // The envelope and the stream know better what helps.
            Self::Encode { source } => source.diagnosis(),
            Self::Stream { source } => source.diagnosis(),
        }
    }
}
