//! Loads: as the lake's commits of the last days tell them, as somebody gives them, else assumed.

use serde::Serialize;
use weir_core::diagnosis::Diagnosed;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_project::Project;

use super::{DAYS, Sizes};
use crate::counts::{ZoneCount, counts};
use crate::status::{Sums, landed_since, time_of};

/// Milliseconds of a day: what a rate is measured over at least.
const DAY: i64 = 86_400_000;
/// How far back the lake is looked at.
const WINDOW: i64 = 7 * DAY;
/// Rows of a zone that tell how large a row is.
const ROWS: u64 = 1000;
/// Builds whose median is taken.
const BUILDS: u64 = 20;

/// Where a figure is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The lake's commits.
    Measured,
    /// The command line.
    Given,
    /// The files of pipeline and infrastructure.
    Declared,
    /// Nothing says so.
    Assumed,
}

/// A figure that the estimate is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Input {
    /// What it is.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// Where it is from.
    pub from: Origin,
}

/// What the command line gives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given {
    /// Change events in a day.
    pub events_a_day: Option<f64>,
    /// Hours in which somebody queries a serverless warehouse, in a month.
    pub query_hours: Option<f64>,
    /// After how many months' running the estimated month is.
    pub months: Option<f64>,
}

/// All of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    pub(super) events_a_day: Input,
    pub(super) event_bytes: Input,
    pub(super) landing_bytes: Input,
    pub(super) staging_bytes: Input,
    pub(super) curated_bytes: Input,
    pub(super) batches_a_day: Input,
    pub(super) builds_a_day: Input,
    pub(super) build_minutes: Input,
    pub(super) query_hours: Input,
    pub(super) months: Input,
    /// Share of the time in which landing decodes and writes, where it was measured.
    pub(super) busy: Option<Input>,
}

impl Inputs {
    /// In the order in which they are shown.
    pub fn all(&self) -> Vec<Input> {
        let mut all = vec![
            self.events_a_day,
            self.event_bytes,
            self.landing_bytes,
            self.staging_bytes,
            self.curated_bytes,
            self.batches_a_day,
            self.builds_a_day,
            self.build_minutes,
            self.query_hours,
            self.months,
        ];
        all.extend(self.busy);
        all
    }

    /// Change events in a month.
    pub(super) fn events(&self) -> f64 {
        self.events_a_day.value * DAYS
    }
}

/// What the lake tells.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    events_a_day: Option<f64>,
    event_bytes: Option<f64>,
    batches_a_day: Option<f64>,
    busy: Option<f64>,
    /// Of landing, staging, curated: bytes in a zone for each event.
    stored: [Option<f64>; 3],
    build_minutes: Option<f64>,
}

/// Takes each figure from the best that there is. Without a lake nothing is measured.
pub async fn inputs(
    project: &Project,
    lake: Option<&Lake>,
    sizes: &Sizes,
    given: Given,
    now: i64,
) -> Result<Inputs, Diagnosed> {
    let measured = match lake {
        Some(lake) => measure(project, lake, now).await?,
        None => Measured::default(),
    };
    Ok(chosen(project, sizes, given, measured))
}

fn chosen(project: &Project, sizes: &Sizes, given: Given, measured: Measured) -> Inputs {
    let pick = |name, given: Option<f64>, measured: Option<f64>, assumed: f64| {
        let known = given.map(|value| (value, Origin::Given)).or(measured.map(|value| (value, Origin::Measured)));
        let (value, from) = known.unwrap_or((assumed, Origin::Assumed));
        Input { name, value, from }
    };
    let event_bytes = pick("bytes of an event in the stream", None, measured.event_bytes, 600.0);
    let [landing, staging, curated] = measured.stored;
    // Parquet against Avro.
    let stored = |name, measured| pick(name, None, measured, (event_bytes.value * 0.35).round());
    let waits = project.landing.max_wait.as_secs_f64().max(1.0);
    let mut builds_a_day = pick("builds a day", None, None, 24.0);
    if let Some(declared) = sizes.builds_a_day() {
        builds_a_day = Input { value: declared, from: Origin::Declared, ..builds_a_day };
    }
    Inputs {
        events_a_day: pick("events a day", given.events_a_day, measured.events_a_day, 1_000_000.0),
        landing_bytes: stored("bytes of an event in landing", landing),
        staging_bytes: stored("bytes of an event in staging", staging),
        curated_bytes: stored("bytes of an event in curated", curated),
        event_bytes,
        batches_a_day: pick(
            "micro-batches a day",
            None,
            measured.batches_a_day,
            project.tables.len() as f64 * 86_400.0 / waits,
        ),
        builds_a_day,
        build_minutes: pick("minutes of a build", None, measured.build_minutes, 5.0),
        query_hours: pick("hours of queries a month", given.query_hours, None, 88.0),
        months: pick("months in use", given.months, None, 12.0),
        busy: measured.busy.map(|busy| pick("share of the time that landing is busy", None, Some(busy), 0.0)),
    }
}

async fn measure(project: &Project, lake: &Lake, now: i64) -> Result<Measured, Diagnosed> {
    let mut sums = Sums::default();
    for table in &project.tables {
        let of_table = landed_since(lake, &table.name, now - WINDOW).await?;
        sums.counts += of_table.counts;
        sums.bytes += of_table.bytes;
        sums.milliseconds += of_table.milliseconds;
        sums.commits += of_table.commits;
        sums.first = sums.first.into_iter().chain(of_table.first).min();
    }
    let received = sums.counts.received as f64;
    let mut measured = Measured { build_minutes: build_minutes(project, lake).await?, ..Measured::default() };
    if received > 0.0 {
        measured.event_bytes = Some((sums.bytes as f64 / received).round());
    }
    let span = now - sums.first.unwrap_or(now);
    if span >= DAY {
        let days = span as f64 / DAY as f64;
        measured.events_a_day = Some((received / days).round());
        measured.batches_a_day = Some((sums.commits as f64 / days).round());
        measured.busy = Some(sums.milliseconds as f64 / span as f64);
    }
    let zones = counts(lake).await?;
    let of_zone = |zone: Zone| {
        let of_zone = zones.iter().filter(|count| count.zone == zone);
        of_zone.fold((0, 0), |(rows, bytes), ZoneCount { rows: r, bytes: b, .. }| (rows + r, bytes + b))
    };
    let [landing, staging, curated] = [Zone::Landing, Zone::Staging, Zone::Curated].map(of_zone);
    // Staging is the history: as many rows as there were events.
    let by =
        |(rows, _): (u64, u64), (_, bytes): (u64, u64)| (rows >= ROWS).then(|| (bytes as f64 / rows as f64).round());
    measured.stored = [by(landing, landing), by(staging, staging), by(staging, curated)];
    Ok(measured)
}

/// From a build's first commit in staging to its publication: the median of the last builds.
async fn build_minutes(project: &Project, lake: &Lake) -> Result<Option<f64>, Diagnosed> {
    let newest = weir_curated::latest(lake).await?.map_or(0, |newest| newest.build);
    let mut published = Vec::new();
    for build in newest.saturating_sub(BUILDS) + 1..=newest {
        if let Some(publication) = weir_curated::publication(lake, build).await? {
            published.push(publication.published_at / 1000);
        }
    }
    let mut staged = Vec::new();
    for table in &project.tables {
        if let Some(table) = lake.table(Zone::Staging, table.name.as_str()).await? {
            staged.extend(table.commit_infos(-1, table.version()).await?.iter().map(time_of));
        }
    }
    let mut took: Vec<i64> = Vec::new();
    let mut before = i64::MIN;
    for at in published {
        let began = staged.iter().copied().filter(|time| (before..=at).contains(time)).min();
        took.extend(began.map(|began| at - began));
        before = at;
    }
    took.sort_unstable();
    Ok(took.get(took.len() / 2).map(|took| *took as f64 / 60_000.0))
}
