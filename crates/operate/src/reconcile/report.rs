//! What reconciliation found: per zone and table, what was expected and what differs.

use serde::Serialize;
use weir_core::name::Identifier;

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneLine {
    /// `landing`, `dead letters`, `staging`, `curated`, `warehouse`, `mirrors`.
    pub zone: &'static str,
    /// The table.
    pub table: Identifier,
    /// Rows that must be there.
    pub expected: u64,
    /// Rows that are there.
    pub found: u64,
    /// Expected and not there.
    pub missing: u64,
    /// There more than once.
    pub doubled: u64,
    /// There under the right key with another content, or not expected at all.
    pub different: u64,
}

impl ZoneLine {
    /// True when the zone's table is what the stream says.
    pub const fn agrees(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.different == 0 && self.expected == self.found
    }
}

/// One equation of the accounts, e.g. received = landed + dead-lettered + repeated + tombstones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountLine {
    /// The table.
    pub table: Identifier,
    /// The equation in words.
    pub equation: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
}

/// Everything that was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Zones, in the order of the path.
    pub zones: Vec<ZoneLine>,
    /// Accounts.
    pub accounts: Vec<AccountLine>,
}

impl Reconciliation {
    /// How many rows or sums differ; 0 is the only good answer.
    pub fn differences(&self) -> u64 {
        let rows: u64 = self
            .zones
            .iter()
            .map(|line| {
                let named = line.missing + line.doubled + line.different;
                if named == 0 { line.expected.abs_diff(line.found) } else { named }
            })
            .sum();
        rows + self.accounts.iter().map(|line| line.left.abs_diff(line.right)).sum::<u64>()
    }
}

/// Zones in the order of the path.
pub(super) fn order(zone: &str) -> usize {
    const PATH: [&str; 6] = ["landing", "dead letters", "staging", "curated", "warehouse", "mirrors"];
    PATH.iter().position(|known| *known == zone).unwrap_or(PATH.len())
}
