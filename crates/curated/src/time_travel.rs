//! Published builds as they were: which there are, which can still be read, and queries over one of them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use weir_core::publication::Publication;
use weir_core::zone::Zone;
use weir_lake::{Lake, Table};

use crate::error::CuratedError;
use crate::publish::{latest, read};
use crate::query::without_values;

/// A published build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// What was published.
    pub publication: Publication,
    /// Whether every file of its tables is still there.
    pub readable: bool,
}

/// Every publication, oldest first.
pub async fn builds(lake: &Lake) -> Result<Vec<Build>, CuratedError> {
    let mut found = Vec::new();
    let newest = latest(lake).await?.map_or(0, |newest| newest.build);
    for build in 1..=newest {
        if let Some(publication) = read(lake, build).await? {
            let readable = is_whole(&tables(lake, &publication).await?).await?;
            found.push(Build { publication, readable });
        }
    }
    Ok(found)
}

/// The oldest build from which on every build can be read.
pub fn reach(builds: &[Build]) -> Option<u64> {
    let readable = builds.iter().rev().take_while(|build| build.readable);
    readable.last().map(|build| build.publication.build)
}

/// Runs one query over the tables of a published build, known as `curated.<table>` and `analytics.<table>`.
pub async fn query_at(lake: &Lake, build: u64, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>), CuratedError> {
    let newest = latest(lake).await?.map_or(0, |newest| newest.build);
    let publication = match build {
        1.. => read(lake, build).await?,
        0 => None,
    };
    let publication = publication.ok_or(CuratedError::NoBuild { build, newest })?;
    let tables = tables(lake, &publication).await?;
    if !is_whole(&tables).await? {
        return Err(CuratedError::OutOfReach { build, reach: reach(&builds(lake).await?) });
    }
    let failed = |source: DataFusionError| CuratedError::BuildQuery { build, source: Box::new(source) };
    let session = lake.session();
    let catalog = session.state().config_options().catalog.default_catalog.clone();
    let catalog = session.catalog(&catalog).ok_or_else(|| failed(DataFusionError::Plan("no catalog".to_owned())))?;
    for schema in ["curated", "analytics"] {
        catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new())).map_err(failed)?;
        for table in &tables {
            let name = TableReference::partial(schema, table.name());
            session.register_table(name, table.provider().await?).map_err(failed)?;
        }
    }
    let only_queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = session.sql_with_options(sql, only_queries).await.map_err(failed)?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let rows = frame.collect().await.map_err(|error| failed(without_values(error)))?;
    Ok((schema, rows))
}

/// The tables at the versions that a publication names.
async fn tables(lake: &Lake, publication: &Publication) -> Result<Vec<Table>, CuratedError> {
    let mut tables = Vec::new();
    for published in &publication.tables {
        let name = published.table.as_str();
        tables.extend(lake.table_at(Zone::Curated, name, published.version).await?);
    }
    Ok(tables)
}

async fn is_whole(tables: &[Table]) -> Result<bool, CuratedError> {
    for table in tables {
        if !table.is_whole().await? {
            return Ok(false);
        }
    }
    Ok(true)
}
