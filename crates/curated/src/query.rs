//! A model's query over new staging rows.
//!
//! The query is the user's, rewritten in two places: it also gives `_op`, `_order_key` and `_source_ts`, and
//! its WHERE moves into `_op`: a row that the model leaves out is, for the model, a delete. Otherwise an update
//! that makes a row leave would leave the old row behind.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use futures::StreamExt;
use weir_lake::{Batches, DataFile, Lake, Table};
use weir_project::{Model, Needs, SqlFile};

use crate::error::{CuratedError, Misfit};
use crate::layout::{OP, ORDER_KEY, SOURCE_TS, UNAVAILABLE, history_schema};
use crate::members::{Members, durable_key};
use crate::unavailable;

/// Columns that the query engine gives, in the form of a model's history.
pub(crate) struct Running<'a> {
    model: &'a Model,
    sql: &'a SqlFile,
    schema: SchemaRef,
    members: Option<Arc<Members>>,
    stream: SendableRecordBatchStream,
}

/// Starts a model's query over these files of its staging table; `members` gives a durable key.
pub(crate) async fn run<'a>(
    lake: &Lake,
    (model, sql): (&'a Model, &'a SqlFile),
    members: Option<Arc<Members>>,
    staging: &Table,
    files: &[DataFile],
) -> Result<Running<'a>, CuratedError> {
    let syntax = |source: ParserError| CuratedError::Syntax {
        model: model.name.clone(),
        path: sql.path.clone(),
        source: Box::new(source),
    };
    let failed = |source| failed(model, sql, source);
    let needs = staging.schema().index_of(UNAVAILABLE).is_ok().then(|| sql.needs());
    let text = rewritten(&sql.text, needs.as_ref()).map_err(syntax)?;

    // Once over no rows, to learn which columns the query reads; then over the rows with those columns only.
    let full = staging.schema().clone();
    let nothing = futures::stream::empty().boxed();
    let dry = session(lake, staging, full, nothing).map_err(failed)?;
    let plan = dry.state().create_logical_plan(&text).await.map_err(failed)?;
    let plan = dry.state().optimize(&plan).map_err(failed)?;
    let mut columns: Vec<String> = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            columns.extend(scan.projected_schema.fields().iter().map(|field| field.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(failed)?;

    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let positions = names.iter().filter_map(|name| staging.schema().index_of(name).ok()).collect::<Vec<_>>();
    let narrow = Arc::new(staging.schema().project(&positions).map_err(|e| failed(e.into()))?);
    let rows = staging.read(files, Some(&names))?;
    let context = session(lake, staging, narrow, rows).map_err(failed)?;
    let frame = context.sql(&text).await.map_err(failed)?;
    let stream = frame.execute_stream().await.map_err(failed)?;
    Ok(Running { model, sql, schema: history_schema(model), members, stream })
}

pub(crate) fn failed(model: &Model, sql: &SqlFile, source: DataFusionError) -> CuratedError {
    CuratedError::Query { model: model.name.clone(), path: sql.path.clone(), source: Box::new(source) }
}

/// The error of a running query without the values that broke it: they may be personal.
pub(crate) fn without_values(error: DataFusionError) -> DataFusionError {
    match error.find_root() {
        DataFusionError::ArrowError(inner, _) => {
            DataFusionError::ArrowError(Box::new(arrow_without_values(inner)), None)
        }
        // The lake's own error and the engine's limits name files and sizes only.
        DataFusionError::External(_) | DataFusionError::ResourcesExhausted(_) => error,
        _ => DataFusionError::Execution("an expression of the query failed on a value (not shown)".to_owned()),
    }
}

fn arrow_without_values(error: &ArrowError) -> ArrowError {
    let hidden = || "a value does not fit (not shown)".to_owned();
    match error {
        ArrowError::CastError(_) => ArrowError::CastError(hidden()),
        ArrowError::ParseError(_) => ArrowError::ParseError(hidden()),
        ArrowError::DivideByZero => ArrowError::DivideByZero,
        ArrowError::ArithmeticOverflow(_) => ArrowError::ArithmeticOverflow(hidden()),
        _ => ArrowError::ComputeError(hidden()),
    }
}

impl Running<'_> {
    /// The next rows of the model's history.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, CuratedError> {
        match self.stream.next().await {
            None => Ok(None),
            Some(Err(source)) => Err(failed(self.model, self.sql, without_values(source))),
            Some(Ok(batch)) => self.declared(&batch).map(Some),
        }
    }

    /// The rows with the declared columns and types; a value that does not fit is an error, never a null.
    fn declared(&self, batch: &RecordBatch) -> Result<RecordBatch, CuratedError> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        let durable = durable_key(self.model);
        for field in self.schema.fields() {
            columns.push(match durable {
                Some(durable) if durable.as_str() == field.name() => {
                    new_null_array(field.data_type(), batch.num_rows())
                }
                _ => fit(self.model, field.name(), batch.column_by_name(field.name()), field.data_type())?,
            });
        }
        let arrow = crate::error::of(&self.model.name);
        let rows = RecordBatch::try_new(self.schema.clone(), columns).map_err(arrow)?;
        match &self.members {
            Some(members) => members.refilled(self.model, &rows).map_err(arrow),
            None => Ok(rows),
        }
    }
}

/// A column of a query's output in its declared type; a value that does not fit is an error, never a null.
pub(crate) fn fit(
    model: &Model,
    name: &str,
    column: Option<&ArrayRef>,
    kind: &DataType,
) -> Result<ArrayRef, CuratedError> {
    let declared = model.column(name).map_or_else(|| kind.to_string(), |column| column.kind.to_string());
    let misfit = |given: String, source| CuratedError::Column {
        model: model.name.clone(),
        misfit: Box::new(Misfit { column: name.to_owned(), declared, given }),
        source,
    };
    let Some(column) = column else { return Err(misfit("no such column".into(), None)) };
    if loses(column.data_type(), kind) {
        return Err(misfit(column.data_type().to_string(), None));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(column, kind, &strict);
    cast.map_err(|e| misfit(format!("{} that does not fit", column.data_type()), Some(arrow_without_values(&e))))
}

/// True for a cast that could change a value without failing: a float never becomes exact, digits and parts
/// of a day are never cut off.
fn loses(given: &DataType, declared: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Decimal256, Float16, Float32, Float64, Timestamp};
    match (given, declared) {
        (Float16 | Float32 | Float64, Float64) | (Float16 | Float32, Float32) => false,
        (Float16 | Float32 | Float64, _) => true,
        (Decimal128(_, from) | Decimal256(_, from), Decimal128(_, to)) => from > to,
        (Decimal128(_, from) | Decimal256(_, from), kind) => *from > 0 && kind.is_integer(),
        (Timestamp(..), Date32) => true,
        _ => false,
    }
}

/// The user's query with the change columns, and its WHERE in `_op`; with `needs`, which values are missing.
pub(crate) fn rewritten(text: &str, needs: Option<&Needs>) -> Result<String, ParserError> {
    let dialect = GenericDialect {};
    let mut statements = Parser::parse_sql(&dialect, text)?;
    let not_one = || ParserError::ParserError("a model's query is one SELECT".to_owned());
    let (Some(Statement::Query(mut query)), None) = (statements.pop(), statements.pop()) else {
        return Err(not_one());
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(not_one()) };
    let condition = select.selection.take();
    let missing = match needs {
        Some(needs) => unavailable::list(needs, condition.as_ref()),
        None => "CAST(NULL AS VARCHAR)".to_owned(),
    };
    let missing = Parser::new(&dialect).try_with_sql(&missing)?.parse_expr()?;
    let op = match condition {
        Some(condition) => {
            let kept = format!("CASE WHEN ({condition}) THEN \"{OP}\" ELSE 'd' END");
            Parser::new(&dialect).try_with_sql(&kept)?.parse_expr()?
        }
        None => Expr::Identifier(Ident::with_quote('"', OP)),
    };
    select.projection.push(SelectItem::ExprWithAlias { expr: op, alias: Ident::with_quote('"', OP) });
    for name in [ORDER_KEY, SOURCE_TS] {
        select.projection.push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', name))));
    }
    select.projection.push(SelectItem::ExprWithAlias { expr: missing, alias: Ident::with_quote('"', UNAVAILABLE) });
    Ok(query.to_string())
}

/// Output columns that are a source column and nothing else, with that column's name.
pub(crate) fn plain_columns(text: &str) -> HashMap<String, String> {
    let Ok(mut statements) = Parser::parse_sql(&GenericDialect {}, text) else { return HashMap::new() };
    let Some(Statement::Query(query)) = statements.pop() else { return HashMap::new() };
    let SetExpr::Select(select) = *query.body else { return HashMap::new() };
    let last = |expr: &Expr| match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| ident.value.clone()),
        _ => None,
    };
    let item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => last(expr).map(|column| (column.clone(), column)),
        SelectItem::ExprWithAlias { expr, alias } => last(expr).map(|column| (alias.value.clone(), column)),
        _ => None,
    };
    select.projection.iter().filter_map(item).collect()
}

/// A session in which `staging.<table>` streams these rows once.
fn session(lake: &Lake, staging: &Table, schema: SchemaRef, rows: Batches) -> Result<SessionContext, DataFusionError> {
    let context = session_with(lake, "staging")?;
    context.register_table(TableReference::partial("staging", staging.name()), lake.once(schema, rows)?)?;
    Ok(context)
}

/// A session that has an empty schema of this name.
pub(crate) fn session_with(lake: &Lake, schema: &str) -> Result<SessionContext, DataFusionError> {
    let context = lake.session();
    let catalog = context.state().config_options().catalog.default_catalog.clone();
    let catalog = context.catalog(&catalog).ok_or_else(|| DataFusionError::Plan("no catalog".to_owned()))?;
    catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_gains_the_change_columns_and_its_condition_becomes_a_delete() {
        let plain = rewritten("SELECT a, b + 1 AS c FROM staging.\"order\"", None).expect("a query");
        assert_eq!(
            plain,
            r#"SELECT a, b + 1 AS c, "_op" AS "_op", "_order_key", "_source_ts", CAST(NULL AS VARCHAR) AS "_unavailable" FROM staging."order""#
        );
        let filtered = rewritten("select a from staging.t where a > 1 or b", None).expect("a query");
        assert_eq!(
            filtered,
            r#"SELECT a, CASE WHEN (a > 1 OR b) THEN "_op" ELSE 'd' END AS "_op", "_order_key", "_source_ts", CAST(NULL AS VARCHAR) AS "_unavailable" FROM staging.t"#
        );
        assert!(rewritten("select 1; select 2", None).is_err());
    }

    #[test]
    fn a_cast_that_could_lose_digits_is_refused() {
        assert!(loses(&DataType::Float64, &DataType::Decimal128(12, 3)));
        assert!(loses(&DataType::Decimal128(12, 4), &DataType::Decimal128(12, 3)));
        assert!(!loses(&DataType::Decimal128(23, 3), &DataType::Decimal128(18, 3)));
        assert!(!loses(&DataType::Int32, &DataType::Decimal128(12, 3)));
        assert!(!loses(&DataType::Float32, &DataType::Float64));
        assert!(!loses(&DataType::Utf8View, &DataType::Utf8));
    }
}
