//! Code, cause and fix of every failure; each code has its page in the docs.

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};

use super::{EngineFailure, WarehouseError};

impl EngineFailure {
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

impl Diagnose for WarehouseError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Locked { .. } => (
                "W7001",
                "one process owns the file, usually a running `weir serve`, `weir up` or a `duckdb` shell",
                "`weir sql` talks to a running `serve` or `up` by itself; else wait until that process is done, or stop it",
                Retry::Later,
            ),
            Self::Remote { diagnosis, .. } => return (**diagnosis).clone(),
            Self::ServerLost { .. } => (
                "W7501",
                "the process that serves the warehouse ended, or was stopped, while it was asked",
                "run the command again; what an open transaction had done is undone",
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
            Self::Refused(_) => (
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
            Self::AnotherLine { .. } => (
                "W7044",
                "curated was built anew after a loss, so its builds count from 1 again, or the warehouse is another lake's",
                "restore curated as it was, or let the warehouse begin anew: docs/recovery.md says how",
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
            Self::Away { .. } => (
                "W7601",
                "the service is down or too busy, or a firewall or security group is in between",
                "run the command again: the load ledger says what is done, and nothing is loaded twice",
                Retry::Later,
            ),
            Self::ServiceRefused { .. } => (
                "W7602",
                "the role may not do this, or `warehouse.workgroup`, `warehouse.cluster` or `warehouse.database` names nothing there",
                "read AWS's own words; grant what they name, or correct the setting",
                Retry::AfterConfiguration,
            ),
            Self::Failed { .. } => (
                "W7603",
                "Redshift's own words say it; the transaction is rolled back as a whole",
                "grant what is missing or correct what the words name, then build again",
                Retry::Never,
            ),
            Self::Overtaken { .. } => (
                "W7604",
                "two builds, or a build and somebody else, wrote to the same tables at the same time",
                "run the command again: it goes on from the load ledger",
                Retry::Later,
            ),
            Self::TimedOut { .. } => (
                "W7605",
                "the warehouse is too small or too busy, waits for a lock, or is paused",
                "look at what it runs; raise `warehouse.timeout` where it needs the time. The load ledger says what is done",
                Retry::Later,
            ),
            Self::Unusable { .. } => (
                "W7606",
                "the address is none, the server speaks no TLS, or its certificate is not one that this system trusts",
                "correct `warehouse.target` or `warehouse.host`; without a network path, leave `host` out and use the Data API",
                Retry::AfterConfiguration,
            ),
            Self::NotLetIn { .. } => (
                "W7607",
                "user or password are wrong, or the user may not connect to this database",
                "correct them, or use `warehouse.target: redshift`, which needs none",
                Retry::AfterConfiguration,
            ),
            Self::OwnText(_) => (
                "W7608",
                "a defect in Weir: Redshift would refuse the statement, so it was not sent",
                "report it with the message",
                Retry::Never,
            ),
            Self::MigrationChanged { .. } => (
                "W7609",
                "each migration runs once, so a change to its file would reach no warehouse that has it",
                "take the change back, and write it as a migration of its own with a higher number",
                Retry::AfterConfiguration,
            ),
            Self::MigrationOrder { .. } => (
                "W7610",
                "migrations run in the order of their numbers, on every warehouse in the same",
                "restore the file that is missing, or give the new one a number above all that are applied",
                Retry::AfterConfiguration,
            ),
            Self::MigrationEnds { .. } => (
                "W7611",
                "a migration and the note that it ran are one transaction, which this statement would end or leave",
                "leave it out; what Redshift runs in no transaction is run by hand",
                Retry::AfterConfiguration,
            ),
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
