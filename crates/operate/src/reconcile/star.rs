//! Curated against the stream: every key's current row is what the model's query makes of its last state.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use weir_core::diagnosis::Diagnosed;
use weir_core::name::Identifier;
use weir_core::value::Row;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_project::{Deletes, Model, ModelKind, Project, Table};

use super::last::{LastState, LastStates};
use super::report::ZoneLine;
use super::tally::{Tally, fingerprint};
use super::values::row;
use super::zones::{scan, unreadable};

/// Keys that are projected at once.
const CHUNK: usize = 50_000;

/// A line per dimension and fact.
pub async fn curated(project: &Project, lake: &Lake, mut states: LastStates) -> Result<Vec<ZoneLine>, Diagnosed> {
    let mut lines = Vec::new();
    for table in &project.tables {
        let Some(keys) = states.remove(&table.name) else { continue };
        let states: Vec<LastState> = keys.into_values().collect();
        for model in project.models.iter().filter(|model| model.source.as_ref() == Some(&table.name)) {
            lines.push(of_model(lake, table, model, &states).await?);
        }
    }
    Ok(lines)
}

async fn of_model(lake: &Lake, table: &Table, model: &Model, states: &[LastState]) -> Result<ZoneLine, Diagnosed> {
    let keeps_deleted = matches!(model.kind, ModelKind::Dimension { deletes: Deletes::Ignore | Deletes::Mark, .. });
    let rows: Vec<&Row> =
        states.iter().filter(|state| keeps_deleted || !state.deleted).filter_map(LastState::row).collect();
    let mut tally = Tally::default();
    let key = model.key_indexes();
    for chunk in rows.chunks(CHUNK) {
        let chunk: Vec<Row> = chunk.iter().map(|row| (*row).clone()).collect();
        let projected =
            project(lake, table, model, &chunk).await.map_err(|e| unreadable("curated", model.name.as_str(), e))?;
        for index in 0..projected.num_rows() {
            let values = row(projected.columns(), index).map_err(|e| unreadable("curated", model.name.as_str(), e))?;
            tally.expect(fingerprint(key.iter().map(|i| &values[*i])), Some(fingerprint(&values)));
        }
    }
    let mut columns: Vec<&str> = model.columns.iter().map(|column| column.name.as_str()).collect();
    let width = columns.len();
    let dimension = matches!(model.kind, ModelKind::Dimension { .. });
    if dimension {
        columns.extend(["is_current", "is_inferred"]);
    }
    scan(lake, Zone::Curated, model.name.as_str(), &columns, |batch| {
        for index in 0..batch.num_rows() {
            if dimension {
                let current = batch.column(width).as_boolean().value(index);
                let inferred = batch.column(width + 1).as_boolean().value(index);
                let unknown = key.iter().all(|i| batch.column(*i).is_null(index));
                if !current || inferred || unknown {
                    continue;
                }
            }
            let values = row(&batch.columns()[..width], index)?;
            tally.find(fingerprint(key.iter().map(|i| &values[*i])), fingerprint(&values));
        }
        Ok(())
    })
    .await?;
    Ok(tally.line("curated", &model.name))
}

/// What the table's cleaning and the model's query make of some rows. Plain projection: no history, no keys.
async fn project(lake: &Lake, table: &Table, model: &Model, rows: &[Row]) -> Result<RecordBatch, DataFusionError> {
    let rows = weir_lake::row_batch(&table.columns, rows)?;
    let cleaned = match &table.staging_sql {
        Some(sql) => query(lake, "landing", &table.name, rows, &sql.text).await?,
        None => rows,
    };
    let typed = batch_like(&table.columns, cleaned)?;
    let text = model.sql.as_ref().map_or("", |sql| sql.text.as_str());
    let found = query(lake, "staging", &table.name, typed, text).await?;
    let columns: Vec<weir_core::column::Column> = model
        .columns
        .iter()
        .map(|column| weir_core::column::Column { name: column.name.clone(), kind: column.kind, nullable: true })
        .collect();
    Ok(batch_like(&columns, found)?)
}

/// A query's answer in the declared columns' names and types.
fn batch_like(
    columns: &[weir_core::column::Column],
    found: RecordBatch,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let wanted = weir_lake::row_batch(columns, &[])?.schema();
    let arrays = found
        .columns()
        .iter()
        .zip(wanted.fields())
        .map(|(array, field)| arrow::compute::cast(array, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(wanted, arrays)
}

async fn query(
    lake: &Lake,
    schema: &str,
    table: &Identifier,
    rows: RecordBatch,
    sql: &str,
) -> Result<RecordBatch, DataFusionError> {
    let session: SessionContext = lake.session();
    let catalog = session.catalog("datafusion").ok_or_else(|| DataFusionError::Plan("no catalog".to_owned()))?;
    let tables = Arc::new(MemorySchemaProvider::new());
    catalog.register_schema(schema, tables)?;
    let memory = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
    let name = datafusion::common::TableReference::partial(schema, table.as_str());
    session.register_table(name, Arc::new(memory))?;
    let frame = session.sql(sql).await?;
    let answer: arrow::datatypes::SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    Ok(concat_batches(&batches.first().map_or(answer, |batch| batch.schema()), &batches)?)
}
