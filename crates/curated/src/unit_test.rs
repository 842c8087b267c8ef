//! Unit tests of models: the given changes are staged in a lake of their own, the model and what it is made from are
//! built there as anywhere else, and its rows are compared with the expected ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use weir_core::change::Change;
use weir_core::name::{Identifier, ModelName};
use weir_core::surrogate::UNKNOWN;
use weir_core::value::{Row, Value};
use weir_core::zone::{Hour, Zone};
use weir_lake::{Commit, DataFile, Lake, LakeError, NewFile, Options, Partition, Partitioning, row_batch};
use weir_project::{Expected, ExpectedRow, Graph, Model, ModelKind, Node, Project, UnitTest};

use crate::build::build_in;
use crate::error::{CuratedError, of};
use crate::key::value_at;
use crate::layout::{OP, ORDER_KEY, SOURCE_TS, timestamp};
use crate::room::Room;

/// Columns with their values as texts; a key that was asked for its version as `{column: value}`.
pub type Cells = Vec<(String, String)>;

/// An expected row that is not there, a row that nobody expected, or both where they are nearly the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The columns of the expected row.
    pub expected: Option<Cells>,
    /// The same columns of the row that is there.
    pub found: Option<Cells>,
    /// Columns in which the two differ.
    pub differs: Vec<String>,
}

/// Runs one unit test; it has passed when nothing comes back. The project's own lake is not touched.
///
/// Each expected row must be there once, and no row more, the unknown member aside.
pub async fn unit_test(project: &Project, test: &UnitTest) -> Result<Vec<Miss>, CuratedError> {
    let folder = tempfile::tempdir().map_err(|source| LakeError::Root { path: std::env::temp_dir(), source })?;
    let lake = Lake::open(Options::folder(folder.path())).await?;
    let graph = Graph::new(&project.tables, &project.models);
    let above = graph.upstream([Node::Model(test.model.clone())].into());
    let models: Vec<Model> =
        project.models.iter().filter(|model| above.contains(&Node::Model(model.name.clone()))).cloned().collect();
    for table in &project.tables {
        let changes: Vec<&Change> = test.given.iter().filter(|change| change.table == table.name).collect();
        if !changes.is_empty() {
            stage(&lake, table, &changes).await?;
        }
    }
    build_in(&Room::of(&models, &project.tables, 1, &lake)).await?;
    let mut tables = BTreeMap::new();
    for model in &models {
        tables.insert(model.name.clone(), Found::read(&lake, model).await?);
    }
    let Some(found) = tables.remove(&test.model) else { return Ok(Vec::new()) };
    Ok(misses(&test.expect, &found, &tables))
}

/// Appends changes to a staging table, in their order.
async fn stage(lake: &Lake, table: &weir_project::Table, changes: &[&Change]) -> Result<(), CuratedError> {
    let batch = staged(table, changes).map_err(of(&table.name))?;
    let mut staging =
        lake.create_table(Zone::Staging, table.name.as_str(), &batch.schema(), Partitioning::Hour).await?;
    let file = NewFile { partition: Partition::Hour(Hour(0)), batches: vec![batch], tags: BTreeMap::new() };
    let add = vec![staging.write_file(file).await?];
    staging.commit(Commit { add, ..Commit::default() }).await?;
    Ok(())
}

fn staged(table: &weir_project::Table, changes: &[&Change]) -> Result<RecordBatch, ArrowError> {
    let nothing: Row = vec![Value::Null; table.columns.len()];
    let rows: Vec<Row> = changes.iter().map(|change| change.row.clone().unwrap_or_else(|| nothing.clone())).collect();
    let rows = row_batch(&table.columns, &rows)?;
    let times = changes.iter().map(|change| change.source_ts);
    let marks: [(Field, ArrayRef); 3] = [
        (
            Field::new(OP, arrow::datatypes::DataType::Utf8, true),
            Arc::new(StringArray::from_iter_values(changes.iter().map(|change| change.op.letter()))),
        ),
        (
            Field::new(ORDER_KEY, arrow::datatypes::DataType::Binary, true),
            Arc::new(BinaryArray::from_iter_values(changes.iter().map(|change| change.order_key.as_bytes()))),
        ),
        (
            Field::new(SOURCE_TS, timestamp(), true),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
    ];
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    for (field, column) in marks {
        fields.push(Arc::new(field));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// A table as the build left it, without the unknown member.
struct Found {
    columns: Vec<Identifier>,
    rows: Vec<Row>,
}

impl Found {
    async fn read(lake: &Lake, model: &Model) -> Result<Self, CuratedError> {
        let columns: Vec<Identifier> = model.table_columns().into_iter().map(|column| column.name).collect();
        let mut rows = Vec::new();
        if let Some(table) = lake.table(Zone::Curated, model.name.as_str()).await? {
            let names: Vec<&str> = columns.iter().map(Identifier::as_str).collect();
            let files: Vec<DataFile> = table.files().cloned().collect();
            for batch in table.read_all(&files, Some(&names)).await? {
                rows.extend(
                    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|c| value_at(c, row)).collect()),
                );
            }
        }
        if matches!(model.kind, ModelKind::Dimension { .. }) {
            rows.retain(|row: &Row| row.first() != Some(&Value::Int(UNKNOWN)));
        }
        rows.sort();
        Ok(Self { columns, rows })
    }

    fn value<'a>(&self, row: &'a Row, column: &Identifier) -> &'a Value {
        self.columns.iter().position(|name| name == column).and_then(|at| row.get(at)).unwrap_or(&Value::Null)
    }

    /// The row with this surrogate key, which stands first.
    fn member(&self, key: &Value) -> Option<&Row> {
        self.rows.iter().find(|row| row.first() == Some(key))
    }
}

type Tables = BTreeMap<ModelName, Found>;

/// The expected rows and the found ones that have no partner.
fn misses(expect: &[ExpectedRow], found: &Found, dimensions: &Tables) -> Vec<Miss> {
    let holds = |(column, expected): &(Identifier, Expected), row: &Row| match expected {
        Expected::Is(value) => found.value(row, column) == value,
        Expected::Member { dimension, row: wanted } => dimensions.get(dimension).is_some_and(|dimension| {
            let member = dimension.member(found.value(row, column));
            member.is_some_and(|member| wanted.iter().all(|(column, value)| dimension.value(member, column) == value))
        }),
    };
    let partners =
        partners(expect.len(), found.rows.len(), |i, j| expect[i].iter().all(|cell| holds(cell, &found.rows[j])));
    let mut extra: Vec<usize> = (0..found.rows.len()).filter(|j| !partners.contains(&Some(*j))).collect();
    let mut out = Vec::new();
    for (i, _) in partners.iter().enumerate().filter(|(_, partner)| partner.is_none()) {
        let alike = |j: &usize| expect[i].iter().filter(|cell| holds(cell, &found.rows[*j])).count();
        // Of those that are alike in as many columns the first one.
        let nearest = extra.iter().copied().filter(|j| alike(j) > 0).rev().max_by_key(alike);
        extra.retain(|j| Some(*j) != nearest);
        let differs =
            nearest.into_iter().flat_map(|j| expect[i].iter().filter(move |cell| !holds(cell, &found.rows[j])));
        out.push(Miss {
            expected: Some(expect[i].iter().map(|(column, cell)| (column.to_string(), expected_text(cell))).collect()),
            differs: differs.map(|(column, _)| column.to_string()).collect(),
            found: nearest.map(|j| cells(&expect[i], found, &found.rows[j], dimensions)),
        });
    }
    let named = every_column(expect, found);
    out.extend(extra.into_iter().map(|j| Miss {
        expected: None,
        found: Some(cells(&named, found, &found.rows[j], dimensions)),
        differs: Vec::new(),
    }));
    out
}

/// For each of the first its own one of the second, so that as many as can be have one (augmenting paths).
fn partners(left: usize, right: usize, fits: impl Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    fn find(
        i: usize,
        right: usize,
        fits: &impl Fn(usize, usize) -> bool,
        seen: &mut BTreeSet<usize>,
        taken: &mut BTreeMap<usize, usize>,
    ) -> bool {
        for j in 0..right {
            if !fits(i, j) || !seen.insert(j) {
                continue;
            }
            let free = match taken.get(&j).copied() {
                None => true,
                Some(other) => find(other, right, fits, seen, taken),
            };
            if free {
                taken.insert(j, i);
                return true;
            }
        }
        false
    }
    let mut taken = BTreeMap::new();
    for i in 0..left {
        find(i, right, &fits, &mut BTreeSet::new(), &mut taken);
    }
    let mut partners = vec![None; left];
    for (j, i) in taken {
        partners[i] = Some(j);
    }
    partners
}

/// The columns that any expected row names, each as it was first asked for; all when none is expected.
fn every_column(expect: &[ExpectedRow], found: &Found) -> ExpectedRow {
    let asked = |column: &Identifier| expect.iter().flatten().find(|(name, _)| name == column).cloned();
    if expect.is_empty() {
        return found.columns.iter().map(|column| (column.clone(), Expected::Is(Value::Null))).collect();
    }
    found.columns.iter().filter_map(asked).collect()
}

/// A found row's values in the columns, and in the form, in which they were asked for.
fn cells(asked: &ExpectedRow, found: &Found, row: &Row, dimensions: &Tables) -> Cells {
    let text = |(column, expected): &(Identifier, Expected)| {
        let value = found.value(row, column);
        let member = match expected {
            Expected::Is(_) => None,
            Expected::Member { dimension, row } => dimensions.get(dimension).and_then(|dimension| {
                let member = dimension.member(value)?;
                Some(mapping(row.iter().map(|(column, _)| (column, dimension.value(member, column)))))
            }),
        };
        (column.to_string(), member.unwrap_or_else(|| value_text(value)))
    };
    asked.iter().map(text).collect()
}

fn expected_text(expected: &Expected) -> String {
    match expected {
        Expected::Is(value) => value_text(value),
        Expected::Member { row, .. } => mapping(row.iter().map(|(column, value)| (column, value))),
    }
}

fn mapping<'a>(cells: impl Iterator<Item = (&'a Identifier, &'a Value)>) -> String {
    let cells: Vec<String> = cells.map(|(column, value)| format!("{column}: {}", value_text(value))).collect();
    format!("{{{}}}", cells.join(", "))
}

/// A value as it would be written in the YAML.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Timestamp(_) => value.to_string().replace(".000000Z", "Z"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[(i64, &str)]) -> Found {
        let name = |text: &str| text.parse().expect("a name");
        let rows = rows.iter().map(|(id, text)| vec![Value::Int(*id), Value::Text((*text).to_owned())]).collect();
        Found { columns: vec![name("id"), name("grade")], rows }
    }

    fn expected(cells: &[(&str, Value)]) -> ExpectedRow {
        cells.iter().map(|(name, value)| (name.parse().expect("a name"), Expected::Is(value.clone()))).collect()
    }

    fn grade(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn rows_find_their_partners_whatever_columns_each_names() {
        let rows = found(&[(1, "a"), (2, "a")]);
        let vague_first = [expected(&[("grade", grade("a"))]), expected(&[("id", Value::Int(1))])];
        assert_eq!(misses(&vague_first, &rows, &Tables::new()), []);
    }

    #[test]
    fn a_row_that_is_nearly_right_is_shown_beside_the_expected_one_and_a_strange_one_alone() {
        let rows = found(&[(1, "a"), (2, "b"), (3, "c")]);
        let wanted = [
            expected(&[("id", Value::Int(1)), ("grade", grade("a"))]),
            expected(&[("id", Value::Int(2)), ("grade", grade("x"))]),
            expected(&[("grade", Value::Null)]),
        ];
        let cells = |id: &str, grade: &str| {
            Some(vec![("id".to_owned(), id.to_owned()), ("grade".to_owned(), grade.to_owned())])
        };
        let found = misses(&wanted, &rows, &Tables::new());
        let wanted = [
            Miss { expected: cells("2", "x"), found: cells("2", "b"), differs: vec!["grade".to_owned()] },
            Miss { expected: Some(vec![("grade".to_owned(), "null".to_owned())]), found: None, differs: vec![] },
            Miss { expected: None, found: cells("3", "c"), differs: vec![] },
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn one_row_does_not_stand_for_two_expected_ones() {
        let twice = [expected(&[("id", Value::Int(1))]), expected(&[("id", Value::Int(1))])];
        assert_eq!(misses(&twice, &found(&[(1, "a")]), &Tables::new()).len(), 1);
    }
}
