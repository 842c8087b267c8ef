//! What the rates say of the sizes.

use weir_project::Project;

use super::estimate::{REPLICAS, awake, held, partitions};
use super::inputs::Inputs;
use super::prices::Prices;
use super::sizes::{Brokers, Serverless, Sizes};
use crate::error::OperateError;

/// Share of a disk that may be full: MSK grows a volume from there on.
const FULL: f64 = 0.6;
/// Share of the time that a worker, or of its interval that a build, may be busy.
const BUSY: f64 = 0.6;

/// Sentences, the most costly first.
pub fn hints(project: &Project, sizes: &Sizes, prices: &Prices, inputs: &Inputs) -> Result<Vec<String>, OperateError> {
    let mut hints = Vec::new();
    if let Some(serverless) = &sizes.warehouse.serverless {
        hints.push(refresh(project, serverless, sizes.warehouse.refresh_views, prices, inputs)?);
    }
    if let Some(brokers) = &sizes.stream.brokers {
        hints.extend(disk(project, brokers, inputs));
        hints.extend(count(project, brokers));
    }
    let tasks = &sizes.workers.stream;
    if let Some(busy) = inputs.busy.map(|busy| busy.value) {
        // Work that keeps more than this many tasks busy, whatever they are called.
        let needed = (busy / BUSY).ceil().max(1.0);
        let share = format!("landing is busy {:.1} % of the time", busy * 100.0);
        if needed > f64::from(tasks.max_tasks) {
            hints.push(format!("{share}: `max_tasks` of {} is too few, {needed:.0} are needed", tasks.max_tasks));
        } else if needed < f64::from(tasks.min_tasks) {
            hints.push(format!("{share}: `min_tasks` of {} is for availability, not for the load", tasks.min_tasks));
        }
    }
    let interval = 1440.0 / inputs.builds_a_day.value;
    if inputs.build_minutes.value > BUSY * interval {
        let minutes = inputs.build_minutes.value;
        hints.push(format!(
            "a build takes {minutes:.0} of the {interval:.0} minutes to the next: a larger task, or rarer"
        ));
    }
    Ok(hints)
}

/// What a refresh by schedule does to the bill of a serverless warehouse.
fn refresh(
    project: &Project,
    serverless: &Serverless,
    refreshes: bool,
    prices: &Prices,
    inputs: &Inputs,
) -> Result<String, OperateError> {
    let price = prices.of("redshift.rpu")?.price * f64::from(serverless.base_rpu);
    let [with, without] = [true, false].map(|refreshes| awake(project, serverless, inputs, refreshes) * price);
    let every = humantime(project.warehouse.refresh_every);
    Ok(if with - without < 0.01 {
        format!(
            "the workgroup is used up to its limit of {} RPU-hours a month, refreshed or not",
            serverless.monthly_rpu_hours
        )
    } else if refreshes {
        format!("a refresh every {every} keeps the workgroup awake: {with:.2} a month; without it {without:.2}")
    } else {
        format!(
            "`refresh_views`, with a refresh every {every}, would keep the workgroup awake: {with:.2} a month, not {without:.2}"
        )
    })
}

fn humantime(time: std::time::Duration) -> String {
    match time.as_secs() {
        seconds if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn disk(project: &Project, brokers: &Brokers, inputs: &Inputs) -> Option<String> {
    let (needed, has) = (held(project, inputs, brokers.count) / FULL, f64::from(brokers.volume_gib));
    let says = format!("the topics need {needed:.0} GB on each broker, with head-room, and it has {has:.0}");
    match () {
        () if needed > has => Some(format!("{says}: raise `volume_gib`")),
        // MSK never gives storage back.
        () if needed < has / 4.0 => Some(format!("{says}: a new cluster could begin smaller, and grows by itself")),
        () => None,
    }
}

/// Partitions, with their copies, against what AWS recommends at most for a broker of this size.
fn count(project: &Project, brokers: &Brokers) -> Option<String> {
    let size = brokers.instance_type.rsplit('.').next().unwrap_or_default();
    let limit = match size {
        "small" => 300.0,
        "large" | "xlarge" => 1000.0,
        "2xlarge" => 2000.0,
        _ => 4000.0,
    };
    let each = partitions(project) * REPLICAS / f64::from(brokers.count.max(1));
    let name = &brokers.instance_type;
    (each > limit).then(|| format!("{each:.0} partitions on each broker; AWS advises {limit:.0} at most for {name}"))
}
