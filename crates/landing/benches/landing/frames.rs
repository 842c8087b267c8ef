//! The values of a topic in a file: for each its length in 4 bytes, little-endian, and its bytes.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use weir_envelope::RawRecord;

use crate::Failure;

/// Values that are read at once.
const AT_ONCE: usize = 50_000;

pub struct Writer(BufWriter<File>);

impl Writer {
    pub fn create(path: &Path) -> Result<Self, Failure> {
        Ok(Self(BufWriter::with_capacity(1 << 20, File::create(path)?)))
    }

    pub fn push(&mut self, value: &[u8]) -> Result<(), Failure> {
        self.0.write_all(&u32::try_from(value.len())?.to_le_bytes())?;
        Ok(self.0.write_all(value)?)
    }

    pub fn finish(mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}

/// Some values, one behind the other.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// As records of one partition.
    pub fn records(&self) -> Vec<RawRecord<'_>> {
        let record =
            |(offset, value)| RawRecord { partition: 0, offset, timestamp_ms: 0, key: None, value: Some(value) };
        (0..).zip(self.values()).map(record).collect()
    }
}

/// Reads a file of frames, some at a time.
pub fn each(path: &Path, mut visit: impl FnMut(&Frames) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut frames = Frames::default();
    loop {
        let mut length = [0; 4];
        match file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
        let begin = frames.bytes.len();
        let end = begin + u32::from_le_bytes(length) as usize;
        frames.bytes.resize(end, 0);
        file.read_exact(&mut frames.bytes[begin..])?;
        frames.ends.push(end);
        if frames.len() == AT_ONCE {
            visit(&frames)?;
            frames.bytes.clear();
            frames.ends.clear();
        }
    }
    if frames.len() > 0 {
        visit(&frames)?;
    }
    Ok(())
}
