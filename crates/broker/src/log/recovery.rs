//! Opening a partition: every header is read, unflushed segments are checked byte by byte, a torn tail is cut.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::batch::{BadBatch, HEADER, Header};
use super::producers::Producers;
use super::segment::Segment;
use crate::error::{AtPath, BrokerError};
use crate::recovered::{Cut, Recovered};

/// Bytes read at once.
const WINDOW: usize = 1 << 20;
/// File that says up to which offset the log was flushed.
const FLUSHED: &str = "flushed";

/// What the files of a partition hold.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) segments: Vec<Segment>,
    pub(crate) next_offset: i64,
    pub(crate) producers: Producers,
    /// (leader epoch, first offset written under it), ascending.
    pub(crate) epochs: Vec<(i32, i64)>,
    /// Segments that start before this offset were flushed.
    pub(crate) flushed: i64,
}

/// A file read through a window.
struct Reader<'a> {
    file: &'a File,
    length: u64,
    window: Vec<u8>,
    from: u64,
}

impl Reader<'_> {
    /// `size` bytes at `at`, or none when the file ends before.
    fn bytes(&mut self, at: u64, size: usize) -> std::io::Result<Option<&[u8]>> {
        if at + size as u64 > self.length {
            return Ok(None);
        }
        let inside = at >= self.from && at + size as u64 <= self.from + self.window.len() as u64;
        if !inside {
            let rest = usize::try_from(self.length - at).unwrap_or(usize::MAX);
            self.window.resize(size.max(WINDOW).min(rest), 0);
            self.file.read_exact_at(&mut self.window, at)?;
            self.from = at;
        }
        let start = usize::try_from(at - self.from).map_err(std::io::Error::other)?;
        Ok(Some(&self.window[start..start + size]))
    }
}

/// Takes note of every batch of the segment; ends at the file's end, or at the first one that is not whole.
fn scan(segment: &mut Segment, check_sums: bool, next: i64, opened: &mut Opened) -> std::io::Result<Option<BadBatch>> {
    let file = std::sync::Arc::clone(&segment.file);
    let length = file.metadata()?.len();
    let mut reader = Reader { file: &file, length, window: Vec::new(), from: 0 };
    opened.next_offset = next;
    while segment.size < length {
        let Some(bytes) = reader.bytes(segment.size, HEADER)? else { return Ok(Some(BadBatch::Short)) };
        let header = match Header::parse(bytes) {
            Ok(header) => header,
            Err(bad) => return Ok(Some(bad)),
        };
        if header.base_offset != opened.next_offset {
            return Ok(Some(BadBatch::Count));
        }
        if segment.size + header.size as u64 > length {
            return Ok(Some(BadBatch::Short));
        }
        if check_sums {
            let Some(batch) = reader.bytes(segment.size, header.size)? else { return Ok(Some(BadBatch::Short)) };
            if let Err(bad) = header.check_sum(batch) {
                return Ok(Some(bad));
            }
        }
        segment.note(&header);
        opened.producers.remember(&header);
        if opened.epochs.last().is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
            opened.epochs.push((header.leader_epoch, header.base_offset));
        }
        opened.next_offset = header.next_offset();
    }
    Ok(None)
}

fn reason(bad: BadBatch) -> &'static str {
    match bad {
        BadBatch::Short => "the batch is not whole",
        BadBatch::Checksum => "the checksum does not match",
        BadBatch::Count => "the offsets do not follow on",
        BadBatch::Format | BadBatch::Codec => "this is no record batch",
        BadBatch::Transactional | BadBatch::Control | BadBatch::Several => "this batch cannot stand in a log",
    }
}

fn segment_files(dir: &Path) -> Result<Vec<(i64, PathBuf)>, BrokerError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        let is_log = path.extension().is_some_and(|e| e == "log");
        let base = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
        if let (true, Some(base)) = (is_log, base) {
            files.push((base, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Opens the files of a partition and repairs their end.
pub(crate) fn open(dir: &Path, recovered: &mut Recovered) -> Result<Opened, BrokerError> {
    let files = segment_files(dir)?;
    let flushed = fs::read_to_string(dir.join(FLUSHED)).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0);
    let start = files.first().map_or(0, |(base, _)| *base);
    let mut opened = Opened {
        segments: Vec::with_capacity(files.len() + 1),
        next_offset: start,
        producers: Producers::default(),
        epochs: Vec::new(),
        flushed,
    };
    let mut behind_cut = false;
    for (base, path) in files {
        if behind_cut || base != opened.next_offset {
            drop_behind(&path, base, flushed, recovered)?;
            behind_cut = true;
            continue;
        }
        let file = File::options().read(true).write(true).open(&path).at(&path)?;
        let mut segment = Segment::over(path.clone(), base, file);
        if let Some(bad) = scan(&mut segment, base >= flushed, base, &mut opened).at(&path)? {
            let length = segment.file.metadata().at(&path)?.len();
            if base < flushed {
                return Err(BrokerError::LogDamaged { file: path, at: segment.size, reason: reason(bad) });
            }
            segment.file.set_len(segment.size).at(&path)?;
            segment.file.sync_all().at(&path)?;
            recovered.note(Cut { file: path, at: segment.size, bytes: length - segment.size });
            behind_cut = true;
        }
        opened.segments.push(segment);
    }
    if opened.segments.is_empty() {
        opened.segments.push(Segment::create(dir, start).at(dir)?);
    }
    Ok(opened)
}

/// Removes a segment that lies behind a hole: nobody could reach it, and new batches need its offsets.
fn drop_behind(path: &Path, base: i64, flushed: i64, recovered: &mut Recovered) -> Result<(), BrokerError> {
    if base < flushed {
        let reason = "a segment before it is missing or short";
        return Err(BrokerError::LogDamaged { file: path.to_owned(), at: 0, reason });
    }
    let bytes = fs::metadata(path).at(path)?.len();
    fs::remove_file(path).at(path)?;
    recovered.note(Cut { file: path.to_owned(), at: 0, bytes });
    Ok(())
}

/// Says that every segment that starts before `offset` was flushed; the next start need not check them.
pub(crate) fn note_flushed(dir: &Path, offset: i64) -> std::io::Result<()> {
    crate::folder::write_whole(&dir.join(FLUSHED), offset.to_string().as_bytes())
}
