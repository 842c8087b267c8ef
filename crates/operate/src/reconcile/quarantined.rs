//! The last state of every key among the changes that staging took: what curated must show.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use weir_core::change::Op;
use weir_core::diagnosis::Diagnosed;
use weir_core::ledger::RecordKind;
use weir_core::name::TableName;
use weir_core::order_key::OrderKey;
use weir_core::value::Row;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_project::Project;

use super::Witness;
use super::expected::identity;
use super::tally::{Fingerprint, fingerprint};
use super::zones::each_change;

/// A key's newest change, and its newest row that was no delete.
#[derive(Debug, Clone)]
pub struct LastState {
    place: (OrderKey, u8),
    /// Whether the newest change is a delete, or a truncation came after it.
    pub deleted: bool,
    row_place: Option<(OrderKey, u8)>,
    /// The newest row.
    pub row: Option<Row>,
}

/// Per table, per key.
pub type LastStates = HashMap<TableName, HashMap<Fingerprint, LastState>>;

/// Goes through the stream once more, leaving out what lies in quarantine.
pub async fn last_states(project: &Project, lake: &Lake, witness: &dyn Witness) -> Result<LastStates, Diagnosed> {
    let mut quarantine: HashMap<TableName, HashSet<Fingerprint>> = HashMap::new();
    for table in &project.tables {
        let names = quarantine.entry(table.name.clone()).or_default();
        each_change(lake, Zone::Quarantine, table, |name, _, _| {
            names.insert(name);
        })
        .await?;
    }
    let mut states: LastStates = project.tables.iter().map(|table| (table.name.clone(), HashMap::new())).collect();
    let mut truncated: BTreeMap<TableName, BTreeSet<OrderKey>> = BTreeMap::new();
    witness.each(&mut |record| {
        let (RecordKind::Change(change) | RecordKind::Repeat(change)) = record.kind else { return };
        let Some(keys) = states.get_mut(&record.table) else { return };
        if change.op == Op::Truncate {
            truncated.entry(record.table).or_default().insert(change.order_key);
            return;
        }
        let name = identity(&change.key, change.op, &change.order_key);
        if quarantine.get(&record.table).is_some_and(|names| names.contains(&name)) {
            return;
        }
        let place = (change.order_key, change.op.rank());
        let deleted = change.op == Op::Delete;
        let row = if deleted { None } else { change.row };
        match keys.entry(fingerprint(&change.key)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                let row_place = row.is_some().then(|| place.clone());
                entry.insert(LastState { place, deleted, row_place, row });
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let state = entry.get_mut();
                if row.is_some() && state.row_place.as_ref().is_none_or(|known| *known <= place) {
                    state.row_place = Some(place.clone());
                    state.row = row;
                }
                if state.place <= place {
                    state.place = place;
                    state.deleted = deleted;
                }
            }
        }
    })?;
    for (table, truncations) in &truncated {
        let before = |place: &OrderKey| truncations.last().is_some_and(|newest| place < newest);
        let keys = states.get_mut(table).into_iter().flat_map(HashMap::values_mut);
        keys.for_each(|state| state.deleted |= before(&state.place.0));
    }
    Ok(states)
}
