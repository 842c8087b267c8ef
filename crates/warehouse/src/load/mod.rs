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
    let folder = "curated/_published";
    let failed = |source| WarehouseError::Publication { path: folder.to_owned(), source };
    let names = lake.names(folder).map_err(failed)?;
    let number = |name: &String| name.strip_suffix(".json").and_then(|digits| digits.parse::<u64>().ok());
    let mut builds: Vec<u64> = names.iter().filter_map(number).filter(|build| *build > last).collect();
    builds.sort_unstable();
    let mut publications = Vec::new();
    for (build, wanted) in builds.into_iter().zip(last + 1..) {
        if build != wanted {
            return Err(WarehouseError::MissingBuild { build, missing: wanted });
        }
        publications.push(publication(lake, build)?);
    }
    Ok(publications)
}

fn publication(lake: &LakeFiles, build: u64) -> Result<Publication, WarehouseError> {
    let path = Publication::path(build);
    let read = lake.read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(Into::into));
    read.map_err(|source| WarehouseError::Publication { path, source })
}

/// Refuses a lake whose build `last` is not the one that was loaded: where curated was built anew after a loss, builds count
/// from 1 again, and what they change is not what the warehouse lacks.
fn refuse_another_line(connection: &mut dyn Connection, lake: &LakeFiles, last: u64) -> Result<(), WarehouseError> {
    if last == 0 {
        return Ok(());
    }
    let published = match publication(lake, last) {
        Err(WarehouseError::Publication { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(WarehouseError::AnotherLine { build: last });
        }
        published => published?,
    };
    match connection.scalar(&strangers(&published))?.as_deref() {
        Some("0") => Ok(()),
        _ => Err(WarehouseError::AnotherLine { build: last }),
    }
}

/// Counts what the load ledger says of this build and the lake does not.
fn strangers(publication: &Publication) -> String {
    let row = |table: &PublishedTable| {
        let ((upserts, deletes), PublishedTable { table, version, .. }) = (sums(table), table);
        format!("(table_name = '{table}' AND version = {version} AND upserts = {upserts} AND deletes = {deletes})")
    };
    // Not one row where a build has no tables.
    let rows: Vec<String> = std::iter::once("FALSE".to_owned()).chain(publication.tables.iter().map(row)).collect();
    let build = publication.build;
    format!("SELECT COUNT(*) FROM staging.load_ledger WHERE build = {build} AND NOT ({})", rows.join(" OR "))
}

/// Rows set and rows deleted.
fn sums(table: &PublishedTable) -> (u64, u64) {
    table.change_sets.iter().fold((0, 0), |(u, d), set| (u + set.upserts, d + set.deletes))
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
    let of_table = |table: &PublishedTable| {
        let (upserts, deletes) = sums(table);
        (table.table.to_string(), upserts, deletes)
    };
    let loaded = publications.iter().map(|publication| {
        let tables = publication.tables.iter().map(of_table).collect();
        Loaded { build: publication.build, tables }
    });
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
    refuse_another_line(connection, lake, last)?;
    let mut loaded = Vec::new();
    for publications in transactions(&pending(lake, last)?) {
        loaded.extend(apply(connection, project, lake, publications, values)?);
    }
    Ok(loaded)
}
