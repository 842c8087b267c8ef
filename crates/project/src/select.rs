//! Selections of tables and models: names with graph operators, as `--select` takes them.

use std::collections::BTreeSet;

use weir_core::name::{ModelName, TableName};

use crate::error::{Fault, Place, Problem, ProjectError, suggest};
use crate::graph::{Graph, Node};
use crate::project::Project;

/// The tables and models that a command works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(BTreeSet<Node>);

impl Selection {
    /// Reads expressions, each of them terms separated by spaces; what any of them names is selected, all when there
    /// is none. A term is `name`, `+name` (with all that it is made from), `name+` (with all that is made from it) or
    /// both; terms with a comma between them select what all of them name.
    pub fn new(project: &Project, expressions: &[String]) -> Result<Self, ProjectError> {
        if expressions.is_empty() {
            return Ok(Self::all(project));
        }
        let graph = Graph::new(&project.tables, &project.models);
        let mut selected = BTreeSet::new();
        let mut problems = Vec::new();
        for term in expressions.iter().flat_map(|expression| expression.split_whitespace()) {
            let mut all: Option<BTreeSet<Node>> = None;
            for name in term.split(',') {
                match factor(&graph, name) {
                    Ok(nodes) => all = Some(all.map_or(nodes.clone(), |all| &all & &nodes)),
                    Err(problem) => problems.push(*problem),
                }
            }
            selected.extend(all.into_iter().flatten());
        }
        if selected.is_empty() && problems.is_empty() {
            let reason = format!("`{}` selects nothing", expressions.join(" "));
            let fault = Fault::BadValue { path: "--select".to_owned(), reason };
            problems.push(Problem::new(fault, Place::whole("--select")));
        }
        if problems.is_empty() { Ok(Self(selected)) } else { Err(ProjectError::new(problems)) }
    }

    /// Every table and model.
    pub fn all(project: &Project) -> Self {
        Self(Graph::new(&project.tables, &project.models).nodes().cloned().collect())
    }

    /// Whether `staging.<table>` is selected.
    pub fn has_table(&self, table: &TableName) -> bool {
        self.0.contains(&Node::Table(table.clone()))
    }

    /// Whether a model is selected.
    pub fn has_model(&self, model: &ModelName) -> bool {
        self.0.contains(&Node::Model(model.clone()))
    }
}

fn factor(graph: &Graph, text: &str) -> Result<BTreeSet<Node>, Box<Problem>> {
    let (up, name) = text.strip_prefix('+').map_or((false, text), |name| (true, name));
    let (down, name) = name.strip_suffix('+').map_or((false, name), |name| (true, name));
    let matches = |node: &&Node| match node {
        Node::Model(model) => model.as_str() == name.strip_prefix("curated.").unwrap_or(name),
        Node::Table(table) => table.as_str() == name.strip_prefix("staging.").unwrap_or(name),
    };
    // A model and a table of one name: the bare name is the model's.
    let found = graph.nodes().filter(matches).max_by_key(|node| matches!(node, Node::Model(_)));
    let Some(node) = found else {
        let names: Vec<String> = graph.nodes().map(ToString::to_string).collect();
        let hint = suggest(name, names.iter().map(String::as_str));
        let problem = Problem::new(Fault::NotSelectable(name.to_owned()), Place::whole("--select")).hint(hint);
        return Err(Box::new(problem));
    };
    let start: BTreeSet<Node> = [node.clone()].into();
    let mut found = start.clone();
    if up {
        found.extend(graph.upstream(start.clone()));
    }
    if down {
        found.extend(graph.downstream(start));
    }
    Ok(found)
}
