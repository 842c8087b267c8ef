//! Retention: rows leave a table some time after they arrived, once the stage behind has taken them.
//! Their files stay a while longer, so that whoever reads an older version can finish: see [`crate::vacuum`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir_core::failpoint;

use crate::commit::Commit;
use crate::error::LakeError;
use crate::file::DataFile;
use crate::table::Table;

/// The key under which a commit's info says what retention took.
const INFO: &str = "weir.retention";

/// What left a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
}

/// What retention has taken of a table so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Rows.
    pub rows: u64,
    /// They arrived before this time, microseconds since 1970 UTC.
    pub before: i64,
}

impl Table {
    /// What the table's commits say that retention has taken; none if nothing.
    pub async fn retained(&self) -> Result<Option<Retained>, LakeError> {
        let infos = self.commit_infos(-1, self.version()).await?;
        let number = |said: &Value, name: &str| said.get(name).and_then(Value::as_i64).unwrap_or_default();
        let said = infos.iter().filter_map(|commit| commit.info.get(INFO));
        Ok(said.fold(None, |sum: Option<Retained>, said| {
            let (rows, before) = sum.map_or((0, i64::MIN), |sum| (sum.rows, sum.before));
            let rows = rows + number(said, "rows").unsigned_abs();
            Some(Retained { rows, before: before.max(number(said, "arrived_before")) })
        }))
    }

    /// Removes files whose newest row arrived before `cutoff` (microseconds since 1970 UTC), of rows that came with
    /// commits up to `taken`, in one commit; a table without such files is not touched.
    ///
    /// Time is that of arrival: the events may be of any age.
    pub async fn expire(&mut self, cutoff: i64, taken: i64) -> Result<Expired, LakeError> {
        loop {
            // A gathered file says itself with which commit its rows came; of the others the log does.
            let old = |file: &&DataFile| {
                file.arrived() < cutoff && file.gathered_up_to().is_none_or(|version| version <= taken)
            };
            let mut remove: Vec<DataFile> = self.files().filter(old).cloned().collect();
            if remove.iter().any(|file| file.gathered_up_to().is_none()) {
                let came = self.came_with().await?;
                remove.retain(|file| came.get(&file.path).is_some_and(|version| *version <= taken));
            }
            if remove.is_empty() {
                return Ok(Expired::default());
            }
            let rows = remove.iter().map(|file| file.rows).sum();
            let expired = Expired { files: remove.len() as u64, rows };
            let mut info = Map::new();
            let said = json!({ "files": expired.files, "rows": expired.rows, "arrived_before": cutoff });
            info.insert(INFO.to_owned(), said);
            match self.commit(Commit { remove, info, ..Commit::default() }).await {
                Ok(version) => {
                    failpoint::hit("retention.committed");
                    let Expired { files, rows } = expired;
                    tracing::info!(table = %self.full_name, files, rows, version, "rows past their retention removed");
                    return Ok(expired);
                }
                Err(error) => self.overtaken(error).await?,
            }
        }
    }

    /// With which commit the rows of each file of this version came; of rows that came with several, the newest.
    pub(crate) async fn came_with(&self) -> Result<BTreeMap<String, i64>, LakeError> {
        let added = self.files_added(-1, self.version()).await?;
        Ok(added.into_iter().map(|(version, file)| (file.path, version)).collect())
    }
}
