//! What the stream holds, from the ledger or from the topics themselves: distinct changes, repeats,
//! tombstones, and records that cannot be read.

use std::collections::{BTreeSet, HashMap};

use weir_core::change::{Change, Op};
use weir_core::ledger::{LedgerRecord, RecordKind};
use weir_core::name::TableName;
use weir_core::order_key::OrderKey;
use weir_core::value::Value;

use super::tally::{Fingerprint, fingerprint};

/// What one table's topic holds.
#[derive(Debug, Default)]
pub struct ExpectedTable {
    /// Records in all.
    pub records: u64,
    /// Deliveries of a change that came before.
    pub repeats: u64,
    /// Null values.
    pub tombstones: u64,
    /// Records that cannot be read, by (partition, offset).
    pub unreadable: Vec<(i32, i64)>,
    /// Every distinct change: its identity, and its row (none where the stream does not know it).
    pub changes: HashMap<Fingerprint, Option<Fingerprint>>,
    /// Places of the table's truncations.
    pub truncations: BTreeSet<OrderKey>,
}

/// What the stream holds, per table.
pub type Expected = HashMap<TableName, ExpectedTable>;

/// The name of a change: key, operation, order key. The table is known from the context.
pub fn identity(key: &[Value], op: Op, order_key: &OrderKey) -> Fingerprint {
    let op = Value::Text(op.letter().to_owned());
    let order = Value::Bytes(order_key.as_bytes().to_vec());
    fingerprint(key.iter().chain([&op, &order]))
}

impl ExpectedTable {
    /// Takes the next record of the topic.
    pub fn add(&mut self, record: &LedgerRecord) {
        self.records += 1;
        match &record.kind {
            RecordKind::Tombstone => self.tombstones += 1,
            RecordKind::Poison(_) => self.unreadable.push((record.partition, record.offset)),
            RecordKind::Change(change) | RecordKind::Repeat(change) => {
                if !self.observe(change) {
                    self.repeats += 1;
                }
            }
        }
    }

    /// Notes a change; false if it was known.
    fn observe(&mut self, change: &Change) -> bool {
        if change.op == Op::Truncate {
            return self.truncations.insert(change.order_key.clone());
        }
        let identity = identity(&change.key, change.op, &change.order_key);
        let row = change.row.as_ref().map(fingerprint);
        self.changes.insert(identity, row).is_none()
    }
}

#[cfg(test)]
mod tests {
    use weir_core::order_key::{Lsn, SqlServerPosition};

    use super::*;

    fn record(offset: i64, op: Op, commit: u32, row: i64) -> LedgerRecord {
        let position = SqlServerPosition {
            commit_lsn: Lsn::new(1, commit, 1),
            change_lsn: Some(Lsn::new(1, commit, 1)),
            serial: 1,
        };
        let change = Change {
            table: "t".parse().expect("a name"),
            key: vec![Value::Int(1)],
            op,
            order_key: position.into(),
            source_ts: 0,
            row: Some(vec![Value::Int(1), Value::Int(row)]),
        };
        LedgerRecord { table: change.table.clone(), partition: 0, offset, kind: RecordKind::Change(change) }
    }

    #[test]
    fn a_truncation_is_an_event_of_its_own_and_comes_again_as_a_repeat() {
        let truncation = |offset, commit| {
            let mut record = record(offset, Op::Truncate, commit, 0);
            if let RecordKind::Change(change) = &mut record.kind {
                (change.key, change.row) = (Vec::new(), None);
            }
            record
        };
        let mut table = ExpectedTable::default();
        [truncation(0, 5), record(1, Op::Create, 3, 10), truncation(2, 5)].iter().for_each(|record| table.add(record));
        assert_eq!((table.truncations.len(), table.repeats, table.changes.len()), (1, 1, 1));
    }

    #[test]
    fn a_second_delivery_is_a_repeat_even_where_the_ledger_calls_it_a_change() {
        let mut table = ExpectedTable::default();
        table.add(&record(0, Op::Create, 1, 10));
        table.add(&record(1, Op::Create, 1, 10));
        assert_eq!((table.records, table.repeats, table.changes.len()), (2, 1, 1));
    }
}
