//! `weir chaos`

use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use weir_operate::chaos::{Chaos, Seen, Victim};
use weir_operate::{Site, site};
use weir_source::Source;
use weir_source::simulate::{Simulator, Size, Spec, Switches};

use crate::args::{Chaos as Args, ChaosZone, Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line, say};
use crate::pipeline;
use crate::progress::Bars;

/// Small micro-batches, so that a run has several commits to be killed between.
const SETTINGS: [&str; 2] = ["--set", "landing.max_rows=300"];

pub async fn run(global: &Global, args: &Args) -> Result<ExitCode, Failure> {
    let temporary =
        tempfile::Builder::new().prefix("weir-chaos-").tempdir().context("cannot make a temporary folder")?;
    let dir = site::make_folder(temporary.path()).map_err(Failure::of)?;
    let pipeline = pipeline::unpack(&dir)?;
    let loaded = weir_project::load(&pipeline, &global.env, &global.overrides).map_err(Failure::project)?;
    let project = site::in_folder(loaded, &dir);
    let victim = match args.zone {
        ChaosZone::Landing => Victim::Landing,
        ChaosZone::Staging => Victim::Staging,
        ChaosZone::Curated => Victim::Curated,
        ChaosZone::Warehouse => Victim::Warehouse,
    };
    let chaos = Chaos { victim, kills: args.kills, seed: args.seed };
    let spec = Spec { seed: args.seed, size: Size::for_rows(chaos.records()), switches: Switches::ALL };
    let source = Arc::new(Source::Simulate(Simulator::new(spec, &project.tables).map_err(Failure::of)?));

    let binary = std::env::current_exe().context("the binary has no path")?;
    let weir = || {
        let mut call = Command::new(&binary);
        call.args(SETTINGS).arg("-p").arg(&pipeline).arg("-d").arg(&dir).args(["-e", &global.env]);
        for (key, value) in &global.overrides {
            call.arg("--set").arg(format!("{key}={value}"));
        }
        call
    };
    let site = Site::open(project, &dir).await?;
    let seen = chaos.run(&site, source, weir, Arc::new(Bars::new())).await;
    let closed = site.close().await;
    // What went wrong can be looked at.
    let keep = |temporary: tempfile::TempDir| say(&format!("all of it is in {}", temporary.keep().display()));
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => {
            keep(temporary);
            return Err(error.into());
        }
    };
    closed?;
    print(global.output, victim, &seen)?;
    if seen.reconciliation.differences() == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    keep(temporary);
    Err(Failure::Said)
}

fn print(format: Format, victim: Victim, seen: &Seen) -> Result<(), Failure> {
    let zones = &seen.reconciliation.zones;
    let (lost, doubled) = (zones.iter().map(|zone| zone.missing).sum(), zones.iter().map(|zone| zone.doubled).sum());
    let (lost, doubled): (u64, u64) = (lost, doubled);
    let mut listing = Listing::new([
        "zone",
        "kills",
        "at failpoints",
        "runs",
        "events",
        "lost",
        "doubled",
        "differences",
        "slowest restart",
    ]);
    listing.row([
        json!(victim.name()),
        json!(seen.kills()),
        json!(seen.at_failpoints.values().sum::<u64>()),
        json!(seen.runs),
        json!(seen.records),
        json!(lost),
        json!(doubled),
        json!(seen.reconciliation.differences()),
        json!(format!("{:.1} s", seen.slowest_restart.as_secs_f64())),
    ]);
    listing.print(format)?;
    if format == Format::Table {
        line("")?;
        for point in victim.failpoints() {
            let kills = seen.at_failpoints.get(point).copied().unwrap_or(0);
            line(&format!("{kills:>6} at {point}"))?;
        }
        line(&format!("{:>6} by chance", seen.by_chance))?;
        line(&super::reconcile::verdict(&seen.reconciliation))?;
    }
    Ok(())
}
