//! A publication as a load script: Redshift SQL, one transaction, oldest change set first.
//!
//! Run twice, or late, it changes nothing: once the ledger holds this build or a newer one of a table, what COPY
//! brought for it is removed before it is applied. A build whose predecessor was never loaded fails. Of two at the same
//! time the second fails: what a load leaves in `load_check`, both delete.
//! TRUNCATE is not used anywhere: in Redshift it commits.
//!
//! A change set that makes its table anew (its columns are others) drops the table and creates it; such a script
//! fails as a whole, and changes nothing, when the ledger holds the build already. Builds before it hold files with
//! the older columns, so they are loaded in the same transaction, without that table's older change sets.

use std::collections::BTreeMap;

use weir_core::publication::{ChangeSet, Publication, PublishedTable};
use weir_project::Project;

use crate::copy::{Entry, Manifest, Meta};
use crate::load::ddl;
use crate::script::{ident, list, qualified};

/// A manifest that the script's COPY reads; to be written before the script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Path relative to the lake's root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Path of a change set's manifest, relative to the lake's root.
fn manifest_path(publication: &Publication, table: &PublishedTable, set: &ChangeSet) -> String {
    format!("curated/_published/{:012}/{}-{}.manifest", publication.build, table.table, set.version)
}

/// The manifests of a publication; `lake` is what `${lake}` stands for.
pub fn manifests(publication: &Publication, lake: &str) -> Vec<ManifestFile> {
    let mut files = Vec::new();
    for table in &publication.tables {
        for set in table.change_sets.iter().filter(|set| !set.files.is_empty()) {
            let entries = set.files.iter().map(|file| Entry {
                url: format!("{lake}/{}", file.path),
                mandatory: true,
                meta: Meta { content_length: file.content_length },
            });
            let manifest = Manifest { entries: entries.collect() };
            let text = serde_json::to_string_pretty(&manifest).expect("a manifest of texts and numbers is JSON");
            files.push(ManifestFile { path: manifest_path(publication, table, set), text });
        }
    }
    files
}

/// The build in which each table is made anew the last time, by name.
fn renewals(publications: &[Publication]) -> BTreeMap<&str, u64> {
    let tables = publications.iter().flat_map(|all| all.tables.iter().map(|table| (all.build, table)));
    let anew = tables.filter(|(_, table)| table.change_sets.iter().any(|set| set.anew));
    anew.map(|(build, table)| (table.table.as_str(), build)).collect()
}

/// Publications that follow each other, cut into transactions: one each, but all up to the last one that makes a
/// table anew in one.
pub fn transactions(publications: &[Publication]) -> impl Iterator<Item = &[Publication]> {
    let anew = |all: &Publication| all.tables.iter().flat_map(|table| &table.change_sets).any(|set| set.anew);
    let (first, rest) = publications.split_at(publications.iter().rposition(anew).map_or(0, |at| at + 1));
    std::iter::once(first).filter(|first| !first.is_empty()).chain(rest.chunks(1))
}

/// The script: tables, then per publication and table its change sets and its row in the ledger.
pub fn script(project: &Project, publications: &[Publication]) -> String {
    let before = publications.first().map_or(0, |first| first.build - 1);
    let renewals = renewals(publications);
    let mut text = format!("BEGIN;\n{}", ddl::ledger());
    text.push_str(&format!(
        "-- builds load in order: fails on a NULL if build {before} was never loaded
DELETE FROM staging.load_check;
INSERT INTO staging.load_check (passed)
SELECT CASE WHEN COALESCE(MAX(build), 0) >= {before} THEN 'in order' END FROM staging.load_ledger;
",
    ));
    for (name, build) in &renewals {
        text.push_str(&format!(
            "-- {name} is made anew: fails on a NULL if build {build} of it was loaded
INSERT INTO staging.load_check (passed)
SELECT CASE WHEN COUNT(*) = 0 THEN '{name} is made anew' END
FROM staging.load_ledger WHERE table_name = '{name}' AND build >= {build};
",
        ));
    }
    if !renewals.is_empty() {
        text.push_str(&ddl::drops(project, &renewals.keys().copied().collect::<Vec<_>>()));
    }
    text.push_str(&ddl::star(project));
    for publication in publications {
        text.push_str(&tables(project, publication, &renewals));
    }
    text.push_str("COMMIT;\n");
    text
}

/// The change sets of a publication's tables and their rows in the ledger.
fn tables(project: &Project, publication: &Publication, renewals: &BTreeMap<&str, u64>) -> String {
    let build = publication.build;
    let mut text = String::new();
    for table in &publication.tables {
        for set in loaded(table, build, renewals).iter().filter(|set| !set.files.is_empty()) {
            text.push_str(&apply(project, publication, table, set));
        }
        let (upserts, deletes) =
            table.change_sets.iter().fold((0, 0), |(u, d), set| (u + set.upserts, d + set.deletes));
        let name = table.table.as_str();
        text.push_str(&format!(
            "INSERT INTO staging.load_ledger (build, table_name, version, upserts, deletes, loaded_at)
SELECT {build}, '{name}', {}, {upserts}, {deletes}, GETDATE() FROM staging.load_check
WHERE passed = 'in order' AND NOT EXISTS (SELECT 1 FROM staging.load_ledger WHERE table_name = '{name}' AND build >= {build});
",
            table.version
        ));
    }
    text
}

/// The change sets of a table that count: from the one on that makes it anew.
fn loaded<'a>(table: &'a PublishedTable, build: u64, renewals: &BTreeMap<&str, u64>) -> &'a [ChangeSet] {
    match renewals.get(table.table.as_str()) {
        Some(renewal) if build < *renewal => &[],
        Some(renewal) if build == *renewal => {
            &table.change_sets[table.change_sets.iter().rposition(|set| set.anew).unwrap_or(0)..]
        }
        _ => &table.change_sets,
    }
}

fn apply(project: &Project, publication: &Publication, table: &PublishedTable, set: &ChangeSet) -> String {
    let (build, name) = (publication.build, table.table.as_str());
    let load = format!("load_{name}");
    let (target_q, load_q) = (qualified("analytics", name), qualified("staging", &load));
    let columns: Vec<String> = match project.model(&table.table) {
        Some(model) => ddl::columns(model).into_iter().map(|column| column.name).collect(),
        // A table whose model is gone from the project keeps its keys only; its COPY fails by column count.
        None => table.key.clone(),
    };
    let keys: Vec<&str> = table.key.iter().map(String::as_str).collect();
    let on: Vec<String> =
        keys.iter().map(|key| format!("{}.{k} = {}.{k}", ident(name), ident(&load), k = ident(key))).collect();
    let on = on.join(" AND ");
    let others: Vec<&str> = columns.iter().map(String::as_str).filter(|column| !keys.contains(column)).collect();
    let set_columns = if others.is_empty() { &keys } else { &others };
    let assignments: Vec<String> =
        set_columns.iter().map(|column| format!("{c} = {}.{c}", ident(&load), c = ident(column))).collect();
    let values: Vec<String> = columns.iter().map(|column| format!("{}.{}", ident(&load), ident(column))).collect();
    format!(
        "-- {name}: change set to version {version}, {upserts} rows to set, {deletes} to delete
DELETE FROM {load_q};
COPY {load_q} FROM '${{lake}}/{path}' IAM_ROLE ${{iam_role}} FORMAT AS PARQUET MANIFEST;
DELETE FROM {load_q} WHERE EXISTS (SELECT 1 FROM staging.load_ledger WHERE table_name = '{name}' AND build >= {build});
INSERT INTO staging.load_check (passed)
SELECT CASE WHEN COUNT(*) = 0 THEN 'one row per key of {name}' END
FROM (SELECT {keys} FROM {load_q} GROUP BY {keys} HAVING COUNT(*) > 1) AS repeated;
DELETE FROM {target_q} USING {load_q} WHERE {on} AND {load}._change = 'd';
DELETE FROM {load_q} WHERE _change = 'd';
MERGE INTO {target_q} USING {load_q} ON {on}
WHEN MATCHED THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values});
DELETE FROM {load_q};
",
        version = set.version,
        upserts = set.upserts,
        deletes = set.deletes,
        path = manifest_path(publication, table, set),
        keys = list(keys.iter().copied()),
        load = ident(&load),
        assignments = assignments.join(", "),
        columns = list(columns.iter().map(String::as_str)),
        values = values.join(", "),
    )
}
