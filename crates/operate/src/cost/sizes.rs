//! How large the parts of an environment are: `infra/environments/<env>/sizes.auto.tfvars.json`, which Terraform reads too.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read;
use crate::error::OperateError;

/// What the estimate needs of the file; the rest is Terraform's alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Sizes {
    pub(super) network: Network,
    pub(super) stream: Stream,
    pub(super) workers: Workers,
    pub(super) warehouse: Warehouse,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Network {
    pub zones: Vec<String>,
    pub nat_gateways: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stream {
    pub kind: StreamKind,
    pub brokers: Option<Brokers>,
    pub connector_mcu: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StreamKind {
    Provisioned,
    Serverless,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Brokers {
    pub count: u32,
    pub instance_type: String,
    pub volume_gib: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Workers {
    pub stream: StreamTasks,
    pub build: BuildTask,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamTasks {
    pub cpu: u32,
    pub memory_mib: u32,
    pub min_tasks: u32,
    pub max_tasks: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct BuildTask {
    pub cpu: u32,
    pub memory_mib: u32,
    pub schedule: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Warehouse {
    pub serverless: Option<Serverless>,
    pub provisioned: Option<Cluster>,
    pub refresh_views: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Serverless {
    pub base_rpu: u32,
    pub monthly_rpu_hours: u32,
    pub at_limit: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Cluster {
    pub node_type: String,
    pub nodes: u32,
    pub multi_az: bool,
}

impl Sizes {
    /// From a file of Terraform's variables.
    pub fn open(path: &Path) -> Result<Self, OperateError> {
        #[derive(Deserialize)]
        struct File {
            sizes: Sizes,
        }
        let File { sizes } = read(path)?;
        let reason = match (&sizes.stream, &sizes.warehouse) {
            (Stream { kind: StreamKind::Provisioned, brokers: None, .. }, _) => "`stream` has no `brokers`",
            (_, Warehouse { serverless: None, provisioned: None, .. }) => {
                "`warehouse` is neither serverless nor provisioned"
            }
            _ => return Ok(sizes),
        };
        Err(OperateError::CostFile { path: path.to_owned(), reason: reason.to_owned() })
    }

    /// Builds in a day, where the schedule is a rate.
    pub(super) fn builds_a_day(&self) -> Option<f64> {
        let rate = self.workers.build.schedule.strip_prefix("rate(")?.strip_suffix(')')?;
        let (number, unit) = rate.split_once(' ')?;
        let minutes = match unit.trim_end_matches('s') {
            "minute" => 1.0,
            "hour" => 60.0,
            "day" => 1440.0,
            _ => return None,
        };
        let every: f64 = number.parse().ok()?;
        (every > 0.0).then(|| 1440.0 / (every * minutes))
    }
}

/// The sizes of an environment in the nearest folder above the pipeline's that has an `infra/`.
pub fn beside(pipeline: &Path, env: &str) -> PathBuf {
    let file = Path::new("infra/environments").join(env).join("sizes.auto.tfvars.json");
    let above = pipeline.ancestors().map(|folder| folder.join(&file));
    above.clone().find(|path| path.is_file()).unwrap_or_else(|| pipeline.join(&file))
}
