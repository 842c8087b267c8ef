//! Dead letters of the whole pipeline: how many of each kind, one of them whole, and again through the stream.

use std::collections::BTreeMap;

use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_lake::Lake;
pub use weir_landing::handled::Mark;
use weir_landing::letters::Letters;
pub use weir_landing::letters::{Chosen, Letter, LetterId, Whole};
pub use weir_landing::replay::Replayed;
use weir_landing::replay::{self, TopicOutlet};
use weir_project::Table;
use weir_stream::Producer;
use weir_warehouse::mirror::decode::{Decode, RegistryDecode};

use crate::run::blocking;
use crate::site::Site;

/// What is open and what is not: `open`, `replayed`, `discarded`.
pub fn state(letter: &Letter) -> &'static str {
    letter.mark.as_ref().map_or("open", Mark::word)
}

/// The letters of one table, reason and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The table.
    pub table: TableName,
    /// The topic.
    pub topic: String,
    /// Why they could not be decoded.
    pub reason: String,
    /// What was done about them.
    pub state: &'static str,
    /// How many.
    pub letters: u64,
    /// When landing met the first, microseconds since 1970 UTC.
    pub first: i64,
    /// And the last.
    pub last: i64,
    /// First and last offset of each partition.
    pub offsets: BTreeMap<i32, (i64, i64)>,
}

/// Counts the letters of these tables, in their order, by reason and state.
pub async fn kinds(tables: &[Table], lake: &Lake) -> Result<Vec<Kind>, Diagnosed> {
    let mut all = Vec::new();
    for table in tables {
        let letters = Letters::open(lake, &table.name).await?;
        let mut kinds: BTreeMap<(String, &'static str), Kind> = BTreeMap::new();
        letters
            .each(|letter| {
                let (state, at, offset) = (state(&letter), letter.ingested_at, letter.id.offset);
                let kind = kinds.entry((letter.reason.clone(), state)).or_insert_with(|| Kind {
                    table: table.name.clone(),
                    topic: letter.topic,
                    reason: letter.reason,
                    state,
                    letters: 0,
                    first: at,
                    last: at,
                    offsets: BTreeMap::new(),
                });
                kind.letters += 1;
                (kind.first, kind.last) = (kind.first.min(at), kind.last.max(at));
                let range = kind.offsets.entry(letter.id.partition).or_insert((offset, offset));
                *range = (range.0.min(offset), range.1.max(offset));
            })
            .await?;
        all.extend(kinds.into_values());
    }
    Ok(all)
}

/// Every letter of these tables, without content.
pub async fn each(tables: &[Table], lake: &Lake) -> Result<Vec<(TableName, Letter)>, Diagnosed> {
    let mut all = Vec::new();
    for table in tables {
        let letters = Letters::open(lake, &table.name).await?;
        letters.each(|letter| all.push((table.name.clone(), letter))).await?;
    }
    Ok(all)
}

/// A value as JSON where its schema decodes it by now, or why the registry could not be asked.
pub type Decoded = Result<Option<String>, Box<dyn std::error::Error + Send + Sync>>;

/// One letter with what its record holds. It can be shown while the registry is down, too.
pub async fn show(site: &Site, table: &TableName, id: &LetterId) -> Result<(Whole, Decoded), Diagnosed> {
    let whole = Letters::open(&site.lake, table).await?.whole(id).await?;
    let (decode, value) = (RegistryDecode::new(site.services.registry.clone()), whole.value.clone());
    let json = blocking(move || Ok(value.map_or(Ok(None), |value| decode.json(&value)))).await?;
    Ok((whole, json))
}

/// Sends the chosen letters that decode by now to their topic again.
pub async fn replay(site: &Site, table: &Table, chosen: &Chosen, by: &str) -> Result<Replayed, Diagnosed> {
    let producer = Producer::new(&site.services.connection)?;
    let outlet = TopicOutlet { producer, topic: table.topic.clone() };
    let ends = (site.services.registry.clone(), outlet);
    Ok(replay::replay(table, &site.lake, chosen, by, ends).await?)
}

/// Marks the chosen letters as left as they are; how many.
pub async fn discard(
    lake: &Lake,
    table: &TableName,
    chosen: &Chosen,
    by: &str,
    because: &str,
) -> Result<u64, Diagnosed> {
    Ok(replay::discard(table, lake, chosen, by, because).await?)
}
