//! Debezium's Avro schemas for a table, as its SQL Server connector registers them.
//!
//! Compared field by field with schemas that Debezium 3.6 itself made (`tests/fixtures/debezium-sqlserver`).

use serde_json::{Map, Value as Json, json};
use weir_core::column::{Column, ColumnType};
use weir_project::Table;

/// The registry's text for `<topic>-key`.
pub fn key_schema(table: &Table) -> String {
    let namespace = table.namespace();
    let fields: Vec<Json> = table
        .key_indexes()
        .into_iter()
        .map(|at| field(&Column { nullable: false, ..table.columns[at].clone() }))
        .collect();
    json!({
        "type": "record", "name": "Key", "namespace": namespace, "fields": fields,
        "connect.name": format!("{namespace}.Key"),
    })
    .to_string()
}

/// The registry's text for `<topic>-value`.
pub fn value_schema(table: &Table) -> String {
    let namespace = table.namespace();
    let columns: Vec<Json> = table.columns.iter().map(field).collect();
    let row = json!({
        "type": "record", "name": "Value", "fields": columns, "connect.name": format!("{namespace}.Value"),
    });
    json!({
        "type": "record", "name": "Envelope", "namespace": namespace,
        "fields": [
            {"name": "before", "type": ["null", row], "default": null},
            {"name": "after", "type": ["null", "Value"], "default": null},
            {"name": "source", "type": source()},
            {"name": "transaction", "type": ["null", transaction()], "default": null},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": null},
            {"name": "ts_us", "type": ["null", "long"], "default": null},
            {"name": "ts_ns", "type": ["null", "long"], "default": null},
        ],
        "connect.version": 2,
        "connect.name": format!("{namespace}.Envelope"),
    })
    .to_string()
}

fn field(column: &Column) -> Json {
    let kind = column_type(column.kind);
    if column.nullable {
        json!({"name": column.name.as_str(), "type": ["null", kind], "default": null})
    } else {
        json!({"name": column.name.as_str(), "type": kind})
    }
}

/// The Connect type of a column under `decimal.handling.mode=precise` and `time.precision.mode=adaptive`.
fn column_type(kind: ColumnType) -> Json {
    match kind {
        ColumnType::Bit => json!("boolean"),
        ColumnType::TinyInt | ColumnType::SmallInt => json!({"type": "int", "connect.type": "int16"}),
        ColumnType::Int => json!("int"),
        ColumnType::BigInt => json!("long"),
        ColumnType::Real => json!("float"),
        ColumnType::Float => json!("double"),
        ColumnType::Text { .. } | ColumnType::UniqueIdentifier => json!("string"),
        ColumnType::VarBinary { .. } => json!("bytes"),
        ColumnType::Date => semantic("int", "io.debezium.time.Date"),
        ColumnType::DateTime2 { precision } => semantic("long", time_name(precision)),
        ColumnType::DateTimeOffset => semantic("string", "io.debezium.time.ZonedTimestamp"),
        ColumnType::Decimal { precision, scale } => json!({
            "type": "bytes", "scale": scale, "precision": precision, "connect.version": 1,
            "connect.parameters": {"scale": scale.to_string(), "connect.decimal.precision": precision.to_string()},
            "connect.name": "org.apache.kafka.connect.data.Decimal",
            "logicalType": "decimal",
        }),
    }
}

fn time_name(precision: u8) -> &'static str {
    match precision {
        0..=3 => "io.debezium.time.Timestamp",
        4..=6 => "io.debezium.time.MicroTimestamp",
        _ => "io.debezium.time.NanoTimestamp",
    }
}

fn semantic(avro: &str, name: &str) -> Json {
    json!({"type": avro, "connect.version": 1, "connect.name": name})
}

fn optional(name: &str, avro: &str) -> Json {
    json!({"name": name, "type": ["null", avro], "default": null})
}

fn source() -> Json {
    let mut snapshot = Map::new();
    snapshot.insert("type".into(), json!("string"));
    snapshot.insert("connect.version".into(), json!(1));
    snapshot.insert(
        "connect.parameters".into(),
        json!({"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}),
    );
    snapshot.insert("connect.default".into(), json!("false"));
    snapshot.insert("connect.name".into(), json!("io.debezium.data.Enum"));
    json!({
        "type": "record", "name": "Source", "namespace": "io.debezium.connector.sqlserver",
        "fields": [
            {"name": "version", "type": "string"},
            {"name": "connector", "type": "string"},
            {"name": "name", "type": "string"},
            {"name": "ts_ms", "type": "long"},
            {"name": "snapshot", "type": [snapshot, "null"], "default": "false"},
            {"name": "db", "type": "string"},
            optional("sequence", "string"),
            optional("ts_us", "long"),
            optional("ts_ns", "long"),
            {"name": "schema", "type": "string"},
            {"name": "table", "type": "string"},
            optional("change_lsn", "string"),
            optional("commit_lsn", "string"),
            optional("event_serial_no", "long"),
        ],
        "connect.version": 1,
        "connect.name": "io.debezium.connector.sqlserver.Source",
    })
}

fn transaction() -> Json {
    json!({
        "type": "record", "name": "block", "namespace": "event",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "total_order", "type": "long"},
            {"name": "data_collection_order", "type": "long"},
        ],
        "connect.version": 1,
        "connect.name": "event.block",
    })
}
