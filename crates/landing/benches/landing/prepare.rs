//! What the contestants read: a project, the events as frames in a file and, where there are brokers, in a topic, and
//! what is expected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::value::Value;
use weir_envelope::encode::Snapshot;
use weir_envelope::schema::{key_schema, value_schema};
use weir_envelope::{Encoder, Event};
use weir_stream::{Admin, Connection, Producer, Registry};
use weir_testkit::mix;

use crate::Failure;
use crate::events::{Shape, Sum};
use crate::frames::Writer;

/// Partitions of the topic; a key's events are in one.
pub const PARTITIONS: i32 = 4;
/// The schema id in the frames where no registry gives one.
const VALUE_ID: u32 = 6;

/// What `prepare` says of its folder, in `input.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Input {
    pub shape: Shape,
    pub expected: Sum,
    pub brokers: Option<String>,
    pub topic: String,
    pub value_id: u32,
    /// Records between the events that nobody can decode.
    pub broken: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Input {
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&fs::read(dir.join("input.json"))?)?)
    }
}

/// The one table, and how it is landed.
pub fn table(dir: &Path) -> Result<(weir_project::Table, weir_project::Landing), Failure> {
    let mut project = weir_project::load(&dir.join("project"), "dev", &[])?;
    let table = project.tables.pop().ok_or("no table")?;
    Ok((table, project.landing))
}

/// Fills `dir`, and the topic if there are brokers and a registry; with `one_in`, a broken record stands behind every
/// so many events in a topic of its own.
pub async fn prepare(
    dir: &Path,
    shape: Shape,
    one_in: Option<u64>,
    parts: Option<(&str, &str)>,
) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    project(dir, if one_in.is_some() { "broken" } else { "bench" }, parts)?;
    let (table, _) = table(dir)?;
    let value_text = value_schema(&table);
    fs::write(dir.join("value.avsc"), &value_text)?;
    let topic = match parts {
        Some((brokers, registry)) => {
            let registry = Registry::new(registry);
            let key_id = registry.register(&format!("{}-key", table.topic), &key_schema(&table))?;
            let value_id = registry.register(&format!("{}-value", table.topic), &value_text)?;
            let connection = Connection::new(brokers, BTreeMap::new());
            let keep = Duration::from_secs(7 * 86_400);
            Admin::new(&connection)?.ensure_topic(&table.topic, PARTITIONS, keep).await?;
            Some((Producer::new(&connection)?, key_id, value_id))
        }
        None => None,
    };
    let (key_id, value_id) = topic.as_ref().map_or((1, VALUE_ID), |(_, key, value)| (*key, *value));
    let encoder = Encoder::new(&table, key_id, value_id);
    let mut frames = Writer::create(&dir.join("frames.bin"))?;
    let (mut expected, mut bytes, mut broken) = (Sum::default(), 0, 0);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for n in 0..shape.rows {
        let change = shape.change(n);
        expected.add(&change);
        let row = change.image().ok_or("no row")?;
        key.clear();
        value.clear();
        encoder.key(row, &mut key)?;
        let event = Event {
            op: change.op,
            before: change.before.as_ref(),
            after: change.after.as_ref(),
            position: change.position,
            source_ts_us: change.at,
            snapshot: Snapshot::False,
            transaction: None,
            ts_ns: (change.at + 50_000) * 1000,
        };
        encoder.value(&event, &mut value)?;
        bytes += key.len() as u64 + value.len() as u64;
        frames.push(&value)?;
        if let Some((producer, ..)) = &topic {
            let Value::Int(order) = row[0] else { return Err("an order is no number".into()) };
            let partition = mix(order.unsigned_abs()) % u64::from(PARTITIONS.unsigned_abs());
            let partition = i32::try_from(partition)?;
            producer.send(&table.topic, partition, Some(&key), Some(&value), &[])?;
            if one_in.is_some_and(|one_in| n % one_in == 0) {
                producer.send(&table.topic, partition, Some(&key), Some(&damaged(value.clone(), broken)), &[])?;
                broken += 1;
            }
        }
    }
    frames.finish()?;
    if let Some((producer, ..)) = &topic {
        producer.flush()?;
    }
    let brokers = parts.map(|(brokers, _)| brokers.to_owned());
    let input = Input { shape, expected, brokers, topic: table.topic, value_id, broken, bytes };
    // The last step: a folder that has it is whole.
    Ok(fs::write(dir.join("input.json"), serde_json::to_vec_pretty(&input)?)?)
}

/// A value that cannot be decoded, in one of the ways in which that happens.
fn damaged(mut value: Vec<u8>, number: u64) -> Vec<u8> {
    match number % 6 {
        0 => value.clear(),
        1 => value[0] = 1,
        2 => value[1..5].fill(0xff),
        3 => value.truncate(value.len() / 2),
        4 => value.push(0),
        // The branch of a union that has two.
        _ => value[5] = 0x7e,
    }
    value
}

fn project(dir: &Path, topic: &str, parts: Option<(&str, &str)>) -> Result<(), Failure> {
    let stream = parts.map_or(String::new(), |(brokers, registry)| {
        format!("stream: {{brokers: '{brokers}', registry: '{registry}'}}\n")
    });
    let files = [
        ("weir.yaml", "name: bench\n".to_owned()),
        ("environments/dev.yaml", format!("{stream}lake: {{root: lake}}\n")),
        (
            "sources/bench.yaml",
            format!(
                "connector: sqlserver\nserver: shop\ndatabase: Shop\nschema: dbo\ntopic: {topic}.{{table}}.cdc\n\
                 tables: [order_item]\n"
            ),
        ),
        (
            "contracts/order_item.yaml",
            "key: [order_id, line_no]
columns:
  - {name: order_id, type: bigint}
  - {name: line_no, type: smallint}
  - {name: product_id, type: int}
  - {name: quantity, type: int}
  - {name: unit_price, type: 'decimal(10,2)'}
  - {name: discount, type: 'decimal(5,4)', nullable: true}
  - {name: updated_at, type: datetime2(7)}
"
            .to_owned(),
        ),
    ];
    for (name, text) in files {
        let path = dir.join("project").join(name);
        fs::create_dir_all(path.parent().ok_or("a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}
