//! `quality/metrics`: one row per commit, table and measure, taken from what the commits of landing and
//! staging say. Nothing is counted here, so the table can be deleted and derived again at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::Value;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::{Commit, CommitInfo, Lake, LakeError, NewFile, Partition, Partitioning};
use weir_project::Table;

use crate::counts::RuleCount;
use crate::error::StagingError;
use crate::run::{INFO, RULES};

/// Name of the table in [`Zone::Quality`].
pub const TABLE: &str = "metrics";

/// One measure of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Version of the commit that says so.
    pub run: i64,
    /// The table.
    pub table: String,
    /// The zone.
    pub zone: Zone,
    /// A count's name, or `rule.<name>`.
    pub name: String,
    /// Rows or records.
    pub value: i64,
    /// When, microseconds since 1970 UTC.
    pub at: i64,
}

/// Columns of the table.
pub fn schema() -> Schema {
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("run", DataType::Int64),
        ("table", DataType::Utf8),
        ("zone", DataType::Utf8),
        ("name", DataType::Utf8),
        ("value", DataType::Int64),
        ("at", at),
    ];
    Schema::new(columns.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>())
}

/// Adds the measures of all commits since the last time; how many rows that were.
pub async fn derive(tables: &[Table], lake: &Lake) -> Result<usize, StagingError> {
    let mut found = Vec::new();
    let mut positions = Vec::new();
    let existing = match lake.table(Zone::Quality, TABLE).await {
        Ok(existing) => existing,
        Err(source) => return Err(StagingError::Lake { table: metrics_name(), source }),
    };
    for table in tables {
        let failed = |source: LakeError| StagingError::Lake { table: table.name.clone(), source };
        for zone in [Zone::Landing, Zone::Staging] {
            let Some(source) = lake.table(zone, table.name.as_str()).await.map_err(failed)? else { continue };
            let reader = format!("weir:{zone}:{}:{}", table.name, source.id());
            let after = existing.as_ref().and_then(|existing| existing.position(&reader)).unwrap_or(-1);
            if source.version() <= after {
                continue;
            }
            for info in source.commit_infos(after, source.version()).await.map_err(failed)? {
                found.extend(measures(zone, &table.name, &info));
            }
            positions.push((reader, source.version()));
        }
    }
    if found.is_empty() {
        return Ok(0);
    }
    let failed = |source| StagingError::Lake { table: metrics_name(), source };
    let mut metrics = match existing {
        Some(existing) => existing,
        None => lake.create_table(Zone::Quality, TABLE, &schema(), Partitioning::None).await.map_err(failed)?,
    };
    let rows = |source| StagingError::Rows { table: metrics_name(), source };
    let batch = batch(&found).map_err(rows)?;
    let file = NewFile { partition: Partition::None, batches: vec![batch], tags: BTreeMap::new() };
    let add = vec![metrics.write_file(file).await.map_err(failed)?];
    metrics.commit(Commit { add, positions, ..Commit::default() }).await.map_err(failed)?;
    Ok(found.len())
}

/// The measures that one commit names.
pub fn measures(zone: Zone, table: &TableName, info: &CommitInfo) -> Vec<Metric> {
    let at = info.info.get("timestamp").and_then(Value::as_i64).unwrap_or_default().saturating_mul(1000);
    let metric =
        |name: String, value: i64| Metric { run: info.version, table: table.to_string(), zone, name, value, at };
    let key = if zone == Zone::Landing { "weir.landing" } else { INFO };
    let counts = info.info.get(key).and_then(Value::as_object).into_iter().flatten();
    let counts = counts.filter_map(|(name, value)| Some(metric(name.clone(), value.as_i64()?)));
    let rules = info.info.get(RULES).cloned().and_then(|rules| serde_json::from_value::<Vec<RuleCount>>(rules).ok());
    let rules = rules.into_iter().flatten();
    let rules =
        rules.map(|count| metric(format!("rule.{}", count.rule), i64::try_from(count.rows).unwrap_or(i64::MAX)));
    counts.chain(rules).collect()
}

fn batch(metrics: &[Metric]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let texts = |text: &dyn Fn(&Metric) -> String| -> ArrayRef {
        Arc::new(metrics.iter().map(|metric| Some(text(metric))).collect::<StringArray>())
    };
    let numbers = |number: &dyn Fn(&Metric) -> i64| Int64Array::from_iter_values(metrics.iter().map(number));
    let at = TimestampMicrosecondArray::from_iter_values(metrics.iter().map(|metric| metric.at)).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(numbers(&|metric| metric.run)),
        texts(&|metric| metric.table.clone()),
        texts(&|metric| metric.zone.to_string()),
        texts(&|metric| metric.name.clone()),
        Arc::new(numbers(&|metric| metric.value)),
        Arc::new(at),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns)
}

fn metrics_name() -> TableName {
    TABLE.parse().expect("a constant name")
}
