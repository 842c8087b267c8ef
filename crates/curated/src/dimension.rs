//! A dimension's rows, in columns, from the change history of some keys.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{concat, take};
use arrow::error::ArrowError;
use weir_core::surrogate::UNKNOWN;
use weir_project::{Deletes, Model, ModelKind, Scd};

use crate::changes::{Changes, columns, encoded};
use crate::invariant::{Broken, contiguous};
use crate::key::row_at;
use crate::layout::{dimension_columns, table_schema};
use crate::mention::known_by;
use crate::scd::{BEGINNING, OPEN, version_key, versions};
use crate::unavailable::resolved;

/// Rows that a dimension must hold for some keys, and which invariant they break, if any.
pub struct Wanted {
    /// In table order.
    pub rows: RecordBatch,
    /// Rows of `rows` whose key's versions break an invariant.
    pub broken: Vec<(usize, Broken)>,
}

/// The versions of every key in `history`; and an inferred member for every key in `mentioned` (key columns, and behind
/// a durable key the business key) that has no version.
pub fn wanted(model: &Model, history: &RecordBatch, mentioned: &[ArrayRef]) -> Result<Wanted, ArrowError> {
    let deletes = deletes(model);
    let history = &resolved(model, history)?;
    let changes = Changes::new(model, history)?;
    let keys = columns(history, &model.key_indexes());
    let mut found = Columns::default();
    let mut with_versions: HashSet<&[u8]> = HashSet::new();
    let mut broken = Vec::new();
    let mut steps = Vec::new();
    for group in changes.groups() {
        changes.steps(group, &mut steps);
        let versions = versions(&mut steps, deletes);
        let Some(first) = versions.first() else { continue };
        with_versions.insert(changes.key(group));
        if let Err(rule) = contiguous(&versions, &steps) {
            broken.push((found.surrogates.len(), rule));
        }
        let key = row_at(&keys, first.opened_by as usize);
        for (i, version) in versions.iter().enumerate() {
            found.surrogates.push(version_key(&model.name, &key, i, version.from));
            found.from.push(version.from);
            found.to.push(version.to);
            found.opened_by.push(version.opened_by);
            found.last.push(version.last);
            found.newest.push(version.newest);
            found.deleted.push(version.deleted);
        }
    }
    let inferred = without_versions(known_by(model, mentioned), &with_versions)?;
    Ok(Wanted { rows: found.into_rows(model, history, mentioned, &inferred)?, broken })
}

/// The row that facts without a business key point to.
pub fn unknown_member(model: &Model) -> Result<RecordBatch, ArrowError> {
    let schema = table_schema(model);
    let attributes = schema.fields().iter().skip(1).take(model.columns.len());
    let mut out: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![UNKNOWN]))];
    out.extend(attributes.map(|field| new_null_array(field.data_type(), 1)));
    out.extend(tail(deletes(model), vec![BEGINNING], vec![OPEN], vec![false], vec![false]));
    RecordBatch::try_new(schema, out)
}

/// What a delete does to this dimension.
pub fn deletes(model: &Model) -> Deletes {
    match &model.kind {
        ModelKind::Dimension { deletes, .. } => *deletes,
        _ => Deletes::Close,
    }
}

/// Positions of mentioned keys that have no version, each key once.
fn without_versions(mentioned: &[ArrayRef], with_versions: &HashSet<&[u8]>) -> Result<Vec<u32>, ArrowError> {
    if mentioned.first().is_none_or(|column| column.is_empty()) {
        return Ok(Vec::new());
    }
    let rows = encoded(mentioned)?;
    let mut seen = HashSet::new();
    Ok((0u32..)
        .zip(rows.iter())
        .filter(|(_, row)| !with_versions.contains(row.data()) && seen.insert(row.data()))
        .map(|(i, _)| i)
        .collect())
}

#[derive(Default)]
struct Columns {
    surrogates: Vec<i64>,
    from: Vec<i64>,
    to: Vec<i64>,
    opened_by: Vec<u32>,
    last: Vec<u32>,
    newest: Vec<u32>,
    deleted: Vec<bool>,
}

impl Columns {
    fn into_rows(
        mut self,
        model: &Model,
        history: &RecordBatch,
        mentioned: &[ArrayRef],
        inferred: &[u32],
    ) -> Result<RecordBatch, ArrowError> {
        let versions = self.surrogates.len();
        for row in inferred {
            let key = row_at(known_by(model, mentioned), *row as usize);
            self.surrogates.push(version_key(&model.name, &key, 0, BEGINNING));
        }
        self.from.resize(self.surrogates.len(), BEGINNING);
        self.to.resize(self.surrogates.len(), OPEN);
        self.deleted.resize(self.surrogates.len(), false);
        let is_inferred: Vec<bool> = (0..self.surrogates.len()).map(|i| i >= versions).collect();

        let (opened_by, last) = (UInt32Array::from(self.opened_by), UInt32Array::from(self.last));
        let (newest, inferred) = (UInt32Array::from(self.newest), UInt32Array::from(inferred.to_vec()));
        let mut out: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(self.surrogates))];
        for (position, i) in dimension_columns(model).into_iter().enumerate() {
            let from = match model.columns[i].scd {
                _ if position < model.key.len() => &opened_by,
                Scd::Type2 | Scd::Key => &opened_by,
                Scd::Type1Current => &last,
                Scd::Type1 | Scd::None => &newest,
            };
            let of_versions = take(history.column(i), from, None)?;
            let of_inferred = match mentioned.get(position) {
                Some(column) => take(column, &inferred, None)?,
                None => new_null_array(of_versions.data_type(), inferred.len()),
            };
            out.push(if inferred.is_empty() { of_versions } else { concat(&[&of_versions, &of_inferred])? });
        }
        out.extend(tail(deletes(model), self.from, self.to, is_inferred, self.deleted));
        RecordBatch::try_new(table_schema(model), out)
    }
}

/// The columns that end every dimension.
fn tail(deletes: Deletes, from: Vec<i64>, to: Vec<i64>, inferred: Vec<bool>, deleted: Vec<bool>) -> Vec<ArrayRef> {
    let current: BooleanArray = to.iter().map(|to| Some(*to == OPEN)).collect();
    let mut tail: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(from).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(to).with_timezone("UTC")),
        Arc::new(current),
        Arc::new(BooleanArray::from(inferred)),
    ];
    if deletes == Deletes::Mark {
        tail.push(Arc::new(BooleanArray::from(deleted)));
    }
    tail
}
