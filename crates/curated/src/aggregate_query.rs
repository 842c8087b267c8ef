//! An aggregate's query before anything is added up: per row of the fact its group and what it adds.
//!
//! The user's query, rewritten: SUM(x) and COUNT(x) become x, COUNT(*) and GROUP BY go. What remains is row-wise,
//! and the sums are made apart from the engine, exactly and in both directions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, SelectItem, SetExpr, Statement,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use futures::StreamExt;
use weir_lake::{Batches, Lake, Table};
use weir_project::{Model, SqlFile};

use crate::aggregate::AggregateSpec;
use crate::error::{CuratedError, of};
use crate::layout::table_schema;
use crate::query::{failed, fit, session_with, without_values};

/// The schema by which models name each other.
const CURATED: &str = "curated";

/// An aggregate's rewritten query, and the columns that it reads of each table.
pub(crate) struct Contributions<'a> {
    model: &'a Model,
    sql: &'a SqlFile,
    text: String,
    used: BTreeMap<String, Vec<String>>,
}

impl<'a> Contributions<'a> {
    /// Plans the query over the tables that it reads; none for a model without a query.
    pub async fn plan(lake: &Lake, model: &'a Model, tables: &[&Table]) -> Result<Option<Self>, CuratedError> {
        let Some(sql) = &model.sql else { return Ok(None) };
        let text = contributions(&sql.text).map_err(|source| CuratedError::Syntax {
            model: model.name.clone(),
            path: sql.path.clone(),
            source: Box::new(source),
        })?;
        let used = used(lake, &text, tables).await.map_err(|source| failed(model, sql, source))?;
        Ok(Some(Self { model, sql, text, used }))
    }

    /// The columns that the query reads of a table.
    pub fn columns(&self, table: &str) -> Vec<&str> {
        self.used.get(table).into_iter().flatten().map(String::as_str).collect()
    }

    /// Runs the query over rows of the fact, and shows `visit` each batch of contributions.
    pub async fn run(
        &self,
        lake: &Lake,
        spec: &AggregateSpec,
        fact: (&str, SchemaRef, Batches),
        dimensions: &BTreeMap<String, RecordBatch>,
        mut visit: impl FnMut(&[ArrayRef]) -> Result<(), CuratedError>,
    ) -> Result<(), CuratedError> {
        let failed = |source| failed(self.model, self.sql, without_values(source));
        let context = session_with(lake, CURATED).map_err(failed)?;
        let (name, schema, rows) = fact;
        let rows = lake.once(schema, rows).map_err(failed)?;
        context.register_table(TableReference::partial(CURATED, name), rows).map_err(failed)?;
        for (name, rows) in dimensions {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).map_err(failed)?;
            context.register_table(TableReference::partial(CURATED, name.as_str()), Arc::new(table)).map_err(failed)?;
        }
        let frame = context.sql(&self.text).await.map_err(failed)?;
        let mut stream = frame.execute_stream().await.map_err(failed)?;
        let wanted = spec.contribution_columns();
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(failed)?;
            let mut columns = Vec::with_capacity(wanted.len());
            for (name, kind) in &wanted {
                let column = batch.column_by_name(name.as_str());
                columns.push(match (kind, column) {
                    (None, Some(column)) => column.clone(),
                    (kind, column) => fit(self.model, name.as_str(), column, kind.as_ref().unwrap_or(&DataType::Null))?,
                });
            }
            visit(&columns)?;
        }
        Ok(())
    }
}

/// The query without its sums: SUM(x) and COUNT(x) as x, no COUNT(*), no GROUP BY.
fn contributions(text: &str) -> Result<String, ParserError> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, text)?;
    let not_one = || ParserError::ParserError("an aggregate's query is one SELECT".to_owned());
    let (Some(Statement::Query(mut query)), None) = (statements.pop(), statements.pop()) else {
        return Err(not_one());
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(not_one()) };
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    let mut projection = Vec::new();
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                let alias = Ident::with_quote('"', folded(&alias));
                projection.extend(looked_at(expr).map(|expr| SelectItem::ExprWithAlias { expr, alias }));
            }
            other => projection.push(other),
        }
    }
    select.projection = projection;
    Ok(query.to_string())
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// What a sum or count looks at; none for COUNT(*). Other expressions are themselves.
fn looked_at(expr: Expr) -> Option<Expr> {
    let Expr::Function(function) = &expr else { return Some(expr) };
    let name = function.name.to_string().to_lowercase();
    if name != "sum" && name != "count" {
        return Some(expr);
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(argument.clone()),
        _ => None,
    }
}

/// Runs the query over no rows as far as its plan, to learn which columns it reads.
async fn used(lake: &Lake, text: &str, tables: &[&Table]) -> Result<BTreeMap<String, Vec<String>>, DataFusionError> {
    let dry = session_with(lake, CURATED)?;
    for table in tables {
        let nothing = lake.once(table.schema().clone(), futures::stream::empty().boxed())?;
        dry.register_table(TableReference::partial(CURATED, table.name()), nothing)?;
    }
    let plan = dry.state().create_logical_plan(text).await?;
    let plan = dry.state().optimize(&plan)?;
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let columns = used.entry(scan.table_name.table().to_owned()).or_default();
            for field in scan.projected_schema.fields() {
                if !columns.contains(field.name()) {
                    columns.push(field.name().clone());
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(used)
}

/// The user's query as it stands over whole tables, its columns in the declared types: what an aggregate must
/// hold, by another way.
pub(crate) async fn recomputed(lake: &Lake, model: &Model, tables: &[&Table]) -> Result<RecordBatch, CuratedError> {
    let schema = table_schema(model);
    let Some(sql) = &model.sql else { return Ok(RecordBatch::new_empty(schema)) };
    let failed = |source| failed(model, sql, without_values(source));
    let context = session_with(lake, CURATED).map_err(failed)?;
    for table in tables {
        let name = TableReference::partial(CURATED, table.name());
        context.register_table(name, table.provider().await?).map_err(failed)?;
    }
    let frame = context.sql(&sql.text).await.map_err(failed)?;
    let mut found = Vec::new();
    for batch in frame.collect().await.map_err(failed)? {
        let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
            fit(model, field.name(), batch.columns().get(at), field.data_type())
        };
        let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
        found.push(RecordBatch::try_new(schema.clone(), columns).map_err(of(&model.name))?);
    }
    concat_batches(&schema, &found).map_err(of(&model.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_gives_what_is_added_up_row_by_row() {
        let text = "SELECT f.d, coalesce(g.x, '-') AS X, sum(f.a * 2) AS a, COUNT(f.b) AS b, count(*) AS n \
                    FROM curated.f AS f JOIN curated.g AS g ON g.k = f.k WHERE f.a > 0 GROUP BY f.d, 2";
        let wanted = "SELECT f.d, coalesce(g.x, '-') AS \"x\", f.a * 2 AS \"a\", f.b AS \"b\" \
                      FROM curated.f AS f JOIN curated.g AS g ON g.k = f.k WHERE f.a > 0";
        assert_eq!(contributions(text).expect("a query"), wanted);
    }
}
