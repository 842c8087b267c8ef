//! What landing's commits say: sums over a time, and the last micro-batch.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_core::accounts::LandingCounts;
use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::{CommitInfo, Lake, Table};
use weir_landing::policy::HELD;
use weir_landing::worker::{INFO, newest_of};

/// Commits that are read at once on the way back.
const BLOCK: i64 = 64;

/// What micro-batches did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Records, and what became of them.
    pub counts: LandingCounts,
    /// Rows that were late.
    pub late: u64,
    /// Bytes of the records' keys and values.
    pub bytes: u64,
    /// Time from a batch's last record to its commit, milliseconds.
    pub milliseconds: u64,
    /// Micro-batches.
    pub commits: u64,
    /// When the first of them was committed, milliseconds since 1970 UTC.
    pub first: Option<i64>,
}

/// A micro-batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastBatch {
    /// When it was committed, milliseconds since 1970 UTC.
    pub at: i64,
    /// Its records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time from its last record to its commit, milliseconds.
    pub milliseconds: u64,
    /// The newest event so far of each partition, microseconds since 1970 UTC.
    pub newest: BTreeMap<i32, i64>,
}

/// A landing table, read up to a version.
pub(super) struct Seen {
    pub(super) table: Table,
    pub(super) sums: Sums,
    pub(super) last: Option<LastBatch>,
    /// Why the table waits at its position, if it does.
    pub(super) held: Option<String>,
}

impl Seen {
    /// Goes back from the newest commit to `since`, milliseconds since 1970 UTC, and to the last micro-batch.
    pub(super) async fn open(lake: &Lake, name: &TableName, since: i64) -> Result<Option<Self>, Diagnosed> {
        let Some(table) = lake.table(Zone::Landing, name.as_str()).await? else { return Ok(None) };
        let mut up_to = table.version();
        let mut seen = Self { table, sums: Sums::default(), last: None, held: None };
        while up_to >= 0 {
            let after = (up_to - BLOCK).max(-1);
            let block = seen.table.commit_infos(after, up_to).await?;
            let (newest, held) = (seen.last.take(), seen.held.take());
            for commit in &block {
                seen.take(commit, time(commit) >= since);
            }
            // What the newer commits say holds, if they say anything.
            if newest.is_some() || held.is_some() {
                seen.held = held;
            }
            seen.last = newest.or(seen.last);
            up_to = after;
            if seen.last.is_some() && block.iter().any(|commit| time(commit) < since) {
                break;
            }
        }
        Ok(Some(seen))
    }

    /// Takes the commits that came since.
    pub(super) async fn go_on(mut self) -> Result<Self, Diagnosed> {
        let before = self.table.version();
        self.table.refresh().await?;
        for commit in self.table.commit_infos(before, self.table.version()).await? {
            self.take(&commit, true);
        }
        Ok(self)
    }

    fn take(&mut self, commit: &CommitInfo, counts: bool) {
        if let Some(why) = commit.info.get(HELD).and_then(Value::as_str) {
            self.held = Some(why.to_owned());
        }
        let Some(said) = commit.info.get(INFO) else { return };
        self.held = None;
        let number = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
        let last = LastBatch {
            at: time(commit),
            records: number("received"),
            bytes: number("bytes"),
            milliseconds: number("milliseconds"),
            newest: newest_of(said).collect(),
        };
        if counts {
            self.sums.counts += serde_json::from_value(said.clone()).unwrap_or_default();
            self.sums.late += number("late");
            self.sums.bytes += last.bytes;
            self.sums.milliseconds += last.milliseconds;
            self.sums.commits += 1;
            self.sums.first = Some(self.sums.first.map_or(last.at, |first| first.min(last.at)));
        }
        self.last = Some(last);
    }
}

/// When a table's newest commit was made, milliseconds since 1970 UTC.
pub(super) async fn last_commit(table: &Table) -> Result<Option<i64>, Diagnosed> {
    let infos = table.commit_infos(table.version() - 1, table.version()).await?;
    Ok(infos.last().map(time))
}

pub(crate) fn time(commit: &CommitInfo) -> i64 {
    commit.info.get("timestamp").and_then(Value::as_i64).unwrap_or_default()
}
