//! The date dimension's table: the years that it lacks are appended.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use weir_lake::{DataFile, NewFile, Partition, Table};
use weir_project::Model;

use crate::bucket::Rewritten;
use crate::calendar::{filled, rows};
use crate::change_set::Writer;
use crate::error::{CuratedError, of};
use crate::report::TableReport;
use crate::room::Room;
use crate::table_commit::{Outcome, commit};

/// Adds what `mentioned` years need; where they are `all` that facts mention, takes away what they do not need.
pub(crate) async fn build(
    room: &Room,
    model: &Model,
    mentioned: &BTreeSet<i32>,
    all: bool,
) -> Result<(Table, TableReport), CuratedError> {
    let mut table = room.table(model).await?;
    let first = table.files().next().is_none();
    let stored = years(model, &table).await?;
    let wanted = if all { filled(mentioned) } else { filled(&stored.union(mentioned).copied().collect()) };
    let missing: BTreeSet<i32> = wanted.difference(&stored).copied().collect();
    let mut change_set = Writer::new(&room.lake, model, table.schema());
    let mut rewritten = Rewritten::default();
    if !stored.is_subset(&wanted) {
        rewritten.remove = table.files().cloned().collect();
        for batch in table.read_all(&rewritten.remove, Some(&table.column_names())).await? {
            let (kept, gone) = split(&batch, &wanted).map_err(of(&model.name))?;
            change_set.deletes(&gone).await?;
            if kept.num_rows() > 0 {
                let file = NewFile { partition: Partition::None, batches: vec![kept], tags: BTreeMap::new() };
                rewritten.add.push(table.write_file(file).await?);
            }
        }
    }
    if first || !missing.is_empty() {
        let rows = rows(table.schema().clone(), &missing, first).map_err(of(&model.name))?;
        change_set.upserts(&rows).await?;
        let file = NewFile { partition: Partition::None, batches: vec![rows], tags: BTreeMap::new() };
        rewritten.add.push(table.write_file(file).await?);
    }
    let report =
        commit(room, model, &mut table, None, Outcome { positions: Vec::new(), rewritten, change_set }).await?;
    Ok((table, report))
}

/// Rows of wanted years and of none, and the others.
fn split(batch: &RecordBatch, wanted: &BTreeSet<i32>) -> Result<(RecordBatch, RecordBatch), ArrowError> {
    let years = batch.column_by_name("year").and_then(|years| years.as_primitive_opt::<Int32Type>());
    let years = years.ok_or_else(|| ArrowError::SchemaError("`year` is no integer".to_owned()))?;
    let keep: BooleanArray = years.iter().map(|year| Some(year.is_none_or(|year| wanted.contains(&year)))).collect();
    Ok((filter_record_batch(batch, &keep)?, filter_record_batch(batch, &not(&keep)?)?))
}

/// The years that the table has.
pub(crate) async fn years(model: &Model, table: &Table) -> Result<BTreeSet<i32>, CuratedError> {
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut years = BTreeSet::new();
    for batch in table.read_all(&files, Some(&["year"])).await? {
        let column = batch.column(0).as_primitive_opt::<Int32Type>();
        let other = || ArrowError::SchemaError("`year` is no integer".to_owned());
        let column = column.ok_or_else(other).map_err(of(&model.name))?;
        years.extend((0..column.len()).filter(|i| column.is_valid(*i)).map(|i| column.value(i)));
    }
    Ok(years)
}
