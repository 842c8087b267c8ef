//! Lake: the zones' folders, their Delta tables, the one atomic commit, and the engine's session.
//!
//! In: Arrow record batches, and positions (where in its input a writer stands).
//! Out: plain Delta tables (reader version 1, writer version 2) that any other reader opens at every
//! committed version; one commit holds files, positions and counts, or nothing of them.
//! Never: a commit over somebody else's, a position that runs backwards unasked, a half-written table.
//!
//! Read first: [`Table::commit`] (the one place that changes a table), then [`Lake`], then [`side`].
//!
//! ```no_run
//! # async fn example() -> Result<(), weir_lake::LakeError> {
//! use weir_core::zone::Zone;
//! use weir_lake::{Lake, Options};
//!
//! let lake = Lake::open(Options::folder("/var/lib/weir")).await?;
//! if let Some(table) = lake.table(Zone::Landing, "customer").await? {
//!     println!("{} files at version {}", table.files().count(), table.version());
//! }
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod chunks;
mod commit;
mod compaction;
mod contended;
mod encode;
mod error;
mod fetched;
mod file;
mod folder;
mod hourly;
mod identity;
mod lake;
mod log;
mod once;
mod orphan;
mod read;
mod retention;
mod rows;
mod s3;
mod schema;
mod schema_change;
mod scratch;
pub mod side;
mod stats;
mod table;
mod traffic;
mod vacuum;

pub use commit::Commit;
pub use compaction::{Compacted, Compaction, Rules};
pub use contended::is_abandoned;
pub use error::LakeError;
pub use fetched::{Encoded, Fetched, Patch};
pub use file::{DataFile, NewFile, Partition, Partitioning, order_key_tags};
pub use hourly::{hour_files, hours, order_key_ranges};
pub use identity::{envelope_keys, identities, image_column};
pub use lake::{Lake, Options, Root};
pub use log::CommitInfo;
pub use object_store::ObjectStore;
pub use read::Batches;
pub use retention::{Expired, Retained};
pub use rows::row_batch;
pub use s3::S3;
pub use schema::{align_batch, arrow_type, timestamp, union};
pub use schema_change::{ColumnChange, column_changes};
pub use stats::Sought;
pub use table::Table;
pub use traffic::Traffic;
pub use vacuum::Unneeded;

/// Tag of a data file: smallest `_order_key` in it, hexadecimal.
pub const MIN_ORDER_KEY: &str = "weir.minOrderKey";
/// Tag of a data file: largest `_order_key` in it, hexadecimal.
pub const MAX_ORDER_KEY: &str = "weir.maxOrderKey";
/// Tag of a data file that holds the rows of several commits: the newest of them.
pub const GATHERED_UP_TO: &str = "weir.gatheredUpTo";
/// How long a writer may take from its first file to the commit that names it, where there may be other writers. What is
/// in no commit that long after it was written, when one was made, no commit will ever name.
pub const UNFINISHED: std::time::Duration = std::time::Duration::from_secs(1800);

#[cfg(test)]
mod tests;
