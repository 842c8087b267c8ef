//! How a table differs from an older version of itself: read from the change sets of the commits between, which
//! hold every row that was set and every row that went.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::error::ArrowError;
use futures::StreamExt;
use weir_core::name::ModelName;
use weir_lake::{DataFile, Table};
use weir_project::{Model, ModelKind};

use crate::change_set::{Written, read_rows};
use crate::changes::encoded;
use crate::error::{CuratedError, of};
use crate::key::value_at;
use crate::layout::{DIMENSION_TAIL, change_set_schema, load_key};
use crate::room::{Room, named};

/// Rows of each kind that are shown.
const SAMPLES: usize = 5;

/// How a table would differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDiff {
    /// The curated table.
    pub table: ModelName,
    /// Rows (versions of a dimension) that come.
    pub added: u64,
    /// Rows that go.
    pub removed: u64,
    /// Rows that keep their key and get other values.
    pub changed: u64,
    /// Rows that stay.
    pub unchanged: u64,
    /// Of the changed rows of a fact, those that point to another version of a dimension.
    pub repointed: u64,
    /// Changed rows by column.
    pub columns: BTreeMap<String, u64>,
    /// Some of the rows that differ.
    pub samples: Vec<Sample>,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// Its business key, and the time from which a version holds.
    pub key: String,
    /// The columns that differ: name, before, after; `(personal)` for values that may be.
    pub columns: Vec<(String, String, String)>,
}

/// How `after` differs from `before`, an older version of the same table.
pub(crate) async fn diff(room: &Room, model: &Model, before: &Table, after: &Table) -> Result<TableDiff, CuratedError> {
    let mut found = TableDiff {
        table: model.name.clone(),
        added: 0,
        removed: 0,
        changed: 0,
        unchanged: 0,
        repointed: 0,
        columns: BTreeMap::new(),
        samples: Vec::new(),
    };
    for (_, written) in Written::since(after, before.version()).await? {
        for file in &written.files {
            // In table order, with `_change` behind them.
            let rows = read_rows(after.lake(), &file.path, None).await?;
            let rows = concat_batches(&change_set_schema(after.schema()), &rows).map_err(of(&model.name))?;
            one_file(room, model, before, &rows, &mut found).await?;
        }
    }
    found.unchanged = before.rows().saturating_sub(found.removed + found.changed);
    Ok(found)
}

async fn one_file(
    room: &Room,
    model: &Model,
    before: &Table,
    rows: &RecordBatch,
    found: &mut TableDiff,
) -> Result<(), CuratedError> {
    let arrow = of(&model.name);
    let keys = encoded(&by_name(rows, &load_key(model)).map_err(arrow)?).map_err(arrow)?;
    let letters = rows.column(rows.num_columns() - 1).as_string::<i32>();
    let mut fresh: HashMap<&[u8], u32> = HashMap::new();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for row in 0..rows.num_rows() {
        if letters.value(row) == "u" {
            fresh.insert(keys.row(row).data(), row as u32);
        } else {
            removed.push(row);
        }
    }
    let files: Vec<DataFile> = before.files().cloned().collect();
    let own = before.column_names();
    let mut stored = before.read(&files, Some(&own))?;
    while let Some(batch) = stored.next().await {
        let batch = batch?;
        let at = encoded(&by_name(&batch, &load_key(model)).map_err(arrow)?).map_err(arrow)?;
        let pairs = (0u32..).zip(at.iter()).filter_map(|(old, key)| Some((old, fresh.remove(key.data())?)));
        let (old, new): (Vec<u32>, Vec<u32>) = pairs.unzip();
        if !old.is_empty() {
            let old = take_record_batch(&batch, &UInt32Array::from(old)).map_err(arrow)?;
            let new = take_record_batch(rows, &UInt32Array::from(new)).map_err(arrow)?;
            changed(room, model, &old, &new, found).map_err(arrow)?;
        }
    }
    added.extend(fresh.into_values().map(|row| row as usize));
    added.sort_unstable();
    found.added += added.len() as u64;
    found.removed += removed.len() as u64;
    for (change, rows_of) in [("added", added), ("removed", removed)] {
        for row in rows_of {
            if found.samples.iter().filter(|sample| sample.change == change).count() == SAMPLES {
                break;
            }
            let key = label(room, model, rows, row).map_err(arrow)?;
            found.samples.push(Sample { change, key, columns: Vec::new() });
        }
    }
    Ok(())
}

/// Rows that keep their key, side by side.
fn changed(
    room: &Room,
    model: &Model,
    old: &RecordBatch,
    new: &RecordBatch,
    found: &mut TableDiff,
) -> Result<(), ArrowError> {
    let mut differing: Vec<Vec<usize>> = vec![Vec::new(); old.num_rows()];
    let pointers: Vec<&str> = match &model.kind {
        ModelKind::Fact { dimensions, .. } => dimensions.iter().map(|pointer| pointer.key_column.as_str()).collect(),
        _ => Vec::new(),
    };
    let mut repointed = vec![false; old.num_rows()];
    for (i, field) in old.schema().fields().iter().enumerate() {
        let differs = distinct(old.column(i), new.column(i))?;
        let count = differs.true_count() as u64;
        if count > 0 {
            *found.columns.entry(field.name().clone()).or_default() += count;
        }
        for row in (0..old.num_rows()).filter(|row| differs.value(*row)) {
            differing[row].push(i);
            repointed[row] = repointed[row] || pointers.contains(&field.name().as_str());
        }
    }
    found.changed += old.num_rows() as u64;
    found.repointed += repointed.iter().filter(|yes| **yes).count() as u64;
    let shown = found.samples.iter().filter(|sample| sample.change == "changed").count();
    for (row, columns) in differing.iter().enumerate().take(SAMPLES.saturating_sub(shown)) {
        let schema = old.schema();
        let columns = columns.iter().map(|i| {
            let name = schema.field(*i).name();
            let value = |rows: &RecordBatch| match room.hides(model, name) {
                true => "(personal)".to_owned(),
                false => value_at(rows.column(*i).as_ref(), row).to_string(),
            };
            (name.clone(), value(old), value(new))
        });
        let columns = columns.collect();
        found.samples.push(Sample { change: "changed", key: label(room, model, new, row)?, columns });
    }
    Ok(())
}

/// A row's business key, and from when it holds.
fn label(room: &Room, model: &Model, rows: &RecordBatch, row: usize) -> Result<String, ArrowError> {
    let key = room.shown(model, &named(rows, model)?, std::iter::once(row)).join("");
    let [from, ..] = DIMENSION_TAIL;
    Ok(match (&model.kind, rows.column_by_name(from)) {
        (ModelKind::Dimension { .. }, Some(from)) => format!("{key} from {}", value_at(from.as_ref(), row)),
        _ => key,
    })
}

/// Columns of these names.
pub(crate) fn by_name(rows: &RecordBatch, names: &[String]) -> Result<Vec<ArrayRef>, ArrowError> {
    let column = |name: &String| {
        let found = rows.column_by_name(name).cloned();
        found.ok_or_else(|| ArrowError::SchemaError(format!("rows lack `{name}`")))
    };
    names.iter().map(column).collect()
}
