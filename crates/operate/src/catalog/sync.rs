//! Bringing Glue to what the lake has: partitions first, then the table, whose version says how far it is described.
//! Whatever dies in between, the next time begins at that version again.

use std::collections::BTreeMap;

use weir_core::diagnosis::Diagnosed;
use weir_core::zone::Zone;
use weir_lake::{Lake, Table};
use weir_project::Project;

use super::{Entry, Folder, Glue, ZONES, entry, first_commits};

/// What was done to one table of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// `created`, `updated` or `deleted`.
    pub done: &'static str,
    /// Partitions that were added.
    pub added: usize,
    /// Partitions that were taken away.
    pub removed: usize,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// What commits since the described version have added.
    Since,
    /// Everything: what others did to the catalog, and what left the lake.
    Whole,
}

impl Glue {
    /// Registers what has changed since the last time.
    pub async fn follow(&self, project: &Project, lake: &Lake) -> Result<Vec<Synced>, Diagnosed> {
        self.bring(project, lake, Look::Since).await
    }

    /// Mends everything in which the catalog differs.
    pub async fn mend(&self, project: &Project, lake: &Lake) -> Result<Vec<Synced>, Diagnosed> {
        self.bring(project, lake, Look::Whole).await
    }

    async fn bring(&self, project: &Project, lake: &Lake, look: Look) -> Result<Vec<Synced>, Diagnosed> {
        let mut synced = Vec::new();
        for zone in ZONES {
            synced.extend(self.zone(project, lake, zone, look).await?);
        }
        Ok(synced)
    }

    async fn zone(&self, project: &Project, lake: &Lake, zone: Zone, look: Look) -> Result<Vec<Synced>, Diagnosed> {
        let mut known = match self.tables(project, zone).await? {
            Some(known) => known.into_iter().map(|entry| (entry.table.clone(), entry)).collect(),
            None => {
                self.make_database(project, zone, lake.location()).await?;
                BTreeMap::new()
            }
        };
        let mut synced = Vec::new();
        for name in lake.tables(zone).await? {
            if let Some(table) = lake.table(zone, &name).await? {
                synced.extend(self.table(project, &table, known.remove(&name), look).await?);
            }
        }
        if look == Look::Whole {
            for gone in known.values() {
                self.drop_table(gone).await?;
                synced.push(done(gone, "deleted", 0, 0));
            }
        }
        Ok(synced)
    }

    async fn table(
        &self,
        project: &Project,
        table: &Table,
        known: Option<Entry>,
        look: Look,
    ) -> Result<Option<Synced>, Diagnosed> {
        let wanted = entry(project, table);
        // A table that was made anew in its folder is another one: nothing that was said of it holds.
        let same = known.as_ref().filter(|known| known.id == wanted.id && known.version <= wanted.version);
        let described = same.map_or(-1, |same| same.version);
        if look == Look::Since && described == wanted.version {
            return Ok(None);
        }
        if known.is_none() {
            // Partitions need their table; it does not say yet that it is described.
            self.put_table(&Entry { version: -1, ..wanted.clone() }, None).await?;
        }
        let registered = match (&known, look) {
            (Some(known), Look::Whole) => self.partitions(known).await?,
            (Some(known), Look::Since) if same.is_none() => self.partitions(known).await?,
            _ => BTreeMap::new(),
        };
        let stale = |(values, folder): &(&Vec<String>, &Folder)| {
            same.is_none() || wanted.partitions.get(*values).is_none_or(|own| own.location != folder.location)
        };
        let removed: Vec<&Vec<String>> = registered.iter().filter(stale).map(|(values, _)| values).collect();
        self.drop_partitions(&wanted, &removed).await?;
        let missing = |values: &Vec<String>| !registered.contains_key(values) || removed.contains(&values);
        // Which commit made a folder stands in the log; all of it is read only where an old one is missing.
        let after = match look {
            Look::Since => described,
            Look::Whole if wanted.partitions.keys().any(missing) => -1,
            Look::Whole => wanted.version,
        };
        let mut added = first_commits(table, after).await?;
        added.retain(|values, _| missing(values) && wanted.partitions.contains_key(values));
        let added: BTreeMap<Vec<String>, Folder> = added
            .into_iter()
            .filter_map(|(values, version)| {
                let location = wanted.partitions.get(&values)?.location.clone();
                Some((values, Folder { location, version: Some(version) }))
            })
            .collect();
        self.add_partitions(&wanted, &added).await?;
        let described = |known: &Entry| Entry { partitions: BTreeMap::new(), ..known.clone() };
        let changed = known.as_ref().is_none_or(|known| described(known) != described(&wanted));
        if changed {
            let before = known.clone().unwrap_or_else(|| wanted.clone());
            self.put_table(&wanted, Some(&before)).await?;
        }
        let word = if known.is_none() { "created" } else { "updated" };
        let any = changed || !added.is_empty() || !removed.is_empty();
        Ok(any.then(|| done(&wanted, word, added.len(), removed.len())))
    }
}

fn done(entry: &Entry, done: &'static str, added: usize, removed: usize) -> Synced {
    Synced { database: entry.database.clone(), table: entry.table.clone(), done, added, removed }
}
