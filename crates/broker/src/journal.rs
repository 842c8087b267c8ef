//! A file of JSON lines that only grows: what was acknowledged survives a kill, a torn last line is cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{AtPath, BrokerError};
use crate::folder::write_whole;
use crate::recovered::{Cut, Recovered};

/// An open journal, at its end.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
}

/// What one line of a text turned out to be.
enum Tail {
    Whole,
    Torn { at: usize },
    Damaged { line: usize, source: serde_json::Error },
}

/// Reads entries up to the first bad line. A bad line with a good one behind it is damage, not a torn tail.
fn parse<T: DeserializeOwned>(text: &[u8]) -> (Vec<T>, Tail) {
    let mut entries = Vec::new();
    let mut at = 0;
    let mut line = 0;
    while at < text.len() {
        line += 1;
        let Some(length) = text[at..].iter().position(|b| *b == b'\n') else {
            return (entries, Tail::Torn { at });
        };
        let next = at + length + 1;
        match serde_json::from_slice(&text[at..next - 1]) {
            Ok(entry) => entries.push(entry),
            Err(source) => {
                let good_behind = text[next..].split(|b| *b == b'\n').any(|l| serde_json::from_slice::<T>(l).is_ok());
                let tail = if good_behind { Tail::Damaged { line, source } } else { Tail::Torn { at } };
                return (entries, tail);
            }
        }
        at = next;
    }
    (entries, Tail::Whole)
}

impl Journal {
    /// Opens or makes the file, cuts a torn tail, and gives the entries in the order they were written.
    pub(crate) fn open<T: DeserializeOwned>(
        path: &Path,
        recovered: &mut Recovered,
    ) -> Result<(Self, Vec<T>), BrokerError> {
        let file = File::options().create(true).read(true).append(true).open(path).at(path)?;
        let text = fs::read(path).at(path)?;
        let (entries, tail) = parse(&text);
        let size = match tail {
            Tail::Whole => text.len(),
            Tail::Damaged { line, source } => {
                return Err(BrokerError::StateDamaged { file: path.to_owned(), line, source });
            }
            Tail::Torn { at } => {
                file.set_len(at as u64).at(path)?;
                file.sync_all().at(path)?;
                recovered.note(Cut { file: path.to_owned(), at: at as u64, bytes: (text.len() - at) as u64 });
                at
            }
        };
        Ok((Self { path: path.to_owned(), file, size: size as u64 }, entries))
    }

    /// Writes entries whole or not at all; after this they survive a kill.
    pub(crate) fn append<T: Serialize>(&mut self, entries: &[T]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        if let Err(error) = self.file.write_all(&text) {
            // A part may be written; without it the next line would be glued to it.
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += text.len() as u64;
        Ok(())
    }

    /// The same, and they survive a power cut too.
    pub(crate) fn append_durably<T: Serialize>(&mut self, entries: &[T]) -> io::Result<()> {
        let before = self.size;
        self.append(entries)?;
        if let Err(error) = self.file.sync_data() {
            // Not acknowledged, so it must not turn up later beside what takes its place.
            self.file.set_len(before)?;
            self.size = before;
            return Err(error);
        }
        Ok(())
    }

    /// Bytes in the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A second handle, to flush outside a lock.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Replaces everything by these entries.
    pub(crate) fn rewrite<T: Serialize>(&mut self, entries: &[T]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        write_whole(&self.path, &text)?;
        self.file = File::options().read(true).append(true).open(&self.path)?;
        self.size = text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<(Vec<u32>, Recovered), BrokerError> {
        let mut recovered = Recovered::default();
        let (_, entries) = Journal::open(path, &mut recovered)?;
        Ok((entries, recovered))
    }

    #[test]
    fn entries_come_back_in_order_and_a_torn_last_line_is_cut_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let (mut journal, none) = Journal::open::<u32>(&path, &mut Recovered::default()).unwrap();
        assert!(none.is_empty());
        journal.append(&[1u32, 2]).unwrap();
        journal.append(&[3u32]).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"45").unwrap();

        let (entries, recovered) = open(&path).unwrap();
        assert_eq!(entries, [1, 2, 3]);
        assert_eq!(recovered.cut, [Cut { file: path.clone(), at: 6, bytes: 2 }]);
        assert_eq!(open(&path).unwrap(), (vec![1, 2, 3], Recovered::default()));
    }

    #[test]
    fn zeros_after_a_power_cut_are_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        fs::write(&path, b"1\n\0\0\0\0\n\0\0").unwrap();
        assert_eq!(open(&path).unwrap().0, [1]);
    }

    #[test]
    fn a_bad_line_with_a_good_one_behind_it_is_damage_and_nothing_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        fs::write(&path, b"1\nx\n3\n").unwrap();
        assert!(matches!(open(&path), Err(BrokerError::StateDamaged { line: 2, .. })));
        assert_eq!(fs::read(&path).unwrap(), b"1\nx\n3\n");
    }

    #[test]
    fn a_rewritten_journal_goes_on_behind_its_new_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let (mut journal, _) = Journal::open::<u32>(&path, &mut Recovered::default()).unwrap();
        journal.append(&[1u32, 2, 3]).unwrap();
        journal.rewrite(&[3u32]).unwrap();
        journal.append(&[4u32]).unwrap();
        assert_eq!(open(&path).unwrap().0, [3, 4]);
    }
}
