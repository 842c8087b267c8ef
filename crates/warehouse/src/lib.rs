//! Warehouse: Redshift's double, and the Redshift scripts that fill it or the real one.
//!
//! In: Redshift SQL by session or Postgres wire; publications and change sets of the lake, by path; records of
//! topics, through streaming views.
//! Out: `analytics.*` (the star schema of whole builds), `staging.*` (streaming views, mirrors, load tables).
//! Never: links the lake's engine; takes a statement that Redshift refuses; ignores one that it does not know.
//!
//! The double is a double: names, rules and results are Redshift's as far as the pipeline and BI tools go, its
//! speed, planner and disk are not. Known differences: a quotient or average of decimals is a double here.
//!
//! ```no_run
//! use weir_warehouse::{Options, Warehouse};
//!
//! let warehouse = Warehouse::open("warehouse.duckdb".as_ref(), Options::default())?;
//! let mut session = warehouse.session()?;
//! session.run("CREATE TABLE t (id INT DISTKEY, doc SUPER) SORTKEY(id)")?;
//! let outcomes = session.run("SELECT 7 / 2 AS whole, NVL(doc.a::int, 0) FROM t")?;
//! assert_eq!(outcomes[0].columns[0].name, "whole");
//! # Ok::<(), weir_warehouse::WarehouseError>(())
//! ```
//!
//! Read first: [`statement`] (from Redshift's text to the engine's), then [`session`] (transactions), then
//! [`load`] and [`mirror`] (the two branches), then [`wire`]; a Redshift elsewhere is a [`Connection`] as a session is.

mod bucket;
mod connection;
pub mod copy;
mod database;
mod error;
pub mod lint;
pub mod load;
pub mod mirror;
mod outcome;
mod redshift;
mod script;
mod session;
pub mod statement;
pub mod wire;

pub use bucket::{Bucket, LakeFiles};
pub use connection::Connection;
pub use database::{Options, Warehouse};
pub use error::{EngineFailure, WarehouseError};
pub use outcome::{Answer, Column, Kind, Outcome, Tag};
pub use redshift::Redshift;
pub use script::{Placeholders, substitute};
pub use session::{Session, Transaction};
pub use wire::{Client, Users, serve};

#[cfg(test)]
mod tests;
