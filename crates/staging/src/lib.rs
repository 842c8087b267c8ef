//! Staging: the typed, deduplicated, checked change history of every table, and the quarantine.
//!
//! In: landing files added since the landing version that the staging table's own commit names.
//! Out: one Delta commit per step: rows in the contract's types, the landing version they came from, and
//! the counts; rows that break a rule go to quarantine, committed first under the same version.
//! Never: drops a row uncounted, changes a value beyond its type, reads landing rows twice.
//!
//! Read first: [`run`] (the steps and the commits), then [`flatten`], [`typed`] and [`rules`] (the
//! decisions, pure), then [`truncation`] and [`metrics`].
//!
//! **Which rule names a row.** A row that breaks several rules is one quarantine row. First comes `type`
//! (a value that does not fit its contract column, by column), then `key` (a NULL in the key), then the
//! expectations in declared order. A delete is held to `key` only: its row image is the past. Each
//! expectation's count holds all rows that break it, also those that an earlier rule took.

mod counts;
mod error;
pub mod flatten;
pub mod metrics;
mod model;
mod quarantine;
mod reference;
pub mod rules;
pub mod run;
pub mod truncation;
pub mod typed;
pub mod unavailable;
mod value;

pub use counts::RuleCount;
pub use error::StagingError;
pub use run::{Staged, Stager};

#[cfg(test)]
mod tests;
