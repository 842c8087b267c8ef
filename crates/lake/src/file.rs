//! Data files: where they stand, how big they are, what is known of their rows.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use deltalake::kernel::{Add, Remove};
use weir_core::value::Value;
use weir_core::zone::Hour;

use crate::identity::hex;
use crate::stats::Sought;

/// How a table's files are spread over folders; fixed when the table is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioning {
    /// `year=/month=/day=/hour=`, of the event's commit time at the source.
    Hour,
    /// `_bucket=`, of the key's hash.
    Bucket,
    /// One folder.
    None,
}

impl Partitioning {
    /// The partition columns; they follow the table's own columns.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Hour => &["year", "month", "day", "hour"],
            Self::Bucket => &["_bucket"],
            Self::None => &[],
        }
    }

    pub(crate) fn fields(self) -> impl Iterator<Item = Field> {
        self.columns().iter().map(|name| Field::new(*name, DataType::Int32, true))
    }

    pub(crate) fn of_columns(columns: &[String]) -> Option<Self> {
        [Self::Hour, Self::Bucket, Self::None].into_iter().find(|candidate| candidate.columns() == columns)
    }
}

/// The folder that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// The table has one folder.
    None,
    /// An hour's folder.
    Hour(Hour),
    /// A bucket's folder.
    Bucket(u16),
}

impl Partition {
    /// `year=2024/month=01/day=02/hour=03/`, `_bucket=7/` or nothing.
    pub(crate) fn prefix(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Hour(hour) => format!("{}/", hour.folder()),
            Self::Bucket(bucket) => format!("_bucket={bucket}/"),
        }
    }

    /// The partition columns' values, in their order.
    pub(crate) fn values(self) -> Vec<i32> {
        match self {
            Self::None => Vec::new(),
            Self::Hour(hour) => {
                let (year, month, day, hour) = hour.parts();
                // Months, days and hours are below 60.
                let small = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
                vec![year, small(month), small(day), small(hour)]
            }
            Self::Bucket(bucket) => vec![i32::from(bucket)],
        }
    }

    fn map(self) -> HashMap<String, Option<String>> {
        let names = match self {
            Self::None => Partitioning::None,
            Self::Hour(_) => Partitioning::Hour,
            Self::Bucket(_) => Partitioning::Bucket,
        };
        let columns = names.columns().iter().map(|name| (*name).to_owned());
        columns.zip(self.values().into_iter().map(|value| Some(value.to_string()))).collect()
    }

    fn of_map(map: &HashMap<String, Option<String>>) -> Option<Self> {
        let number = |name: &str| map.get(name).and_then(Option::as_ref).and_then(|text| text.parse::<i32>().ok());
        if map.is_empty() {
            return Some(Self::None);
        }
        if let Some(bucket) = number("_bucket") {
            return u16::try_from(bucket).ok().map(Self::Bucket);
        }
        let small = |name: &str| number(name).and_then(|n| u32::try_from(n).ok());
        let date = chrono::NaiveDate::from_ymd_opt(number("year")?, small("month")?, small("day")?)?;
        let at = date.and_hms_opt(small("hour")?, 0, 0)?.and_utc();
        Some(Self::Hour(Hour::of_micros(at.timestamp_micros())))
    }
}

/// A data file of a table: written, and committed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Path relative to the table's folder.
    pub path: String,
    /// The folder.
    pub partition: Partition,
    /// Bytes.
    pub size: i64,
    /// Rows.
    pub rows: u64,
    /// When it was written, milliseconds since 1970 UTC.
    pub modified: i64,
    /// What the writer says of the rows, e.g. [`crate::MIN_ORDER_KEY`].
    pub tags: BTreeMap<String, String>,
    pub(crate) stats: Option<String>,
}

impl DataFile {
    /// A tag's text.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }

    /// Of a file that was put together: the newest commit with which its rows came.
    pub(crate) fn gathered_up_to(&self) -> Option<i64> {
        self.tag(crate::GATHERED_UP_TO)?.parse().ok()
    }

    /// Whether a row with an order key in `[min, max]` (hexadecimal) may be inside.
    /// True where the file's writer said nothing.
    pub fn may_hold_order_keys(&self, min: &str, max: &str) -> bool {
        match (self.tag(crate::MIN_ORDER_KEY), self.tag(crate::MAX_ORDER_KEY)) {
            (Some(low), Some(high)) => low <= max && high >= min,
            _ => true,
        }
    }

    /// The greatest order key inside; none where the file's writer said nothing.
    pub fn max_order_key(&self) -> Option<Vec<u8>> {
        self.order_key(crate::MAX_ORDER_KEY)
    }

    fn order_key(&self, tag: &str) -> Option<Vec<u8>> {
        self.tag(tag).and_then(unhex)
    }

    /// Whether one of these order keys (bytes, sorted) lies between the file's smallest and largest.
    /// True where the file's writer said nothing.
    pub fn may_hold_any(&self, sorted: &[&[u8]]) -> bool {
        let (Some(low), Some(high)) = (self.order_key(crate::MIN_ORDER_KEY), self.max_order_key()) else { return true };
        let at = sorted.partition_point(|key| *key < low.as_slice());
        sorted.get(at).is_some_and(|key| *key <= high.as_slice())
    }

    /// Whether a row with this value in a column may be inside, as [`DataFile::may_hold`].
    pub fn may_hold_value(&self, column: &str, value: &Value) -> bool {
        let sought = match value {
            Value::Int(value) => Sought::Numbers(vec![*value]),
            Value::Text(value) => Sought::Texts(vec![value.clone()]),
            _ => Sought::Any,
        };
        self.may_hold(column, &sought)
    }

    pub(crate) fn of_add(add: &Add) -> Option<Self> {
        let stats: Option<serde_json::Value> = add.stats.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let rows = stats.as_ref().and_then(|stats| stats.get("numRecords")).and_then(serde_json::Value::as_u64);
        let tags = add.tags.iter().flatten();
        Some(Self {
            path: add.path.clone(),
            partition: Partition::of_map(&add.partition_values)?,
            size: add.size,
            rows: rows.unwrap_or_default(),
            modified: add.modification_time,
            tags: tags.filter_map(|(name, text)| Some((name.clone(), text.clone()?))).collect(),
            stats: add.stats.clone(),
        })
    }

    pub(crate) fn to_add(&self, data_change: bool) -> Add {
        let tags = || self.tags.iter().map(|(name, text)| (name.clone(), Some(text.clone()))).collect();
        Add {
            path: self.path.clone(),
            partition_values: self.partition.map(),
            size: self.size,
            modification_time: self.modified,
            data_change,
            stats: self.stats.clone(),
            tags: (!self.tags.is_empty()).then(tags),
            ..Add::default()
        }
    }

    pub(crate) fn to_remove(&self, data_change: bool, now: i64) -> Remove {
        Remove {
            path: self.path.clone(),
            data_change,
            deletion_timestamp: Some(now),
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition.map()),
            size: Some(self.size),
            ..Remove::default()
        }
    }
}

/// Tags of a file whose order keys lie in `[low, high]`.
pub fn order_key_tags(low: &[u8], high: &[u8]) -> BTreeMap<String, String> {
    [(crate::MIN_ORDER_KEY, low), (crate::MAX_ORDER_KEY, high)].map(|(name, key)| (name.to_owned(), hex(key))).into()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A data file to be written: batches of one schema, all for one folder.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// The folder.
    pub partition: Partition,
    /// Its rows, without partition columns.
    pub batches: Vec<RecordBatch>,
    /// What to say of the rows.
    pub tags: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_passed_over_when_no_order_key_lies_in_its_range() {
        let tags = [(crate::MIN_ORDER_KEY, "0a10"), (crate::MAX_ORDER_KEY, "0a20")];
        let tags = tags.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let file = |tags| DataFile {
            path: "x".into(),
            partition: Partition::None,
            size: 1,
            rows: 1,
            modified: 0,
            tags,
            stats: None,
        };
        let tagged = file(tags);
        assert!(tagged.may_hold_any(&[b"\x0a\x01", b"\x0a\x20", b"\x0b"]));
        assert!(!tagged.may_hold_any(&[b"\x0a\x01", b"\x0a\x21"]));
        assert!(!tagged.may_hold_any(&[]));
        assert!(file(BTreeMap::new()).may_hold_any(&[]));
    }

    #[test]
    fn a_file_is_passed_over_when_its_statistics_rule_a_value_out() {
        let stats = r#"{"numRecords":2,"minValues":{"n":3,"t":"b"},"maxValues":{"n":7,"t":"d"}}"#;
        let file = |stats: Option<&str>| DataFile {
            path: "x".into(),
            partition: Partition::None,
            size: 1,
            rows: 2,
            modified: 0,
            tags: BTreeMap::new(),
            stats: stats.map(str::to_owned),
        };
        let known = file(Some(stats));
        let text = |text: &str| Value::Text(text.to_owned());
        assert!(known.may_hold_value("n", &Value::Int(3)) && known.may_hold_value("t", &text("c")));
        assert!(!known.may_hold_value("n", &Value::Int(8)) && !known.may_hold_value("t", &text("a")));
        assert!(known.may_hold_value("other", &Value::Int(8)) && file(None).may_hold_value("n", &Value::Int(8)));
    }

    #[test]
    fn a_partition_reads_back_from_its_values() {
        for partition in
            [Partition::None, Partition::Bucket(7), Partition::Hour(Hour(-1)), Partition::Hour(Hour(358_688))]
        {
            assert_eq!(Partition::of_map(&partition.map()), Some(partition));
        }
    }
}
