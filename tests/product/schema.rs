//! Writer schemas that change: told beforehand by `weir schema`, kept out of a table by its contract; and records whose
//! schemas are in AWS Glue's registry.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use weir_core::change::Op;
use weir_core::column::{Column, ColumnType};
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value as Cell};
use weir_envelope::encode::Snapshot;
use weir_envelope::{Encoder, Event, schema::value_schema};
use weir_project::Table;
use weir_stream::{Connection, Producer, Registry};
use weir_testkit::harness::{Running, glue};

use crate::place::{Place, until};

const MINUTE: Duration = Duration::from_secs(60);

pub fn table(place: &Place, name: &str) -> Table {
    let project = weir_project::load(&place.pipeline(), "dev", &[]).unwrap();
    project.tables.into_iter().find(|table| table.name.as_str() == name).unwrap()
}

fn column(name: &str, kind: &str) -> Column {
    Column { name: name.parse().unwrap(), kind: kind.parse().unwrap(), nullable: true }
}

/// The table as it would be with a column more.
fn with_loyalty(mut table: Table) -> Table {
    table.columns.push(column("loyalty", "int"));
    table
}

/// The value of a new row, all else NULL, in Confluent's frame.
pub fn created(table: &Table, schema_id: u32, id: i64, at: u32) -> Vec<u8> {
    let cell = |column: &Column| match column.kind {
        _ if column.nullable => Cell::Null,
        ColumnType::Bit => Cell::Bool(false),
        ColumnType::Text { .. } => Cell::Text(id.to_string()),
        _ => Cell::Int(id),
    };
    let row: Row = table.columns.iter().map(cell).collect();
    let event = Event {
        op: Op::Create,
        before: None,
        after: Some(&row),
        position: SqlServerPosition { commit_lsn: Lsn::new(1, at, 1), change_lsn: Some(Lsn::new(1, at, 2)), serial: 1 },
        source_ts_us: 1_700_000_000_000_000 + i64::from(at),
        snapshot: Snapshot::False,
        transaction: None,
        ts_ns: 1_700_000_000_000_000_000,
    };
    let mut out = Vec::new();
    Encoder::new(table, 1, schema_id).value(&event, &mut out).unwrap();
    out
}

pub fn send(brokers: &str, table: &Table, value: &[u8]) {
    let producer = Producer::new(&Connection::new(brokers, [].into())).unwrap();
    producer.send(&table.topic, 0, Some(b"k"), Some(value), &[]).unwrap();
    producer.flush().unwrap();
}

pub fn up(place: &Place, args: &[&str]) -> Running {
    place.up(&[&["--build-every", "1h", "--set", "landing.max_wait=300ms"], args].concat())
}

/// A table's row of `weir status`.
fn status(place: &Place, table: &str) -> Value {
    place.rows(&["status"]).into_iter().find(|row| row["table"] == table).unwrap()
}

fn schema_file(place: &Place, table: &Table) -> PathBuf {
    let path = place.path().join("writer.avsc");
    std::fs::write(&path, value_schema(table)).unwrap();
    path
}

#[test]
fn a_writer_schema_is_told_column_by_column_with_everything_behind_before_it_comes() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "3", "--customers", "10", "--products", "5", "--orders", "10"]);
    place.run(&["stream", "--once"]);
    assert_eq!(place.rows(&["schema", "diff"]), [] as [Value; 0]);
    place.run(&["schema", "check"]);

    let customer = table(&place, "customer");
    let mut writer = with_loyalty(customer.clone());
    writer.columns.retain(|column| column.name.as_str() != "country");
    let segment = writer.columns.iter_mut().find(|column| column.name.as_str() == "segment").unwrap();
    segment.kind = "int".parse().unwrap();
    let file = schema_file(&place, &writer);
    let file = file.to_str().unwrap();
    let rows = place.rows(&["schema", "diff", "customer", "--file", file]);
    let short: Vec<_> =
        rows.iter().map(|row| (row["column"].as_str(), row["change"].as_str(), &row["breaks"])).collect();
    assert_eq!(
        short,
        [
            (Some("country"), Some("dropped"), &false.into()),
            (Some("segment"), Some("incompatible"), &true.into()),
            (Some("loyalty"), Some("added"), &false.into()),
        ],
        "{rows:?}"
    );
    let reached = rows[0]["reaches"].as_str().unwrap();
    for behind in [
        "contract customer",
        "streaming view staging.",
        "staging.customer.country",
        "mirror.customer.country",
        "curated.dim_customer.country",
        "analytics.dim_customer.country",
    ] {
        assert!(reached.contains(behind), "{behind}: {reached}");
    }
    assert_eq!(rows[2]["reaches"], "");
    let check = place.weir(&["schema", "check", "customer", "--file", file]).run().expect_code(1);
    assert!(check.stderr.contains("something breaks") && check.stdout.contains("segment"), "{}", check.stderr);

    // A column more alone is taken in; under a contract that holds it breaks.
    let file = schema_file(&place, &with_loyalty(customer));
    let check = ["schema", "check", "customer", "--file", file.to_str().unwrap()];
    place.run(&check);
    place.edit("contracts/customer.yaml", |text| text + "\nschema_changes: hold\n");
    place.weir(&check).run().expect_code(1);

    // No change event at all.
    std::fs::write(&file, r#"{"type":"record","name":"K","fields":[{"name":"id","type":"int"}]}"#).unwrap();
    let unreadable = place.weir(&check).run().expect_code(1);
    assert!(unreadable.stdout.contains("dead letter"), "{}", unreadable.stdout);
}

#[test]
fn a_table_that_holds_waits_alone_says_so_and_goes_on_when_its_contract_lets_it() {
    let place = Place::reference();
    place.edit("contracts/customer.yaml", |text| text + "\nschema_changes: hold\n");
    let mut running = up(&place, &[]);
    let said = place.running();
    let brokers = said["stream"]["brokers"].as_str().unwrap();
    let registry = Registry::new(said["stream"]["registry"].as_str().unwrap());
    let register = |table: &Table| registry.register(&table.value_subject(), &value_schema(table)).unwrap();

    let (customer, product) = (table(&place, "customer"), table(&place, "product"));
    send(brokers, &customer, &created(&customer, register(&customer), 1, 1));
    until("the first customer lands", MINUTE, || status(&place, "customer")["landed"] == 1);
    let wider = with_loyalty(customer);
    send(brokers, &wider, &created(&wider, register(&wider), 2, 2));
    let warned = running.wait_for("is held at its position", MINUTE);
    assert!(warned.contains("`after.loyalty` Int32"), "{warned}");
    send(brokers, &product, &created(&product, register(&product), 1, 3));
    until("the other table goes on", MINUTE, || status(&place, "product")["landed"] == 1);
    let held = status(&place, "customer");
    assert_eq!((&held["landed"], &held["lag"]), (&1.into(), &1.into()));
    assert!(held["held"].as_str().is_some_and(|why| why.contains("after.loyalty")), "{held}");
    assert_eq!(status(&place, "product")["held"], Value::Null);
    place.weir(&["schema", "check"]).run().expect_code(1);
    running.stop(MINUTE);

    let once = place.weir(&["stream", "--once"]).run().expect_code(78);
    assert!(once.stderr.contains("error[W4010]"), "{}", once.stderr);
    place.edit("contracts/customer.yaml", |text| text.replace("schema_changes: hold", "schema_changes: evolve"));
    place.run(&["stream", "--once"]);
    let goes_on = status(&place, "customer");
    assert_eq!((&goes_on["landed"], &goes_on["lag"], &goes_on["held"]), (&2.into(), &0.into(), &Value::Null));
    place.run(&["schema", "check"]);
}

#[test]
fn a_schema_change_of_a_table_that_stops_ends_the_whole_process() {
    let place = Place::reference();
    place.edit("contracts/customer.yaml", |text| text + "\nschema_changes: stop\n");
    let mut running = up(&place, &[]);
    let said = place.running();
    let brokers = said["stream"]["brokers"].as_str().unwrap();
    let registry = Registry::new(said["stream"]["registry"].as_str().unwrap());
    let customer = table(&place, "customer");
    for (at, table) in [(1, customer.clone()), (2, with_loyalty(customer))] {
        let id = registry.register(&table.value_subject(), &value_schema(&table)).unwrap();
        send(brokers, &table, &created(&table, id, i64::from(at), at));
        if at == 1 {
            until("the first customer lands", MINUTE, || status(&place, "customer")["landed"] == 1);
        }
    }
    assert_eq!(running.wait(MINUTE).code(), Some(78));
    assert!(running.output().contains("error[W4011]"), "{}", running.output());
}

#[test]
fn records_whose_schemas_are_in_glues_registry_land_and_show_in_the_mirror() {
    let place = Place::reference().with_aws();
    let product = table(&place, "product");
    let Some(server) = glue(&[schema_file(&place, &product)]) else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.edit("environments/dev.yaml", |dev| {
        let glue = format!("registry: glue\n  region: us-east-1\n  registry_endpoint: {}", server.endpoint);
        dev.replace("registry: embedded", &format!("port: {port}\n  {glue}"))
    });
    let mut running = up(&place, &["--set", "warehouse.refresh_every=1s"]);
    let brokers = format!("127.0.0.1:{port}");
    let uuid = hex_of(&server.versions[0]);
    let glue_frame = |id: i64, at: u32| [&[3, 0][..], &uuid, &created(&product, 1, id, at)[5..]].concat();
    send(&brokers, &product, &glue_frame(7, 1));
    let mut unknown = glue_frame(8, 2);
    unknown[2..18].fill(0xab);
    send(&brokers, &product, &unknown);
    until("the mirror has the row", MINUTE, || {
        place.value("select count(*) from staging.product where product_id = '7'") == "1"
    });
    running.stop(MINUTE);
    let letters = place.rows(&["dlq", "ls", "--each"]);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "unknown_schema");
    let shown = place.rows(&["dlq", "show", "product", letters[0]["id"].as_str().unwrap()]);
    assert_eq!(shown[0]["schema id"], "abababab-abab-abab-abab-abababababab");
}

fn hex_of(uuid: &str) -> Vec<u8> {
    let digits: String = uuid.chars().filter(|c| *c != '-').collect();
    (0..16).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}
