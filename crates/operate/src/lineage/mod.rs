//! Column lineage over the whole path: source, topic, landing, staging, curated, warehouse, and the mirrors.
//!
//! In: the checked project. Out: which column depends on which, how, and by which expression; as a tree for
//! people, as edges in OpenLineage's words for programs. Never: reads the lake or asks a service.

mod name;
mod tree;

use std::collections::BTreeSet;

use weir_core::diagnosis::Diagnosed;
pub use weir_curated::lineage::{Edge, Field, How, Place};
use weir_project::{ConnectorKind, Project, Table};
use weir_warehouse::mirror::view_name;

use crate::error::OperateError;

/// Which way a lineage is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To what a column is made of.
    Upstream,
    /// To what is made of a column.
    Downstream,
}

/// Every dependence between columns of a project.
pub struct Lineage<'p> {
    project: &'p Project,
    edges: Vec<Edge>,
}

impl<'p> Lineage<'p> {
    /// Follows every query of the project.
    pub async fn of(project: &'p Project) -> Result<Self, Diagnosed> {
        let mut edges = weir_curated::lineage::of_models(project).await?;
        for table in &project.tables {
            way_to_staging(table, &mut edges).await?;
        }
        for model in &project.models {
            let columns = model.table_columns().into_iter();
            edges.extend(columns.map(|column| {
                let [from, to] = [Place::Curated, Place::Analytics]
                    .map(|place| Field::new(place, model.name.as_str(), column.name.as_str()));
                Edge { from, to, how: How::Identity, text: None }
            }));
        }
        edges.sort();
        Ok(Self { project, edges })
    }

    /// The columns that `[SCHEMA.]TABLE[.COLUMN]` names. Without a schema a model is its warehouse table, and
    /// a source table is its staging table, or downstream its source.
    pub fn fields(&self, asked: &str, direction: Direction) -> Result<Vec<Field>, OperateError> {
        let mut parts = asked.splitn(3, '.');
        let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let (place, table, column) = match (self.place(first), second) {
            (Some(place), Some(table)) => (place, table, third.map(str::to_owned)),
            _ => {
                let place = match (self.is_model(first), direction) {
                    (true, _) => Place::Analytics,
                    (false, Direction::Upstream) => Place::Staging,
                    (false, Direction::Downstream) => Place::Source,
                };
                let column = second.map(|second| match third {
                    Some(third) => format!("{second}.{third}"),
                    None => second.to_owned(),
                });
                (place, first, column)
            }
        };
        let known = self.all();
        let of_table: Vec<Field> =
            known.iter().filter(|field| field.place == place && field.table == table).cloned().collect();
        if of_table.is_empty() {
            let tables: BTreeSet<String> = known.iter().map(|field| self.table_name(field)).collect();
            let known = tables.into_iter().collect::<Vec<_>>().join(", ");
            return Err(OperateError::UnknownTable { asked: asked.to_owned(), known });
        }
        let Some(column) = column else { return Ok(of_table) };
        match of_table.iter().find(|field| field.column == column) {
            Some(field) => Ok(vec![field.clone()]),
            None => {
                let known = of_table.iter().map(|field| field.column.as_str()).collect::<Vec<_>>().join(", ");
                Err(OperateError::UnknownColumn { table: self.table_name(&of_table[0]), column, known })
            }
        }
    }

    /// The dependences that are reached from these columns, in order.
    pub fn reached<'s>(&'s self, from: &'s [Field], direction: Direction) -> Vec<&'s Edge> {
        let mut seen: BTreeSet<&Field> = BTreeSet::new();
        let mut found: BTreeSet<&Edge> = BTreeSet::new();
        let mut open: Vec<&Field> = from.iter().collect();
        while let Some(field) = open.pop() {
            if seen.insert(field) {
                for edge in self.next(field, direction) {
                    found.insert(edge);
                    open.push(end(edge, direction));
                }
            }
        }
        found.into_iter().collect()
    }

    /// Every dependence, in order.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter()
    }

    /// Whether a value of a column may tell a value of one that a contract tags as personal: it is made of one,
    /// or one decides between its values.
    pub fn is_personal(&self, field: &Field) -> bool {
        let mut seen: BTreeSet<&Field> = BTreeSet::new();
        let mut open = vec![field];
        while let Some(field) = open.pop() {
            let tagged = |table: &Table| {
                table.name.as_str() == field.table && table.pii.iter().any(|pii| pii.as_str() == field.column)
            };
            if field.place == Place::Source && self.project.tables.iter().any(tagged) {
                return true;
            }
            if seen.insert(field) {
                let values = self.next(field, Direction::Upstream);
                open.extend(
                    values.filter(|edge| edge.how.is_direct() || edge.how == How::Conditional).map(|e| &e.from),
                );
            }
        }
        false
    }

    /// The dependences of one column.
    fn next<'s>(&'s self, field: &'s Field, direction: Direction) -> impl Iterator<Item = &'s Edge> {
        self.edges.iter().filter(move |edge| match direction {
            Direction::Upstream => edge.to == *field,
            Direction::Downstream => edge.from == *field,
        })
    }

    /// Every column there is, tables' columns in their own order.
    fn all(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for place in [Place::Source, Place::Staging, Place::Mirror] {
            for table in &self.project.tables {
                let of =
                    |column: &weir_core::column::Column| Field::new(place, table.name.as_str(), column.name.as_str());
                fields.extend(table.columns.iter().map(of));
            }
        }
        for place in [Place::Curated, Place::Analytics] {
            for model in &self.project.models {
                let columns = model.table_columns();
                fields.extend(columns.iter().map(|c| Field::new(place, model.name.as_str(), c.name.as_str())));
            }
        }
        let listed: BTreeSet<Field> = fields.iter().cloned().collect();
        let ends = self.edges.iter().flat_map(|edge| [&edge.from, &edge.to]);
        fields.extend(ends.filter(|field| !listed.contains(*field)).collect::<BTreeSet<_>>().into_iter().cloned());
        fields
    }

    fn is_model(&self, name: &str) -> bool {
        self.project.models.iter().any(|model| model.name.as_str() == name)
    }
}

/// The other end of a dependence.
fn end(edge: &Edge, direction: Direction) -> &Field {
    match direction {
        Direction::Upstream => &edge.from,
        Direction::Downstream => &edge.to,
    }
}

/// Source to staging, and source to the mirror.
async fn way_to_staging(table: &Table, edges: &mut Vec<Edge>) -> Result<(), Diagnosed> {
    let name = table.name.as_str();
    let mut add = |from: (Place, &str), to: (Place, &str), how: How, text: Option<String>| {
        let [from, to] = [from, to].map(|(place, column)| Field::new(place, name, column));
        edges.push(Edge { from, to, how, text });
    };
    for column in &table.columns {
        let (column, after) = (column.name.as_str(), format!("after.{}", column.name));
        add((Place::Source, column), (Place::Topic, &after), How::Identity, None);
        add((Place::Topic, &after), (Place::Landing, &after), How::Identity, None);
        let through = format!("through the streaming view staging.{}", view_name(table));
        add((Place::Topic, &after), (Place::Mirror, column), How::Identity, Some(through));
    }
    match &table.staging_sql {
        None => {
            for column in &table.columns {
                let (column, after) = (column.name.as_str(), format!("after.{}", column.name));
                add((Place::Landing, &after), (Place::Staging, column), How::Identity, None);
            }
        }
        Some(sql) => {
            for output in weir_curated::lineage::of_staging_query(table, sql).await? {
                for input in output.inputs {
                    let after = format!("after.{}", input.column);
                    add((Place::Landing, &after), (Place::Staging, &output.name), input.how, input.text);
                }
            }
        }
    }
    let place: &[&str] = match table.connector.kind {
        ConnectorKind::SqlServer => &["source.commit_lsn", "source.change_lsn", "source.event_serial_no"],
        ConnectorKind::Postgres => &["source.sequence"],
    };
    for part in place {
        let text = Some("the source's own order".to_owned());
        add((Place::Topic, part), (Place::Landing, "_order_key"), How::Transformation, text);
    }
    add((Place::Topic, "source.ts_ms"), (Place::Landing, "_source_ts"), How::Identity, None);
    add((Place::Topic, "op"), (Place::Landing, "op"), How::Identity, None);
    for (landed, staged) in [("_order_key", "_order_key"), ("_source_ts", "_source_ts"), ("op", "_op")] {
        add((Place::Landing, landed), (Place::Staging, staged), How::Identity, None);
    }
    Ok(())
}
