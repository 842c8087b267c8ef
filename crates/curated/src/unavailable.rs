//! Values that a change did not carry.
//!
//! PostgreSQL does not log a large value that an update left alone (TOAST); Debezium sends a placeholder in its
//! place, and staging names such columns in `_unavailable`. A model's history names the output columns that need
//! one of them, and [`OP`] where its WHERE needs one.
//!
//! The rule: such a value is that of the change before it in order, whenever that one arrives. Deletes carry no
//! values and are passed over. Before the first change it is null. A condition that needs such a value holds if it
//! held for that change. Keys and pointers to dimensions are too short to be left out of a log.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use datafusion::sql::sqlparser::ast::Expr;
use weir_core::change::Op;
use weir_project::{Model, Needs};

use crate::changes::Changes;
use crate::layout::{OP, UNAVAILABLE};
use crate::scd::in_order;

/// A model's history with every value in its place, and without repeats; as it is where nothing is missing.
pub fn resolved(model: &Model, history: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let Some(missing) = history.column_by_name(UNAVAILABLE).map(|column| column.as_string::<i32>()) else {
        return Ok(history.clone());
    };
    if missing.null_count() == missing.len() || !missing.iter().flatten().any(|names| !names.is_empty()) {
        return Ok(history.clone());
    }
    let changes = Changes::new(model, history)?;
    let mut rows: Vec<u32> = Vec::with_capacity(history.num_rows());
    let mut ops: Vec<Op> = Vec::with_capacity(history.num_rows());
    let mut from: Vec<Vec<Option<u32>>> = vec![Vec::with_capacity(history.num_rows()); model.columns.len()];
    let mut steps = Vec::new();
    for group in changes.groups() {
        changes.steps(group, &mut steps);
        in_order(&mut steps);
        // The last change that carries values, and whether the model has its row.
        let mut carried: Option<(usize, bool)> = None;
        for step in &steps {
            let names = missing.is_valid(step.row as usize).then(|| missing.value(step.row as usize));
            let lacks = |name: &str| names.is_some_and(|names| names.split(',').any(|missing| missing == name));
            for (column, from) in model.columns.iter().zip(&mut from) {
                let known =
                    if lacks(column.name.as_str()) { carried.and_then(|(at, _)| from[at]) } else { Some(step.row) };
                from.push(known);
            }
            let op = match carried {
                _ if !lacks(OP) => step.op,
                Some((_, true)) => Op::Update,
                _ => Op::Delete,
            };
            // A delete with a list is a row that the model's WHERE leaves out: its values are true ones.
            if step.op != Op::Delete || names.is_some() {
                carried = Some((rows.len(), op != Op::Delete));
            }
            rows.push(step.row);
            ops.push(op);
        }
    }
    let rows = UInt32Array::from(rows);
    let mut columns = Vec::with_capacity(history.num_columns());
    for (i, field) in history.schema().fields().iter().enumerate() {
        let column: ArrayRef = match (from.get(i), field.name().as_str()) {
            (Some(from), _) => take(history.column(i), &UInt32Array::from(from.clone()), None)?,
            (None, OP) => Arc::new(ops.iter().map(|op| Some(op.letter())).collect::<StringArray>()),
            (None, _) => take(history.column(i), &rows, None)?,
        };
        columns.push(column);
    }
    RecordBatch::try_new(history.schema(), columns)
}

/// The SQL text that gives a history's list of missing values from a staging row's.
pub(crate) fn list(needs: &Needs, condition: Option<&Expr>) -> String {
    let outputs = needs.outputs.iter().map(|(name, inputs)| (name.as_str(), inputs));
    let all = outputs.chain([(OP, &needs.condition)]).filter(|(_, inputs)| !inputs.is_empty());
    let parts: Vec<String> = all.map(|(name, inputs)| named(inputs, name)).collect();
    let names = if parts.is_empty() { "''".to_owned() } else { format!("concat({})", parts.join(", ")) };
    let names = format!("CASE WHEN \"{UNAVAILABLE}\" IS NULL THEN NULL ELSE {names} END");
    match condition {
        None => names,
        // A list on a row that is left out, if only an empty one, tells it from a delete at the source.
        Some(condition) => {
            format!("CASE WHEN \"{OP}\" = 'd' THEN NULL WHEN ({condition}) THEN {names} ELSE coalesce({names}, '') END")
        }
    }
}

/// `name,` where one of these inputs is missing.
fn named(inputs: &BTreeSet<String>, name: &str) -> String {
    let quoted = |text: &str| text.replace('\'', "''");
    let missing = |input: &String| format!("strpos(concat(',', \"{UNAVAILABLE}\", ','), ',{},') > 0", quoted(input));
    let any: Vec<String> = inputs.iter().map(missing).collect();
    format!("CASE WHEN {} THEN '{},' ELSE '' END", any.join(" OR "), quoted(name))
}
