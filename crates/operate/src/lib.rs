//! Operate: the whole path as one.
//!
//! In: a checked project, a folder for the embedded parts, a source of events.
//! Out: the stages in their order, what each did and how long it took, and the proof: reconciliation of
//! every zone and the warehouse with the stream.
//! Never: a stage's own work; it calls the stages and hands on what they say.
//!
//! Read first: [`site`] (what runs where), then [`run`] (the stages), then [`reconcile`]; [`mod@status`] says how it stands.

pub mod building;
pub mod catalog;
pub mod chaos;
pub mod cost;
pub mod counts;
pub mod demo;
pub mod drill;
mod error;
mod hive;
pub mod infrastructure;
pub mod letters;
pub mod lineage;
pub mod openlineage;
pub mod plan;
pub mod progress;
pub mod reconcile;
mod replica;
pub mod run;
pub mod running;
pub mod schema;
pub mod services;
pub mod site;
pub mod status;
pub mod trace;
pub mod up;
pub mod upkeep;
pub mod verify;
pub mod warehouse;

pub use error::OperateError;
pub use site::Site;
