//! The metrics: each described once, with its unit and where its values come from. Text in the OpenMetrics format, and of
//! those that alarms look at, lines for CloudWatch.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use weir_core::emf::Point;

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
    /// Whether CloudWatch gets it too: of a table the worst partition, or all of them together.
    logged: Option<Of>,
}

/// How a table's partitions make one value.
#[derive(Clone, Copy)]
enum Of {
    Worst,
    All,
}

impl Metric {
    const fn logged(mut self, of: Of) -> Self {
        self.logged = Some(of);
        self
    }
}

const fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    samples: fn(&Status) -> Vec<Sample>,
) -> Metric {
    Metric { name, unit, counter: false, help, samples, logged: None }
}

const fn counter(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    samples: fn(&Status) -> Vec<Sample>,
) -> Metric {
    Metric { name, unit, counter: true, help, samples, logged: None }
}

const RECORDS: Option<&str> = Some("records");
const ROWS: Option<&str> = Some("rows");
const SECONDS: Option<&str> = Some("seconds");
const BYTES: Option<&str> = Some("bytes");

const ALL: &[Metric] = &[
    gauge("weir_landing_lag", RECORDS, "Records of the topic that have not landed", |status| {
        partitions(status, |partition| Some(number(partition.lag())))
    })
    .logged(Of::All),
    gauge("weir_landing_lag", SECONDS, "How long the first record that has not landed has been waiting", |status| {
        partitions(status, |partition| Some(seconds(partition.lag_milliseconds(status.at))))
    })
    .logged(Of::Worst),
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
    })
    .logged(Of::All),
    counter("weir_landing_dead_lettered", RECORDS, "Records that could not be decoded", |status| {
        tables(status, |table| Some(number(table.sums.counts.dead_lettered)))
    })
    .logged(Of::All),
    counter("weir_landing_tombstone", RECORDS, "Records without a value", |status| {
        tables(status, |table| Some(number(table.sums.counts.tombstones)))
    }),
    counter("weir_landing_late", ROWS, "Rows later than `landing.allowed_lateness`", |status| {
        tables(status, |table| Some(number(table.sums.late)))
    })
    .logged(Of::All),
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
    })
    .logged(Of::All),
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

/// What a job tells of itself when it ends, for CloudWatch alone: a job that has ended answers nobody.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The command.
    pub name: &'static str,
    /// Whether it did its work.
    pub succeeded: bool,
    /// How long it ran.
    pub took: Duration,
    /// How long it loaded the warehouse, if it did.
    pub load: Option<Duration>,
}

impl Job {
    /// Its metrics.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut points = vec![
            Point::count("weir_job_successes", u64::from(self.succeeded)),
            Point::count("weir_job_failures", u64::from(!self.succeeded)),
            Point::seconds("weir_job_seconds", self.took.as_secs_f64()),
        ];
        points.extend(self.load.map(|load| Point::seconds("weir_warehouse_load_seconds", load.as_secs_f64())));
        points
    }
}

/// What a counter was, by metric and table.
pub(super) type Counted = BTreeMap<(usize, String), f64>;

/// The metrics that CloudWatch gets, by table. A counter gives what it grew by since `counted`, which is brought up to date.
pub(super) fn logged(status: &Status, counted: &mut Counted) -> BTreeMap<String, Vec<Point>> {
    let mut found: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for (at, metric) in ALL.iter().enumerate() {
        let Some(of) = metric.logged else { continue };
        let mut values: BTreeMap<String, f64> = BTreeMap::new();
        for (labels, value) in (metric.samples)(status) {
            let table = labels.into_iter().find(|(name, _)| *name == "table").map(|(_, table)| table);
            let sum = values.entry(table.unwrap_or_default()).or_default();
            *sum = match of {
                Of::Worst => sum.max(value),
                Of::All => *sum + value,
            };
        }
        for (table, mut value) in values {
            if metric.counter {
                let before = counted.insert((at, table.clone()), value).unwrap_or_default();
                value = (value - before).max(0.0);
            }
            let name = metric.unit.map_or(metric.name.to_owned(), |unit| format!("{}_{unit}", metric.name));
            let unit = if metric.unit == SECONDS { "Seconds" } else { "Count" };
            found.entry(table).or_default().push(Point { name, unit, value });
        }
    }
    found
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
