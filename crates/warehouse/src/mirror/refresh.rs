//! REFRESH MATERIALIZED VIEW: takes a topic's new records into a streaming view, raw, with their positions.
//!
//! Rows and positions commit in one transaction, so each (topic, partition, offset) comes exactly once.
//! A record above 16 MiB is skipped and counted, as Redshift does; nothing else can fail a refresh but an outage.

use std::collections::BTreeMap;
use std::time::Duration;

use duckdb::appender_params_from_iter;
use duckdb::types::{TimeUnit, Value};
use weir_core::failpoint;

use super::source::{Reader, Record};
use crate::error::WarehouseError;
use crate::session::{Session, Transaction};
use crate::statement::text::Name;

/// Redshift's limit of a record.
const LARGEST: usize = 16_777_216;
/// Bytes taken in one transaction; bounds memory.
const CHUNK_BYTES: usize = 32 << 20;
/// Records taken in one transaction.
const CHUNK: usize = 50_000;
const WAIT: Duration = Duration::from_secs(1);
/// Empty answers in a row after which a refresh gives up on records that should be there.
const PATIENCE: u32 = 10;

/// How far a refresh goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// To the records that are there when it begins.
    CaughtUp,
    /// At most about this many records.
    Records(u64),
}

/// What a refresh took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Records written to the view.
    pub records: u64,
    /// Records above 16 MiB, skipped.
    pub skipped: u64,
    /// Records that were there when it began and are not taken: beyond the limit, or not handed over in time.
    pub left: u64,
}

struct View {
    schema: String,
    name: String,
    topic: String,
    columns: Vec<String>,
}

/// A reader kept between refreshes, and the offsets it stands at.
pub(crate) struct Kept {
    reader: Box<dyn Reader>,
    at: BTreeMap<i32, i64>,
}

/// Refreshes a view. Not inside a transaction: it commits as it goes.
pub fn refresh(session: &mut Session, name: &Name, limit: Limit) -> Result<Refreshed, WarehouseError> {
    if session.transaction() != Transaction::None {
        return Err(WarehouseError::unsupported("REFRESH MATERIALIZED VIEW inside a transaction"));
    }
    let view = find(session, name)?;
    let shared = session.shared.clone();
    let mut readers = crate::database::locked(&shared.readers);
    let source = shared.source.as_ref().ok_or_else(|| WarehouseError::NoBrokers { view: name.to_string() })?;
    let failed = |source| WarehouseError::Topic { topic: view.topic.clone(), source };
    let mut kept = match readers.remove(&view.topic) {
        Some(kept) => kept,
        None => Kept { reader: source.open(&view.topic).map_err(failed)?, at: BTreeMap::new() },
    };
    let refreshed = run(session, &view, &mut kept, limit)?;
    // A reader that failed is not kept: the next refresh opens another one.
    readers.insert(view.topic.clone(), kept);
    Ok(refreshed)
}

fn run(session: &mut Session, view: &View, kept: &mut Kept, limit: Limit) -> Result<Refreshed, WarehouseError> {
    let failed = |source| WarehouseError::Topic { topic: view.topic.clone(), source };
    let topic_id = kept.reader.topic_id().map_err(failed)?;
    let marks = kept.reader.watermarks().map_err(failed)?;
    let mut next = positions(session, view, &topic_id, &marks)?;
    let ends: BTreeMap<i32, i64> = marks.iter().map(|(partition, _, high)| (*partition, *high)).collect();
    if kept.at != next {
        kept.reader.assign(&next).map_err(failed)?;
        kept.at.clone_from(&next);
    }
    let left = |next: &BTreeMap<i32, i64>| -> u64 {
        ends.iter().map(|(partition, high)| u64::try_from(high - next[partition]).unwrap_or(0)).sum()
    };
    let mut done = Refreshed::default();
    let mut empty = 0;
    loop {
        let wanted = match limit {
            Limit::CaughtUp => left(&next),
            Limit::Records(most) => left(&next).min(most.saturating_sub(done.records)),
        };
        if wanted == 0 {
            break;
        }
        let most = usize::try_from(wanted).unwrap_or(CHUNK).min(CHUNK);
        let records = kept.reader.poll(most, CHUNK_BYTES, WAIT).map_err(failed)?;
        if records.is_empty() {
            empty += 1;
            if empty == PATIENCE {
                // Compacted away, or the brokers hang: the next refresh asks again, the caller sees what is left.
                break;
            }
            continue;
        }
        empty = 0;
        let mut skipped = 0;
        for record in &records {
            kept.at.insert(record.partition, record.offset + 1);
            next.insert(record.partition, record.offset + 1);
            skipped += u64::from(too_large(record));
        }
        append(session, view, &topic_id, &next, &records, skipped)?;
        done.records += records.len() as u64 - skipped;
        done.skipped += skipped;
    }
    done.left = left(&next);
    Ok(done)
}

fn too_large(record: &Record) -> bool {
    record.value.as_ref().map_or(0, Vec::len) + record.key.as_ref().map_or(0, Vec::len) > LARGEST
}

fn find(session: &Session, name: &Name) -> Result<View, WarehouseError> {
    let sql = "SELECT schema_name, topic, array_to_string(columns, ',') FROM weir_catalog.streaming_views
               WHERE view_name = ? AND schema_name = coalesce(?, schema_name)
               ORDER BY list_position(['public', 'analytics', 'staging'], schema_name) LIMIT 1";
    let mut statement = session.connection.prepare(sql)?;
    let mut rows = statement.query(duckdb::params![name.name, name.schema])?;
    let Some(row) = rows.next()? else {
        return Err(WarehouseError::Engine {
            kind: crate::error::EngineFailure::MissingRelation,
            message: format!("materialized view \"{name}\" does not exist"),
        });
    };
    let columns: String = row.get(2)?;
    Ok(View {
        schema: row.get(0)?,
        name: name.name.clone(),
        topic: row.get(1)?,
        columns: columns.split(',').map(str::to_owned).collect(),
    })
}

/// Next offset per partition: where the last refresh ended, or the first record held.
fn positions(
    session: &Session,
    view: &View,
    topic_id: &str,
    marks: &[(i32, i64, i64)],
) -> Result<BTreeMap<i32, i64>, WarehouseError> {
    let sql = "SELECT topic_id, kafka_partition, next_offset FROM weir_catalog.stream_positions
               WHERE schema_name = ? AND view_name = ?";
    let mut statement = session.connection.prepare(sql)?;
    let rows = statement.query_map([&view.schema, &view.name], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i32>(1)?, row.get::<_, i64>(2)?))
    })?;
    let mut stored = BTreeMap::new();
    for row in rows {
        let (id, partition, offset) = row?;
        if id != topic_id {
            return Err(WarehouseError::TopicRecreated { view: view.name.clone(), topic: view.topic.clone() });
        }
        stored.insert(partition, offset);
    }
    let mut next = BTreeMap::new();
    for (partition, low, _) in marks {
        let position = stored.get(partition).copied().unwrap_or(*low);
        if position < *low {
            return Err(WarehouseError::RecordsGone {
                view: view.name.clone(),
                topic: view.topic.clone(),
                partition: *partition,
                position,
                low: *low,
            });
        }
        next.insert(*partition, position);
    }
    Ok(next)
}

fn append(
    session: &mut Session,
    view: &View,
    topic_id: &str,
    next: &BTreeMap<i32, i64>,
    records: &[Record],
    skipped: u64,
) -> Result<(), WarehouseError> {
    let refresh_time = Value::Timestamp(TimeUnit::Microsecond, chrono::Utc::now().timestamp_micros());
    session.atomically(|session| {
        {
            let mut appender = session.connection.appender_to_db(&view.name, &view.schema)?;
            for record in records.iter().filter(|record| !too_large(record)) {
                let row = view.columns.iter().map(|column| cell(column, record, &refresh_time));
                appender.append_row(appender_params_from_iter(row))?;
            }
            appender.flush()?;
        }
        session.connection.execute(
            "DELETE FROM weir_catalog.stream_positions WHERE schema_name = ? AND view_name = ?",
            [&view.schema, &view.name],
        )?;
        for (partition, offset) in next {
            session.connection.execute(
                "INSERT INTO weir_catalog.stream_positions VALUES (?, ?, ?, ?, ?)",
                duckdb::params![view.schema, view.name, topic_id, partition, offset],
            )?;
        }
        for record in records.iter().filter(|record| too_large(record)) {
            session.connection.execute(
                "INSERT INTO weir_catalog.stream_scan_errors VALUES (?, ?, ?, ?, now()::TIMESTAMP)",
                duckdb::params![view.schema, view.name, record.partition, record.offset],
            )?;
        }
        failpoint::hit("warehouse.refresh_before_commit");
        Ok(())
    })?;
    failpoint::hit("warehouse.refresh_committed");
    if skipped > 0 {
        tracing::warn!(view = %view.name, skipped, "records above 16 MiB were skipped");
    }
    Ok(())
}

fn cell(column: &str, record: &Record, refresh_time: &Value) -> Value {
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(Value::Null, |bytes| Value::Blob(bytes.clone()));
    match column {
        "kafka_partition" => Value::BigInt(record.partition.into()),
        "kafka_offset" => Value::BigInt(record.offset),
        // The client hands over the time, not who set it; topics are made with the time of arrival.
        "kafka_timestamp_type" => Value::Text(if record.timestamp_ms < 0 { "U" } else { "L" }.into()),
        "kafka_timestamp" if record.timestamp_ms < 0 => Value::Null,
        "kafka_timestamp" => Value::Timestamp(TimeUnit::Microsecond, record.timestamp_ms.saturating_mul(1000)),
        "kafka_key" => bytes(&record.key),
        "kafka_value" => bytes(&record.value),
        "kafka_headers" => {
            let text = |value: &Option<Vec<u8>>| match value {
                Some(value) => serde_json::Value::String(hex::encode(value)),
                None => serde_json::Value::Null,
            };
            let headers: serde_json::Map<_, _> =
                record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            Value::Text(serde_json::Value::Object(headers).to_string())
        }
        _ => refresh_time.clone(),
    }
}
