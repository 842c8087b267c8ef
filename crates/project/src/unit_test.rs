//! Unit tests of models: given changes, expected rows.

use weir_core::change::Change;
use weir_core::name::{Identifier, ModelName};
use weir_core::value::Value;

use crate::error::Place;

/// One entry of `tests:` in a model's YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitTest {
    /// The model.
    pub model: ModelName,
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Staging rows of every table, in the order in which they arrive; each with a row in contract order.
    pub given: Vec<Change>,
    /// The rows that the model's table must hold, besides the unknown member, and no others.
    pub expect: Vec<ExpectedRow>,
}

/// The columns of a row that are looked at, in table order.
pub type ExpectedRow = Vec<(Identifier, Expected)>;

/// What a column must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This value.
    Is(Value),
    /// The key of a row of this dimension that has these values.
    Member {
        /// The dimension.
        dimension: ModelName,
        /// Its columns that are looked at, in table order.
        row: Vec<(Identifier, Value)>,
    },
}
