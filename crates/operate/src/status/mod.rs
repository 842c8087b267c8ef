//! How the path stands: what waits where, what came and what became of it, how fresh each zone is. Taken from the lake's
//! commits and the brokers' offsets alone, so it is the same whether a worker runs or not.

pub mod emf;
mod landing;
pub mod metrics;
mod offsets;
pub mod serve;

use std::collections::BTreeMap;

use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_landing::letters::open_counts;
use weir_project::{Project, Table};
use weir_stream::{Connection, Consumer};

pub(crate) use self::landing::time as time_of;
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
    /// Why the table waits at its position, where its contract does not take a schema change.
    pub held: Option<String>,
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

/// What a table's micro-batches did since then, milliseconds since 1970 UTC; nothing before it has landed.
pub(crate) async fn landed_since(lake: &Lake, table: &TableName, since: i64) -> Result<Sums, Diagnosed> {
    Ok(landing::Seen::open(lake, table, since).await?.map(|seen| seen.sums).unwrap_or_default())
}

/// A staging table, and when its newest commit was made.
struct Staged {
    table: weir_lake::Table,
    at: Option<i64>,
}

impl Staged {
    async fn open(lake: &Lake, name: &TableName) -> Result<Option<Self>, Diagnosed> {
        let Some(table) = lake.table(Zone::Staging, name.as_str()).await? else { return Ok(None) };
        let at = landing::last_commit(&table).await?;
        Ok(Some(Self { table, at }))
    }

    async fn go_on(mut self) -> Result<Self, Diagnosed> {
        if self.table.refresh().await? {
            self.at = landing::last_commit(&self.table).await?;
        }
        Ok(self)
    }
}

/// Looks again and again, and reads only commits of landing and staging that it has not seen.
pub struct Watch {
    tables: Vec<Table>,
    lake: Lake,
    connection: Connection,
    landing: BTreeMap<TableName, landing::Seen>,
    staging: BTreeMap<TableName, Staged>,
    consumers: BTreeMap<TableName, Consumer>,
    since: i64,
}

impl Watch {
    /// Counts what was committed from `since` on, milliseconds since 1970 UTC.
    pub fn new(project: &Project, lake: &Lake, connection: &Connection, since: i64) -> Self {
        let (tables, lake, connection) = (project.tables.clone(), lake.clone(), connection.clone());
        let (landing, staging, consumers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { tables, lake, connection, landing, staging, consumers, since }
    }

    /// Looks. `loaded` is the build that the warehouse has, where that is known.
    pub async fn look(&mut self, loaded: Option<u64>) -> Result<Status, Diagnosed> {
        let mut status = Status { at: chrono::Utc::now().timestamp_millis(), ..Status::default() };
        let letters = open_counts(&self.lake, &self.tables).await?;
        for table in self.tables.clone() {
            // What failed is not kept: the next look begins anew.
            let seen = match self.landing.remove(&table.name) {
                Some(seen) => Some(seen.go_on().await?),
                None => landing::Seen::open(&self.lake, &table.name, self.since).await?,
            };
            if let Some(seen) = seen {
                self.landing.insert(table.name.clone(), seen);
            }
            let staged = match self.staging.remove(&table.name) {
                Some(staged) => Some(staged.go_on().await?),
                None => Staged::open(&self.lake, &table.name).await?,
            };
            if let Some(staged) = staged {
                self.staging.insert(table.name.clone(), staged);
            }
            let (seen, staged) = (self.landing.get(&table.name), self.staging.get(&table.name));
            status.tables.push(TableStatus {
                table: table.name.clone(),
                sums: seen.map(|seen| seen.sums).unwrap_or_default(),
                last: seen.and_then(|seen| seen.last.clone()),
                held: seen.and_then(|seen| seen.held.clone()),
                open_letters: letters.get(&table.name).copied().unwrap_or_default(),
                unstaged: match seen {
                    Some(seen) => unstaged(&seen.table, staged.map(|staged| &staged.table)).await?.0,
                    None => 0,
                },
                staged_at: staged.and_then(|staged| staged.at),
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
