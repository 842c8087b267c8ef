//! The folders of the lake, and the hour folder that a change belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A folder under the lake's root; its tables are plain Delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// Raw events, as they came.
    Landing,
    /// Typed, deduplicated, checked change history.
    Staging,
    /// Dimensions and facts.
    Curated,
    /// Rows that broke a rule, with the rule.
    Quarantine,
    /// Records that could not be decoded, with the reason.
    Deadletter,
    /// Counts per run.
    Quality,
}

impl Zone {
    /// The folder's name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Landing => "landing",
            Self::Staging => "staging",
            Self::Curated => "curated",
            Self::Quarantine => "quarantine",
            Self::Deadletter => "deadletter",
            Self::Quality => "quality",
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.folder())
    }
}

/// Hours since 1970-01-01T00 UTC: what `year=/month=/day=/hour=` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hour(pub i32);

impl Hour {
    /// The hour that holds this time, in microseconds since 1970 UTC.
    pub fn of_micros(us: i64) -> Self {
        let hours = us.div_euclid(3_600_000_000);
        Self(i32::try_from(hours).unwrap_or(if hours < 0 { i32::MIN } else { i32::MAX }))
    }

    /// Year, month, day, hour.
    pub fn parts(self) -> (i32, u32, u32, u32) {
        use chrono::{DateTime, Datelike, Timelike};
        let at = DateTime::from_timestamp(i64::from(self.0) * 3600, 0).unwrap_or_default();
        (at.year(), at.month(), at.day(), at.hour())
    }

    /// `year=2024/month=01/day=02/hour=03`
    pub fn folder(self) -> String {
        let (year, month, day, hour) = self.parts();
        format!("year={year:04}/month={month:02}/day={day:02}/hour={hour:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_before_1970_belongs_to_the_hour_that_holds_it() {
        assert_eq!(Hour::of_micros(-1).folder(), "year=1969/month=12/day=31/hour=23");
        assert_eq!(Hour::of_micros(0).folder(), "year=1970/month=01/day=01/hour=00");
        assert_eq!(Hour::of_micros(1_291_191_960_000_000).folder(), "year=2010/month=12/day=01/hour=08");
    }
}
