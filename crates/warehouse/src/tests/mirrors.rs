//! The streaming branch: views, decoding, mirrors; any order and any cut gives the source's last state.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use weir_core::change::Op;
use weir_project::{ConnectorKind, Project};

use super::{Fixture, project, rows};
use crate::mirror::Mirrors;
use crate::mirror::decode::Decode;
use crate::mirror::source::{Reader, Record, Source, SourceError};
use crate::{Options, Placeholders, WarehouseError};

/// A topic of one or more partitions, held in memory.
#[derive(Default)]
struct Topic {
    id: String,
    partitions: BTreeMap<i32, Vec<Option<Vec<u8>>>>,
    low: i64,
}

#[derive(Clone, Default)]
pub(super) struct Topics(Arc<Mutex<BTreeMap<String, Topic>>>);

impl Topics {
    pub(super) fn send(&self, topic: &str, partition: i32, value: Option<Vec<u8>>) {
        let mut topics = self.0.lock().unwrap();
        let topic = topics.entry(topic.to_owned()).or_default();
        topic.partitions.entry(partition).or_default().push(value);
    }
}

struct TopicReader {
    topics: Topics,
    topic: String,
    at: BTreeMap<i32, i64>,
}

impl Source for Topics {
    fn open(&self, topic: &str) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(TopicReader { topics: self.clone(), topic: topic.to_owned(), at: BTreeMap::new() }))
    }
}

impl Reader for TopicReader {
    fn topic_id(&self) -> Result<String, SourceError> {
        Ok(self.topics.0.lock().unwrap().get(&self.topic).map(|topic| topic.id.clone()).unwrap_or_default())
    }

    fn watermarks(&self) -> Result<Vec<(i32, i64, i64)>, SourceError> {
        let topics = self.topics.0.lock().unwrap();
        let Some(topic) = topics.get(&self.topic) else { return Ok(vec![(0, 0, 0)]) };
        Ok(topic.partitions.iter().map(|(p, records)| (*p, topic.low, records.len() as i64)).collect())
    }

    fn assign(&mut self, starts: &BTreeMap<i32, i64>) -> Result<(), SourceError> {
        self.at = starts.clone();
        Ok(())
    }

    fn poll(&mut self, most: usize, _bytes: usize, _wait: Duration) -> Result<Vec<Record>, SourceError> {
        let topics = self.topics.0.lock().unwrap();
        let mut out = Vec::new();
        let Some(topic) = topics.get(&self.topic) else { return Ok(out) };
        for (partition, next) in &mut self.at {
            let records = topic.partitions.get(partition).map_or(&[][..], Vec::as_slice);
            for value in records.iter().skip(*next as usize).take(most - out.len()) {
                out.push(Record {
                    partition: *partition,
                    offset: *next,
                    timestamp_ms: 1_700_000_000_000,
                    key: Some(b"k".to_vec()),
                    value: value.clone(),
                    headers: vec![("h".into(), Some(b"v".to_vec()))],
                });
                *next += 1;
            }
        }
        Ok(out)
    }
}

/// Values are JSON already; one that is not counts as undecodable, one that says so as an outage.
struct PlainJson;

impl Decode for PlainJson {
    fn json(&self, value: &[u8]) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        if value == b"outage" {
            return Err("no answer".into());
        }
        let text = String::from_utf8(value.to_vec()).unwrap();
        Ok(text.starts_with('{').then_some(text))
    }
}

pub(super) fn options(topics: &Topics) -> Options {
    Options {
        threads: Some(2),
        decode: Some(Arc::new(PlainJson)),
        source: Some(Arc::new(topics.clone())),
        ..Options::default()
    }
}

pub(super) fn values() -> Placeholders {
    Placeholders {
        lake: "/lake".into(),
        iam_role: "default".into(),
        brokers: "localhost:9".into(),
        auth: "none".into(),
    }
}

pub(super) fn small_project() -> Project {
    let mut project = project();
    project.tables.retain(|table| table.name.as_str() == "product");
    project
}

pub(super) const TOPIC: &str = "retail.product.cdc";

/// A change of product `id`, as the decode function writes it.
pub(super) fn change(id: u8, op: Op, place: u32, price: &str) -> Vec<u8> {
    let row = format!(
        r#"{{"product_id":"p{id}","description":null,"category":"ünï","list_price":"{price}","discontinued":false}}"#
    );
    let (before, after) = if op == Op::Delete { (row.as_str(), "null") } else { ("null", row.as_str()) };
    format!(
        r#"{{"op":"{}","order_key":"{place:08x}","source_ts":"2024-01-01 00:00:00","before":{before},"after":{after}}}"#,
        op.letter()
    )
    .into_bytes()
}

/// A truncation, as the decode function writes it.
fn truncation(place: u32) -> Vec<u8> {
    let place = format!("{place:08x}");
    format!(r#"{{"op":"t","order_key":"{place}","source_ts":"2024-01-01 00:00:00","before":null,"after":null}}"#)
        .into_bytes()
}

pub(super) fn advance(mirrors: &mut Mirrors) {
    mirrors.advance(&AtomicBool::new(false)).unwrap();
}

pub(super) const STATE: &str = "SELECT product_id, list_price FROM staging.product ORDER BY 1";

#[test]
fn a_mirror_holds_the_source_s_last_state() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    let project = small_project();
    for (id, op, place, price) in [
        (1, Op::Create, 1, "1.250"),
        (2, Op::Create, 2, "2"),
        (1, Op::Update, 3, "1.5"),
        (2, Op::Delete, 4, "2"),
        (3, Op::Read, 5, "99999999.999"),
    ] {
        topics.send(TOPIC, i32::from(id) % 2, Some(change(id, op, place, price)));
    }
    topics.send(TOPIC, 0, None);
    topics.send(TOPIC, 0, Some(b"poison".to_vec()));
    topics.send(TOPIC, 0, Some(br#"{"op":"c","order_key":"01","before":null,"after":{"product_id":null}}"#.to_vec()));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &project, &values()).unwrap();
    advance(&mut mirrors);
    let mut session = fixture.session();
    assert_eq!(rows(&mut session, STATE), ["p1|1.500", "p3|99999999.999"]);
    assert_eq!(
        rows(&mut session, "SELECT category, discontinued, description IS NULL FROM product WHERE product_id = 'p1'"),
        ["ünï|f|t"]
    );
    assert_eq!(
        rows(&mut session, "SELECT view_name, kafka_partition, kafka_offset FROM staging.stream_errors ORDER BY 3"),
        ["product_cdc_mv|0|3", "product_cdc_mv|0|4"]
    );
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.product_cdc_mv"), ["0"]);
    // A late change of a deleted key and an older one of a living key bring nothing back.
    topics.send(TOPIC, 0, Some(change(2, Op::Update, 3, "7")));
    topics.send(TOPIC, 1, Some(change(1, Op::Create, 1, "8")));
    advance(&mut mirrors);
    assert_eq!(rows(&mut session, STATE), ["p1|1.500", "p3|99999999.999"]);
    // The key comes back.
    topics.send(TOPIC, 0, Some(change(2, Op::Create, 9, "5")));
    advance(&mut mirrors);
    assert_eq!(rows(&mut session, STATE), ["p1|1.500", "p2|5.000", "p3|99999999.999"]);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.product_position"), ["3"]);
}

#[test]
fn a_column_that_the_contract_gains_is_filled_from_what_the_topic_still_holds() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    let (whole, mut narrow) = (small_project(), small_project());
    narrow.tables[0].columns.retain(|column| column.name.as_str() != "category");
    for (id, op, place) in [(1, Op::Create, 1), (2, Op::Create, 2), (2, Op::Delete, 3), (3, Op::Create, 4)] {
        topics.send(TOPIC, 0, Some(change(id, op, place, "1")));
    }
    topics.send(TOPIC, 0, Some(b"poison".to_vec()));
    advance(&mut Mirrors::prepare(Box::new(fixture.session()), &narrow, &values()).unwrap());
    // The first product's change has left the topic by the time at which the contract has the column.
    topics.0.lock().unwrap().get_mut(TOPIC).unwrap().low = 1;
    for _ in 0..2 {
        advance(&mut Mirrors::prepare(Box::new(fixture.session()), &whole, &values()).unwrap());
        let mut session = fixture.session();
        let rows = |session: &mut _, sql: &str| super::rows(session, sql);
        let state = "SELECT product_id, list_price, COALESCE(category, '-') FROM staging.product ORDER BY 1";
        assert_eq!(rows(&mut session, state), ["p1|1.000|-", "p3|1.000|ünï"]);
        assert_eq!(rows(&mut session, "SELECT kafka_offset FROM staging.stream_errors"), ["4"]);
    }
    // A contract that knows less than the tables hold asks for nothing.
    advance(&mut Mirrors::prepare(Box::new(fixture.session()), &narrow, &values()).unwrap());
}

#[test]
fn a_truncation_empties_a_mirror_and_nothing_from_before_it_comes_back() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
    for (id, place) in [(1, 1), (2, 2), (3, 9)] {
        topics.send(TOPIC, 0, Some(change(id, Op::Create, place, "1")));
    }
    advance(&mut mirrors);
    topics.send(TOPIC, 1, Some(truncation(5)));
    topics.send(TOPIC, 0, Some(change(4, Op::Create, 4, "4")));
    advance(&mut mirrors);
    let mut session = fixture.session();
    assert_eq!(rows(&mut session, STATE), ["p3|1.000"]);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.stream_errors"), ["0"]);
    // An older truncation, and late changes from before the newest one.
    topics.send(TOPIC, 0, Some(truncation(3)));
    topics.send(TOPIC, 0, Some(change(1, Op::Update, 4, "7")));
    topics.send(TOPIC, 0, Some(change(2, Op::Create, 6, "6")));
    advance(&mut mirrors);
    assert_eq!(rows(&mut session, STATE), ["p2|6.000", "p3|1.000"]);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.product_position"), ["2"]);
    let newest = "SELECT view_name, _order_key FROM staging.stream_truncation";
    assert_eq!(rows(&mut session, newest), ["product_cdc_mv|00000005"]);
}

#[test]
fn with_equal_places_the_create_comes_after_the_delete() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    topics.send(TOPIC, 0, Some(change(1, Op::Create, 5, "2")));
    topics.send(TOPIC, 0, Some(change(1, Op::Delete, 5, "1")));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
    advance(&mut mirrors);
    assert_eq!(rows(&mut fixture.session(), STATE), ["p1|2.000"]);
}

#[test]
fn a_value_that_the_source_did_not_log_is_the_one_that_the_row_has() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    let mut project = small_project();
    project.tables[0].connector.kind = ConnectorKind::Postgres;
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &project, &values()).unwrap();
    let send = |id: u8, op: Op, place: u32, description: &str| {
        let change = String::from_utf8(change(id, op, place, &place.to_string())).unwrap();
        let described = change.replace(r#""description":null"#, &format!(r#""description":{description}"#));
        topics.send(TOPIC, 0, Some(described.into_bytes()));
    };
    let unlogged = format!("\"{}\"", project.staging.unavailable_value);
    send(1, Op::Create, 1, r#""long""#);
    send(4, Op::Create, 1, r#""short""#);
    advance(&mut mirrors);
    // 1 has its value from the mirror, 2 from this step, 3 from nowhere; 4 has lost its own.
    send(1, Op::Update, 2, &unlogged);
    send(2, Op::Create, 1, r#""other""#);
    send(2, Op::Update, 2, r#""longer""#);
    send(2, Op::Update, 3, &unlogged);
    send(3, Op::Update, 2, &unlogged);
    send(4, Op::Update, 2, "null");
    send(4, Op::Update, 3, &unlogged);
    advance(&mut mirrors);
    assert_eq!(
        rows(&mut fixture.session(), "SELECT product_id, description, list_price FROM staging.product ORDER BY 1"),
        ["p1|long|2.000", "p2|longer|3.000", "p3|-|2.000", "p4|-|3.000"]
    );
}

#[test]
fn a_registry_outage_fails_the_step_and_loses_nothing() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    topics.send(TOPIC, 0, Some(change(1, Op::Create, 1, "1")));
    topics.send(TOPIC, 0, Some(b"outage".to_vec()));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
    let error = mirrors.advance(&AtomicBool::new(false)).unwrap_err();
    assert_eq!(error.sqlstate(), "58000");
    let mut session = fixture.session();
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.product_cdc_mv"), ["2"]);
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM staging.stream_errors"), ["0"]);
}

#[test]
fn a_topic_made_anew_or_cut_by_retention_is_named_and_not_mixed_in() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    topics.send(TOPIC, 0, Some(change(1, Op::Create, 1, "1")));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
    advance(&mut mirrors);
    topics.0.lock().unwrap().get_mut(TOPIC).unwrap().low = 2;
    let gone = mirrors.advance(&AtomicBool::new(false));
    assert!(matches!(gone, Err(WarehouseError::RecordsGone { position: 1, low: 2, .. })));
    topics.0.lock().unwrap().get_mut(TOPIC).unwrap().id = "other".into();
    let recreated = mirrors.advance(&AtomicBool::new(false));
    assert!(matches!(recreated, Err(WarehouseError::TopicRecreated { .. })));
}

#[test]
fn a_record_above_sixteen_mebibytes_is_skipped_and_told() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    topics.send(TOPIC, 0, Some(vec![b'x'; 16_777_217]));
    topics.send(TOPIC, 0, Some(change(1, Op::Create, 1, "1")));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
    advance(&mut mirrors);
    let mut session = fixture.session();
    assert_eq!(rows(&mut session, STATE), ["p1|1.000"]);
    assert_eq!(
        rows(&mut session, "SELECT mv_name, partition_id, position FROM sys_stream_scan_errors"),
        ["product_cdc_mv|0|0"]
    );
}

#[test]
fn the_view_shows_raw_records_with_redshift_s_columns() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    topics.send(TOPIC, 3, Some(b"abc".to_vec()));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
    // Preparing again finds the view and leaves it.
    drop(Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap());
    let mut session = fixture.session();
    session.run("REFRESH MATERIALIZED VIEW staging.product_cdc_mv").unwrap();
    let text = "SELECT kafka_partition, kafka_offset, kafka_timestamp_type, kafka_timestamp, FROM_VARBYTE(kafka_value, 'utf8'), kafka_headers.h FROM staging.product_cdc_mv";
    assert_eq!(rows(&mut session, text), ["3|0|L|2023-11-14 22:13:20|abc|\"76\""]);
    assert!(super::failure(&mut session, "DROP TABLE staging.product_cdc_mv").contains("DROP MATERIALIZED VIEW"));
    advance(&mut mirrors);
    session.run("DROP MATERIALIZED VIEW staging.product_cdc_mv").unwrap();
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM svv_mv_info"), ["0"]);
}

#[test]
fn every_mirror_of_the_reference_pipeline_advances_over_nothing() {
    let topics = Topics::default();
    let fixture = Fixture::with(options(&topics));
    let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &project(), &values()).unwrap();
    advance(&mut mirrors);
    advance(&mut mirrors);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_cut_of_the_changes_gives_the_last_state(
        changes in proptest::collection::vec((0u8..4, 0u32..12, 0u8..9, 0u32..1000, 0i32..2), 1..40),
        cuts in proptest::collection::vec(1usize..8, 12),
    ) {
        let op = |n: u8| match n {
            8 => Op::Truncate,
            n => [Op::Delete, Op::Read, Op::Create, Op::Update][usize::from(n % 4)],
        };
        let record = |id: u8, n: u8, place: u32, price: u32| match op(n) {
            Op::Truncate => truncation(place),
            op => change(id, op, place, &price.to_string()),
        };
        // Equal places of one key are one change: only the first is kept.
        let mut seen = std::collections::BTreeSet::new();
        let changes: Vec<_> =
            changes.into_iter().filter(|(id, place, o, ..)| seen.insert((*id, *place, op(*o)))).collect();
        let truncated = changes.iter().filter(|change| op(change.2) == Op::Truncate).map(|change| change.1).max();
        let mut last: BTreeMap<u8, (u32, u8, u32)> = BTreeMap::new();
        for (id, place, o, price, _) in changes.iter().filter(|change| op(change.2) != Op::Truncate) {
            let entry = (*place, op(*o).rank(), *price);
            let held = last.entry(*id).or_insert(entry);
            if (entry.0, entry.1) > (held.0, held.1) {
                *held = entry;
            }
        }
        let expected: Vec<String> = last.iter()
            .filter(|(_, (place, rank, _))| *rank > 0 && Some(*place) >= truncated)
            .map(|(id, (.., price))| format!("p{id}|{price}.000")).collect();

        let topics = Topics::default();
        let fixture = Fixture::with(options(&topics));
        let mut mirrors = Mirrors::prepare(Box::new(fixture.session()), &small_project(), &values()).unwrap();
        let mut rest = changes.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            for (id, place, o, price, partition) in now {
                topics.send(TOPIC, *partition, Some(record(*id, *o, *place, *price)));
            }
            rest = later;
            advance(&mut mirrors);
        }
        for (id, place, o, price, partition) in rest.iter().chain(&changes) {
            topics.send(TOPIC, *partition, Some(record(*id, *o, *place, *price)));
        }
        advance(&mut mirrors);
        prop_assert_eq!(rows(&mut fixture.session(), STATE), expected);
    }
}
