//! Column lineage: which columns a column of a curated table depends on, from the plans of the models' queries
//! and from what each kind of model adds to them. Needs the project alone, no lake.
//!
//! The words for how a column depends on another are OpenLineage's, of its column lineage facet
//! (`spec/facets/ColumnLineageDatasetFacet.json`, version 1-2-0: `transformations[].type` and `.subtype`).

mod models;
mod plan;

pub use models::{of_models, of_staging_query};
pub use plan::{Input, Output};

/// How a column depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It is the other's value.
    Identity,
    /// It is computed from the other's value.
    Transformation,
    /// It is computed from many rows' values.
    Aggregation,
    /// The other decides which row it comes from.
    Join,
    /// The other decides which rows are put together.
    GroupBy,
    /// The other decides whether the row is there.
    Filter,
    /// The other decides the order.
    Sort,
    /// The other decides between values.
    Conditional,
}

impl How {
    /// True where the other's value is in the column.
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::Identity | Self::Transformation | Self::Aggregation)
    }

    /// OpenLineage's `type`.
    pub const fn kind(self) -> &'static str {
        if self.is_direct() { "DIRECT" } else { "INDIRECT" }
    }

    /// OpenLineage's `subtype`.
    pub const fn subtype(self) -> &'static str {
        match self {
            Self::Identity => "IDENTITY",
            Self::Transformation => "TRANSFORMATION",
            Self::Aggregation => "AGGREGATION",
            Self::Join => "JOIN",
            Self::GroupBy => "GROUP_BY",
            Self::Filter => "FILTER",
            Self::Sort => "SORT",
            Self::Conditional => "CONDITIONAL",
        }
    }

    /// This dependence, and then another on its result: an indirect influence stays what it is.
    #[must_use]
    pub fn then(self, outer: Self) -> Self {
        match (self.is_direct(), outer.is_direct()) {
            (false, _) => self,
            (true, false) => outer,
            (true, true) => self.max(outer),
        }
    }
}

/// The room that a table of the path is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The source's own tables.
    Source,
    /// The topics: fields of the change event.
    Topic,
    /// The lake's landing tables: fields of the envelope.
    Landing,
    /// The lake's staging tables.
    Staging,
    /// The lake's curated tables.
    Curated,
    /// The warehouse's star schema.
    Analytics,
    /// The warehouse's mirrors, from the topics by streaming views.
    Mirror,
}

/// A column of a table somewhere on the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// Where the table is.
    pub place: Place,
    /// The table's name as the project has it: a source table's or a model's.
    pub table: String,
    /// The column, or the path of a field in an envelope.
    pub column: String,
}

impl Field {
    /// A column.
    pub fn new(place: Place, table: impl Into<String>, column: impl Into<String>) -> Self {
        Self { place, table: table.into(), column: column.into() }
    }
}

/// One column depends on another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The one that is read.
    pub from: Field,
    /// The one that depends on it.
    pub to: Field,
    /// How.
    pub how: How,
    /// The expression or the rule, where it is more than the column itself.
    pub text: Option<String>,
}
