//! The whole way once: replay, land, stage, build, load, refresh, reconcile, and what each took.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;
use weir_core::diagnosis::Diagnosed;
use weir_landing::Until;
use weir_source::Source;
use weir_staging::Stager;
use weir_warehouse::Warehouse;

use crate::counts::{ZoneCount, counts};
use crate::progress::{Clock, Progress, StageReport};
use crate::reconcile::{LedgerWitness, Reconciliation, reconcile};
use crate::site::Site;
use crate::warehouse::Target;
use crate::{run, warehouse};

/// What a demo run shows.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Stages in their order.
    pub stages: Vec<StageReport>,
    /// What lies in each zone.
    pub counts: Vec<ZoneCount>,
    /// The proof.
    pub reconciliation: Reconciliation,
}

/// Runs the whole way on a site. What an earlier, killed run has done is not done again.
pub async fn demo(
    site: &Site,
    source: Arc<Source>,
    progress: Arc<dyn Progress>,
) -> Result<(DemoReport, Arc<Warehouse>), Diagnosed> {
    let mut clock = Clock::new(progress.clone());
    // Opened first: a warehouse that another process holds is told before anything is done.
    let double = warehouse::open(site)?;

    clock.begin("replay", Some(source.estimate()));
    let bar = progress.clone();
    let replayed = run::replay(site, source.clone(), 0, move |at| {
        bar.at(at);
        ControlFlow::Continue(())
    })
    .await?;
    clock.end("replay", replayed.produced);

    clock.begin("landing", None);
    let landed = run::all_landed(run::land(site, &Until::CaughtUp).await?)?;
    clock.end("landing", landed.iter().map(|(_, landed)| landed.counts.received).sum());

    clock.begin("staging", None);
    let staged = run::stage(site, &mut Stager::default()).await?;
    clock.end("staging", staged.iter().map(|(_, staged)| staged.counts.read).sum());

    clock.begin("curated", None);
    let built = run::build(site).await?;
    clock.end("curated", built.tables.iter().map(|table| table.read).sum());

    clock.begin("warehouse", None);
    let target = Target::Embedded(double.clone());
    let loaded = run::load(site, &target).await?.builds;
    clock.end("warehouse", loaded.iter().flat_map(|build| &build.tables).map(|(_, set, gone)| set + gone).sum());

    clock.begin("mirrors", None);
    let advanced = run::refresh(site, &target).await?.unwrap_or_default();
    clock.end("mirrors", advanced.records);

    clock.begin("reconcile", None);
    let witness = LedgerWitness { source: &source, project: &site.project };
    let reconciliation = reconcile(site, Some(&target), &witness).await?;
    let compared = reconciliation.zones.iter().map(|line| line.found).sum();
    clock.end("reconcile", compared);

    let report = DemoReport { stages: clock.stages, counts: counts(&site.lake).await?, reconciliation };
    Ok((report, double))
}
