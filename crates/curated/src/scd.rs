//! Versions of one dimension key: a function of the set of its changes, and of nothing else.
//!
//! The rules, in the order in which they apply:
//!
//! 1. Two deliveries with the same identity (operation, order key) are one change. Should their contents
//!    differ, the one with the smaller (commit time, content) counts, whichever came first.
//! 2. With [`Deletes::Ignore`] deletes are left out before anything else. With [`Deletes::Mark`] a delete closes
//!    nothing: the open version is marked, until a state in its own interval that is no delete takes the mark off.
//!    So a closed version is marked exactly when the key was deleted at its end.
//! 3. Changes apply in the order (order key, rank of the operation). A change's effective time is the later
//!    of its commit time and the effective time of the change before it: clocks run backwards, the order
//!    does not.
//! 4. Of the changes with one effective time only the last one counts as the state from then on. So a
//!    delete and a create at the same effective time are no gap: the create's state is compared with the
//!    state before the delete. A create and a delete at the same time leave nothing.
//! 5. A state opens a version when there is none open or when a tracked (type 2) column differs from the
//!    open version. A delete closes the open version at its effective time. The interval is half-open, so
//!    a version never is empty.
//! 6. A change effective at or after [`OPEN`] neither opens nor closes a version.
//! 7. Type 1 columns hold, on every version, the value of the newest change that is no delete: whether or
//!    not that change made a version, and also when the key is deleted now. Type 1 columns with scope
//!    `current` hold the value of the last state inside the version's own interval: the newest value on the
//!    current version, and on a closed one what it held when it was closed.
//! 8. The first version *that remains* has the surrogate key of time 0, every other one that of its
//!    effective_from. A late change may make another version the first; the keys then move with the rule.

use weir_core::change::Op;
use weir_core::name::ModelName;
use weir_core::surrogate::surrogate_key;
use weir_core::value::Row;
use weir_project::Deletes;

/// `effective_to` of an open version: 9999-12-31T00:00:00 UTC, in microseconds since 1970.
pub const OPEN: i64 = 253_402_214_400_000_000;
/// `effective_from` of the unknown member and of inferred members: 0001-01-01T00:00:00 UTC.
pub const BEGINNING: i64 = -62_135_596_800_000_000;

/// One change of one key, as far as versions and facts depend on it. Values stay in their columns: `row`
/// says where, `tracked` and `content` are encodings that are equal exactly when the values are.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Place in the source's order.
    pub order_key: &'a [u8],
    /// What was done.
    pub op: Op,
    /// Commit time at the source, microseconds since 1970 UTC.
    pub source_ts: i64,
    /// The type 2 columns.
    pub tracked: &'a [u8],
    /// All columns: decides between two contents under one identity.
    pub content: &'a [u8],
    /// Where the change's values are.
    pub row: u32,
}

/// One version. The three rows say where its columns' values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Valid from, inclusive.
    pub from: i64,
    /// Valid to, exclusive; [`OPEN`] on the current version.
    pub to: i64,
    /// Row of the change that opened it: type 2 columns.
    pub opened_by: u32,
    /// Row of the last state inside it: type 1 columns with scope `current`.
    pub last: u32,
    /// Row of the key's newest change that is no delete: type 1 columns.
    pub newest: u32,
    /// With [`Deletes::Mark`]: the last state inside it is a delete.
    pub deleted: bool,
}

impl Version {
    /// True for the version that holds now.
    pub const fn is_current(&self) -> bool {
        self.to == OPEN
    }
}

/// Sorts one key's changes into the order in which they apply and drops repeats (rule 1).
pub fn in_order(steps: &mut Vec<Step<'_>>) {
    steps.sort_by(|a, b| {
        let place = |s: &Step<'_>| (s.op.rank(), s.source_ts);
        a.order_key.cmp(b.order_key).then_with(|| place(a).cmp(&place(b))).then_with(|| a.content.cmp(b.content))
    });
    steps.dedup_by(|later, earlier| later.order_key == earlier.order_key && later.op == earlier.op);
}

/// The versions that a dimension holds for one key, oldest first, half-open, without overlap.
///
/// `steps` may come in any order and hold repeats; it is left in the order in which it applied.
pub fn versions(steps: &mut Vec<Step<'_>>, deletes: Deletes) -> Vec<Version> {
    if matches!(deletes, Deletes::Ignore) {
        steps.retain(|step| step.op != Op::Delete);
    }
    in_order(steps);
    let Some(newest) = steps.iter().rev().find(|step| step.op != Op::Delete).map(|step| step.row) else {
        return Vec::new();
    };
    let mut done: Vec<Version> = Vec::new();
    let mut open: Option<(Version, &[u8])> = None;
    for (at, step) in states(steps) {
        if at >= OPEN {
            break;
        }
        if step.op == Op::Delete {
            if deletes == Deletes::Mark {
                if let Some((version, _)) = &mut open {
                    version.deleted = true;
                }
            } else if let Some((version, _)) = open.take() {
                done.push(Version { to: at, ..version });
            }
            continue;
        }
        match &mut open {
            Some((version, tracked)) if *tracked == step.tracked => {
                version.last = step.row;
                version.deleted = false;
            }
            _ => {
                if let Some((version, _)) = open.take() {
                    done.push(Version { to: at, ..version });
                }
                let version =
                    Version { from: at, to: OPEN, opened_by: step.row, last: step.row, newest, deleted: false };
                open = Some((version, step.tracked));
            }
        }
    }
    done.extend(open.map(|(version, _)| version));
    done
}

/// Effective times of changes in order: never earlier than the one before.
pub fn effective_times<'s, 'a>(steps: &'s [Step<'a>]) -> impl Iterator<Item = (i64, &'s Step<'a>)> {
    let mut latest = i64::MIN;
    steps.iter().map(move |step| {
        latest = latest.max(step.source_ts);
        (latest, step)
    })
}

/// The last change of each effective time (rule 4), times strictly growing.
fn states<'s, 'a>(steps: &'s [Step<'a>]) -> impl Iterator<Item = (i64, &'s Step<'a>)> {
    let mut timed = effective_times(steps).peekable();
    std::iter::from_fn(move || {
        let (at, mut state) = timed.next()?;
        while let Some((_, later)) = timed.next_if(|(next, _)| *next == at) {
            state = later;
        }
        Some((at, state))
    })
}

/// The surrogate key of a key's `index`-th version (rule 8).
///
/// Time 0 belongs to the first version, so a later version that begins exactly at 1970-01-01T00:00:00
/// takes the smallest time instead.
pub fn version_key(model: &ModelName, key: &Row, index: usize, from: i64) -> i64 {
    match (index, from) {
        (0, _) => surrogate_key(model, key, 0),
        (_, 0) => surrogate_key(model, key, i64::MIN),
        (_, from) => surrogate_key(model, key, from),
    }
}

/// When which version's key holds, for facts to look up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline(Vec<(i64, i64)>);

impl Timeline {
    /// From (effective_from, surrogate key) pairs in any order.
    pub fn new(mut versions: Vec<(i64, i64)>) -> Self {
        versions.sort_unstable();
        // What lies before the first version belongs to it: its own beginning does not matter to a fact.
        if let Some(first) = versions.first_mut() {
            first.0 = i64::MIN;
        }
        Self(versions)
    }

    /// The key of the version that a fact of this time points to: the one with the greatest effective_from
    /// not after it, else the first. In the hole behind a delete that is the version before the delete.
    pub fn at(&self, event_time: i64) -> Option<i64> {
        let after = self.0.partition_point(|(from, _)| *from <= event_time);
        self.0.get(after.saturating_sub(1)).map(|(_, key)| *key)
    }

    /// Surrogate keys, by effective_from.
    pub fn keys(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step<'a>(order: &'a [u8], op: Op, source_ts: i64, tracked: &'a str, row: u32) -> Step<'a> {
        Step { order_key: order, op, source_ts, tracked: tracked.as_bytes(), content: &[], row }
    }

    fn spans(steps: &[Step<'_>]) -> Vec<(i64, i64, u32)> {
        let run = |mut steps: Vec<Step<'_>>| versions(&mut steps, Deletes::Close);
        let forward = run(steps.to_vec());
        let backward = run(steps.iter().rev().chain(steps).copied().collect());
        assert_eq!(forward, backward, "order and repeats of arrival must not matter");
        forward.iter().map(|v| (v.from, v.to, v.opened_by)).collect()
    }

    use Op::{Create, Delete, Update};

    #[test]
    fn an_update_after_a_delete_that_comes_late_opens_a_version_of_its_own() {
        let found =
            spans(&[step(b"1", Create, 10, "a", 1), step(b"2", Delete, 20, "", 2), step(b"3", Update, 30, "a", 3)]);
        assert_eq!(found, [(10, 20, 1), (30, OPEN, 3)]);
    }

    #[test]
    fn a_late_event_after_a_delete_opens_no_overlapping_version() {
        let found =
            spans(&[step(b"1", Create, 10, "a", 1), step(b"3", Delete, 30, "", 2), step(b"2", Update, 20, "b", 3)]);
        assert_eq!(found, [(10, 20, 1), (20, 30, 3)]);
    }

    #[test]
    fn a_clock_that_runs_backwards_makes_no_version_before_its_predecessor() {
        let found =
            spans(&[step(b"1", Create, 50, "a", 1), step(b"2", Update, 20, "b", 2), step(b"3", Update, 60, "c", 3)]);
        assert_eq!(found, [(50, 60, 2), (60, OPEN, 3)], "the second takes the first one's place");
    }

    #[test]
    fn of_equal_timestamps_the_last_in_order_makes_the_version() {
        let found =
            spans(&[step(b"1", Create, 10, "a", 1), step(b"2", Update, 20, "b", 2), step(b"3", Update, 20, "c", 3)]);
        assert_eq!(found, [(10, 20, 1), (20, OPEN, 3)]);
        let back =
            spans(&[step(b"1", Create, 10, "a", 1), step(b"2", Update, 20, "b", 2), step(b"3", Update, 20, "a", 3)]);
        assert_eq!(back, [(10, OPEN, 1)], "there and back at one time is no change");
    }

    #[test]
    fn a_delete_and_a_create_at_one_time_leave_no_gap_and_no_empty_version() {
        let moved =
            spans(&[step(b"1", Create, 10, "a", 1), step(b"2", Delete, 20, "", 2), step(b"2", Create, 20, "a", 3)]);
        assert_eq!(moved, [(10, OPEN, 1)]);
        assert_eq!(spans(&[step(b"1", Create, 10, "a", 1), step(b"2", Delete, 10, "", 2)]), []);
    }

    #[test]
    fn a_change_that_alters_nothing_tracked_counts_once_a_late_one_comes_before_it() {
        let quiet = [step(b"1", Create, 10, "a", 1), step(b"3", Update, 30, "a", 3)];
        assert_eq!(spans(&quiet), [(10, OPEN, 1)]);
        let late = step(b"2", Update, 20, "b", 2);
        assert_eq!(spans(&[quiet[0], quiet[1], late]), [(10, 20, 1), (20, 30, 2), (30, OPEN, 3)]);
    }

    #[test]
    fn a_change_at_the_end_of_time_opens_and_closes_nothing() {
        let found =
            spans(&[step(b"1", Create, 10, "a", 1), step(b"2", Update, OPEN, "b", 2), step(b"3", Delete, 20, "", 3)]);
        assert_eq!(found, [(10, OPEN, 1)], "what follows in order is effective no earlier");
    }

    #[test]
    fn type_1_columns_take_the_newest_value_even_after_a_delete() {
        let mut steps = vec![
            step(b"1", Create, 10, "a", 1),
            step(b"2", Update, 20, "b", 2),
            step(b"3", Update, 25, "b", 3),
            step(b"4", Delete, 30, "", 4),
        ];
        let found = versions(&mut steps, Deletes::Close);
        assert_eq!(found.iter().map(|v| (v.newest, v.last)).collect::<Vec<_>>(), [(3, 1), (3, 3)]);
        assert!(!found.iter().any(Version::is_current));
    }

    #[test]
    fn ignored_deletes_leave_one_open_version() {
        let mut steps =
            vec![step(b"1", Create, 10, "a", 1), step(b"2", Delete, 20, "", 2), step(b"3", Update, 15, "a", 3)];
        let found = versions(&mut steps, Deletes::Ignore);
        assert_eq!(found.iter().map(|v| (v.from, v.to)).collect::<Vec<_>>(), [(10, OPEN)]);
    }

    #[test]
    fn a_marked_version_stays_current_and_loses_the_mark_when_its_key_comes_back() {
        let mut steps = vec![
            step(b"1", Create, 10, "a", 1),
            step(b"2", Delete, 20, "", 2),
            step(b"3", Create, 30, "a", 3),
            step(b"4", Delete, 40, "", 4),
            step(b"5", Create, 50, "b", 5),
        ];
        let seen = |steps: &mut Vec<Step<'_>>| -> Vec<_> {
            versions(steps, Deletes::Mark).iter().map(|v| (v.from, v.to, v.last, v.deleted)).collect()
        };
        assert_eq!(seen(&mut steps[..2].to_vec()), [(10, OPEN, 1, true)]);
        assert_eq!(seen(&mut steps[..3].to_vec()), [(10, OPEN, 3, false)], "one version, with nothing in between");
        assert_eq!(seen(&mut steps), [(10, 50, 3, true), (50, OPEN, 5, false)], "deleted when it was closed");
        assert_eq!(seen(&mut vec![steps[1]]), [], "a key that was only ever deleted has no version");
    }

    #[test]
    fn a_fact_points_to_the_version_of_its_time_or_to_the_first_or_before_the_hole() {
        let timeline = Timeline::new(vec![(30, 3), (10, 1), (20, 2)]);
        for (time, key) in [(i64::MIN, 1), (9, 1), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3), (i64::MAX, 3)] {
            assert_eq!(timeline.at(time), Some(key), "at {time}");
        }
        assert_eq!(Timeline::default().at(5), None);
    }

    #[test]
    fn a_later_version_that_begins_at_1970_does_not_take_the_first_ones_key() {
        let model: ModelName = "dim_x".parse().expect("a name");
        assert_ne!(version_key(&model, &vec![], 0, -5), version_key(&model, &vec![], 1, 0));
        assert_eq!(version_key(&model, &vec![], 0, -5), version_key(&model, &vec![], 0, 7));
    }
}
