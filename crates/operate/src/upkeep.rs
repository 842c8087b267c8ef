//! The upkeep of tables: small files of landing put together, rows past their retention removed, files deleted that no
//! version names any more; and how the tables' files stand.
//!
//! Landing is kept up behind staging, never ahead of it: what staging has not committed yet is left alone. So it is
//! done after a build, by whoever builds; landing's workers go on meanwhile and meet at most a commit that they go behind.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use weir_core::diagnosis::Diagnosed;
use weir_core::zone::Zone;
use weir_lake::{Compacted, Expired, Lake, LakeError, Partition, Partitioning, Rules, Table};
use weir_project::Project;
use weir_staging::run::reader;

/// Zones whose files are deleted once they are in no version of `lake.vacuum_after`. Curated keeps older builds readable,
/// for a time that whoever vacuums it says.
const ZONES: [Zone; 5] = [Zone::Landing, Zone::Deadletter, Zone::Staging, Zone::Quarantine, Zone::Quality];

/// What was put together in a landing table, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactedTable {
    /// The table.
    pub table: String,
    /// What was done.
    pub compacted: Compacted,
}

/// What a vacuum deleted of a table, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuumed {
    /// The zone.
    pub zone: Zone,
    /// The table; of change sets `_changes/<table>`.
    pub table: String,
    /// The oldest version that can be read afterwards; none for change sets.
    pub oldest: Option<i64>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How the files of a table stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The zone.
    pub zone: Zone,
    /// The table.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Files of the newest version.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the file in the middle by size.
    pub median: Option<u64>,
    /// Bytes of the smallest.
    pub smallest: Option<u64>,
    /// Files of less than half of `landing.compact_size`.
    pub small: u64,
    /// Hours in which no row arrived within `landing.compact_after`; none for a table without hours.
    pub closed_hours: Option<u64>,
    /// The other ones.
    pub open_hours: Option<u64>,
    /// Files that are there and that the newest version does not name, and their bytes.
    pub unnamed: (u64, u64),
    /// Files that a compaction would put together, and into how many; none outside of landing.
    pub compactable: Option<(u64, u64)>,
}

/// After a build: retention, compaction, and of a table that either has changed a vacuum. Whether any was changed.
pub async fn tend(project: &Project, lake: &Lake) -> Result<bool, Diagnosed> {
    let mut changed = false;
    for table in &project.tables {
        let Some((mut landing, rules)) = staged(project, lake, table.name.as_str()).await? else { continue };
        let expired = landing.expire(micros_ago(project.landing.retention), rules.taken).await?;
        let compacted = compact_table(&mut landing, &rules).await?;
        if expired != Expired::default() || compacted != Compacted::default() {
            vacuum_table(&landing, project.lake.vacuum_after, false).await?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Puts the small files of closed hours together, of one landing table or of all.
pub async fn compact(project: &Project, lake: &Lake, only: Option<&str>) -> Result<Vec<CompactedTable>, Diagnosed> {
    let mut report = Vec::new();
    for name in project.tables.iter().map(|table| table.name.as_str()).filter(|name| is_wanted(only, name)) {
        let compacted = match staged(project, lake, name).await? {
            Some((mut landing, rules)) => compact_table(&mut landing, &rules).await?,
            None => Compacted::default(),
        };
        report.push(CompactedTable { table: name.to_owned(), compacted });
    }
    Ok(report)
}

async fn compact_table(landing: &mut Table, rules: &Rules) -> Result<Compacted, LakeError> {
    let compactions = landing.compactions(rules).await?;
    landing.compact(&compactions).await
}

/// Deletes files that no version needs: of curated tables those of `keep`, of others those of `lake.vacuum_after`.
/// Of the tables of one name, or of all.
pub async fn vacuum(
    project: &Project,
    lake: &Lake,
    only: Option<&str>,
    keep: Duration,
    dry_run: bool,
) -> Result<Vec<Vacuumed>, Diagnosed> {
    let mut report = Vec::new();
    for zone in ZONES {
        for name in lake.tables(zone).await?.iter().filter(|name| is_wanted(only, name)) {
            let Some(table) = lake.table(zone, name).await? else { continue };
            report.push(vacuum_table(&table, project.lake.vacuum_after, dry_run).await?);
        }
    }
    for weir_curated::Vacuumed { table, oldest, files, bytes } in
        weir_curated::vacuum(lake, only, keep, dry_run).await?
    {
        report.push(Vacuumed { zone: Zone::Curated, table, oldest, files, bytes });
    }
    Ok(report)
}

async fn vacuum_table(table: &Table, after: Duration, dry_run: bool) -> Result<Vacuumed, LakeError> {
    let since = micros_ago(after) / 1000;
    let unneeded = table.vacuum(since, i64::MAX, since, dry_run).await?;
    let (files, bytes) = (unneeded.count(), unneeded.bytes());
    if files > 0 && !dry_run {
        tracing::info!(table = %table.full_name(), files, bytes, "files that no version names deleted");
    }
    Ok(Vacuumed { zone: table.zone(), table: table.name().to_owned(), oldest: Some(unneeded.oldest), files, bytes })
}

/// How the files of every table stand.
pub async fn health(project: &Project, lake: &Lake) -> Result<Vec<Health>, Diagnosed> {
    let mut report = Vec::new();
    for zone in [Zone::Landing, Zone::Deadletter, Zone::Staging, Zone::Quarantine, Zone::Curated, Zone::Quality] {
        for name in lake.tables(zone).await? {
            let Some(table) = lake.table(zone, &name).await? else { continue };
            let compactable = match zone {
                Zone::Landing => Some(compactable(project, lake, &name).await?),
                _ => None,
            };
            report.push(of_table(project, &table, compactable).await?);
        }
    }
    Ok(report)
}

async fn of_table(project: &Project, table: &Table, compactable: Option<(u64, u64)>) -> Result<Health, LakeError> {
    let size = project.landing.compact_size.as_u64();
    let mut sizes: Vec<u64> = table.files().map(|file| file.size.unsigned_abs()).collect();
    sizes.sort_unstable();
    let closed = micros_ago(project.landing.compact_after);
    // Of each hour, whether a row arrived since.
    let mut hours: BTreeMap<Partition, bool> = BTreeMap::new();
    for file in table.files().filter(|file| matches!(file.partition, Partition::Hour(_))) {
        *hours.entry(file.partition).or_default() |= file.arrived() >= closed;
    }
    let open = hours.values().filter(|open| **open).count() as u64;
    let has_hours = table.partitioning() == Partitioning::Hour;
    Ok(Health {
        zone: table.zone(),
        table: table.name().to_owned(),
        rows: table.rows(),
        files: sizes.len() as u64,
        bytes: sizes.iter().sum(),
        median: sizes.get(sizes.len() / 2).copied(),
        smallest: sizes.first().copied(),
        small: table.files().filter(|file| file.is_small(size)).count() as u64,
        closed_hours: has_hours.then_some(hours.len() as u64 - open),
        open_hours: has_hours.then_some(open),
        unnamed: table.unnamed().await?,
        compactable,
    })
}

async fn compactable(project: &Project, lake: &Lake, name: &str) -> Result<(u64, u64), Diagnosed> {
    let Some((landing, rules)) = staged(project, lake, name).await? else { return Ok((0, 0)) };
    let compactions = landing.compactions(&rules).await?;
    Ok((compactions.iter().map(|of| of.files.len() as u64).sum(), compactions.len() as u64))
}

/// A landing table and what may be put together in it; none before staging has taken any of it.
async fn staged(project: &Project, lake: &Lake, name: &str) -> Result<Option<(Table, Rules)>, Diagnosed> {
    let Some(landing) = lake.table(Zone::Landing, name).await? else { return Ok(None) };
    let staging = lake.table(Zone::Staging, name).await?;
    let Some(taken) = staging.and_then(|staging| staging.position(&reader(&landing))) else { return Ok(None) };
    let rules = Rules {
        taken,
        closed: micros_ago(project.landing.compact_after),
        size: project.landing.compact_size.as_u64(),
        rows: project.staging.max_rows as u64,
    };
    Ok(Some((landing, rules)))
}

fn is_wanted(only: Option<&str>, name: &str) -> bool {
    only.is_none_or(|only| only == name)
}

fn micros_ago(time: Duration) -> i64 {
    Utc::now().timestamp_micros().saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
