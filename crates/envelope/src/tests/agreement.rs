//! Decoded batches and JSON against apache-avro's reading of the same bytes.

use std::io::Write as _;

use apache_avro::types::Value as Avro;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::Value as Json;
use weir_core::value::Value;

use super::fixtures::{Fixture, Folder, bare, table};
use crate::bounds::unscaled;
use crate::values::value_at;
use crate::{Decoded, Decoder, RawRecord};

/// Whether an Arrow value says what an Avro value says; a time may have come in any unit.
pub fn agrees(array: &ArrayRef, row: usize, avro: &Avro) -> bool {
    let avro = bare(avro);
    if array.is_null(row) || avro == &Avro::Null {
        return array.is_null(row) && avro == &Avro::Null;
    }
    match (array.data_type(), avro) {
        (DataType::Struct(_), Avro::Record(fields)) => {
            let columns = array.as_struct();
            columns.num_columns() == fields.len()
                && fields
                    .iter()
                    .all(|(name, value)| columns.column_by_name(name).is_some_and(|one| agrees(one, row, value)))
        }
        (DataType::List(_), Avro::Array(items)) => {
            let list = array.as_list::<i32>().value(row);
            list.len() == items.len() && items.iter().enumerate().all(|(at, item)| agrees(&list, at, item))
        }
        (DataType::Map(..), Avro::Map(items)) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            // A repeated key: apache-avro keeps the last, Arrow all.
            items.iter().all(|(key, item)| {
                (0..entries.len()).rev().find(|at| keys.value(*at) == key).is_some_and(|at| agrees(values, at, item))
            })
        }
        (_, avro) => match (value_at(array.as_ref(), row), avro) {
            (Some(Value::Bool(a)), Avro::Boolean(b)) => a == *b,
            (Some(Value::Int(a)), Avro::Int(b)) => a == i64::from(*b),
            (Some(Value::Int(a)), Avro::Long(b)) => a == *b,
            (Some(Value::Int(a)), Avro::TimeMillis(b)) => a == i64::from(*b),
            (Some(Value::Float(a)), Avro::Double(b)) => a == b.to_bits(),
            (Some(Value::Float(a)), Avro::Float(b)) => a == f64::from(*b).to_bits(),
            (Some(Value::Text(a)), Avro::String(b) | Avro::Enum(_, b)) => a == *b,
            (Some(Value::Bytes(a)), Avro::Bytes(b)) => a == *b,
            (Some(Value::Date(a)), Avro::Int(b) | Avro::Date(b)) => a == *b,
            (Some(Value::Timestamp(a)), Avro::TimestampMillis(b)) => a == b * 1000,
            (Some(Value::Timestamp(a)), Avro::TimestampMicros(b)) => a == *b,
            (Some(Value::Timestamp(a)), Avro::Long(b)) => {
                a == *b || Some(a) == b.checked_mul(1000) || a == b.div_euclid(1000)
            }
            (Some(Value::Decimal(a, _)), Avro::Decimal(b)) => {
                Vec::<u8>::try_from(b.clone()).is_ok_and(|bytes| unscaled(&bytes) == Some(a))
            }
            // apache-avro knows no decimal of precision 64 over bytes in a named union; compared as bytes.
            (Some(Value::Decimal(a, _)), Avro::Bytes(b)) => unscaled(b) == Some(a),
            _ => false,
        },
    }
}

/// Whether a row of a part says what apache-avro reads.
pub fn row_agrees(batch: &RecordBatch, row: usize, event: &Avro) -> bool {
    let Avro::Record(fields) = event else { return false };
    let same = |(name, value): &(String, Avro)| match batch.column_by_name(name) {
        Some(column) => agrees(column, row, value),
        None => ["transaction", "ts_us", "ts_ns"].contains(&name.as_str()), // not kept
    };
    fields.iter().all(same)
}

fn decode(folder: &Folder, records: &[&Fixture], key: &[&str]) -> Decoded {
    let raw: Vec<RawRecord<'_>> = records.iter().map(|record| record.raw()).collect();
    let table = table("any", key, &["customer_id int"]);
    folder.decoder().decode(&table, &raw)
}

/// The same events as AWS Glue's serializer frames them, plain and compressed.
#[test]
fn every_event_in_a_glue_frame_decodes_to_the_same_rows_and_json() {
    let folder = Folder::read("debezium-sqlserver");
    let mut compared = 0;
    for record in folder.records.iter().filter(|record| record.value.is_some()) {
        let value = record.value.as_deref().unwrap();
        let (number, _) = crate::frame(value).unwrap();
        let uuid = [number.to_string().as_bytes()[0]; 16];
        let schema = folder.schemas[&number].to_string();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&value[5..]).unwrap();
        let packed = zlib.finish().unwrap();
        let frames =
            [value.to_vec(), [&[3, 0][..], &uuid, &value[5..]].concat(), [&[3, 5][..], &uuid, &packed].concat()];
        let [plain, glue, zlib] = frames.map(|value| {
            let mut decoder = Decoder::default();
            decoder.add_schema(number, &schema).unwrap();
            decoder.add_schema(uuid, &schema).unwrap();
            let raw = RawRecord { partition: 0, offset: 0, timestamp_ms: 0, key: None, value: Some(&value) };
            let decoded = decoder.decode(&table("any", &[], &[]), &[raw]);
            assert_eq!(decoded.rejects, []);
            let mut json = Vec::new();
            decoder.cdc_json(&value, &mut json).unwrap();
            (decoded.rows[0].batch.clone(), decoded.rows[0].schema_id, json)
        });
        assert_eq!((&glue.0, &glue.2), (&plain.0, &plain.2));
        assert_eq!((&zlib.0, &zlib.2), (&plain.0, &plain.2));
        assert_eq!((plain.1, glue.1, zlib.1), (number, uuid.into(), uuid.into()));
        compared += 1;
    }
    assert_eq!(compared, 26);
}

#[test]
fn every_event_that_debezium_wrote_decodes_to_what_apache_avro_reads() {
    for (name, rows, tombstones) in
        [("debezium-sqlserver", 26, 3), ("debezium-postgres", 32, 4), ("debezium-postgres/mode-variants", 0, 0)]
    {
        let folder = Folder::read(name);
        let records: Vec<&Fixture> = folder.records.iter().collect();
        let decoded = decode(&folder, &records, &[]);
        assert_eq!(decoded.rejects, [], "{name}");
        let mut seen = 0;
        for part in &decoded.rows {
            assert_eq!(part.batch.num_rows(), part.index.len());
            for (row, at) in part.index.iter().enumerate() {
                let value = records[*at].value.as_deref().unwrap();
                assert_eq!(crate::frame(value).unwrap().0, part.schema_id);
                let event = folder.apache(value);
                assert!(
                    row_agrees(&part.batch, row, &event),
                    "{} {}: {event:?}",
                    records[*at].topic,
                    records[*at].offset
                );
                seen += 1;
            }
        }
        assert_eq!(seen + decoded.tombstones.len(), records.len(), "{name}");
        if rows > 0 {
            assert_eq!((seen, decoded.tombstones.len()), (rows, tombstones), "{name}");
        } else {
            assert!(seen > 0, "{name}");
        }
    }
}

#[test]
fn order_keys_of_a_topic_never_go_back() {
    for name in ["debezium-sqlserver", "debezium-postgres"] {
        let folder = Folder::read(name);
        for topic in ["customer", "order", "order_item", "product"] {
            let records = folder.of_topic(&format!("retail.{topic}.cdc"));
            let decoded = decode(&folder, &records, &[]);
            // Partitions follow each other in the PostgreSQL files; a snapshot row begins a partition there.
            let mut keys: Vec<(usize, Vec<u8>)> = Vec::new();
            for part in &decoded.rows {
                let column = part.batch.column_by_name("_order_key").unwrap().as_binary::<i32>();
                keys.extend(part.index.iter().enumerate().map(|(row, at)| (*at, column.value(row).to_vec())));
            }
            keys.sort();
            let width = if name == "debezium-sqlserver" { [19, 29] } else { [16, 16] };
            assert!(keys.iter().all(|(_, key)| width.contains(&key.len())));
            if name == "debezium-sqlserver" {
                assert!(keys.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{topic}");
            }
        }
    }
}

fn json(folder: &Folder, value: &[u8]) -> Json {
    let mut decoder = Decoder::default();
    let (id, _) = crate::frame(value).unwrap();
    decoder.add_schema(id, &folder.schemas[&id].to_string()).unwrap();
    let mut out = Vec::new();
    decoder.cdc_json(value, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn an_update_as_json_has_exact_texts_for_decimals_dates_times_and_bytes() {
    let folder = Folder::read("debezium-sqlserver");
    let customer = folder.of_topic("retail.customer.cdc")[4].value.as_deref().unwrap();
    let expected = serde_json::json!({
        "op": "u",
        "order_key": "0000002a000001200001010000002a0000012800010000000000000002",
        "source_ts": "2024-04-01 12:00:00.354000",
        "before": {
            "customer_id": 1, "email": "ada@example.test", "first_name": "Ada", "last_name": "Lovelace",
            "birth_date": "1815-12-10", "is_active": true, "credit_limit": "1000.0000",
            "created_at": "2024-01-02 03:04:05.123456", "updated_at": "2024-01-02 03:04:05.123456",
            "row_guid": "6F1C1F0E-3C9C-4B7C-9F5E-0D4F2C8F7A11",
        },
        "after": {
            "customer_id": 1, "email": "ada@example.test", "first_name": "Ada", "last_name": "Lovelace",
            "birth_date": "1815-12-10", "is_active": true, "credit_limit": "1500.5000",
            "created_at": "2024-01-02 03:04:05.123456", "updated_at": "2024-04-02 00:00:00.000000",
            "row_guid": "6F1C1F0E-3C9C-4B7C-9F5E-0D4F2C8F7A11",
        },
    });
    assert_eq!(json(&folder, customer), expected);

    let product = folder.of_topic("retail.product.cdc")[0].value.as_deref().unwrap();
    let after = &json(&folder, product)["after"];
    assert_eq!(after["thumb"], "0102ff");
    assert_eq!(after["weight_kg"], 0.125);
    assert_eq!(after["price"], "9.99");
}

#[test]
fn json_says_what_the_batch_says() {
    for name in ["debezium-sqlserver", "debezium-postgres", "debezium-postgres/mode-variants"] {
        let folder = Folder::read(name);
        let records: Vec<&Fixture> = folder.records.iter().collect();
        for part in decode(&folder, &records, &[]).rows {
            let keys = part.batch.column_by_name("_order_key").unwrap().as_binary::<i32>();
            for (row, at) in part.index.iter().enumerate() {
                let json = json(&folder, records[*at].value.as_deref().unwrap());
                assert_eq!(json["order_key"], hex::encode(keys.value(row)));
                for image in ["before", "after"] {
                    let rows = part.batch.column_by_name(image).unwrap().as_struct();
                    assert_eq!(json[image].is_null(), rows.is_null(row));
                    for (column, array) in rows.column_names().iter().zip(rows.columns()) {
                        if rows.is_valid(row) {
                            same_text(&json[image][column], value_at(array.as_ref(), row));
                        }
                    }
                }
            }
        }
    }
}

fn same_text(json: &Json, value: Option<Value>) {
    let text = match value {
        None => return, // VariableScaleDecimal, a struct
        Some(Value::Null) => return assert!(json.is_null()),
        Some(Value::Int(int)) => return assert_eq!(json, &Json::from(int)),
        Some(Value::Bool(bit)) => return assert_eq!(json, &Json::from(bit)),
        Some(Value::Float(bits)) => return assert_eq!(json, &Json::from(f64::from_bits(bits))),
        Some(value @ Value::Timestamp(_)) => value.to_string().replace('T', " ").replace('Z', ""),
        Some(Value::Text(text)) if crate::time::parse_zoned(&text).is_some() => return, // made UTC
        Some(value) => value.to_string(),
    };
    assert_eq!(json.as_str(), Some(text.as_str()));
}
