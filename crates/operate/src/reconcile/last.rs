//! The last state of every key: of all that the stream holds, which the mirrors must show, and of what staging took,
//! which curated must show.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use weir_core::change::{Change, Op};
use weir_core::diagnosis::Diagnosed;
use weir_core::ledger::RecordKind;
use weir_core::name::TableName;
use weir_core::order_key::OrderKey;
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_project::Project;

use super::Witness;
use super::expected::identity;
use super::tally::{Fingerprint, fingerprint};
use super::zones::each_change;

/// Where a change stands among those of its key.
type Place = (OrderKey, u8);

/// A key's newest change, and its newest row that was no delete.
#[derive(Debug, Clone)]
pub struct LastState {
    place: Place,
    /// Whether the newest change is a delete, or a truncation came after it.
    pub deleted: bool,
    row: Option<(Place, Row)>,
    /// Columns that the newest row came without, and the place of the row that their value is from.
    filled: Vec<(usize, Option<Place>)>,
}

/// Per table, per key.
pub type LastStates = HashMap<TableName, HashMap<Fingerprint, LastState>>;

/// The last states of all changes, and how they differ where some lie in quarantine.
pub struct States {
    /// Of all changes.
    pub sent: LastStates,
    /// Of the keys with a change in quarantine: without it, none where nothing is left.
    staged: BTreeMap<TableName, HashMap<Fingerprint, Option<LastState>>>,
}

impl LastState {
    fn new(change: Change, unavailable: &str) -> Self {
        let place = (change.order_key.clone(), change.op.rank());
        let mut state = Self { place, deleted: false, row: None, filled: Vec::new() };
        state.take(change, unavailable);
        state
    }

    /// The newest row.
    pub fn row(&self) -> Option<&Row> {
        self.row.as_ref().map(|(_, row)| row)
    }

    /// Takes a change of the key, in any order. `unavailable` stands for a value that an update left alone and the
    /// source's log does not have: it is still what the row before says.
    fn take(&mut self, change: Change, unavailable: &str) {
        let place = (change.order_key, change.op.rank());
        if self.place <= place {
            self.place = place.clone();
            self.deleted = change.op == Op::Delete;
        }
        let Some(mut row) = change.row.filter(|_| change.op != Op::Delete) else { return };
        let missing = |value: &Value| match value {
            Value::Text(text) => text == unavailable,
            Value::Bytes(bytes) => bytes == unavailable.as_bytes(),
            _ => false,
        };
        match &mut self.row {
            Some((newest, held)) if *newest > place => {
                for (column, from) in &mut self.filled {
                    if !missing(&row[*column]) && from.as_ref().is_none_or(|from| *from < place) {
                        held[*column] = std::mem::replace(&mut row[*column], Value::Null);
                        *from = Some(place.clone());
                    }
                }
            }
            older => {
                let mut filled = Vec::new();
                for (column, value) in row.iter_mut().enumerate().filter(|(_, value)| missing(value)) {
                    *value = older.as_ref().map_or(Value::Null, |(_, row)| row[column].clone());
                    let known = self.filled.iter().find(|(filled, _)| *filled == column).map(|(_, from)| from.clone());
                    filled.push((column, known.unwrap_or_else(|| older.as_ref().map(|(place, _)| place.clone()))));
                }
                self.filled = filled;
                self.row = Some((place, row));
            }
        }
    }
}

impl States {
    /// The last states of what staging took.
    pub fn staged(self) -> LastStates {
        let mut states = self.sent;
        for (table, keys) in self.staged {
            let all = states.entry(table).or_default();
            #[allow(clippy::iter_over_hash_type, reason = "a map is changed: the order does not show")]
            for (key, state) in keys {
                match state {
                    Some(state) => all.insert(key, state),
                    None => all.remove(&key),
                };
            }
        }
        states
    }
}

/// Goes through the stream once more.
pub async fn states(project: &Project, lake: &Lake, witness: &dyn Witness) -> Result<States, Diagnosed> {
    let mut quarantine: HashMap<TableName, HashSet<Fingerprint>> = HashMap::new();
    let empty = || project.tables.iter().map(|table| (table.name.clone(), HashMap::new())).collect();
    let mut states = States { sent: empty(), staged: BTreeMap::new() };
    for table in &project.tables {
        let names = quarantine.entry(table.name.clone()).or_default();
        let keys = states.staged.entry(table.name.clone()).or_default();
        each_change(lake, Zone::Quarantine, table, |found| {
            names.insert(found.name);
            keys.insert(found.key, None);
        })
        .await?;
    }
    let mut truncated: BTreeMap<TableName, OrderKey> = BTreeMap::new();
    let unavailable = project.staging.unavailable_value.as_str();
    witness.each(&mut |record| {
        let (RecordKind::Change(change) | RecordKind::Repeat(change)) = record.kind else { return };
        let Some(sent) = states.sent.get_mut(&record.table) else { return };
        if change.op == Op::Truncate {
            let newest = truncated.entry(record.table).or_insert_with(|| change.order_key.clone());
            *newest = change.order_key.max(newest.clone());
            return;
        }
        let key = fingerprint(&change.key);
        if let Some(state) = states.staged.get_mut(&record.table).and_then(|keys| keys.get_mut(&key))
            && !quarantine[&record.table].contains(&identity(&change.key, change.op, &change.order_key))
        {
            match state {
                Some(state) => state.take(change.clone(), unavailable),
                None => *state = Some(LastState::new(change.clone(), unavailable)),
            }
        }
        match sent.entry(key) {
            Entry::Occupied(mut state) => state.get_mut().take(change, unavailable),
            Entry::Vacant(state) => {
                state.insert(LastState::new(change, unavailable));
            }
        }
    })?;
    for (table, newest) in &truncated {
        let sent = states.sent.get_mut(table).into_iter().flat_map(HashMap::values_mut);
        let staged = states.staged.get_mut(table).into_iter().flat_map(HashMap::values_mut);
        sent.chain(staged.flatten()).for_each(|state| state.deleted |= state.place.0 < *newest);
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use weir_core::order_key::PostgresPosition;

    use super::*;

    fn change(place: u64, op: Op, text: &str) -> Change {
        Change {
            table: "t".parse().expect("a name"),
            key: vec![Value::Int(1)],
            op,
            order_key: PostgresPosition { last_commit_lsn: 0, lsn: place }.into(),
            source_ts: 0,
            row: Some(vec![Value::Int(1), Value::Text(text.into())]),
        }
    }

    fn last(changes: &[(u64, Op, &str)]) -> LastState {
        let mut changes = changes.iter().map(|(place, op, text)| change(*place, *op, text));
        let mut state = LastState::new(changes.next().expect("a change"), "?");
        changes.for_each(|change| state.take(change, "?"));
        state
    }

    #[test]
    fn the_last_state_of_a_key_follows_the_sources_order_and_not_arrival() {
        let state = last(&[(1, Op::Create, "a"), (3, Op::Delete, ""), (2, Op::Update, "b")]);
        assert!(state.deleted);
        assert_eq!(state.row().expect("a row")[1], Value::Text("b".into()));
    }

    #[test]
    fn a_value_that_the_log_did_not_carry_is_that_of_the_row_before_in_any_order() {
        let changes = [(1, Op::Create, "a"), (2, Op::Update, "b"), (3, Op::Update, "?"), (4, Op::Update, "?")];
        for order in [[0, 1, 2, 3], [3, 0, 1, 2], [3, 2, 1, 0], [0, 3, 2, 1], [2, 0, 3, 1]] {
            let state = last(&order.map(|at| changes[at]));
            assert_eq!(state.row().expect("a row")[1], Value::Text("b".into()), "{order:?}");
        }
        assert_eq!(last(&changes[2..]).row().expect("a row")[1], Value::Null);
    }
}
