//! Unit prices, with their date.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::read;
use crate::error::OperateError;

/// Prices as a file gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub(super) as_of: String,
    pub(super) region: String,
    pub(super) currency: String,
    pub(super) basis: String,
    prices: BTreeMap<String, Price>,
}

/// What one unit costs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    pub(super) price: f64,
    pub(super) per: String,
    /// Where AWS says it.
    pub(super) page: String,
}

impl Prices {
    /// From a file of the same form as the binary's own.
    pub fn open(path: &Path) -> Result<Self, OperateError> {
        read(path)
    }

    /// Those that the binary brings along.
    pub fn shipped() -> Result<Self, OperateError> {
        serde_json::from_str(include_str!("prices.json"))
            .map_err(|error| OperateError::CostFile { path: "prices.json".into(), reason: error.to_string() })
    }

    pub(super) fn of(&self, name: &str) -> Result<&Price, OperateError> {
        self.prices.get(name).ok_or_else(|| OperateError::NoPrice { name: name.to_owned() })
    }
}
