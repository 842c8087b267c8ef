//! Vacuum: deletes the files of curated tables that only versions older than the kept time hold, and files that no
//! commit names: of tables and of change sets. It commits nothing, so it may be stopped and run again at any time.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use weir_core::zone::Zone;
use weir_lake::{CommitInfo, Lake, LakeError, Table};

use crate::change_set::Written;
use crate::error::CuratedError;
use crate::publish::latest;

/// A file that no commit names is deleted when it is older: a build that runs now has not committed yet.
const GRACE: Duration = Duration::from_secs(3600);

/// What a vacuum deleted of a table, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuumed {
    /// The table, or `_changes/<table>` for change-set files.
    pub table: String,
    /// The oldest version that can be read afterwards; none for change-set files.
    pub oldest: Option<i64>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Deletes what no version needs that was the newest at any moment of the kept time, nor the newest publication: of one
/// table, or of all. With `dry_run` nothing is deleted.
pub async fn vacuum(
    lake: &Lake,
    only: Option<&str>,
    keep: Duration,
    dry_run: bool,
) -> Result<Vec<Vacuumed>, CuratedError> {
    let ago = |time: Duration| {
        Utc::now().timestamp_millis().saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    };
    let published = latest(lake).await?;
    let mut report = Vec::new();
    let names = lake.tables(Zone::Curated).await?.into_iter();
    for name in names.filter(|name| only.is_none_or(|only| only == name)) {
        let Some(table) = lake.table(Zone::Curated, &name).await? else { continue };
        let commits = table.commit_infos(-1, table.version()).await?;
        let of_newest = published.iter().flat_map(|build| &build.tables).find(|found| found.table.as_str() == name);
        let of_newest = of_newest.map_or(i64::MAX, |found| found.version);
        let unneeded = table.vacuum(ago(keep), of_newest, ago(GRACE), dry_run).await?;
        let (oldest, files, bytes) = (Some(unneeded.oldest), unneeded.count(), unneeded.bytes());
        report.push(Vacuumed { table: name, oldest, files, bytes });
        report.extend(change_sets(lake, &table, &commits, dry_run).await?);
    }
    Ok(report)
}

/// Change-set files of a table that no commit names: a build was killed before it committed them.
async fn change_sets(
    lake: &Lake,
    table: &Table,
    commits: &[CommitInfo],
    dry_run: bool,
) -> Result<Option<Vacuumed>, CuratedError> {
    let folder = format!("curated/_changes/{}", table.name());
    let failed = |source: object_store::Error| {
        CuratedError::Lake(LakeError::Store { what: folder.clone(), source: Box::new(source) })
    };
    let young: DateTime<Utc> = (SystemTime::now() - GRACE).into();
    let listed: Vec<_> = lake.store().list(Some(&Path::from(folder.as_str()))).try_collect().await.map_err(failed)?;
    if listed.is_empty() {
        return Ok(None);
    }
    let mut named: HashSet<String> = HashSet::new();
    for commit in commits {
        if let Some(written) = Written::of(table.name(), commit)? {
            named.extend(written.paths().map(str::to_owned));
        }
    }
    let (mut files, mut bytes) = (0, 0);
    let orphaned = |meta: &ObjectMeta| meta.last_modified < young && !named.contains(&meta.location.to_string());
    for meta in listed.into_iter().filter(orphaned) {
        if !dry_run {
            lake.store().delete(&meta.location).await.map_err(failed)?;
        }
        files += 1;
        bytes += meta.size;
    }
    let table = format!("_changes/{}", table.name());
    Ok((files > 0).then_some(Vacuumed { table, oldest: None, files, bytes }))
}
