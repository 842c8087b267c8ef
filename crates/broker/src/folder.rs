//! The folder on disk: its lock, its state file, and writes that are whole or not there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{AtPath, BrokerError};

/// Held while a process serves a folder; the system lets go of it even when the process is killed.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if need be and takes its lock, or says that another process has it.
    pub(crate) fn take(dir: &Path, name: &str) -> Result<Self, BrokerError> {
        fs::create_dir_all(dir).at(dir)?;
        let path = dir.join(name);
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).at(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BrokerError::FolderLocked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(BrokerError::Folder { path, source }),
        }
        // For people who look for the holder; the lock itself is the system's.
        file.set_len(0).at(&path)?;
        writeln!(file, "{}", std::process::id()).at(&path)?;
        Ok(Self { _file: file })
    }
}

/// Replaces a file: after a crash the old text or the new one is there, never a part.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Names of the sub-folders, in order.
pub(crate) fn folders(dir: &Path) -> Result<Vec<PathBuf>, BrokerError> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let entry = entry.at(dir)?;
        if entry.file_type().at(dir)?.is_dir() {
            out.push(entry.path());
        }
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_once_and_free_again_after_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::take(dir.path(), "lock").unwrap();
        let refused = FolderLock::take(dir.path(), "lock").unwrap_err();
        assert!(matches!(refused, BrokerError::FolderLocked { dir: named } if named == dir.path()));
        drop(first);
        FolderLock::take(dir.path(), "lock").unwrap();
    }

    #[test]
    fn a_folder_below_a_regular_file_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let refused = FolderLock::take(&file.join("broker"), "lock").unwrap_err();
        assert!(matches!(refused, BrokerError::Folder { path, .. } if path == file.join("broker")));
    }
}
