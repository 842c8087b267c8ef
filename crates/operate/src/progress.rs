//! How the path tells a person where it is; the binary draws it, tests ignore it.

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
