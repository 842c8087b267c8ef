//! The batch branch: publications of the lake -> load scripts -> `analytics.<table>`.
//!
//! Read first: [`script`](fn@script) (what runs, as Redshift SQL), then [`apply`] (the driver). What no model says comes by
//! [`migrations`].

pub mod ddl;
pub mod migrations;
mod script;

use weir_core::diagnosis::{Diagnose, Retry};
use weir_core::publication::{Publication, PublishedTable};
use weir_project::Project;

pub use script::{ManifestFile, manifests, script, transactions};

use crate::bucket::LakeFiles;
use crate::connection::Connection;
use crate::error::WarehouseError;
use crate::script::{Placeholders, substitute};
use crate::statement::text::redshift_literal;

/// A build that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its number.
    pub build: u64,
    /// Per table: name, rows set, rows deleted.
    pub tables: Vec<(String, u64, u64)>,
}

/// Asks a load ledger for its newest build.
pub const LAST_BUILD: &str = "SELECT COALESCE(MAX(build), 0) FROM staging.load_ledger";

/// The newest build in the load ledger; 0 if none.
pub fn last_build(connection: &mut dyn Connection) -> Result<u64, WarehouseError> {
    if !has_table(connection, "load_ledger")? {
        return Ok(0);
    }
    Ok(connection.scalar(LAST_BUILD)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Whether `staging` has a table.
fn has_table(connection: &mut dyn Connection, name: &str) -> Result<bool, WarehouseError> {
    let name = redshift_literal(name);
    let query = format!("SELECT COUNT(*) FROM svv_columns WHERE table_schema = 'staging' AND table_name = {name}");
    Ok(connection.scalar(&query)?.is_some_and(|count| count != "0"))
}

/// Publications of a lake behind `last`, in order, without a gap.
pub fn pending(lake: &LakeFiles, last: u64) -> Result<Vec<Publication>, WarehouseError> {
    let failed = |path: &str, source| WarehouseError::Publication { path: path.to_owned(), source };
    let folder = "curated/_published";
    let names = lake.names(folder).map_err(|source| failed(folder, source))?;
    let number = |name: &String| name.strip_suffix(".json").and_then(|digits| digits.parse::<u64>().ok());
    let mut builds: Vec<u64> = names.iter().filter_map(number).filter(|build| *build > last).collect();
    builds.sort_unstable();
    let mut publications = Vec::new();
    for (build, wanted) in builds.into_iter().zip(last + 1..) {
        if build != wanted {
            return Err(WarehouseError::MissingBuild { build, missing: wanted });
        }
        let path = Publication::path(build);
        let bytes = lake.read(&path).map_err(|source| failed(&path, source))?;
        publications.push(serde_json::from_slice(&bytes).map_err(|error| failed(&path, error.into()))?);
    }
    Ok(publications)
}

/// Loads publications that follow each other in one transaction: writes their manifests to the lake, then runs their
/// script.
#[tracing::instrument(name = "warehouse.load", level = "info", skip_all, fields(stage = "warehouse", build = publications.last().map(|last| last.build)))]
pub fn apply(
    connection: &mut dyn Connection,
    project: &Project,
    lake: &LakeFiles,
    publications: &[Publication],
    values: &Placeholders,
) -> Result<Vec<Loaded>, WarehouseError> {
    for manifest in publications.iter().flat_map(|publication| manifests(publication, &values.lake)) {
        let failed = |source| WarehouseError::ManifestWrite { path: manifest.path.clone(), source };
        lake.write(&manifest.path, &manifest.text).map_err(failed)?;
    }
    let text = substitute(&script(project, publications), values)?;
    if let Err(error) = connection.transaction(&text, ("warehouse.load_before_commit", "warehouse.load_committed")) {
        // Of a commit whose answer was lost the ledger knows.
        let newest = publications.last().map_or(0, |last| last.build);
        let unclear = error.diagnosis().retry == Retry::Later;
        if !(unclear && last_build(connection).is_ok_and(|build| build >= newest)) {
            return Err(error);
        }
        tracing::warn!(build = newest, %error, "the load is committed all the same");
    }
    let sums = |table: &PublishedTable| {
        let sums = table.change_sets.iter().fold((0, 0), |(u, d), set| (u + set.upserts, d + set.deletes));
        (table.table.to_string(), sums.0, sums.1)
    };
    let loaded = publications
        .iter()
        .map(|publication| Loaded { build: publication.build, tables: publication.tables.iter().map(sums).collect() });
    Ok(loaded.collect())
}

/// Loads every publication that is not loaded yet.
pub fn apply_pending(
    connection: &mut dyn Connection,
    project: &Project,
    lake: &LakeFiles,
    values: &Placeholders,
) -> Result<Vec<Loaded>, WarehouseError> {
    let last = last_build(connection)?;
    let mut loaded = Vec::new();
    for publications in transactions(&pending(lake, last)?) {
        loaded.extend(apply(connection, project, lake, publications, values)?);
    }
    Ok(loaded)
}
