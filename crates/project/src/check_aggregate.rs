//! An aggregate's query held to its YAML, to the fact that it adds up and to the dimensions that it joins.

use std::collections::BTreeSet;

use weir_core::column::{Column, ColumnType};
use weir_core::name::{Identifier, ModelName};

use crate::check_model::ModelCheck;
use crate::check_query::narrower;
use crate::check_table::comparable;
use crate::error::{Fault, Problem, suggest};
use crate::model::{AggregateJoin, Measure, MeasureColumn, Model, ModelColumn, ModelKind, SqlFile};
use crate::sql::Read;
use crate::sql_aggregate::{self, AggregateQuery, Gives, Input, JoinRead};

/// A table of the query: how it is called there, and its columns.
pub(crate) struct Known<'m> {
    called: String,
    pub(crate) model: &'m Model,
    columns: Vec<Column>,
}

impl<'m> Known<'m> {
    pub(crate) fn new(read: &Read, model: &'m Model) -> Self {
        let called = read.alias.clone().unwrap_or_else(|| read.table.clone());
        Self { called, model, columns: model.table_columns() }
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str() == name)
    }
}

impl ModelCheck<'_, '_> {
    /// Checks an aggregate against the models that it reads.
    pub(crate) fn aggregate(mut self, sql: &SqlFile, models: &[Model]) -> Option<Model> {
        self.takes_only(&["key", "columns", "tests"], "an aggregate says in its query what it groups and adds up");
        if self.yaml.value.columns.is_empty() {
            self.missing("columns");
        }
        if self.yaml.value.key.is_empty() {
            self.missing("key");
        }
        let key: Vec<Identifier> = self.key();
        let columns = self.columns(&key);
        let query = match sql_aggregate::read(&sql.path.display().to_string(), &sql.text) {
            Ok(query) => query,
            Err(found) => {
                self.problems.extend(found);
                return None;
            }
        };
        let fact = self.read_model(&query.fact, models, true)?;
        let mut known = vec![Known::new(&query.fact, fact)];
        let mut joins = Vec::new();
        for join in &query.joins {
            let dimension = self.read_model(&join.read, models, false)?;
            known.push(Known::new(&join.read, dimension));
            joins.push(self.join(join, &known)?);
        }
        for input in &query.inputs {
            self.resolve(input, &known, Fault::NotKeptUp);
        }
        self.declared(&query, &known, &columns, &key);
        let measures = query.outputs.iter().zip(&columns).filter_map(|(output, column)| {
            let measure = match output.gives {
                Gives::Group { .. } => return None,
                Gives::Sum { .. } => Measure::Sum,
                Gives::Count => Measure::Count,
                Gives::Rows => Measure::Rows,
            };
            Some(MeasureColumn { column: column.name.clone(), measure })
        });
        Some(Model {
            name: self.name.clone(),
            kind: ModelKind::Aggregate { fact: fact.name.clone(), joins, measures: measures.collect() },
            sql: Some(sql.clone()),
            source: None,
            key,
            columns,
        })
    }

    /// The fact in FROM or the dimension in JOIN.
    fn read_model<'m>(&mut self, read: &Read, models: &'m [Model], fact: bool) -> Option<&'m Model> {
        let fits = |model: &&Model| match model.kind {
            ModelKind::Fact { .. } => fact,
            ModelKind::Dimension { .. } | ModelKind::DateDimension => !fact,
            ModelKind::Aggregate { .. } | ModelKind::View { .. } => false,
        };
        let found = models.iter().find(|model| model.name.as_str() == read.table);
        let (wanted, place) = (if fact { "fact" } else { "dimension" }, read.place.clone());
        if read.schema != "curated" {
            let reason = format!("an aggregate reads `curated.<{wanted}>`, not `{}.{}`", read.schema, read.table);
            self.problems.push(Problem::new(Fault::BadJoin(reason), place));
            return None;
        }
        match found {
            Some(model) if fits(&model) => return Some(model),
            Some(_) => {
                let reason = format!("`{}` is no {wanted}", read.table);
                self.problems.push(Problem::new(Fault::BadJoin(reason), place));
            }
            // Its own problems say why it is not there.
            None if self.files.contains_key(&read.table) => {}
            None => {
                let hint = suggest(&read.table, models.iter().filter(fits).map(|model| model.name.as_str()));
                self.problems.push(Problem::new(Fault::UnknownModel(read.table.clone()), place).hint(hint));
            }
        }
        None
    }

    /// A join must be the one that the fact's pointer means.
    fn join(&mut self, join: &JoinRead, known: &[Known<'_>]) -> Option<AggregateJoin> {
        let [fact, .., dimension] = known else { return None };
        let ModelKind::Fact { dimensions, date_keys, .. } = &fact.model.kind else { return None };
        let name: &ModelName = &dimension.model.name;
        let (key_column, pointers): (&str, Vec<&Identifier>) = match &dimension.model.kind {
            ModelKind::Dimension { surrogate_key, .. } => {
                let pointing = dimensions.iter().filter(|pointer| pointer.dimension == *name);
                (surrogate_key.as_str(), pointing.map(|pointer| &pointer.key_column).collect())
            }
            _ => ("date_key", date_keys.iter().map(|key| &key.key_column).collect()),
        };
        let is = |input: &Input, known: &Known<'_>, column: &str| {
            input.name == column && input.qualifier.as_ref().is_none_or(|called| *called == known.called)
        };
        let (a, b) = &join.on;
        for pointer in &pointers {
            let pair = |a, b| is(a, dimension, key_column) && is(b, fact, pointer.as_str());
            if pair(a, b) || pair(b, a) {
                // Without a table's name before it, a name that both have would be ambiguous.
                let qualified = a.qualifier.is_some() && b.qualifier.is_some();
                if qualified || key_column != pointer.as_str() {
                    let key_column = key_column.parse().ok()?;
                    return Some(AggregateJoin {
                        dimension: name.clone(),
                        key_column,
                        fact_column: (*pointer).clone(),
                    });
                }
            }
        }
        let reason = format!("`{name}` is not joined by its key");
        let hint = match pointers.first() {
            Some(pointer) => format!("ON {}.{key_column} = {}.{pointer}", dimension.called, fact.called),
            None => format!("`{}` has no pointer to `{name}`; add one in its YAML", fact.model.name),
        };
        self.problems.push(Problem::new(Fault::BadJoin(reason), join.read.place.clone()).hint(Some(hint)));
        None
    }

    /// The column that a name means; a name that means none or several is told.
    pub(crate) fn resolve<'k>(
        &mut self,
        input: &Input,
        known: &'k [Known<'_>],
        fault: fn(String) -> Fault,
    ) -> Option<&'k Column> {
        let called = |table: &&Known<'_>| input.qualifier.as_ref().is_none_or(|name| *name == table.called);
        let mut found = known.iter().filter(called).filter_map(|table| table.column(&input.name));
        match (found.next(), found.next()) {
            (Some(column), None) => return Some(column),
            (Some(_), Some(_)) => {
                let what = format!("`{}`, which more than one table has (name the table before it),", input.name);
                self.problems.push(Problem::new(fault(what), input.place.clone()));
            }
            (None, _) => {
                let tables: Vec<&Known<'_>> = known.iter().filter(called).collect();
                let of = match tables.as_slice() {
                    [table] => format!("model `{}`", table.model.name),
                    _ => format!("the tables of `{}`", self.name),
                };
                let names = tables.iter().flat_map(|table| &table.columns).map(|column| column.name.as_str());
                let fault = Fault::UnknownColumn { column: input.name.clone(), of };
                self.problems.push(Problem::new(fault, input.place.clone()).hint(suggest(&input.name, names)));
            }
        }
        None
    }

    /// The YAML declares what the query gives.
    fn declared(&mut self, query: &AggregateQuery, known: &[Known<'_>], columns: &[ModelColumn], key: &[Identifier]) {
        let given: Vec<&str> = query.outputs.iter().map(|output| output.name.as_str()).collect();
        if !self.declares(&given) {
            return;
        }
        let groups = query.outputs.iter().filter(|output| matches!(output.gives, Gives::Group { .. }));
        let groups: BTreeSet<&str> = groups.map(|output| output.name.as_str()).collect();
        let named: BTreeSet<&str> = key.iter().map(Identifier::as_str).collect();
        if groups != named && !key.is_empty() {
            let groups = groups.into_iter().collect::<Vec<_>>().join(", ");
            self.push(Fault::KeyNotGroup { model: self.name.to_string(), groups }, "key", None);
        }
        for (output, column) in query.outputs.iter().zip(columns) {
            let wrong = match &output.gives {
                Gives::Group { source, never_null } => {
                    let input = source.as_ref().and_then(|source| self.resolve(source, known, Fault::NotKeptUp));
                    if !never_null && input.is_none_or(|input| input.nullable) {
                        let hint = source.as_ref().map(|source| {
                            let table = source.qualifier.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
                            let instead = instead_of_null(column.kind);
                            format!("write COALESCE({table}{}, {instead}) AS {}", source.name, output.name)
                        });
                        let fault = Fault::NullableGroup(output.name.clone());
                        self.problems.push(Problem::new(fault, output.place.clone()).hint(hint));
                    }
                    let input =
                        input.filter(|input| !comparable(input.kind, column.kind) || narrower(column.kind, input.kind));
                    input.map(|input| {
                        (
                            format!("is {} in the table that it comes from", input.kind),
                            "declare the same type, or CAST in the query",
                        )
                    })
                }
                Gives::Sum { source } => {
                    let input = source.as_ref().and_then(|source| self.resolve(source, known, Fault::NotKeptUp));
                    match (scale(column.kind), input.map(|input| scale(input.kind))) {
                        (None, _) => Some(("is a sum".to_owned(), "sums are exact: declare bigint or decimal")),
                        (Some(_), Some(None)) => Some((
                            "adds up a column that is no integer and no decimal".to_owned(),
                            "CAST it in the query, or leave it out",
                        )),
                        (Some(ours), Some(Some(theirs))) if ours < theirs => Some((
                            format!("adds up a column with {theirs} decimal places"),
                            "declare as many decimal places",
                        )),
                        _ => None,
                    }
                }
                Gives::Count | Gives::Rows => (!matches!(column.kind, ColumnType::Int | ColumnType::BigInt))
                    .then(|| ("is a count".to_owned(), "declare bigint")),
            };
            if let Some((what, hint)) = wrong {
                let fault = Fault::ColumnsDiffer(format!(
                    "column `{}` of `{}` is declared as {} and {what}",
                    column.name, self.name, column.kind
                ));
                let at = columns.iter().position(|other| other.name == column.name).unwrap_or(0);
                self.push(fault, &format!("columns[{at}].type"), Some(hint.to_owned()));
            }
        }
    }
}

/// Decimal places of a type whose sums are exact.
fn scale(kind: ColumnType) -> Option<i8> {
    match kind {
        ColumnType::TinyInt | ColumnType::SmallInt | ColumnType::Int | ColumnType::BigInt => Some(0),
        ColumnType::Decimal { scale, .. } => Some(scale),
        _ => None,
    }
}

/// A literal to stand for NULL, for a hint.
fn instead_of_null(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text { .. } | ColumnType::UniqueIdentifier => "'(none)'",
        ColumnType::Date => "DATE '1900-01-01'",
        ColumnType::Bit => "FALSE",
        _ => "-1",
    }
}
