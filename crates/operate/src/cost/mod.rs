//! What an environment costs in a month: sizes as the infrastructure declares them, loads as the lake has seen them, prices
//! from a file that says its date.
//!
//! Nothing is asked of AWS. What could not be measured is assumed, and every figure says which of both it is.

mod estimate;
mod hints;
mod inputs;
mod prices;
mod sizes;

use std::path::Path;

use serde::Serialize;
use weir_project::Project;

pub use self::estimate::{Line, estimate};
pub use self::hints::hints;
pub use self::inputs::{Given, Input, Inputs, Origin, inputs};
pub use self::prices::Prices;
pub use self::sizes::{Sizes, beside};
use crate::error::OperateError;

/// Hours of a month, as AWS counts them.
const HOURS: f64 = 730.0;
/// Days of it.
const DAYS: f64 = HOURS / 24.0;

/// A month's estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Date of the prices.
    pub as_of: String,
    /// Region that they hold in.
    pub region: String,
    /// What they are in.
    pub currency: String,
    /// Where they are from.
    pub basis: String,
    /// Per service and what is paid for.
    pub lines: Vec<Line>,
    /// Their sum.
    pub total: f64,
    /// What it was computed from.
    pub inputs: Vec<Input>,
    /// What is too small, too large, or awake all the time.
    pub hints: Vec<String>,
}

/// Puts it together.
pub fn of(project: &Project, sizes: &Sizes, prices: &Prices, inputs: Inputs) -> Result<Estimate, OperateError> {
    let lines = estimate(project, sizes, prices, &inputs)?;
    let total = lines.iter().map(|line| line.monthly).sum();
    let mut hints = hints(project, sizes, prices, &inputs)?;
    if let Some(region) =
        project.stream.iam.as_ref().or(project.lake.region.as_ref()).filter(|at| **at != prices.region)
    {
        hints.push(format!("prices are those of {}, the environment is in {region}", prices.region));
    }
    Ok(Estimate {
        as_of: prices.as_of.clone(),
        region: prices.region.clone(),
        currency: prices.currency.clone(),
        basis: prices.basis.clone(),
        lines,
        total,
        inputs: inputs.all(),
        hints,
    })
}

/// Reads a file of the infrastructure's.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, OperateError> {
    let unusable = |reason: String| OperateError::CostFile { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}
