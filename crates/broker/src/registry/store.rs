//! Subjects, versions and schemas: decisions in memory, every change a line of a journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::avro::{BadSchema, Schema};
use super::compatibility::Level;
use crate::error::BrokerError;
use crate::journal::Journal;
use crate::recovered::Recovered;

/// Whether a subject takes new schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Mode {
    Readwrite,
    Readonly,
}

/// A change, as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Entry {
    Schema {
        id: u32,
        schema: String,
    },
    Version {
        subject: String,
        version: u32,
        id: u32,
    },
    /// Hidden, but its number and schema stay.
    Hidden {
        subject: String,
        version: u32,
    },
    Removed {
        subject: String,
        version: u32,
    },
    /// No subject: the global one. No value: back to the global one.
    Level {
        subject: Option<String>,
        level: Option<Level>,
    },
    Mode {
        subject: Option<String>,
        mode: Option<Mode>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    id: u32,
    hidden: bool,
}

/// A version of a subject with its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) subject: String,
    pub(super) version: u32,
    pub(super) id: u32,
    pub(super) schema: String,
}

/// Which version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Latest,
    Number(u32),
}

/// Why a request was refused; the numbers are Confluent's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("Subject '{0}' not found.")]
    Subject(String),
    #[error("Version {0} not found.")]
    Version(u32),
    #[error("Schema not found")]
    Schema,
    #[error("Subject '{0}' was soft deleted. Set permanent=true to delete permanently")]
    SoftDeleted(String),
    #[error("Subject '{0}' was not deleted first before being permanently deleted")]
    NotSoftDeleted(String),
    #[error("Subject '{0}' Version {1} was not deleted first before being permanently deleted")]
    VersionNotSoftDeleted(String, u32),
    #[error("Subject '{0}' does not have subject-level compatibility configured")]
    NoLevel(String),
    #[error("Subject '{0}' does not have subject-level mode configured")]
    NoMode(String),
    #[error("Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]", .problems.join("; "))]
    Incompatible { subject: String, problems: Vec<String> },
    #[error("Invalid schema: {0}")]
    Invalid(#[from] BadSchema),
    #[error("Invalid schema: {0}")]
    Unsupported(&'static str),
    #[error(
        "The specified version '{0}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
    )]
    WhichVersion(String),
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
    )]
    Level,
    #[error("Invalid mode. Valid values are READWRITE and READONLY")]
    Mode,
    #[error("Subject {0} is in read-only mode")]
    ReadOnly(String),
    #[error("Error while writing to the registry's journal: {0}")]
    Storage(#[from] io::Error),
}

impl Refused {
    /// Confluent's error code; its first three digits are the HTTP status.
    pub(super) fn code(&self) -> u32 {
        match self {
            Self::Subject(_) => 40401,
            Self::Version(_) => 40402,
            Self::Schema => 40403,
            Self::SoftDeleted(_) => 40404,
            Self::NotSoftDeleted(_) => 40405,
            Self::VersionNotSoftDeleted(..) => 40407,
            Self::NoLevel(_) => 40408,
            Self::NoMode(_) => 40409,
            Self::Incompatible { .. } => 409,
            Self::Invalid(_) | Self::Unsupported(_) => 42201,
            Self::WhichVersion(_) => 42202,
            Self::Level => 42203,
            Self::Mode => 42204,
            Self::ReadOnly(_) => 42205,
            Self::Storage(_) => 50001,
        }
    }
}

/// What the journal adds up to.
#[derive(Debug, Default)]
struct Held {
    schemas: BTreeMap<u32, String>,
    ids: HashMap<String, u32>,
    subjects: BTreeMap<String, BTreeMap<u32, Version>>,
    levels: BTreeMap<Option<String>, Level>,
    modes: BTreeMap<Option<String>, Mode>,
}

impl Held {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Schema { id, schema } => {
                self.ids.insert(schema.clone(), id);
                self.schemas.insert(id, schema);
            }
            Entry::Version { subject, version, id } => {
                self.subjects.entry(subject).or_default().insert(version, Version { id, hidden: false });
            }
            Entry::Hidden { subject, version } => {
                if let Some(v) = self.subjects.get_mut(&subject).and_then(|s| s.get_mut(&version)) {
                    v.hidden = true;
                }
            }
            Entry::Removed { subject, version } => {
                if let Some(versions) = self.subjects.get_mut(&subject) {
                    versions.remove(&version);
                    if versions.is_empty() {
                        self.subjects.remove(&subject);
                    }
                }
            }
            Entry::Level { subject, level } => match level {
                Some(level) => drop(self.levels.insert(subject, level)),
                None => drop(self.levels.remove(&subject)),
            },
            Entry::Mode { subject, mode } => match mode {
                Some(mode) => drop(self.modes.insert(subject, mode)),
                None => drop(self.modes.remove(&subject)),
            },
        }
    }
}

/// The registry's state over its journal.
#[derive(Debug)]
pub(super) struct Store {
    journal: Journal,
    held: Held,
}

/// The text under which a schema is known: its JSON without white space, in the order it was written.
pub(super) fn canonical(text: &str) -> Result<(String, Schema), Refused> {
    let schema = Schema::parse(text)?;
    let json: Value = serde_json::from_str(text).map_err(|e| BadSchema::Json(e.to_string()))?;
    Ok((json.to_string(), schema))
}

impl Store {
    /// Reads the journal.
    pub(super) fn open(dir: &Path, recovered: &mut Recovered) -> Result<Self, BrokerError> {
        let (journal, entries) = Journal::open::<Entry>(&dir.join("schemas.jsonl"), recovered)?;
        let mut held = Held::default();
        for entry in entries {
            held.apply(entry);
        }
        Ok(Self { journal, held })
    }

    fn write(&mut self, entries: Vec<Entry>) -> Result<(), Refused> {
        self.journal.append_durably(&entries)?;
        for entry in entries {
            self.held.apply(entry);
        }
        Ok(())
    }

    /// Registers a schema under a subject; the same schema gets the same id, everywhere and for ever.
    pub(super) fn register(&mut self, subject: &str, text: &str) -> Result<u32, Refused> {
        let (text, schema) = canonical(text)?;
        let known = self.held.ids.get(&text).copied();
        let versions = self.held.subjects.get(subject);
        if let (Some(id), Some(versions)) = (known, versions)
            && versions.values().any(|v| v.id == id && !v.hidden)
        {
            return Ok(id);
        }
        if self.mode(Some(subject)) == Mode::Readonly {
            return Err(Refused::ReadOnly(subject.into()));
        }
        let problems = self.level(Some(subject)).problems(&schema, &self.earlier(subject, None));
        if !problems.is_empty() {
            return Err(Refused::Incompatible { subject: subject.into(), problems });
        }
        let version = versions.and_then(|v| v.keys().next_back()).map_or(1, |last| last + 1);
        let id = known.unwrap_or_else(|| self.held.schemas.keys().next_back().map_or(1, |last| last + 1));
        let mut entries = Vec::new();
        if known.is_none() {
            entries.push(Entry::Schema { id, schema: text });
        }
        entries.push(Entry::Version { subject: subject.into(), version, id });
        self.write(entries)?;
        Ok(id)
    }

    /// The visible schemas of a subject, oldest first: all, or one.
    fn earlier(&self, subject: &str, only: Option<u32>) -> Vec<Schema> {
        let versions = self.held.subjects.get(subject).into_iter().flatten();
        let wanted = versions.filter(|(n, v)| !v.hidden && only.is_none_or(|o| o == **n));
        // What was registered has been parsed before.
        wanted.filter_map(|(_, v)| Schema::parse(self.held.schemas.get(&v.id)?).ok()).collect()
    }

    /// What keeps a schema from being registered; `None` as version: as registering would see it.
    pub(super) fn problems(&self, subject: &str, which: Option<Which>, text: &str) -> Result<Vec<String>, Refused> {
        let (_, schema) = canonical(text)?;
        let level = self.level(Some(subject));
        let only = match which {
            None => None,
            Some(Which::Latest) => match self.resolve(subject, Which::Latest, false) {
                Ok(found) => Some(found.version),
                // Nothing to be at odds with.
                Err(Refused::Subject(_)) => return Ok(Vec::new()),
                Err(refused) => return Err(refused),
            },
            Some(which) => Some(self.resolve(subject, which, false)?.version),
        };
        Ok(level.problems(&schema, &self.earlier(subject, only)))
    }

    /// The version of a subject that has this schema.
    pub(super) fn lookup(&self, subject: &str, text: &str, hidden_too: bool) -> Result<Found, Refused> {
        let (text, _) = canonical(text)?;
        self.versions(subject, hidden_too)?;
        let versions = self.held.subjects.get(subject).into_iter().flatten().rev();
        let id = self.held.ids.get(&text).ok_or(Refused::Schema)?;
        let mut wanted = versions.filter(|(_, v)| v.id == *id && (hidden_too || !v.hidden));
        let (version, _) = wanted.next().ok_or(Refused::Schema)?;
        Ok(Found { subject: subject.into(), version: *version, id: *id, schema: text })
    }

    /// A version of a subject.
    pub(super) fn resolve(&self, subject: &str, which: Which, hidden_too: bool) -> Result<Found, Refused> {
        let numbers = self.versions(subject, hidden_too)?;
        let version = match which {
            Which::Latest => numbers.last().copied().ok_or_else(|| Refused::Subject(subject.into()))?,
            Which::Number(n) if numbers.contains(&n) => n,
            Which::Number(n) => return Err(Refused::Version(n)),
        };
        let found = self.held.subjects.get(subject).and_then(|s| s.get(&version)).ok_or(Refused::Version(version))?;
        let schema = self.schema(found.id)?.to_owned();
        Ok(Found { subject: subject.into(), version, id: found.id, schema })
    }

    /// The numbers of a subject's versions; never empty.
    pub(super) fn versions(&self, subject: &str, hidden_too: bool) -> Result<Vec<u32>, Refused> {
        let versions = self.held.subjects.get(subject).into_iter().flatten();
        let numbers: Vec<_> = versions.filter(|(_, v)| hidden_too || !v.hidden).map(|(n, _)| *n).collect();
        if numbers.is_empty() { Err(Refused::Subject(subject.into())) } else { Ok(numbers) }
    }

    /// Names of subjects.
    pub(super) fn subjects(&self, hidden_too: bool) -> Vec<String> {
        let visible = |versions: &BTreeMap<u32, Version>| versions.values().any(|v| hidden_too || !v.hidden);
        self.held.subjects.iter().filter(|(_, v)| visible(v)).map(|(s, _)| s.clone()).collect()
    }

    /// A schema's text.
    pub(super) fn schema(&self, id: u32) -> Result<&str, Refused> {
        self.held.schemas.get(&id).map(String::as_str).ok_or(Refused::Schema)
    }

    /// Where a schema is used: subject and version.
    pub(super) fn uses(&self, id: u32) -> Result<Vec<(String, u32)>, Refused> {
        self.schema(id)?;
        let mut out = Vec::new();
        for (subject, versions) in &self.held.subjects {
            let used = versions.iter().filter(|(_, v)| v.id == id && !v.hidden);
            out.extend(used.map(|(n, _)| (subject.clone(), *n)));
        }
        Ok(out)
    }

    /// Hides all versions of a subject; their schemas stay readable by id.
    pub(super) fn hide_subject(&mut self, subject: &str) -> Result<Vec<u32>, Refused> {
        if self.versions(subject, true).is_ok() && self.versions(subject, false).is_err() {
            return Err(Refused::SoftDeleted(subject.into()));
        }
        let numbers = self.versions(subject, false)?;
        let entry = |version: &u32| Entry::Hidden { subject: subject.into(), version: *version };
        self.write(numbers.iter().map(entry).collect())?;
        Ok(numbers)
    }

    /// Removes a hidden subject; its version numbers start again at 1 when it comes back.
    pub(super) fn remove_subject(&mut self, subject: &str) -> Result<Vec<u32>, Refused> {
        let numbers = self.versions(subject, true)?;
        if self.versions(subject, false).is_ok() {
            return Err(Refused::NotSoftDeleted(subject.into()));
        }
        let entry = |version: &u32| Entry::Removed { subject: subject.into(), version: *version };
        self.write(numbers.iter().map(entry).collect())?;
        Ok(numbers)
    }

    /// Hides one version.
    pub(super) fn hide_version(&mut self, subject: &str, which: Which) -> Result<u32, Refused> {
        let version = self.resolve(subject, which, false)?.version;
        self.write(vec![Entry::Hidden { subject: subject.into(), version }])?;
        Ok(version)
    }

    /// Removes one hidden version.
    pub(super) fn remove_version(&mut self, subject: &str, which: Which) -> Result<u32, Refused> {
        let version = self.resolve(subject, which, true)?.version;
        let visible: BTreeSet<_> = self.versions(subject, false).unwrap_or_default().into_iter().collect();
        if visible.contains(&version) {
            return Err(Refused::VersionNotSoftDeleted(subject.into(), version));
        }
        self.write(vec![Entry::Removed { subject: subject.into(), version }])?;
        Ok(version)
    }

    /// The level in force.
    pub(super) fn level(&self, subject: Option<&str>) -> Level {
        let own = subject.and_then(|s| self.held.levels.get(&Some(s.to_owned())));
        own.or_else(|| self.held.levels.get(&None)).copied().unwrap_or(Level::Backward)
    }

    /// The level of the subject itself.
    pub(super) fn own_level(&self, subject: &str) -> Result<Level, Refused> {
        self.held.levels.get(&Some(subject.into())).copied().ok_or_else(|| Refused::NoLevel(subject.into()))
    }

    /// Sets a level, or goes back to the one above.
    pub(super) fn set_level(&mut self, subject: Option<&str>, level: Option<Level>) -> Result<(), Refused> {
        self.write(vec![Entry::Level { subject: subject.map(Into::into), level }])
    }

    /// The mode in force.
    pub(super) fn mode(&self, subject: Option<&str>) -> Mode {
        let own = subject.and_then(|s| self.held.modes.get(&Some(s.to_owned())));
        own.or_else(|| self.held.modes.get(&None)).copied().unwrap_or(Mode::Readwrite)
    }

    /// The mode of the subject itself.
    pub(super) fn own_mode(&self, subject: &str) -> Result<Mode, Refused> {
        self.held.modes.get(&Some(subject.into())).copied().ok_or_else(|| Refused::NoMode(subject.into()))
    }

    /// Sets a mode, or goes back to the one above.
    pub(super) fn set_mode(&mut self, subject: Option<&str>, mode: Option<Mode>) -> Result<(), Refused> {
        self.write(vec![Entry::Mode { subject: subject.map(Into::into), mode }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Store {
        Store::open(dir, &mut Recovered::default()).unwrap()
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
    }

    const A: &str = r#"{"name":"a","type":"int"}"#;
    const B: &str = r#"{"name":"b","type":"int","default":0}"#;

    #[test]
    fn the_same_schema_has_the_same_id_in_every_subject_and_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let one = record(A);
        assert_eq!(store.register("s", &one).unwrap(), 1);
        assert_eq!(store.register("s", &one.replace(',', " ,\n ")).unwrap(), 1);
        assert_eq!(store.register("s", &record(&format!("{A},{B}"))).unwrap(), 2);
        assert_eq!(store.register("t", &one).unwrap(), 1);
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(store.register("u", &one).unwrap(), 1);
        assert_eq!(store.register("u", r#""string""#).unwrap_err().code(), 409);
        assert_eq!(store.register("v", r#""string""#).unwrap(), 3);
        assert_eq!(store.versions("s", false).unwrap(), [1, 2]);
        assert_eq!(store.uses(1).unwrap(), [("s".into(), 1), ("t".into(), 1), ("u".into(), 1)]);
    }

    #[test]
    fn a_refused_schema_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.register("s", &record(A)).unwrap();
        assert_eq!(store.register("s", "{").unwrap_err().code(), 42201);
        assert_eq!(store.register("s", &record(r#"{"name":"c","type":"int"}"#)).unwrap_err().code(), 409);
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(store.versions("s", false).unwrap(), [1]);
        assert_eq!(store.register("t", r#""int""#).unwrap(), 2);
    }

    #[test]
    fn a_hidden_subject_keeps_its_numbers_and_a_removed_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.register("s", r#""int""#).unwrap();
        assert_eq!(store.remove_subject("s").unwrap_err().code(), 40405);
        assert_eq!(store.hide_subject("s").unwrap(), [1]);
        assert_eq!(store.hide_subject("s").unwrap_err().code(), 40404);
        assert!(store.subjects(false).is_empty());
        assert_eq!(store.subjects(true), ["s"]);
        assert_eq!(store.schema(1).unwrap(), r#""int""#);
        // Nothing visible to be at odds with.
        store.register("s", r#""string""#).unwrap();
        assert_eq!(store.versions("s", false).unwrap(), [2]);
        store.hide_subject("s").unwrap();
        assert_eq!(store.remove_subject("s").unwrap(), [1, 2]);
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(store.register("s", r#""int""#).unwrap(), 1);
        assert_eq!(store.versions("s", true).unwrap(), [1]);
    }

    #[test]
    fn a_subjects_own_level_and_mode_win_over_the_global_ones() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.set_level(None, Some(Level::None)).unwrap();
        store.set_level(Some("s"), Some(Level::Full)).unwrap();
        store.set_mode(Some("r"), Some(Mode::Readonly)).unwrap();
        drop(store);
        let mut store = open(dir.path());
        assert_eq!((store.level(Some("s")), store.level(Some("t"))), (Level::Full, Level::None));
        assert_eq!(store.register("r", r#""int""#).unwrap_err().code(), 42205);
        store.set_level(Some("s"), None).unwrap();
        assert_eq!(store.level(Some("s")), Level::None);
        assert_eq!(store.own_level("s").unwrap_err().code(), 40408);
    }
}
