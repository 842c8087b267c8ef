//! `warehouse/migrations/NNN_name.sql`: grants, views of users and what else no model says, each applied once and in order.
//!
//! A migration and the note of it in `staging.migrations` are one transaction. Tables of the star schema are none of its
//! business: they follow the models.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use weir_project::{Migration, Project};

use super::has_table;
use crate::connection::Connection;
use crate::error::WarehouseError;
use crate::lint::lint;
use crate::script::{Placeholders, substitute};
use crate::statement::text::{Cursor, redshift_literal, split};

/// The note of what was applied.
const LEDGER: &str = "CREATE TABLE IF NOT EXISTS staging.migrations (
    number INTEGER NOT NULL,
    name VARCHAR(127) NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    applied_at TIMESTAMP NOT NULL
) DISTSTYLE ALL SORTKEY(number);
";

/// What Redshift runs in no transaction, or what ends one.
const OUTSIDE: [&str; 13] = [
    "begin",
    "start transaction",
    "commit",
    "end",
    "rollback",
    "abort",
    "truncate",
    "vacuum",
    "create database",
    "drop database",
    "create external table",
    "refresh materialized view",
    "call",
];

/// Migrations that a warehouse does not have yet, in their order. Fails where what it has is not what the project says.
pub fn pending<'p>(
    connection: &mut dyn Connection,
    project: &'p Project,
) -> Result<Vec<&'p Migration>, WarehouseError> {
    if !has_table(connection, "migrations")? {
        return Ok(project.migrations.iter().collect());
    }
    let (mut applied, mut newest) = (BTreeSet::new(), 0);
    for row in connection.rows("SELECT number, name, checksum FROM staging.migrations ORDER BY number")? {
        let [Some(number), Some(name), Some(sum)] = row.as_slice() else { continue };
        newest = number.parse().unwrap_or(newest);
        applied.insert(newest);
        match project.migrations.iter().find(|migration| migration.number == newest) {
            Some(found) if checksum(found) == *sum => {}
            Some(found) => return Err(WarehouseError::MigrationChanged { name: found.name.clone() }),
            None => {
                let problem = "was applied, and its file is gone".to_owned();
                return Err(WarehouseError::MigrationOrder { name: name.clone(), problem });
            }
        }
    }
    let pending = project.migrations.iter().filter(|migration| !applied.contains(&migration.number));
    let pending: Vec<&Migration> = pending.collect();
    match pending.first().filter(|first| first.number < newest) {
        Some(late) => {
            let problem = format!("comes late: number {newest} is applied already");
            Err(WarehouseError::MigrationOrder { name: late.name.clone(), problem })
        }
        None => Ok(pending),
    }
}

/// Applies what is pending; the names.
pub fn apply_pending(
    connection: &mut dyn Connection,
    project: &Project,
    values: &Placeholders,
) -> Result<Vec<String>, WarehouseError> {
    if project.migrations.is_empty() {
        return Ok(Vec::new());
    }
    let pending = pending(connection, project)?;
    for migration in &pending {
        let text = judged(migration, values)?;
        let (number, name) = (migration.number, redshift_literal(&migration.name));
        let sum = redshift_literal(&checksum(migration));
        let script = format!(
            "BEGIN;\n{LEDGER}{text}\n;\nINSERT INTO staging.migrations (number, name, checksum, applied_at)
SELECT {number}, {name}, {sum}, GETDATE();\nCOMMIT;\n"
        );
        connection.transaction(&script, ("warehouse.migration_before_commit", "warehouse.migration_committed"))?;
        tracing::info!(migration = %migration.name, "applied");
    }
    Ok(pending.into_iter().map(|migration| migration.name.clone()).collect())
}

/// A migration's text with its values, if Redshift takes it and it stays in its transaction.
pub fn judged(migration: &Migration, values: &Placeholders) -> Result<String, WarehouseError> {
    let text = substitute(&migration.text, values)?;
    for piece in split(&text)? {
        let mut cursor = Cursor::new(&piece);
        if OUTSIDE.iter().any(|words| cursor.accept(words)) {
            let what = Cursor::new(&piece).title();
            return Err(WarehouseError::MigrationEnds { name: migration.name.clone(), what });
        }
    }
    match lint(&text)?.into_iter().next() {
        Some(finding) => Err(WarehouseError::Refused(finding)),
        None => Ok(text),
    }
}

/// Of the text with line ends of one kind: a checkout may change them.
fn checksum(migration: &Migration) -> String {
    hex::encode(Sha256::digest(migration.text.replace("\r\n", "\n")))
}
