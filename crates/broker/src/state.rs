//! The broker's own few facts: cluster id, leader epoch, producer ids handed out, whether it ended cleanly.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{AtPath, BrokerError};
use crate::folder::write_whole;
use crate::locked;

/// Format of the folder.
const FORMAT: u32 = 1;
/// Producer ids taken at once, so that most are handed out without a write.
const BLOCK: i64 = 1_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StateFile {
    format: u32,
    cluster_id: String,
    /// Grows with every start after an unclean end: records may be gone then, and clients must check (KIP-320).
    leader_epoch: i32,
    /// No producer has been given this id or a higher one.
    next_producer_id: i64,
    clean: bool,
}

#[derive(Debug)]
struct Ids {
    file: StateFile,
    next: i64,
}

/// The state of an open folder.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    ids: Mutex<Ids>,
    pub(crate) cluster_id: String,
    pub(crate) leader_epoch: i32,
    /// True when the process before this one did not shut down.
    pub(crate) unclean: bool,
}

fn save(path: &Path, file: &StateFile) -> io::Result<()> {
    write_whole(path, &serde_json::to_vec(file)?)
}

impl State {
    /// Reads the folder's state, or makes it; from here on until [`State::close`] the end is unclean.
    pub(crate) fn open(dir: &Path) -> Result<Self, BrokerError> {
        let path = dir.join("broker.json");
        let mut file = match fs::read(&path) {
            Ok(text) => {
                let damaged = |source| BrokerError::StateDamaged { file: path.clone(), line: 1, source };
                serde_json::from_slice::<StateFile>(&text).map_err(damaged)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => StateFile {
                format: FORMAT,
                cluster_id: hex::encode(Uuid::new_v4().as_bytes()),
                leader_epoch: 0,
                next_producer_id: 0,
                clean: true,
            },
            Err(source) => return Err(BrokerError::Folder { path, source }),
        };
        if file.format > FORMAT {
            return Err(BrokerError::Format { dir: dir.to_owned(), found: file.format, known: FORMAT });
        }
        let unclean = !file.clean;
        if unclean {
            file.leader_epoch += 1;
        }
        file.clean = false;
        save(&path, &file).at(&path)?;
        Ok(Self {
            cluster_id: file.cluster_id.clone(),
            leader_epoch: file.leader_epoch,
            unclean,
            ids: Mutex::new(Ids { next: file.next_producer_id, file }),
            path,
        })
    }

    /// A producer id that was never given out before, not even before a power cut.
    pub(crate) fn producer_id(&self) -> io::Result<i64> {
        let mut ids = locked(&self.ids);
        if ids.next >= ids.file.next_producer_id {
            let taken = StateFile { next_producer_id: ids.next + BLOCK, ..ids.file.clone() };
            save(&self.path, &taken)?;
            ids.file = taken;
        }
        ids.next += 1;
        Ok(ids.next - 1)
    }

    /// Notes a clean end; everything else must be flushed before.
    pub(crate) fn close(&self) -> io::Result<()> {
        let mut ids = locked(&self.ids);
        ids.file.clean = true;
        ids.file.next_producer_id = ids.next;
        save(&self.path, &ids.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_id_is_never_given_twice_and_the_epoch_grows_after_an_unclean_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut given = Vec::new();
        let mut epochs = Vec::new();
        for clean in [true, false, false, true, true] {
            let state = State::open(dir.path()).unwrap();
            epochs.push(state.leader_epoch);
            given.extend([state.producer_id().unwrap(), state.producer_id().unwrap()]);
            if clean {
                state.close().unwrap();
            }
        }
        assert_eq!(epochs, [0, 0, 1, 2, 2]);
        assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
    }

    #[test]
    fn a_folder_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"format":2,"cluster_id":"x","leader_epoch":0,"next_producer_id":0,"clean":true}"#;
        fs::write(dir.path().join("broker.json"), text).unwrap();
        assert!(matches!(State::open(dir.path()), Err(BrokerError::Format { found: 2, known: 1, .. })));
    }
}
