//! Curated models: a row-wise query over one staging table, and what its YAML says of the columns.

use std::path::PathBuf;

use weir_core::column::{Column, ColumnType};
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
    /// Dimension, fact, date dimension, aggregate or view, with what only that kind has.
    pub kind: ModelKind,
    /// The query; none for the date dimension only.
    pub sql: Option<SqlFile>,
    /// The one staging table in its FROM; none for the date dimension, aggregates and views.
    pub source: Option<TableName>,
    /// Business key: output columns, in key order. One row per key in the source's last state. Of an aggregate
    /// the columns that it groups by.
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
        /// The BIGINT column that a member keeps when its business key changes: its history then goes on under the
        /// new key. None: another key is another member.
        durable_key: Option<Identifier>,
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
    /// One row per group of a fact's rows, kept up by what changed.
    Aggregate {
        /// The fact in its FROM.
        fact: ModelName,
        /// Dimensions joined to it, in the query's order.
        joins: Vec<AggregateJoin>,
        /// The columns that are no group columns, in column order.
        measures: Vec<MeasureColumn>,
    },
    /// A view of the warehouse over tables of the star schema: a query, and no table of its own.
    View {
        /// The models that it reads, in the query's order.
        reads: Vec<ModelName>,
    },
}

/// A dimension that an aggregate's query joins: each row of the fact finds exactly one row of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateJoin {
    /// The dimension, or the date dimension.
    pub dimension: ModelName,
    /// Its surrogate key, or `date_key`.
    pub key_column: Identifier,
    /// The fact's pointer to it.
    pub fact_column: Identifier,
}

/// A column of an aggregate that is added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasureColumn {
    /// The column.
    pub column: Identifier,
    /// How.
    pub measure: Measure,
}

/// How rows add up: only what can be taken back exactly when a row leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// `SUM(x)`: NULL where no row has an `x`.
    Sum,
    /// `COUNT(x)`: rows that have an `x`.
    Count,
    /// `COUNT(*)`.
    Rows,
}

/// What a delete at the source does to a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deletes {
    /// The current version ends; no version is current until the key comes back.
    Close,
    /// The last version stays current, with `is_deleted` until the key comes back.
    Mark,
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
    /// What a row points to whose business key the dimension does not have yet.
    pub late_parent: LateParent,
}

/// What a fact points to before its parent arrives. Afterwards it points to the parent in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LateParent {
    /// An inferred member, made for it.
    #[default]
    Infer,
    /// The unknown member, unless another fact has made an inferred one.
    Unknown,
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
        self.columns.iter().find(|column| column.name.as_str() == name)
    }

    /// Where the business key stands in [`Model::columns`], in key order.
    pub fn key_indexes(&self) -> Vec<usize> {
        let position = |name: &Identifier| self.columns.iter().position(|column| column.name == *name);
        self.key.iter().filter_map(position).collect()
    }

    /// The curated table's columns in order, those that Weir adds included: what a change set and the
    /// warehouse hold. Never NULL are surrogate keys, a fact's business key, an aggregate's groups, the interval
    /// and the flags; a dimension's business key and durable key are NULL in its unknown member.
    pub fn table_columns(&self) -> Vec<Column> {
        let fixed = |name: &str, kind: ColumnType, nullable: bool| Column {
            name: name.parse().expect("a fixed name is an identifier"),
            kind,
            nullable,
        };
        let given = |name: &Identifier, kind: ColumnType, nullable: bool| Column { name: name.clone(), kind, nullable };
        let keyed = |column: Column| Column { nullable: !self.key.contains(&column.name), ..column };
        let own = || self.columns.iter().map(|column| given(&column.name, column.kind, true));
        match &self.kind {
            ModelKind::Dimension { surrogate_key, durable_key, deletes } => {
                let mut out = vec![given(surrogate_key, ColumnType::BigInt, false)];
                out.extend(durable_key.iter().map(|name| given(name, ColumnType::BigInt, true)));
                let (keys, rest): (Vec<_>, Vec<_>) = own().partition(|column| self.key.contains(&column.name));
                out.extend(self.key.iter().filter_map(|name| keys.iter().find(|column| column.name == *name).cloned()));
                out.extend(rest);
                out.push(fixed("effective_from", MOMENT, false));
                out.push(fixed("effective_to", MOMENT, false));
                out.push(fixed("is_current", ColumnType::Bit, false));
                out.push(fixed("is_inferred", ColumnType::Bit, false));
                if *deletes == Deletes::Mark {
                    out.push(fixed("is_deleted", ColumnType::Bit, false));
                }
                out
            }
            ModelKind::Fact { dimensions, date_keys, milestones, .. } => {
                let mut out: Vec<Column> = own().map(keyed).collect();
                out.extend(dimensions.iter().map(|reference| given(&reference.key_column, ColumnType::BigInt, false)));
                out.extend(date_keys.iter().map(|key| given(&key.key_column, ColumnType::Int, false)));
                out.extend(milestones.iter().map(|milestone| given(&milestone.column, MOMENT, true)));
                out.push(fixed("event_time", MOMENT, true));
                out
            }
            ModelKind::DateDimension => {
                own().enumerate().map(|(index, column)| Column { nullable: index > 0, ..column }).collect()
            }
            // The warehouse says of what types a query's columns are.
            ModelKind::View { .. } => Vec::new(),
            ModelKind::Aggregate { .. } => own().map(keyed).collect(),
        }
    }
}

/// Microseconds, as every timestamp of the lake.
const MOMENT: ColumnType = ColumnType::DateTime2 { precision: 6 };

/// The fixed columns of the date dimension, its key first.
pub(crate) fn date_dimension_columns() -> Vec<ModelColumn> {
    let text = ColumnType::Text { length: Some(9) };
    [
        ("date_key", ColumnType::Int),
        ("date", ColumnType::Date),
        ("year", ColumnType::Int),
        ("quarter", ColumnType::Int),
        ("month", ColumnType::Int),
        ("day", ColumnType::Int),
        ("day_of_week", ColumnType::Int),
        ("month_name", text),
        ("day_name", text),
        ("is_weekend", ColumnType::Bit),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (name, kind))| ModelColumn {
        name: name.parse().expect("a fixed name is an identifier"),
        kind,
        scd: if index == 0 { Scd::Key } else { Scd::None },
    })
    .collect()
}
