//! `warehouse/migrations/NNN_name.sql`: what the warehouse gets once, in order, and no model says.

use std::path::PathBuf;

use crate::error::{Fault, Place, Problem};
use crate::model::SqlFile;

/// A migration of the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its place in the order; from 1, no two alike.
    pub number: u32,
    /// The file's name without `.sql`, e.g. `001_roles`.
    pub name: String,
    /// The file, from the project's folder.
    pub path: PathBuf,
    /// Its text, as written.
    pub text: String,
}

/// The migrations of these files, in their order.
pub(crate) fn check(files: Vec<(String, SqlFile)>, problems: &mut Vec<Problem>) -> Vec<Migration> {
    let mut migrations: Vec<Migration> = Vec::new();
    for (name, SqlFile { path, text }) in files {
        let place = Place::whole(path.display().to_string());
        let Some(number) = number(&name) else {
            let reason = "a migration has a number and a name of lower-case letters, digits and `_`".to_owned();
            let fix = "name it as in `001_roles.sql`".to_owned();
            problems.push(Problem::new(Fault::BadValue { path: name, reason }, place).hint(Some(fix)));
            continue;
        };
        if migrations.iter().any(|other| other.number == number) {
            problems.push(Problem::new(Fault::Duplicate { what: "migration", name: number.to_string() }, place));
        }
        migrations.push(Migration { number, name, path, text });
    }
    migrations.sort_by_key(|migration| migration.number);
    migrations
}

fn number(name: &str) -> Option<u32> {
    let (digits, rest) = name.split_once('_')?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let is_name = !rest.is_empty() && name.len() <= 127 && rest.bytes().all(allowed);
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    (is_name && number > 0).then_some(number)
}
