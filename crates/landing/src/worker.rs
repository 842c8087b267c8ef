//! The loop of one table: poll, decode, write, commit. The next micro-batch is polled and decoded while this one is
//! written and committed. Several workers may land one table, each its partitions of the topic.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_core::accounts::LandingCounts;
use weir_core::failpoint;
use weir_core::zone::{Hour, Zone};
use weir_envelope::{Bounds, Decoder};
use weir_lake::{Commit, DataFile, Lake, LakeError, NewFile, Partition, Partitioning, Table, is_abandoned};
use weir_project::Landing;
use weir_stream::StreamError;

use crate::batch::{self, Rows};
use crate::deadletter;
use crate::decoding::{Decoded, Decoding};
use crate::error::LandingError;
use crate::feed::{Feed, Schemas};
use crate::gather::{Gathered, Limits, Reader, gather};
use crate::policy::allowed;
use crate::start::{Standing, claim, reader};

/// The key under which a commit's info holds [`LandingCounts`] and more.
pub const INFO: &str = "weir.landing";

/// The newest event of each partition, microseconds since 1970 UTC, as a commit's [`INFO`] says.
pub fn newest_of(said: &Value) -> impl Iterator<Item = (i32, i64)> + '_ {
    let pairs = said.get("newest").and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(partition, us)| Some((partition.parse().ok()?, us.as_i64()?)))
}

/// How old a look at the main table may be: what it names may be put together with others and, days later, deleted.
const FRESH: Duration = Duration::from_secs(60);

/// How long to land.
#[derive(Debug, Clone)]
pub enum Until {
    /// Until the table holds what the topic held when the worker began.
    CaughtUp,
    /// Until cancelled; what was received by then is committed.
    Forever(CancellationToken),
}

/// What a table is landed from.
#[derive(Debug)]
pub struct Source<F, S> {
    /// Records.
    pub feed: F,
    /// Schemas of ids.
    pub schemas: S,
}

/// What a worker has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Landed {
    /// Sums over its commits.
    pub counts: LandingCounts,
    /// Rows older than the newest of their partition by more than the allowed lateness; they are in their own hour.
    pub late: u64,
    /// Commits.
    pub commits: u64,
    /// Data files written.
    pub files: u64,
    /// The landing table's version at the end; none if there is no table yet.
    pub version: Option<i64>,
}

/// Lands one table's topic from where the table stands.
///
/// Each micro-batch is one commit of rows, offsets and counts. An error leaves the table at its last
/// commit; calling again goes on from there. A worker that another one has overtaken begins anew there by itself.
#[tracing::instrument(name = "landing.land", skip_all, fields(stage = "landing", table = %table.name))]
pub async fn land<F: Feed, S: Schemas>(
    table: &weir_project::Table,
    settings: &Landing,
    lake: &Lake,
    source: Source<F, S>,
    until: Until,
) -> Result<Landed, LandingError> {
    let mut worker = Worker::open(table, settings, lake).await?;
    let asked = if let Until::Forever(asked) = &until { Some(asked.clone()) } else { None };
    let stop = Arc::new(AtomicBool::new(false));
    // Whatever ends this call, the polling thread ends with it.
    let _stopped = StopOnDrop(stop.clone());
    let mut reader = Reader::new(source.feed, until, stop);
    reader = worker.blocking(move || reader.join_if_forever().map(|()| reader)).await?.map_err(worker.stream())?;
    let decoding = Decoding { decoder: Decoder::new(Bounds::default()), schemas: source.schemas };
    let decoding = Arc::new(Mutex::new(decoding));
    let limits = Limits {
        rows: settings.max_rows,
        bytes: usize::try_from(settings.max_size.as_u64()).unwrap_or(usize::MAX),
        wait: settings.max_wait,
    };
    'open: loop {
        reader = worker.reopen(reader).await?;
        let mut gathering = gather(reader, limits, table, &decoding);
        loop {
            let decoded;
            (reader, decoded) = worker.gathered(gathering).await?;
            if reader.must_reopen {
                continue 'open;
            }
            reader.unpublished = std::mem::take(&mut worker.unpublished);
            // The next micro-batch is polled and decoded while this one is written and committed.
            let next = if reader.is_done() { Err(reader) } else { Ok(gather(reader, limits, table, &decoding)) };
            let done = match decoded {
                Some(decoded) => worker.process(decoded).await,
                None => Ok(true),
            };
            let then = match (done, &asked) {
                (Ok(true), _) => Then::Read,
                (Ok(false), _) => Then::Reopen,
                (Err(why @ LandingError::SchemaChange { holds: true, .. }), Some(asked)) => Then::Wait(why, asked),
                (Err(why @ LandingError::SchemaChange { .. }), _) => {
                    worker.note(&why).await?;
                    return Err(why);
                }
                (Err(error), _) => return Err(error),
            };
            reader = match (next, &then) {
                (Ok(next), Then::Read) => {
                    gathering = next;
                    continue;
                }
                (Ok(next), _) => worker.gathered(next).await?.0,
                (Err(back), _) => back,
            };
            let reopens = match then {
                Then::Read => false,
                Then::Reopen => true,
                Then::Wait(why, asked) => worker.held(&why, asked).await?,
            };
            if reopens {
                continue 'open;
            }
            reader.unpublished.append(&mut worker.unpublished);
            // The client is closed on that thread, too.
            worker.blocking(move || reader.publish()).await?;
            break 'open;
        }
    }
    worker.landed.version = worker.main.as_ref().map(Table::version);
    Ok(worker.landed)
}

/// What follows a micro-batch.
enum Then<'a> {
    /// The next one; where there is none, the end.
    Read,
    /// The same again, by whom its partitions belong to now.
    Reopen,
    /// The same again once the table has changed, unless the end is asked for before.
    Wait(LandingError, &'a CancellationToken),
}

/// First and last offset of each partition.
type Ranges = BTreeMap<i32, (i64, i64)>;

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) struct Worker<'a> {
    pub(crate) table: &'a weir_project::Table,
    pub(crate) settings: &'a Landing,
    pub(crate) lake: &'a Lake,
    pub(crate) main: Option<Table>,
    pub(crate) letters: Option<Table>,
    pub(crate) topic_id: String,
    /// Where the main table stood when this worker began, moved on by its own commits.
    pub(crate) standing: Standing,
    /// The same of the dead letters.
    pub(crate) letters_at: BTreeMap<String, i64>,
    /// When the main table was last seen at its newest version.
    pub(crate) looked: SystemTime,
    /// Positions of all partitions before their first record, for a table's first commit.
    pub(crate) beginnings: Vec<(String, i64)>,
    /// Next offsets that are committed and that nobody has been told.
    pub(crate) unpublished: Vec<(i32, i64)>,
    pub(crate) landed: Landed,
}

impl Worker<'_> {
    async fn gathered<F>(
        &self,
        gathering: JoinHandle<Result<Gathered<F>, LandingError>>,
    ) -> Result<Gathered<F>, LandingError> {
        let done = gathering.await;
        done.map_err(|source| LandingError::Worker { table: self.table.name.clone(), source })?
    }

    pub(crate) fn stream(&self) -> impl Fn(StreamError) -> LandingError + use<> {
        let table = self.table.name.clone();
        move |source| LandingError::Stream { table: table.clone(), source: Box::new(source) }
    }

    pub(crate) fn failed(&self) -> impl Fn(LakeError) -> LandingError + use<> {
        let table = self.table.name.clone();
        move |source| LandingError::Lake { table: table.clone(), source }
    }

    fn rows(&self) -> impl Fn(arrow::error::ArrowError) -> LandingError + use<> {
        let table = self.table.name.clone();
        move |source| LandingError::Rows { table: table.clone(), source }
    }

    /// One micro-batch: dead letters first, then the main table's commit, which decides. False when this worker may not
    /// commit it any more: another one has landed these partitions since it began.
    async fn process(&mut self, mut decoded: Decoded) -> Result<bool, LandingError> {
        let began = Instant::now();
        let (received, ranges) = (decoded.received, std::mem::take(&mut decoded.ranges));
        let dead_lettered = decoded.letters.as_ref().map_or(0, RecordBatch::num_rows) as u64;
        let failed = self.failed();
        if let Some(main) = &mut self.main
            && allowed(self.table, main.schema(), &decoded.parts).is_err()
        {
            // Another worker may have given the table these columns since this one last looked.
            main.refresh().await.map_err(failed)?;
            allowed(self.table, main.schema(), &decoded.parts)?;
        }
        let mut main = self.main_table(&decoded.parts).await?;
        if self.looked.elapsed().is_ok_and(|since| since > FRESH) {
            main.refresh().await.map_err(self.failed())?;
        }
        let schema = union_of(main.full_name(), main.schema(), &decoded.parts).map_err(self.failed())?;
        let mut rows = Rows::new(&decoded.parts, &schema, &self.table.key).map_err(self.rows())?;
        // Copied: while files are written, memory holds the rows once less.
        decoded.parts.clear();
        let lateness = i64::try_from(self.settings.allowed_lateness.as_micros()).unwrap_or(i64::MAX);
        let late = batch::late(&rows.batch, &mut self.standing.newest, lateness).map_err(self.rows())?;
        // What is late, the order of arrival says; nothing else asks for it.
        rows.sort_by_hour().map_err(self.rows())?;
        let ranges_by_hour = rows.order_key_ranges().map_err(self.rows())?;
        let mut searched = HashSet::new();
        let mut files: Option<Vec<DataFile>> = None;
        let done = loop {
            let stored = self.stored_identities(&main, &ranges_by_hour, &mut searched).await?;
            // Written again where the worker that was quicker has landed a repeat of this batch's rows.
            let anew = rows.drop_repeats(&stored) || files.is_none();
            let to_write = anew.then(|| rows.files()).transpose().map_err(self.rows())?;
            let counts = LandingCounts {
                received,
                landed: rows.kept(),
                dead_lettered,
                repeated: rows.repeated(),
                tombstones: decoded.tombstones,
            };
            if !counts.balance() {
                let accounted = counts.accounted();
                return Err(LandingError::Unbalanced { table: self.table.name.clone(), received, accounted });
            }
            // Both wait for the store: neither waits for the other.
            let failed = self.failed();
            let writing = async {
                let Some(to_write) = to_write else { return Ok(()) };
                files = Some(write(&main, to_write).await.map_err(failed)?);
                failpoint::hit("landing.files_written");
                Ok(())
            };
            let letters = decoded.letters.take();
            let ((), is_ours) = tokio::try_join!(writing, self.commit_letters(letters, &ranges))?;
            if !is_ours {
                break None;
            }
            if is_abandoned(decoded.ingested_at) {
                tracing::warn!("a micro-batch took too long and is read again");
                break None;
            }
            let schema = weir_lake::union(main.full_name(), main.schema(), &rows.batch.schema());
            let mut commit = self.commit(&ranges, files.clone().unwrap_or_default());
            commit.schema = Some(schema.map_err(self.failed())?);
            let mut said = self.info(counts, late, &ranges);
            said["bytes"] = json!(decoded.bytes);
            let took = decoded.took + began.elapsed();
            said["milliseconds"] = json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            commit.info.insert(INFO.to_owned(), said);
            match main.commit(commit).await {
                Ok(version) => break Some((version, counts)),
                Err(refused @ LakeError::PositionMoved { .. }) => {
                    tracing::warn!(%refused, "micro-batch refused, and read again by whom it belongs to now");
                    break None;
                }
                Err(error) => main.overtaken(error).await.map_err(self.failed())?,
            }
        };
        self.main = Some(main);
        let Some((version, counts)) = done else { return Ok(false) };
        self.looked = SystemTime::now();
        failpoint::hit("landing.committed");
        tracing::info!(version, received, landed = counts.landed, "micro-batch committed");
        self.standing.positions.extend(self.beginnings.drain(..));
        self.standing.positions.extend(self.positions(&ranges));
        self.unpublished.extend(ranges.iter().map(|(partition, (_, last))| (*partition, last + 1)));
        self.landed.counts += counts;
        self.landed.late += late;
        self.landed.commits += 1;
        self.landed.files += files.map_or(0, |files| files.len() as u64);
        Ok(true)
    }

    fn positions(&self, ranges: &Ranges) -> Vec<(String, i64)> {
        ranges.iter().map(|(partition, (_, last))| (reader(&self.topic_id, *partition), *last)).collect()
    }

    /// Rows and offsets of a micro-batch; it is refused where another worker has landed or claimed its partitions.
    fn commit(&self, ranges: &Ranges, add: Vec<DataFile>) -> Commit {
        // What was read stands for the beginning of its partition.
        let mut positions: BTreeMap<String, i64> = self.beginnings.iter().cloned().collect();
        positions.extend(self.positions(ranges));
        let claims = ranges.keys().map(|partition| claim(&self.topic_id, *partition));
        let follows = positions.keys().cloned().chain(claims).map(|name| self.standing.follows(name)).collect();
        Commit { add, positions: positions.into_iter().collect(), follows, ..Commit::default() }
    }

    /// The main table, made with the first rows' columns if it is not there.
    pub(crate) async fn main_table(&mut self, parts: &[RecordBatch]) -> Result<Table, LandingError> {
        if let Some(main) = self.main.take() {
            return Ok(main);
        }
        let name = self.table.name.as_str();
        // Without a row nothing is known of the envelope yet; its columns come with the first one.
        let base = if parts.is_empty() { batch::least_schema() } else { Schema::empty() };
        let schema = union_of(name, &base, parts).map_err(self.failed())?;
        let made = self.lake.create_table(Zone::Landing, name, &schema, Partitioning::Hour).await;
        made.map_err(self.failed())
    }

    /// Identities of the rows that the batch's hours hold already, from files whose order keys overlap and that were
    /// not searched before.
    async fn stored_identities(
        &self,
        main: &Table,
        ranges: &BTreeMap<Hour, (String, String)>,
        searched: &mut HashSet<String>,
    ) -> Result<HashMap<Hour, HashSet<Box<[u8]>>>, LandingError> {
        let mut stored: HashMap<Hour, HashSet<Box<[u8]>>> = HashMap::new();
        for (hour, (low, high)) in ranges {
            let overlapping: Vec<DataFile> = main
                .files_in(Partition::Hour(*hour))
                .filter(|file| file.may_hold_order_keys(low, high) && searched.insert(file.path.clone()))
                .cloned()
                .collect();
            if overlapping.is_empty() {
                continue;
            }
            let columns = ["op", "_order_key", "before", "after"];
            let batches = main.read_all(&overlapping, Some(&columns)).await.map_err(self.failed())?;
            let known = stored.entry(*hour).or_default();
            for batch in &batches {
                known.extend(batch::batch_identities(batch, &self.table.key).map_err(self.rows())?);
            }
        }
        Ok(stored)
    }

    /// False when another worker has written these partitions' letters since this one began.
    async fn commit_letters(&mut self, letters: Option<RecordBatch>, ranges: &Ranges) -> Result<bool, LandingError> {
        let Some(letters) = letters else { return Ok(true) };
        let failed = self.failed();
        let name = self.table.name.as_str();
        let mut table = match self.letters.take() {
            Some(table) => table,
            None => {
                let made =
                    self.lake.create_table(Zone::Deadletter, name, &deadletter::schema(), Partitioning::None).await;
                made.map_err(&failed)?
            }
        };
        let file = NewFile { partition: Partition::None, batches: vec![letters], tags: BTreeMap::new() };
        let add = vec![table.write_file(file).await.map_err(&failed)?];
        let positions = self.positions(ranges);
        let at = |(reader, _): &(String, i64)| (reader.clone(), self.letters_at.get(reader).copied());
        let follows = positions.iter().map(at).collect();
        let commit = Commit { add, positions: positions.clone(), follows, ..Commit::default() };
        let done = table.commit_behind_others(commit).await;
        self.letters = Some(table);
        match done {
            Ok(_) => {
                self.letters_at.extend(positions);
                failpoint::hit("landing.deadletters_committed");
                Ok(true)
            }
            Err(refused @ LakeError::PositionMoved { .. }) => {
                tracing::warn!(%refused, "dead letters refused, and read again by whom they belong to now");
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn info(&self, counts: LandingCounts, late: u64, ranges: &Ranges) -> Value {
        let mut info = json!(counts);
        let offsets: Map<String, Value> =
            ranges.iter().map(|(partition, (first, last))| (partition.to_string(), json!([first, last]))).collect();
        let newest: Map<String, Value> =
            self.standing.newest.iter().map(|(partition, us)| (partition.to_string(), json!(us))).collect();
        info["late"] = json!(late);
        info["topic_id"] = json!(self.topic_id);
        info["offsets"] = Value::Object(offsets);
        info["newest"] = Value::Object(newest);
        info
    }
}

/// Writes the files in two halves, so that a kill between them can be tried.
async fn write(table: &Table, mut files: Vec<NewFile>) -> Result<Vec<DataFile>, LakeError> {
    let rest = files.split_off(files.len().div_ceil(2));
    let mut written = table.write_files(files).await?;
    failpoint::hit("landing.file_part_written");
    written.extend(table.write_files(rest).await?);
    Ok(written)
}

fn union_of(name: &str, stored: &Schema, parts: &[RecordBatch]) -> Result<SchemaRef, LakeError> {
    let mut schema = Arc::new(stored.clone());
    for part in parts {
        schema = weir_lake::union(name, &schema, &part.schema())?;
    }
    Ok(schema)
}
