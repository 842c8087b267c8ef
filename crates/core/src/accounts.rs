//! Everything received is accounted for: the counts that travel in a commit, and their equations.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What landing did with the records that the client handed over. In commitInfo under `weir.landing`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LandingCounts {
    /// Records handed over by the client; never a difference of offsets.
    pub received: u64,
    /// Rows written.
    pub landed: u64,
    /// Records written to the dead letters.
    pub dead_lettered: u64,
    /// Deliveries of a change that its hour folder already holds.
    pub repeated: u64,
    /// Records with a null value.
    pub tombstones: u64,
}

impl LandingCounts {
    /// received = landed + dead-lettered + repeated deliveries + tombstones
    pub const fn balance(&self) -> bool {
        self.received == self.accounted()
    }

    /// What became of them, together.
    pub const fn accounted(&self) -> u64 {
        self.landed + self.dead_lettered + self.repeated + self.tombstones
    }
}

impl AddAssign for LandingCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.landed += other.landed;
        self.dead_lettered += other.dead_lettered;
        self.repeated += other.repeated;
        self.tombstones += other.tombstones;
    }
}

/// What staging did with the landing rows that it read. In commitInfo under `weir.staging`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StagingCounts {
    /// Landing rows read.
    pub read: u64,
    /// Rows written to staging.
    pub staged: u64,
    /// Rows written to quarantine.
    pub quarantined: u64,
    /// Repeats that landed in another hour and were found here.
    pub repeated: u64,
    /// Rows read that say that the table was truncated.
    pub truncations: u64,
    /// Deletes added to staging for the keys that truncations ended; not among `staged`.
    pub closed: u64,
}

impl StagingCounts {
    /// landed = staged + quarantined + repeats found in staging + truncations
    pub const fn balance(&self) -> bool {
        self.read == self.accounted()
    }

    /// Landing rows that ended somewhere.
    pub const fn accounted(&self) -> u64 {
        self.staged + self.quarantined + self.repeated + self.truncations
    }
}

impl AddAssign for StagingCounts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.staged += other.staged;
        self.quarantined += other.quarantined;
        self.repeated += other.repeated;
        self.truncations += other.truncations;
        self.closed += other.closed;
    }
}
