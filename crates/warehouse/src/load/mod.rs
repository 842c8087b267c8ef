//! The batch branch: publications of the lake -> load scripts -> `analytics.<table>`.
//!
//! Read first: [`script`](fn@script) (what runs, as Redshift SQL), then [`apply`] (the driver).

pub mod ddl;
mod script;

use weir_core::publication::{Publication, PublishedTable};
use weir_project::Project;

pub use script::{ManifestFile, manifests, script, transactions};

use crate::bucket::LakeFiles;
use crate::error::WarehouseError;
use crate::mirror::run_script;
use crate::script::{Placeholders, substitute};
use crate::session::Session;

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
pub fn last_build(session: &mut Session) -> Result<u64, WarehouseError> {
    if !session.exists("staging", "load_ledger")? {
        return Ok(0);
    }
    let outcomes = session.run(LAST_BUILD)?;
    let text = outcomes.first().and_then(crate::outcome::Outcome::scalar).unwrap_or_default();
    Ok(text.parse().unwrap_or(0))
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
fn refuse_another_line(session: &mut Session, lake: &LakeFiles, last: u64) -> Result<(), WarehouseError> {
    if last == 0 {
        return Ok(());
    }
    let published = match publication(lake, last) {
        Err(WarehouseError::Publication { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(WarehouseError::AnotherLine { build: last });
        }
        published => published?,
    };
    let strangers = session.run(&strangers(&published))?;
    match strangers.first().and_then(crate::outcome::Outcome::scalar).as_deref() {
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
    session: &mut Session,
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
    run_script(session, &text, ("warehouse.load_before_commit", "warehouse.load_committed"))?;
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
    session: &mut Session,
    project: &Project,
    lake: &LakeFiles,
    values: &Placeholders,
) -> Result<Vec<Loaded>, WarehouseError> {
    let last = last_build(session)?;
    refuse_another_line(session, lake, last)?;
    let mut loaded = Vec::new();
    for publications in transactions(&pending(lake, last)?) {
        loaded.extend(apply(session, project, lake, publications, values)?);
    }
    Ok(loaded)
}
