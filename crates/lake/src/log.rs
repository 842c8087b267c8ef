//! The table's log, commit by commit: what was added, what its writers said, where readers stand.
//!
//! Commits are never cleaned up (the tables say so in their properties), so any range can be read.
//! Positions come from the last checkpoint and the commits behind it, all at once: the kernel gives
//! them only by name.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake::kernel::{Action, Add};
use deltalake::logstore::{LogStoreRef, get_actions};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use crate::checkpoint;
use crate::error::LakeError;
use crate::file::DataFile;
use crate::table::Table;

const READS_AT_ONCE: usize = 8;

/// What a writer said of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitInfo {
    /// The commit's version.
    pub version: i64,
    /// Everything in it, e.g. `timestamp` and `weir.landing`.
    pub info: Map<String, Value>,
}

impl Table {
    /// Files added by the commits after `after` up to `up_to`, with the commit that added them, oldest
    /// first; without commits that only rearranged rows, and without files that a later commit of the
    /// range removed. Where several commits' files were gathered into one, that one stands in their place, as if
    /// the newest of these commits had added it.
    pub async fn files_added(&self, after: i64, up_to: i64) -> Result<Vec<(i64, DataFile)>, LakeError> {
        let mut added: Vec<(i64, Add)> = Vec::new();
        let mut reading = self.commits(after, up_to);
        while let Some(next) = reading.next().await {
            let (version, actions) = next?;
            let gathers = actions.iter().any(|action| matches!(action, Action::Add(add) if gathered(add).is_some()));
            let mut gone: HashSet<String> = HashSet::new();
            for action in actions {
                match action {
                    Action::Add(add) if add.data_change => added.push((version, add)),
                    // What a reader has taken is gathered with nothing that it has not: see `Table::compactions`.
                    Action::Add(add) => {
                        added.extend(gathered(&add).filter(|newest| *newest > after).map(|at| (at, add)))
                    }
                    Action::Remove(remove) if remove.data_change || gathers => {
                        gone.insert(remove.path);
                    }
                    _ => {}
                }
            }
            if !gone.is_empty() {
                added.retain(|(_, add)| !gone.contains(&add.path));
            }
        }
        added.sort_by_key(|(version, _)| *version);
        let file = |(version, add): (i64, Add)| {
            let broken = || LakeError::Log { table: self.full_name.clone(), version, source: None };
            Ok((version, DataFile::of_add(&add).ok_or_else(broken)?))
        };
        added.into_iter().map(file).collect()
    }

    /// What writers said of the commits after `after` up to `up_to`, oldest first.
    pub async fn commit_infos(&self, after: i64, up_to: i64) -> Result<Vec<CommitInfo>, LakeError> {
        let mut infos = Vec::new();
        let versions = after + 1..=up_to;
        let mut reading = futures::stream::iter(versions)
            .map(|version| async move { Ok::<_, LakeError>((version, self.commit_bytes(version).await?)) })
            .buffered(READS_AT_ONCE);
        while let Some(next) = reading.next().await {
            let (version, bytes) = next?;
            let info = lines(&bytes, b"{\"commitInfo\"").next().map(serde_json::from_slice::<Value>);
            let broken = |source: serde_json::Error| LakeError::Log {
                table: self.full_name.clone(),
                version,
                source: Some(Box::new(source)),
            };
            let info = match info.transpose().map_err(broken)? {
                Some(Value::Object(mut line)) => line.remove("commitInfo"),
                _ => None,
            };
            let info = if let Some(Value::Object(info)) = info { info } else { Map::new() };
            infos.push(CommitInfo { version, info });
        }
        Ok(infos)
    }

    /// The actions of the commits after `after` up to `up_to`, oldest first.
    pub(crate) fn commits(
        &self,
        after: i64,
        up_to: i64,
    ) -> impl futures::Stream<Item = Result<(i64, Vec<Action>), LakeError>> + Unpin + '_ {
        let read = move |version: i64| async move {
            let bytes = self.commit_bytes(version).await?;
            let broken =
                |source| LakeError::Log { table: self.full_name.clone(), version, source: Some(Box::new(source)) };
            let actions = get_actions(u64::try_from(version).unwrap_or_default(), &bytes).map_err(broken)?;
            Ok((version, actions))
        };
        Box::pin(futures::stream::iter(after + 1..=up_to).map(read).buffered(READS_AT_ONCE))
    }

    async fn commit_bytes(&self, version: i64) -> Result<Bytes, LakeError> {
        read_commit(&self.log_store, &self.full_name, version).await
    }
}

/// The newest commit whose rows a file was gathered from; none of a file that a commit brought itself.
fn gathered(add: &Add) -> Option<i64> {
    add.tags.as_ref()?.get(crate::GATHERED_UP_TO)?.as_ref()?.parse().ok()
}

fn commit_path(version: i64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

async fn read_commit(log_store: &LogStoreRef, table: &str, version: i64) -> Result<Bytes, LakeError> {
    match read(log_store, table, &commit_path(version)).await? {
        Some(bytes) => Ok(bytes),
        None => Err(LakeError::Log { table: table.to_owned(), version, source: None }),
    }
}

async fn read(log_store: &LogStoreRef, table: &str, path: &Path) -> Result<Option<Bytes>, LakeError> {
    let failed = |e| LakeError::store(format!("{table}/{path}"), e);
    match log_store.object_store(None).get(path).await {
        Ok(found) => found.bytes().await.map(Some).map_err(failed),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Whether the table's first commit is there.
pub(crate) async fn exists(log_store: &LogStoreRef, table: &str) -> Result<bool, LakeError> {
    match log_store.object_store(None).head(&commit_path(0)).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(LakeError::store(table, error)),
    }
}

/// Where every reader stands at `version`.
pub(crate) async fn positions(
    log_store: &LogStoreRef,
    table: &str,
    version: i64,
) -> Result<BTreeMap<String, i64>, LakeError> {
    let mut positions = BTreeMap::new();
    let mut from = 0;
    if let Some(newest) = last_checkpoint(log_store, table).await?.filter(|newest| *newest <= version) {
        let path = Path::from(checkpoint::name(newest));
        if let Some(bytes) = read(log_store, table, &path).await? {
            let broken = |source: Box<dyn std::error::Error + Send + Sync>| LakeError::Log {
                table: table.to_owned(),
                version: newest,
                source: Some(source),
            };
            positions = checkpoint_positions(bytes).map_err(broken)?;
            from = newest + 1;
        }
    }
    move_positions(log_store, table, from..=version, &mut positions).await?;
    Ok(positions)
}

/// Moves the readers as these commits do.
pub(crate) async fn move_positions(
    log_store: &LogStoreRef,
    table: &str,
    versions: RangeInclusive<i64>,
    positions: &mut BTreeMap<String, i64>,
) -> Result<(), LakeError> {
    let read = |version| async move { Ok::<_, LakeError>((version, read_commit(log_store, table, version).await?)) };
    let mut reading = futures::stream::iter(versions).map(read).buffered(READS_AT_ONCE);
    while let Some(next) = reading.next().await {
        let (version, bytes) = next?;
        for line in lines(&bytes, b"{\"txn\"") {
            let broken = |source: serde_json::Error| LakeError::Log {
                table: table.to_owned(),
                version,
                source: Some(Box::new(source)),
            };
            if let Action::Txn(txn) = serde_json::from_slice(line).map_err(broken)? {
                positions.insert(txn.app_id, txn.version);
            }
        }
    }
    Ok(())
}

async fn last_checkpoint(log_store: &LogStoreRef, table: &str) -> Result<Option<i64>, LakeError> {
    let hint = read(log_store, table, &Path::from(checkpoint::POINTER)).await?;
    let hint: Option<Value> = hint.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // A checkpoint in parts or with sidecars is not ours: the commits say the same.
    let whole = |hint: &Value| hint.get("parts").is_none_or(Value::is_null);
    Ok(hint.filter(whole).and_then(|hint| hint.get("version").and_then(Value::as_i64)))
}

fn checkpoint_positions(bytes: Bytes) -> Result<BTreeMap<String, i64>, Box<dyn std::error::Error + Send + Sync>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn"]);
    let mut positions = BTreeMap::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else {
            continue;
        };
        let (Some(apps), Some(versions)) = (txn.column_by_name("appId"), txn.column_by_name("version")) else {
            continue;
        };
        let apps = arrow::compute::cast(apps, &arrow::datatypes::DataType::Utf8)?;
        let (apps, versions) = (apps.as_string::<i32>(), versions.as_primitive::<Int64Type>());
        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && apps.is_valid(*row)) {
            positions.insert(apps.value(row).to_owned(), versions.value(row));
        }
    }
    Ok(positions)
}

fn lines<'a>(bytes: &'a [u8], start: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    bytes.split(|byte| *byte == b'\n').filter(move |line| line.starts_with(start))
}
