//! Each setting's value and where it comes from: flag, variable, environment file, `weir.yaml`, default.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Fault, Place, Problem, suggest};
use crate::schema::setting_paths;
use crate::yaml::{Document, Node, Value};

/// What holds where nothing is said. The schemas and the reference page print these.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("stream.brokers", "embedded"),
    ("stream.registry", "embedded"),
    ("stream.partitions", "4"),
    ("stream.retention", "7d"),
    ("lake.root", "lake"),
    ("lake.memory", "256MiB"),
    ("lake.vacuum_after", "7d"),
    ("landing.max_wait", "1m"),
    ("landing.max_rows", "100000"),
    ("landing.max_size", "32MiB"),
    ("landing.retention", "90d"),
    ("landing.compact_after", "1h"),
    ("landing.compact_size", "64MiB"),
    ("landing.allowed_lateness", "10m"),
    ("staging.max_rows", "200000"),
    ("staging.unavailable_value", "__debezium_unavailable_value"),
    ("curated.buckets", "16"),
    ("warehouse.target", "embedded"),
    ("warehouse.timeout", "1h"),
    ("warehouse.mirrors", "true"),
    ("warehouse.refresh_every", "1m"),
    ("warehouse.memory", "256MiB"),
    ("warehouse.iam_role", "default"),
    ("warehouse.auth", "none"),
    ("catalog.target", "embedded"),
    ("metrics.emf", "false"),
];

/// Who gave a setting its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--set section.key=value`.
    Flag,
    /// The environment variable of this name.
    Variable(String),
    /// A file, at a line.
    File(Place),
    /// Weir's own default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(place) => write!(f, "{}:{}", place.file, place.line),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting as `config show --resolved --origin` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedSetting {
    /// `section.key`, or `stream.client.<librdkafka key>`.
    pub path: String,
    /// The value as written: a secret shows as its reference.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl ResolvedSetting {
    /// Where a problem with it is to be shown.
    pub(crate) fn place(&self) -> Place {
        match &self.origin {
            Origin::Flag => Place::whole(format!("--set {}", self.path)),
            Origin::Variable(name) => Place::whole(name.clone()),
            Origin::File(place) => place.clone(),
            Origin::Default => Place::whole("default"),
        }
    }
}

/// Every setting that has a value, by path.
pub(crate) type Resolved = BTreeMap<String, ResolvedSetting>;

/// Lays the sources over each other, weakest first. `files` are `weir.yaml` and the environment's.
pub(crate) fn resolve(
    files: &[&Document],
    variables: &[(String, String)],
    flags: &[(String, String)],
) -> (Resolved, Vec<Problem>) {
    let mut resolved = Resolved::new();
    let mut problems = Vec::new();
    let mut put = |path: String, value: String, origin: Origin| {
        resolved.insert(path.clone(), ResolvedSetting { path, value, origin });
    };
    for (path, value) in DEFAULTS {
        put((*path).to_owned(), (*value).to_owned(), Origin::Default);
    }
    for document in files {
        for (path, node) in scalars(&document.root) {
            if let Value::Scalar { text, .. } = &node.value {
                put(path, text.clone(), Origin::File(document.place(node.at)));
            }
        }
    }
    let known = setting_paths();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix("WEIR__") else {
            continue;
        };
        let path = variable_path(rest);
        if is_setting(&path, &known) {
            put(path, value.clone(), Origin::Variable(name.clone()));
        } else {
            let names: Vec<String> =
                known.iter().filter(|path| *path != CLIENT).map(|path| variable_name(path)).collect();
            let hint = suggest(name, names.iter().map(String::as_str));
            problems.push(Problem::new(Fault::UnknownSetting(name.clone()), Place::whole("environment")).hint(hint));
        }
    }
    for (path, value) in flags {
        if is_setting(path, &known) {
            put(path.clone(), value.clone(), Origin::Flag);
        } else {
            let hint = suggest(path, known.iter().map(String::as_str));
            problems.push(Problem::new(Fault::UnknownSetting(path.clone()), Place::whole("--set")).hint(hint));
        }
    }
    (resolved, problems)
}

const CLIENT: &str = "stream.client";

fn is_setting(path: &str, known: &[String]) -> bool {
    let client_key = path.strip_prefix("stream.client.").is_some_and(|key| !key.is_empty());
    client_key || (path != CLIENT && known.iter().any(|known| known == path))
}

/// `LANDING__MAX_WAIT` is `landing.max_wait`; `STREAM__CLIENT__SECURITY_PROTOCOL` is
/// `stream.client.security.protocol`, as librdkafka's keys have dots.
fn variable_path(rest: &str) -> String {
    let lower = rest.to_ascii_lowercase();
    match lower.strip_prefix("stream__client__") {
        Some(key) => format!("stream.client.{}", key.replace('_', ".")),
        None => lower.replace("__", "."),
    }
}

fn variable_name(path: &str) -> String {
    format!("WEIR__{}", path.replace('.', "__").to_ascii_uppercase())
}

/// The scalars of a settings file by path, two levels deep and three for `stream.client`.
fn scalars(root: &Node) -> Vec<(String, &Node)> {
    let mut out = Vec::new();
    let Value::Map(sections) = &root.value else {
        return out;
    };
    for section in sections {
        let Value::Map(keys) = &section.value.value else {
            continue;
        };
        for key in keys {
            let path = format!("{}.{}", section.key, key.key);
            match &key.value.value {
                Value::Scalar { .. } => out.push((path, &key.value)),
                Value::Map(below) if path == CLIENT => {
                    out.extend(below.iter().map(|e| (format!("{CLIENT}.{}", e.key), &e.value)));
                }
                _ => {}
            }
        }
    }
    out
}
