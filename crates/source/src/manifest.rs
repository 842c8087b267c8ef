//! `replay.json`: which replay filled a folder, so that only the same one goes on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::error::SourceError;

/// The file's name, beside the log of the embedded broker.
pub const FILE_NAME: &str = "replay.json";

/// What [`check`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// No replay was here.
    New,
    /// The same replay was here before.
    Same,
}

/// Looks whether a folder belongs to a replay with these settings, to another one, or to none yet.
pub fn check(dir: &Path, settings: &Json) -> Result<Claim, SourceError> {
    let path = dir.join(FILE_NAME);
    let failed = |source| SourceError::Manifest { path: path.clone(), source };
    match fs::read(&path) {
        Ok(bytes) => {
            let found: Json = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
            let differences = differences(&found, settings);
            if differences.is_empty() {
                Ok(Claim::Same)
            } else {
                Err(SourceError::OtherReplay { differences: differences.join("; ") })
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Claim::New),
        Err(error) => Err(failed(error)),
    }
}

/// Claims a folder. On disk before the first record is sent: a crash in between leaves a claim without
/// records, never records without a claim.
pub fn write(dir: &Path, settings: &Json) -> Result<(), SourceError> {
    let path = dir.join(FILE_NAME);
    write_whole(dir, &path, settings).map_err(|source| SourceError::Manifest { path, source })
}

fn write_whole(dir: &Path, path: &Path, settings: &Json) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let part = dir.join(format!("{FILE_NAME}.part"));
    let mut file = File::create(&part)?;
    serde_json::to_writer_pretty(&mut file, settings)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(dir)?.sync_all()
}

/// Each setting that differs, with both values.
fn differences(found: &Json, wanted: &Json) -> Vec<String> {
    let none = Map::new();
    let (found, wanted) = (found.as_object().unwrap_or(&none), wanted.as_object().unwrap_or(&none));
    let names: std::collections::BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    names
        .into_iter()
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| {
            let text = |side: &Map<String, Json>| side.get(name).map_or("nothing".to_owned(), Json::to_string);
            format!("`{name}` was {} and is now {}", text(found), text(wanted))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folder_takes_the_same_replay_again_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let first = json!({ "source": "simulate", "seed": 1, "orders": 10 });
        assert_eq!(check(dir.path(), &first).unwrap(), Claim::New);
        write(dir.path(), &first).unwrap();
        assert_eq!(check(dir.path(), &first).unwrap(), Claim::Same);
        let error = check(dir.path(), &json!({ "source": "simulate", "seed": 2, "orders": 10 })).unwrap_err();
        assert_eq!(error.to_string(), "the folder was filled by another replay: `seed` was 1 and is now 2");
    }

    #[test]
    fn a_damaged_manifest_is_not_taken_for_a_new_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(matches!(check(dir.path(), &json!({})), Err(SourceError::Manifest { .. })));
    }
}
