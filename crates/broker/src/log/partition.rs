//! One partition: appends, finds, forgets by whole segments, and knows what is not flushed yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::batch::{BadBatch, HEADER, Header, stamp};
use super::config::TopicConfig;
use super::producers::{Producers, Verdict};
use super::recovery;
use super::segment::{Segment, Stretch};
use crate::error::BrokerError;
use crate::recovered::Recovered;

/// Where an appended batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) arrived_ms: i64,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Bad(#[from] BadBatch),
    #[error("the batch has {size} bytes, `max.message.bytes` is {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("a batch of this producer is missing before this one")]
    OutOfOrder,
    #[error("this producer has been replaced by one with a newer epoch")]
    StaleEpoch,
    #[error("could not write to the log")]
    Storage(#[from] io::Error),
}

/// A segment file that must reach the disk, and what is true once it has.
#[derive(Debug)]
pub(crate) struct Pending {
    files: Vec<Arc<fs::File>>,
    dir: PathBuf,
    /// Segments that start before this offset are then flushed.
    flushed: Option<i64>,
    failed: Arc<AtomicBool>,
}

impl Pending {
    /// Blocks until the disk has it. After a failure nobody knows what the disk has, and a later success does
    /// not tell: then no more segments are called flushed, and the next start checks them byte by byte.
    pub(crate) fn flush(self) -> io::Result<()> {
        let result = self.try_flush();
        if result.is_err() {
            self.failed.store(true, Ordering::SeqCst);
        }
        result
    }

    fn try_flush(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        if let Some(offset) = self.flushed.filter(|_| !self.failed.load(Ordering::SeqCst)) {
            crate::folder::sync_dir(&self.dir)?;
            recovery::note_flushed(&self.dir, offset)?;
        }
        Ok(())
    }
}

/// An open partition.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    dir: PathBuf,
    /// Never empty; the last one is written to.
    segments: Vec<Segment>,
    next_offset: i64,
    last_ms: i64,
    producers: Producers,
    epochs: Vec<(i32, i64)>,
    leader_epoch: i32,
    flushed: i64,
    flush_failed: Arc<AtomicBool>,
    buffer: Vec<u8>,
}

impl PartitionLog {
    /// Opens the folder; cuts and reports a torn tail.
    pub(crate) fn open(dir: &Path, leader_epoch: i32, recovered: &mut Recovered) -> Result<Self, BrokerError> {
        let opened = recovery::open(dir, recovered)?;
        let last_ms = opened.segments.iter().rev().find_map(|s| s.last_ms).unwrap_or(0);
        Ok(Self {
            dir: dir.to_owned(),
            segments: opened.segments,
            next_offset: opened.next_offset,
            last_ms,
            producers: opened.producers,
            epochs: opened.epochs,
            leader_epoch,
            flushed: opened.flushed,
            flush_failed: Arc::default(),
            buffer: Vec::new(),
        })
    }

    /// The low watermark.
    pub(crate) fn start_offset(&self) -> i64 {
        self.segments.first().map_or(0, |s| s.base)
    }

    /// The high watermark: the offset that the next record gets.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Appends one batch as a producer sent it, stamped; a repeated one is answered with its first place.
    pub(crate) fn append(&mut self, bytes: &[u8], config: &TopicConfig, now_ms: i64) -> Result<Appended, AppendError> {
        let sent = Header::accept(bytes)?;
        if bytes.len() > config.max_message_bytes {
            return Err(AppendError::TooLarge { size: bytes.len(), limit: config.max_message_bytes });
        }
        match self.producers.judge(&sent) {
            Verdict::Append => {}
            Verdict::Duplicate { base_offset, arrived_ms } => return Ok(Appended { base_offset, arrived_ms }),
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::StaleEpoch => return Err(AppendError::StaleEpoch),
        }
        // Arrival never runs backwards in a partition, so that a search by time can halve.
        let arrived_ms = now_ms.max(self.last_ms);
        self.roll_if_due(bytes.len() as u64, config, arrived_ms)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(bytes);
        stamp(&mut buffer, self.next_offset, self.leader_epoch, arrived_ms);
        let result = self.write(&buffer);
        self.buffer = buffer;
        result
    }

    fn write(&mut self, batch: &[u8]) -> Result<Appended, AppendError> {
        let header = Header::parse(&batch[..HEADER])?;
        self.active().append(batch, &header)?;
        self.producers.remember(&header);
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
            self.epochs.push((header.leader_epoch, header.base_offset));
        }
        self.next_offset = header.next_offset();
        self.last_ms = header.max_timestamp;
        Ok(Appended { base_offset: header.base_offset, arrived_ms: header.max_timestamp })
    }

    fn active(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a partition has at least one segment: `open` and `forget` see to it")
    }

    fn roll_if_due(&mut self, incoming: u64, config: &TopicConfig, now_ms: i64) -> io::Result<()> {
        let segment = self.active();
        let full = segment.size > 0 && segment.size + incoming > config.segment_bytes;
        let old = segment.first_ms.is_some_and(|first| is_older(first, config.segment_age, now_ms));
        if full || old { self.roll() } else { Ok(()) }
    }

    fn roll(&mut self) -> io::Result<()> {
        let next = Segment::create(&self.dir, self.next_offset)?;
        self.segments.push(next);
        Ok(())
    }

    /// Where to read from `offset` on. `None`: there is nothing yet. Outside the log is the caller's to refuse.
    pub(crate) fn stretch(&self, offset: i64, max_bytes: usize) -> Option<Stretch> {
        if offset >= self.next_offset {
            return None;
        }
        let behind = self.segments.partition_point(|s| s.base <= offset);
        Some(self.segments.get(behind.checked_sub(1)?)?.stretch(offset, max_bytes))
    }

    /// Bytes that a reader at `offset` has before it, at most; rounded up to index entries.
    pub(crate) fn bytes_from(&self, offset: i64) -> u64 {
        if offset >= self.next_offset {
            return 0;
        }
        let behind = self.segments.partition_point(|s| s.base <= offset);
        let here = behind.checked_sub(1).and_then(|i| self.segments.get(i)).map_or(0, |s| s.bytes_from(offset));
        here + self.segments[behind..].iter().map(|s| s.size).sum::<u64>()
    }

    /// Where the first batch that arrived at `ms` or later is; `None` when there is none.
    pub(crate) fn stretch_at(&self, ms: i64) -> Option<Stretch> {
        self.segments.iter().find(|s| s.last_ms.is_some_and(|last| last >= ms)).map(|s| s.stretch_at(ms))
    }

    /// Arrival of the last record, if there is one.
    pub(crate) fn last_arrival(&self) -> Option<i64> {
        self.segments.iter().rev().find_map(|s| s.last_ms)
    }

    /// The epoch of the last record, or that of this start when there is none.
    pub(crate) fn last_epoch(&self) -> i32 {
        self.epochs.last().map_or(self.leader_epoch, |(epoch, _)| *epoch)
    }

    /// The epoch of the first record, or that of this start when there is none.
    pub(crate) fn first_epoch(&self) -> i32 {
        self.epochs.first().map_or(self.leader_epoch, |(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and the offset behind its last record (KIP-320).
    pub(crate) fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        if epoch == self.leader_epoch {
            return Some((epoch, self.next_offset));
        }
        let behind = self.epochs.partition_point(|(e, _)| *e <= epoch);
        let (found, _) = *self.epochs.get(behind.checked_sub(1)?)?;
        Some((found, self.epochs.get(behind).map_or(self.next_offset, |(_, start)| *start)))
    }

    /// Deletes the oldest segments whose last record arrived too long ago, or that exceed the size;
    /// the low watermark moves to the oldest one left. Returns how many went.
    pub(crate) fn forget(&mut self, config: &TopicConfig, now_ms: i64) -> io::Result<usize> {
        if !config.deletes() {
            return Ok(0);
        }
        let expired = |s: &Segment| {
            let last = s.last_ms.unwrap_or(now_ms);
            config.retention.is_some_and(|keep| is_older(last, keep, now_ms))
        };
        if self.active().size > 0 && expired(self.active()) {
            self.roll()?;
        }
        let mut total: u64 = self.segments.iter().map(|s| s.size).sum();
        let mut gone = 0;
        while let [oldest, _, ..] = self.segments.as_slice() {
            let too_much = config.retention_bytes.is_some_and(|limit| total - oldest.size >= limit);
            if !expired(oldest) && !too_much {
                break;
            }
            // Oldest first: a kill in between leaves a log without a hole.
            fs::remove_file(&oldest.path)?;
            total -= oldest.size;
            self.segments.remove(0);
            gone += 1;
        }
        let start = self.start_offset();
        let behind = self.epochs.partition_point(|(_, first)| *first <= start);
        self.epochs.drain(..behind.saturating_sub(1));
        Ok(gone)
    }

    /// What is not flushed yet; taken to be flushed from now on.
    pub(crate) fn pending(&mut self) -> Option<Pending> {
        let take = |s: &mut Segment| std::mem::take(&mut s.dirty).then(|| Arc::clone(&s.file));
        let files: Vec<_> = self.segments.iter_mut().filter_map(take).collect();
        if files.is_empty() {
            return None;
        }
        let base = self.segments.last().map_or(0, |s| s.base);
        let flushed = (base > self.flushed).then_some(base);
        self.flushed = base;
        Some(Pending { files, dir: self.dir.clone(), flushed, failed: Arc::clone(&self.flush_failed) })
    }
}

fn is_older(ms: i64, than: Duration, now_ms: i64) -> bool {
    i64::try_from(than.as_millis()).is_ok_and(|age| ms.saturating_add(age) < now_ms)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io::Write;

    use super::*;
    use crate::log::testing::Sketch;

    fn config(pairs: &[(&str, &str)]) -> TopicConfig {
        let set: BTreeMap<_, _> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        TopicConfig::parse(set).unwrap()
    }

    fn open(dir: &Path) -> (PartitionLog, Recovered) {
        let mut recovered = Recovered::default();
        (PartitionLog::open(dir, 0, &mut recovered).unwrap(), recovered)
    }

    fn offsets(log: &PartitionLog, from: i64, max_bytes: usize) -> Vec<i64> {
        let Some(stretch) = log.stretch(from, max_bytes) else { return Vec::new() };
        let bytes = stretch.read_at_least_one().unwrap();
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let header = Header::parse(&bytes[at..]).unwrap();
            header.check_sum(&bytes[at..]).unwrap();
            out.push(header.base_offset);
            at += header.size;
        }
        out
    }

    #[test]
    fn batches_are_read_back_whole_from_the_one_that_holds_the_offset() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let settings = config(&[]);
        for n in 0..500 {
            let appended = log.append(&Sketch::of(3).build(), &settings, n).unwrap();
            assert_eq!(appended.base_offset, n * 3);
        }
        let size = Sketch::of(3).build().len();
        for from in [0, 1, 2, 3, 100, 749, 1_400, 1_499] {
            let first = from / 3 * 3;
            assert_eq!(offsets(&log, from, 1), [first], "one batch at least, from {from}");
            let wanted: Vec<_> = (0..5).map(|n| first + n * 3).filter(|o| *o < 1_500).collect();
            assert_eq!(offsets(&log, from, size * 5 + 1), wanted, "from {from}");
        }
        assert!(offsets(&log, 1_500, 100).is_empty());
    }

    #[test]
    fn a_batch_larger_than_the_limit_is_given_whole_behind_small_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let settings = config(&[]);
        log.append(&Sketch::of(1).build(), &settings, 0).unwrap();
        log.append(&Sketch::of(1).filled(300_000).build(), &settings, 0).unwrap();
        log.append(&Sketch::of(1).build(), &settings, 0).unwrap();
        assert_eq!(offsets(&log, 1, 10), [1]);
        assert!(log.stretch(1, 10).unwrap().read().unwrap().is_empty());
    }

    #[test]
    fn a_repeated_batch_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let settings = config(&[]);
        let batch = |sequence| Sketch::of(2).from(4, 0, sequence).build();
        {
            let (mut log, _) = open(dir.path());
            log.append(&batch(0), &settings, 10).unwrap();
            log.append(&batch(2), &settings, 11).unwrap();
        }
        let (mut log, recovered) = open(dir.path());
        assert_eq!(recovered, Recovered::default());
        assert_eq!(log.append(&batch(2), &settings, 50).unwrap(), Appended { base_offset: 2, arrived_ms: 11 });
        assert_eq!(log.next_offset(), 4);
        assert!(matches!(log.append(&batch(6), &settings, 50), Err(AppendError::OutOfOrder)));
        assert_eq!(log.append(&batch(4), &settings, 50).unwrap().base_offset, 4);
    }

    #[test]
    fn retention_counts_from_arrival_and_moves_the_low_watermark_by_whole_segments() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let size = Sketch::of(10).build().len().to_string();
        let settings = config(&[("retention.ms", "1000"), ("segment.bytes", &size)]);
        // Created long ago, arriving now.
        for now in [10_000, 10_500, 11_000] {
            log.append(&Sketch::of(10).created_at(1).build(), &settings, now).unwrap();
        }
        assert_eq!(log.forget(&settings, 11_000).unwrap(), 0);
        assert_eq!(log.forget(&settings, 11_200).unwrap(), 1);
        assert_eq!((log.start_offset(), log.next_offset()), (10, 30));
        // Everything is old: the log is empty, and its end stays where it was, over a restart too.
        assert_eq!(log.forget(&settings, 99_000).unwrap(), 2);
        assert_eq!((log.start_offset(), log.next_offset()), (30, 30));
        drop(log);
        let (log, _) = open(dir.path());
        assert_eq!((log.start_offset(), log.next_offset()), (30, 30));
    }

    #[test]
    fn a_compacted_topic_keeps_everything() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let settings = config(&[("cleanup.policy", "compact"), ("retention.ms", "1")]);
        log.append(&Sketch::of(1).build(), &settings, 0).unwrap();
        assert_eq!(log.forget(&settings, i64::MAX).unwrap(), 0);
    }

    #[test]
    fn size_retention_keeps_at_least_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let size = Sketch::of(1).build().len();
        let settings = config(&[("segment.bytes", &size.to_string()), ("retention.bytes", &(size * 2).to_string())]);
        for _ in 0..6 {
            log.append(&Sketch::of(1).build(), &settings, 0).unwrap();
        }
        log.forget(&settings, 0).unwrap();
        assert_eq!((log.start_offset(), log.next_offset()), (4, 6));
    }

    #[test]
    fn a_segment_ends_by_age_too() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path());
        let settings = config(&[("segment.ms", "100")]);
        for now in [0, 50, 100, 101, 150] {
            log.append(&Sketch::of(1).build(), &settings, now).unwrap();
        }
        assert_eq!(log.segments.iter().map(|s| s.base).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_is_torn_and_writing_goes_on_there() {
        let batch = Sketch::of(2).build().len();
        for torn in 1..batch {
            let dir = tempfile::tempdir().unwrap();
            let settings = config(&[]);
            let (mut log, _) = open(dir.path());
            for _ in 0..3 {
                log.append(&Sketch::of(2).build(), &settings, 0).unwrap();
            }
            let path = log.active().path.clone();
            drop(log);
            File::options().write(true).open(&path).unwrap().set_len((batch * 3 - torn) as u64).unwrap();

            let (mut log, recovered) = open(dir.path());
            assert_eq!(log.next_offset(), 4, "torn {torn}");
            assert_eq!(recovered.cut.len(), 1);
            assert_eq!(recovered.cut[0].bytes, (batch - torn) as u64);
            assert_eq!(log.append(&Sketch::of(2).build(), &settings, 0).unwrap().base_offset, 4);
            assert_eq!(offsets(&log, 0, 1 << 20), [0, 2, 4]);
        }
    }

    #[test]
    fn garbage_behind_the_last_batch_is_cut() {
        for garbage in [vec![0u8; 500], vec![255; 70], b"x".to_vec()] {
            let dir = tempfile::tempdir().unwrap();
            let (mut log, _) = open(dir.path());
            log.append(&Sketch::of(1).build(), &config(&[]), 0).unwrap();
            let path = log.active().path.clone();
            drop(log);
            File::options().append(true).open(&path).unwrap().write_all(&garbage).unwrap();
            let (log, recovered) = open(dir.path());
            assert_eq!(log.next_offset(), 1);
            assert_eq!(recovered.cut[0].bytes, garbage.len() as u64);
        }
    }

    #[test]
    fn a_hole_before_what_was_flushed_is_damage_and_a_hole_behind_it_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let size = Sketch::of(1).build().len();
        let settings = config(&[("segment.bytes", &size.to_string())]);
        let (mut log, _) = open(dir.path());
        for _ in 0..4 {
            log.append(&Sketch::of(1).build(), &settings, 0).unwrap();
        }
        let second = log.segments[1].path.clone();
        let whole = fs::read(&second).unwrap();
        let shorten = || File::options().write(true).open(&second).unwrap().set_len(20).unwrap();

        log.pending().unwrap().flush().unwrap();
        drop(log);
        shorten();
        let refused = PartitionLog::open(dir.path(), 0, &mut Recovered::default()).unwrap_err();
        assert!(matches!(refused, BrokerError::LogDamaged { ref file, at: 0, .. } if *file == second), "{refused}");

        fs::write(&second, whole).unwrap();
        fs::remove_file(dir.path().join("flushed")).unwrap();
        shorten();
        let (log, recovered) = open(dir.path());
        assert_eq!(log.next_offset(), 1);
        assert_eq!(recovered.cut.len(), 3);
    }

    #[test]
    fn the_end_of_an_epoch_is_where_the_next_one_began() {
        let dir = tempfile::tempdir().unwrap();
        let settings = config(&[]);
        for epoch in [0, 2, 5] {
            let mut log = PartitionLog::open(dir.path(), epoch, &mut Recovered::default()).unwrap();
            log.append(&Sketch::of(10).build(), &settings, 0).unwrap();
        }
        let log = PartitionLog::open(dir.path(), 6, &mut Recovered::default()).unwrap();
        let ends: Vec<_> = [0, 1, 2, 4, 5, 6].map(|e| log.end_of_epoch(e)).into();
        let wanted = [(0, 10), (0, 10), (2, 20), (2, 20), (5, 30), (6, 30)].map(Some);
        assert_eq!(ends, wanted);
    }

    #[test]
    fn a_search_by_time_finds_the_first_batch_that_arrived_then_or_later() {
        let dir = tempfile::tempdir().unwrap();
        let settings = config(&[("segment.bytes", "9000")]);
        let (mut log, _) = open(dir.path());
        for n in 0..400 {
            log.append(&Sketch::of(1).build(), &settings, n * 10).unwrap();
        }
        for (ms, offset) in [(-5, 0), (0, 0), (1, 1), (995, 100), (1_000, 100), (3_990, 399)] {
            let found = log.stretch_at(ms).unwrap().find(|h| h.max_timestamp >= ms).unwrap().unwrap();
            assert_eq!(found.base_offset, offset, "at {ms}");
        }
        assert!(log.stretch_at(3_991).is_none());
    }
}
