//! The simulator against a small model of a database and a stream.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_core::ledger::{LedgerRecord, RecordKind};
use weir_core::value::{Row, Value};

use super::*;
use crate::record::{Payload, Poison, SourceRecord};
use crate::source::Source;
use crate::testing::retail;

const PARTITIONS: i32 = 3;
const SMALL: Size = Size { customers: 60, products: 40, orders: 400 };
const MEDIUM: Size = Size { customers: 400, products: 100, orders: 4000 };

fn source(seed: u64, size: Size, switches: Switches) -> Source {
    Source::Simulate(Simulator::new(Spec { seed, size, switches }, &retail()).unwrap())
}

fn records(seed: u64, size: Size, switches: Switches) -> Vec<SourceRecord> {
    source(seed, size, switches).records(PARTITIONS).map(Result::unwrap).collect()
}

fn ledger(seed: u64, size: Size, switches: Switches) -> Vec<LedgerRecord> {
    let tables = retail();
    source(seed, size, switches).ledger(&tables, PARTITIONS).map(Result::unwrap).collect()
}

fn changes(ledger: &[LedgerRecord]) -> Vec<Change> {
    ledger
        .iter()
        .filter_map(|record| match &record.kind {
            RecordKind::Change(change) => Some(change.clone()),
            _ => None,
        })
        .collect()
}

fn in_source_order(mut changes: Vec<Change>) -> Vec<Change> {
    // Snapshot rows share one position.
    changes.sort_by(|a, b| (a.place(), &a.table, &a.key).cmp(&(b.place(), &b.table, &b.key)));
    changes
}

/// Where a kind of thing shows in what was delivered.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    counts: BTreeMap<&'static str, usize>,
}

impl Seen {
    fn add(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    fn count(&self, switch: Switch) -> usize {
        self.counts.get(switch.name()).copied().unwrap_or_default()
    }
}

/// Tells from the delivered records alone which kinds occurred.
fn seen(records: &[SourceRecord]) -> Seen {
    let mut seen = Seen::default();
    let mut newest: HashMap<(usize, Row), _> = HashMap::new();
    let mut newest_time = i64::MIN;
    let mut positions: HashMap<_, Vec<Op>> = HashMap::new();
    let mut in_order = Vec::new();
    for record in records {
        let event = match &record.payload {
            Payload::Change(event) => event,
            Payload::Repeat(_) => {
                seen.add("duplicates");
                continue;
            }
            Payload::Tombstone => continue,
            Payload::Poison(..) => {
                seen.add("poison");
                continue;
            }
        };
        if event.source_ts < newest_time.saturating_sub(3_600_000_000) {
            seen.add("late");
        }
        newest_time = newest_time.max(event.source_ts);
        let key = (record.table, record.key.clone());
        if newest.get(&key).is_some_and(|newest| *newest > event.position) {
            seen.add("reordered");
        } else {
            newest.insert(key.clone(), event.position);
        }
        if event.op != Op::Read {
            positions.entry(event.position.change_lsn).or_default().push(event.op);
        }
        in_order.push((event.position, event, key));
    }
    seen.counts.insert("key-changes", positions.values().filter(|ops| ops.len() > 1).count());
    in_order.sort_by_key(|(position, event, _)| (*position, event.op.rank()));
    let mut clock = i64::MIN;
    let mut existed: BTreeSet<(usize, Row)> = BTreeSet::new();
    for (_, event, key) in in_order {
        if event.source_ts < clock {
            seen.add("clock-jumps");
        }
        clock = event.source_ts;
        let alone = positions.get(&event.position.change_lsn).is_some_and(|ops| ops.len() == 1);
        match event.op {
            Op::Read => seen.add("snapshot"),
            Op::Delete if alone => seen.add("deletes"),
            Op::Create if !existed.insert(key.clone()) => seen.add("reappearing"),
            Op::Update => {
                let (before, after) = (event.before.as_ref().unwrap(), event.after.as_ref().unwrap());
                let changed = |at: usize| before[at] != after[at];
                match key.0 {
                    0 if changed(5) => seen.add("addresses"),
                    0 if changed(6) || changed(8) || changed(9) => seen.add("demographics"),
                    1 if changed(2) => seen.add("categories"),
                    1 if changed(1) => seen.add("descriptions"),
                    2 if changed(2) => seen.add("status"),
                    _ => panic!("an update that no switch explains: {event:?}"),
                }
            }
            Op::Create | Op::Delete => {}
            Op::Truncate => panic!("a truncation that no switch explains: {event:?}"),
        }
        existed.insert(key.clone());
        let row = event.after.as_ref().or(event.before.as_ref()).unwrap();
        match key.0 {
            2 if row[1].is_null() => seen.add("guests"),
            3 if matches!(row[5], Value::Decimal(price, _) if price < 0) => seen.add("broken"),
            _ => {}
        }
    }
    seen
}

#[test]
fn the_same_spec_gives_the_same_records_and_another_seed_others() {
    let first = records(7, SMALL, Switches::ALL);
    assert_eq!(first, records(7, SMALL, Switches::ALL));
    assert_ne!(first, records(8, SMALL, Switches::ALL));
}

#[test]
fn every_switch_makes_its_kind_and_without_it_there_is_none() {
    let all = seen(&records(1, MEDIUM, Switches::ALL));
    for switch in Switch::ALL {
        assert!(all.count(switch) > 0, "`{switch}` is on and nothing of it came: {all:?}");
        let rest = seen(&records(1, MEDIUM, Switches::ALL.without(switch)));
        assert_eq!(rest.count(switch), 0, "`{switch}` is off");
    }
}

#[test]
fn each_switch_alone_makes_its_kind_and_no_other() {
    for switch in Switch::ALL {
        let mut switches = Switches::NONE.with(switch);
        let mut allowed = vec![switch];
        match switch {
            Switch::Reappearing => {
                switches = switches.with(Switch::Deletes);
                allowed.push(Switch::Deletes);
            }
            // Only a key with two changes can be out of order.
            Switch::Reordered => {
                switches = switches.with(Switch::Status);
                allowed.push(Switch::Status);
            }
            _ => {}
        }
        let seen = seen(&records(3, MEDIUM, switches));
        for other in Switch::ALL {
            assert_eq!(seen.count(other) > 0, allowed.contains(&other), "`{other}` with only {:?}", switches.names());
        }
    }
}

#[test]
fn a_short_run_shows_nearly_every_kind() {
    let seen = seen(&records(42, Size::for_rows(1000), Switches::ALL));
    let missing: Vec<_> = Switch::ALL.into_iter().filter(|switch| seen.count(*switch) == 0).collect();
    assert!(missing.len() <= 1, "missing: {missing:?}");
}

#[test]
fn sizes_for_rows_come_within_a_tenth() {
    for rows in [1000, 20_000, 100_000] {
        let count = records(5, Size::for_rows(rows), Switches::ALL).len() as u64;
        assert!(count.abs_diff(rows) <= rows / 10, "{rows} asked, {count} made");
    }
}

#[test]
fn every_way_to_poison_a_record_occurs() {
    let words: BTreeSet<_> = records(1, SMALL, Switches::ALL)
        .iter()
        .filter_map(|record| match &record.payload {
            Payload::Poison(poison, _) => Some(*poison),
            _ => None,
        })
        .collect();
    assert_eq!(words, Poison::ALL.into_iter().collect());
}

/// What a database does with the changes in its own order: each delete and update is of the row that is
/// there, each insert of a key that is not, and nothing happens to a key between delete and reappearance.
fn assert_a_database_could_have_done_this(ledger: &[LedgerRecord], records: &[SourceRecord]) {
    let mut images: HashMap<_, Vec<(Option<Row>, Option<Row>)>> = HashMap::new();
    for record in records {
        if let Payload::Change(event) = &record.payload {
            images
                .entry((record.table, record.key.clone(), event.position.change_lsn, event.position.serial, event.op))
                .or_default()
                .push((event.before.clone(), event.after.clone()));
        }
    }
    assert!(images.values().all(|images| images.len() == 1), "two changes with one identity");
    let mut events: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.payload {
            Payload::Change(event) => Some((event.position, event, (record.table, record.key.clone()))),
            _ => None,
        })
        .collect();
    events.sort_by_key(|(position, event, _)| (*position, event.op.rank()));
    let mut rows: HashMap<(usize, Row), Row> = HashMap::new();
    for (_, event, key) in events {
        match event.op {
            Op::Read | Op::Create => {
                assert_eq!(event.before, None);
                assert_eq!(rows.insert(key, event.after.clone().unwrap()), None, "insert of a row that is there");
            }
            Op::Update => {
                assert_eq!(rows.get(&key), event.before.as_ref(), "update of a row that is not there");
                rows.insert(key, event.after.clone().unwrap());
            }
            Op::Delete => {
                assert_eq!(event.after, None);
                assert_eq!(rows.remove(&key), event.before, "delete of a row that is not there");
            }
            Op::Truncate => rows.retain(|(table, _), _| *table != key.0),
        }
    }
    assert_eq!(changes(ledger).len(), images.len());
}

/// Repeats come after their first delivery, tombstones right behind deletes, offsets without gaps, and a
/// key keeps its partition.
fn assert_a_stream_could_look_like_this(ledger: &[LedgerRecord], records: &[SourceRecord]) {
    assert_eq!(ledger.len(), records.len());
    let mut ends: HashMap<(String, i32), i64> = HashMap::new();
    let mut delivered = BTreeSet::new();
    let mut partitions: HashMap<(usize, Row), i32> = HashMap::new();
    let mut before: Option<&SourceRecord> = None;
    for (entry, record) in ledger.iter().zip(records) {
        let end = ends.entry((entry.table.to_string(), entry.partition)).or_default();
        assert_eq!(entry.offset, *end);
        *end += 1;
        assert_eq!(entry.partition, record.partition);
        assert!((0..PARTITIONS).contains(&record.partition));
        assert_eq!(*partitions.entry((record.table, record.key.clone())).or_insert(record.partition), record.partition);
        match &entry.kind {
            RecordKind::Change(change) => assert!(delivered.insert(change.identity()), "first delivered twice"),
            RecordKind::Repeat(change) => assert!(delivered.contains(&change.identity()), "repeated before delivered"),
            RecordKind::Tombstone => {
                let last = before.unwrap();
                assert!(matches!(&last.payload, Payload::Change(event) if event.op == Op::Delete));
                assert_eq!((last.table, &last.key), (record.table, &record.key));
            }
            RecordKind::Poison(_) => {}
        }
        before = Some(record);
    }
    let deletes = records.iter().filter(|r| matches!(&r.payload, Payload::Change(e) if e.op == Op::Delete)).count();
    let tombstones = records.iter().filter(|r| r.payload == Payload::Tombstone).count();
    assert_eq!(deletes, tombstones);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_the_spec_a_database_and_a_stream_could_have_done_it(
        seed in any::<u64>(), bits in any::<u16>(), customers in 1u32..40, products in 1u32..20, orders in 0u32..300,
    ) {
        let mut switches = Switches::NONE;
        for switch in Switch::ALL {
            if bits & 1 << switch as u8 != 0 {
                switches = switches.with(switch);
            }
        }
        if !switches.has(Switch::Deletes) && !switches.has(Switch::KeyChanges) {
            switches = switches.without(Switch::Reappearing);
        }
        let size = Size { customers, products, orders };
        let (ledger, records) = (ledger(seed, size, switches), records(seed, size, switches));
        assert_a_database_could_have_done_this(&ledger, &records);
        assert_a_stream_could_look_like_this(&ledger, &records);
        // How things are delivered changes nothing of what happened.
        let mut calm = switches;
        for switch in [Switch::Late, Switch::Reordered, Switch::Duplicates, Switch::Poison] {
            calm = calm.without(switch);
        }
        let calm = in_source_order(changes(&super::tests::ledger(seed, size, calm)));
        prop_assert_eq!(in_source_order(changes(&ledger)), calm);
    }
}

#[test]
fn without_reordering_late_events_stay_in_order_within_their_key() {
    let switches = Switches::ALL.without(Switch::Reordered);
    let mut newest: HashMap<(usize, Row), _> = HashMap::new();
    let mut waits = 0;
    for record in records(11, MEDIUM, switches) {
        if let Payload::Change(event) = record.payload {
            waits += usize::from(event.sent_ts - event.source_ts > 3_600_000_000);
            let last = newest.insert((record.table, record.key), event.position);
            assert!(last.is_none_or(|last| last < event.position));
        }
    }
    assert!(waits > 50, "{waits} late events");
}

#[test]
fn order_keys_grow_while_the_clock_runs_backwards() {
    let history = in_source_order(changes(&ledger(2, MEDIUM, Switches::ALL)));
    assert!(history.windows(2).any(|pair| pair[0].source_ts > pair[1].source_ts));
}

#[test]
fn a_size_without_anybody_to_order_is_refused() {
    let spec = |size, switches| Simulator::new(Spec { seed: 0, size, switches }, &retail());
    let none = Size { customers: 0, ..SMALL };
    assert!(matches!(spec(none, Switches::ALL), Err(SourceError::SizeOutOfRange { what: "customers", .. })));
    let idle = Switches::NONE.with(Switch::Reappearing);
    assert!(matches!(spec(SMALL, idle), Err(SourceError::SwitchWithoutEffect { .. })));
    assert!(matches!("delets".parse::<Switch>(), Err(SourceError::UnknownSwitch { .. })));
}

#[test]
fn a_contract_that_cannot_hold_the_rows_is_refused_by_column() {
    let spec = Spec { seed: 0, size: SMALL, switches: Switches::ALL };
    let mut tables = retail();
    tables[3].columns[5].kind = "decimal(12,2)".parse().unwrap();
    let error = Simulator::new(spec, &tables).unwrap_err();
    assert!(error.to_string().contains("`order_item.unit_price`"), "{error}");
    tables = retail();
    tables[2].columns[1].nullable = false;
    assert!(matches!(Simulator::new(spec, &tables), Err(SourceError::ColumnUnfit { column: "customer_id", .. })));
    tables = retail();
    tables.remove(1);
    assert!(matches!(Simulator::new(spec, &tables), Err(SourceError::TableMissing { table: "product" })));
}

#[test]
fn rows_follow_the_contracts_column_order() {
    let mut tables = retail();
    tables[1].columns.swap(1, 3);
    let spec = Spec { seed: 4, size: SMALL, switches: Switches::ALL };
    let swapped = Simulator::new(spec, &tables).unwrap();
    for (record, plain) in swapped.records(PARTITIONS).map(Result::unwrap).zip(records(4, SMALL, Switches::ALL)) {
        if let (Payload::Change(a), Payload::Change(b)) = (&record.payload, &plain.payload)
            && record.table == 1
            && let (Some(a), Some(b)) = (&a.after, &b.after)
        {
            assert_eq!((&a[1], &a[3]), (&b[3], &b[1]));
        }
    }
}
