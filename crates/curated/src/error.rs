//! What can go wrong between staging and the publication, and what a person does about it.

use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};
use weir_core::name::{ModelName, TableName};
use weir_lake::LakeError;

use crate::invariant::Broken;

/// Why a build stopped. Nothing is published, and what was committed before is gone on from by the next build.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CuratedError {
    /// The lake failed; its own error has its own code.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The model's query cannot be read.
    #[error("the query of model `{model}` in `{}` cannot be read", path.display())]
    Syntax {
        /// The model.
        model: ModelName,
        /// Its SQL file.
        path: PathBuf,
        /// What the parser said.
        source: Box<datafusion::sql::sqlparser::parser::ParserError>,
    },
    /// The query engine refused the model's query or failed while it ran.
    #[error("the query of model `{model}` in `{}` failed", path.display())]
    Query {
        /// The model.
        model: ModelName,
        /// Its SQL file.
        path: PathBuf,
        /// What the engine said.
        source: Box<DataFusionError>,
    },
    /// The query's output does not fit a declared column.
    #[error(
        "column `{}` of model `{model}` is declared as {}, and its query gives {}",
        misfit.column, misfit.declared, misfit.given
    )]
    Column {
        /// The model.
        model: ModelName,
        /// What does not fit.
        misfit: Box<Misfit>,
        /// What the cast said, when the types fit and a value did not.
        source: Option<ArrowError>,
    },
    /// The model is not the one that its tables were built with.
    #[error("model `{model}` has changed since table `curated/{table}` was built")]
    ModelChanged {
        /// The model.
        model: ModelName,
        /// The table.
        table: String,
    },
    /// The model's tables have other columns than the model.
    #[error("the columns of model `{model}` are not those of table `curated/{table}`")]
    ColumnsChanged {
        /// The model.
        model: ModelName,
        /// The table.
        table: String,
    },
    /// The rows of the model's tables are known by another key than the model's.
    #[error("the key of model `{model}` is not the one that its rows are known by")]
    KeyChanged {
        /// The model.
        model: ModelName,
    },
    /// Older history rows were to be kept, which lack what the model has now.
    #[error("history rows of model `{model}` have other columns, so none can be kept as it is")]
    KeptColumns {
        /// The model.
        model: ModelName,
    },
    /// A model that has no history of its own, or that the project does not have.
    #[error("`{model}` is no model with a history")]
    NoHistory {
        /// What was named.
        model: ModelName,
    },
    /// There is no such publication.
    #[error("build {build} was never published; the newest is {newest}")]
    NoBuild {
        /// What was asked for.
        build: u64,
        /// The newest publication; 0 if there is none.
        newest: u64,
    },
    /// Files of a published build are gone.
    #[error("files of build {build} are gone; {}", reach.map_or_else(|| "no build can be read".to_owned(), |first| format!("time travel reaches back to build {first}")))]
    OutOfReach {
        /// What was asked for.
        build: u64,
        /// The oldest build from which on all can be read.
        reach: Option<u64>,
    },
    /// A query over a published build was refused or failed.
    #[error("the query over build {build} failed")]
    BuildQuery {
        /// The build.
        build: u64,
        /// What the engine said.
        source: Box<DataFusionError>,
    },
    /// Two rows would have one surrogate key or one business key.
    #[error("two rows of `{model}` have the key {key}")]
    Collision {
        /// The model.
        model: ModelName,
        /// The surrogate key, or the business key unless it is personal.
        key: String,
    },
    /// An invariant of the star schema does not hold. Nothing was published.
    #[error("{} of `{model}`: {}, for keys {}", count, broken.as_str(), keys.join(", "))]
    Violation {
        /// The model.
        model: ModelName,
        /// Which invariant.
        broken: Broken,
        /// How many keys break it.
        count: usize,
        /// Some of them; `(personal)` where a key column is personal data.
        keys: Vec<String>,
    },
    /// Another build published meanwhile.
    #[error("publication {build} was written by another build meanwhile")]
    PublishedElsewhere {
        /// Its number.
        build: u64,
    },
    /// A publication or change set cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// The file, relative to the lake's root.
        path: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A table does not hold yet what its history holds.
    #[error("the last build of `{model}` did not finish")]
    Unfinished {
        /// The model.
        model: ModelName,
    },
    /// The staging table that a model reads lacks a column that every staging table has.
    #[error("staging table `{table}` lacks column `{column}`")]
    Staging {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Values in memory could not be put together.
    #[error("rows of `{model}` cannot be put together")]
    Rows {
        /// The model.
        model: ModelName,
        /// What Arrow said.
        source: ArrowError,
    },
    /// The columns of a query cannot be followed to its tables.
    #[error("the columns of `{model}` in `{}` cannot be followed through {part}", path.display())]
    Untraceable {
        /// The model, or the table that is staged by the query.
        model: ModelName,
        /// Its SQL file.
        path: PathBuf,
        /// The part of the engine's plan.
        part: String,
    },
    /// An aggregate's groups are none that rows can have, even added up from the whole fact.
    #[error("aggregate `{model}` does not add up")]
    Unsound {
        /// The model.
        model: ModelName,
    },
    /// A worker thread died.
    #[error("a worker that computed rows of `{model}` died")]
    Worker {
        /// The model.
        model: ModelName,
        /// What the runtime said.
        source: tokio::task::JoinError,
    },
}

/// A declared column and what a query gives for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The column.
    pub column: String,
    /// The declared type.
    pub declared: String,
    /// The type that the query gives, or that it gives no such column.
    pub given: String,
}

impl Diagnose for CuratedError {
    fn diagnosis(&self) -> Diagnosis {
        let known = |code, cause, fix, retry| Diagnosis { code: Code(code), cause, fix, retry };
        match self {
            Self::Lake(error) => error.diagnosis(),
            Self::Syntax { .. } => known(
                "W6001",
                "the model's SQL is not one that the query engine parses",
                "run `weir validate`; it names line and column",
                Retry::AfterConfiguration,
            ),
            Self::Query { .. } => known(
                "W6002",
                "the model's SQL names a column or function that does not exist, or a value broke an expression",
                "correct the SQL file; staging keeps all rows, so the next build starts where this one did",
                Retry::AfterConfiguration,
            ),
            Self::Column { .. } => known(
                "W6003",
                "the query's result cannot become the declared type without loss",
                "declare the type that the query gives, or cast in the query; decimals never come from floats",
                Retry::AfterConfiguration,
            ),
            Self::ModelChanged { .. } => known(
                "W6004",
                "a model's key, columns, query or number of buckets was changed, and its tables hold the old form",
                "run `weir restate` with the model's name: it shows what would change, and with `--apply` swaps it",
                Retry::AfterConfiguration,
            ),
            Self::ColumnsChanged { .. } => known(
                "W6401",
                "columns were added, removed, moved, renamed or given another type, and a build adds to what is stored",
                "run `weir restate` with the model's name: it shows what would change, and with `--apply` swaps it",
                Retry::AfterConfiguration,
            ),
            Self::KeyChanged { .. } => known(
                "W6406",
                "the business key, its type or the surrogate key's name was changed; facts and loads find rows by it",
                "give the changed model a new name: staging has the whole history, so its first build fills it",
                Retry::AfterConfiguration,
            ),
            Self::KeptColumns { .. } => known(
                "W6407",
                "`--from` keeps the history rows of earlier changes, and the model's columns were changed",
                "restate the model without `--from`: staging has every change, so nothing is lost",
                Retry::AfterUsage,
            ),
            Self::NoHistory { .. } => known(
                "W6402",
                "the name is misspelt, or the model is computed from others, as the date dimension is",
                "name a dimension or fact of the project",
                Retry::AfterUsage,
            ),
            Self::NoBuild { .. } => known(
                "W6403",
                "the number is greater than the newest publication's, or less than 1",
                "run `weir table builds`; it lists what was published",
                Retry::AfterUsage,
            ),
            Self::OutOfReach { .. } => known(
                "W6404",
                "`weir table vacuum`, or another tool, deleted files that only older versions held",
                "name a younger build; `weir table builds` says which can be read",
                Retry::AfterUsage,
            ),
            Self::BuildQuery { .. } => known(
                "W6405",
                "the statement is no query, names what that build did not have, or a value broke an expression",
                "tables are `curated.<name>`, also known as `analytics.<name>`; only SELECT is answered",
                Retry::AfterUsage,
            ),
            Self::Collision { .. } => known(
                "W6005",
                "two business keys hash to one surrogate key, or a model's key is not unique in its source",
                "check the model's key; for a true collision of hashes rename the model, which changes all its hashes",
                Retry::Never,
            ),
            Self::Violation { .. } => known(
                "W6006",
                "rows in the lake contradict their history: a fault in Weir, or files changed by hand",
                "run `weir check`; the last publication stays in force. Please report it with the keys named",
                Retry::Never,
            ),
            Self::PublishedElsewhere { .. } => known(
                "W6007",
                "two builds run over one lake at the same time",
                "run one at a time; the next build publishes what is left",
                Retry::Later,
            ),
            Self::Unreadable { .. } => known(
                "W6008",
                "the file is damaged or was written by a later version",
                "restore the file from a copy of the lake",
                Retry::Never,
            ),
            Self::Unfinished { .. } => known(
                "W6009",
                "a build was stopped between two tables, so their states cannot be compared",
                "run `weir build`, then check again",
                Retry::Later,
            ),
            Self::Staging { .. } => known(
                "W6010",
                "the staging table was not written by this version of Weir",
                "run `weir check`; rebuild staging from landing",
                Retry::Never,
            ),
            Self::Rows { .. } => known(
                "W6011",
                "a stored file has other columns than the model declares, or values overflow a column",
                "run `weir check`; the message's source names the column",
                Retry::Never,
            ),
            Self::Untraceable { .. } => known(
                "W6601",
                "the query has a part whose output columns lineage cannot tell the inputs of",
                "write the query with plain columns, joins, conditions and aggregates",
                Retry::AfterConfiguration,
            ),
            Self::Unsound { .. } => known(
                "W6080",
                "two builds over one lake met, or a fault in Weir",
                "run the build again; please report it if it stays",
                Retry::Later,
            ),
            Self::Worker { .. } => known(
                "W6012",
                "memory ran out, or a fault in Weir",
                "run the build again with more `curated.buckets` or memory; please report it if it stays",
                Retry::Later,
            ),
        }
    }
}

/// Puts the model's name to an Arrow error.
pub(crate) fn of(model: &ModelName) -> impl Fn(ArrowError) -> CuratedError + Copy + '_ {
    move |source| CuratedError::Rows { model: model.clone(), source }
}
