//! Vacuum: the files that no version names any more which somebody may still read. It commits nothing, so it may be
//! stopped and run again at any time.
//!
//! Two kinds of files go. One that left the table: no kept version names it, and none ever will again. And an orphan,
//! which a writer left that was killed before its commit: it is old, and since it was written a commit was made that
//! its writer, were it only paused, would have to go behind; by then it would have given up: see
//! [`UNFINISHED`](crate::UNFINISHED).

use std::collections::{BTreeMap, HashSet};

use deltalake::kernel::Action;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use weir_core::failpoint;

use crate::error::LakeError;
use crate::file::DataFile;
use crate::lake::Lake;
use crate::table::Table;

/// What is in a table's folder.
#[derive(Debug, Default)]
struct Stored {
    /// Data files, by path inside the table.
    data: BTreeMap<String, Meta>,
    /// Commits: when each was made, milliseconds since 1970 UTC.
    commits: BTreeMap<i64, i64>,
}

#[derive(Debug, Clone, Copy)]
struct Meta {
    bytes: u64,
    /// When it was written, milliseconds since 1970 UTC.
    at: i64,
}

impl Stored {
    /// The version that was the newest at a time: every later one was the newest at some moment since. The first one where
    /// none is so old.
    fn newest_at(&self, ms: i64) -> i64 {
        let older = self.commits.iter().take_while(|(_, at)| **at <= ms);
        older.last().or(self.commits.first_key_value()).map_or(0, |(version, _)| *version)
    }
}

/// Files that a vacuum deletes, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unneeded {
    /// The oldest version that can be read afterwards.
    pub oldest: i64,
    /// The files, by path inside the table, with their bytes.
    pub files: Vec<(String, u64)>,
}

impl Unneeded {
    /// How many.
    pub fn count(&self) -> u64 {
        self.files.len() as u64
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Table {
    /// Deletes what [`unneeded`](Self::unneeded) finds; with `dry_run` it only says what.
    pub async fn vacuum(
        &self,
        since: i64,
        at_least: i64,
        orphans_before: i64,
        dry_run: bool,
    ) -> Result<Unneeded, LakeError> {
        let unneeded = self.unneeded(since, at_least, orphans_before).await?;
        if !dry_run {
            self.delete(&unneeded).await?;
        }
        Ok(unneeded)
    }

    /// Files that no version needs that was the newest at `since` or later (milliseconds since 1970 UTC), nor version
    /// `at_least` or a later one; and orphans older than `since` and than `orphans_before`.
    pub(crate) async fn unneeded(&self, since: i64, at_least: i64, orphans_before: i64) -> Result<Unneeded, LakeError> {
        let stored = self.stored().await?;
        // What was committed after the look at the folder is seen here, and so it is named.
        let mut now = self.clone();
        now.refresh().await?;
        let oldest = stored.newest_at(since).min(at_least);
        let mut named: HashSet<String> = now.files.keys().cloned().collect();
        let mut reading = now.commits(oldest, now.version());
        while let Some(next) = reading.next().await {
            named.extend(next?.1.into_iter().filter_map(|action| match action {
                Action::Remove(remove) => Some(remove.path),
                Action::Add(add) => Some(add.path),
                _ => None,
            }));
        }
        drop(reading);
        let unnamed: Vec<_> = stored.data.iter().filter(|(path, _)| !named.contains(*path)).collect();
        let last = stored.commits.last_key_value().map_or(i64::MIN, |(_, at)| *at);
        let unfinished = i64::try_from(crate::UNFINISHED.as_millis()).unwrap_or(i64::MAX);
        let abandoned = |meta: &Meta| meta.at < since.min(orphans_before) && meta.at.saturating_add(unfinished) < last;
        let (mut gone, young): (Vec<_>, Vec<_>) = unnamed.into_iter().partition(|(_, meta)| abandoned(meta));
        if !young.is_empty() {
            let removed = now.removed(oldest).await?;
            gone.extend(young.into_iter().filter(|(path, _)| removed.contains(*path)));
        }
        let files = gone.into_iter().map(|(path, meta)| (path.clone(), meta.bytes)).collect();
        Ok(Unneeded { oldest, files })
    }

    /// Files that commits up to this version removed.
    async fn removed(&self, up_to: i64) -> Result<HashSet<String>, LakeError> {
        let mut removed = HashSet::new();
        let mut reading = self.commits(-1, up_to.min(self.version()));
        while let Some(next) = reading.next().await {
            removed.extend(next?.1.into_iter().filter_map(|action| match action {
                Action::Remove(remove) => Some(remove.path),
                _ => None,
            }));
        }
        Ok(removed)
    }

    /// Deletes these files; one that is gone already is none.
    pub(crate) async fn delete(&self, unneeded: &Unneeded) -> Result<(), LakeError> {
        for (path, _) in &unneeded.files {
            match self.store().delete(&self.location(path)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::store(self.full_name.as_str(), error)),
            }
            failpoint::hit("vacuum.file_deleted");
        }
        Ok(())
    }

    /// Whether every file of this version is still there.
    pub async fn is_whole(&self) -> Result<bool, LakeError> {
        let stored = self.stored().await?;
        Ok(self.files().all(|file| stored.data.contains_key(&file.path)))
    }

    /// How many files are there that this version does not name, and their bytes.
    pub async fn unnamed(&self) -> Result<(u64, u64), LakeError> {
        let stored = self.stored().await?;
        let unnamed = stored.data.iter().filter(|(path, _)| !self.files.contains_key(*path));
        Ok(unnamed.fold((0, 0), |(files, bytes), (_, meta)| (files + 1, bytes + meta.bytes)))
    }

    /// Of this version, what a copy of the lake in another place lacks: commits, and data files that they name. The copy is
    /// not opened as a table: its objects may have come in any order.
    pub async fn lacking_in(&self, copy: Option<&Lake>) -> Result<(Vec<i64>, Vec<DataFile>), LakeError> {
        let there = match copy {
            Some(copy) => self.stored_in(copy.inner.rooted.as_ref()).await?,
            None => Stored::default(),
        };
        let commits = (0..=self.version()).filter(|version| !there.commits.contains_key(version)).collect();
        let files = self.files().filter(|file| !there.data.contains_key(&file.path)).cloned().collect();
        Ok((commits, files))
    }

    async fn stored(&self) -> Result<Stored, LakeError> {
        self.stored_in(self.store()).await
    }

    async fn stored_in(&self, store: &dyn ObjectStore) -> Result<Stored, LakeError> {
        let folder = Path::from(self.full_name.as_str());
        let mut listing = store.list(Some(&folder));
        let mut stored = Stored::default();
        while let Some(meta) = listing.try_next().await.map_err(|e| LakeError::store(self.full_name.as_str(), e))? {
            let Some(parts) = meta.location.prefix_match(&folder) else { continue };
            let inside = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
            let at = meta.last_modified.timestamp_millis();
            match inside.strip_prefix("_delta_log/") {
                Some(log) => {
                    let version = log.strip_suffix(".json").and_then(|number| number.parse().ok());
                    stored.commits.extend(version.map(|version: i64| (version, at)));
                }
                None if inside.ends_with(".parquet") => {
                    stored.data.insert(inside, Meta { bytes: meta.size, at });
                }
                None => {}
            }
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_was_the_newest_at_a_time_is_kept_and_every_later_one() {
        let stored = Stored { commits: BTreeMap::from([(0, 10), (1, 20), (2, 30)]), ..Stored::default() };
        for (since, oldest) in [(5, 0), (10, 0), (19, 0), (20, 1), (25, 1), (30, 2), (99, 2)] {
            assert_eq!(stored.newest_at(since), oldest, "at {since}");
        }
    }
}
