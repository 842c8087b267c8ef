//! One file of a partition: batches end to end, named after its first offset, with a sparse index in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{HEADER, Header};

/// Bytes between index entries, as in Kafka: the index costs 24 bytes per this many.
const INDEX_EVERY: u64 = 4096;

/// A batch whose place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: i64,
    position: u64,
    arrived_ms: i64,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: i64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
    /// Arrival of the first batch; none while empty.
    pub(crate) first_ms: Option<i64>,
    /// Arrival of the last batch; none while empty.
    pub(crate) last_ms: Option<i64>,
    /// Written since the last flush.
    pub(crate) dirty: bool,
    index: Vec<Entry>,
}

/// File name of the segment that starts at this offset.
pub(crate) fn file_name(base: i64) -> String {
    format!("{base:020}.log")
}

impl Segment {
    /// Makes an empty segment.
    pub(crate) fn create(dir: &Path, base: i64) -> io::Result<Self> {
        let path = dir.join(file_name(base));
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
        Ok(Self { dirty: true, ..Self::over(path, base, file) })
    }

    /// A segment over a file whose batches are still to be noted.
    pub(crate) fn over(path: PathBuf, base: i64, file: File) -> Self {
        let file = Arc::new(file);
        Self { base, path, file, size: 0, first_ms: None, last_ms: None, dirty: false, index: Vec::new() }
    }

    /// Takes note of a batch that stands at the end.
    pub(crate) fn note(&mut self, header: &Header) {
        if self.index.last().is_none_or(|last| self.size - last.position >= INDEX_EVERY) {
            let entry = Entry { offset: header.base_offset, position: self.size, arrived_ms: header.max_timestamp };
            self.index.push(entry);
        }
        self.first_ms.get_or_insert(header.max_timestamp);
        self.last_ms = Some(header.max_timestamp);
        self.size += header.size as u64;
    }

    /// Writes a stamped batch behind the last one. What a failed write leaves is overwritten by the next.
    pub(crate) fn append(&mut self, batch: &[u8], header: &Header) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(batch, self.size) {
            // A full disk: give back what was taken, as far as possible.
            drop(self.file.set_len(self.size));
            return Err(error);
        }
        self.dirty = true;
        self.note(header);
        Ok(())
    }

    /// The stretch in which the batch that holds `offset` starts, and `max_bytes` behind it.
    pub(crate) fn stretch(&self, offset: i64, max_bytes: usize) -> Stretch {
        let next = self.index.partition_point(|e| e.offset <= offset);
        self.stretch_from(next, offset, max_bytes)
    }

    /// Bytes from about `offset` to the end; rounded up to an index entry.
    pub(crate) fn bytes_from(&self, offset: i64) -> u64 {
        let next = self.index.partition_point(|e| e.offset <= offset);
        self.size - next.checked_sub(1).and_then(|i| self.index.get(i)).map_or(0, |e| e.position)
    }

    /// The stretch in which the first batch that arrived at `ms` or later starts.
    pub(crate) fn stretch_at(&self, ms: i64) -> Stretch {
        let next = self.index.partition_point(|e| e.arrived_ms < ms);
        let mut stretch = self.stretch_from(next, i64::MIN, 0);
        // The batch may be the indexed one itself.
        stretch.end = self.index.get(next + 1).map_or(self.size, |e| e.position);
        stretch
    }

    fn stretch_from(&self, next: usize, offset: i64, max_bytes: usize) -> Stretch {
        let position = next.checked_sub(1).and_then(|i| self.index.get(i)).map_or(0, |e| e.position);
        let starts_before = self.index.get(next).map_or(self.size, |e| e.position);
        let end = starts_before.saturating_add(max_bytes as u64).min(self.size);
        Stretch { file: Arc::clone(&self.file), position, end, size: self.size, offset, max_bytes }
    }
}

/// A part of a segment, read outside the partition's lock: what it covers never changes any more.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    file: Arc<File>,
    position: u64,
    end: u64,
    size: u64,
    offset: i64,
    max_bytes: usize,
}

impl Stretch {
    /// Whole batches from the one that holds the offset on, at most `max_bytes`.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        self.read_batches(false)
    }

    /// The same, but a first batch larger than `max_bytes` is given whole, so that a reader never gets stuck.
    pub(crate) fn read_at_least_one(&self) -> io::Result<Bytes> {
        self.read_batches(true)
    }

    /// The first batch's header that satisfies the condition.
    pub(crate) fn find(&self, wanted: impl Fn(&Header) -> bool) -> io::Result<Option<Header>> {
        let buffer = self.bytes(self.position, self.end)?;
        let mut at = 0;
        while let Ok(header) = Header::parse(&buffer[at.min(buffer.len())..]) {
            if wanted(&header) {
                return Ok(Some(header));
            }
            at += header.size;
        }
        Ok(None)
    }

    fn bytes(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, from)?;
        Ok(buffer)
    }

    fn read_batches(&self, at_least_one: bool) -> io::Result<Bytes> {
        let buffer = self.bytes(self.position, self.end)?;
        let mut start = 0;
        let first = loop {
            match Header::parse(&buffer[start.min(buffer.len())..]) {
                Ok(header) if header.next_offset() > self.offset => break Some(header.size),
                Ok(header) => start += header.size,
                Err(_) => break None,
            }
        };
        let mut end = start.min(buffer.len());
        while let Ok(header) = Header::parse(&buffer[end..]) {
            let next = end + header.size;
            if next > buffer.len() || next - start > self.max_bytes {
                break;
            }
            end = next;
        }
        if end > start {
            return Ok(Bytes::from(buffer).slice(start..end));
        }
        if !at_least_one {
            return Ok(Bytes::new());
        }
        let from = self.position + start as u64;
        let size = match first {
            Some(size) => size,
            // The header itself lies behind what was read.
            None if from + HEADER as u64 <= self.size => {
                let header = self.bytes(from, from + HEADER as u64)?;
                Header::parse(&header).map_err(io::Error::other)?.size
            }
            None => return Ok(Bytes::new()),
        };
        Ok(Bytes::from(self.bytes(from, (from + size as u64).min(self.size))?))
    }
}
