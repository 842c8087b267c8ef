//! The publication manifest: which table versions belong to one finished build, and the change sets
//! that lead to it. Written once per build, under a number that only grows; a load applies them in order.
//!
//! Files: `<root>/curated/_published/<build, 12 digits>.json`, put if absent.

use serde::{Deserialize, Serialize};

use crate::name::ModelName;

/// One finished build: readers and loads see all its tables, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// From 1, without gaps.
    pub build: u64,
    /// When it was published, microseconds since 1970 UTC.
    pub published_at: i64,
    /// Every curated table, in build order (dimensions before facts).
    pub tables: Vec<PublishedTable>,
}

/// A table's part in a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// The curated table.
    pub table: ModelName,
    /// Its Delta version.
    pub version: i64,
    /// Key columns of the table as loaded: one row per key in every change set.
    pub key: Vec<String>,
    /// Change sets since the last publication, oldest first; empty when nothing changed.
    pub change_sets: Vec<ChangeSet>,
}

/// Rows that a load must apply: every column in table order, then `_change` (`u` or `d`).
///
/// One that is `anew` holds every row of the table, whose columns may be others than those of older change sets: the
/// loaded table is made anew with the columns of this one, and nothing older is loaded into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// The Delta version that it leads to.
    pub version: i64,
    /// Rows with `_change = 'u'`.
    pub upserts: u64,
    /// Rows with `_change = 'd'`.
    pub deletes: u64,
    /// Parquet files, paths relative to the lake's root.
    pub files: Vec<ChangeSetFile>,
    /// The table is made anew from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

/// One Parquet file of a change set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSetFile {
    /// Path relative to the lake's root, e.g. `curated/_changes/dim_customer/<name>.parquet`.
    pub path: String,
    /// Bytes; COPY's manifest demands it.
    pub content_length: u64,
    /// Rows.
    pub rows: u64,
}

impl Publication {
    /// Where it is written, relative to the lake's root.
    pub fn path(build: u64) -> String {
        format!("curated/_published/{build:012}.json")
    }
}
