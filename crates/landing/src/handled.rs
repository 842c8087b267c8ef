//! What was done about dead letters: `deadletter/_handled`, one row per letter and mark. Letters themselves are
//! never rewritten, and landing never writes here, so that a mark disturbs no worker.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use weir_core::failpoint;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::{Commit, DataFile, Lake, LakeError, NewFile, Partition, Partitioning, timestamp};

use crate::error::LandingError;
use crate::letters::LetterId;

/// Name of the table in [`Zone::Deadletter`]; no source table's name begins so.
const TABLE: &str = "_handled";

/// Who did something about a letter, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub by: String,
    /// When, microseconds since 1970 UTC.
    pub at: i64,
}

/// What was done about a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Its record was sent again.
    Replayed {
        /// By whom.
        actor: Actor,
    },
    /// It is to be left as it is.
    Discarded {
        /// By whom.
        actor: Actor,
        /// Why.
        because: String,
    },
}

impl Mark {
    /// The word in listings and in the table.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Replayed { .. } => "replayed",
            Self::Discarded { .. } => "discarded",
        }
    }

    /// Who and when.
    pub const fn actor(&self) -> &Actor {
        match self {
            Self::Replayed { actor } | Self::Discarded { actor, .. } => actor,
        }
    }

    /// Why it was discarded.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Replayed { .. } => None,
            Self::Discarded { because, .. } => Some(because),
        }
    }
}

/// The marks on one table's letters.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    marks: HashMap<LetterId, Mark>,
}

impl Handled {
    /// Reads the marks on all letters, by table.
    pub(crate) async fn read(lake: &Lake) -> Result<HashMap<String, Self>, LakeError> {
        let mut all: HashMap<String, Self> = HashMap::new();
        let Some(table) = lake.table(Zone::Deadletter, TABLE).await? else { return Ok(all) };
        let files: Vec<DataFile> = table.files().cloned().collect();
        for batch in table.read_all(&files, None).await? {
            let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row);
            for row in 0..batch.num_rows() {
                let handled = all.entry(text(0, row).to_owned()).or_default();
                let id = LetterId {
                    topic_id: text(1, row).to_owned(),
                    partition: batch.column(2).as_primitive::<Int32Type>().value(row),
                    offset: batch.column(3).as_primitive::<Int64Type>().value(row),
                };
                let at = batch.column(7).as_primitive::<TimestampMicrosecondType>().value(row);
                let actor = Actor { by: text(6, row).to_owned(), at };
                if text(4, row) == "replayed" {
                    // Stays, whatever else is said of the letter: its record is in the stream again.
                    handled.marks.insert(id, Mark::Replayed { actor });
                } else {
                    let mark = Mark::Discarded { actor, because: text(5, row).to_owned() };
                    handled.marks.entry(id).or_insert(mark);
                }
            }
        }
        Ok(all)
    }

    pub(crate) fn mark(&self, id: &LetterId) -> Option<&Mark> {
        self.marks.get(id)
    }

    pub(crate) fn marked(&self) -> u64 {
        self.marks.len() as u64
    }

    pub(crate) fn replayed(&self) -> u64 {
        self.marks.values().filter(|mark| matches!(mark, Mark::Replayed { .. })).count() as u64
    }
}

/// Puts one mark on these letters, in one commit.
pub(crate) async fn mark(lake: &Lake, name: &TableName, ids: &[LetterId], mark: &Mark) -> Result<(), LandingError> {
    let failed = |source| LandingError::Lake { table: name.clone(), source };
    if ids.is_empty() {
        return Ok(());
    }
    let made = lake.create_table(Zone::Deadletter, TABLE, &schema(), Partitioning::None).await;
    let mut table = made.map_err(failed)?;
    let batch = rows(name, ids, mark).map_err(|source| LandingError::Rows { table: name.clone(), source })?;
    let file = NewFile { partition: Partition::None, batches: vec![batch], tags: BTreeMap::new() };
    let add = vec![table.write_file(file).await.map_err(failed)?];
    table.commit(Commit { add, ..Commit::default() }).await.map_err(failed)?;
    failpoint::hit("dlq.marked");
    Ok(())
}

fn schema() -> Schema {
    let column = |name: &str, kind| Field::new(name, kind, true);
    Schema::new(vec![
        column("table", DataType::Utf8),
        column("topic_id", DataType::Utf8),
        column("partition", DataType::Int32),
        column("offset", DataType::Int64),
        column("mark", DataType::Utf8),
        column("because", DataType::Utf8),
        column("by", DataType::Utf8),
        column("at", timestamp()),
    ])
}

fn rows(name: &TableName, ids: &[LetterId], mark: &Mark) -> Result<RecordBatch, ArrowError> {
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(ids.iter().map(|_| text))) };
    let at = TimestampMicrosecondArray::from_value(mark.actor().at, ids.len()).with_timezone("UTC");
    let because: StringArray = ids.iter().map(|_| mark.because()).collect();
    let columns: Vec<ArrayRef> = vec![
        same(name.as_str()),
        Arc::new(StringArray::from_iter_values(ids.iter().map(|id| &id.topic_id))),
        Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.partition))),
        Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| id.offset))),
        same(mark.word()),
        Arc::new(because),
        same(&mark.actor().by),
        Arc::new(at),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns)
}
