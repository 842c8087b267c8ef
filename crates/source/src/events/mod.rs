//! Change events of any tables from a file: one JSON object per line.
//!
//! `{"table": "shipment", "op": "c", "before": null, "after": {..}, "time": "2024-01-02T03:04:05.678Z"}`
//!
//! - `op` is `c`, `u`, `d`, `r` (a row of a snapshot) or `t` (the table was truncated). Inserts and snapshot rows
//!   have only `after`, deletes only `before`; updates have `after` and may have `before`; a truncation has neither.
//!   An update whose `before` has another key becomes a delete and a create at one position, as a connector sends
//!   it. A delete is followed by a tombstone.
//! - Row images name the contract's columns; one that allows NULL may be left out. Values: JSON numbers for
//!   integers and floats, `true`/`false` for bit, strings for the rest ([`value`]).
//! - Line n is transaction n of the log. Empty lines count and are skipped.
//!
//! The file is checked whole before its first event is given, then read again: memory holds one line.

mod line;
#[cfg(test)]
mod tests;
mod value;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use weir_core::change::Op;
use weir_project::Table;

use crate::error::SourceError;
use crate::hash::hex;
use crate::position;
use crate::record::{CONNECTOR_DELAY, Event, Payload, SourceRecord, partition_of};
use crate::source::Records;
use line::EventLine;

/// A file of events that was found right.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    tables: Vec<Table>,
    sha256: String,
    lines: u64,
}

impl Events {
    /// Reads and checks the whole file. Fails at the first bad line.
    pub fn open(path: &Path, tables: &[Table]) -> Result<Self, SourceError> {
        let mut lines = Lines::open(path)?;
        let mut count = 0;
        while lines.next_event(tables)?.is_some() {
            count += 1;
        }
        Ok(Self { path: path.to_owned(), tables: tables.to_vec(), sha256: lines.sha256(), lines: count })
    }

    /// SHA-256 of the file, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Events in the file.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Every record, from the first. An error item is the last one: the file changed since it was checked.
    pub fn records(&self, partitions: i32) -> Records<'_> {
        Box::new(Replayed { events: self, partitions, lines: None, ready: VecDeque::new(), ended: false })
    }
}

/// The lines of a file, hashed as they pass.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    hasher: Sha256,
    number: u64,
    text: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Self { path: path.to_owned(), reader, hasher: Sha256::new(), number: 0, text: Vec::new() })
    }

    fn next_event(&mut self, tables: &[Table]) -> Result<Option<EventLine>, SourceError> {
        loop {
            self.text.clear();
            let count = self.reader.read_until(b'\n', &mut self.text).map_err(|source| SourceError::Read {
                path: self.path.clone(),
                line: self.number,
                source,
            })?;
            if count == 0 {
                return Ok(None);
            }
            self.hasher.update(&self.text);
            self.number += 1;
            if !self.text.trim_ascii().is_empty() {
                return line::read(&self.text, line::At { path: &self.path, line: self.number }, tables).map(Some);
            }
        }
    }

    fn sha256(self) -> String {
        hex(&self.hasher.finalize())
    }
}

struct Replayed<'a> {
    events: &'a Events,
    partitions: i32,
    lines: Option<Lines>,
    ready: VecDeque<SourceRecord>,
    ended: bool,
}

impl Replayed<'_> {
    /// Reads the next line into `ready`; leaves it empty at the end of the file.
    fn read(&mut self) -> Result<(), SourceError> {
        let changed = || SourceError::Changed { path: self.events.path.clone() };
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => Lines::open(&self.events.path)?,
        };
        // What was right when it was checked is not wrong now unless somebody wrote to the file.
        match lines.next_event(&self.events.tables).map_err(|_| changed())? {
            Some(event) => {
                let number = lines.number;
                self.lines = Some(lines);
                self.push(event, number);
                Ok(())
            }
            None if lines.sha256() == self.events.sha256 => Ok(()),
            None => Err(changed()),
        }
    }

    fn push(&mut self, line: EventLine, unit: u64) {
        let key_of = |row: &weir_core::value::Row| {
            self.events.tables[line.table].key_indexes().into_iter().map(|at| row[at].clone()).collect::<Vec<_>>()
        };
        let event = |op, before, after| Event {
            op,
            before,
            after,
            position: if op == Op::Read { position::of_snapshot(unit) } else { position::of_change(unit, unit, 1, op) },
            source_ts: line.time,
            sent_ts: line.time + CONNECTOR_DELAY,
        };
        let old_key = line.before.as_ref().map(key_of);
        let new_key = line.after.as_ref().map(key_of);
        let moved = line.op == Op::Update && old_key.is_some() && old_key != new_key;
        let mut records = Vec::with_capacity(3);
        if line.op == Op::Truncate {
            records.push((Vec::new(), Payload::Change(event(Op::Truncate, None, None))));
        }
        if moved || line.op == Op::Delete {
            let key = old_key.unwrap_or_default();
            records.push((key.clone(), Payload::Change(event(Op::Delete, line.before.clone(), None))));
            records.push((key, Payload::Tombstone));
        }
        if moved {
            records.push((new_key.unwrap_or_default(), Payload::Change(event(Op::Create, None, line.after.clone()))));
        } else if line.after.is_some() {
            let change = event(line.op, line.before.clone(), line.after.clone());
            records.push((new_key.unwrap_or_default(), Payload::Change(change)));
        }
        for (key, payload) in records {
            let partition = partition_of(&key, self.partitions);
            self.ready.push_back(SourceRecord { table: line.table, partition, key, payload });
        }
    }
}

impl Iterator for Replayed<'_> {
    type Item = Result<SourceRecord, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.ended {
            match self.read() {
                Ok(()) => self.ended = self.ready.is_empty(),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
