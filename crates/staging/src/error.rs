//! Why staging stopped. The tables still stand at their last commit.

use std::path::PathBuf;

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};
use weir_core::name::TableName;
use weir_lake::LakeError;

/// Why a table was not staged. Landing keeps the rows; the next run reads them again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagingError {
    /// The lake failed.
    #[error("`{table}` cannot be staged")]
    Lake {
        /// The table.
        table: TableName,
        /// Why.
        source: LakeError,
    },
    /// Landing rows lack what every envelope has.
    #[error("landing rows of `{table}` cannot be flattened")]
    Rows {
        /// The table.
        table: TableName,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// The staging model failed.
    #[error("the staging model {} failed", path.display())]
    Model {
        /// The model's file.
        path: PathBuf,
        /// Why.
        source: Box<datafusion::error::DataFusionError>,
    },
    /// The staging model failed on a value. The engine's own message is left out: it may hold the value.
    #[error("the staging model {} failed on a value", path.display())]
    ModelValue {
        /// The model's file.
        path: PathBuf,
    },
    /// The staging model is not row-wise.
    #[error("the staging model {} made {given} rows of {read}", path.display())]
    ModelRows {
        /// The model's file.
        path: PathBuf,
        /// Rows read.
        read: usize,
        /// Rows given.
        given: usize,
    },
    /// The staging model lacks a column of the contract.
    #[error("the staging model {} gives no column `{column}`", path.display())]
    ModelColumn {
        /// The model's file.
        path: PathBuf,
        /// The contract's column.
        column: String,
    },
    /// An expectation cannot be evaluated on its column's type.
    #[error("expectation `{rule}` of `{table}` does not fit the type of its column")]
    Rule {
        /// The table.
        table: TableName,
        /// The expectation's name.
        rule: String,
    },
    /// The contract gives a column another type than its staging table has.
    #[error("column `{column}` of `{table}` is staged as {staged}, the contract now says {declared}")]
    ContractChanged {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its type in staging.
        staged: String,
        /// Its type in the contract.
        declared: String,
    },
    /// The landing table is older than what was staged from it.
    #[error("`{table}` is staged up to landing version {staged}, landing stands at {landing}")]
    LandingReplaced {
        /// The table.
        table: TableName,
        /// The landing version in staging's last commit.
        staged: i64,
        /// The landing table's version.
        landing: i64,
    },
    /// A count does not add up; the step is not committed.
    #[error("a step of `{table}` does not add up: {read} rows read, {accounted} accounted for")]
    Unbalanced {
        /// The table.
        table: TableName,
        /// Rows read.
        read: u64,
        /// Rows staged, quarantined and repeated.
        accounted: u64,
    },
}

impl Diagnose for StagingError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::Lake { source, .. } => return source.diagnosis(),
            Self::Rows { .. } => (
                "W5001",
                "the landing table was written by something else than Weir, or its envelopes lack a row image or a key column",
                "compare the landing table's columns with the contract; a key column must be in the row image",
                Retry::Never,
            ),
            Self::Model { .. } => (
                "W5002",
                "the query does not run on the landing columns",
                "correct the model; `landing.<table>` has the contract's columns as they landed",
                Retry::AfterConfiguration,
            ),
            Self::ModelValue { .. } => (
                "W5009",
                "a cast or a function of the query does not take some value that landed",
                "use `TRY_CAST`, `NULLIF` or `CASE` in the model; a NULL can be caught by an expectation",
                Retry::AfterConfiguration,
            ),
            Self::ModelRows { .. } => (
                "W5003",
                "the query filters, joins or groups; a staging model only cleans values row by row",
                "remove WHERE, GROUP BY, LIMIT and joins; to keep rows out use an expectation",
                Retry::AfterConfiguration,
            ),
            Self::ModelColumn { .. } => (
                "W5004",
                "the query's SELECT list lacks a column that the contract declares",
                "give every contract column, with `AS` where it is computed",
                Retry::AfterConfiguration,
            ),
            Self::Rule { .. } => (
                "W5005",
                "the rule compares with values of another type",
                "correct the expectation in the table's contract",
                Retry::AfterConfiguration,
            ),
            Self::ContractChanged { .. } => (
                "W5006",
                "the contract gave a column another type; a Delta column keeps its type",
                "give the column a new name, or move the table's staging folder away and stage it again from landing",
                Retry::AfterConfiguration,
            ),
            Self::LandingReplaced { .. } => (
                "W5007",
                "the landing folder was restored from an older copy, or commits were deleted from its `_delta_log`",
                "restore the newest copy of the landing folder, or move it away and land the topic again: what is staged already is then dropped as repeats",
                Retry::Never,
            ),
            Self::Unbalanced { .. } => (
                "W5008",
                "a defect in Weir; nothing of the step was committed",
                "report it with the message; the tables are as they were",
                Retry::Never,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}
