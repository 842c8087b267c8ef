//! A topic's settings, under Kafka's names. What this broker does not do is refused by name.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cleanup {
    /// Old segments are deleted.
    pub(crate) delete: bool,
    /// The last record of a key must stay: kept for good here, since compaction may be as late as it likes.
    pub(crate) compact: bool,
}

/// A topic's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub(crate) struct TopicConfig {
    /// Only what was set; everything else follows the default.
    set: BTreeMap<String, String>,
    pub(crate) cleanup: Cleanup,
    /// None: kept for good.
    pub(crate) retention: Option<Duration>,
    /// None: no limit.
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_age: Duration,
    pub(crate) max_message_bytes: usize,
}

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadConfig {
    #[error("`{name}` is not supported by this broker; it knows {}", KNOWN.map(|k| k.name).join(", "))]
    Unknown { name: String },
    #[error("`{name}` cannot be `{value}`: {wanted}")]
    Value { name: String, value: String, wanted: &'static str },
}

/// Kafka's numbers for the type of a setting in DescribeConfigs.
pub(crate) const TYPE_STRING: i8 = 2;
pub(crate) const TYPE_INT: i8 = 3;
pub(crate) const TYPE_LONG: i8 = 5;
pub(crate) const TYPE_LIST: i8 = 7;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: i8,
    pub(crate) meaning: &'static str,
}

const DAY_MS: &str = "86400000";

/// Every setting, by name.
pub(crate) const KNOWN: [Known; 9] = [
    Known {
        name: "cleanup.policy",
        default: "delete",
        kind: TYPE_LIST,
        meaning: "delete, compact (kept for good), or both",
    },
    Known {
        name: "compression.type",
        default: "producer",
        kind: TYPE_STRING,
        meaning: "always as the producer sent it",
    },
    Known { name: "max.message.bytes", default: "1048588", kind: TYPE_INT, meaning: "largest batch, compressed" },
    Known {
        name: "message.timestamp.type",
        default: "LogAppendTime",
        kind: TYPE_STRING,
        meaning: "always the time of arrival",
    },
    Known { name: "min.insync.replicas", default: "1", kind: TYPE_INT, meaning: "always 1: there is no replication" },
    Known {
        name: "retention.bytes",
        default: "-1",
        kind: TYPE_LONG,
        meaning: "per partition, by whole segments; -1: no limit",
    },
    Known {
        name: "retention.ms",
        default: "604800000",
        kind: TYPE_LONG,
        meaning: "from arrival, by whole segments; -1: for good",
    },
    Known { name: "segment.bytes", default: "67108864", kind: TYPE_INT, meaning: "a new segment begins at this size" },
    Known { name: "segment.ms", default: DAY_MS, kind: TYPE_LONG, meaning: "a new segment begins after this time" },
];

fn number(name: &str, value: &str, least: i64, wanted: &'static str) -> Result<i64, BadConfig> {
    let bad = || BadConfig::Value { name: name.into(), value: value.into(), wanted };
    value.trim().parse().ok().filter(|n| *n >= least).ok_or_else(bad)
}

fn only(name: &str, value: &str, allowed: &[&str], wanted: &'static str) -> Result<(), BadConfig> {
    let bad = || BadConfig::Value { name: name.into(), value: value.into(), wanted };
    allowed.contains(&value.trim()).then_some(()).ok_or_else(bad)
}

fn cleanup(name: &str, value: &str) -> Result<Cleanup, BadConfig> {
    let mut cleanup = Cleanup { delete: false, compact: false };
    for part in value.split(',') {
        match part.trim() {
            "delete" => cleanup.delete = true,
            "compact" => cleanup.compact = true,
            _ => {
                let wanted = "use delete, compact or delete,compact";
                return Err(BadConfig::Value { name: name.into(), value: value.into(), wanted });
            }
        }
    }
    Ok(cleanup)
}

fn millis(n: i64) -> Duration {
    Duration::from_millis(n.unsigned_abs())
}

impl TopicConfig {
    /// Reads settings; those not named keep their default.
    pub(crate) fn parse(set: BTreeMap<String, String>) -> Result<Self, BadConfig> {
        let mut config = Self::default();
        for (name, value) in &set {
            match name.as_str() {
                "cleanup.policy" => config.cleanup = cleanup(name, value)?,
                "compression.type" => only(name, value, &["producer"], "batches stay as the producer sent them")?,
                "max.message.bytes" => {
                    let n = number(name, value, 1, "use a number of bytes from 1 on")?;
                    config.max_message_bytes = usize::try_from(n).unwrap_or(usize::MAX);
                }
                "message.timestamp.type" => {
                    only(name, value, &["LogAppendTime"], "retention counts from arrival, so use LogAppendTime")?;
                }
                "min.insync.replicas" => only(name, value, &["1"], "there is one copy, so use 1")?,
                "retention.bytes" => {
                    let n = number(name, value, -1, "use a number of bytes, or -1 for no limit")?;
                    config.retention_bytes = u64::try_from(n).ok();
                }
                "retention.ms" => {
                    let n = number(name, value, -1, "use milliseconds, or -1 to keep records for good")?;
                    config.retention = (n >= 0).then(|| millis(n));
                }
                "segment.bytes" => {
                    let n = number(name, value, 14, "use a number of bytes from 14 on")?;
                    config.segment_bytes = n.unsigned_abs();
                }
                "segment.ms" => config.segment_age = millis(number(name, value, 1, "use milliseconds from 1 on")?),
                _ => return Err(BadConfig::Unknown { name: name.clone() }),
            }
        }
        config.set = set;
        Ok(config)
    }

    /// The value in force, as text, and whether it was set.
    pub(crate) fn value(&self, known: &Known) -> (String, bool) {
        match self.set.get(known.name) {
            Some(value) => (value.clone(), true),
            None => (known.default.into(), false),
        }
    }

    /// What was set.
    pub(crate) fn set(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// True when old segments may go.
    pub(crate) fn deletes(&self) -> bool {
        self.cleanup.delete
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            set: BTreeMap::new(),
            cleanup: Cleanup { delete: true, compact: false },
            retention: Some(Duration::from_secs(7 * 86_400)),
            retention_bytes: None,
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(86_400),
            max_message_bytes: 1_048_588,
        }
    }
}

impl TryFrom<BTreeMap<String, String>> for TopicConfig {
    type Error = BadConfig;

    fn try_from(set: BTreeMap<String, String>) -> Result<Self, BadConfig> {
        Self::parse(set)
    }
}

impl From<TopicConfig> for BTreeMap<String, String> {
    fn from(config: TopicConfig) -> Self {
        config.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<TopicConfig, BadConfig> {
        TopicConfig::parse(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn the_defaults_in_the_table_are_the_defaults_in_force() {
        let all: Vec<_> = KNOWN.iter().map(|k| (k.name, k.default)).collect();
        let config = parse(&all).unwrap();
        assert_eq!(TopicConfig { set: BTreeMap::new(), ..config }, TopicConfig::default());
    }

    #[test]
    fn a_setting_that_would_do_nothing_is_refused_by_name() {
        for (name, value) in [
            ("flush.ms", "1"),
            ("message.timestamp.type", "CreateTime"),
            ("compression.type", "zstd"),
            ("min.insync.replicas", "2"),
            ("retention.ms", "-2"),
            ("retention.ms", "7d"),
            ("cleanup.policy", "forget"),
        ] {
            assert!(parse(&[(name, value)]).unwrap_err().to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn retention_of_minus_one_keeps_records_for_good() {
        assert_eq!(parse(&[("retention.ms", "-1")]).unwrap().retention, None);
        assert_eq!(
            parse(&[("retention.ms", "9223372036854775807")]).unwrap().retention.unwrap().as_millis(),
            i64::MAX as u128
        );
        assert!(!parse(&[("cleanup.policy", "compact")]).unwrap().deletes());
        assert!(parse(&[("cleanup.policy", "compact,delete")]).unwrap().deletes());
    }
}
