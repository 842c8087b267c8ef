//! Curated: a star schema from the staging tables' change histories.
//!
//! In: the staging rows added since the last build, and the models of the project.
//! Out: dimensions (SCD 1 and 2), facts, the date dimension; change sets; one publication per build.
//! Never: reads landing, lets the order of arrival matter, publishes half a build, updates a row that it did
//! not compute from the whole history of its key.
//!
//! Read first: [`scd`] (versions of one key, pure), [`fact`] (pure), [`difference`] (pure); then `build`, the
//! shell around them, `room` (which keys a build touches) and `publish`.

pub mod aggregate;
mod aggregate_query;
mod aggregate_table;
mod bucket;
mod build;
pub mod calendar;
mod change_set;
mod changes;
mod check;
mod column_changes;
mod committed;
mod date_table;
pub mod difference;
mod dimension;
mod dimension_table;
mod error;
pub mod fact;
mod fact_table;
mod facts;
mod history;
mod index;
pub mod invariant;
mod key;
mod key_changes;
pub mod layout;
pub mod lineage;
pub mod members;
mod mention;
mod moved;
mod past;
mod plan;
mod publish;
mod query;
mod report;
mod restate;
mod room;
pub mod scd;
mod table_commit;
mod table_diff;
#[cfg(test)]
mod tests;
mod time_travel;
pub mod trace;
mod unavailable;
mod unit_test;
mod vacuum;

pub use build::{build, build_selected};
pub use check::{Violation, check};
pub use column_changes::ColumnChanges;
pub use error::{CuratedError, Misfit};
pub use plan::{Builds, Reason, TablePlan, plan};
pub use publish::{latest, read as publication};
pub use report::{BuildReport, TableReport};
pub use restate::{Restate, plan_restatement, rebuilt, restate};
pub use room::hides;
pub use table_diff::{Sample, TableDiff};
pub use time_travel::{Build, builds, query_at, reach};
pub use unit_test::{Cells, Miss, unit_test};
pub use vacuum::{Vacuumed, vacuum};
