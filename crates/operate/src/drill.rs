//! A rehearsal of disaster recovery, on a copy: curated, the warehouse, and of staging what landing still reaches are lost
//! and built again by what builds them every day; the result is held, row for row, to what was there and, once what waits
//! in the stream has been taken in, to the stream.
//!
//! The copy is a scratch lake: it reads the real one's files and writes its own. The warehouse is Redshift's double, in a
//! temporary folder, also where the environment has a real one. So a drill changes nothing, and any environment can have one.

use std::sync::Arc;
use std::time::Duration;

use weir_core::diagnosis::{Code, Diagnosed};
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_landing::Until;
use weir_project::{ModelKind, Project, Selection, WarehouseTarget};
use weir_staging::Stager;

use crate::error::OperateError;
use crate::plan::{Builds, plan};
use crate::progress::{Clock, Progress, StageReport};
use crate::reconcile::{Reconciliation, StreamWitness, ZoneLine, reconcile};
use crate::site::Site;
use crate::status::Watch;
use crate::verify::Line;
use crate::warehouse::Target;
use crate::{reconcile as reconciling, replica, run, verify};

/// What a disaster at this moment would take for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposed {
    /// Records, or objects.
    pub count: u64,
    /// Age of the oldest.
    pub age: Duration,
}

impl Exposed {
    /// Takes in `count` more, the oldest of them `milliseconds` old.
    pub(crate) fn add(&mut self, count: u64, milliseconds: i64) {
        self.count += count;
        self.age = self.age.max(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)));
    }
}

/// What the proof found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Rows and sums that differ.
    pub differences: u64,
    /// Whether the stream was the witness; it cannot be once the topics' retention has taken their first records, and the
    /// warehouse is then held to the lake alone.
    pub by_stream: bool,
}

/// What a drill saw.
#[derive(Debug, Clone)]
pub struct Drill {
    /// What was rebuilt, what the stream had more, and how long each took; the proof is the last.
    pub steps: Vec<StageReport>,
    /// The proof.
    pub proof: Proof,
    /// Every table of staging, quarantine and curated: rebuilt against before.
    pub lines: Vec<Line>,
    /// Rows of dimensions, each known by its surrogate key, and how many of these keys are not the same as before.
    pub surrogate_keys: (u64, u64),
    /// What is in the stream and not in the lake.
    pub stream: Exposed,
    /// What is in the lake and not in its replica, where one is declared.
    pub replica: Option<Exposed>,
}

impl Drill {
    /// How long restoring took, with the proof.
    pub fn took(&self) -> Duration {
        Duration::from_secs_f64(self.steps.iter().map(|step| step.seconds).sum())
    }

    /// Rows that differ from what was there, or from what the stream says.
    pub fn differences(&self) -> u64 {
        self.proof.differences + self.lines.iter().map(differences).sum::<u64>()
    }

    /// Whether the project's objectives were met, recovery time and recovery point; none where it declares none.
    pub fn objectives(&self, project: &Project) -> [Option<bool>; 2] {
        let exposed = self.replica.map_or(self.stream.age, |replica| replica.age.max(self.stream.age));
        [(project.recovery.rto, self.took()), (project.recovery.rpo, exposed)]
            .map(|(declared, seen)| declared.map(|declared| seen <= declared))
    }
}

/// Rows of a table that are not as before.
pub fn differences(line: &Line) -> u64 {
    line.missing + line.doubled + line.different
}

/// Rehearses. Nothing may land or build meanwhile: what that adds would be taken for a difference.
pub async fn drill(site: &Site, progress: Arc<dyn Progress>) -> Result<Drill, Diagnosed> {
    let (project, lake) = (&site.project, &site.lake);
    refuse_unbuilt(project, lake).await?;
    let now = chrono::Utc::now().timestamp_millis();
    let mut stream = Exposed::default();
    for partition in Watch::new(project, lake, &site.services.connection, now).look(None).await?.partitions {
        stream.add(partition.lag(), partition.waiting_since.map_or(0, |since| now - since));
    }
    let replica = replica::lacks(project, lake, now).await?;

    let mut clock = Clock::new(progress);
    clock.begin("staging", None);
    let staged = lake.scratch(&["staging", "quarantine", "quality", "curated"]).await?;
    let rows = Stager::default().run(project, &staged).await?;
    clock.end("staging", rows.iter().map(|(_, table)| table.counts.read).sum());

    // Older rows have staging as their only source: it is kept for good, and nothing else could give them.
    let left = if forgotten(project, lake).await? { lake.scratch(&["curated"]).await? } else { staged.clone() };
    let temporary = tempfile::Builder::new().prefix("weir-drill-").tempdir();
    let failed = |source| OperateError::Folder { path: std::env::temp_dir(), source };
    let temporary = temporary.map_err(failed)?;
    let mut project = project.clone();
    project.warehouse.target = WarehouseTarget::Embedded { port: None };
    let copy = Site { project, dir: temporary.path().to_owned(), services: site.services.shared(), lake: left };

    clock.begin("curated", None);
    let built = run::build(&copy).await?;
    clock.end("curated", built.tables.iter().map(|table| table.read).sum());

    clock.begin("warehouse", None);
    let double = Target::open(&copy)?;
    let loaded = run::load(&copy, &double).await?;
    clock.end("warehouse", loaded.builds.iter().flat_map(|build| &build.tables).map(|(_, set, gone)| set + gone).sum());

    // Held to what was there before anything more comes.
    let mut lines = verify::staging(&copy.project, lake, &staged).await?;
    let curated = verify::curated(&copy.project, lake, &copy.lake).await?;
    let of_dimensions = curated.iter().filter(|line| is_dimension(&copy.project, line));
    let surrogate_keys =
        of_dimensions.fold((0, 0), |(rows, other), line| (rows + line.expected, other + differences(line)));
    lines.extend(curated);

    clock.begin("catch up", None);
    let landed = run::all_landed(run::land(&copy, &Until::CaughtUp).await?)?;
    run::stage(&copy, &mut Stager::default()).await?;
    run::build(&copy).await?;
    run::load(&copy, &double).await?;
    clock.end("catch up", landed.iter().map(|(_, landed)| landed.counts.received).sum());

    clock.begin("mirrors", None);
    let advanced = run::refresh(&copy, &double).await?;
    clock.end("mirrors", advanced.map_or(0, |advanced| advanced.records));

    clock.begin("proof", None);
    let (proof, compared) = prove(&copy, &double).await?;
    clock.end("proof", compared);
    Ok(Drill { steps: clock.stages, proof, lines, surrogate_keys, stream, replica })
}

fn is_dimension(project: &Project, line: &Line) -> bool {
    let is_it = |kind: &ModelKind| matches!(kind, ModelKind::Dimension { .. });
    project.models.iter().any(|model| model.name.as_str() == line.table && is_it(&model.kind))
}

/// What is compared with must be what the newest landing gives.
async fn refuse_unbuilt(project: &Project, lake: &Lake) -> Result<(), Diagnosed> {
    let refuse = |what: String| Err(OperateError::Undrillable { what }.into());
    if weir_curated::latest(lake).await?.is_none() {
        return refuse("no build has been published".to_owned());
    }
    verify::refuse_behind(project, lake).await?;
    let waiting = plan(project, lake, &Selection::all(project)).await?;
    match waiting.curated.into_iter().find(|table| table.builds != Builds::No) {
        Some(table) => refuse(format!("`{}` waits for a build", table.table)),
        None => Ok(()),
    }
}

/// Whether rows have left landing by its retention.
async fn forgotten(project: &Project, lake: &Lake) -> Result<bool, Diagnosed> {
    for table in &project.tables {
        if let Some(landing) = lake.table(Zone::Landing, table.name.as_str()).await?
            && landing.retained().await?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Holds what was rebuilt to the stream; to the lake, where the stream has forgotten. And how many rows were compared.
async fn prove(copy: &Site, double: &Target) -> Result<(Proof, u64), Diagnosed> {
    let found = |lines: &[ZoneLine]| lines.iter().map(|line| line.found).sum();
    let witness = StreamWitness { project: &copy.project, services: &copy.services };
    match reconcile(copy, Some(double), &witness).await {
        Ok(report) => Ok((Proof { differences: report.differences(), by_stream: true }, found(&report.zones))),
        Err(error) if error.diagnosis.code == Code("W9003") => {
            let mut zones = Vec::new();
            for model in &copy.project.models {
                zones.extend(reconciling::warehouse::analytics(double, &copy.lake, model).await?);
            }
            let rows = found(&zones);
            let report = Reconciliation { zones, accounts: Vec::new() };
            Ok((Proof { differences: report.differences(), by_stream: false }, rows))
        }
        Err(error) => Err(error),
    }
}
