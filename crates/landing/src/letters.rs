//! What an operator sees of the dead letters: what they are called, which are open, and one of them whole.
//!
//! Keys, values and headers may hold personal data: only [`whole`] reads them, and only of one letter.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use futures::StreamExt;
use weir_core::name::TableName;
use weir_core::schema_id::SchemaId;
use weir_core::zone::Zone;
use weir_envelope::frame;
use weir_lake::{Batches, DataFile, Lake, Table};
use weir_stream::deadletter::{Headers, headers_of_json};

use crate::error::LandingError;
use crate::handled::{Handled, Mark};
use crate::start::reader;

/// The name of a letter: where its record lies in the stream. Written `<topic id>/<partition>/<offset>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// The topic's id.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic_id, self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (rest, offset) = text.rsplit_once('/')?;
            let (topic_id, partition) = rest.rsplit_once('/')?;
            let id = Self {
                topic_id: topic_id.to_owned(),
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            };
            (!topic_id.is_empty()).then_some(id)
        };
        parse().ok_or("write it as TOPIC_ID/PARTITION/OFFSET, as `weir dlq ls --each` does")
    }
}

/// A letter without what its record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name.
    pub id: LetterId,
    /// The topic.
    pub topic: String,
    /// Why it could not be decoded: one of a few words.
    pub reason: String,
    /// The record's time, microseconds since 1970 UTC.
    pub timestamp: Option<i64>,
    /// When landing met it, microseconds since 1970 UTC.
    pub ingested_at: i64,
    /// The number of the schema that it names, where it is a number.
    pub schema_id: Option<i64>,
    /// What was done about it; none while it is open.
    pub mark: Option<Mark>,
}

/// A letter with what its record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The letter.
    pub letter: Letter,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in their order.
    pub headers: Headers,
}

impl Whole {
    /// The schema that its value names.
    pub fn schema_id(&self) -> Option<SchemaId> {
        self.value.as_deref().and_then(|value| frame(value).ok()).map(|(id, _)| id)
    }
}

/// Which letters a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// These, unless they were sent again already.
    Ids(Vec<LetterId>),
    /// The open ones of this reason.
    Reason(String),
    /// All open ones.
    Open,
}

impl Chosen {
    pub(crate) fn has(&self, letter: &Letter) -> bool {
        match (self, &letter.mark) {
            (_, Some(Mark::Replayed { .. })) => false,
            (Self::Ids(ids), _) => ids.contains(&letter.id),
            (Self::Reason(reason), None) => letter.reason == *reason,
            (Self::Open, None) => true,
            (_, Some(Mark::Discarded { .. })) => false,
        }
    }
}

/// The dead letters of one table, and what was done about them.
pub struct Letters {
    name: TableName,
    /// None while there was no letter.
    table: Option<Table>,
    /// The landing table's positions. Letters ahead of them are not decided on: landing takes them back when it starts.
    landed: BTreeMap<String, i64>,
    handled: Handled,
}

const PLACE: [&str; 8] =
    ["topic", "topic_id", "partition", "offset", "timestamp", "reason", "schema_id", "_ingested_at"];
const CONTENT: [&str; 3] = ["key", "value", "headers"];

impl Letters {
    /// Opens a table's dead letters.
    pub async fn open(lake: &Lake, name: &TableName) -> Result<Self, LandingError> {
        let failed = |source| LandingError::Lake { table: name.clone(), source };
        let table = lake.table(Zone::Deadletter, name.as_str()).await.map_err(failed)?;
        let (mut landed, mut handled) = (BTreeMap::new(), Handled::default());
        if table.is_some() {
            let main = lake.table(Zone::Landing, name.as_str()).await.map_err(failed)?;
            landed = main.map(|main| main.positions().clone()).unwrap_or_default();
            handled = Handled::read(lake).await.map_err(failed)?.remove(name.as_str()).unwrap_or_default();
        }
        Ok(Self { name: name.clone(), table, landed, handled })
    }

    /// How many letters were sent again.
    pub fn replayed(&self) -> u64 {
        self.handled.replayed()
    }

    /// Hands over every letter, without content.
    pub async fn each(&self, mut visit: impl FnMut(Letter)) -> Result<(), LandingError> {
        self.batches(self.read(&PLACE)?, |batch| {
            self.in_batch(batch).for_each(|(_, letter)| visit(letter));
        })
        .await
    }

    /// One letter with its content.
    pub async fn whole(&self, id: &LetterId) -> Result<Whole, LandingError> {
        let mut found = None;
        self.batches(self.content()?, |batch| {
            if let Some((row, letter)) = self.in_batch(batch).find(|(_, letter)| letter.id == *id) {
                let content = |name: &str| bytes(batch, name, row).map(<[u8]>::to_vec);
                let (key, value) = (content("key"), content("value"));
                found = Some(Whole { letter, key, value, headers: headers(batch, row) });
            }
        })
        .await?;
        found.ok_or_else(|| LandingError::UnknownLetter { table: self.name.clone(), id: id.to_string() })
    }

    /// Refuses ids that name no letter.
    pub async fn refuse_unknown(&self, chosen: &Chosen) -> Result<(), LandingError> {
        let Chosen::Ids(ids) = chosen else { return Ok(()) };
        let mut unknown: Vec<&LetterId> = ids.iter().collect();
        self.each(|letter| unknown.retain(|id| **id != letter.id)).await?;
        match unknown.first() {
            Some(id) => Err(LandingError::UnknownLetter { table: self.name.clone(), id: id.to_string() }),
            None => Ok(()),
        }
    }

    /// All rows with their content, batch by batch.
    pub(crate) fn content(&self) -> Result<Batches, LandingError> {
        self.read(&[&PLACE[..], &CONTENT[..]].concat())
    }

    fn read(&self, columns: &[&str]) -> Result<Batches, LandingError> {
        let Some(table) = &self.table else { return Ok(futures::stream::empty().boxed()) };
        let files: Vec<DataFile> = table.files().cloned().collect();
        table.read(&files, Some(columns)).map_err(|source| LandingError::Lake { table: self.name.clone(), source })
    }

    async fn batches(&self, mut reading: Batches, mut visit: impl FnMut(&RecordBatch)) -> Result<(), LandingError> {
        while let Some(batch) = reading.next().await {
            visit(&batch.map_err(|source| LandingError::Lake { table: self.name.clone(), source })?);
        }
        Ok(())
    }

    /// The letters in a batch that begins with the columns of [`PLACE`], with their rows.
    pub(crate) fn in_batch<'a>(&'a self, batch: &'a RecordBatch) -> impl Iterator<Item = (usize, Letter)> + 'a {
        let decided = |letter: &Letter| {
            let last = self.landed.get(&reader(&letter.id.topic_id, letter.id.partition));
            last.is_some_and(|last| letter.id.offset <= *last)
        };
        let letters = (0..batch.num_rows()).map(|row| (row, self.letter(batch, row)));
        letters.filter(move |(_, letter)| decided(letter))
    }

    fn letter(&self, batch: &RecordBatch, row: usize) -> Letter {
        let text = |at: usize| batch.column(at).as_string::<i32>().value(row).to_owned();
        let time = |at: usize| {
            let column = batch.column(at).as_primitive::<TimestampMicrosecondType>();
            column.is_valid(row).then(|| column.value(row))
        };
        let partition = batch.column(2).as_primitive::<Int32Type>().value(row);
        let offset = batch.column(3).as_primitive::<Int64Type>().value(row);
        let ids = batch.column(6).as_primitive::<Int64Type>();
        let id = LetterId { topic_id: text(1), partition, offset };
        Letter {
            topic: text(0),
            reason: text(5),
            timestamp: time(4),
            ingested_at: time(7).unwrap_or_default(),
            schema_id: ids.is_valid(row).then(|| ids.value(row)),
            mark: self.handled.mark(&id).cloned(),
            id,
        }
    }
}

/// How many letters of each of these tables nobody has handled.
pub async fn open_counts(
    lake: &Lake,
    tables: &[weir_project::Table],
) -> Result<BTreeMap<TableName, u64>, LandingError> {
    let mut counts = BTreeMap::new();
    let mut handled: Option<HashMap<String, Handled>> = None;
    for table in tables {
        let failed = |source| LandingError::Lake { table: table.name.clone(), source };
        let Some(letters) = lake.table(Zone::Deadletter, table.name.as_str()).await.map_err(failed)? else { continue };
        if handled.is_none() {
            handled = Some(Handled::read(lake).await.map_err(failed)?);
        }
        let marked = handled.as_ref().and_then(|all| all.get(table.name.as_str())).map_or(0, Handled::marked);
        counts.insert(table.name.clone(), letters.rows().saturating_sub(marked));
    }
    Ok(counts)
}

/// A cell of key or value.
pub(crate) fn bytes<'a>(batch: &'a RecordBatch, name: &str, row: usize) -> Option<&'a [u8]> {
    let column = batch.column_by_name(name).map(|column| column.as_binary::<i32>());
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

/// The headers of a row.
pub(crate) fn headers(batch: &RecordBatch, row: usize) -> Headers {
    let text = batch.column_by_name("headers").map_or("", |column| column.as_string::<i32>().value(row));
    headers_of_json(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_named_by_topic_id_partition_and_offset() {
        let id: LetterId = "Ab-c_9/3/42".parse().expect("an id");
        assert_eq!(id, LetterId { topic_id: "Ab-c_9".into(), partition: 3, offset: 42 });
        assert_eq!(id.to_string(), "Ab-c_9/3/42");
        for wrong in ["", "3/42", "/3/42", "a/b/1", "a/1/b"] {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong}");
        }
    }
}
