//! The loop of one table: poll, decode, write, commit. The next micro-batch is polled while this one is
//! decoded and written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use weir_core::accounts::LandingCounts;
use weir_core::failpoint;
use weir_core::zone::{Hour, Zone};
use weir_envelope::{Bounds, Decoder};
use weir_lake::{Commit, DataFile, Lake, LakeError, NewFile, Partition, Partitioning, Table, side};
use weir_project::Landing;
use weir_stream::StreamError;

use crate::batch::{self, Polled, Rows};
use crate::deadletter;
use crate::decoding::{Decoded, Decoding};
use crate::error::LandingError;
use crate::feed::{Feed, Schemas};
use crate::gather::{Limits, Poller, Polling, Starting, poll};
use crate::start::{READERS, reader};

/// The key under which a commit's info holds [`LandingCounts`] and more.
pub const INFO: &str = "weir.landing";

/// Time between two looks for rows past their retention.
const SWEEP: Duration = Duration::from_secs(3600);
/// What a staging table calls the landing table that it reads: `weir:landing:<table>:<table id>`.
const STAGED: &str = "weir:landing:";

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
/// commit; calling again goes on from there.
#[tracing::instrument(name = "landing.land", skip_all, fields(stage = "landing", table = %table.name))]
pub async fn land<F: Feed, S: Schemas>(
    table: &weir_project::Table,
    settings: &Landing,
    lake: &Lake,
    source: Source<F, S>,
    until: Until,
) -> Result<Landed, LandingError> {
    let mut worker = Worker::open(table, settings, lake).await?;
    let stop = Arc::new(AtomicBool::new(false));
    // Whatever ends this call, the polling thread ends with it.
    let _stopped = StopOnDrop(stop.clone());
    let (starting, opened) = (worker.starting(), source.feed);
    let (feed, goal) = blocking(table, move || starting.open(opened)).await??;
    let decoding = Decoding { decoder: Decoder::new(Bounds::default()), schemas: source.schemas };
    let decoding = Arc::new(Mutex::new(decoding));
    let limits = Limits {
        rows: settings.max_rows,
        bytes: usize::try_from(settings.max_size.as_u64()).unwrap_or(usize::MAX),
        wait: settings.max_wait,
    };
    let poller = Poller { goal, next: worker.next_offsets(), until, stop };
    let mut polling = poll(feed, poller, limits);
    let mut swept: Option<Instant> = None;
    loop {
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            worker.sweep().await?;
            swept = Some(Instant::now());
        }
        let (feed, poller, polled) = worker.polled(polling).await?;
        // The next micro-batch is gathered while this one is decoded and written.
        let next = (!poller.is_done()).then(|| poll(feed, poller, limits));
        if !polled.is_empty() {
            failpoint::hit("landing.polled");
            worker.process(&decoding, polled).await?;
        }
        match next {
            Some(next) => polling = next,
            None => break,
        }
    }
    worker.landed.version = worker.main.as_ref().map(Table::version);
    Ok(worker.landed)
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(
    table: &weir_project::Table,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LandingError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| LandingError::Worker { table: table.name.clone(), source })
}

struct Worker<'a> {
    table: &'a weir_project::Table,
    settings: &'a Landing,
    lake: &'a Lake,
    main: Option<Table>,
    letters: Option<Table>,
    topic_id: String,
    /// Newest event of each partition, for lateness.
    newest: BTreeMap<i32, i64>,
    landed: Landed,
}

impl<'a> Worker<'a> {
    /// Opens the tables, takes back dead letters that the main table never decided on, and removes what a
    /// killed writer left.
    async fn open(table: &'a weir_project::Table, settings: &'a Landing, lake: &'a Lake) -> Result<Self, LandingError> {
        let failed = |source| LandingError::Lake { table: table.name.clone(), source };
        let name = table.name.as_str();
        let mut main = lake.table(Zone::Landing, name).await.map_err(failed)?;
        let mut letters = lake.table(Zone::Deadletter, name).await.map_err(failed)?;
        if let Some(letters) = &mut letters {
            side::undo_ahead(letters, main.as_mut(), READERS).await.map_err(failed)?;
        }
        for table in [&main, &letters].into_iter().flatten() {
            table.remove_orphans().await.map_err(failed)?;
        }
        let newest = match &main {
            Some(main) => newest(main).await.map_err(failed)?,
            None => BTreeMap::new(),
        };
        let (topic_id, landed) = (String::new(), Landed::default());
        Ok(Self { table, settings, lake, main, letters, topic_id, newest, landed })
    }

    fn starting(&self) -> Starting {
        Starting {
            table: self.table.name.clone(),
            topic: self.table.topic.clone(),
            landed: self.main.as_ref().map(|main| main.positions().clone()).unwrap_or_default(),
        }
    }

    fn next_offsets(&self) -> BTreeMap<String, i64> {
        let landed = self.main.iter().flat_map(Table::positions);
        landed.map(|(reader, last)| (reader.clone(), last + 1)).collect()
    }

    async fn polled<F>(&mut self, polling: Polling<F>) -> Result<(F, Poller, Polled), LandingError> {
        let table = &self.table.name;
        let done = polling.await.map_err(|source| LandingError::Worker { table: table.clone(), source })?;
        let (feed, poller, polled) = done.map_err(|source| self.stream(source))?;
        self.topic_id.clone_from(&poller.goal.topic_id);
        Ok((feed, poller, polled))
    }

    /// A position that the topic no longer holds is named by the range that is gone.
    fn stream(&self, source: StreamError) -> LandingError {
        let table = self.table.name.clone();
        match source {
            StreamError::OffsetGone { topic, partition, wanted, low, .. } if wanted < low => {
                LandingError::OffsetsLost { table, topic, partition, from: wanted, to: low - 1 }
            }
            source => LandingError::Stream { table, source: Box::new(source) },
        }
    }

    fn failed(&self) -> impl Fn(LakeError) -> LandingError + use<> {
        let table = self.table.name.clone();
        move |source| LandingError::Lake { table: table.clone(), source }
    }

    fn rows(&self) -> impl Fn(arrow::error::ArrowError) -> LandingError + use<> {
        let table = self.table.name.clone();
        move |source| LandingError::Rows { table: table.clone(), source }
    }

    /// One micro-batch: dead letters first, then the main table's commit, which decides.
    async fn process<S: Schemas>(
        &mut self,
        decoding: &Arc<Mutex<Decoding<S>>>,
        polled: Polled,
    ) -> Result<(), LandingError> {
        let ingested_at = chrono::Utc::now().timestamp_micros();
        let ranges = polled.ranges(&self.table.topic)?;
        let last = |(partition, range): (&i32, &(i64, i64))| (reader(&self.topic_id, *partition), range.1);
        let positions: Vec<(String, i64)> = ranges.iter().map(last).collect();
        let (received, bytes, began) = (polled.len() as u64, polled.bytes(), Instant::now());
        let decoded = self.decode(decoding, polled, ingested_at).await?;
        failpoint::hit("landing.decoded");

        let mut main = self.main_table(&decoded.parts).await?;
        let schema = self.grown_schema(&main, &decoded.parts)?;
        let mut rows = Rows::new(&decoded.parts, &schema, &self.table.key).map_err(self.rows())?;
        let lateness = i64::try_from(self.settings.allowed_lateness.as_micros()).unwrap_or(i64::MAX);
        let late = batch::late(&rows.batch, &mut self.newest, lateness).map_err(self.rows())?;
        let ranges_by_hour = rows.order_key_ranges().map_err(self.rows())?;
        let stored = self.stored_identities(&main, &ranges_by_hour).await?;
        rows.drop_repeats(&stored);
        let counts = LandingCounts {
            received,
            landed: rows.kept(),
            dead_lettered: decoded.rejects.len() as u64,
            repeated: rows.repeated(),
            tombstones: decoded.tombstones,
        };
        if !counts.balance() {
            let accounted = counts.landed + counts.dead_lettered + counts.repeated + counts.tombstones;
            return Err(LandingError::Unbalanced { table: self.table.name.clone(), received, accounted });
        }
        let files = write(&main, rows.into_files().map_err(self.rows())?).await.map_err(self.failed())?;
        failpoint::hit("landing.files_written");

        if let Some(letters) = decoded.letters {
            self.commit_letters(letters, &positions).await?;
            failpoint::hit("landing.deadletters_committed");
        }
        let mut info = Map::new();
        let mut said = self.info(counts, late, &ranges);
        said["bytes"] = json!(bytes);
        said["milliseconds"] = json!(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        info.insert(INFO.to_owned(), said);
        self.landed.files += files.len() as u64;
        let commit = Commit { add: files, positions, schema: Some(schema), info, ..Commit::default() };
        let version = main.commit(commit).await.map_err(self.failed())?;
        failpoint::hit("landing.committed");
        tracing::info!(version, received, landed = counts.landed, "micro-batch committed");
        self.main = Some(main);
        self.landed.counts += counts;
        self.landed.late += late;
        self.landed.commits += 1;
        Ok(())
    }

    async fn decode<S: Schemas>(
        &self,
        decoding: &Arc<Mutex<Decoding<S>>>,
        polled: Polled,
        ingested_at: i64,
    ) -> Result<Decoded, LandingError> {
        let (table, decoding) = (self.table.clone(), decoding.clone());
        // A panic of the decoder ends the worker: nobody meets its half-done state.
        let decode = move || {
            let mut decoding = decoding.lock().unwrap_or_else(PoisonError::into_inner);
            decoding.decode(&table, &polled, ingested_at)
        };
        blocking(self.table, decode).await?
    }

    /// Removes rows that arrived longer ago than the retention, once staging has taken them.
    async fn sweep(&mut self) -> Result<(), LandingError> {
        let failed = self.failed();
        let Some(main) = &mut self.main else { return Ok(()) };
        let now = chrono::Utc::now().timestamp_millis();
        let keep = i64::try_from(self.settings.retention.as_millis()).unwrap_or(i64::MAX);
        let cutoff = now.saturating_sub(keep);
        let staging = self.lake.table(Zone::Staging, self.table.name.as_str()).await.map_err(&failed)?;
        let reader = format!("{STAGED}{}:{}", self.table.name, main.id());
        let Some(taken) = staging.and_then(|staging| staging.position(&reader)) else { return Ok(()) };
        main.expire(cutoff, taken).await.map_err(&failed)?;
        main.delete_removed(now).await.map_err(&failed)?;
        Ok(())
    }

    /// The main table, made with the first rows' columns if it is not there.
    async fn main_table(&mut self, parts: &[RecordBatch]) -> Result<Table, LandingError> {
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

    /// The table's columns, grown by those of the batch.
    fn grown_schema(&self, main: &Table, parts: &[RecordBatch]) -> Result<SchemaRef, LandingError> {
        union_of(main.full_name(), main.schema(), parts).map_err(self.failed())
    }

    /// Identities of the rows that the batch's hours hold already, from files whose order keys overlap.
    async fn stored_identities(
        &self,
        main: &Table,
        ranges: &BTreeMap<Hour, (String, String)>,
    ) -> Result<HashMap<Hour, HashSet<Box<[u8]>>>, LandingError> {
        let mut stored: HashMap<Hour, HashSet<Box<[u8]>>> = HashMap::new();
        for (hour, (low, high)) in ranges {
            let overlapping: Vec<DataFile> = main
                .files_in(Partition::Hour(*hour))
                .filter(|file| file.may_hold_order_keys(low, high))
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

    async fn commit_letters(&mut self, letters: RecordBatch, positions: &[(String, i64)]) -> Result<(), LandingError> {
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
        let commit = Commit { add, positions: positions.to_vec(), ..Commit::default() };
        table.commit(commit).await.map_err(&failed)?;
        self.letters = Some(table);
        Ok(())
    }

    fn info(&self, counts: LandingCounts, late: u64, ranges: &BTreeMap<i32, (i64, i64)>) -> Value {
        let mut info = json!(counts);
        let offsets: Map<String, Value> =
            ranges.iter().map(|(partition, (first, last))| (partition.to_string(), json!([first, last]))).collect();
        let newest: Map<String, Value> =
            self.newest.iter().map(|(partition, us)| (partition.to_string(), json!(us))).collect();
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

/// Newest event of each partition, as the last commit of a micro-batch says.
async fn newest(main: &Table) -> Result<BTreeMap<i32, i64>, LakeError> {
    let mut version = main.version();
    while version > 0 {
        let infos = main.commit_infos(version - 1, version).await?;
        if let Some(info) = infos.last().and_then(|info| info.info.get(INFO)) {
            let pairs = info.get("newest").and_then(Value::as_object).into_iter().flatten();
            return Ok(pairs.filter_map(|(partition, us)| Some((partition.parse().ok()?, us.as_i64()?))).collect());
        }
        // A sweep's commit: look at the one before.
        version -= 1;
    }
    Ok(BTreeMap::new())
}
