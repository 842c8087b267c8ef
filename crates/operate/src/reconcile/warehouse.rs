//! The warehouse against the lake and the stream: `analytics` equals curated, the mirrors the last states.

use std::collections::HashMap;

use weir_core::diagnosis::Diagnosed;
use weir_core::value::Value;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_project::{Model, ModelKind, Table};

use super::last::LastState;
use super::report::ZoneLine;
use super::tally::{Fingerprint, Tally, fingerprint};
use super::values::row;
use super::zones::scan;
use crate::warehouse::Target;

/// Every row of a curated table stands in `analytics`, column by column, and nothing else does.
pub async fn analytics(target: &Target, lake: &Lake, model: &Model) -> Result<Option<ZoneLine>, Diagnosed> {
    let Some(table) = lake.table(Zone::Curated, model.name.as_str()).await? else { return Ok(None) };
    let columns: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let key = key_positions(model, &names);
    let mut tally = Tally::default();
    scan(lake, Zone::Curated, model.name.as_str(), &names, |batch| {
        for index in 0..batch.num_rows() {
            let values = row(batch.columns(), index)?;
            tally.expect(fingerprint(key.iter().map(|i| &values[*i])), Some(fingerprint(&values)));
        }
        Ok(())
    })
    .await?;
    each_row(target, "analytics", model.name.as_str(), &names, |values| {
        tally.find(fingerprint(key.iter().map(|i| &values[*i])), fingerprint(values));
    })?;
    Ok(Some(tally.line("warehouse", &model.name)))
}

/// Every key that lives at the source has its last row in the mirror, and no other key has one.
pub fn mirror(target: &Target, table: &Table, states: &HashMap<Fingerprint, LastState>) -> Result<ZoneLine, Diagnosed> {
    let mut tally = Tally::default();
    #[allow(clippy::iter_over_hash_type, reason = "a set is filled: the order does not show")]
    for (key, state) in states.iter().filter(|(_, state)| !state.deleted) {
        tally.expect(*key, state.row().map(fingerprint));
    }
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let key = table.key_indexes();
    each_row(target, "staging", table.name.as_str(), &names, |values| {
        tally.find(fingerprint(key.iter().map(|i| &values[*i])), fingerprint(values));
    })?;
    Ok(tally.line("mirrors", &table.name))
}

fn key_positions(model: &Model, columns: &[&str]) -> Vec<usize> {
    let position = |name: &str| columns.iter().position(|column| *column == name);
    match &model.kind {
        ModelKind::Dimension { surrogate_key, .. } => position(surrogate_key.as_str()).into_iter().collect(),
        ModelKind::Fact { .. } | ModelKind::Aggregate { .. } | ModelKind::View { .. } => {
            model.key.iter().filter_map(|name| position(name.as_str())).collect()
        }
        ModelKind::DateDimension => position("date_key").into_iter().collect(),
    }
}

fn each_row(
    target: &Target,
    schema: &str,
    table: &str,
    columns: &[&str],
    mut visit: impl FnMut(&[Value]),
) -> Result<(), Diagnosed> {
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let sql = format!("SELECT {} FROM \"{schema}\".\"{table}\"", quoted.join(", "));
    Ok(target.connect()?.each_row(&sql, &mut |row| visit(row))?)
}
