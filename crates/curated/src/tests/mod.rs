//! The engine against the reference star, and by name against the cases that break such engines.

mod aggregates;
mod collisions;
mod columns;
mod fixture;
mod growth;
mod hard_cases;
mod histories;
mod late_parent;
mod memory;
mod other_columns;
mod published;
mod pure;
mod reach;
mod reference;
mod restated;
mod speed;
mod travel;
mod whole;

/// Runs a test's own work to its end.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}
