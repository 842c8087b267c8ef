//! How the path stands: what waits where, what came and what became of it, how fresh each zone is. Taken from the lake's
//! commits and the brokers' offsets alone, so it is the same whether a worker runs or not.

mod landing;
pub mod metrics;
mod offsets;
pub mod serve;

use std::collections::BTreeMap;

use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_landing::letters::Letters;
use weir_project::{Project, Table};
use weir_stream::{Connection, Consumer};

pub use self::landing::{LastBatch, Sums};
pub use self::offsets::PartitionStatus;
use crate::plan::unstaged;
use crate::run::blocking;

/// How one table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatus {
    /// The table.
    pub table: TableName,
    /// What landing did in the watched time.
    pub sums: Sums,
    /// Its last micro-batch.
    pub last: Option<LastBatch>,
    /// Dead letters that nobody has handled.
    pub open_letters: u64,
    /// Landing rows that staging has not read.
    pub unstaged: u64,
    /// When staging committed last, milliseconds since 1970 UTC.
    pub staged_at: Option<i64>,
}

/// A build and when it was published, microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildAt {
    /// Its number.
    pub build: u64,
    /// When.
    pub at: i64,
}

/// How the path stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// When it was looked at, milliseconds since 1970 UTC.
    pub at: i64,
    /// Partitions of the topics, tables in the project's order.
    pub partitions: Vec<PartitionStatus>,
    /// Tables, in the project's order.
    pub tables: Vec<TableStatus>,
    /// The last published build.
    pub published: Option<BuildAt>,
    /// The build that the warehouse has loaded.
    pub loaded: Option<BuildAt>,
}

/// Looks again and again, and reads only commits that it has not seen.
pub struct Watch {
    tables: Vec<Table>,
    lake: Lake,
    connection: Connection,
    landing: BTreeMap<TableName, landing::Seen>,
    consumers: BTreeMap<TableName, Consumer>,
    since: i64,
}

impl Watch {
    /// Counts what was committed from `since` on, milliseconds since 1970 UTC.
    pub fn new(project: &Project, lake: &Lake, connection: &Connection, since: i64) -> Self {
        let (tables, lake, connection) = (project.tables.clone(), lake.clone(), connection.clone());
        Self { tables, lake, connection, landing: BTreeMap::new(), consumers: BTreeMap::new(), since }
    }

    /// Looks. `loaded` is the build that the warehouse has, where that is known.
    pub async fn look(&mut self, loaded: Option<u64>) -> Result<Status, Diagnosed> {
        let mut status = Status { at: chrono::Utc::now().timestamp_millis(), ..Status::default() };
        for table in self.tables.clone() {
            // What failed is not kept: the next look begins anew.
            let seen = match self.landing.remove(&table.name) {
                Some(seen) => Some(seen.go_on().await?),
                None => landing::Seen::open(&self.lake, &table.name, self.since).await?,
            };
            if let Some(seen) = seen {
                self.landing.insert(table.name.clone(), seen);
            }
            let seen = self.landing.get(&table.name);
            let letters = Letters::open(&self.lake, &table.name).await?;
            let staging = self.lake.table(Zone::Staging, table.name.as_str()).await?;
            status.tables.push(TableStatus {
                table: table.name.clone(),
                sums: seen.map(|seen| seen.sums).unwrap_or_default(),
                last: seen.and_then(|seen| seen.last.clone()),
                open_letters: letters.map_or(0, |letters| letters.open_count()),
                unstaged: match seen {
                    Some(seen) => unstaged(&seen.table, staging.as_ref()).await?.0,
                    None => 0,
                },
                staged_at: match &staging {
                    Some(staging) => landing::last_commit(staging).await?,
                    None => None,
                },
            });
            let positions = seen.map(|seen| seen.table.positions().clone()).unwrap_or_default();
            let newest = seen.and_then(|seen| seen.last.as_ref()).map(|last| last.newest.clone()).unwrap_or_default();
            status.partitions.extend(self.offsets(table, positions, newest).await?);
        }
        let build = |publication: weir_core::publication::Publication| BuildAt {
            build: publication.build,
            at: publication.published_at,
        };
        status.published = weir_curated::latest(&self.lake).await?.map(build);
        if let Some(loaded) = loaded {
            status.loaded = weir_curated::publication(&self.lake, loaded).await?.map(build);
        }
        Ok(status)
    }

    async fn offsets(
        &mut self,
        table: Table,
        positions: BTreeMap<String, i64>,
        newest: BTreeMap<i32, i64>,
    ) -> Result<Vec<PartitionStatus>, Diagnosed> {
        let name = table.name.clone();
        let (kept, connection) = (self.consumers.remove(&name), self.connection.clone());
        let read = move || {
            let mut consumer = match kept {
                Some(kept) => kept,
                None => Consumer::new(&connection, &table.topic)?,
            };
            let partitions = offsets::partitions(&mut consumer, &table, &positions, &newest)?;
            Ok((consumer, partitions))
        };
        let (consumer, partitions) = blocking(read).await?;
        self.consumers.insert(name, consumer);
        Ok(partitions)
    }
}
