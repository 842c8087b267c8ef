//! Vacuum: deletes the files of curated tables that only versions older than the kept time hold, and change-set
//! files that no commit names. It commits nothing, so it may be stopped and run again at any time.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde_json::Value;
use weir_core::zone::Zone;
use weir_lake::{CommitInfo, Lake, LakeError, Table};

use crate::change_set::Written;
use crate::error::CuratedError;
use crate::publish::latest;

/// A change-set file that no commit names is deleted when it is older: a build that runs now has not committed yet.
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

/// Deletes what no version needs that was the newest at any moment of the kept time, nor the newest publication.
/// With `dry_run` nothing is deleted.
pub async fn vacuum(lake: &Lake, keep: Duration, dry_run: bool) -> Result<Vec<Vacuumed>, CuratedError> {
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let cutoff = Utc::now().timestamp_millis().saturating_sub(keep);
    let published = latest(lake).await?;
    let mut report = Vec::new();
    for name in lake.tables(Zone::Curated).await? {
        let Some(table) = lake.table(Zone::Curated, &name).await? else { continue };
        let commits = table.commit_infos(-1, table.version()).await?;
        let of_newest = published.iter().flat_map(|build| &build.tables).find(|found| found.table.as_str() == name);
        let oldest = oldest_kept(&commits, cutoff).min(of_newest.map_or(i64::MAX, |found| found.version));
        let unneeded = table.unneeded(oldest).await?;
        if !dry_run {
            let paths: Vec<String> = unneeded.iter().map(|(path, _)| path.clone()).collect();
            table.delete_files(&paths).await?;
        }
        let bytes = unneeded.iter().map(|(_, bytes)| bytes).sum();
        report.push(Vacuumed { table: name, oldest: Some(oldest), files: unneeded.len() as u64, bytes });
        report.extend(change_sets(lake, &table, &commits, dry_run).await?);
    }
    Ok(report)
}

/// The version that was the newest at `cutoff`: every later one was the newest at some moment since.
fn oldest_kept(commits: &[CommitInfo], cutoff: i64) -> i64 {
    let at = |commit: &CommitInfo| commit.info.get("timestamp").and_then(Value::as_i64).unwrap_or(i64::MAX);
    let older = commits.iter().take_while(|commit| at(commit) <= cutoff);
    older.last().or(commits.first()).map_or(0, |commit| commit.version)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_was_the_newest_at_the_cutoff_is_kept_and_every_later_one() {
        let commit = |version, at: i64| CommitInfo {
            version,
            info: [("timestamp".to_owned(), Value::from(at))].into_iter().collect(),
        };
        let commits = [commit(0, 10), commit(1, 20), commit(2, 30)];
        for (cutoff, oldest) in [(5, 0), (10, 0), (19, 0), (20, 1), (25, 1), (30, 2), (99, 2)] {
            assert_eq!(oldest_kept(&commits, cutoff), oldest, "at {cutoff}");
        }
    }
}
