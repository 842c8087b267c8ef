//! Checkpoints: the table's state in one Parquet file, so that opening reads few commits.

use deltalake::DeltaTable;
use deltalake::DeltaTableError;
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::checkpoints::create_checkpoint;

/// Commits between two checkpoints.
const INTERVAL: i64 = 50;

pub(crate) fn is_due(version: i64) -> bool {
    version > 0 && version % INTERVAL == 0
}

pub(crate) async fn write(log_store: &LogStoreRef, version: i64) -> Result<(), DeltaTableError> {
    let mut table = DeltaTable::new(log_store.clone());
    table.load_version(u64::try_from(version).unwrap_or_default()).await?;
    create_checkpoint(&table, None).await
}
