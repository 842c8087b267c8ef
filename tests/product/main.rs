//! The whole product from outside, in one test binary: each heavy binary costs seconds to link.
//!
//! In: the binary `weir`, the repository's files, and the real parts that this machine has.
//! Never: a call into a stage; what a user cannot reach is tested beside its code.
#![allow(clippy::unwrap_used, reason = "a test may unwrap: its failure is its report")]

mod aggregate;
mod catalog;
mod cost;
mod dlq;
mod docs;
mod drill;
mod emf;
mod errors;
mod infra;
mod key_change;
mod kill;
mod landing;
mod lineage;
mod migrations;
mod model;
mod openlineage;
mod parts;
mod path;
mod place;
mod readers;
mod redshift;
mod restate;
mod s3;
mod schema;
mod secrets;
mod spark;
mod sql;
mod star;
mod status;
mod tidy;
mod trace;
mod truncate;
mod upkeep;
mod workflows;
