//! Damaged messages: each kind has its reject, one never costs its neighbours, and no mutation gets past the walk.

use arrow::array::{Array, AsArray};
use proptest::prelude::*;
use weir_core::schema_id::SchemaId;

use super::agreement::row_agrees;
use super::fixtures::{Folder, apache, table};
use crate::bounds::{Bounds, KeyColumns};
use crate::columns::Columns;
use crate::decode::{Decoded, Decoder};
use crate::error::EnvelopeError;
use crate::record::{RawRecord, Reject};
use crate::tree::Envelope;

pub fn record(value: &[u8]) -> RawRecord<'_> {
    RawRecord { partition: 0, offset: 0, timestamp_ms: 0, key: None, value: Some(value) }
}

fn decode(decoder: &mut Decoder, key: &[&str], values: &[Vec<u8>]) -> Decoded {
    let records: Vec<_> = values.iter().map(|value| record(value)).collect();
    decoder.decode(&table("any", key, &["any int"]), &records)
}

/// An envelope with one column of each awkward kind; the bytes of a message are put together by hand.
const SCHEMA: &str = r#"{"type":"record","name":"Envelope","namespace":"t","fields":[
 {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
   {"name":"id","type":["null","int"]},
   {"name":"flag","type":"boolean"},
   {"name":"day","type":{"type":"int","connect.name":"io.debezium.time.Date"}},
   {"name":"at","type":{"type":"long","connect.name":"io.debezium.time.Timestamp"}},
   {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}},
   {"name":"word","type":{"type":"enum","name":"E","symbols":["a","b"]}},
   {"name":"text","type":["string","null"]},
   {"name":"list","type":{"type":"array","items":"string"}}]}]},
 {"name":"after","type":["null","Value"]},
 {"name":"source","type":{"type":"record","name":"Source","fields":[
   {"name":"connector","type":"string"},{"name":"ts_ms","type":"long"},
   {"name":"commit_lsn","type":["null","string"]},{"name":"change_lsn","type":["null","string"]},
   {"name":"event_serial_no","type":["null","long"]}]}},
 {"name":"op","type":"string"}]}"#;

struct Message {
    before: Vec<u8>,
    after: Vec<u8>,
    connector: &'static str,
    lsn: Option<&'static str>,
    op: &'static str,
    tail: &'static [u8],
}

/// id 1, flag true, day 0, at 0, price 1.2, word b, text "é", list ["x"].
const ROW: &[u8] = &[2, 2, 2, 1, 0, 0, 2, 12, 2, 0, 4, 0xc3, 0xa9, 2, 2, b'x', 0];

impl Message {
    fn good() -> Self {
        Self {
            before: vec![0],
            after: ROW.to_vec(),
            connector: "sqlserver",
            lsn: Some("0000002a:00000110:0001"),
            op: "c",
            tail: &[],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 7];
        out.extend_from_slice(&self.before);
        out.extend_from_slice(&self.after);
        let text = |out: &mut Vec<u8>, text: &str| {
            out.push((text.len() as u8) << 1);
            out.extend_from_slice(text.as_bytes());
        };
        text(&mut out, self.connector);
        out.push(2); // ts_ms 1
        match self.lsn {
            None => out.push(0),
            Some(lsn) => {
                out.push(2);
                text(&mut out, lsn);
            }
        }
        out.extend_from_slice(&[0, 2, 2]); // change_lsn null, serial 1
        text(&mut out, self.op);
        out.extend_from_slice(self.tail);
        out
    }

    /// With the bytes of the row image from `at` on replaced.
    fn patched(at: usize, bytes: &[u8]) -> Self {
        let mut good = Self::good();
        good.after[at..at + bytes.len()].copy_from_slice(bytes);
        good
    }
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::default();
    decoder.add_schema(7, SCHEMA).unwrap();
    decoder
}

#[test]
fn each_kind_of_damage_has_its_reject() {
    let good = Message::good;
    let image = |after: &[u8]| Message { after: after.to_vec(), ..good() };
    let mut unknown = good().bytes();
    unknown[4] = 8;
    let mut cut = good().bytes();
    cut.pop();
    // A list whose block says 3 bytes and has 2; one with more items than there are atoms.
    let block = [&ROW[..13], &[1, 6, 2, b'x', 0]].concat();
    let endless = [&ROW[..13], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat();
    let lowest = [&ROW[..13], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]].concat();
    let cases: Vec<(Vec<u8>, Reject)> = vec![
        (vec![], Reject::Empty),
        (b"{}".to_vec(), Reject::WrongMagic),
        (vec![0, 0, 0], Reject::Truncated),
        (vec![0, 0, 0, 0, 7], Reject::Truncated),
        (cut, Reject::Truncated),
        (unknown, Reject::UnknownSchema(8.into())),
        (Message { tail: &[0], ..good() }.bytes(), Reject::TrailingBytes),
        (image(&[4]).bytes(), Reject::BadUnion),
        (image(&[1]).bytes(), Reject::BadUnion),
        (image(&[0x80; 11]).bytes(), Reject::BadNumber),
        (image(&[2, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 1]).bytes(), Reject::BadNumber),
        (Message::patched(3, &[2]).bytes(), Reject::BadBoolean),
        (image(&[2, 2, 2, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]).bytes(), Reject::BadTime),
        (image(&[2, 2, 2, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).bytes(), Reject::BadTime),
        (image(&[2, 2, 2, 1, 0, 0, 4, 0x03, 0xe8]).bytes(), Reject::BadDecimal),
        (Message::patched(8, &[4]).bytes(), Reject::BadEnum),
        (Message::patched(11, &[0xff]).bytes(), Reject::BadUtf8),
        (Message::patched(10, &[1]).bytes(), Reject::BadLength),
        (image(&block).bytes(), Reject::BadLength),
        (image(&endless).bytes(), Reject::TooLarge),
        (image(&lowest).bytes(), Reject::TooLarge),
        (Message { op: "t", ..good() }.bytes(), Reject::UnexpectedRow),
        (Message { op: "t", before: ROW.to_vec(), after: vec![0], ..good() }.bytes(), Reject::UnexpectedRow),
        (Message { op: "m", ..good() }.bytes(), Reject::UnknownOp),
        (Message { op: "d", ..good() }.bytes(), Reject::UnexpectedRow),
        (Message { after: vec![0], ..good() }.bytes(), Reject::MissingRow),
        (Message { before: ROW.to_vec(), ..good() }.bytes(), Reject::UnexpectedRow),
        (image(&[&[2, 0], &ROW[3..]].concat()).bytes(), Reject::MissingKey),
        (Message { connector: "mysql", ..good() }.bytes(), Reject::UnknownConnector),
        (Message { lsn: None, ..good() }.bytes(), Reject::MissingPosition),
        (Message { lsn: Some("0000002a"), ..good() }.bytes(), Reject::BadPosition),
    ];
    let values: Vec<Vec<u8>> = cases.iter().map(|(value, _)| value.clone()).collect();
    let decoded = decode(&mut decoder(), &["id"], &values);
    for ((at, found), (number, (_, expected))) in decoded.rejects.iter().zip(cases.iter().enumerate()) {
        assert_eq!((*at, *found), (number, *expected), "case {number}");
    }
    assert_eq!(decoded.rejects.len(), cases.len());
    assert!(decoded.rows.is_empty());
}

#[test]
fn a_truncation_is_an_event_without_any_row() {
    let truncation = Message { op: "t", after: vec![0], ..Message::good() }.bytes();
    let decoded = decode(&mut decoder(), &["id"], &[Message::good().bytes(), truncation.clone()]);
    assert_eq!(decoded.rejects, []);
    let column = |name: &str| decoded.rows[0].batch.column_by_name(name).unwrap().clone();
    assert_eq!(column("op").as_string::<i32>().value(1), "t");
    assert!(column("before").is_null(1) && column("after").is_null(1));
    assert_eq!(column("_order_key").as_binary::<i32>().value(0), column("_order_key").as_binary::<i32>().value(1));

    let mut json = Vec::new();
    decoder().cdc_json(&truncation, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["op"], &json["before"], &json["after"]), (&"t".into(), &().into(), &().into()));
}

#[test]
fn a_bad_record_costs_none_of_its_neighbours() {
    let good = Message::good().bytes();
    let bad = Message::patched(8, &[4]).bytes();
    let tombstone = RawRecord { value: None, ..record(&good) };
    let records = [record(&good), record(&bad), tombstone, record(&good), record(&[]), record(&good)];
    let decoded = decoder().decode(&table("any", &["id"], &["id int"]), &records);
    assert_eq!(decoded.rows.len(), 1);
    assert_eq!(decoded.rows[0].index, [0, 3, 5]);
    assert_eq!(decoded.rejects, [(1, Reject::BadEnum), (4, Reject::Empty)]);
    assert_eq!(decoded.tombstones, [2]);
}

#[test]
fn alternating_schemas_make_one_part_each() {
    let folder = Folder::read("debezium-sqlserver");
    let of = |id: u32| {
        let found = folder
            .of_topic("retail.customer.cdc")
            .into_iter()
            .find(|record| record.value.as_deref().is_some_and(|value| crate::frame(value).unwrap().0 == id.into()));
        found.unwrap().value.clone().unwrap()
    };
    let values: Vec<Vec<u8>> = (0..100).map(|at| of(if at % 2 == 0 { 2 } else { 11 })).collect();
    let decoded = decode(&mut folder.decoder(), &["customer_id"], &values);
    let parts: Vec<_> = decoded.rows.iter().map(|part| (part.schema_id, part.index.len())).collect();
    assert_eq!(parts, [(2.into(), 50), (11.into(), 50)]);
    assert_eq!(decoded.rows[1].index[..3], [1, 3, 5]);
}

#[test]
fn a_batch_of_many_rows_comes_in_bounded_parts() {
    let values = vec![Message::good().bytes(); 70_000];
    let decoded = decode(&mut decoder(), &["id"], &values);
    let rows: Vec<_> = decoded.rows.iter().map(|part| part.index.len()).collect();
    assert_eq!(rows, [65_536, 4_464]);
    assert_eq!(decoded.rows[1].index[0], 65_536);
}

#[test]
fn schemas_are_asked_for_once_and_may_be_refused() {
    let mut decoder = decoder();
    let good = Message::good().bytes();
    let mut other = good.clone();
    other[4] = 9;
    let records = [record(&other), record(&good), record(&other), record(b"junk")];
    assert_eq!(decoder.schema_ids_needed(&records), [9.into()]);
    decoder.refuse_schema(9, Reject::UnsupportedSchema(9.into()));
    assert!(decoder.schema_ids_needed(&records).is_empty());
    let decoded = decoder.decode(&table("any", &["id"], &["id int"]), &records);
    assert_eq!(decoded.rejects[0], (0, Reject::UnsupportedSchema(9.into())));
}

#[test]
fn a_key_column_that_the_schema_lacks_is_a_missing_key() {
    let decoded = decode(&mut decoder(), &["id", "part"], &[Message::good().bytes()]);
    assert_eq!(decoded.rejects, [(0, Reject::MissingKey)]);
}

#[test]
fn a_value_beyond_the_bounds_is_too_large() {
    let mut decoder = Decoder::new(Bounds { max_bytes: 20, max_items: 10 });
    decoder.add_schema(7, SCHEMA).unwrap();
    assert_eq!(decode(&mut decoder, &[], &[Message::good().bytes()]).rejects, [(0, Reject::TooLarge)]);
}

#[test]
fn an_enums_words_count_as_bytes_of_the_message_and_of_its_part() {
    let message = Message::good().bytes();
    let bounds = Bounds { max_bytes: 100, ..Bounds::default() };
    for (length, expected) in [(100, Ok(message.len() - 5 + 100)), (101, Err(Reject::TooLarge))] {
        let envelope = Envelope::parse(7, &SCHEMA.replace(r#""a","b""#, &format!(r#""a","{}""#, "b".repeat(length))));
        let envelope = envelope.unwrap();
        let mut columns = Columns::new(&envelope, 1);
        assert_eq!(columns.push(&envelope, &bounds, &message[5..], &KeyColumns::of(&envelope, ["id"])), expected);
        assert_eq!(bounds.check(&envelope, &message[5..]).map(drop), expected.map(drop));
    }
    // Small messages whose words are long: a part ends long before it has all the rows that it may.
    let mut decoder = Decoder::default();
    decoder.add_schema(7, &SCHEMA.replace(r#""a","b""#, &format!(r#""a","{}""#, "b".repeat(16 << 20)))).unwrap();
    let decoded = decode(&mut decoder, &["id"], &vec![message; 18]);
    let rows: Vec<_> = decoded.rows.iter().map(|part| part.index.len()).collect();
    assert_eq!(rows, [16, 2]);
}

#[test]
fn schemas_that_are_no_change_event_or_hold_what_the_lake_cannot_are_refused_by_name() {
    let with = |column: &str| SCHEMA.replace(r#"{"name":"flag","type":"boolean"}"#, column);
    let unsupported = |text: &str, what: &str| match Envelope::parse(1, text) {
        Err(EnvelopeError::Unsupported { field, what: found, .. }) => {
            assert_eq!(found, what);
            assert!(field.starts_with("before"), "{field}");
        }
        other => panic!("{what}: {other:?}"),
    };
    unsupported(&with(r#"{"name":"x","type":["null","int","string"]}"#), "a union of 3 types");
    unsupported(&with(r#"{"name":"x","type":{"type":"fixed","name":"F","size":3}}"#), "a fixed-size binary");
    unsupported(&with(r#"{"name":"x","type":["null","Value"]}"#), "a type inside itself");
    unsupported(&with(r#"{"name":"x","type":"null"}"#), "a column that is always null");
    unsupported(&with(r#"{"name":"x","type":{"type":"record","name":"R","fields":[]}}"#), "a record without fields");
    let lists = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(20), "}".repeat(20));
    unsupported(&with(&format!(r#"{{"name":"x","type":{lists}}}"#)), "more than 16 levels");

    for (text, problem) in [
        (r#""string""#.to_owned(), "it is no record"),
        (
            r#"{"type":"record","name":"H","fields":[{"name":"ts_ms","type":"long"}]}"#.into(),
            "it has no field `before`",
        ),
        (SCHEMA.replace("connector", "x"), "`source` has no text `connector`"),
        (SCHEMA.replace(r#""op","type":"string""#, r#""op","type":"int""#), "`op` is no text"),
    ] {
        match Envelope::parse(1, &text) {
            Err(EnvelopeError::NotAnEnvelope { problem: found, .. }) => assert_eq!(found, problem),
            other => panic!("{problem}: {other:?}"),
        }
    }
    for text in ["", "{", "{\"type\":\"record\"}", &with(r#"{"name":"x","type":"Nothing"}"#)] {
        assert!(matches!(Envelope::parse(1, text), Err(EnvelopeError::NotASchema { .. })), "{text}");
    }
}

/// How a good message is damaged.
#[derive(Debug, Clone)]
enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    Swap(usize, usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<usize>();
    prop_oneof![
        (at, any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        // Small numbers are lengths, branches and counts: the interesting ones.
        (at, 0u8..12).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at, 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at, any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at.prop_map(Mutation::Remove),
        at.prop_map(Mutation::Cut),
        (at, any::<usize>(), 1usize..9).prop_map(|(from, to, count)| Mutation::Swap(from, to, count)),
    ]
}

fn apply(mutation: &Mutation, body: &mut Vec<u8>) {
    let length = body.len();
    if length == 0 {
        return;
    }
    match *mutation {
        Mutation::Set(at, byte) => body[at % length] = byte,
        Mutation::Flip(at, bit) => body[at % length] ^= 1 << bit,
        Mutation::Insert(at, byte) => body.insert(at % length, byte),
        Mutation::Remove(at) => drop(body.remove(at % length)),
        Mutation::Cut(at) => body.truncate(at % length),
        Mutation::Swap(from, to, count) => {
            for step in 0..count {
                let (from, to) = ((from.wrapping_add(step)) % length, (to.wrapping_add(step)) % length);
                body[to] = body[from];
            }
        }
    }
}

/// What must hold of any bytes under any schema: no panic; what passes the walk is one row that apache-avro reads the
/// same, and JSON that parses; what does not is a reject on both ways.
pub fn hold(schema: &str, id: SchemaId, value: &[u8]) -> bool {
    let mut decoder = Decoder::default();
    decoder.add_schema(id, schema).unwrap();
    let mut json = Vec::new();
    let written = decoder.cdc_json(value, &mut json);
    let decoded = decode(&mut decoder, &[], &[value.to_vec()]);
    if let [(_, reject)] = decoded.rejects[..] {
        assert_ne!(reject, Reject::Undecodable);
        assert_eq!(written, Err(reject));
        assert!(json.is_empty());
        return false;
    }
    assert_eq!(decoded.rows.len(), 1);
    assert_eq!(decoded.rows[0].batch.num_rows(), 1);
    assert_eq!(written, Ok(()));
    serde_json::from_slice::<serde_json::Value>(&json).unwrap();
    let body = crate::frame(value).unwrap().1.unpack(usize::MAX).unwrap();
    let event = apache(schema, &body).expect("apache-avro takes what the walk takes");
    assert!(row_agrees(&decoded.rows[0].batch, 0, &event), "{event:?}\n{}", String::from_utf8_lossy(&json));
    true
}

fn cases() -> Vec<(SchemaId, String, Vec<u8>)> {
    let mut cases = Vec::new();
    for name in ["debezium-sqlserver", "debezium-postgres", "debezium-postgres/mode-variants"] {
        let folder = Folder::read(name);
        for record in &folder.records {
            if let Some(value) = &record.value {
                let id = crate::frame(value).unwrap().0;
                cases.push((id, folder.schemas[&id].to_string(), value.clone()));
            }
        }
    }
    let message = Message { before: ROW.to_vec(), op: "u", ..Message::good() };
    cases.push((7.into(), SCHEMA.to_owned(), message.bytes()));
    cases
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_mutation_of_a_good_message_gets_past_the_walk_and_fails_behind_it(
        which in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        thread_local!(static CASES: Vec<(SchemaId, String, Vec<u8>)> = cases());
        CASES.with(|cases| {
            let (id, schema, value) = &cases[which.index(cases.len())];
            let mut body = value[5..].to_vec();
            mutations.iter().for_each(|mutation| apply(mutation, &mut body));
            hold(schema, *id, &[&value[..5], &body].concat());
        });
    }

    #[test]
    fn arbitrary_bytes_are_rejected_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let envelope = Envelope::parse(7, SCHEMA).unwrap();
        let _ = Bounds::default().check(&envelope, &body);
        hold(SCHEMA, 7.into(), &[&[0, 0, 0, 0, 7], &body[..]].concat());
    }
}
