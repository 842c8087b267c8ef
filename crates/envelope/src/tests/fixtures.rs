//! What Debezium itself wrote (`tests/fixtures/debezium-*`), read by apache-avro.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use weir_core::column::Column;
use weir_core::schema_id::SchemaId;
use weir_project::{Connector, ConnectorKind, Table};

use crate::decode::Decoder;
use crate::record::RawRecord;

/// A record of a fixture file.
pub struct Fixture {
    pub topic: String,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

impl Fixture {
    pub fn raw(&self) -> RawRecord<'_> {
        RawRecord {
            partition: 0,
            offset: self.offset,
            timestamp_ms: 0,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
        }
    }
}

/// Records and schemas of one folder.
pub struct Folder {
    pub records: Vec<Fixture>,
    pub schemas: BTreeMap<SchemaId, Json>,
}

impl Folder {
    /// `debezium-sqlserver`, `debezium-postgres` or `debezium-postgres/mode-variants`; table topics only.
    pub fn read(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
        let text =
            |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let list: Vec<Json> = serde_json::from_str(&text(folder.join("schemas.json"))).unwrap();
        let schemas =
            list.iter().map(|one| ((one["id"].as_u64().unwrap() as u32).into(), one["schema"].clone())).collect();
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut records = Vec::new();
        for file in files {
            let topic = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_table = topic.ends_with(".cdc") || topic.contains(".public.");
            if is_table && file.extension().is_some_and(|extension| extension == "jsonl") {
                records.extend(text(file).lines().map(|line| fixture(&topic, line)));
            }
        }
        Self { records, schemas }
    }

    pub fn of_topic(&self, topic: &str) -> Vec<&Fixture> {
        self.records.iter().filter(|record| record.topic == topic).collect()
    }

    /// A decoder that knows every envelope of the folder.
    pub fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::default();
        for (id, schema) in &self.schemas {
            if schema["name"] == "Envelope" {
                decoder.add_schema(*id, &schema.to_string()).unwrap();
            }
        }
        decoder
    }

    /// What apache-avro makes of a framed message.
    pub fn apache(&self, value: &[u8]) -> Avro {
        let (id, body) = crate::frame(value).unwrap();
        apache(&self.schemas[&id].to_string(), &body.unpack(usize::MAX).unwrap()).expect("apache-avro reads it")
    }
}

/// What apache-avro makes of a body, when it takes it whole.
pub fn apache(schema: &str, mut body: &[u8]) -> Option<Avro> {
    let schema = Schema::parse_str(schema).unwrap();
    let value = apache_avro::from_avro_datum(&schema, &mut body, None).ok()?;
    body.is_empty().then_some(value)
}

/// A field of an apache-avro record, out of its union.
pub fn get<'a>(record: &'a Avro, name: &str) -> &'a Avro {
    let Avro::Record(fields) = bare(record) else { panic!("{record:?} is no record") };
    let (_, value) = fields.iter().find(|(field, _)| field == name).unwrap_or_else(|| panic!("no field {name}"));
    bare(value)
}

/// A value out of its union.
pub fn bare(value: &Avro) -> &Avro {
    match value {
        Avro::Union(_, inner) => inner,
        other => other,
    }
}

fn fixture(topic: &str, line: &str) -> Fixture {
    let json: Json = serde_json::from_str(line).unwrap();
    let bytes = |name: &str| json[name].as_str().map(|text| STANDARD.decode(text).unwrap());
    Fixture {
        topic: topic.to_owned(),
        offset: json["offset"].as_i64().unwrap(),
        key: bytes("key"),
        value: bytes("value"),
    }
}

/// A table as a contract declares it: `name type` or `name type null`, the key's names after it.
pub fn table(name: &str, key: &[&str], columns: &[&str]) -> Table {
    let column = |text: &&str| {
        let mut words = text.split(' ');
        Column {
            name: words.next().unwrap().parse().unwrap(),
            kind: words.next().unwrap().parse().unwrap(),
            nullable: words.next() == Some("null"),
        }
    };
    Table {
        name: name.parse().unwrap(),
        topic: format!("retail.{name}.cdc"),
        connector: Connector {
            kind: ConnectorKind::SqlServer,
            server: "retail".into(),
            database: "RetailDB".into(),
            schema: "dbo".into(),
        },
        columns: columns.iter().map(column).collect(),
        key: key.iter().map(|name| name.parse().unwrap()).collect(),
        pii: BTreeSet::new(),
        expectations: Vec::new(),
        schema_changes: weir_project::SchemaChanges::Evolve,
        staging_sql: None,
    }
}

/// The SQL Server fixtures' tables with the schema ids of key and value. What no contract can declare stands under a
/// type of the same bytes: `time(7)` as `bigint`, `xml` as `nvarchar(max)`.
pub fn sql_server_tables() -> Vec<(Table, u32, u32)> {
    let customer = [
        "customer_id int",
        "email nvarchar(100)",
        "first_name nvarchar(50)",
        "last_name nvarchar(50) null",
        "birth_date date null",
        "is_active bit",
        "credit_limit money null",
        "created_at datetime2(7)",
        "updated_at datetimeoffset null",
        "row_guid uniqueidentifier",
    ];
    let item = [
        "order_id bigint",
        "line_no smallint",
        "product_id int",
        "quantity int",
        "unit_price decimal(10,2)",
        "discount decimal(5,4) null",
        "updated_at datetime2(7)",
    ];
    let order = [
        "order_id bigint",
        "customer_id int",
        "order_date date",
        "ordered_at datetime2(7)",
        "packed_at datetime2(3) null",
        "paid_at datetime2(6) null",
        "shipped_at datetimeoffset null",
        "ship_time bigint null",
        "status nvarchar(20)",
        "total decimal(10,2)",
        "freight smallmoney null",
        "external_ref uniqueidentifier null",
        "country nvarchar(2) null",
    ];
    let product = [
        "product_id int",
        "sku nvarchar(20)",
        "name nvarchar(100)",
        "description nvarchar(max) null",
        "price decimal(10,2)",
        "weight_kg float null",
        "rating real null",
        "stock smallint",
        "kind tinyint",
        "spec nvarchar(max) null",
        "thumb varbinary(max) null",
        "created_at datetime2(3)",
        "checked_at datetime2(0) null",
    ];
    vec![
        (table("customer", &["customer_id"], &customer), 1, 2),
        (table("customer", &["customer_id"], &[&customer[..], &["loyalty_tier nvarchar(10) null"]].concat()), 1, 11),
        (table("order", &["order_id"], &order), 3, 4),
        (table("order_item", &["order_id", "line_no"], &item), 5, 6),
        (table("order_item", &["order_id", "line_no"], &[&item[..], &["gift bit"]].concat()), 5, 13),
        (table("product", &["product_id"], &product), 7, 8),
    ]
}
