//! What a build did, for whoever prints it.

use weir_core::name::ModelName;
use weir_lake::Traffic;
use weir_project::Model;

/// What a build did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildReport {
    /// Per curated table, in build order.
    pub tables: Vec<TableReport>,
    /// The publication's number; none when nothing was new.
    pub published: Option<u64>,
}

/// What a build did to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// The curated table.
    pub table: ModelName,
    /// Its Delta version.
    pub version: i64,
    /// Staging rows read into its history.
    pub read: u64,
    /// Of these, rows without a complete business key: left out.
    pub keyless: u64,
    /// Rows in its change set with `u`.
    pub upserts: u64,
    /// Rows in its change set with `d`.
    pub deletes: u64,
    /// Bytes of its change set.
    pub change_set_bytes: u64,
    /// Data files read and written for it: of its staging table, its history and itself.
    pub traffic: Traffic,
}

impl TableReport {
    pub(crate) fn of(model: &Model, version: i64) -> Self {
        Self {
            table: model.name.clone(),
            version,
            read: 0,
            keyless: 0,
            upserts: 0,
            deletes: 0,
            change_set_bytes: 0,
            traffic: Traffic::default(),
        }
    }
}
