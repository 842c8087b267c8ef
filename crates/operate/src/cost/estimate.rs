//! The lines of the bill.

use serde::Serialize;
use weir_project::Project;

use super::inputs::Inputs;
use super::prices::Prices;
use super::sizes::{Cluster, Serverless, Sizes, StreamKind};
use super::{DAYS, HOURS};
use crate::error::OperateError;

const GB: f64 = 1e9;
/// Copies that a broker's topics have.
pub(super) const REPLICAS: f64 = 3.0;
/// Services with an interface endpoint in each zone, as `infra/modules/network` names them.
const ENDPOINTS: f64 = 12.0;
/// Alarms of `infra/modules/monitoring`: those of every environment, of each broker, of each table.
const ALARMS: [f64; 3] = [14.0, 4.0, 1.0];
/// Logs that nobody sized.
const LOGS_GB: f64 = 5.0;
/// Records that one call of the function decodes, and how long that takes.
const CALL: (f64, f64) = (4000.0, 0.5);
/// The shortest time that a serverless warehouse bills, in hours.
const LEAST: f64 = 1.0 / 60.0;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The service.
    pub service: &'static str,
    /// What of it.
    pub what: String,
    /// How many units.
    pub quantity: f64,
    /// Of what.
    pub per: String,
    /// What one costs.
    pub price: f64,
    /// Both multiplied.
    pub monthly: f64,
    /// Where AWS says its price.
    pub page: String,
}

/// Every line, also those of nothing: what is not there is part of the answer.
pub fn estimate(project: &Project, sizes: &Sizes, prices: &Prices, inputs: &Inputs) -> Result<Vec<Line>, OperateError> {
    let mut bill = Bill { prices, lines: Vec::new() };
    let tables = project.tables.len() as f64;
    stream(&mut bill, project, sizes, inputs)?;

    let task = |bill: &mut Bill<'_>, what: &str, cpu: u32, memory: u32, hours: f64| {
        bill.add("Fargate", &format!("{what}, vCPU"), f64::from(cpu) / 1024.0 * hours, "fargate.vcpu")?;
        bill.add("Fargate", &format!("{what}, memory"), f64::from(memory) / 1024.0 * hours, "fargate.memory")
    };
    let (workers, builds) = (&sizes.workers, inputs.builds_a_day.value * DAYS);
    let landing_hours = f64::from(workers.stream.min_tasks) * HOURS;
    task(&mut bill, "weir stream", workers.stream.cpu, workers.stream.memory_mib, landing_hours)?;
    let build_hours = builds * inputs.build_minutes.value / 60.0;
    task(&mut bill, "weir build", workers.build.cpu, workers.build.memory_mib, build_hours)?;

    let [landing, staging, curated] = zones(project, inputs);
    for (zone, stored) in [("landing", landing), ("staging", staging), ("curated", curated)] {
        bill.add("S3", zone, stored, "s3.storage")?;
    }
    // A file and the commit that names it; of a build, of each table of staging and of curated.
    let commits = inputs.batches_a_day.value * DAYS + builds * (tables + project.models.len() as f64);
    bill.add("S3", "requests that write", 2.0 * commits, "s3.put")?;

    match (&sizes.warehouse.serverless, &sizes.warehouse.provisioned) {
        (Some(serverless), _) => {
            let hours = awake(project, serverless, inputs, sizes.warehouse.refresh_views);
            bill.add("Redshift", "serverless", hours * f64::from(serverless.base_rpu), "redshift.rpu")?;
        }
        (None, Some(Cluster { node_type, nodes, multi_az })) => {
            let nodes = f64::from(*nodes) * if *multi_az { 2.0 } else { 1.0 };
            let what = if *multi_az { "nodes, in two zones" } else { "nodes" };
            bill.add("Redshift", what, nodes * HOURS, &format!("redshift.{node_type}"))?;
        }
        (None, None) => {}
    }
    // The star, and the mirrors, taken to be as large.
    bill.add("Redshift", "storage", 2.0 * curated, "redshift.storage")?;

    let calls = if sizes.warehouse.refresh_views { inputs.events() / CALL.0 } else { 0.0 };
    bill.add("Lambda", "decoding, 1 GB", calls * CALL.1, "lambda.compute")?;
    bill.add("Lambda", "requests", calls, "lambda.request")?;
    bill.add("Glue", "catalog and schema registry", 1.0, "glue.catalog")?;
    bill.add("KMS", "keys", 1.0, "kms.key")?;
    bill.add("Secrets Manager", "secrets", 1.0, "secrets.secret")?;
    bill.add("VPC", "NAT gateways", f64::from(sizes.network.nat_gateways) * HOURS, "vpc.nat")?;
    bill.add("VPC", "interface endpoints", ENDPOINTS * sizes.network.zones.len() as f64 * HOURS, "vpc.endpoint")?;
    bill.add("CloudWatch", "logs", LOGS_GB, "logs.ingest")?;
    let brokers = sizes.stream.brokers.as_ref().map_or(0.0, |brokers| f64::from(brokers.count));
    let [always, each_broker, each_table] = ALARMS;
    bill.add("CloudWatch", "alarms", always + each_broker * brokers + each_table * tables, "logs.alarm")?;
    Ok(bill.lines)
}

fn stream(bill: &mut Bill<'_>, project: &Project, sizes: &Sizes, inputs: &Inputs) -> Result<(), OperateError> {
    let gb = inputs.events() * inputs.event_bytes.value / GB;
    match (sizes.stream.kind, &sizes.stream.brokers) {
        (StreamKind::Provisioned, Some(brokers)) => {
            let (count, volume) = (f64::from(brokers.count), f64::from(brokers.volume_gib));
            bill.add("MSK", "brokers", count * HOURS, &format!("msk.{}", brokers.instance_type))?;
            bill.add("MSK", "broker storage", count * volume, "msk.storage")?;
        }
        _ => {
            bill.add("MSK", "serverless cluster", HOURS, "msk.serverless")?;
            bill.add("MSK", "partitions", partitions(project) * HOURS, "msk.serverless.partition")?;
            bill.add("MSK", "data in", gb, "msk.serverless.in")?;
            bill.add("MSK", "data out", gb * readers(sizes), "msk.serverless.out")?;
            bill.add("MSK", "storage", gb / DAYS * retention_days(project), "msk.serverless.storage")?;
        }
    }
    bill.add("MSK Connect", "Debezium", f64::from(sizes.stream.connector_mcu) * HOURS, "msk.connect")
}

/// Landing, and the warehouse where it reads the stream itself.
fn readers(sizes: &Sizes) -> f64 {
    if sizes.warehouse.refresh_views { 2.0 } else { 1.0 }
}

pub(super) fn partitions(project: &Project) -> f64 {
    project.tables.len() as f64 * f64::from(project.stream.partitions)
}

fn retention_days(project: &Project) -> f64 {
    project.stream.retention.as_secs_f64() / 86_400.0
}

/// GB that the topics hold on each broker.
pub(super) fn held(project: &Project, inputs: &Inputs, brokers: u32) -> f64 {
    let stored = inputs.events_a_day.value * inputs.event_bytes.value * retention_days(project) / GB;
    stored * REPLICAS / f64::from(brokers.max(1))
}

/// GB of landing, which forgets, and of staging and curated, which do not.
fn zones(project: &Project, inputs: &Inputs) -> [f64; 3] {
    let days = inputs.months.value * DAYS;
    let kept = project.landing.retention.as_secs_f64() / 86_400.0;
    let stored = |bytes: f64, days: f64| inputs.events_a_day.value * bytes * days / GB;
    [
        stored(inputs.landing_bytes.value, days.min(kept)),
        stored(inputs.staging_bytes.value, days),
        stored(inputs.curated_bytes.value, days),
    ]
}

/// Hours of a month in which a serverless warehouse is awake: it is billed for a minute at least whenever it is asked.
pub(super) fn awake(project: &Project, serverless: &Serverless, inputs: &Inputs, refreshes: bool) -> f64 {
    let every = (project.warehouse.refresh_every.as_secs_f64() / 3600.0).max(LEAST);
    let refresh = if refreshes { HOURS / every * LEAST } else { 0.0 };
    let hours = inputs.builds_a_day.value * DAYS * LEAST + inputs.query_hours.value + refresh;
    let limit = match serverless.at_limit.as_str() {
        "deactivate" => f64::from(serverless.monthly_rpu_hours) / f64::from(serverless.base_rpu.max(1)),
        _ => HOURS,
    };
    hours.min(HOURS).min(limit)
}

struct Bill<'p> {
    prices: &'p Prices,
    lines: Vec<Line>,
}

impl Bill<'_> {
    fn add(&mut self, service: &'static str, what: &str, quantity: f64, price: &str) -> Result<(), OperateError> {
        let of = self.prices.of(price)?;
        self.lines.push(Line {
            service,
            what: what.to_owned(),
            quantity,
            per: of.per.clone(),
            price: of.price,
            monthly: quantity * of.price,
            page: of.page.clone(),
        });
        Ok(())
    }
}
