//! Columns of curated tables: fixed by the model alone, the same in the lake, in change sets and in the
//! warehouse.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use weir_core::name::ModelName;
pub use weir_lake::{arrow_type, timestamp};
use weir_project::{Deletes, Model, ModelColumn, ModelKind, Scd};

/// Operation of a history row; a row that the model's WHERE leaves out is a delete.
pub const OP: &str = "_op";
/// Order key of a history row.
pub const ORDER_KEY: &str = "_order_key";
/// Commit time of a history row.
pub const SOURCE_TS: &str = "_source_ts";
/// Names of the output columns whose value a history row lacks, each with a comma behind it; null where it lacks none.
pub const UNAVAILABLE: &str = "_unavailable";
/// `u` or `d`, the last column of a change set.
pub const CHANGE: &str = "_change";
/// The partition column of bucketed tables.
pub const BUCKET: &str = "_bucket";

/// Columns that end a dimension.
pub const DIMENSION_TAIL: [&str; 4] = ["effective_from", "effective_to", "is_current", "is_inferred"];
/// Behind them where deletes are marked.
pub const IS_DELETED: &str = "is_deleted";
/// The column that ends a fact.
pub const EVENT_TIME: &str = "event_time";

fn field(name: impl AsRef<str>, kind: DataType) -> Field {
    Field::new(name.as_ref(), kind, true)
}

fn model_fields(model: &Model) -> impl Iterator<Item = Field> + '_ {
    model.columns.iter().map(|column| field(&column.name, arrow_type(column.kind)))
}

/// The name of a model's change history.
pub fn history_name(model: &ModelName) -> String {
    format!("{model}_history")
}

/// The name of an aggregate's state.
pub fn state_name(model: &ModelName) -> String {
    format!("{model}_state")
}

/// The name of the log of a fact's pointers that moved.
pub fn moved_name(model: &ModelName) -> String {
    format!("{model}_moved")
}

/// The name of the log of a dimension's key changes.
pub fn key_changes_name(model: &ModelName) -> String {
    format!("{model}_key_changes")
}

/// A model's change history: its output columns, then what orders the changes.
pub fn history_schema(model: &Model) -> SchemaRef {
    let mut fields: Vec<Field> = model_fields(model).collect();
    fields.extend([field(OP, DataType::Utf8), field(ORDER_KEY, DataType::Binary), field(SOURCE_TS, timestamp())]);
    fields.push(field(UNAVAILABLE, DataType::Utf8));
    Arc::new(Schema::new(fields))
}

/// Positions, in a model's columns, of its business key and then of its other columns.
pub fn dimension_columns(model: &Model) -> Vec<usize> {
    let key = model.key_indexes();
    let rest = (0..model.columns.len()).filter(|i| !key.contains(i));
    key.iter().copied().chain(rest).collect()
}

/// Positions of the columns whose change opens a version: where a durable key says what a member is, also the business
/// key's.
pub fn tracked_columns(model: &Model) -> Vec<usize> {
    let is_tracked = |column: &ModelColumn| match column.scd {
        Scd::Type2 => true,
        Scd::Key => !model.key.contains(&column.name),
        Scd::Type1 | Scd::Type1Current | Scd::None => false,
    };
    (0..model.columns.len()).filter(|i| is_tracked(&model.columns[*i])).collect()
}

/// The columns of a model's curated table, as it is kept, in table order, without the partition column.
pub fn table_schema(model: &Model) -> SchemaRef {
    let mut fields = Vec::new();
    match &model.kind {
        ModelKind::Dimension { surrogate_key, deletes, .. } => {
            fields.push(field(surrogate_key, DataType::Int64));
            let columns: Vec<Field> = model_fields(model).collect();
            fields.extend(dimension_columns(model).into_iter().map(|i| columns[i].clone()));
            let [from, to, current, inferred] = DIMENSION_TAIL;
            fields.extend([field(from, timestamp()), field(to, timestamp())]);
            fields.extend([field(current, DataType::Boolean), field(inferred, DataType::Boolean)]);
            fields.extend((*deletes == Deletes::Mark).then(|| field(IS_DELETED, DataType::Boolean)));
        }
        ModelKind::Fact { dimensions, date_keys, milestones, .. } => {
            fields.extend(model_fields(model));
            fields.extend(dimensions.iter().map(|d| field(&d.key_column, DataType::Int64)));
            fields.extend(date_keys.iter().map(|d| field(&d.key_column, DataType::Int32)));
            fields.extend(milestones.iter().map(|m| field(&m.column, timestamp())));
            fields.push(field(EVENT_TIME, timestamp()));
        }
        ModelKind::DateDimension => {
            fields.extend([field("date_key", DataType::Int32), field("date", DataType::Date32)]);
            let numbers = ["year", "quarter", "month", "day", "day_of_week"];
            fields.extend(numbers.map(|name| field(name, DataType::Int32)));
            fields.extend([field("month_name", DataType::Utf8), field("day_name", DataType::Utf8)]);
            fields.push(field("is_weekend", DataType::Boolean));
        }
        ModelKind::Aggregate { .. } | ModelKind::View { .. } => fields.extend(model_fields(model)),
    }
    Arc::new(Schema::new(fields))
}

/// A table's columns and `_change`.
pub fn change_set_schema(table: &Schema) -> SchemaRef {
    let mut fields: Vec<Field> = table.fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(field(CHANGE, DataType::Utf8));
    Arc::new(Schema::new(fields))
}

/// The surrogate key of a dimension.
pub fn surrogate_column(model: &Model) -> Option<&str> {
    match &model.kind {
        ModelKind::Dimension { surrogate_key, .. } => Some(surrogate_key.as_str()),
        _ => None,
    }
}

/// Columns of which a curated table, as loaded, has one row per value.
pub fn load_key(model: &Model) -> Vec<String> {
    match &model.kind {
        ModelKind::Dimension { surrogate_key, .. } => vec![surrogate_key.to_string()],
        ModelKind::Fact { .. } | ModelKind::Aggregate { .. } | ModelKind::View { .. } => {
            model.key.iter().map(ToString::to_string).collect()
        }
        ModelKind::DateDimension => vec!["date_key".to_owned()],
    }
}
