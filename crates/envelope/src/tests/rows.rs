//! Schemas and encoded events against Debezium's, and what apache-avro reads of ours.

use apache_avro::types::Value as Avro;
use serde_json::Value as Json;
use weir_core::change::Op;
use weir_core::column::{Column, ColumnType};
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value};
use weir_project::Table;

use super::fixtures::{Folder, apache, bare, get, sql_server_tables, table};
use crate::encode::{Encoder, Event, Snapshot, Transaction};
use crate::error::EnvelopeError;
use crate::schema::{key_schema, value_schema};

/// Takes out of a column's schema what no contract declares: defaults, and the names of `xml` and `time(7)`.
fn declared(mut field: Json) -> Json {
    let nullable = field["type"].is_array();
    if !nullable {
        field.as_object_mut().unwrap().remove("default");
    }
    let kind = if nullable { &mut field["type"][1] } else { &mut field["type"] };
    if let Some(object) = kind.as_object_mut() {
        object.remove("connect.default");
        let name = object.get("connect.name").and_then(Json::as_str).unwrap_or_default();
        if ["io.debezium.data.Xml", "io.debezium.time.NanoTime"].contains(&name) {
            object.remove("connect.name");
            object.remove("connect.version");
        }
        if object.len() == 1 {
            *kind = object["type"].clone();
        }
    }
    field
}

#[test]
fn schemas_equal_those_that_debezium_registers() {
    let folder = Folder::read("debezium-sqlserver");
    for (table, key_id, value_id) in sql_server_tables() {
        let ours: Json = serde_json::from_str(&key_schema(&table)).unwrap();
        assert_eq!(ours, folder.schemas[&key_id.into()], "key of {}", table.name);

        let mut theirs = folder.schemas[&value_id.into()].clone();
        let columns = theirs["fields"][0]["type"][1]["fields"].as_array_mut().unwrap();
        columns.iter_mut().for_each(|column| *column = declared(column.take()));
        let ours: Json = serde_json::from_str(&value_schema(&table)).unwrap();
        assert_eq!(ours, theirs, "value of {}", table.name);
    }
}

/// A column's value as a contract's row has it; `None` when the fixture has digits below a microsecond.
fn value(avro: &Avro, column: &Column) -> Option<Value> {
    Some(match (column.kind, avro) {
        (_, Avro::Null) => Value::Null,
        (ColumnType::Date, Avro::Int(days)) => Value::Date(*days),
        (ColumnType::DateTime2 { precision: 0..=3 }, Avro::Long(ms)) => Value::Timestamp(ms * 1000),
        (ColumnType::DateTime2 { precision: 4..=6 }, Avro::Long(us)) => Value::Timestamp(*us),
        (ColumnType::DateTime2 { .. }, Avro::Long(ns)) if ns % 1000 != 0 => return None,
        (ColumnType::DateTime2 { .. }, Avro::Long(ns)) => Value::Timestamp(ns / 1000),
        (ColumnType::Decimal { scale, .. }, Avro::Decimal(decimal)) => {
            let bytes: Vec<u8> = decimal.clone().try_into().unwrap();
            Value::Decimal(crate::bounds::unscaled(&bytes).unwrap(), scale)
        }
        (_, Avro::Boolean(bit)) => Value::Bool(*bit),
        (_, Avro::Int(int)) => Value::Int((*int).into()),
        (_, Avro::Long(int)) => Value::Int(*int),
        (_, Avro::Float(float)) => Value::Float(f64::from(*float).to_bits()),
        (_, Avro::Double(float)) => Value::Float(float.to_bits()),
        (_, Avro::String(text)) => Value::Text(text.clone()),
        (_, Avro::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        other => panic!("{other:?}"),
    })
}

fn row(image: &Avro, table: &Table) -> Option<Row> {
    table.columns.iter().map(|column| value(get(image, column.name.as_str()), column)).collect()
}

fn text<'a>(record: &'a Avro, name: &str) -> Option<&'a str> {
    match get(record, name) {
        Avro::Null => None,
        Avro::String(text) => Some(text),
        other => panic!("{name} is {other:?}"),
    }
}

fn long(record: &Avro, name: &str) -> i64 {
    match get(record, name) {
        Avro::Long(long) => *long,
        Avro::Null => 0,
        other => panic!("{name} is {other:?}"),
    }
}

/// Encodes a fixture's event again; `None` when a row has digits below a microsecond.
fn encode_again(table: &Table, encoder: &Encoder, event: &Avro) -> Option<Vec<u8>> {
    let image = |name: &str| match get(event, name) {
        Avro::Null => Some(None),
        image => row(image, table).map(Some),
    };
    let (before, after) = (image("before")?, image("after")?);
    let source = get(event, "source");
    let words = [
        Snapshot::False,
        Snapshot::True,
        Snapshot::First,
        Snapshot::FirstInTable,
        Snapshot::LastInTable,
        Snapshot::Last,
    ];
    let block = get(event, "transaction");
    let event = Event {
        op: Op::from_letter(text(event, "op").unwrap()).unwrap(),
        before: before.as_ref(),
        after: after.as_ref(),
        position: SqlServerPosition {
            commit_lsn: text(source, "commit_lsn").unwrap().parse().unwrap(),
            change_lsn: text(source, "change_lsn").map(|lsn| lsn.parse().unwrap()),
            serial: long(source, "event_serial_no") as u64,
        },
        source_ts_us: long(source, "ts_us"),
        snapshot: words.into_iter().find(|word| word.as_str() == text(source, "snapshot").unwrap()).unwrap(),
        transaction: (block != &Avro::Null).then(|| Transaction {
            total_order: long(block, "total_order"),
            table_order: long(block, "data_collection_order"),
        }),
        ts_ns: long(event, "ts_ns"),
    };
    let mut out = Vec::new();
    encoder.value(&event, &mut out).unwrap();
    if let Some(row) = after.as_ref().or(before.as_ref()) {
        let mut key = Vec::new();
        encoder.key(row, &mut key).unwrap();
        out.extend_from_slice(b"|key|");
        out.extend_from_slice(&key);
    }
    Some(out)
}

#[test]
fn events_encoded_again_have_the_bytes_that_debezium_wrote() {
    let folder = Folder::read("debezium-sqlserver");
    let (mut compared, mut finer) = (0, 0);
    for (declared, key_id, value_id) in sql_server_tables() {
        // Once as declared, once with every 7-digit time as the number that it is in Avro.
        let mut numbers = declared.clone();
        for column in &mut numbers.columns {
            if column.kind == (ColumnType::DateTime2 { precision: 7 }) {
                column.kind = ColumnType::BigInt;
            }
        }
        for (table, may_be_finer) in [(declared, true), (numbers, false)] {
            let encoder = Encoder::new(&table, key_id, value_id);
            for record in folder.of_topic(&table.topic) {
                let Some(bytes) =
                    record.value.as_ref().filter(|value| crate::frame(value).unwrap().0 == value_id.into())
                else {
                    continue;
                };
                match encode_again(&table, &encoder, &folder.apache(bytes)) {
                    Some(ours) => {
                        let theirs = [bytes.as_slice(), b"|key|", record.key.as_deref().unwrap()].concat();
                        assert_eq!(ours, theirs, "{} offset {}", record.topic, record.offset);
                        compared += 1;
                    }
                    None => {
                        assert!(may_be_finer);
                        finer += 1;
                    }
                }
            }
        }
    }
    // 26 events, each twice.
    assert_eq!(compared + finer, 52);
    assert!(compared >= 40, "only {compared} compared");
}

fn all_types() -> Table {
    table(
        "everything",
        &["id", "part"],
        &[
            "id int",
            "part nvarchar(10)",
            "bit bit",
            "tiny tinyint null",
            "small smallint null",
            "big bigint null",
            "single real null",
            "double float null",
            "money money null",
            "wide decimal(38,10) null",
            "text nvarchar(max) null",
            "day date null",
            "ms datetime2(3) null",
            "us datetime2(6) null",
            "ns datetime2(7) null",
            "zoned datetimeoffset null",
            "guid uniqueidentifier null",
            "bytes varbinary(max) null",
        ],
    )
}

fn full_row() -> Row {
    vec![
        Value::Int(-7),
        Value::Text("a".into()),
        Value::Bool(true),
        Value::Int(255),
        Value::Int(-32768),
        Value::Int(i64::MIN),
        Value::Float(f64::from(1.5f32).to_bits()),
        Value::Float((-0.1f64).to_bits()),
        Value::Decimal(-12345, 4),
        Value::Decimal(99_999_999_999_999_999_999_999_999_999_999_999_999, 10),
        Value::Text("Zoë 🦀".into()),
        Value::Date(-719_162),
        Value::Timestamp(253_402_300_799_999_000),
        Value::Timestamp(-62_135_596_800_000_000),
        Value::Timestamp(1_704_164_645_123_456),
        Value::Timestamp(1_704_164_645_123_456),
        Value::Text("6F1C1F0E-3C9C-4B7C-9F5E-0D4F2C8F7A11".into()),
        Value::Bytes(vec![0, 255]),
    ]
}

fn an_update<'a>(before: &'a Row, after: &'a Row) -> Event<'a> {
    Event {
        op: Op::Update,
        before: Some(before),
        after: Some(after),
        position: SqlServerPosition { commit_lsn: Lsn::new(1, 2, 3), change_lsn: Some(Lsn::new(1, 2, 4)), serial: 2 },
        source_ts_us: 1_291_191_960_000_000,
        snapshot: Snapshot::False,
        transaction: None,
        ts_ns: 1_291_191_961_000_000_000,
    }
}

#[test]
fn every_type_of_a_contract_is_read_back_by_apache_avro_and_by_the_decoder() {
    let table = all_types();
    let (full, mut sparse) = (full_row(), full_row());
    for (value, column) in sparse.iter_mut().zip(&table.columns) {
        if column.nullable {
            *value = Value::Null;
        }
    }
    let mut bytes = Vec::new();
    Encoder::new(&table, 1, 2).value(&an_update(&full, &sparse), &mut bytes).unwrap();

    let theirs = apache(&value_schema(&table), &bytes[5..]).expect("apache-avro reads it");
    let fields: Vec<Value> = table
        .columns
        .iter()
        .map(|column| match value(get(get(&theirs, "before"), column.name.as_str()), column) {
            // An offset's text comes back as written; the row had a point in time.
            Some(Value::Text(text)) if column.kind == ColumnType::DateTimeOffset => {
                assert_eq!(text, "2024-01-02T03:04:05.123456Z");
                Value::Timestamp(1_704_164_645_123_456)
            }
            other => other.unwrap(),
        })
        .collect();
    assert_eq!(fields, full);

    let mut decoder = crate::Decoder::default();
    decoder.add_schema(2, &value_schema(&table)).unwrap();
    let record = crate::RawRecord { partition: 0, offset: 0, timestamp_ms: 0, key: None, value: Some(&bytes) };
    let decoded = decoder.decode(&table, &[record]);
    let batch = &decoded.rows[0].batch;
    let image = |name: &str| {
        let rows = arrow::array::AsArray::as_struct(batch.column_by_name(name).unwrap());
        crate::values::row_at(rows, &table.columns, 0).unwrap()
    };
    assert_eq!(image("before"), Some(full));
    assert_eq!(image("after"), Some(sparse));
}

#[test]
fn a_value_that_its_column_cannot_hold_is_refused_by_name() {
    let table = all_types();
    let encoder = Encoder::new(&table, 1, 2);
    let full = full_row();
    for (column, bad) in [
        ("id", Value::Null),
        ("id", Value::Int(1 << 31)),
        ("id", Value::Text("7".into())),
        ("bit", Value::Int(1)),
        ("tiny", Value::Int(-1)),
        ("small", Value::Int(32768)),
        ("money", Value::Decimal(1, 5)),
        ("wide", Value::Decimal(i128::MAX, 10)),
        ("day", Value::Date(-719_163)),
        ("us", Value::Timestamp(253_402_300_800_000_000)),
        // datetime2(7) reaches no further than 64 bits of nanoseconds, as in Debezium.
        ("ns", Value::Timestamp(253_402_214_400_000_000)),
        ("zoned", Value::Text("soon".into())),
    ] {
        let mut row = full.clone();
        row[table.column_index(column).unwrap()] = bad.clone();
        match encoder.value(&an_update(&full, &row), &mut Vec::new()) {
            Err(EnvelopeError::Value { column: named, .. }) => assert_eq!(named, column),
            other => panic!("{column} {bad:?}: {other:?}"),
        }
    }
    let short = full[1..].to_vec();
    assert!(matches!(
        encoder.key(&short, &mut Vec::new()),
        Err(EnvelopeError::RowLength { found: 17, declared: 18, .. })
    ));
}

#[test]
fn keys_are_read_back_by_apache_avro_in_key_order() {
    let table = table("t", &["b", "a"], &["a int", "b nvarchar(5)"]);
    let mut bytes = Vec::new();
    Encoder::new(&table, 9, 2).key(&vec![Value::Int(3), Value::Text("x".into())], &mut bytes).unwrap();
    let key = apache(&key_schema(&table), &bytes[5..]).unwrap();
    let Avro::Record(fields) = bare(&key) else { panic!() };
    assert_eq!(fields, &[("b".into(), Avro::String("x".into())), ("a".into(), Avro::Int(3))]);
    assert_eq!(crate::frame(&bytes).unwrap().0, 9.into());
}
