//! Project: reads the user's files strictly and once, and gives the types that prove them right.
//!
//! In: `weir.yaml`, `environments/<env>.yaml`, `sources/*.yaml`, `contracts/*.yaml`, `models/**`, the
//! process's `WEIR__SECTION__KEY` variables, and the flags' overrides.
//! Out: a [`Project`], or every problem of every file with its line and a suggestion.
//! Never: a network, a secret's value in a text, a setting that is read and then ignored.
//!
//! Read first: [`settings`], [`table`] and [`model`] (what the other rooms take).

pub mod model;
pub mod project;
pub mod secret;
pub mod settings;
pub mod table;

pub use model::{
    DateKey, Deletes, DimensionRef, Milestone, Model, ModelColumn, ModelKind, Scd, SqlFile,
};
pub use project::Project;
pub use secret::SecretText;
pub use settings::{
    Auth, Curated, Endpoint, Lake, LakeRoot, Landing, Staging, Stream, Warehouse, WarehouseTarget,
};
pub use table::{Connector, Expectation, Rule, Severity, Table};

pub use bytesize::ByteSize;
