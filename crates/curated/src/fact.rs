//! The state of one fact key: a function of the set of its changes, and of nothing else.
//!
//! - The row is that of the newest change in order; a newest change that is a delete leaves no row.
//! - A milestone is the effective time of the first change in order, of all that ever were, whose column
//!   holds the awaited value: a correction or a new start of the key does not move it.
//! - Without an event time of its own (none declared, or the column is null) a fact has the effective time
//!   of its first change that is no delete.

use weir_core::change::Op;

use crate::scd::{Step, effective_times, in_order};

/// A fact that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Row of the newest change.
    pub newest: u32,
    /// Effective time of the first change that is no delete.
    pub inserted_at: i64,
    /// When each milestone was reached first.
    pub milestones: Vec<Option<i64>>,
}

/// The fact that a key's changes add up to; `reached(row, i)` tells whether the change in that row holds the
/// value of milestone `i`. `steps` may come in any order and hold repeats.
pub fn fact(steps: &mut Vec<Step<'_>>, milestones: usize, reached: impl Fn(u32, usize) -> bool) -> Option<Fact> {
    in_order(steps);
    let newest = steps.last().filter(|step| step.op != Op::Delete)?.row;
    let mut inserted_at = None;
    let mut times = vec![None; milestones];
    for (at, step) in effective_times(steps).filter(|(_, step)| step.op != Op::Delete) {
        inserted_at.get_or_insert(at);
        for (i, time) in times.iter_mut().enumerate() {
            if time.is_none() && reached(step.row, i) {
                *time = Some(at);
            }
        }
    }
    Some(Fact { newest, inserted_at: inserted_at?, milestones: times })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Op::{Create, Delete, Update};

    fn run(changes: &[(&'static [u8], Op, i64, bool)]) -> Option<Fact> {
        let mut steps: Vec<Step<'_>> = changes
            .iter()
            .enumerate()
            .map(|(i, (order_key, op, source_ts, _))| Step {
                order_key,
                op: *op,
                source_ts: *source_ts,
                tracked: &[],
                content: &[],
                row: u32::try_from(i).expect("few"),
            })
            .collect();
        fact(&mut steps, 1, |row, _| changes[row as usize].3)
    }

    #[test]
    fn a_milestone_is_the_first_time_in_order_and_stays() {
        let found = run(&[
            (b"3", Update, 30, true),
            (b"1", Create, 10, false),
            (b"2", Update, 20, true),
            (b"4", Update, 40, false),
        ]);
        assert_eq!(found, Some(Fact { newest: 3, inserted_at: 10, milestones: vec![Some(20)] }));
    }

    #[test]
    fn a_deleted_fact_is_gone_and_a_later_insert_brings_it_back() {
        assert_eq!(run(&[(b"1", Create, 10, true), (b"2", Delete, 20, false)]), None);
        let back = run(&[(b"1", Create, 10, true), (b"2", Delete, 20, false), (b"3", Create, 30, false)]);
        assert_eq!(back, Some(Fact { newest: 2, inserted_at: 10, milestones: vec![Some(10)] }));
    }

    #[test]
    fn a_late_update_before_the_newest_changes_nothing_but_its_milestone() {
        let found = run(&[(b"1", Create, 10, false), (b"3", Update, 30, false), (b"2", Update, 20, true)]);
        assert_eq!(found, Some(Fact { newest: 1, inserted_at: 10, milestones: vec![Some(20)] }));
    }
}
