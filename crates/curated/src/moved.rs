//! The log of what moved: one row per fact and pointer that a build pointed to another member than before.
//!
//! The rows stand in a file that the fact's own commit names; `<fact>_moved` takes them from there, and keeps as its
//! position how far it has read the fact's commits. A build that dies in between loses and doubles nothing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use weir_core::zone::Zone;
use weir_lake::{Commit, NewFile, Partition, Partitioning, Table};
use weir_project::Model;

use crate::change_set::{Written, read_rows};
use crate::changes::encoded;
use crate::error::{CuratedError, of};
use crate::facts::FactSpec;
use crate::layout::{EVENT_TIME, moved_name, timestamp};
use crate::room::{Room, named, of_curated};

/// Commits of a fact without a move that are looked through again by the next build, at most.
const LOOKED_THROUGH: i64 = 64;

/// Why a pointer moved.
const VERSIONS: &str = "the dimension's versions changed";
const KEY: &str = "the row names another key";
const TIME: &str = "the row's event time changed";

/// Pointers that differ between rows that give way (`old`) and rows that are written (`new`).
pub(crate) fn moves(
    model: &Model,
    spec: &FactSpec<'_>,
    old: &RecordBatch,
    new: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let (old_keys, new_keys) = (encoded(&named(old, model)?)?, encoded(&named(new, model)?)?);
    let before: HashMap<&[u8], usize> = old_keys.iter().enumerate().map(|(row, key)| (key.data(), row)).collect();
    let pairs: Vec<(usize, usize)> =
        new_keys.iter().enumerate().filter_map(|(row, key)| Some((*before.get(key.data())?, row))).collect();
    let column = |rows: &RecordBatch, name: &str| {
        let found = rows.column_by_name(name).cloned();
        found.ok_or_else(|| ArrowError::SchemaError(format!("a fact has no `{name}`")))
    };
    let mut rows: Vec<u32> = Vec::new();
    let (mut pointers, mut from, mut to, mut why) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let time = [column(old, EVENT_TIME)?, column(new, EVENT_TIME)?];
    let time = [encoded(&time[..1])?, encoded(&time[1..])?];
    for pointer in spec.dimensions {
        let name = pointer.key_column.as_str();
        let (old_to, new_to) = (column(old, name)?, column(new, name)?);
        let (old_to, new_to) = (old_to.as_primitive::<Int64Type>(), new_to.as_primitive::<Int64Type>());
        let named = |rows: &RecordBatch| -> Result<Vec<ArrayRef>, ArrowError> {
            pointer.on.iter().map(|name| column(rows, name.as_str())).collect()
        };
        let (old_on, new_on) = (encoded(&named(old)?)?, encoded(&named(new)?)?);
        for (old_row, new_row) in &pairs {
            if old_to.value(*old_row) == new_to.value(*new_row) {
                continue;
            }
            rows.push(u32::try_from(*new_row).unwrap_or(u32::MAX));
            pointers.push(name);
            from.push(old_to.value(*old_row));
            to.push(new_to.value(*new_row));
            why.push(if old_on.row(*old_row) != new_on.row(*new_row) {
                KEY
            } else if time[0].row(*old_row) != time[1].row(*new_row) {
                TIME
            } else {
                VERSIONS
            });
        }
    }
    let keys = RecordBatch::try_new(key_schema(model, new)?, named(new, model)?)?;
    let mut columns = take_record_batch(&keys, &UInt32Array::from(rows))?.columns().to_vec();
    columns.push(Arc::new(StringArray::from(pointers)));
    columns.push(Arc::new(Int64Array::from(from)));
    columns.push(Arc::new(Int64Array::from(to)));
    columns.push(Arc::new(StringArray::from(why)));
    let mut fields = keys.schema().fields().to_vec();
    fields.extend(tail().map(Arc::new));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn key_schema(model: &Model, rows: &RecordBatch) -> Result<SchemaRef, ArrowError> {
    let schema = rows.schema();
    let field = |name: &weir_core::name::Identifier| schema.field_with_name(name.as_str()).cloned();
    Ok(Arc::new(Schema::new(model.key.iter().map(field).collect::<Result<Vec<_>, _>>()?)))
}

fn tail() -> [Field; 4] {
    [
        Field::new("pointer", DataType::Utf8, true),
        Field::new("old_member", DataType::Int64, true),
        Field::new("new_member", DataType::Int64, true),
        Field::new("why", DataType::Utf8, true),
    ]
}

/// Takes what the fact's commits say since the last time into the log.
pub(crate) async fn append(room: &Room, model: &Model, table: &Table) -> Result<(), CuratedError> {
    let arrow = of(&model.name);
    let name = moved_name(&model.name);
    let log = room.lake.table(Zone::Curated, &name).await?;
    let input = of_curated(table.name());
    let after = log.as_ref().and_then(|log| log.position(&input)).unwrap_or(-1);
    let mut parts = Vec::new();
    for (info, written) in Written::since(table, after).await? {
        let Some(path) = written.repointed else { continue };
        let millis = info.info.get("timestamp").and_then(serde_json::Value::as_i64).unwrap_or_default();
        for rows in read_rows(&room.lake, &path, None).await? {
            let version = Int64Array::from_value(info.version, rows.num_rows());
            let at = TimestampMicrosecondArray::from_value(millis * 1_000, rows.num_rows()).with_timezone("UTC");
            let mut fields = vec![
                Arc::new(Field::new("version", DataType::Int64, true)),
                Arc::new(Field::new("moved_at", timestamp(), true)),
            ];
            fields.extend(rows.schema().fields().iter().cloned());
            let columns = [Arc::new(version) as ArrayRef, Arc::new(at)].into_iter().chain(rows.columns().to_vec());
            let schema = Arc::new(Schema::new(fields));
            parts.push(RecordBatch::try_new(schema, columns.collect()).map_err(arrow)?);
        }
    }
    let mut log = match (log, parts.first()) {
        (Some(log), _) => log,
        (None, Some(rows)) => room.lake.create_table(Zone::Curated, &name, &rows.schema(), Partitioning::None).await?,
        (None, None) => return Ok(()),
    };
    if parts.is_empty() && table.version() - after < LOOKED_THROUGH {
        return Ok(());
    }
    let mut add = Vec::new();
    if let Some(first) = parts.first() {
        let rows = concat_batches(&first.schema(), &parts).map_err(arrow)?;
        tracing::info!(table = %model.name, moved = rows.num_rows(), log = %name, "facts pointed anew");
        add.push(
            log.write_file(NewFile { partition: Partition::None, batches: vec![rows], tags: Default::default() })
                .await?,
        );
    }
    log.commit(Commit { add, positions: vec![(input, table.version())], ..Commit::default() }).await?;
    Ok(())
}
