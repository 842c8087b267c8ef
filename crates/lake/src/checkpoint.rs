//! Checkpoints: the table's state in one Parquet file, so that opening reads few commits.
//!
//! Whoever lists the log takes a checkpoint for the table, and a wrong one has no other witness. So it is made in a
//! scratch lake, the table is opened by it there, and only one that says what the log says gets its name in the log;
//! the pointer to it comes last.

use deltalake::DeltaTable;
use deltalake::protocol::checkpoints::create_checkpoint;
use weir_core::failpoint;

use crate::error::LakeError;
use crate::table::Table;

/// Commits between two checkpoints.
const INTERVAL: i64 = 50;

/// Where the log says which checkpoint is the newest.
pub(crate) const POINTER: &str = "_delta_log/_last_checkpoint";

/// The checkpoint of a version, in the table's folder.
pub(crate) fn name(version: i64) -> String {
    format!("_delta_log/{version:020}.checkpoint.parquet")
}

impl Table {
    /// A checkpoint now and then keeps a table with many commits quick to open. Failing to write one
    /// loses nothing, so it is only told.
    pub(crate) async fn checkpoint_if_due(&self) {
        if self.version() > 0
            && self.version() % INTERVAL == 0
            && let Err(error) = self.checkpoint().await
        {
            tracing::warn!(table = %self.full_name, version = self.version(), %error, "no checkpoint written");
        }
    }

    async fn checkpoint(&self) -> Result<(), LakeError> {
        let version = self.version();
        let scratch = self.lake.scratch(&[]).await?;
        let failed = |source| LakeError::delta(&self.full_name, version, source);
        let mut there = DeltaTable::new(scratch.log_store(self.zone, &self.name)?);
        there.load_version(u64::try_from(version).unwrap_or_default()).await.map_err(failed)?;
        create_checkpoint(&there, None).await.map_err(failed)?;

        let place = |inside: &str| format!("{}/{inside}", self.full_name);
        let (checkpoint, pointer) = (place(&name(version)), place(POINTER));
        let wrong = |what: &str| LakeError::file(&checkpoint, what.to_owned());
        let bytes = scratch.get(&checkpoint).await?.ok_or_else(|| wrong("it was not written"))?;
        let hint = scratch.get(&pointer).await?.ok_or_else(|| wrong("nothing points to it"))?;
        let by_it = scratch.table_at(self.zone, &self.name, version).await?;
        if !by_it.is_some_and(|by_it| by_it.is_the_same(self)) {
            return Err(wrong("it does not say what the log says"));
        }
        failpoint::hit("checkpoint.verified");
        // Another writer's of the same version says the same in other bytes, and points to it itself.
        if !self.lake.put_if_absent(&checkpoint, bytes).await? {
            return Ok(());
        }
        failpoint::hit("checkpoint.written");
        self.lake.put(&pointer, hint).await
    }

    /// Files, columns and positions of two handles of one version.
    fn is_the_same(&self, other: &Self) -> bool {
        let schemas = self.stored_schema() == other.stored_schema();
        schemas && self.id() == other.id() && self.files == other.files && self.positions == other.positions
    }
}
