//! The columns of a model's table: those of its query, and those that its kind adds.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema};
use weir_core::column::Column;
use weir_core::name::Identifier;
use weir_project::{Deletes, Model, ModelKind, Project, Scd, SqlFile, Table};

use super::plan::{Fault, Output, Readable, of_query};
use super::{Edge, Field, How, Place};
use crate::error::CuratedError;
use crate::layout::{DIMENSION_TAIL, EVENT_TIME, IS_DELETED, OP, ORDER_KEY, SOURCE_TS, arrow_type, timestamp};
use crate::members::durable_key;

/// Every dependence of every curated column of a project, within curated and on staging.
pub async fn of_models(project: &Project) -> Result<Vec<Edge>, CuratedError> {
    let mut edges = Vec::new();
    for model in &project.models {
        if let Some(sql) = &model.sql {
            for output in followed(&model.name, sql, &readable(project)).await? {
                let in_warehouse = matches!(model.kind, ModelKind::View { .. });
                let own = if in_warehouse { Place::Analytics } else { Place::Curated };
                let to = Field::new(own, model.name.as_str(), &output.name);
                for input in output.inputs {
                    // The only tables there are in the plan are those that `readable` gives.
                    let place = if input.schema == STAGING { Place::Staging } else { own };
                    let from = Field::new(place, input.table, input.column);
                    edges.push(Edge { from, to: to.clone(), how: input.how, text: input.text });
                }
            }
        }
        of_kind(project, model, &mut edges);
    }
    edges.sort();
    edges.dedup();
    Ok(edges)
}

/// What each contract column of a staging table comes from, by the table's own cleaning query; its inputs
/// are contract columns too, as they landed.
pub async fn of_staging_query(table: &Table, sql: &SqlFile) -> Result<Vec<Output>, CuratedError> {
    let landing = Readable {
        schema: "landing",
        name: table.name.to_string(),
        columns: Arc::new(Schema::new(contract_fields(&table.columns))),
    };
    followed(&table.name, sql, &[landing]).await
}

async fn followed(name: &Identifier, sql: &SqlFile, tables: &[Readable]) -> Result<Vec<Output>, CuratedError> {
    of_query(&sql.text, tables).await.map_err(|fault| match fault {
        Fault::Engine(source) => CuratedError::Query { model: name.clone(), path: sql.path.clone(), source },
        Fault::Unknown(part) => CuratedError::Untraceable { model: name.clone(), path: sql.path.clone(), part },
    })
}

fn contract_fields(columns: &[Column]) -> Vec<ArrowField> {
    let field = |column: &Column| ArrowField::new(column.name.as_str(), arrow_type(column.kind), true);
    columns.iter().map(field).collect()
}

/// Schema of the staging tables in a model's query.
const STAGING: &str = "staging";

/// The tables that models may read: those of staging, and for aggregates and views the curated ones.
fn readable(project: &Project) -> Vec<Readable> {
    let staging = |table: &Table| {
        let mut fields = contract_fields(&table.columns);
        fields.push(ArrowField::new(OP, DataType::Utf8, true));
        fields.push(ArrowField::new(ORDER_KEY, DataType::Binary, true));
        fields.push(ArrowField::new(SOURCE_TS, timestamp(), true));
        Readable { schema: STAGING, name: table.name.to_string(), columns: Arc::new(Schema::new(fields)) }
    };
    let curated = |model: &Model| Readable {
        schema: "curated",
        name: model.name.to_string(),
        columns: Arc::new(Schema::new(contract_fields(&model.table_columns()))),
    };
    project.tables.iter().map(staging).chain(project.models.iter().map(curated)).collect()
}

fn curated(model: &Model, column: impl AsRef<str>) -> Field {
    Field::new(Place::Curated, model.name.as_str(), column.as_ref())
}

/// Adds what a model's kind computes beside its query.
fn of_kind(project: &Project, model: &Model, edges: &mut Vec<Edge>) {
    match &model.kind {
        ModelKind::Dimension { surrogate_key, deletes, .. } => {
            dimension(project, model, surrogate_key, *deletes, edges)
        }
        ModelKind::Fact { .. } => fact(project, model, edges),
        ModelKind::DateDimension => dates(project, model, edges),
        // All of their columns are the query's.
        ModelKind::Aggregate { .. } | ModelKind::View { .. } => {}
    }
}

fn dimension(project: &Project, model: &Model, surrogate: &Identifier, deletes: Deletes, edges: &mut Vec<Edge>) {
    let [from, to, is_current, is_inferred] = DIMENSION_TAIL;
    let mut add = adder(model, edges);
    match durable_key(model) {
        Some(durable) => {
            add(curated(model, durable), surrogate.as_str(), How::Transformation, "hash of the key and effective_from");
            for key in &model.key {
                add(curated(model, key), durable.as_str(), How::Transformation, "hash of the member's first key");
                for bound in [from, to] {
                    add(curated(model, key), bound, How::Conditional, "a change of it opens a version");
                }
            }
        }
        None => {
            for key in &model.key {
                add(curated(model, key), surrogate.as_str(), How::Transformation, "hash of the key and effective_from");
            }
        }
    }
    add(curated(model, from), surrogate.as_str(), How::Transformation, "hash of the key and effective_from");
    if let Some(source) = &model.source {
        let change = |column: &str| Field::new(Place::Staging, source.as_str(), column);
        add(change(SOURCE_TS), from, How::Transformation, "commit time of the change that opened the version");
        add(change(ORDER_KEY), from, How::Sort, "changes apply in the source's order");
        add(change(SOURCE_TS), to, How::Transformation, "commit time of the change that ended the version");
        add(change(ORDER_KEY), to, How::Sort, "changes apply in the source's order");
        if matches!(deletes, Deletes::Close) {
            add(change(OP), to, How::Conditional, "a delete ends the version");
        }
        if matches!(deletes, Deletes::Mark) {
            add(change(OP), IS_DELETED, How::Conditional, "a delete marks the version");
        }
    }
    for column in model.columns.iter().filter(|column| column.scd == Scd::Type2) {
        for bound in [from, to] {
            add(curated(model, &column.name), bound, How::Conditional, "a change of it opens a version");
        }
    }
    add(curated(model, to), is_current, How::Transformation, "effective_to is open");
    for (fact, pointer) in pointers(project).filter(|(_, pointer)| pointer.dimension == model.name) {
        for (key, on) in model.key.iter().zip(&pointer.on) {
            add(curated(fact, on), key.as_str(), How::Identity, "inferred member: a fact names it first");
            add(curated(fact, on), is_inferred, How::Join, "a fact names a key that has no row of its own");
        }
    }
}

fn fact(project: &Project, model: &Model, edges: &mut Vec<Edge>) {
    let ModelKind::Fact { event_time, dimensions, date_keys, milestones } = &model.kind else { return };
    let mut add = adder(model, edges);
    for pointer in dimensions {
        let to = pointer.key_column.as_str();
        let Some(dimension) = project.model(&pointer.dimension) else { continue };
        let ModelKind::Dimension { surrogate_key, .. } = &dimension.kind else { continue };
        add(curated(dimension, surrogate_key), to, How::Identity, "pointer to the version valid at event_time");
        for (on, key) in pointer.on.iter().zip(&dimension.key) {
            add(curated(model, on), to, How::Join, "finds the member");
            add(curated(dimension, key), to, How::Join, "finds the member");
        }
        add(curated(model, EVENT_TIME), to, How::Join, "finds the version");
        add(curated(dimension, DIMENSION_TAIL[0]), to, How::Join, "finds the version");
    }
    for key in date_keys {
        add(curated(model, &key.from), key.key_column.as_str(), How::Transformation, "its day as yyyymmdd");
    }
    let committed = model.source.as_ref().map(|source| Field::new(Place::Staging, source.as_str(), SOURCE_TS));
    for milestone in milestones {
        let text = format!("commit time of the first change with {} = '{}'", milestone.when_column, milestone.equals);
        let to = milestone.column.as_str();
        add(curated(model, &milestone.when_column), to, How::Conditional, &text);
        if let Some(committed) = &committed {
            add(committed.clone(), to, How::Transformation, &text);
        }
    }
    if let Some(column) = event_time {
        add(curated(model, column), EVENT_TIME, How::Identity, "the model's event_time");
    }
    if let Some(committed) = committed {
        let text = match event_time {
            Some(_) => "commit time of the insert, where the model's event_time is NULL",
            None => "commit time of the insert",
        };
        add(committed, EVENT_TIME, How::Transformation, text);
    }
}

fn dates(project: &Project, model: &Model, edges: &mut Vec<Edge>) {
    let Some((key, others)) = model.columns.split_first() else { return };
    let mut add = adder(model, edges);
    for fact in &project.models {
        let ModelKind::Fact { date_keys, .. } = &fact.kind else { continue };
        for date_key in date_keys {
            let from = curated(fact, &date_key.key_column);
            add(from, key.name.as_str(), How::Transformation, "every day of the years that facts point to");
        }
    }
    for column in others {
        add(curated(model, &key.name), column.name.as_str(), How::Transformation, "a part of the date");
    }
}

/// Adds dependences of a model's own columns.
fn adder<'a>(model: &'a Model, edges: &'a mut Vec<Edge>) -> impl FnMut(Field, &str, How, &str) + 'a {
    move |from, to, how, text| {
        edges.push(Edge { from, to: curated(model, to), how, text: Some(text.to_owned()) });
    }
}

/// Every pointer of every fact.
fn pointers(project: &Project) -> impl Iterator<Item = (&Model, &weir_project::DimensionRef)> {
    project.models.iter().flat_map(|fact| {
        let pointers = match &fact.kind {
            ModelKind::Fact { dimensions, .. } => dimensions.as_slice(),
            _ => &[],
        };
        pointers.iter().map(move |pointer| (fact, pointer))
    })
}
