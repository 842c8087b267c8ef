//! The envelopes of Debezium's SQL Server connector, bytes as they are, through Kafka over TLS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_stream::{Admin, Connection, Producer, Registry};
use weir_testkit::harness::root;

use super::conformance::wait;
use super::{on_parts, parts};
use crate::path::reconciled;

const TABLES: [&str; 4] = ["customer", "order", "order_item", "product"];

fn fixture(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/fixtures/debezium-sqlserver").join(name)).unwrap()
}

/// Gives the fixture's schemas the ids that its bytes have. The registry counts, so a number that is not among them goes
/// to a schema of nothing.
pub fn register(registry: &str) {
    let registry = Registry::new(registry);
    let mut schemas: Vec<Value> = serde_json::from_str(&fixture("schemas.json")).unwrap();
    schemas.sort_by_key(|schema| schema["id"].as_u64());
    let mut next = 1;
    for schema in schemas {
        let id = schema["id"].as_u64().unwrap();
        while next < id {
            let nothing = json!({"type": "fixed", "name": format!("Nothing{next}"), "size": 1}).to_string();
            registry.register(&format!("nothing-{next}"), &nothing).unwrap();
            next += 1;
        }
        let subject = schema["subject"].as_str().unwrap();
        let given = registry.register(subject, &schema["schema"].to_string()).unwrap();
        assert_eq!(u64::from(given), id, "{subject}");
        next += 1;
    }
}

fn send(connection: &Connection, topic: &str) {
    wait(Admin::new(connection).unwrap().ensure_topic(topic, 1, std::time::Duration::from_secs(86_400))).unwrap();
    let producer = Producer::new(connection).unwrap();
    for line in fixture(&format!("{topic}.jsonl")).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let bytes = |name: &str| record[name].as_str().map(|text| STANDARD.decode(text).unwrap());
        producer.send(topic, 0, bytes("key").as_deref(), bytes("value").as_deref(), &[]).unwrap();
    }
    producer.flush().unwrap();
}

#[test]
fn debeziums_sql_server_envelopes_go_the_whole_way_through_kafka() {
    let Some(at) = parts("") else { return };
    let kafka = &at["kafka"];
    let password = std::fs::read_to_string(kafka["password"].as_str().unwrap()).unwrap();
    let connection = Connection::new(kafka["tls"].as_str().unwrap(), super::client(kafka, "tls", &password));
    for table in TABLES {
        send(&connection, &format!("retail.{table}.cdc"));
    }
    let place = on_parts("tests/fixtures/pipelines/sqlserver", &at, "tls", 1);
    let landed = place.rows(&["stream", "--once"]);
    let sum = |name: &str| landed.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    // 29 records, as the fixture's README counts them.
    assert_eq!((sum("landed"), sum("tombstones"), sum("dead letters")), (26, 3, 0), "{landed:?}");
    place.run(&["build"]);
    reconciled(&place);
}
