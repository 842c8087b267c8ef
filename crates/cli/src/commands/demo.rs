//! `weir demo`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use weir_operate::demo::DemoReport;
use weir_operate::{Site, site, up};
use weir_project::Project;
use weir_source::Source;
use weir_source::online_retail::OnlineRetail;
use weir_source::simulate::{Simulator, Size, Spec, Switches};
use weir_warehouse::Warehouse;

use super::until_asked_to_stop;
use crate::args::{Demo, Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line, say, thousands};
use crate::pipeline;
use crate::progress::Bars;

/// Port of the wire with `--serve`; a free one where another program has it.
const PORT: u16 = 5439;

pub async fn run(global: &Global, args: Demo) -> Result<ExitCode, Failure> {
    let temporary =
        tempfile::Builder::new().prefix("weir-demo-").tempdir().context("cannot make a temporary folder")?;
    let dir = args.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    // The source is read first: a bad file is told before anything is written.
    let dir = site::make_folder(&dir).map_err(Failure::of)?;
    let pipeline = pipeline::unpack(&dir)?;
    let loaded = weir_project::load(&pipeline, &global.env, &global.overrides).map_err(Failure::project)?;
    let project = site::in_folder(loaded, &dir);
    let source = Arc::new(open_source(&args, &project)?);

    let site = Site::open(project, &dir).await?;
    let demonstrated = weir_operate::demo::demo(&site, source, Arc::new(Bars::new())).await;
    let (report, warehouse) = match demonstrated {
        Ok(done) => done,
        Err(error) => {
            // What was acknowledged must be on disk before the process ends.
            let _ = site.close().await;
            return Err(error.into());
        }
    };
    print(global.output, &report, &warehouse, &dir, args.keep.is_some())?;
    let differences = report.reconciliation.differences();
    if args.serve && differences == 0 {
        serve(&site, warehouse).await?;
    } else {
        // Its readers leave before the broker does.
        drop(warehouse);
    }
    site.close().await?;
    if differences == 0 { Ok(ExitCode::SUCCESS) } else { Err(Failure::Said) }
}

fn open_source(args: &Demo, project: &Project) -> Result<Source, Failure> {
    match &args.data_set {
        Some(file) => Ok(Source::OnlineRetail(OnlineRetail::open(file, &project.tables).map_err(Failure::of)?)),
        None => {
            let spec = Spec { seed: args.seed, size: Size::for_rows(args.rows), switches: Switches::ALL };
            Ok(Source::Simulate(Simulator::new(spec, &project.tables).map_err(Failure::of)?))
        }
    }
}

async fn serve(site: &Site, warehouse: Arc<Warehouse>) -> Result<(), Failure> {
    let listener = match up::bind(PORT).await {
        Ok(listener) => listener,
        Err(_) => up::bind(0).await.map_err(Failure::of)?,
    };
    let ready = |port| say(&format!("\nserving until Ctrl-C: psql -h 127.0.0.1 -p {port} -U weir weir"));
    Ok(up::serve(&site.dir, warehouse, listener, Some(&site.services), ready, until_asked_to_stop()).await?)
}

fn print(format: Format, report: &DemoReport, warehouse: &Warehouse, dir: &Path, kept: bool) -> Result<(), Failure> {
    if format != Format::Table {
        let mut listing = Listing::new(["stages", "counts", "reconciliation", "differences"]);
        listing.row([
            json!(report.stages),
            json!(report.counts),
            json!(report.reconciliation),
            json!(report.reconciliation.differences()),
        ]);
        return Ok(listing.print(format)?);
    }
    line("\nWhat lies where")?;
    let mut zones = Listing::new(["zone", "table", "rows", "files", "bytes"]);
    for count in &report.counts {
        zones.row([json!(count.zone), json!(count.table), json!(count.rows), json!(count.files), json!(count.bytes)]);
    }
    line(&zones.table())?;

    line("\nReconciliation with what the source really did")?;
    line(&super::reconcile::listing(&report.reconciliation).table())?;
    line(&super::reconcile::verdict(&report.reconciliation))?;

    let mut session = warehouse.session().map_err(Failure::of)?;
    for (name, sql) in pipeline::queries() {
        line(&format!("\n{}", name.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')))?;
        for outcome in session.run(&sql).map_err(Failure::of)? {
            line(&super::sql::listing(&outcome).table())?;
        }
    }

    line("\nWhere the time went")?;
    let mut stages = Listing::new(["stage", "rows", "seconds", "rows/s"]);
    for stage in &report.stages {
        let rate = if stage.seconds > 0.0 { (stage.rows as f64 / stage.seconds) as u64 } else { 0 };
        stages.row([json!(stage.stage), json!(stage.rows), json!(format!("{:.2}", stage.seconds)), json!(rate)]);
    }
    line(&stages.table())?;
    let total: f64 = report.stages.iter().map(|stage| stage.seconds).sum();
    let records = report.stages.first().map_or(0, |stage| stage.rows);
    line(&format!("{} change events in {total:.1} s", thousands(records)))?;

    line("\nNext")?;
    if kept {
        line(&format!("  weir sql --dir {} 'select count(*) from analytics.fact_sales'", dir.display()))?;
        line(&format!("  kill it at any moment, and run the same command again on {}", dir.display()))?;
    } else {
        line("  weir demo --keep ./shop          keep the lake, the stream and the warehouse")?;
        line("  weir demo --serve                stay up, and connect with psql")?;
    }
    line("  weir demo --online-retail FILE   the same on the UCI Online Retail data set")?;
    Ok(())
}
