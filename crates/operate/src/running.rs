//! What runs on a folder: its processes leave a note there, so that other commands talk to them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::OperateError;
use crate::services::Services;

/// The file of the note. One process at a time serves the warehouse of a folder, so there is one note.
const NOTE: &str = "running.json";

/// Where the parts of a folder listen, on loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The broker's address and the registry's URL, where this process has them.
    pub stream: Option<Stream>,
    /// The Postgres wire's port.
    pub wire: u16,
    /// The process.
    pub pid: u32,
}

/// Where the stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The broker's address.
    pub brokers: String,
    /// The registry's URL.
    pub registry: String,
}

/// A note that stands as long as this lives. One that a killed process left is found out by its reader.
pub struct Announced {
    path: PathBuf,
    /// What it says.
    pub running: Running,
}

impl Announced {
    /// Writes the note: this process serves the warehouse of `dir`, and the stream if it has one.
    pub fn write(dir: &Path, wire: u16, services: Option<&Services>) -> Result<Self, OperateError> {
        let stream = services.filter(|services| services.are_embedded()).map(|services| Stream {
            brokers: services.connection.shown().to_owned(),
            registry: services.registry.url().to_owned(),
        });
        let running = Running { stream, wire, pid: std::process::id() };
        let path = dir.join(NOTE);
        let text = serde_json::to_string_pretty(&running).map_err(std::io::Error::other);
        let written = text.and_then(|text| std::fs::write(&path, text));
        written.map_err(|source| OperateError::File { path: path.clone(), source })?;
        Ok(Self { path, running })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What runs on this folder, as far as it says so itself.
pub fn running(dir: &Path) -> Option<Running> {
    serde_json::from_slice(&std::fs::read(dir.join(NOTE)).ok()?).ok()
}
