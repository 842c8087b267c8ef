//! Tests that need an open warehouse.

mod emitted;
mod loads;
mod measure;
mod mirrors;
mod redshift;
mod roles;
mod sessions;
mod statements;
mod wire;

use std::path::Path;

use tempfile::TempDir;
use weir_project::Project;

use crate::{Options, Session, Warehouse};

/// A warehouse in a folder of its own.
struct Fixture {
    warehouse: Warehouse,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Options { threads: Some(2), ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Warehouse::open(&folder.path().join("w.duckdb"), options).unwrap();
        Self { warehouse, folder }
    }

    fn session(&self) -> Session {
        self.warehouse.session().unwrap()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The reference pipeline, for its four tables and five models.
fn project() -> Project {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/retail");
    weir_project::load(&folder, "dev", &[]).unwrap()
}

/// Rows of the last statement, cells with `|` between, NULL as `-`.
fn rows(session: &mut Session, text: &str) -> Vec<String> {
    let outcomes = session.run(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let rows = outcomes.last().unwrap().rows();
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    rows.into_iter().map(|row| row.into_iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

/// SQLSTATE and message of a failure.
fn failure(session: &mut Session, text: &str) -> String {
    match session.run(text) {
        Ok(_) => format!("no failure: {text}"),
        Err(error) => format!("{} {error}", error.sqlstate()),
    }
}
