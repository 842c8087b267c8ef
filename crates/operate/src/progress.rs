//! How the path tells a person where it is; the binary draws it, tests ignore it.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

/// Watches the stages.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is about how much there is to do, where that is known.
    fn begin(&self, stage: &'static str, total: Option<u64>);
    /// That much of the stage is done.
    fn at(&self, done: u64);
    /// The stage is done.
    fn end(&self);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &'static str, _total: Option<u64>) {}
    fn at(&self, _done: u64) {}
    fn end(&self) {}
}

/// What a stage did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub stage: &'static str,
    /// Rows or records that it went through in this run.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Takes the time of stages.
pub(crate) struct Clock {
    pub(crate) stages: Vec<StageReport>,
    progress: Arc<dyn Progress>,
    since: Instant,
}

impl Clock {
    pub(crate) fn new(progress: Arc<dyn Progress>) -> Self {
        Self { stages: Vec::new(), progress, since: Instant::now() }
    }

    pub(crate) fn begin(&mut self, stage: &'static str, total: Option<u64>) {
        self.progress.begin(stage, total);
        self.since = Instant::now();
    }

    pub(crate) fn end(&mut self, stage: &'static str, rows: u64) {
        let took = self.since.elapsed();
        self.progress.end();
        self.stages.push(StageReport { stage, rows, seconds: took.as_secs_f64() });
    }
}
