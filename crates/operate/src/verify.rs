//! `replay --verify`: staging once more from landing, curated once more from staging, in another place, and the
//! proof that both are what the lake holds.
//!
//! Landing forgets: rows that its retention deleted cannot be replayed. Staging's rows of that time are counted
//! as out of reach, and curated is built from the staging that is there, which is kept for good. The delete that a
//! truncation made for a key is compared by its identity alone: its row image is what was known when it was made.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use weir_core::change::Op;
use weir_core::diagnosis::Diagnosed;
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_curated::layout::load_key;
use weir_lake::Lake;
use weir_project::Project;
use weir_staging::Stager;
use weir_staging::truncation::order_keys;

use crate::error::OperateError;
use crate::plan::unstaged;
use crate::reconcile::tally::{Fingerprint, fingerprint};
use crate::reconcile::values::row;
use crate::reconcile::zones::{scan, unreadable};

/// Keys that are named of a table's differing rows.
const KEYS: usize = 5;
/// When a row arrived.
const INGESTED_AT: &str = "_ingested_at";

/// A table against its replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `staging`, `quarantine`, `curated`.
    pub zone: &'static str,
    /// The table.
    pub table: String,
    /// Rows that the replay gave.
    pub expected: u64,
    /// Rows that are there and can be replayed.
    pub found: u64,
    /// Replayed and not there.
    pub missing: u64,
    /// There more than once.
    pub doubled: u64,
    /// There under the right key with another content, or not replayed at all.
    pub different: u64,
    /// There, and older than what landing still holds.
    pub out_of_reach: u64,
    /// Some keys of rows that differ; `(personal)` where a key column may be personal data.
    pub keys: Vec<String>,
}

impl Line {
    /// True when the table is what its source gives.
    pub const fn agrees(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.different == 0
    }
}

/// Replays staging and curated in another place and compares every table. Nothing is left behind.
pub async fn verify(project: &Project, lake: &Lake) -> Result<Vec<Line>, Diagnosed> {
    refuse_behind(project, lake).await?;
    let staged = lake.scratch(&["staging", "quarantine", "quality"]).await?;
    Stager::default().run(project, &staged).await?;
    let mut lines = staging(project, lake, &staged).await?;
    drop(staged);
    let tampered = lines.iter().any(|line| !line.agrees());
    let built = weir_curated::rebuilt(project, lake, tampered).await?;
    lines.extend(curated(project, lake, &built).await?);
    Ok(lines)
}

/// Staging and quarantine of a lake, held to those that `staged` holds.
pub(crate) async fn staging(project: &Project, lake: &Lake, staged: &Lake) -> Result<Vec<Line>, Diagnosed> {
    let mut lines = Vec::new();
    for zone in [Zone::Staging, Zone::Quarantine] {
        for table in &project.tables {
            let mut names: Vec<String> = table.key.iter().map(ToString::to_string).collect();
            names.extend(["_op", "_order_key"].map(str::to_owned));
            let what = What { zone, table: table.name.as_str(), by: &names, shown: &names[..table.key.len()] };
            let hidden = table.key.iter().any(|name| table.pii.contains(name));
            let reach = reach(lake, table.name.as_str()).await?;
            lines.extend(compare(lake, staged, &what, hidden, reach).await?);
        }
    }
    Ok(lines)
}

/// Curated of a lake, held to that of `built`.
pub(crate) async fn curated(project: &Project, lake: &Lake, built: &Lake) -> Result<Vec<Line>, Diagnosed> {
    let mut lines = Vec::new();
    for model in &project.models {
        let (by, shown) = (load_key(model), model.key.iter().map(ToString::to_string).collect::<Vec<_>>());
        let what = What { zone: Zone::Curated, table: model.name.as_str(), by: &by, shown: &shown };
        let hidden = model.key.iter().any(|name| weir_curated::hides(&project.tables, model, name.as_str()));
        lines.extend(compare(lake, built, &what, hidden, i64::MIN).await?);
    }
    Ok(lines)
}

/// What landed and was not staged yet would be replayed too.
pub(crate) async fn refuse_behind(project: &Project, lake: &Lake) -> Result<(), Diagnosed> {
    for table in &project.tables {
        let name = table.name.as_str();
        let Some(landing) = lake.table(Zone::Landing, name).await? else { continue };
        let staging = lake.table(Zone::Staging, name).await?;
        if unstaged(&landing, staging.as_ref()).await?.1 > 0 {
            return Err(OperateError::Behind { table: table.name.clone() }.into());
        }
    }
    Ok(())
}

/// Rows that arrived before this time may have left landing by its retention.
async fn reach(lake: &Lake, name: &str) -> Result<i64, Diagnosed> {
    let Some(landing) = lake.table(Zone::Landing, name).await? else { return Ok(i64::MIN) };
    Ok(landing.retained().await?.map_or(i64::MIN, |retained| retained.before))
}

/// A table that is compared.
struct What<'a> {
    zone: Zone,
    table: &'a str,
    /// Columns that say which row of both is the same.
    by: &'a [String],
    /// Columns that name a row to a person.
    shown: &'a [String],
}

#[derive(Debug)]
struct Replayed {
    content: Fingerprint,
    seen: u32,
}

async fn compare(
    lake: &Lake,
    replay: &Lake,
    what: &What<'_>,
    hidden: bool,
    reach: i64,
) -> Result<Option<Line>, Diagnosed> {
    let (zone, name) = (what.zone, what.table);
    let (found, wanted) = (lake.table(zone, name).await?, replay.table(zone, name).await?);
    let columns = match (&wanted, &found) {
        (Some(table), _) | (None, Some(table)) => table.column_names(),
        (None, None) => return Ok(None),
    };
    if let (Some(found), Some(_)) = (&found, &wanted)
        && found.column_names().into_iter().collect::<BTreeSet<_>>() != columns.iter().copied().collect()
    {
        return Err(unreadable(zone.folder(), name, "its columns are not those of its replay").into());
    }
    let at = |names: &[String]| names.iter().filter_map(|name| columns.iter().position(|c| c == name)).collect();
    let (by, shown): (Vec<usize>, Vec<usize>) = (at(what.by), at(what.shown));
    let mut line = Line {
        zone: zone.folder(),
        table: name.to_owned(),
        expected: 0,
        found: 0,
        missing: 0,
        doubled: 0,
        different: 0,
        out_of_reach: 0,
        keys: Vec::new(),
    };
    let mut keys: BTreeSet<String> = BTreeSet::new();
    let mut note = |batch: &RecordBatch, index: usize| -> Result<(), String> {
        if keys.len() < KEYS {
            let key = row(&shown.iter().map(|i| batch.column(*i).clone()).collect::<Vec<_>>(), index)?;
            let text = key.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
            keys.insert(if hidden { "(personal)".to_owned() } else { text });
        }
        Ok(())
    };

    let truncations: HashSet<Value> = match &found {
        Some(table) if zone == Zone::Staging => {
            order_keys(table).map(|at| Value::Bytes(at.as_bytes().into())).collect()
        }
        _ => HashSet::new(),
    };
    let [op, order_key] = ["_op", "_order_key"].map(|name| columns.iter().position(|column| *column == name));
    let by_truncation = |values: &Row| {
        let value = |at: Option<usize>| at.and_then(|at| values.get(at));
        value(op) == Some(&Value::Text(Op::Delete.letter().to_owned()))
            && value(order_key).is_some_and(|order_key| truncations.contains(order_key))
    };
    let content = |values: &Row| if by_truncation(values) { 0 } else { fingerprint(values) };

    let mut replayed: HashMap<Fingerprint, Replayed> = HashMap::new();
    scan(replay, zone, name, &columns, |batch| {
        for index in 0..batch.num_rows() {
            let values = row(batch.columns(), index)?;
            let name = fingerprint(by.iter().map(|i| &values[*i]));
            replayed.insert(name, Replayed { content: content(&values), seen: 0 });
            line.expected += 1;
        }
        Ok(())
    })
    .await?;
    scan(lake, zone, name, &columns, |batch| {
        let times = batch.column_by_name(INGESTED_AT).and_then(|t| t.as_primitive_opt::<TimestampMicrosecondType>());
        for index in 0..batch.num_rows() {
            let values = row(batch.columns(), index)?;
            let known = replayed.get_mut(&fingerprint(by.iter().map(|i| &values[*i])));
            let same = known.as_ref().is_some_and(|known| known.content == content(&values));
            if let Some(known) = known {
                known.seen += 1;
                if known.seen > 1 {
                    line.doubled += 1;
                    note(batch, index)?;
                }
            }
            // The rows that a truncation ended are older than itself.
            let older = reach > i64::MIN && by_truncation(&values);
            if !same && (older || times.is_some_and(|times| times.value(index) < reach)) {
                line.out_of_reach += 1;
                continue;
            }
            line.found += 1;
            if !same {
                line.different += 1;
                note(batch, index)?;
            }
        }
        Ok(())
    })
    .await?;
    line.missing = replayed.values().filter(|row| row.seen == 0).count() as u64;
    if line.missing > 0 {
        scan(replay, zone, name, &columns, |batch| {
            for index in 0..batch.num_rows() {
                let values = row(batch.columns(), index)?;
                if replayed.get(&fingerprint(by.iter().map(|i| &values[*i]))).is_some_and(|row| row.seen == 0) {
                    note(batch, index)?;
                }
            }
            Ok(())
        })
        .await?;
    }
    line.keys = keys.into_iter().collect();
    Ok(Some(line))
}
