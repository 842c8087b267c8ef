//! The data catalog: which tables there are, where, with which columns and partitions, for engines that ask by name.
//!
//! In: the lake's own tables, and what AWS Glue holds of them. Out: entries, their differences, and a Glue catalog that
//! has what the lake has. Never: a second truth; an entry that this program did not make is left alone.
//!
//! The embedded catalog is the lake itself, read when it is asked. Read first: [`Entry`], [`of_lake`]; then `glue` (the
//! service) and `sync` (what is mended, and in which order).

mod glue;
mod service;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use weir_core::diagnosis::Diagnosed;
use weir_core::zone::Zone;
use weir_lake::{Lake, Partition, Table};
use weir_project::{Catalog, Project};

pub use self::glue::Glue;
pub use self::sync::Synced;
use crate::hive;

/// The zones that others read, each a database.
pub const ZONES: [Zone; 5] = [Zone::Landing, Zone::Staging, Zone::Curated, Zone::Quarantine, Zone::Deadletter];

/// A column: its name, and its type in Hive's words.
pub type Column = (String, String);

/// A table as a catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// Its folder, without a final slash.
    pub location: String,
    /// The Delta table's id: another one when its folder was made anew.
    pub id: String,
    /// The version of the Delta table that is described.
    pub version: i64,
    /// Its own columns.
    pub columns: Vec<Column>,
    /// The columns that its folders are named by.
    pub keys: Vec<Column>,
    /// Folders that hold data, by the values of `keys`.
    pub partitions: BTreeMap<Vec<String>, Folder>,
}

/// A folder of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is, without a final slash.
    pub location: String,
    /// The version of the table whose commit first put data there; none where nobody has asked the log.
    pub version: Option<i64>,
}

/// A project's databases.
pub fn database(project: &Project, zone: Zone) -> String {
    let prefix = match &project.catalog {
        Catalog::Glue { database: Some(prefix), .. } => prefix.clone(),
        Catalog::Glue { database: None, .. } | Catalog::Embedded => format!("{}_{}", project.name, project.env),
    };
    // An environment may be named with letters that a database may not.
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    format!("{}_{zone}", prefix.chars().map(allowed).collect::<String>())
}

/// What the lake's tables say of themselves.
pub async fn of_lake(project: &Project, lake: &Lake) -> Result<Vec<Entry>, Diagnosed> {
    of_lake_with_commits(project, lake, false).await
}

/// The same; `commits`: with the commits that made the folders, for which every log is read from its start.
pub async fn of_lake_with_commits(project: &Project, lake: &Lake, commits: bool) -> Result<Vec<Entry>, Diagnosed> {
    let mut entries = Vec::new();
    for zone in ZONES {
        for name in lake.tables(zone).await? {
            let Some(table) = lake.table(zone, &name).await? else { continue };
            let mut entry = entry(project, &table);
            if commits {
                for (values, version) in first_commits(&table, -1).await? {
                    if let Some(folder) = entry.partitions.get_mut(&values) {
                        folder.version = Some(version);
                    }
                }
            }
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn entry(project: &Project, table: &Table) -> Entry {
    let location = format!("{}/{}", table.lake().location(), table.full_name());
    let keys = table.partitioning().columns();
    let (keys, columns) = table
        .full_schema()
        .fields()
        .iter()
        .map(|field| (field.name().clone(), hive::type_name(field.data_type())))
        .partition(|(name, _)| keys.contains(&name.as_str()));
    let folders = table.files().map(|file| file.partition).collect::<BTreeSet<_>>();
    let folders = folders.into_iter().filter_map(|partition| {
        let (values, folder) = folder(partition)?;
        Some((values, Folder { location: format!("{location}/{folder}"), version: None }))
    });
    Entry {
        database: database(project, table.zone()),
        table: table.name().to_owned(),
        id: table.id().to_owned(),
        version: table.version(),
        columns,
        keys,
        partitions: folders.collect(),
        location,
    }
}

/// The values of a partition as the table's log has them, and its folder.
fn folder(partition: Partition) -> Option<(Vec<String>, String)> {
    match partition {
        Partition::None => None,
        Partition::Bucket(bucket) => Some((vec![bucket.to_string()], format!("_bucket={bucket}"))),
        Partition::Hour(at) => {
            let (year, month, day, hour) = at.parts();
            let values = [year.to_string(), month.to_string(), day.to_string(), hour.to_string()];
            Some((values.into(), at.folder()))
        }
    }
}

/// For each folder the version whose commit first put data there, of the commits after `after`.
async fn first_commits(table: &Table, after: i64) -> Result<BTreeMap<Vec<String>, i64>, Diagnosed> {
    let mut first = BTreeMap::new();
    for (version, file) in table.files_added(after, table.version()).await? {
        if let Some((values, _)) = folder(file.partition) {
            first.entry(values).or_insert(version);
        }
    }
    Ok(first)
}

/// One thing in which a catalog differs from the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// What differs: `database`, `table`, `location`, `version`, `column X`, `partition X`.
    pub what: String,
    /// In the lake; none where it has no such thing.
    pub lake: Option<String>,
    /// In the catalog; none where it has no such thing.
    pub catalog: Option<String>,
}

/// What differs between the lake and a catalog, in the order of tables.
pub fn differences(lake: &[Entry], catalog: &[Entry]) -> Vec<Difference> {
    let by_name = |entries: &[Entry]| -> BTreeMap<(String, String), Entry> {
        entries.iter().map(|entry| ((entry.database.clone(), entry.table.clone()), entry.clone())).collect()
    };
    let (lake, catalog) = (by_name(lake), by_name(catalog));
    let mut found = Vec::new();
    for name in lake.keys().chain(catalog.keys()).collect::<BTreeSet<_>>() {
        let mut add = |what: String, lake: Option<String>, catalog: Option<String>| {
            if lake != catalog {
                found.push(Difference { database: name.0.clone(), table: name.1.clone(), what, lake, catalog });
            }
        };
        let (here, there) = (lake.get(name), catalog.get(name));
        let whole = |entry: Option<&Entry>| entry.map(|entry| entry.id.clone());
        add("table".to_owned(), whole(here), whole(there));
        let (Some(here), Some(there)) = (here, there) else { continue };
        add("location".to_owned(), Some(here.location.clone()), Some(there.location.clone()));
        add("version".to_owned(), Some(here.version.to_string()), Some(there.version.to_string()));
        for (columns, others) in [(&here.columns, &there.columns), (&here.keys, &there.keys)] {
            // The place of a column is told too: readers of some formats go by it.
            let placed = |columns: &[Column]| -> BTreeMap<String, String> {
                let placed = columns.iter().zip(1..);
                placed.map(|((name, kind), at)| (name.clone(), format!("{kind}, column {at}"))).collect()
            };
            let (columns, others) = (placed(columns), placed(others));
            for name in columns.keys().chain(others.keys()).collect::<BTreeSet<_>>() {
                add(format!("column {name}"), columns.get(name).cloned(), others.get(name).cloned());
            }
        }
        for values in here.partitions.keys().chain(there.partitions.keys()).collect::<BTreeSet<_>>() {
            let location = |entry: &Entry| entry.partitions.get(values).map(|folder| folder.location.clone());
            add(format!("partition {}", values.join("/")), location(here), location(there));
        }
    }
    found
}
