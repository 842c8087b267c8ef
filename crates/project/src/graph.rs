//! What depends on what: staging tables, the models that read them, and the models that these point to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use weir_core::name::{ModelName, TableName};

use crate::model::{Model, ModelKind};
use crate::table::Table;

/// A staging table or a curated model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// `staging.<table>`.
    Table(TableName),
    /// A model.
    Model(ModelName),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "staging.{name}"),
            Self::Model(name) => write!(f, "{name}"),
        }
    }
}

/// Every table and model with what it is directly made from.
#[derive(Debug, Clone, Default)]
pub struct Graph(BTreeMap<Node, BTreeSet<Node>>);

impl Graph {
    /// Of these tables and models.
    pub fn new(tables: &[Table], models: &[Model]) -> Self {
        let tables = tables.iter().map(|table| (Node::Table(table.name.clone()), BTreeSet::new()));
        let nodes = models.iter().map(|model| (Node::Model(model.name.clone()), parents(model, models)));
        Self(tables.chain(nodes).collect())
    }

    /// All tables and models.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.0.keys()
    }

    /// What a table or model is directly made from.
    pub fn parents(&self, of: &Node) -> impl Iterator<Item = &Node> {
        self.0.get(of).into_iter().flatten()
    }

    /// What these are made from, all the way up, and they themselves.
    pub fn upstream(&self, from: BTreeSet<Node>) -> BTreeSet<Node> {
        reach(from, |node| self.0.get(node).into_iter().flatten().cloned().collect())
    }

    /// What is made from these, all the way down, and they themselves.
    pub fn downstream(&self, from: BTreeSet<Node>) -> BTreeSet<Node> {
        reach(from, |node| {
            self.0.iter().filter(|(_, parents)| parents.contains(node)).map(|(child, _)| child.clone()).collect()
        })
    }
}

fn parents(model: &Model, models: &[Model]) -> BTreeSet<Node> {
    let mut parents: BTreeSet<Node> = model.source.iter().cloned().map(Node::Table).collect();
    match &model.kind {
        ModelKind::Dimension { .. } | ModelKind::DateDimension => {}
        ModelKind::Fact { dimensions, date_keys, .. } => {
            parents.extend(dimensions.iter().map(|pointer| Node::Model(pointer.dimension.clone())));
            let dates = models.iter().filter(|model| !date_keys.is_empty() && model.kind == ModelKind::DateDimension);
            parents.extend(dates.map(|model| Node::Model(model.name.clone())));
        }
        ModelKind::Aggregate { fact, joins, .. } => {
            parents.insert(Node::Model(fact.clone()));
            parents.extend(joins.iter().map(|join| Node::Model(join.dimension.clone())));
        }
        ModelKind::View { reads } => parents.extend(reads.iter().cloned().map(Node::Model)),
    }
    parents
}

fn reach(from: BTreeSet<Node>, next: impl Fn(&Node) -> Vec<Node>) -> BTreeSet<Node> {
    let mut waiting: Vec<Node> = from.iter().cloned().collect();
    let mut found = from;
    while let Some(node) = waiting.pop() {
        for node in next(&node) {
            if found.insert(node.clone()) {
                waiting.push(node);
            }
        }
    }
    found
}
