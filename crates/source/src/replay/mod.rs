//! Sends a source's records to the stream, each partition from its log's end on.
//!
//! A record is never sent twice by intent: what a partition already holds is counted and exactly that many of
//! its records are skipped, so a killed replay goes on where it was cut, and per partition the log is always a
//! prefix of the source. That needs the same source each time, which the folder's `replay.json` proves.

mod encoding;
mod pace;
mod sink;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_core::failpoint;
use weir_project::{ConnectorKind, Table};

use crate::error::SourceError;
use crate::manifest::{self, Claim};
use crate::source::Source;
use encoding::Encoding;
use sink::Sink;
use sink::Stream;
pub use sink::Target;

/// Records between two calls of the progress callback.
const STRIDE: u64 = 1024;
/// The same at a given rate: a slow replay must show that it lives, and stop when told.
const STRIDE_PACED: u64 = 16;

/// How a source is replayed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Partitions of each topic; an existing topic must have as many.
    pub partitions: i32,
    /// Retention of topics that are created, from arrival.
    pub retention: Duration,
    /// Folder for `replay.json`, beside the broker's log. Without one, only empty topics are filled.
    pub dir: Option<PathBuf>,
    /// Records sent per second; 0 is as fast as possible. Changes no record.
    pub events_per_second: u32,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that the topics held already.
    pub skipped: u64,
    /// Records sent by this run.
    pub produced: u64,
    /// False when the callback stopped it before the source's end.
    pub complete: bool,
}

/// Called about every thousand records and at the end; `Break` ends the replay in good order.
pub type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + Send + 'a;

/// Sends what the topics do not hold yet. Creates missing topics and registers schemas first.
///
/// After an error or a stop, call again: it goes on behind what arrived. Dropping the future does not end
/// it: the work runs on a blocking thread, since the client's calls block; let `progress` break instead.
pub async fn replay(
    source: Arc<Source>,
    tables: Arc<[Table]>,
    options: Options,
    target: Target,
    mut progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
) -> Result<Progress, SourceError> {
    let work =
        tokio::task::spawn_blocking(move || run(&source, &tables, &options, Stream::connect(&target)?, &mut progress));
    match work.await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[tracing::instrument(name = "source.replay", skip_all, fields(stage = "source", source = source.kind()))]
fn run(
    source: &Source,
    tables: &[Table],
    options: &Options,
    mut sink: impl Sink,
    progress: &mut OnProgress<'_>,
) -> Result<Progress, SourceError> {
    if let Some(table) = tables.iter().find(|table| table.connector.kind != ConnectorKind::SqlServer) {
        return Err(SourceError::ForeignConnector { table: table.name.to_string() });
    }
    let ends = open_topics(source, tables, options, &mut sink)?;
    let mut encodings = Vec::with_capacity(tables.len());
    for table in tables {
        let (key_id, value_id) = sink.register(table)?;
        encodings.push(Encoding::new(table, key_id, value_id));
    }
    let held: i64 = ends.iter().flatten().sum();
    tracing::info!(tables = tables.len(), partitions = options.partitions, held, "replay starts");
    let started = Instant::now();
    let mut done = Progress::default();
    let mut passed: Vec<Vec<i64>> = ends.iter().map(|ends| vec![0; ends.len()]).collect();
    for record in source.records(options.partitions) {
        let record = record?;
        let partition = usize::try_from(record.partition).unwrap_or_default();
        let passed = &mut passed[record.table][partition];
        *passed += 1;
        if *passed <= ends[record.table][partition] {
            done.skipped += 1;
        } else {
            sink.send(&tables[record.table], record.partition, encodings[record.table].encode(&record)?)?;
            done.produced += 1;
            failpoint::hit("replay.produced");
            if let Some(wait) = pace::wait(done.produced, started.elapsed(), options.events_per_second) {
                std::thread::sleep(wait);
            }
        }
        let stride = if options.events_per_second == 0 { STRIDE } else { STRIDE_PACED };
        if (done.skipped + done.produced).is_multiple_of(stride) && progress(done).is_break() {
            sink.flush()?;
            return Ok(done);
        }
    }
    sink.flush()?;
    check_ends(tables, &passed, &ends)?;
    done.complete = true;
    tracing::info!(skipped = done.skipped, produced = done.produced, "replay is complete");
    let _ = progress(done);
    Ok(done)
}

/// Sees to it that the topics are there and are this replay's; gives the end of each partition.
fn open_topics(
    source: &Source,
    tables: &[Table],
    options: &Options,
    sink: &mut impl Sink,
) -> Result<Vec<Vec<i64>>, SourceError> {
    let mut settings = source.settings();
    settings["partitions"] = options.partitions.into();
    let claim = options.dir.as_deref().map_or(Ok(Claim::New), |dir| manifest::check(dir, &settings))?;
    let mut ends = Vec::with_capacity(tables.len());
    for table in tables {
        ends.push(sink.topic(table, options.partitions, options.retention)?);
    }
    if claim == Claim::New {
        if let Some((table, _)) = tables.iter().zip(&ends).find(|(_, ends)| ends.iter().any(|end| *end > 0)) {
            return Err(SourceError::ForeignRecords { topic: table.topic.clone() });
        }
        if let Some(dir) = &options.dir {
            manifest::write(dir, &settings)?;
        }
    }
    Ok(ends)
}

/// No partition may end behind what the source has for it.
fn check_ends(tables: &[Table], passed: &[Vec<i64>], ends: &[Vec<i64>]) -> Result<(), SourceError> {
    for (table, (passed, ends)) in tables.iter().zip(passed.iter().zip(ends)) {
        for (partition, (wanted, found)) in (0..).zip(passed.iter().zip(ends)) {
            if found > wanted {
                let (topic, found, wanted) = (table.topic.clone(), *found, *wanted);
                return Err(SourceError::TooManyRecords { topic, partition, found, wanted });
            }
        }
    }
    Ok(())
}
