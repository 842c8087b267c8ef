//! Some columns of a file, without fetching the others: the footer says where each column's chunks lie.

use std::ops::Range;
use std::sync::Arc;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};

use crate::error::LakeError;
use crate::file::DataFile;
use crate::table::Table;

/// A smaller file is fetched whole: another request would take longer than its bytes.
const WHOLE: u64 = 256 * 1024;
/// Bytes from the end of a file in which its footer mostly is.
const TAIL: u64 = 32 * 1024;

/// The fetched parts of a file.
pub(crate) struct Chunks {
    /// In the order of their beginnings.
    parts: Vec<(u64, Bytes)>,
    length: u64,
}

impl Table {
    /// A file as far as these columns need it, and what its footer says.
    pub(crate) async fn chunks(
        &self,
        file: &DataFile,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Chunks, ArrowReaderMetadata), LakeError> {
        let path = self.path_of(file);
        let length = file.size.unsigned_abs();
        let footer = match length > WHOLE {
            true => Some(self.footer(file).await?),
            false => None,
        };
        let ranges = footer.as_ref().map(|footer| ranges(footer, wanted)).unwrap_or_default();
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let (Some(footer), true) = (footer, bytes * 2 < length) else {
            let all = self.bytes_of(file).await?;
            let metadata = ArrowReaderMetadata::load(&all, ArrowReaderOptions::default());
            let metadata = metadata.map_err(|e| LakeError::file(&path, e))?;
            return Ok((Chunks { length: all.len() as u64, parts: vec![(0, all)] }, metadata));
        };
        let metadata = ArrowReaderMetadata::try_new(Arc::new(footer), ArrowReaderOptions::default());
        let metadata = metadata.map_err(|e| LakeError::file(&path, e))?;
        let found = self.store().get_ranges(&self.location(&file.path), &ranges).await;
        let found = found.map_err(|e| LakeError::of_file(&path, e))?;
        self.counters.read(bytes, file.rows);
        let parts = ranges.iter().map(|range| range.start).zip(found).collect();
        Ok((Chunks { parts, length }, metadata))
    }

    async fn footer(&self, file: &DataFile) -> Result<ParquetMetaData, LakeError> {
        let (path, length) = (self.path_of(file), file.size.unsigned_abs());
        let mut tail = TAIL;
        loop {
            let from = length.saturating_sub(tail);
            let found = self.store().get_range(&self.location(&file.path), from..length).await;
            let found = found.map_err(|e| LakeError::of_file(&path, e))?;
            self.counters.read(found.len() as u64, 0);
            let mut reader = ParquetMetaDataReader::new();
            match reader.try_parse_sized(&found, length) {
                Err(ParquetError::NeedMoreData(needed)) if needed as u64 > tail && from > 0 => tail = needed as u64,
                read => return read.and_then(|()| reader.finish()).map_err(|e| LakeError::file(&path, e)),
            }
        }
    }
}

/// Where the chunks of the wanted top-level columns lie, in order; neighbours as one.
fn ranges(footer: &ParquetMetaData, wanted: impl Fn(&str) -> bool) -> Vec<Range<u64>> {
    let chunks = footer.row_groups().iter().flat_map(|group| group.columns());
    let chunks = chunks.filter(|chunk| chunk.column_path().parts().first().is_some_and(|name| wanted(name)));
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (start, length) in chunks.map(|chunk| chunk.byte_range()) {
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end += length,
            _ => ranges.push(start..start + length),
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}

impl Chunks {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let at = self.parts.partition_point(|(from, _)| *from <= start);
        let part = at.checked_sub(1).and_then(|at| self.parts.get(at));
        let inside = part.and_then(|(from, bytes)| {
            let skipped = usize::try_from(start - from).ok()?;
            (skipped <= bytes.len()).then(|| bytes.slice(skipped..))
        });
        inside.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not fetched")))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Chunks {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}
