//! One place where the path runs: the project, the folder of its embedded parts, the stream, the lake.
//!
//! ```text
//! <dir>/broker/  <dir>/registry/  <dir>/replay.json  <dir>/lake/  <dir>/warehouse.duckdb
//! ```

use std::path::{Path, PathBuf};

use weir_core::diagnosis::Diagnosed;
use weir_lake::{Lake, Options};
use weir_project::{LakeRoot, Project};

use crate::error::OperateError;
use crate::services::Services;

/// The project at work in a folder.
pub struct Site {
    /// The project.
    pub project: Project,
    /// The folder of the embedded parts.
    pub dir: PathBuf,
    /// Broker and registry.
    pub services: Services,
    /// The lake.
    pub lake: Lake,
}

impl Site {
    /// Opens everything; makes the folder if it is missing.
    pub async fn open(project: Project, dir: &Path) -> Result<Self, Diagnosed> {
        let dir = make_folder(dir)?;
        let lake = open_lake(&project).await?;
        let services = Services::start(&project, &dir).await?;
        Ok(Self { project, dir, services, lake })
    }

    /// The embedded warehouse's file.
    pub fn warehouse_file(&self) -> PathBuf {
        self.dir.join(crate::warehouse::FILE)
    }

    /// Stops what this process runs.
    pub async fn close(self) -> Result<(), Diagnosed> {
        self.services.stop().await
    }
}

/// Opens the lake alone, for commands that need no stream.
pub async fn open_lake(project: &Project) -> Result<Lake, Diagnosed> {
    Ok(Lake::open(Options::from(&project.lake)).await?)
}

/// The project in a folder of embedded parts: a relative root of a lake is below it.
pub fn in_folder(mut project: Project, dir: &Path) -> Project {
    for root in [&mut project.lake.root].into_iter().chain(&mut project.recovery.replica) {
        if let LakeRoot::Folder(root) = root {
            // An absolute root stays what it is.
            *root = dir.join(&*root);
        }
    }
    project
}

/// Makes a folder, and proves that it can be written to.
pub fn make_folder(dir: &Path) -> Result<PathBuf, OperateError> {
    let failed = |source| OperateError::Folder { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    let probe = dir.join(".weir-probe");
    std::fs::write(&probe, b"").map_err(failed)?;
    std::fs::remove_file(&probe).map_err(failed)?;
    Ok(dir)
}
