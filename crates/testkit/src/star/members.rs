//! Who a business key belongs to, where a dimension has a durable key.

use std::collections::BTreeMap;

use weir_core::change::{Change, Op};
use weir_core::order_key::OrderKey;
use weir_core::surrogate::surrogate_key;
use weir_core::value::{Row, Value};
use weir_project::{Model, ModelKind};

use super::{Projection, key_only};

/// Whether members keep their history when their business key changes.
pub fn is_durable(model: &Model) -> bool {
    matches!(model.kind, ModelKind::Dimension { durable_key: Some(_), .. })
}

pub fn key_of(model: &Model, row: &Row) -> Row {
    model.key_indexes().into_iter().map(|i| row[i].clone()).collect()
}

/// A key got another one's member (`old`), or its own member left.
pub struct Turn {
    pub order_key: OrderKey,
    pub at: i64,
    pub old: Option<Row>,
}

pub type Turns = BTreeMap<Row, Vec<Turn>>;

/// Where one key was deleted and one other created at one position, the member of the first goes on as the second.
pub fn turns(model: &Model, changes: &[Change], project: Projection<'_>) -> Turns {
    let mut places: BTreeMap<&OrderKey, [BTreeMap<Row, i64>; 2]> = BTreeMap::new();
    for change in changes {
        let Some(row) = key_only(model, change, project) else { continue };
        let key = key_of(model, &row);
        let side = match change.op {
            Op::Delete => 0,
            Op::Create => 1,
            _ => continue,
        };
        if key.iter().any(Value::is_null) {
            continue;
        }
        let at = places.entry(&change.order_key).or_default()[side].entry(key).or_insert(change.source_ts);
        *at = change.source_ts.min(*at);
    }
    let mut turns = Turns::new();
    for (order_key, [deleted, created]) in places {
        let (Some((old, _)), Some((new, at))) = (deleted.first_key_value(), created.first_key_value()) else {
            continue;
        };
        if deleted.len() > 1 || created.len() > 1 || old == new {
            continue;
        }
        for (key, from) in [(old, None), (new, Some(old.clone()))] {
            let turns = turns.entry(key.clone()).or_default();
            let at = turns.last().map_or(*at, |last| last.at.max(*at));
            turns.push(Turn { order_key: order_key.clone(), at, old: from });
        }
    }
    turns
}

/// The durable key of the member that a key belongs to after so many of its turns.
fn after(model: &Model, turns: &Turns, key: &Row, passed: usize) -> Row {
    let mut named = key.clone();
    if let Some(last) = passed.checked_sub(1) {
        let turn = &turns[key][last];
        match &turn.old {
            Some(old) => {
                let before = turns[old].iter().filter(|other| other.order_key < turn.order_key).count();
                return after(model, turns, old, before);
            }
            None => named.push(Value::Bytes(turn.order_key.as_bytes().to_vec())),
        }
    }
    vec![Value::Int(surrogate_key(&model.name, &named, 0))]
}

/// Whether a member came to have this key.
pub fn is_taken_over(turns: &Turns, key: &Row) -> bool {
    turns.get(key).is_some_and(|turns| turns.iter().any(|turn| turn.old.is_some()))
}

/// The member of a key's own name: the key itself where there is no durable key.
pub fn own(model: &Model, key: &Row) -> Row {
    if is_durable(model) { after(model, &Turns::new(), key, 0) } else { key.clone() }
}

/// The member that a change of a key belongs to.
pub fn of_change(model: &Model, turns: &Turns, key: &Row, order_key: &OrderKey) -> Row {
    if !is_durable(model) {
        return key.clone();
    }
    let passed = |turn: &&Turn| match turn.old {
        Some(_) => turn.order_key <= *order_key,
        None => turn.order_key < *order_key,
    };
    let passed = turns.get(key).map_or(0, |turns| turns.iter().filter(passed).count());
    after(model, turns, key, passed)
}

/// The members that a fact of a time may point to: the first one that has a row.
pub fn of_fact(model: &Model, turns: &Turns, key: &Row, event_time: i64) -> Vec<Row> {
    if !is_durable(model) {
        return vec![key.clone()];
    }
    let of_key = turns.get(key).map_or(&[][..], Vec::as_slice);
    let then = of_key.iter().filter(|turn| turn.at <= event_time).count();
    let nearest = (0..=then).rev().chain(then + 1..=of_key.len());
    nearest.map(|passed| after(model, turns, key, passed)).collect()
}
