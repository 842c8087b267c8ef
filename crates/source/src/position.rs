//! Log positions as the generators make them: pure functions of an ordinal, never of a clock.
//!
//! A unit (a transaction of the simulator, a row of the data set, a line of the events file) owns 16
//! blocks of the log: its changes lie in the first, told apart by their slot; its commit in the last.
//! So every change LSN of a transaction is below its commit LSN, and both grow with the unit.

use weir_core::change::Op;
use weir_core::order_key::{Lsn, SqlServerPosition};

/// First log file; a live server never hands out file 0.
const FIRST_FILE: u32 = 0x2a;
/// Units per log file: 16 blocks each fill the 32-bit block number.
const UNITS_PER_FILE: u64 = 1 << 28;

/// LSN of the commit that ends with this unit.
pub(crate) fn commit_lsn(unit: u64) -> Lsn {
    let (file, block) = place(unit);
    Lsn::new(file, block | 0xf, 1)
}

/// Position of the change in this slot of a unit, in the transaction that ends with unit `last`.
///
/// The serial number is Debezium's: 1 for an insert or delete, 2 for the pair of rows of an update.
pub(crate) fn of_change(unit: u64, last: u64, slot: u16, op: Op) -> SqlServerPosition {
    let (file, block) = place(unit);
    let serial = if op == Op::Update { 2 } else { 1 };
    SqlServerPosition { commit_lsn: commit_lsn(last), change_lsn: Some(Lsn::new(file, block, slot)), serial }
}

/// Position of every row of a snapshot taken at this unit: a commit LSN and nothing else.
pub(crate) fn of_snapshot(unit: u64) -> SqlServerPosition {
    SqlServerPosition { commit_lsn: commit_lsn(unit), change_lsn: None, serial: 0 }
}

fn place(unit: u64) -> (u32, u32) {
    let file = u32::try_from(unit / UNITS_PER_FILE).unwrap_or(u32::MAX - FIRST_FILE).saturating_add(FIRST_FILE);
    let block = u32::try_from(unit % UNITS_PER_FILE).expect("the remainder is below 2^28") << 4;
    (file, block)
}

#[cfg(test)]
mod tests {
    use weir_core::order_key::OrderKey;

    use super::*;

    #[test]
    fn positions_grow_with_unit_and_slot_and_changes_lie_before_their_commit() {
        let mut last: Option<OrderKey> = None;
        for unit in [1, 2, 3, UNITS_PER_FILE - 1, UNITS_PER_FILE, UNITS_PER_FILE + 1] {
            for slot in 1..4 {
                let position = of_change(unit, unit, slot, Op::Create);
                assert!(position.change_lsn.is_some_and(|lsn| lsn < position.commit_lsn));
                let key = OrderKey::from(position);
                assert!(last.is_none_or(|last| last < key));
                last = Some(key);
            }
        }
    }
}
