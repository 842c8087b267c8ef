//! Compaction: the many small files that micro-batches leave in an hour's folder become few large ones.
//!
//! Rows, their values and the order in which they came stay; the commit says that no data changed. Two things must hold
//! for those who read a table by what was added to it. One that has read up to some commit must find the rows of later
//! ones apart from those that it has: so only files of commits that it has taken are gathered, and a gathered file
//! counts as added by the newest of its commits. And one that begins anew reads, for one step, what one commit added:
//! so no commit comes to stand for more rows than a step may hold.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, json};
use weir_core::failpoint;

use crate::commit::Commit;
use crate::contended::is_abandoned;
use crate::error::LakeError;
use crate::file::{DataFile, NewFile, Partition};
use crate::table::Table;
use crate::{GATHERED_UP_TO, MAX_ORDER_KEY, MIN_ORDER_KEY};

/// Fewer small files are not worth a rewrite: a late row now and then would have a folder written again and again.
const FEWEST: usize = 4;
/// Rewritten files of one commit.
const AT_ONCE: usize = 64;

/// What may be gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Rows that came with commits up to this one: whoever reads the table by what was added has taken them.
    pub taken: i64,
    /// Folders in which no row arrived since, microseconds since 1970 UTC.
    pub closed: i64,
    /// Bytes that a file should have. One of half of it is small no more.
    pub size: u64,
    /// Most rows that one commit may stand for.
    pub rows: u64,
}

/// Files of one folder that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// The files, in the order in which their rows came.
    pub files: Vec<DataFile>,
    /// The newest commit of their rows.
    up_to: i64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Small files that were put together.
    pub files: u64,
    /// Into so many.
    pub into: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

impl std::ops::AddAssign for Compacted {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.into += other.into;
        self.rows += other.rows;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
    }
}

impl DataFile {
    /// Whether it is worth being put together with others, where files should have so many bytes.
    pub fn is_small(&self, size: u64) -> bool {
        self.size.unsigned_abs() < size / 2
    }
}

impl Table {
    /// What a compaction would do.
    pub async fn compactions(&self, rules: &Rules) -> Result<Vec<Compaction>, LakeError> {
        let mut folders: BTreeMap<Partition, Vec<&DataFile>> = BTreeMap::new();
        for file in self.files() {
            folders.entry(file.partition).or_default().push(file);
        }
        folders
            .retain(|_, files| can_be_gathered(files, rules) && files.iter().all(|file| file.arrived() < rules.closed));
        if folders.is_empty() {
            return Ok(Vec::new());
        }
        let came = self.came_with().await?;
        let mut plan = Plan::new(rules, &came, self.files());
        folders.into_values().for_each(|files| plan.folder(files));
        Ok(plan.planned)
    }

    /// Puts these files together, some folders in a commit. Left as they are where another writer has removed one of
    /// them meanwhile.
    pub async fn compact(&mut self, compactions: &[Compaction]) -> Result<Compacted, LakeError> {
        let mut sum = Compacted::default();
        for some in compactions.chunks(AT_ONCE) {
            sum += self.compact_some(some).await?;
        }
        Ok(sum)
    }

    async fn compact_some(&mut self, compactions: &[Compaction]) -> Result<Compacted, LakeError> {
        let began = chrono::Utc::now();
        let mut written = Vec::with_capacity(compactions.len());
        for compaction in compactions {
            written.push((compaction, self.gathered(compaction).await?));
        }
        failpoint::hit("compaction.files_written");
        loop {
            // What another one has put together or taken away meanwhile stays as it is.
            written.retain(|(from, _)| from.files.iter().all(|file| self.files.contains_key(&file.path)));
            if written.is_empty() || is_abandoned(began) {
                return Ok(Compacted::default());
            }
            let remove: Vec<DataFile> = written.iter().flat_map(|(from, _)| from.files.iter().cloned()).collect();
            let add: Vec<DataFile> = written.iter().map(|(_, file)| file.clone()).collect();
            let bytes = |files: &[DataFile]| files.iter().map(|file| file.size.unsigned_abs()).sum();
            let compacted = Compacted {
                files: remove.len() as u64,
                into: add.len() as u64,
                rows: add.iter().map(|file| file.rows).sum(),
                bytes_before: bytes(&remove),
                bytes_after: bytes(&add),
            };
            let mut info = Map::new();
            let said = json!({ "files": compacted.files, "into": compacted.into, "rows": compacted.rows });
            info.insert("weir.compaction".to_owned(), said);
            match self.commit(Commit { add, remove, info, rearranges: true, ..Commit::default() }).await {
                Ok(version) => {
                    failpoint::hit("compaction.committed");
                    let Compacted { files, into, rows, .. } = compacted;
                    tracing::info!(table = %self.full_name, files, into, rows, version, "small files put together");
                    return Ok(compacted);
                }
                Err(error) => self.overtaken(error).await?,
            }
        }
    }

    /// The file with the rows of all of them.
    async fn gathered(&self, compaction: &Compaction) -> Result<DataFile, LakeError> {
        let files = &compaction.files;
        let batches = self.read_all(files, Some(&self.column_names())).await?;
        let wanted: u64 = files.iter().map(|file| file.rows).sum();
        let read: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if read != wanted {
            return Err(LakeError::file(&self.full_name, format!("{read} rows in files that should hold {wanted}")));
        }
        let partition = files.first().map_or(Partition::None, |file| file.partition);
        self.write_file(NewFile { partition, batches, tags: tags(compaction) }).await
    }
}

/// Whether the fewest files that are worth it fit into one, the smallest of them: else nobody needs to ask the log, build
/// after build, with which commits they came.
fn can_be_gathered(files: &[&DataFile], rules: &Rules) -> bool {
    let small = || files.iter().filter(|file| file.is_small(rules.size));
    let fit = |mut each: Vec<u64>, most: u64| {
        each.sort_unstable();
        each.len() >= FEWEST && each.iter().take(FEWEST).sum::<u64>() <= most
    };
    fit(small().map(|file| file.size.unsigned_abs()).collect(), rules.size)
        && fit(small().map(|file| file.rows).collect(), rules.rows)
}

/// Gathers small files in the order in which their rows came.
struct Plan<'a> {
    rules: &'a Rules,
    /// With which commit each file's rows came.
    came: &'a BTreeMap<String, i64>,
    /// Rows that each commit stands for.
    stands_for: HashMap<i64, u64>,
    planned: Vec<Compaction>,
}

impl<'a> Plan<'a> {
    fn new(rules: &'a Rules, came: &'a BTreeMap<String, i64>, all: impl Iterator<Item = &'a DataFile>) -> Self {
        let mut plan = Self { rules, came, stands_for: HashMap::new(), planned: Vec::new() };
        for file in all {
            *plan.stands_for.entry(plan.with(file)).or_default() += file.rows;
        }
        plan
    }

    fn with(&self, file: &DataFile) -> i64 {
        self.came.get(&file.path).copied().unwrap_or(i64::MAX)
    }

    /// A folder, cut where a file would get too large or its commit would stand for too many rows.
    fn folder(&mut self, files: Vec<&DataFile>) {
        let small = files.into_iter().filter(|file| file.is_small(self.rules.size));
        let mut files: Vec<(i64, &DataFile)> = small.map(|file| (self.with(file), file)).collect();
        files.retain(|(up_to, _)| *up_to <= self.rules.taken);
        files.sort_by_key(|&(up_to, file)| (up_to, &file.path));
        let mut group: Vec<(i64, &DataFile)> = Vec::new();
        // Of the group: its bytes, its rows, and those of them that came with commits before this one.
        let (mut size, mut rows, mut moved) = (0, 0, 0);
        for (up_to, file) in files {
            let bytes = file.size.unsigned_abs();
            if group.last().is_some_and(|(before, _)| *before != up_to) {
                moved = rows;
            }
            let stands_for = self.stands_for.get(&up_to).copied().unwrap_or_default();
            if size + bytes > self.rules.size || stands_for + moved > self.rules.rows {
                self.end(&mut group);
                (size, rows, moved) = (0, 0, 0);
            }
            size += bytes;
            rows += file.rows;
            group.push((up_to, file));
        }
        self.end(&mut group);
    }

    fn end(&mut self, group: &mut Vec<(i64, &DataFile)>) {
        let group = std::mem::take(group);
        let Some(&(up_to, _)) = group.last().filter(|_| group.len() >= FEWEST) else { return };
        for (came, file) in &group {
            if let Some(rows) = self.stands_for.get_mut(came) {
                *rows -= file.rows;
            }
            *self.stands_for.entry(up_to).or_default() += file.rows;
        }
        self.planned.push(Compaction { files: group.into_iter().map(|(_, file)| file.clone()).collect(), up_to });
    }
}

/// What is known of the gathered rows.
fn tags(compaction: &Compaction) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::from([(GATHERED_UP_TO.to_owned(), compaction.up_to.to_string())]);
    let all = |name: &str| compaction.files.iter().map(|file| file.tag(name)).collect::<Option<Vec<_>>>();
    if let (Some(low), Some(high)) = (all(MIN_ORDER_KEY), all(MAX_ORDER_KEY)) {
        let ends = [(MIN_ORDER_KEY, low.into_iter().min()), (MAX_ORDER_KEY, high.into_iter().max())];
        tags.extend(ends.into_iter().filter_map(|(name, end)| Some((name.to_owned(), end?.to_owned()))));
    }
    tags
}
