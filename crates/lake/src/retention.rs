//! Retention: rows leave a table some time after they arrived, once the stage behind has taken them.
//! Their files are deleted a while later, so that whoever reads an older version can finish.

use std::collections::{BTreeMap, HashSet};

use deltalake::kernel::Action;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Map, json};

use crate::commit::Commit;
use crate::error::LakeError;
use crate::file::DataFile;
use crate::table::Table;

/// How long a file outlives its removal, milliseconds.
const GRACE: i64 = 3_600_000;

impl Table {
    /// Removes files that were written before `cutoff` (milliseconds since 1970 UTC) by commits up to
    /// `taken`, in one commit. How many files those were; a table without such files is not touched.
    ///
    /// Time is that of arrival: a file's rows may be of any age.
    pub async fn expire(&mut self, cutoff: i64, taken: i64) -> Result<usize, LakeError> {
        if self.files().all(|file| file.modified >= cutoff) {
            return Ok(0);
        }
        let added = self.files_added(-1, taken.min(self.version())).await?;
        let taken: HashSet<String> = added.into_iter().map(|(_, file)| file.path).collect();
        let old = |file: &&DataFile| file.modified < cutoff && taken.contains(&file.path);
        let remove: Vec<DataFile> = self.files().filter(old).cloned().collect();
        if remove.is_empty() {
            return Ok(0);
        }
        let removed = remove.len();
        let mut info = Map::new();
        info.insert("weir.retention".to_owned(), json!({ "files": removed, "written_before": cutoff }));
        self.commit(Commit { remove, info, ..Commit::default() }).await?;
        tracing::info!(table = %self.full_name, removed, version = self.version(), "files past their retention removed");
        Ok(removed)
    }

    /// Deletes the files that commits removed longer ago than an hour before `now` (milliseconds since
    /// 1970 UTC); how many. A file that is gone already is none.
    pub async fn delete_removed(&self, now: i64) -> Result<usize, LakeError> {
        let mut gone = Vec::new();
        let mut reading = self.commits(-1, self.version());
        while let Some(next) = reading.next().await {
            for action in next?.1 {
                if let Action::Remove(remove) = action
                    && remove.deletion_timestamp.is_some_and(|at| at < now - GRACE)
                    && !self.files.contains_key(&remove.path)
                {
                    gone.push(remove.path);
                }
            }
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let present = self.present().await?;
        gone.retain(|path| present.contains_key(path));
        self.delete_files(&gone).await?;
        Ok(gone.len())
    }

    /// Whether every file of this version is still there.
    pub async fn is_whole(&self) -> Result<bool, LakeError> {
        let present = self.present().await?;
        Ok(self.files().all(|file| present.contains_key(&file.path)))
    }

    /// Files that are still there although no version from `oldest` on holds them, with their bytes.
    pub async fn unneeded(&self, oldest: i64) -> Result<Vec<(String, u64)>, LakeError> {
        let present = self.present().await?;
        let mut found = Vec::new();
        let mut reading = self.commits(-1, oldest.min(self.version()));
        while let Some(next) = reading.next().await {
            for action in next?.1 {
                if let Action::Remove(remove) = action
                    && !self.files.contains_key(&remove.path)
                    && let Some(bytes) = present.get(&remove.path)
                {
                    found.push((remove.path, *bytes));
                }
            }
        }
        Ok(found)
    }

    /// Deletes these files; one that is gone already is none.
    pub async fn delete_files(&self, paths: &[String]) -> Result<(), LakeError> {
        for path in paths {
            match self.store().delete(&self.location(path)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::store(self.full_name.as_str(), error)),
            }
        }
        Ok(())
    }

    /// The data files that are there, by path inside the table, with their bytes.
    async fn present(&self) -> Result<BTreeMap<String, u64>, LakeError> {
        let folder = Path::from(self.full_name.as_str());
        let mut listing = self.store().list(Some(&folder));
        let mut present = BTreeMap::new();
        while let Some(meta) = listing.try_next().await.map_err(|e| LakeError::store(self.full_name.as_str(), e))? {
            if let Some(parts) = meta.location.prefix_match(&folder) {
                let inside = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
                present.insert(inside, meta.size);
            }
        }
        Ok(present)
    }
}
