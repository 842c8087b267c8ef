//! Curated models: a row-wise query over one staging table, and what its YAML says of the columns.

use std::path::PathBuf;

use weir_core::column::ColumnType;
use weir_core::name::{Identifier, ModelName, TableName};

/// A SQL text and where it stands, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFile {
    /// Path relative to the project's folder.
    pub path: PathBuf,
    /// The query: one SELECT, without a final `;`.
    pub text: String,
}

/// A curated model: `models/curated/<name>.yaml` with `<name>.sql` beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name and its table's.
    pub name: ModelName,
    /// Dimension, fact or date dimension, with what only that kind has.
    pub kind: ModelKind,
    /// The query; none for the date dimension only.
    pub sql: Option<SqlFile>,
    /// The one staging table in its FROM; none for the date dimension only.
    pub source: Option<TableName>,
    /// Business key: output columns, in key order. One row per key in the source's last state.
    pub key: Vec<Identifier>,
    /// Output columns of the query in its order (for the date dimension its fixed columns).
    pub columns: Vec<ModelColumn>,
}

/// An output column of a model's query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelColumn {
    /// Its name.
    pub name: Identifier,
    /// Its type in the curated table and the warehouse.
    pub kind: ColumnType,
    /// How a dimension keeps its history.
    pub scd: Scd,
}

/// How a column's changes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scd {
    /// Part of the business key: never changes within a key.
    Key,
    /// The newest value overwrites all versions.
    Type1,
    /// The newest value overwrites the current version only.
    Type1Current,
    /// A change opens a new version.
    Type2,
    /// No history: a fact's column.
    None,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelKind {
    /// One row per version of a business key.
    Dimension {
        /// The BIGINT column that facts point to.
        surrogate_key: Identifier,
        /// What a delete at the source does.
        deletes: Deletes,
    },
    /// One row per business key.
    Fact {
        /// Output column that says when it happened; none: the commit time of the row's insert.
        event_time: Option<Identifier>,
        /// Dimensions that a row points to, in column order.
        dimensions: Vec<DimensionRef>,
        /// Keys into the date dimension, in column order.
        date_keys: Vec<DateKey>,
        /// Times at which a column first took a value, in column order.
        milestones: Vec<Milestone>,
    },
    /// `dim_date`, computed: the whole years between the first and the last date key of the facts.
    DateDimension,
}

/// What a delete at the source does to a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deletes {
    /// The current version ends; no version is current until the key comes back.
    Close,
    /// Nothing: the last version stays current.
    Ignore,
}

/// A fact's pointer to the version of a dimension that was valid at its event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimensionRef {
    /// The BIGINT column added to the fact, e.g. `customer_key`.
    pub key_column: Identifier,
    /// The dimension.
    pub dimension: ModelName,
    /// The fact's output columns that hold the dimension's business key, in its key order.
    pub on: Vec<Identifier>,
}

/// A fact's pointer into the date dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateKey {
    /// The INTEGER column added to the fact, `yyyymmdd`, -1 for NULL.
    pub key_column: Identifier,
    /// The fact's date or timestamp output column.
    pub from: Identifier,
}

/// When a column of an accumulating fact first took a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// The TIMESTAMP column added to the fact, e.g. `shipped_at`.
    pub column: Identifier,
    /// The fact's text output column that is watched.
    pub when_column: Identifier,
    /// The value.
    pub equals: String,
}

impl Model {
    /// The output column of this name.
    pub fn column(&self, name: &str) -> Option<&ModelColumn> {
        self.columns
            .iter()
            .find(|column| column.name.as_str() == name)
    }

    /// Where the business key stands in [`Model::columns`], in key order.
    pub fn key_indexes(&self) -> Vec<usize> {
        let position =
            |name: &Identifier| self.columns.iter().position(|column| column.name == *name);
        self.key.iter().filter_map(position).collect()
    }
}
