//! The staging model of a table: a row-wise query over what landed, run by the engine.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use weir_lake::Lake;
use weir_project::{SqlFile, Table};

use crate::error::StagingError;

/// The contract's columns as the model computes them, row for row.
pub(crate) async fn apply(
    lake: &Lake,
    table: &Table,
    sql: &SqlFile,
    landed: &[ArrayRef],
) -> Result<Vec<ArrayRef>, StagingError> {
    let failed = |source: DataFusionError| StagingError::Model { path: sql.path.clone(), source: Box::new(source) };
    let fields = table.columns.iter().zip(landed);
    let fields: Vec<Field> =
        fields.map(|(column, array)| Field::new(column.name.as_str(), array.data_type().clone(), true)).collect();
    let input = RecordBatch::try_new(Arc::new(Schema::new(fields)), landed.to_vec()).map_err(|e| failed(e.into()))?;
    let read = input.num_rows();
    let frame = plan(lake, table, sql, input).await.map_err(failed)?;
    // From here on an error may quote a value.
    let output = run(frame).await.map_err(|_| StagingError::ModelValue { path: sql.path.clone() })?;
    if output.num_rows() != read {
        return Err(StagingError::ModelRows { path: sql.path.clone(), read, given: output.num_rows() });
    }
    let given = |column: &weir_core::column::Column| {
        let found = output.column_by_name(column.name.as_str()).cloned();
        let missing = || StagingError::ModelColumn { path: sql.path.clone(), column: column.name.to_string() };
        found.ok_or_else(missing)
    };
    table.columns.iter().map(given).collect()
}

async fn plan(lake: &Lake, table: &Table, sql: &SqlFile, input: RecordBatch) -> Result<DataFrame, DataFusionError> {
    // One partition: rows come out in the order in which they went in.
    let config = SessionConfig::new().with_target_partitions(1);
    let session = SessionContext::new_with_config_rt(config, lake.session().runtime_env());
    if let Some(catalog) = session.catalog("datafusion") {
        catalog.register_schema("landing", Arc::new(MemorySchemaProvider::new()))?;
    }
    let rows = MemTable::try_new(input.schema(), vec![vec![input]])?;
    session.register_table(TableReference::partial("landing", table.name.as_str()), Arc::new(rows))?;
    session.sql(&sql.text).await
}

async fn run(frame: DataFrame) -> Result<RecordBatch, DataFusionError> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    let output = concat_batches(&schema, &batches)?;
    // The engine may hold texts as views.
    let plain = |array: &ArrayRef| match array.data_type() {
        arrow::datatypes::DataType::Utf8View | arrow::datatypes::DataType::LargeUtf8 => {
            arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8)
        }
        _ => Ok(array.clone()),
    };
    let columns = output.columns().iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    let fields = output.schema();
    let fields = fields.fields().iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
