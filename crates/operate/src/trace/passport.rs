//! What a trace tells of one key: plain data, for JSON and for the text form.

use std::collections::BTreeMap;

use serde::Serialize;

/// What stands in the place of personal data.
pub const PERSONAL: &str = "(personal)";

/// Everything that is known of one business key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Passport {
    /// The model.
    pub table: String,
    /// `dimension` or `fact`.
    pub kind: &'static str,
    /// The business key, by column.
    pub key: Vec<(String, String)>,
    /// Every change of the key, in the source's order.
    pub changes: Vec<Change>,
    /// Records that could not be decoded and whose record key is this key.
    pub dead_letters: Vec<Letter>,
    /// A dimension's versions, oldest first.
    pub versions: Vec<Version>,
    /// A fact's row; none where the newest change is a delete, or before it is built.
    pub row: Option<BTreeMap<String, String>>,
    /// A fact's event time.
    pub event_time: Option<String>,
    /// A fact's pointers.
    pub pointers: Vec<Pointer>,
    /// Files read to find all this, and files there are, by table.
    pub read: BTreeMap<String, FilesRead>,
}

/// How much of a table was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FilesRead {
    /// Files read.
    pub read: usize,
    /// Files of the table.
    pub of: usize,
}

/// One change of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its number in the source's order, from 1.
    pub number: usize,
    /// `c`, `u`, `d` or `r`.
    pub op: String,
    /// The order key, hexadecimal.
    pub order_key: String,
    /// The table at the source.
    pub source: String,
    /// What the order key says, part by part.
    pub position: Vec<(&'static str, String)>,
    /// When the source committed it.
    pub commit_time: String,
    /// The record that brought it.
    pub topic: String,
    /// The record's partition.
    pub partition: i64,
    /// The record's offset.
    pub offset: i64,
    /// The schema that the record was written with: a number, or the UUID of a version.
    pub schema_id: serde_json::Value,
    /// `landed`, `staged` or `quarantined`: how far it has come.
    pub state: &'static str,
    /// Its row in landing; none where retention has removed it.
    pub landing: Option<Spot>,
    /// Its row in staging.
    pub staging: Option<Spot>,
    /// Its row in quarantine.
    pub quarantine: Option<Spot>,
    /// What each expectation of the contract says of it.
    pub rules: Vec<Verdict>,
    /// What came of it in the model's table.
    pub effects: Vec<String>,
}

/// A row of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// The file, relative to the lake's root.
    pub file: String,
    /// The row, counted from 0.
    pub row: usize,
}

/// What a rule says of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The rule.
    pub rule: String,
    /// The column that it looks at.
    pub column: String,
    /// `passed`, `warned`, `quarantined`, or `not judged` for a delete.
    pub verdict: &'static str,
    /// The value that broke it.
    pub value: Option<String>,
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i64,
    /// Its offset.
    pub offset: i64,
    /// Why.
    pub reason: String,
    /// Its row in the dead letters.
    pub deadletter: Spot,
}

/// A version of a dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its number, from 1.
    pub number: usize,
    /// Its surrogate key.
    pub surrogate_key: i64,
    /// Valid from, inclusive.
    pub effective_from: String,
    /// Valid to, exclusive.
    pub effective_to: String,
    /// The one that holds now.
    pub is_current: bool,
    /// No change of its own: a fact named the key first.
    pub is_inferred: bool,
    /// Whether the table holds it; a build is due where not.
    pub is_built: bool,
    /// Number of the change that opened it.
    pub opened_by: Option<usize>,
    /// Number of the newest change that its type 1 columns come from.
    pub updated_by: Option<usize>,
    /// Number of the change that ended it.
    pub closed_by: Option<usize>,
    /// Its columns.
    pub columns: BTreeMap<String, String>,
    /// Facts that point to it.
    pub facts: Vec<PointedBy>,
}

/// Facts that point to a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PointedBy {
    /// The fact table.
    pub table: String,
    /// Its pointer.
    pub column: String,
    /// How many rows.
    pub count: usize,
    /// The first keys.
    pub first: Vec<String>,
}

/// A pointer of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pointer {
    /// The column.
    pub column: String,
    /// The dimension.
    pub dimension: String,
    /// The surrogate key that it holds.
    pub surrogate_key: i64,
    /// Why this version.
    pub why: &'static str,
    /// The way back: the member with this version, and the changes that made it.
    pub member: Option<Passport>,
}
