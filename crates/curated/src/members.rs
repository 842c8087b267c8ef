//! Who a business key belongs to: a member of a dimension with a durable key keeps its history when its business key
//! changes.
//!
//! A source that changes a key deletes the row under the old key and creates it under the new one, both at one position
//! (as Debezium tells it). So a delete and a create of two keys at one position are a [`KeyChange`], in whatever order
//! they come, and nothing else is: positions are otherwise unique in a table.
//!
//! Key changes alone say to which member a key belongs at a place in the order:
//!
//! 1. A key that has not taken part in one yet belongs to the member of its own name.
//! 2. From the change on that gave it to a member, it belongs to the member that the old key belonged to before.
//! 3. After the change that took a member away from it, it belongs to nobody: should it be used again, that is another
//!    member.
//!
//! A durable key is a hash of that name: of the key, or of the key and the position after which it was free again. All
//! changes of a member, under whatever keys, are one list of changes, and its versions follow from them as they do
//! anywhere else; the business key is a tracked column of it.
//!
//! A fact names a key. It points to the member that the key belonged to at the fact's event time; where that one has no
//! row, to the nearest earlier one that has, else to the nearest later one: a fact that is older than its key's change
//! finds the member under the key that it was given later. No member is inferred for a key that was taken over.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::filter;
use arrow::error::ArrowError;
use weir_core::column::ColumnType;
use weir_core::name::{Identifier, ModelName};
use weir_core::surrogate::surrogate_key;
use weir_core::value::{Row, Value};
use weir_project::{Model, ModelColumn, ModelKind, Scd};

use crate::key::{complete, key_hashes, row_at};
use crate::layout::ORDER_KEY;
use crate::room::of_key_changes;

/// The column of a dimension's durable key.
pub fn durable_key(model: &Model) -> Option<&Identifier> {
    match &model.kind {
        ModelKind::Dimension { durable_key, .. } => durable_key.as_ref(),
        _ => None,
    }
}

/// A model as its tables are kept: one with a durable key is known by that, and its business key is tracked. Any other
/// one is as it is.
pub fn kept(model: &Model) -> Model {
    let Some(durable) = durable_key(model).filter(|durable| !model.key.contains(durable)) else { return model.clone() };
    let own = ModelColumn { name: durable.clone(), kind: ColumnType::BigInt, scd: Scd::Key };
    let keys = model.key_indexes();
    let rest = (0..model.columns.len()).filter(|at| !keys.contains(at));
    let columns = keys.iter().copied().chain(rest).map(|at| model.columns[at].clone());
    Model { key: vec![durable.clone()], columns: std::iter::once(own).chain(columns).collect(), ..model.clone() }
}

/// The business key of a model as its tables are kept, in key order.
pub fn business_key(model: &Model) -> Vec<&ModelColumn> {
    let named = |tracked: bool| {
        let is = move |column: &&ModelColumn| column.scd == Scd::Key && model.key.contains(&column.name) != tracked;
        model.columns.iter().filter(is)
    };
    match durable_key(model) {
        Some(_) => named(true).collect(),
        None => model.key.iter().filter_map(|name| model.column(name.as_str())).collect(),
    }
}

/// A key that gave way to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyChange {
    /// Its place in the source's order.
    pub order_key: Vec<u8>,
    /// Commit time at the source, microseconds since 1970 UTC.
    pub at: i64,
    /// The key until then.
    pub old: Row,
    /// The key from then on.
    pub new: Row,
    /// The version of the log that brought it.
    pub version: i64,
}

/// A key change, as one of its two keys sees it.
#[derive(Debug)]
struct Turn {
    order_key: Vec<u8>,
    /// When it takes effect: never before the turn before it.
    at: i64,
    /// The key whose member came; none where the member left.
    came_from: Option<Row>,
}

/// The members of one dimension, by the key changes that are known.
#[derive(Debug)]
pub struct Members {
    model: ModelName,
    turns: BTreeMap<Row, Vec<Turn>>,
    /// Hashes of the keys that have a turn: most keys have none.
    hashes: HashSet<u64>,
    /// Hashes of the members that such a key ever belonged to.
    sharing: HashSet<u64>,
    changes: Vec<KeyChange>,
    /// The version of the log that these are all changes of.
    version: i64,
}

impl Members {
    /// From all key changes of a version of the log, in any order; before the first one that is -1.
    pub fn new(model: &ModelName, mut changes: Vec<KeyChange>, version: i64) -> Self {
        changes.sort();
        changes.dedup();
        let mut turns: BTreeMap<Row, Vec<Turn>> = BTreeMap::new();
        for change in &changes {
            for (key, came_from) in [(&change.old, None), (&change.new, Some(change.old.clone()))] {
                let turns = turns.entry(key.clone()).or_default();
                let at = turns.last().map_or(i64::MIN, |last| last.at).max(change.at);
                turns.push(Turn { order_key: change.order_key.clone(), at, came_from });
            }
        }
        let hashes = turns.keys().map(weir_core::key_hash::key_hash).collect();
        let mut members = Self { model: model.clone(), turns, hashes, sharing: HashSet::new(), changes, version };
        members.sharing = members.turns.keys().flat_map(|key| members.all_of(key)).map(hash).collect();
        members
    }

    /// Whether a member, by hash, has a key that other members had or will have: whether it has a version matters to
    /// facts that name the key, whoever they point to.
    pub fn share_a_key(&self, member: u64) -> bool {
        self.sharing.contains(&member)
    }

    /// Whether no key ever changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The position of a table whose rows follow these.
    pub fn position(&self) -> Option<(String, i64)> {
        (self.version >= 0).then(|| (of_key_changes(&self.model), self.version))
    }

    /// The key changes that a table of this position does not follow yet.
    pub fn since(&self, position: Option<i64>) -> impl Iterator<Item = &KeyChange> {
        self.changes.iter().filter(move |change| position.is_none_or(|position| change.version > position))
    }

    fn turns(&self, key: &Row) -> &[Turn] {
        self.turns.get(key).map_or(&[], Vec::as_slice)
    }

    /// The member that a key belongs to after so many of its turns.
    fn after(&self, key: &Row, turns: usize) -> i64 {
        let Some(turn) = turns.checked_sub(1).map(|last| &self.turns(key)[last]) else {
            return surrogate_key(&self.model, key, 0);
        };
        match &turn.came_from {
            // A turn before this one: the order grows smaller, so this ends.
            Some(old) => self.after(old, self.turns(old).partition_point(|other| other.order_key < turn.order_key)),
            None => {
                let again: Row = key.iter().cloned().chain([Value::Bytes(turn.order_key.clone())]).collect();
                surrogate_key(&self.model, &again, 0)
            }
        }
    }

    /// The member that a change of a key belongs to. The delete at which a member leaves is still that member's.
    pub fn of_change(&self, key: &Row, order_key: &[u8]) -> i64 {
        let passed = |turn: &Turn| match turn.came_from {
            Some(_) => turn.order_key.as_slice() <= order_key,
            None => turn.order_key.as_slice() < order_key,
        };
        self.after(key, self.turns(key).partition_point(passed))
    }

    /// The members that a fact of this time may point to, the one that is asked first in front.
    pub fn of_fact(&self, key: &Row, event_time: i64) -> Vec<i64> {
        let turns = self.turns(key);
        let then = turns.partition_point(|turn| turn.at <= event_time);
        (0..=then).rev().chain(then + 1..=turns.len()).map(|passed| self.after(key, passed)).collect()
    }

    /// All members that a key ever belonged to.
    fn all_of(&self, key: &Row) -> impl Iterator<Item = i64> {
        (0..=self.turns(key).len()).map(|passed| self.after(key, passed))
    }

    /// The durable keys of all members that a key ever belonged to, as rows.
    pub fn rows_of(&self, key: &Row) -> Vec<Row> {
        let members: BTreeSet<i64> = self.all_of(key).collect();
        members.into_iter().map(|member| vec![Value::Int(member)]).collect()
    }

    /// Whether a member came to have this key: no inferred member is made for such a one.
    pub fn is_taken_over(&self, key: &Row) -> bool {
        self.turns(key).iter().any(|turn| turn.came_from.is_some())
    }

    /// Rows of key columns whose key has a turn.
    fn turned<'a>(&'a self, keys: &'a [ArrayRef]) -> impl Iterator<Item = (usize, Row)> + 'a {
        let hashes = if self.turns.is_empty() { Vec::new() } else { key_hashes(keys) };
        let maybe = hashes.into_iter().enumerate().filter(|(_, hash)| self.hashes.contains(hash));
        maybe.map(|(row, _)| (row, row_at(keys, row))).filter(|(_, key)| self.turns.contains_key(key))
    }

    /// The durable keys of changes, by their business keys and order keys; null where a key is incomplete.
    pub fn of_changes(&self, keys: &[ArrayRef], order_keys: &BinaryArray) -> ArrayRef {
        let mut durable = own(&self.model, keys);
        for (row, key) in self.turned(keys) {
            durable[row] = Some(self.of_change(&key, order_keys.value(row)));
        }
        Arc::new(Int64Array::from(durable))
    }

    /// A history's rows with the durable keys that they have by now.
    pub fn refilled(&self, model: &Model, history: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Some(durable) = durable_key(model) else { return Ok(history.clone()) };
        let column = |name: &str| {
            let found = history.column_by_name(name).cloned();
            found.ok_or_else(|| ArrowError::SchemaError(format!("a history has no `{name}`")))
        };
        let keys = business_key(model).iter().map(|key| column(key.name.as_str())).collect::<Result<Vec<_>, _>>()?;
        let mut columns = history.columns().to_vec();
        columns[history.schema().index_of(durable.as_str())?] =
            self.of_changes(&keys, column(ORDER_KEY)?.as_binary::<i32>());
        RecordBatch::try_new(history.schema(), columns)
    }

    /// The durable keys of the members that facts point to; null where a key is incomplete, or where it was taken over
    /// and no member that ever had it has a version. `is_there` tells whether a member has a row.
    pub fn of_facts(
        &self,
        keys: &[ArrayRef],
        event_times: &TimestampMicrosecondArray,
        is_there: impl Fn(i64) -> bool,
    ) -> ArrayRef {
        let mut durable = own(&self.model, keys);
        for (row, key) in self.turned(keys) {
            let found = self.of_fact(&key, event_times.value(row)).into_iter().find(|member| is_there(*member));
            durable[row] = found.or(durable[row].filter(|_| !self.is_taken_over(&key)));
        }
        Arc::new(Int64Array::from(durable))
    }

    /// Of each row the hashes of all durable keys that its business key ever had.
    pub fn hashes(&self, keys: &[ArrayRef]) -> Vec<(usize, u64)> {
        let own: ArrayRef = Arc::new(Int64Array::from(own(&self.model, keys)));
        let mut hashes: Vec<(usize, u64)> = key_hashes(std::slice::from_ref(&own))
            .into_iter()
            .enumerate()
            .filter(|(row, _)| own.is_valid(*row))
            .collect();
        for (row, key) in self.turned(keys) {
            hashes.extend(self.all_of(&key).map(|member| (row, hash(member))));
        }
        hashes
    }

    /// Mentioned business keys, each behind the durable key that an inferred member for it has; those that were taken
    /// over left out.
    pub fn mentioned(&self, keys: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let own: ArrayRef = Arc::new(Int64Array::from(own(&self.model, keys)));
        let all: Vec<ArrayRef> = std::iter::once(own).chain(keys.iter().cloned()).collect();
        self.not_taken_over(&all)
    }

    /// Durable and business keys without those that were taken over.
    pub fn not_taken_over(&self, all: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let [_, keys @ ..] = all else { return Ok(Vec::new()) };
        let gone: HashSet<usize> =
            self.turned(keys).filter(|(_, key)| self.is_taken_over(key)).map(|(row, _)| row).collect();
        if gone.is_empty() {
            return Ok(all.to_vec());
        }
        let keep = (0..keys[0].len()).map(|row| Some(!gone.contains(&row))).collect();
        all.iter().map(|column| filter(column, &keep)).collect()
    }

    /// The hashes of all members of which a key change says something that a table of this position does not follow yet.
    pub fn touched_since(&self, position: Option<i64>) -> impl Iterator<Item = u64> {
        let keys = self.since(position).flat_map(|change| [&change.old, &change.new]);
        keys.flat_map(|key| self.all_of(key)).map(hash)
    }

    /// The members of their own names of the keys that were taken over since: those lose their inferred members.
    pub fn taken_over_since(&self, position: Option<i64>) -> impl Iterator<Item = i64> {
        self.since(position).map(|change| surrogate_key(&self.model, &change.new, 0))
    }
}

/// The hash of a durable key.
pub fn hash(durable: i64) -> u64 {
    weir_core::key_hash::key_hash([&Value::Int(durable)])
}

/// The durable key of the member of a key's own name, for each row; none where the key is incomplete.
pub fn own(model: &ModelName, keys: &[ArrayRef]) -> Vec<Option<i64>> {
    let rows = keys.first().map_or(0, |column| column.len());
    (0..rows).map(|row| complete(keys, row).then(|| surrogate_key(model, &row_at(keys, row), 0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: i64) -> Row {
        vec![Value::Int(number)]
    }

    fn change(order: u8, old: i64, new: i64) -> KeyChange {
        KeyChange { order_key: vec![order], at: i64::from(order) * 10, old: key(old), new: key(new), version: 0 }
    }

    fn members(changes: &[KeyChange]) -> Members {
        Members::new(&"dim_x".parse().expect("a name"), changes.iter().rev().cloned().collect(), 0)
    }

    #[test]
    fn a_member_is_followed_through_all_its_keys() {
        let found = members(&[change(3, 1, 2), change(6, 2, 3)]);
        let one = found.of_change(&key(1), &[0]);
        assert_eq!(one, surrogate_key(&"dim_x".parse().expect("a name"), &key(1), 0));
        assert_eq!(found.of_change(&key(1), &[3]), one, "the delete under the old key");
        assert_eq!(
            [found.of_change(&key(2), &[3]), found.of_change(&key(2), &[6]), found.of_change(&key(3), &[9])],
            [one; 3]
        );
        assert_ne!(found.of_change(&key(2), &[2]), one, "who had the key before is somebody else");
        assert_ne!(found.of_change(&key(3), &[5]), one);
    }

    #[test]
    fn a_key_that_is_used_again_after_its_member_left_is_another_member() {
        let found = members(&[change(3, 1, 2), change(6, 2, 1)]);
        let one = found.of_change(&key(1), &[1]);
        let other = found.of_change(&key(1), &[4]);
        assert!(other != one && found.of_change(&key(1), &[5]) == other);
        assert_eq!(found.of_change(&key(1), &[6]), one, "and then the first one comes back to it");
    }

    #[test]
    fn a_fact_asks_the_member_of_its_time_then_earlier_ones_then_later_ones() {
        let found = members(&[change(3, 1, 2), change(6, 2, 3)]);
        let (one, two) = (found.of_change(&key(1), &[0]), found.of_change(&key(2), &[0]));
        let free = found.of_change(&key(2), &[7]);
        assert_eq!(found.of_fact(&key(2), 29), [two, one, free]);
        assert_eq!(found.of_fact(&key(2), 30), [one, two, free]);
        assert_eq!(found.of_fact(&key(2), 60), [free, one, two]);
        assert_eq!(found.of_fact(&key(9), 60), [found.of_change(&key(9), &[0])], "a key that never changed");
    }
}
