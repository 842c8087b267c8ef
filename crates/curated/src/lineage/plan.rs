//! Which input columns each output column of a query depends on: a walk over the engine's logical plan.
//!
//! Columns are followed by their place in a node's schema, never by name, so aliases and renames cannot mix
//! two of them up. What the walk does not know is refused: half a lineage looks like a whole one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, TableReference};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::How;

/// A table that a query may read.
#[derive(Debug, Clone)]
pub(super) struct Readable {
    /// `staging` in `staging.customer`.
    pub schema: &'static str,
    /// `customer` in `staging.customer`.
    pub name: String,
    /// Its columns.
    pub columns: SchemaRef,
}

/// An input column that an output depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// `staging` in `staging.customer`.
    pub schema: String,
    /// `customer` in `staging.customer`.
    pub table: String,
    /// The column.
    pub column: String,
    /// How the output depends on it.
    pub how: How,
    /// The expression, where it is more than the column itself.
    pub text: Option<String>,
}

/// An output column of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it depends on.
    pub inputs: BTreeSet<Input>,
}

/// Why a query's columns cannot be followed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The engine does not plan it.
    Engine(Box<DataFusionError>),
    /// A part of the plan whose columns are not known.
    Unknown(String),
}

impl From<DataFusionError> for Fault {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// Plans a query over these tables, empty, and follows its columns.
pub(super) async fn of_query(text: &str, tables: &[Readable]) -> Result<Vec<Output>, Fault> {
    let session = SessionContext::new();
    let catalog = session.state().config_options().catalog.default_catalog.clone();
    let catalog = session.catalog(&catalog).ok_or_else(|| DataFusionError::Plan("no catalog".to_owned()))?;
    for table in tables {
        if catalog.schema(table.schema).is_none() {
            catalog.register_schema(table.schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        let name = TableReference::partial(table.schema, table.name.as_str());
        session.register_table(name, Arc::new(EmptyTable::new(table.columns.clone())))?;
    }
    let plan = session.state().create_logical_plan(text).await?;
    let mut texts = Texts::of(text);
    let scope = walk(&plan, &mut texts)?;
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    let outputs = names.zip(scope.columns).enumerate().map(|(at, (name, inputs))| {
        let own = inputs.into_iter().map(|input| texts.of_item(at, input));
        Output { name, inputs: own.chain(scope.rows.iter().cloned()).collect() }
    });
    Ok(outputs.collect())
}

/// The user's own words for the outermost SELECT: the engine's differ from them.
#[derive(Default)]
struct Texts {
    items: Vec<Option<String>>,
    /// HAVING, then WHERE: the order in which the plan has them from the outside.
    filters: VecDeque<String>,
}

impl Texts {
    fn of(text: &str) -> Self {
        let Some(Statement::Query(query)) =
            Parser::parse_sql(&GenericDialect {}, text).ok().and_then(|mut statements| statements.pop())
        else {
            return Self::default();
        };
        let SetExpr::Select(select) = *query.body else { return Self::default() };
        let words = |expr: &SqlExpr| {
            let plain = matches!(expr, SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_));
            (!plain).then(|| expr.to_string())
        };
        let item = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => words(expr),
            _ => None,
        };
        let filters = [&select.having, &select.selection].into_iter().flatten().map(ToString::to_string);
        Self { filters: filters.collect(), items: select.projection.iter().map(item).collect() }
    }

    fn of_item(&self, at: usize, input: Input) -> Input {
        let own = matches!(input.how, How::Transformation | How::Aggregation | How::Conditional);
        match self.items.get(at) {
            Some(Some(text)) if own => Input { text: Some(text.clone()), ..input },
            _ => input,
        }
    }
}

/// What a node's output columns depend on, and what decides which rows there are.
#[derive(Default)]
struct Scope {
    columns: Vec<BTreeSet<Input>>,
    rows: BTreeSet<Input>,
}

fn walk(plan: &LogicalPlan, texts: &mut Texts) -> Result<Scope, Fault> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let column = |name: &String| Input {
                schema: scan.table_name.schema().unwrap_or_default().to_owned(),
                table: scan.table_name.table().to_owned(),
                column: name.clone(),
                how: How::Identity,
                text: None,
            };
            let fields = scan.projected_schema.fields();
            let columns = fields.iter().map(|field| BTreeSet::from([column(field.name())])).collect();
            Ok(Scope { columns, rows: BTreeSet::new() })
        }
        LogicalPlan::EmptyRelation(_) => {
            Ok(Scope { columns: vec![BTreeSet::new(); plan.schema().fields().len()], rows: BTreeSet::new() })
        }
        LogicalPlan::SubqueryAlias(alias) => walk(&alias.input, texts),
        LogicalPlan::Limit(limit) => walk(&limit.input, texts),
        LogicalPlan::Distinct(Distinct::All(input)) => walk(input, texts),
        LogicalPlan::Projection(projection) => {
            let below = walk(&projection.input, texts)?;
            let schema = projection.input.schema();
            let columns = projection.expr.iter().map(|expr| traced(expr, How::Identity, &below, schema));
            Ok(Scope { columns: columns.collect::<Result<_, _>>()?, rows: below.rows })
        }
        LogicalPlan::Filter(filter) => {
            let words = texts.filters.pop_front();
            let mut below = walk(&filter.input, texts)?;
            let rows = traced(&filter.predicate, How::Filter, &below, filter.input.schema())?;
            below.rows.extend(rows.into_iter().map(|input| Input { text: words.clone().or(input.text), ..input }));
            Ok(below)
        }
        LogicalPlan::Sort(sort) => {
            let mut below = walk(&sort.input, texts)?;
            for key in &sort.expr {
                let rows = traced(&key.expr, How::Sort, &below, sort.input.schema())?;
                below.rows.extend(rows);
            }
            Ok(below)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut below = walk(&aggregate.input, texts)?;
            let schema = aggregate.input.schema();
            let mut columns = Vec::new();
            for expr in &aggregate.group_expr {
                columns.push(traced(expr, How::Identity, &below, schema)?);
            }
            for expr in &aggregate.aggr_expr {
                columns.push(traced(expr, How::Identity, &below, schema)?);
            }
            for expr in &aggregate.group_expr {
                let rows = traced(expr, How::GroupBy, &below, schema)?;
                below.rows.extend(rows);
            }
            Ok(Scope { columns, rows: below.rows })
        }
        LogicalPlan::Join(join) => {
            let known = [JoinType::Inner, JoinType::Left, JoinType::Right, JoinType::Full];
            if !known.contains(&join.join_type) {
                return Err(Fault::Unknown(format!("a {} join", join.join_type)));
            }
            let (left, right) = (walk(&join.left, texts)?, walk(&join.right, texts)?);
            let mut rows: BTreeSet<Input> = left.rows.iter().chain(&right.rows).cloned().collect();
            for (a, b) in &join.on {
                let words = format!("{} = {}", a.human_display(), b.human_display());
                let both = traced(a, How::Join, &left, join.left.schema())?.into_iter().chain(traced(
                    b,
                    How::Join,
                    &right,
                    join.right.schema(),
                )?);
                rows.extend(both.map(|input| Input { text: Some(words.clone()), ..input }));
            }
            let mut columns = left.columns;
            columns.extend(right.columns);
            let mut joined = Scope { columns, rows };
            if let Some(filter) = &join.filter {
                let rows = traced(filter, How::Join, &joined, &join.schema)?;
                joined.rows.extend(rows);
            }
            Ok(joined)
        }
        LogicalPlan::Union(union) => {
            let mut all = Scope { columns: vec![BTreeSet::new(); union.schema.fields().len()], ..Scope::default() };
            for input in &union.inputs {
                let part = walk(input, texts)?;
                for (column, inputs) in all.columns.iter_mut().zip(part.columns) {
                    column.extend(inputs);
                }
                all.rows.extend(part.rows);
            }
            Ok(all)
        }
        other => Err(Fault::Unknown(other.display().to_string())),
    }
}

/// The inputs of an expression over a node's columns.
fn traced(expr: &Expr, how: How, below: &Scope, schema: &DFSchema) -> Result<BTreeSet<Input>, Fault> {
    let mut named = Vec::new();
    columns(expr, how, &mut named)?;
    let named_by = if let Expr::Alias(alias) = expr { alias.expr.as_ref() } else { expr };
    let words = named_by.human_display().to_string();
    let mut found = BTreeSet::new();
    for (column, outer) in named {
        let at = schema.index_of_column(&column)?;
        for input in &below.columns[at] {
            let how = input.how.then(outer);
            let text =
                if outer == How::Identity || !input.how.is_direct() { input.text.clone() } else { Some(words.clone()) };
            found.insert(Input { how, text, ..input.clone() });
        }
    }
    Ok(found)
}

/// The columns in an expression, and what the expression does with each.
fn columns(expr: &Expr, how: How, found: &mut Vec<(Column, How)>) -> Result<(), Fault> {
    match expr {
        Expr::Alias(alias) => columns(&alias.expr, how, found),
        Expr::Column(column) => {
            found.push((column.clone(), how));
            Ok(())
        }
        Expr::Case(case) => {
            let conditions = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
            for condition in conditions {
                columns(condition, how.then(How::Conditional), found)?;
            }
            let values = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            for value in values {
                columns(value, how.then(How::Transformation), found)?;
            }
            Ok(())
        }
        Expr::AggregateFunction(function) => {
            for argument in &function.params.args {
                columns(argument, how.then(How::Aggregation), found)?;
            }
            if let Some(filter) = &function.params.filter {
                columns(filter, how.then(How::Filter), found)?;
            }
            for key in &function.params.order_by {
                columns(&key.expr, how.then(How::Sort), found)?;
            }
            Ok(())
        }
        Expr::WindowFunction(_) => Err(Fault::Unknown("a window function".to_owned())),
        Expr::ScalarSubquery(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::OuterReferenceColumn(..) => Err(Fault::Unknown("a subquery in an expression".to_owned())),
        Expr::GroupingSet(_) => Err(Fault::Unknown("grouping sets".to_owned())),
        other => {
            let mut fault = None;
            other.apply_children(|child| {
                Ok(match columns(child, how.then(How::Transformation), found) {
                    Ok(()) => TreeNodeRecursion::Continue,
                    Err(error) => {
                        fault = Some(error);
                        TreeNodeRecursion::Stop
                    }
                })
            })?;
            fault.map_or(Ok(()), Err)
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn table(schema: &'static str, name: &str, columns: &[(&str, DataType)]) -> Readable {
        let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        Readable { schema, name: name.to_owned(), columns: Arc::new(Schema::new(fields)) }
    }

    fn tables() -> Vec<Readable> {
        let item = [
            ("id", DataType::Int32),
            ("order", DataType::Utf8),
            ("quantity", DataType::Int32),
            ("price", DataType::Decimal128(12, 3)),
            ("note", DataType::Utf8),
            ("remark", DataType::Utf8),
        ];
        let shop = [("id", DataType::Int32), ("name", DataType::Utf8)];
        vec![table("staging", "item", &item), table("staging", "shop", &shop)]
    }

    /// `output <- column (HOW) text`, one line per dependence.
    async fn lines(query: &str) -> Vec<String> {
        let outputs = of_query(query, &tables()).await.expect("a query whose columns can be followed");
        let line = |output: &Output, input: &Input| {
            let text = input.text.as_deref().map(|text| format!(" {text}")).unwrap_or_default();
            format!("{} <- {}.{} {}{text}", output.name, input.table, input.column, input.how.subtype())
        };
        outputs.iter().flat_map(|output| output.inputs.iter().map(move |input| line(output, input))).collect()
    }

    #[tokio::test]
    async fn a_renamed_and_a_quoted_column_are_the_column_itself() {
        let found = lines(r#"SELECT id AS item_no, i."order" FROM staging.item AS i"#).await;
        assert_eq!(found, ["item_no <- item.id IDENTITY", "order <- item.order IDENTITY"]);
    }

    #[tokio::test]
    async fn a_computed_column_depends_on_all_that_it_names_in_the_users_own_words() {
        let found = lines("SELECT CAST(quantity * price AS DECIMAL(18, 3)) AS amount FROM staging.item").await;
        let text = "CAST(quantity * price AS DECIMAL(18,3))";
        let wanted = ["price", "quantity"].map(|column| format!("amount <- item.{column} TRANSFORMATION {text}"));
        assert_eq!(found, wanted);
        let found = lines("SELECT coalesce(note, remark) AS note FROM staging.item").await;
        let wanted =
            ["note", "remark"].map(|column| format!("note <- item.{column} TRANSFORMATION coalesce(note, remark)"));
        assert_eq!(found, wanted);
    }

    #[tokio::test]
    async fn the_condition_of_a_case_is_an_indirect_influence_and_its_values_are_direct() {
        let found = lines("SELECT CASE WHEN quantity < 0 THEN note ELSE 'sold' END AS kind FROM staging.item").await;
        let text = "CASE WHEN quantity < 0 THEN note ELSE 'sold' END";
        assert_eq!(
            found,
            [format!("kind <- item.note TRANSFORMATION {text}"), format!("kind <- item.quantity CONDITIONAL {text}")]
        );
    }

    #[tokio::test]
    async fn where_decides_which_rows_there_are_so_every_column_depends_on_it() {
        let found = lines("SELECT id, note FROM staging.item WHERE quantity > 0 AND price >= 1").await;
        let text = "quantity > 0 AND price >= 1";
        let mut wanted = Vec::new();
        for output in ["id", "note"] {
            wanted.push(format!("{output} <- item.{output} IDENTITY"));
            wanted.push(format!("{output} <- item.price FILTER {text}"));
            wanted.push(format!("{output} <- item.quantity FILTER {text}"));
        }
        wanted.sort();
        let mut found = found;
        found.sort();
        assert_eq!(found, wanted);
    }

    #[tokio::test]
    async fn an_aggregate_over_a_join_names_what_is_summed_grouped_joined_and_kept() {
        let query = "SELECT s.name, sum(i.quantity * 2) AS pieces, count(*) AS lines FROM staging.item AS i \
                     JOIN staging.shop AS s ON i.id = s.id WHERE i.price > 0 GROUP BY s.name HAVING sum(i.quantity) > 1";
        let found = lines(query).await;
        let of = |output: &str| -> Vec<String> {
            let prefix = format!("{output} <- ");
            found.iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
        };
        let rows = [
            "item.id JOIN i.id = s.id",
            "item.price FILTER i.price > 0",
            "item.quantity FILTER sum(i.quantity) > 1",
            "shop.id JOIN i.id = s.id",
            "shop.name GROUP_BY s.name",
        ];
        assert_eq!(of("lines"), rows);
        assert!(of("name").contains(&"shop.name IDENTITY".to_owned()), "{found:?}");
        assert!(of("pieces").contains(&"item.quantity AGGREGATION sum(i.quantity * 2)".to_owned()), "{found:?}");
        assert!(of("pieces").iter().filter(|line| rows.contains(&line.as_str())).count() == rows.len(), "{found:?}");
    }

    #[tokio::test]
    async fn a_column_of_a_subquery_and_of_a_union_is_followed_to_its_tables() {
        let found = lines("SELECT n AS m FROM (SELECT upper(note) AS n FROM staging.item) AS t").await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("m <- item.note TRANSFORMATION upper("), "{found:?}");
        let found = lines("SELECT id FROM staging.item UNION ALL SELECT id FROM staging.shop").await;
        assert_eq!(found, ["id <- item.id IDENTITY", "id <- shop.id IDENTITY"]);
    }

    #[tokio::test]
    async fn what_the_walk_does_not_know_is_refused_and_not_left_out() {
        for query in [
            "SELECT row_number() OVER (ORDER BY id) AS n FROM staging.item",
            "SELECT (SELECT max(id) FROM staging.shop) AS n FROM staging.item",
            "SELECT id FROM staging.item WHERE EXISTS (SELECT 1 FROM staging.shop)",
        ] {
            assert!(matches!(of_query(query, &tables()).await, Err(Fault::Unknown(_))), "{query}");
        }
        assert!(matches!(of_query("SELECT nothing FROM staging.item", &tables()).await, Err(Fault::Engine(_))));
    }
}
