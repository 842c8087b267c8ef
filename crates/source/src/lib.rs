//! Source: where change events come from, when no SQL Server is there.
//!
//! In: the Online Retail file, a simulator's seed and switches, or a file of events; the project's tables.
//! Out: records in partition order, Debezium SQL Server change events in Confluent wire format on the
//! topics, and the ledger: what the source really did, record by record.
//! Never: a clock or a random number that decides content, a float for a decimal, half a file: input is
//! checked whole before its first record is sent.
//!
//! Read first: [`record`] (what a record is), then [`source`] and [`replay`]; the rules of the data set are at
//! the head of [`online_retail`], those of the simulator at [`simulate::Switch`].
//!
//! ```no_run
//! # async fn example(project: weir_project::Project, target: weir_source::Target) -> Result<(), weir_source::SourceError> {
//! use std::{ops::ControlFlow, sync::Arc};
//! use weir_source::simulate::{Simulator, Size, Spec, Switches};
//! use weir_source::{Options, Source, replay};
//!
//! let tables: Arc<[_]> = project.tables.into();
//! let spec = Spec { seed: 1, size: Size::for_rows(100_000), switches: Switches::ALL };
//! let source = Arc::new(Source::Simulate(Simulator::new(spec, &tables)?));
//! let (partitions, retention) = (project.stream.partitions, project.stream.retention);
//! let options = Options { partitions, retention, dir: Some("data/stream".into()), events_per_second: 0 };
//! let sent = replay(source.clone(), tables.clone(), options, target, |_| ControlFlow::Continue(())).await?;
//!
//! let expected = source.ledger(&tables, partitions).count() as u64;
//! assert_eq!(sent.skipped + sent.produced, expected);
//! # Ok(())
//! # }
//! ```

pub mod error;
pub mod events;
mod hash;
mod layout;
pub mod ledger;
pub mod manifest;
pub mod online_retail;
mod position;
pub mod record;
pub mod replay;
pub mod simulate;
pub mod source;
#[cfg(test)]
mod testing;

pub use error::SourceError;
pub use ledger::Ledger;
pub use replay::{Options, Progress, Target, replay};
pub use source::{Records, Source};
