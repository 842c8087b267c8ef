//! How a table differs from an older version of itself: read from the change sets of the commits between, which
//! hold every row that was set and every row that went.
//!
//! Where the table was made anew between, its change set holds every row that is there now, and the columns may be
//! others: then rows are compared in the columns of both, a column that one of them lacks being null there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{can_cast_types, concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use futures::StreamExt;
use weir_core::name::ModelName;
use weir_core::value::Value;
use weir_lake::{DataFile, Table, align_batch};
use weir_project::{Model, ModelKind};

use crate::change_set::{Written, read_rows};
use crate::changes::encoded;
use crate::column_changes::ColumnChanges;
use crate::error::{CuratedError, of};
use crate::key::{key_hashes, value_at};
use crate::layout::{DIMENSION_TAIL, change_set_schema, load_key};
use crate::room::{KeySet, Room, named};

/// Rows of each kind that are shown.
const SAMPLES: usize = 5;

/// How a table would differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDiff {
    /// The curated table.
    pub table: ModelName,
    /// How its columns would.
    pub schema: ColumnChanges,
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

/// How `after` differs from `before`, an older version of the same table. Without the `same_key`, or where that one has
/// other types (an aggregate's groups may), none of its rows is one of the rows before.
pub(crate) async fn diff(
    room: &Room,
    model: &Model,
    same_key: bool,
    [before, after]: [&Table; 2],
) -> Result<TableDiff, CuratedError> {
    let mut written = Written::since(after, before.version()).await?;
    let anew = written.iter().rposition(|(_, written)| written.anew);
    written.drain(..anew.unwrap_or(0));
    let mut schema = ColumnChanges::between(before.schema(), after.schema());
    schema.redeclared = anew.is_some() && schema.is_empty();
    let mut found = TableDiff {
        table: model.name.clone(),
        schema,
        added: 0,
        removed: 0,
        changed: 0,
        unchanged: 0,
        repointed: 0,
        columns: BTreeMap::new(),
        samples: Vec::new(),
    };
    let kind =
        |table: &Table, name: &str| table.schema().fields().find(name).map(|(_, field)| field.data_type().clone());
    let same_key = same_key && load_key(model).iter().all(|name| kind(before, name) == kind(after, name));
    let both = both(before.schema(), after.schema());
    for (_, written) in &written {
        for file in &written.files {
            // In table order, with `_change` behind them.
            let rows = read_rows(after.lake(), &file.path, None).await?;
            let rows = concat_batches(&change_set_schema(after.schema()), &rows).map_err(of(&model.name))?;
            one_file(room, model, (before, same_key), (&rows, &both), &mut found).await?;
        }
    }
    if anew.is_some() {
        gone(room, model, same_key, [before, after], &mut found).await?;
    }
    found.unchanged = before.rows().saturating_sub(found.removed + found.changed);
    Ok(found)
}

async fn one_file(
    room: &Room,
    model: &Model,
    (before, same_key): (&Table, bool),
    (rows, both): (&RecordBatch, &SchemaRef),
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
    let files: Vec<DataFile> = if same_key { before.files().cloned().collect() } else { Vec::new() };
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
            changed(room, model, [&old, &new], both, found).map_err(arrow)?;
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

/// The columns of a table and then those that it had before and has no more.
fn both(before: &Schema, after: &Schema) -> SchemaRef {
    let gone = before.fields().iter().filter(|field| after.fields().find(field.name()).is_none());
    Arc::new(Schema::new(after.fields().iter().chain(gone).cloned().collect::<Vec<_>>()))
}

/// Rows in these columns: null where they lack one, or cannot be of its type.
fn in_both(rows: &RecordBatch, both: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let can = |field: &&Arc<Field>| {
        let found = rows.column_by_name(field.name());
        found.is_some_and(|found| can_cast_types(found.data_type(), field.data_type()))
    };
    let names = both.fields().iter().filter(can).map(|field| rows.schema().index_of(field.name()));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    align_batch(&rows.project(&names)?, both)
}

/// Rows of a table that was made anew whose key is not there any more.
async fn gone(
    room: &Room,
    model: &Model,
    same_key: bool,
    [before, after]: [&Table; 2],
    found: &mut TableDiff,
) -> Result<(), CuratedError> {
    if !same_key {
        found.removed += before.rows();
        return Ok(());
    }
    let arrow = of(&model.name);
    let key = load_key(model);
    let names: Vec<&str> = key.iter().map(String::as_str).collect();
    let files: Vec<DataFile> = after.files().cloned().collect();
    let mut left = KeySet::default();
    let mut stored = after.read(&files, Some(&names))?;
    while let Some(batch) = stored.next().await {
        left.extend(key_hashes(batch?.columns()));
    }
    let files: Vec<DataFile> = before.files().cloned().collect();
    let mut stored = before.read(&files, Some(&before.column_names()))?;
    while let Some(batch) = stored.next().await {
        let batch = batch?;
        let keys = key_hashes(&by_name(&batch, &key).map_err(arrow)?);
        for (row, _) in keys.iter().enumerate().filter(|(_, key)| !left.contains(key)) {
            found.removed += 1;
            if found.samples.iter().filter(|sample| sample.change == "removed").count() < SAMPLES {
                let key = label(room, model, &batch, row).map_err(arrow)?;
                found.samples.push(Sample { change: "removed", key, columns: Vec::new() });
            }
        }
    }
    Ok(())
}

/// Rows that keep their key, side by side.
fn changed(
    room: &Room,
    model: &Model,
    [were, are]: [&RecordBatch; 2],
    both: &SchemaRef,
    found: &mut TableDiff,
) -> Result<(), ArrowError> {
    let (old, new) = (in_both(were, both)?, in_both(are, both)?);
    let mut differing: Vec<Vec<usize>> = vec![Vec::new(); old.num_rows()];
    let pointers: Vec<&str> = match &model.kind {
        ModelKind::Fact { dimensions, .. } => dimensions.iter().map(|pointer| pointer.key_column.as_str()).collect(),
        _ => Vec::new(),
    };
    let mut repointed = vec![false; old.num_rows()];
    for (i, field) in both.fields().iter().enumerate() {
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
    found.changed += differing.iter().filter(|columns| !columns.is_empty()).count() as u64;
    found.repointed += repointed.iter().filter(|yes| **yes).count() as u64;
    let shown = found.samples.iter().filter(|sample| sample.change == "changed").count();
    let differing = differing.iter().enumerate().filter(|(_, columns)| !columns.is_empty());
    for (row, columns) in differing.take(SAMPLES.saturating_sub(shown)) {
        let columns = columns.iter().map(|i| {
            let name = both.field(*i).name();
            // A column that the model has no more is not known to hold nobody's data.
            let hidden = room.hides(model, name) || (model.source.is_some() && are.column_by_name(name).is_none());
            let value = |rows: &RecordBatch| match rows.column_by_name(name) {
                Some(_) if hidden => "(personal)".to_owned(),
                Some(column) => value_at(column.as_ref(), row).to_string(),
                None => Value::Null.to_string(),
            };
            (name.clone(), value(were), value(are))
        });
        let columns = columns.collect();
        found.samples.push(Sample { change: "changed", key: label(room, model, are, row)?, columns });
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
