//! The whole project, checked.

use std::path::PathBuf;

use weir_core::name::{Identifier, ModelName, TableName};

use crate::migration::Migration;
use crate::model::Model;
use crate::recovery::Recovery;
use crate::settings::{Catalog, Curated, Lake, Landing, Lineage, Metrics, Staging, Stream, Warehouse};
use crate::table::Table;
use crate::unit_test::UnitTest;

/// A project whose files were all read and found right for one environment.
///
/// Made by `load` only; a test may change the fields of one that it loaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Project {
    /// `name` in `weir.yaml`.
    pub name: Identifier,
    /// The environment that the settings are for, e.g. `dev`.
    pub env: String,
    /// The folder that holds `weir.yaml`, absolute.
    pub dir: PathBuf,
    /// Brokers, registry, topics.
    pub stream: Stream,
    /// Where the tables are.
    pub lake: Lake,
    /// How the stream is cut into micro-batches.
    pub landing: Landing,
    /// How much staging takes at once.
    pub staging: Staging,
    /// How curated tables are spread.
    pub curated: Curated,
    /// Where the star schema is served.
    pub warehouse: Warehouse,
    /// Where metrics are served.
    pub metrics: Metrics,
    /// Where builds tell what they read and wrote.
    pub lineage: Lineage,
    /// Where other engines find the lake's tables.
    pub catalog: Catalog,
    /// What a disaster may cost.
    pub recovery: Recovery,
    /// Source tables, in declared order (files by name, tables as listed in `sources/*.yaml`).
    pub tables: Vec<Table>,
    /// Curated models in build order: dimensions, facts, the date dimension, aggregates.
    pub models: Vec<Model>,
    /// Their unit tests, in the models' order.
    pub tests: Vec<UnitTest>,
    /// What the warehouse gets once, in its order.
    pub migrations: Vec<Migration>,
}

impl Project {
    /// The source table of this name.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// The source table whose changes this topic carries.
    pub fn table_of_topic(&self, topic: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.topic == topic)
    }

    /// The curated model of this name.
    pub fn model(&self, name: &ModelName) -> Option<&Model> {
        self.models.iter().find(|model| model.name == *name)
    }
}
