//! The date dimension's table: the years that it lacks are appended.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;
use weir_lake::{DataFile, NewFile, Partition, Table};
use weir_project::Model;

use crate::bucket::Rewritten;
use crate::calendar::{filled, rows};
use crate::change_set::Writer;
use crate::error::{CuratedError, of};
use crate::report::TableReport;
use crate::room::Room;
use crate::table_commit::{Outcome, commit};

/// Adds what `mentioned` years need.
pub(crate) async fn build(
    room: &Room,
    model: &Model,
    mentioned: &BTreeSet<i32>,
) -> Result<(Table, TableReport), CuratedError> {
    let mut table = room.table(model).await?;
    let first = table.files().next().is_none();
    let stored = years(model, &table).await?;
    let wanted = filled(&stored.union(mentioned).copied().collect());
    let missing: BTreeSet<i32> = wanted.difference(&stored).copied().collect();
    let mut change_set = Writer::new(&room.lake, model, table.schema());
    let mut rewritten = Rewritten::default();
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

/// The years that the table has.
pub(crate) async fn years(model: &Model, table: &Table) -> Result<BTreeSet<i32>, CuratedError> {
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut years = BTreeSet::new();
    for batch in table.read_all(&files, Some(&["year"])).await? {
        let column = batch.column(0).as_primitive_opt::<Int32Type>();
        let other = || arrow::error::ArrowError::SchemaError("`year` is no integer".to_owned());
        let column = column.ok_or_else(other).map_err(of(&model.name))?;
        years.extend((0..column.len()).filter(|i| column.is_valid(*i)).map(|i| column.value(i)));
    }
    Ok(years)
}
