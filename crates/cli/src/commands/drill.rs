//! `weir drill`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use weir_operate::drill::{self, Drill, Exposed};
use weir_operate::verify::Line;
use weir_project::Project;

use super::site;
use crate::args::{Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line, say};
use crate::progress::Bars;

pub async fn run(global: &Global) -> Result<ExitCode, Failure> {
    let site = site(global).await?;
    let drilled = drill::drill(&site, Arc::new(Bars::new())).await;
    let project = site.project.clone();
    let closed = site.close().await;
    let drilled = drilled?;
    closed?;
    listing(&project, &drilled).print(global.output)?;
    let told: Vec<&Line> =
        drilled.lines.iter().filter(|line| drill::differences(line) + line.out_of_reach > 0).collect();
    if !told.is_empty() {
        let table = super::replay::listing(told).table();
        if global.output == Format::Table { line(&format!("\n{table}"))? } else { say(&table) }
    }
    let [rto, rpo] = drilled.objectives(&project);
    let good = drilled.differences() == 0 && rto != Some(false) && rpo != Some(false);
    if global.output == Format::Table {
        line(&format!("\n{}", verdict(&drilled, [rto, rpo])))?;
    }
    if good { Ok(ExitCode::SUCCESS) } else { Err(Failure::Said) }
}

/// What was done, what it took, what it is held to.
fn listing(project: &Project, drilled: &Drill) -> Listing {
    let mut listing = Listing::new(["what", "rows", "seconds", "at most", "differences", "out of reach"]);
    let seconds = |time: Duration| json!((time.as_secs_f64() * 100.0).round() / 100.0);
    let limit = |time: Option<Duration>| json!(time.map(|time| time.as_secs()));
    let none = || Value::Null;
    let of_zones = |zones: &[&str]| {
        let lines = drilled.lines.iter().filter(|line| zones.contains(&line.zone));
        lines.fold((0, 0), |(other, gone), line| (other + drill::differences(line), gone + line.out_of_reach))
    };
    for step in &drilled.steps {
        let (other, gone) = match step.stage {
            "staging" => of_zones(&["staging", "quarantine"]),
            zone @ "curated" => of_zones(&[zone]),
            "proof" => (drilled.proof.differences, 0),
            _ => (0, 0),
        };
        let differences = if matches!(step.stage, "warehouse" | "mirrors") { none() } else { json!(other) };
        let took = seconds(Duration::from_secs_f64(step.seconds));
        let gone = if step.stage == "staging" { json!(gone) } else { none() };
        listing.row([json!(step.stage), json!(step.rows), took, none(), differences, gone]);
    }
    listing.row([json!("restored"), none(), seconds(drilled.took()), limit(project.recovery.rto), none(), none()]);
    let (keys, other) = drilled.surrogate_keys;
    listing.row([json!("surrogate keys"), json!(keys), none(), none(), json!(other), none()]);
    let exposed = |what: &str, Exposed { count, age }| {
        [json!(what), json!(count), seconds(age), limit(project.recovery.rpo), none(), none()]
    };
    listing.row(exposed("not in the lake", drilled.stream));
    if let Some(replica) = drilled.replica {
        listing.row(exposed("not in the replica", replica));
    }
    listing
}

fn verdict(drilled: &Drill, objectives: [Option<bool>; 2]) -> String {
    let mut text = String::new();
    if !drilled.proof.by_stream {
        text.push_str("the topics no longer hold their first records: the warehouse was held to the lake alone\n");
    }
    text.push_str(match drilled.differences() {
        0 => "what was rebuilt is what was there, surrogate keys included",
        _ => "what was rebuilt is not what was there",
    });
    for (name, met) in ["RTO", "RPO"].into_iter().zip(objectives) {
        text.push_str(&format!("; {name} {}", met.map_or("not declared", |met| if met { "met" } else { "missed" })));
    }
    text
}
