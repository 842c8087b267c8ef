//! Trace: one business key from the source's transaction to the star schema, and back from a fact.
//!
//! In: the project, the lake, a key. Out: a [`Passport`]: every change of the key with its place in log, topic,
//! landing, staging or quarantine, the rules' verdicts, and the versions or the fact row that came of it.
//! Never: needs a broker; reads more of the lake than buckets, hours, order keys and statistics leave possible;
//! shows a value of a column that is tagged as personal.

mod fact;
mod find;
mod key;
mod member;
mod passport;
mod text;
mod verdict;

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use weir_core::change::Op;
use weir_core::diagnosis::Diagnosed;
use weir_core::order_key::{OrderKey, Position};
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_curated::layout::{OP, ORDER_KEY, SOURCE_TS};
use weir_envelope::Encoder;
use weir_envelope::values::value_at;
use weir_lake::{DataFile, Lake};
use weir_project::{Connector, Model, ModelKind, Project, Table};
use weir_staging::truncation::order_keys;

use crate::error::OperateError;
use crate::lineage::{Field, Lineage, Place};
use crate::reconcile::zones::unreadable;
use find::{Located, Zones};
use key::Key;
pub use passport::{Change, FilesRead, Letter, PERSONAL, Passport, PointedBy, Pointer, Spot, Verdict, Version};
pub use text::text;

/// What is traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A business key: values in key order, or `column=value,..`.
    Key(Vec<String>),
    /// A dimension's version.
    Surrogate(i64),
}

/// Follows a key of a dimension or a fact, `facts` keys of facts shown per version.
pub async fn trace(
    project: &Project,
    lake: &Lake,
    table: &str,
    wanted: &Wanted,
    facts: usize,
) -> Result<Passport, Diagnosed> {
    let name = table.strip_prefix("analytics.").or(table.strip_prefix("curated.")).unwrap_or(table);
    let model = project.models.iter().find(|model| model.name.as_str() == name && is_traced(model));
    let Some(model) = model else {
        let known = project.models.iter().filter(|model| is_traced(model)).map(|model| model.name.to_string());
        let known = known.collect::<Vec<_>>().join(", ");
        return Err(OperateError::Untraced { asked: table.to_owned(), known }.into());
    };
    let lineage = Lineage::of(project).await?;
    let zones = Zones { lake, read: BTreeMap::new() };
    let mut trace = Trace { project, lineage, zones, facts, there: HashMap::new() };
    let texts = match wanted {
        Wanted::Key(given) => Key::texts(model, given)?,
        Wanted::Surrogate(surrogate) => trace.key_of(model, *surrogate).await?,
    };
    let key = Key::of(project, &trace.lineage, model, &texts)?;
    let mut passport = match model.kind {
        ModelKind::Fact { .. } => trace.fact(&key).await?,
        _ => trace.member(&key, true).await?,
    };
    passport.dead_letters = trace.dead_letters(&key).await?;
    let unknown = passport.changes.is_empty() && passport.versions.is_empty() && passport.dead_letters.is_empty();
    if unknown {
        return Err(OperateError::UnknownKey { table: model.name.to_string() }.into());
    }
    passport.read = trace.zones.read;
    Ok(passport)
}

fn is_traced(model: &Model) -> bool {
    matches!(model.kind, ModelKind::Dimension { .. } | ModelKind::Fact { .. })
}

struct Trace<'a> {
    project: &'a Project,
    lineage: Lineage<'a>,
    zones: Zones<'a>,
    /// Keys of facts shown per version.
    facts: usize,
    /// Referenced values that were looked up: table, column, value.
    there: HashMap<(String, String, Value), bool>,
}

/// The changes of a key, and the model's history of them.
struct Changes {
    all: Vec<Change>,
    history: Option<RecordBatch>,
    /// Of each row of the history, the number of its change.
    numbers: Vec<Option<usize>>,
}

impl Changes {
    fn number(&self, row: u32) -> Option<usize> {
        self.numbers.get(row as usize).copied().flatten()
    }

    /// Notes what came of a change.
    fn effect(&mut self, number: Option<usize>, effect: String) {
        if let Some(change) = number.and_then(|number| self.all.get_mut(number - 1)) {
            change.effects.push(effect);
        }
    }
}

impl Trace<'_> {
    /// Every change of the key, in the source's order, wherever it lies.
    async fn changes(&mut self, key: &Key<'_>) -> Result<Changes, Diagnosed> {
        let found = weir_curated::trace::history(self.project, self.zones.lake, key.model, &key.arrays()?).await?;
        if let Some(found) = &found {
            self.zones.note(&found.table, found.files);
        }
        let after = weir_curated::trace::staged_up_to(key.model, found.as_ref().map(|found| &found.table));
        let history = found.map(|found| found.rows);
        let mut known = history.as_ref().map(places).unwrap_or_default();
        let staging = self.zones.lake.table(Zone::Staging, key.table.name.as_str()).await?;
        let staged = match &staging {
            Some(staging) => self.zones.staged(staging, key, &known, after).await?,
            None => Vec::new(),
        };
        let quarantined = self.zones.quarantined(key).await?;
        known.extend(staged.iter().chain(&quarantined).map(|row| (row.bytes(ORDER_KEY), row.int(SOURCE_TS))));
        known.sort();
        known.dedup();
        let mut landed = self.zones.landed(staging.as_ref(), key, &known).await?;
        let truncations: HashSet<OrderKey> = staging.iter().flat_map(order_keys).collect();

        let mut sorted: Vec<((Vec<u8>, u8), Change)> = Vec::new();
        for (rows, state) in [(staged, "staged"), (quarantined, "quarantined")] {
            for row in rows {
                let mut change = change(key.table, &row, OP, state);
                change.rules = self.verdicts(key.table, &row, state == "quarantined").await?;
                let same = |other: &Located| is_record(other, &change);
                change.landing = landed.iter().position(same).map(|at| landed.remove(at).spot);
                if truncations.contains(&OrderKey::from_stored(&row.bytes(ORDER_KEY))) {
                    change.effects.push("the table was truncated".to_owned());
                }
                let spot = Some(row.spot.clone());
                if state == "staged" {
                    change.staging = spot
                } else {
                    change.quarantine = spot
                }
                sorted.push((place(&row, &change), change));
            }
        }
        for row in landed {
            let mut change = change(key.table, &row, "op", "landed");
            let place = place(&row, &change);
            change.landing = Some(row.spot.clone());
            match sorted.iter_mut().find(|(known, _)| *known == place) {
                // Staging found the repeat; the first delivery counts.
                Some((_, first)) => {
                    let (partition, offset) = (change.partition, change.offset);
                    first.effects.push(format!("delivered again: partition {partition}, offset {offset}"));
                }
                None => {
                    change.effects.push("not staged yet".to_owned());
                    sorted.push((place, change));
                }
            }
        }
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let numbers = history.as_ref().map(|history| numbers(history, &sorted)).unwrap_or_default();
        let mut all: Vec<Change> = sorted.into_iter().map(|(_, change)| change).collect();
        for (at, change) in all.iter_mut().enumerate() {
            change.number = at + 1;
            if change.state == "staged" && !numbers.contains(&Some(at + 1)) {
                change.effects.push("not built yet".to_owned());
            }
        }
        let mut changes = Changes { all, history, numbers };
        changes.left_out();
        Ok(changes)
    }

    /// A value of a model's row as it may be shown.
    fn shown(&self, model: &Model, column: &str, value: &Value) -> String {
        let field = Field::new(Place::Curated, model.name.as_str(), column);
        match value {
            _ if self.lineage.is_personal(&field) => PERSONAL.to_owned(),
            Value::Null => "NULL".to_owned(),
            value => value.to_string(),
        }
    }

    /// Dead letters whose record key is this key.
    async fn dead_letters(&mut self, key: &Key<'_>) -> Result<Vec<Letter>, Diagnosed> {
        let Some(table) = self.zones.lake.table(Zone::Deadletter, key.table.name.as_str()).await? else {
            return Ok(vec![]);
        };
        let mut row: Row = vec![Value::Null; key.table.columns.len()];
        for (at, value) in key.table.key_indexes().into_iter().zip(key.source_values()) {
            row[at] = value.clone();
        }
        let mut encoded = Vec::new();
        // A key that the contract's types cannot encode is in no record.
        if Encoder::new(key.table, 0, 0).key(&row, &mut encoded).is_err() {
            return Ok(vec![]);
        }
        let files: Vec<DataFile> = table.files().cloned().collect();
        let columns = ["topic", "partition", "offset", "key", "reason"];
        let found = self.zones.locate(&table, &files, Some(&columns), |batch| {
            // The schema id in front is the registry's; the rest is the key.
            let same = |row: &usize| match value_at(batch.column(3).as_ref(), *row) {
                Some(Value::Bytes(bytes)) => {
                    let body = weir_envelope::frame(&bytes).and_then(|(_, body)| body.unpack(encoded.len()));
                    body.is_ok_and(|body| *body == encoded[5..])
                }
                _ => false,
            };
            (0..batch.num_rows()).filter(same).collect()
        });
        let letter = |row: Located| Letter {
            topic: row.value("topic").to_string(),
            partition: row.int("partition"),
            offset: row.int("offset"),
            reason: row.value("reason").to_string(),
            deadletter: row.spot,
        };
        Ok(found.await?.into_iter().map(letter).collect())
    }
}

impl Changes {
    /// Says of which changes the model's WHERE made a delete.
    fn left_out(&mut self) {
        let Some(ops) = self.history.as_ref().and_then(|history| history.column_by_name(OP).cloned()) else { return };
        for (row, number) in self.numbers.clone().into_iter().enumerate() {
            let deleted = value_at(ops.as_ref(), row) == Some(Value::Text(Op::Delete.letter().to_owned()));
            let own = number.and_then(|number| self.all.get(number - 1)).map(|change| change.op.clone());
            if deleted && own.is_some_and(|op| op != Op::Delete.letter()) {
                self.effect(number, "left out by the model's WHERE: a delete for this table".to_owned());
            }
        }
    }
}

/// Order key and commit time of a history's rows.
fn places(history: &RecordBatch) -> Vec<(Vec<u8>, i64)> {
    let keys = history.column_by_name(ORDER_KEY).and_then(|keys| keys.as_binary_opt::<i32>());
    let times = history.column_by_name(SOURCE_TS).and_then(|at| at.as_primitive_opt::<TimestampMicrosecondType>());
    let (Some(keys), Some(times)) = (keys, times) else { return Vec::new() };
    (0..history.num_rows()).map(|row| (keys.value(row).to_vec(), times.value(row))).collect()
}

/// Of each history row, the number of its change: by order key, and by operation where two share one.
fn numbers(history: &RecordBatch, sorted: &[((Vec<u8>, u8), Change)]) -> Vec<Option<usize>> {
    let ops = history.column_by_name(OP);
    let number = |(row, (order_key, _)): (usize, (Vec<u8>, i64))| {
        let op = ops.and_then(|ops| value_at(ops.as_ref(), row)).map(|op| op.to_string());
        let own = |(place, _): &&((Vec<u8>, u8), Change)| place.0 == order_key;
        let same = sorted.iter().position(|one| own(&one) && Some(&one.1.op) == op.as_ref());
        same.or_else(|| sorted.iter().position(|one| own(&one))).map(|at| at + 1)
    };
    places(history).into_iter().enumerate().map(number).collect()
}

fn place(row: &Located, change: &Change) -> (Vec<u8>, u8) {
    (row.bytes(ORDER_KEY), Op::from_letter(&change.op).map_or(u8::MAX, Op::rank))
}

fn is_record(row: &Located, change: &Change) -> bool {
    let same = row.int("_partition") == change.partition && row.int("_offset") == change.offset;
    same && row.value("_topic").to_string() == change.topic
}

fn change(table: &Table, row: &Located, op: &str, state: &'static str) -> Change {
    let order_key = OrderKey::from_stored(&row.bytes(ORDER_KEY));
    let Connector { database, schema, .. } = &table.connector;
    Change {
        source: format!("{database}.{schema}.{}", table.name),
        op: row.value(op).to_string(),
        position: parts(&order_key),
        order_key: order_key.to_hex(),
        commit_time: row.value(SOURCE_TS).to_string(),
        topic: row.value("_topic").to_string(),
        partition: row.int("_partition"),
        offset: row.int("_offset"),
        schema_id: match (row.value("_schema_id"), row.value("_schema_version_id")) {
            (Value::Int(number), _) => number.into(),
            (_, Value::Text(uuid)) => uuid.into(),
            _ => serde_json::Value::Null,
        },
        state,
        ..Change::default()
    }
}

/// What an order key says.
fn parts(order_key: &OrderKey) -> Vec<(&'static str, String)> {
    match order_key.position() {
        Some(Position::SqlServer(at)) => {
            let change = at.change_lsn.map_or_else(|| "none: a snapshot row".to_owned(), |lsn| lsn.to_string());
            let (commit, event) = (at.commit_lsn.to_string(), at.serial.to_string());
            vec![("commit LSN", commit), ("change LSN", change), ("event", event)]
        }
        Some(Position::Postgres(at)) => {
            vec![("last commit LSN", at.last_commit_lsn.to_string()), ("LSN", at.lsn.to_string())]
        }
        None => Vec::new(),
    }
}

fn wrong(table: &str) -> impl Fn(String) -> OperateError + '_ {
    move |message| unreadable("curated", table, message)
}
