//! How the changes arrive: late, out of order within their key, twice, or with poison in between.
//!
//! Takes changes in the source's order, gives records in the order of the stream. Holds back only what is
//! late, parked or due again: memory is bounded by rates and delays, not by the length of the run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use weir_core::change::Op;

use super::dice::Dice;
use super::spec::{Spec, Switch, Switches};
use super::state::{Key, Layouts, key_row};
use super::world::Step;
use crate::position;
use crate::record::{CONNECTOR_DELAY, Event, Payload, Poison, SourceRecord, partition_of};

/// How often in 10,000 changes.
const LATE: u32 = 60;
const REORDERED: u32 = 150;
const DUPLICATES: u32 = 100;
const POISON: u32 = 4;
/// Changes after which a delivery is repeated, at most.
const REPEATED: u32 = 2000;

/// A change that waits, or a delivery that comes again. Compares by when it is due.
#[derive(Clone, Copy)]
struct Waiting {
    due: u64,
    number: u64,
    step: Step,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

pub(super) struct Delivery {
    switches: Switches,
    dice: Dice,
    layouts: Layouts,
    partitions: i32,
    /// Changes taken so far.
    taken: u64,
    /// Newest commit time seen, milliseconds: the connector's clock.
    now: i64,
    /// Changes in an hour, about: what makes a delay late by hours.
    per_hour: u32,
    late: BinaryHeap<Reverse<Waiting>>,
    /// Until when changes of a key must queue behind a late one.
    late_keys: HashMap<Key, u64>,
    parked: HashMap<Key, Waiting>,
    parked_until: VecDeque<(u64, u64, Key)>,
    again: BinaryHeap<Reverse<Waiting>>,
    next_poison: usize,
    /// Records in the order of the stream, taken by the simulation.
    pub out: VecDeque<SourceRecord>,
}

impl Delivery {
    pub fn new(spec: Spec, layouts: Layouts, partitions: i32, gap: u32) -> Self {
        // An order makes about 7 changes.
        let per_hour = (3_600_000 / gap.max(1)).max(1) * 7;
        Self {
            switches: spec.switches,
            dice: Dice::new(spec.seed, 1),
            layouts,
            partitions,
            taken: 0,
            now: i64::MIN,
            per_hour,
            late: BinaryHeap::new(),
            late_keys: HashMap::new(),
            parked: HashMap::new(),
            parked_until: VecDeque::new(),
            again: BinaryHeap::new(),
            next_poison: 0,
            out: VecDeque::new(),
        }
    }

    /// Takes the next change of the source.
    pub fn take(&mut self, step: Step) {
        self.taken += 1;
        self.now = self.now.max(step.committed);
        self.release(self.taken);
        let key = step.state().key();
        let number = self.taken;
        // The first chances of a run are certain, so that a short run shows every kind.
        let late = (self.dice.chance(LATE) || number == 25) && self.switches.has(Switch::Late);
        let delay = u64::from(self.dice.between(2 * self.per_hour, 12 * self.per_hour));
        let reordered = (self.dice.chance(REORDERED) || number.is_multiple_of(40) && number <= 400)
            && self.switches.has(Switch::Reordered);
        if let Some(parked) = self.parked.remove(&key) {
            self.deliver(step);
            self.deliver(parked.step);
        } else if let Some(due) = self.late_keys.get(&key).copied() {
            self.late.push(Reverse(Waiting { due, number, step }));
        } else if late {
            let due = number + delay;
            self.late_keys.insert(key, due);
            self.late.push(Reverse(Waiting { due, number, step }));
        } else if reordered {
            // Sent within 20 minutes although no other change of its key came: that is not late yet.
            let due = number + u64::from(self.per_hour / 3);
            self.parked.insert(key, Waiting { due, number, step });
            self.parked_until.push_back((due, number, key));
        } else {
            self.deliver(step);
        }
    }

    /// Sends all that still waits.
    pub fn finish(&mut self) {
        self.release(u64::MAX);
    }

    fn release(&mut self, now: u64) {
        while let Some((due, number, key)) = self.parked_until.front().copied().filter(|(due, ..)| *due <= now) {
            self.parked_until.pop_front();
            if self.parked.get(&key).is_some_and(|parked| (parked.due, parked.number) == (due, number))
                && let Some(parked) = self.parked.remove(&key)
            {
                self.deliver(parked.step);
            }
        }
        while let Some(Reverse(waiting)) = self.late.peek().copied().filter(|Reverse(waiting)| waiting.due <= now) {
            self.late.pop();
            self.late_keys.remove(&waiting.step.state().key());
            self.deliver(waiting.step);
        }
        while let Some(Reverse(waiting)) = self.again.peek().copied().filter(|Reverse(waiting)| waiting.due <= now) {
            self.again.pop();
            self.push(waiting.step, Payload::Repeat);
        }
    }

    /// Sends a change for the first time, with what follows it.
    fn deliver(&mut self, step: Step) {
        self.push(step, Payload::Change);
        let key = step.state().key();
        if step.op == Op::Delete {
            self.push_payload(key, Payload::Tombstone);
        }
        let again = self.dice.chance(DUPLICATES) || self.taken == 30;
        let delay = u64::from(self.dice.between(1, REPEATED));
        if again && self.switches.has(Switch::Duplicates) {
            self.again.push(Reverse(Waiting { due: self.taken + delay, number: self.taken, step }));
        }
        let poison = self.dice.chance(POISON) || (50..=90).contains(&self.taken) && self.taken.is_multiple_of(10);
        if poison && self.switches.has(Switch::Poison) {
            let kind = Poison::ALL[self.next_poison % Poison::ALL.len()];
            self.next_poison += 1;
            let mut event = self.event(step);
            event.position.serial += 1000;
            self.push_payload(key, Payload::Poison(kind, event));
        }
    }

    fn push(&mut self, step: Step, payload: fn(Event) -> Payload) {
        let event = self.event(step);
        self.push_payload(step.state().key(), payload(event));
    }

    fn push_payload(&mut self, key: Key, payload: Payload) {
        let table = self.layouts.table(key);
        let key = key_row(key);
        let partition = partition_of(&key, self.partitions);
        self.out.push_back(SourceRecord { table, partition, key, payload });
    }

    fn event(&self, step: Step) -> Event {
        let position = if step.op == Op::Read {
            position::of_snapshot(step.transaction)
        } else {
            position::of_change(step.transaction, step.transaction, step.slot, step.op)
        };
        Event {
            op: step.op,
            before: step.before.map(|state| self.layouts.row(state)),
            after: step.after.map(|state| self.layouts.row(state)),
            position,
            source_ts: step.committed * 1000,
            sent_ts: self.now * 1000 + CONNECTOR_DELAY,
        }
    }
}
