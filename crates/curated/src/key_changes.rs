//! The log of a dimension's key changes: `<dimension>_key_changes`, from the staging table's creates and deletes.
//!
//! It is brought up to the staging table before a history takes anything from there, so it is never behind the history;
//! the history keeps as its position how much of it its rows follow. Work grows with what was staged: older staging files
//! are read only where their order keys lie among the new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use weir_core::change::Op;
use weir_core::failpoint;
use weir_core::value::Row;
use weir_core::zone::Zone;
use weir_lake::{Commit, DataFile, MIN_ORDER_KEY, NewFile, Partition, Partitioning, Table, row_batch};
use weir_project::Model;

use crate::error::{CuratedError, of};
use crate::key::{complete, row_at};
use crate::layout::{OP, ORDER_KEY, SOURCE_TS, arrow_type, key_changes_name, timestamp};
use crate::members::{KeyChange, Members, business_key, durable_key};
use crate::query::plain_columns;
use crate::room::{Room, of_key_changes, of_staging};

/// Brings the log up to the staging table, and says who the members are by now; none for a model without a durable key.
pub(crate) async fn take_in(room: &Room, model: &Model, staging: &Table) -> Result<Option<Arc<Members>>, CuratedError> {
    let (Some(_), Some(source)) = (durable_key(model), &model.source) else { return Ok(None) };
    let name = key_changes_name(&model.name);
    let mut log = room.lake.create_table(Zone::Curated, &name, &schema(model), Partitioning::None).await?;
    let input = of_staging(source.as_str());
    let after = log.position(&input).unwrap_or(-1);
    let new: Vec<DataFile> =
        staging.files_added(after, staging.version()).await?.into_iter().map(|(_, file)| file).collect();
    let mut changes = read(model, &log, log.version()).await?;
    if !new.is_empty() {
        let known: BTreeSet<&[u8]> = changes.iter().map(|change| change.order_key.as_slice()).collect();
        let mut found = found(model, staging, &with_overlapping(staging, new)).await?;
        found.retain(|change| !known.contains(change.order_key.as_slice()));
        let mut add = Vec::new();
        if !found.is_empty() {
            tracing::info!(model = %model.name, changes = found.len(), "business keys changed");
            let batches = vec![rows(model, &found).map_err(of(&model.name))?];
            let file = NewFile { partition: Partition::None, batches, tags: BTreeMap::new() };
            add.push(log.write_file(file).await?);
        }
        let positions = vec![(input, staging.version())];
        let version = log.commit(Commit { add, positions, ..Commit::default() }).await?;
        failpoint::hit("curated.key_changes_committed");
        changes.extend(found.into_iter().map(|change| KeyChange { version, ..change }));
    }
    Ok(Some(Arc::new(Members::new(&model.name, changes, log.version()))))
}

/// The members by the key changes that a history follows; none for a model without a durable key.
pub(crate) async fn members(room: &Room, model: &Model, history: &Table) -> Result<Option<Arc<Members>>, CuratedError> {
    if durable_key(model).is_none() {
        return Ok(None);
    }
    let log = room.lake.table(Zone::Curated, &key_changes_name(&model.name)).await?;
    let (changes, version) = match (log, history.position(&of_key_changes(&model.name))) {
        (Some(log), Some(version)) => (read(model, &log, version).await?, version),
        _ => (Vec::new(), -1),
    };
    Ok(Some(Arc::new(Members::new(&model.name, changes, version))))
}

/// Whether a history holds a row under another member than it belongs to, by key changes that it does not follow yet.
pub(crate) async fn misplaces(model: &Model, members: &Members, history: &Table) -> Result<bool, CuratedError> {
    let new = members.since(history.position(&of_key_changes(&model.name)));
    let (Some(first), Some(durable)) = (new.map(|change| &change.order_key).min(), durable_key(model)) else {
        return Ok(false);
    };
    let mut columns: Vec<&str> = vec![durable.as_str(), ORDER_KEY];
    columns.extend(business_key(model).iter().map(|key| key.name.as_str()));
    for file in history.files().filter(|file| file.max_order_key().is_none_or(|last| last >= *first)) {
        for batch in history.read_all(std::slice::from_ref(file), Some(&columns)).await? {
            let belongs = members.of_changes(&batch.columns()[2..], batch.column(1).as_binary::<i32>());
            if *belongs != **batch.column(0) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn schema(model: &Model) -> SchemaRef {
    let keys = |which: &'static str| {
        let field = move |key: &weir_project::ModelColumn| {
            Field::new(format!("{which}_{}", key.name), arrow_type(key.kind), true)
        };
        business_key(model).into_iter().map(field)
    };
    let mut fields = vec![Field::new(ORDER_KEY, DataType::Binary, true), Field::new(SOURCE_TS, timestamp(), true)];
    fields.extend(keys("old").chain(keys("new")));
    Arc::new(Schema::new(fields))
}

fn rows(model: &Model, changes: &[KeyChange]) -> Result<RecordBatch, ArrowError> {
    let column = |key: &weir_project::ModelColumn| weir_core::column::Column {
        name: key.name.clone(),
        kind: key.kind,
        nullable: true,
    };
    let keys: Vec<weir_core::column::Column> = business_key(model).into_iter().map(column).collect();
    let batch = |of: fn(&KeyChange) -> &Row| row_batch(&keys, &changes.iter().map(of).cloned().collect::<Vec<_>>());
    let times =
        TimestampMicrosecondArray::from_iter_values(changes.iter().map(|change| change.at)).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(BinaryArray::from_iter_values(changes.iter().map(|change| &change.order_key))), Arc::new(times)];
    columns.extend(batch(|change| &change.old)?.columns().iter().cloned());
    columns.extend(batch(|change| &change.new)?.columns().iter().cloned());
    RecordBatch::try_new(schema(model), columns)
}

/// All key changes up to a version of the log.
async fn read(model: &Model, log: &Table, version: i64) -> Result<Vec<KeyChange>, CuratedError> {
    let width = business_key(model).len();
    let mut changes = Vec::new();
    for (version, file) in log.files_added(-1, version).await? {
        for batch in log.read_all(std::slice::from_ref(&file), Some(&log.column_names())).await? {
            let orders = batch.column(0).as_binary::<i32>();
            let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            let (old, new) = batch.columns()[2..].split_at(width);
            changes.extend((0..batch.num_rows()).map(|row| KeyChange {
                order_key: orders.value(row).to_vec(),
                at: times.value(row),
                old: row_at(old, row),
                new: row_at(new, row),
                version,
            }));
        }
    }
    Ok(changes)
}

/// These files, and the older ones whose order keys lie among theirs.
fn with_overlapping(staging: &Table, mut new: Vec<DataFile>) -> Vec<DataFile> {
    let low = new.iter().map(|file| file.tag(MIN_ORDER_KEY)).min().flatten().unwrap_or_default().to_owned();
    let high = new.iter().filter_map(|file| file.tag(weir_lake::MAX_ORDER_KEY)).max().unwrap_or_default().to_owned();
    let paths: BTreeSet<String> = new.iter().map(|file| file.path.clone()).collect();
    let known = staging.files().filter(|file| !paths.contains(&file.path));
    new.extend(known.filter(|file| low.is_empty() || file.may_hold_order_keys(&low, &high)).cloned());
    new
}

/// The key changes in these files of a staging table, not in the log yet: where one key was deleted and one other created
/// at one position.
async fn found(model: &Model, staging: &Table, files: &[DataFile]) -> Result<Vec<KeyChange>, CuratedError> {
    let deletes = orders(model, staging, files, Op::Delete).await?;
    let created = keys_at(model, staging, files, (Op::Create, &deletes)).await?;
    let positions: BTreeSet<Vec<u8>> = created.keys().cloned().collect();
    let deleted = keys_at(model, staging, files, (Op::Delete, &positions)).await?;
    let only = |keys: &BTreeMap<Row, i64>| match keys.len() {
        1 => keys.iter().next().map(|(key, at)| (key.clone(), *at)),
        _ => None,
    };
    let change = |(order_key, created): (&Vec<u8>, &BTreeMap<Row, i64>)| {
        let ((old, _), (new, at)) = (only(deleted.get(order_key)?)?, only(created)?);
        (old != new).then(|| KeyChange { order_key: order_key.clone(), at, old, new, version: -1 })
    };
    Ok(created.iter().filter_map(change).collect())
}

/// The order keys of the rows with this operation.
async fn orders(model: &Model, staging: &Table, files: &[DataFile], op: Op) -> Result<BTreeSet<Vec<u8>>, CuratedError> {
    let mut orders = BTreeSet::new();
    for file in files {
        for batch in staging.read_all(std::slice::from_ref(file), Some(&[OP, ORDER_KEY])).await? {
            let (ops, keys) = ops_and_orders(&batch).map_err(of(&model.name))?;
            let hit = (0..batch.num_rows()).filter(|row| ops.value(*row) == op.letter());
            orders.extend(hit.map(|row| keys.value(row).to_vec()));
        }
    }
    Ok(orders)
}

/// At each of these positions the keys of the rows with this operation, and when they were committed.
async fn keys_at(
    model: &Model,
    staging: &Table,
    files: &[DataFile],
    (op, positions): (Op, &BTreeSet<Vec<u8>>),
) -> Result<BTreeMap<Vec<u8>, BTreeMap<Row, i64>>, CuratedError> {
    let mut found: BTreeMap<Vec<u8>, BTreeMap<Row, i64>> = BTreeMap::new();
    let arrow = of(&model.name);
    let plain = model.sql.as_ref().map(|sql| plain_columns(&sql.text)).unwrap_or_default();
    let keys = business_key(model);
    let mut columns = vec![OP, ORDER_KEY, SOURCE_TS];
    // A model selects its table's key unchanged.
    columns.extend(keys.iter().map(|key| plain.get(key.name.as_str()).map_or(key.name.as_str(), String::as_str)));
    let sorted: Vec<&[u8]> = positions.iter().map(Vec::as_slice).collect();
    for file in files.iter().filter(|file| !sorted.is_empty() && file.may_hold_any(&sorted)) {
        for batch in staging.read_all(std::slice::from_ref(file), Some(&columns)).await? {
            let (ops, orders) = ops_and_orders(&batch).map_err(arrow)?;
            let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
            let kinds = keys.iter().map(|key| arrow_type(key.kind));
            let keys = batch.columns()[3..].iter().zip(kinds).map(|(column, kind)| cast(column, &kind));
            let keys = keys.collect::<Result<Vec<_>, _>>().map_err(arrow)?;
            for row in (0..batch.num_rows()).filter(|row| ops.value(*row) == op.letter()) {
                if positions.contains(orders.value(row)) && complete(&keys, row) {
                    let at = found.entry(orders.value(row).to_vec()).or_default();
                    let time = at.entry(row_at(&keys, row)).or_insert_with(|| times.value(row));
                    *time = times.value(row).min(*time);
                }
            }
        }
    }
    Ok(found)
}

fn ops_and_orders(batch: &RecordBatch) -> Result<(StringArray, BinaryArray), ArrowError> {
    let (ops, orders) = (cast(batch.column(0), &DataType::Utf8)?, cast(batch.column(1), &DataType::Binary)?);
    Ok((ops.as_string::<i32>().clone(), orders.as_binary::<i32>().clone()))
}
