//! Orphans: data files that a killed writer left behind, named by no commit.

use std::collections::HashSet;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use deltalake::kernel::Action;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::LakeError;
use crate::table::Table;

impl Table {
    /// Deletes data files that no commit has ever named and that were there when this process opened the lake, on an
    /// object store an hour before.
    ///
    /// For a table with one writer, which is this one: a second writer's unfinished files look the same. Of a table
    /// with several, orphans go with [`Table::unneeded`].
    pub async fn remove_orphans(&self) -> Result<usize, LakeError> {
        let failed = |e| LakeError::store(&self.full_name, e);
        let opened: DateTime<Utc> = SystemTime::into(self.lake.inner.opened - self.lake.inner.settled);
        let folder = Path::from(self.full_name.as_str());
        let mut listing = self.lake.inner.rooted.list(Some(&folder));
        let mut suspects = Vec::new();
        while let Some(meta) = listing.try_next().await.map_err(failed)? {
            let Some(parts) = meta.location.prefix_match(&folder) else {
                continue;
            };
            let inside = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
            let data = inside.ends_with(".parquet") && !inside.starts_with("_delta_log/");
            let own = meta.location.filename().is_some_and(|name| name.starts_with(&self.lake.inner.run));
            if data && !own && meta.last_modified <= opened && !self.files.contains_key(&inside) {
                suspects.push((inside, meta.location));
            }
        }
        if suspects.is_empty() {
            return Ok(0);
        }
        let named = self.ever_named().await?;
        let mut removed = 0;
        for (_, location) in suspects.into_iter().filter(|(inside, _)| !named.contains(inside)) {
            self.store().delete(&location).await.map_err(failed)?;
            removed += 1;
        }
        if removed > 0 {
            tracing::info!(table = %self.full_name, removed, "files of an unfinished commit removed");
        }
        Ok(removed)
    }

    async fn ever_named(&self) -> Result<HashSet<String>, LakeError> {
        let mut named = HashSet::new();
        let mut reading = self.commits(-1, self.version());
        while let Some(next) = reading.next().await {
            for action in next?.1 {
                if let Action::Add(add) = action {
                    named.insert(add.path);
                }
            }
        }
        Ok(named)
    }
}
