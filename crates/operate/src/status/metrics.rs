//! The metrics: each described once, with its unit and where its values come from. Text in the OpenMetrics format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::{PartitionStatus, Status, TableStatus};

/// Labels and value of one line.
type Sample = (Vec<(&'static str, String)>, f64);

struct Metric {
    /// Without the unit, which the format puts behind it.
    name: &'static str,
    unit: Option<&'static str>,
    /// Only grows while the process lives; counts from its start.
    counter: bool,
    help: &'static str,
    samples: fn(&Status) -> Vec<Sample>,
}

const fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    samples: fn(&Status) -> Vec<Sample>,
) -> Metric {
    Metric { name, unit, counter: false, help, samples }
}

const fn counter(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    samples: fn(&Status) -> Vec<Sample>,
) -> Metric {
    Metric { name, unit, counter: true, help, samples }
}

const RECORDS: Option<&str> = Some("records");
const ROWS: Option<&str> = Some("rows");
const SECONDS: Option<&str> = Some("seconds");
const BYTES: Option<&str> = Some("bytes");

const ALL: &[Metric] = &[
    gauge("weir_landing_lag", RECORDS, "Records of the topic that have not landed", |status| {
        partitions(status, |partition| Some(number(partition.lag())))
    }),
    gauge("weir_landing_lag", SECONDS, "How long the first record that has not landed has been waiting", |status| {
        partitions(status, |partition| Some(seconds(partition.lag_milliseconds(status.at))))
    }),
    gauge(
        "weir_landing_newest_event_timestamp",
        SECONDS,
        "Commit time at the source of the newest event that has landed",
        |status| partitions(status, |partition| partition.newest.map(|us| since_1970(us / 1000))),
    ),
    counter("weir_landing_commits", None, "Micro-batches committed", |status| {
        tables(status, |table| Some(number(table.sums.commits)))
    }),
    counter("weir_landing_received", RECORDS, "Records received", |status| {
        tables(status, |table| Some(number(table.sums.counts.received)))
    }),
    counter("weir_landing_received", BYTES, "Bytes of the keys and values of received records", |status| {
        tables(status, |table| Some(number(table.sums.bytes)))
    }),
    counter("weir_landing_landed", ROWS, "Rows written to landing", |status| {
        tables(status, |table| Some(number(table.sums.counts.landed)))
    }),
    counter("weir_landing_repeated", RECORDS, "Deliveries of a change that had landed", |status| {
        tables(status, |table| Some(number(table.sums.counts.repeated)))
    }),
    counter("weir_landing_dead_lettered", RECORDS, "Records that could not be decoded", |status| {
        tables(status, |table| Some(number(table.sums.counts.dead_lettered)))
    }),
    counter("weir_landing_tombstone", RECORDS, "Records without a value", |status| {
        tables(status, |table| Some(number(table.sums.counts.tombstones)))
    }),
    counter("weir_landing_late", ROWS, "Rows later than `landing.allowed_lateness`", |status| {
        tables(status, |table| Some(number(table.sums.late)))
    }),
    counter("weir_landing_batch", SECONDS, "Time from a micro-batch's last record to its commit, summed", |status| {
        tables(status, |table| Some(seconds(table.sums.milliseconds)))
    }),
    gauge("weir_landing_last_batch", RECORDS, "Records of the last micro-batch", |status| {
        tables(status, |table| table.last.as_ref().map(|last| number(last.records)))
    }),
    gauge("weir_landing_last_batch", BYTES, "Bytes of the keys and values in the last micro-batch", |status| {
        tables(status, |table| table.last.as_ref().map(|last| number(last.bytes)))
    }),
    gauge("weir_landing_last_batch", SECONDS, "Time from the last micro-batch's last record to its commit", |status| {
        tables(status, |table| table.last.as_ref().map(|last| seconds(last.milliseconds)))
    }),
    gauge("weir_landing_last_commit_timestamp", SECONDS, "When the last micro-batch was committed", |status| {
        tables(status, |table| table.last.as_ref().map(|last| since_1970(last.at)))
    }),
    gauge("weir_dead_letters_open", RECORDS, "Dead letters neither replayed nor discarded", |status| {
        tables(status, |table| Some(number(table.open_letters)))
    }),
    gauge("weir_staging_waiting", ROWS, "Landing rows that staging has not read", |status| {
        tables(status, |table| Some(number(table.unstaged)))
    }),
    gauge("weir_staging_last_commit_timestamp", SECONDS, "When staging committed last", |status| {
        tables(status, |table| table.staged_at.map(since_1970))
    }),
    gauge("weir_curated_published_build", None, "Number of the last published build", |status| {
        one(status.published.map(|build| number(build.build)))
    }),
    gauge("weir_curated_published_timestamp", SECONDS, "When the last build was published", |status| {
        one(status.published.map(|build| since_1970(build.at / 1000)))
    }),
    gauge("weir_warehouse_loaded_build", None, "Number of the build that the warehouse has loaded", |status| {
        one(status.loaded.map(|build| number(build.build)))
    }),
    gauge(
        "weir_warehouse_loaded_timestamp",
        SECONDS,
        "When the build that the warehouse has loaded was published",
        |status| one(status.loaded.map(|build| since_1970(build.at / 1000))),
    ),
];

fn partitions(status: &Status, value: impl Fn(&PartitionStatus) -> Option<f64>) -> Vec<Sample> {
    let sample = |of: &PartitionStatus| {
        let labels = vec![("table", of.table.to_string()), ("partition", of.partition.to_string())];
        value(of).map(|value| (labels, value))
    };
    status.partitions.iter().filter_map(sample).collect()
}

fn tables(status: &Status, value: impl Fn(&TableStatus) -> Option<f64>) -> Vec<Sample> {
    let sample = |of: &TableStatus| value(of).map(|value| (vec![("table", of.table.to_string())], value));
    status.tables.iter().filter_map(sample).collect()
}

fn one(value: Option<f64>) -> Vec<Sample> {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}

/// Exact up to 2^53.
fn number(count: u64) -> f64 {
    count as f64
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn since_1970(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

#[derive(Debug)]
struct Taken(Status);

impl Collector for Taken {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in ALL {
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            let kind = if metric.counter { MetricType::Counter } else { MetricType::Gauge };
            let mut lines = encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), kind)?;
            for (labels, value) in (metric.samples)(&self.0) {
                let mut line = lines.encode_family(&labels)?;
                if metric.counter {
                    line.encode_counter::<NoLabelSet, f64, f64>(&value, None)?;
                } else {
                    line.encode_gauge(&value)?;
                }
            }
        }
        Ok(())
    }
}

/// The status in the OpenMetrics text format.
pub fn render(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Taken(status)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_metric_has_one_name_and_every_description_is_there_without_a_value() {
        let text = render(Status::default()).expect("text");
        let names: BTreeSet<String> =
            ALL.iter().map(|metric| [metric.name, metric.unit.unwrap_or_default()].join("_")).collect();
        assert_eq!(names.len(), ALL.len());
        assert_eq!(text.lines().filter(|line| line.starts_with("# HELP")).count(), ALL.len());
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
