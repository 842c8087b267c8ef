//! `weir dlq`

use std::process::ExitCode;

use serde_json::{Value, json};
use weir_core::name::TableName;
use weir_operate::letters::{self, Chosen, Letter, Mark, Whole, state};
use weir_operate::{Site, site as sites};
use weir_project::{Project, Table};

use super::{known, say_if_table, time};
use crate::args::{Dlq, Format, Global, Letters};
use crate::failure::Failure;
use crate::output::{Listing, say};

pub async fn run(global: &Global, args: Dlq) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    match args {
        Dlq::Ls { table, each } => {
            let tables = match &table {
                Some(name) => vec![known(&project, name)?],
                None => project.tables.clone(),
            };
            let lake = sites::open_lake(&project).await?;
            let listing = if each {
                every(letters::each(&tables, &lake).await?)
            } else {
                kinds(&letters::kinds(&tables, &lake).await?)
            };
            listing.print(global.output)?;
        }
        Dlq::Show { table, id } => {
            let table = known(&project, &table)?;
            let site = Site::open(project, &global.dir).await?;
            let shown = letters::show(&site, &table.name, &id).await;
            let closed = site.close().await;
            let (whole, decoded) = shown?;
            closed?;
            let decoded = decoded.unwrap_or_else(|error| {
                say(&format!("the value is not decoded: {error}"));
                None
            });
            show(&table, &whole, decoded).print(global)?;
        }
        Dlq::Replay { letters: which, by } => {
            let (table, chosen) = chosen(&project, which)?;
            let site = Site::open(project, &global.dir).await?;
            let replayed = letters::replay(&site, &table, &chosen, &by).await;
            let closed = site.close().await;
            let replayed = replayed?;
            closed?;
            let mut listing = Listing::new(["table", "reason", "letters", "result"]);
            for (reason, count) in &replayed.sent {
                listing.row([json!(table.name), json!(reason), json!(count), json!("sent again")]);
            }
            for (reason, count) in &replayed.still {
                listing.row([json!(table.name), json!(reason), json!(count), json!("still does not decode")]);
            }
            listing.print(global.output)?;
            if !replayed.sent.is_empty() {
                say_if_table(global, "`weir stream` lands what was sent again");
            }
        }
        Dlq::Discard { letters: which, because, by } => {
            let (table, chosen) = chosen(&project, which)?;
            let lake = sites::open_lake(&project).await?;
            let count = letters::discard(&lake, &table.name, &chosen, &by, &because).await?;
            let mut listing = Listing::new(["table", "discarded"]);
            listing.row([json!(table.name), json!(count)]);
            listing.print(global.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(project: &Project, which: Letters) -> Result<(Table, Chosen), Failure> {
    let table = known(project, &which.table)?;
    let chosen = match which.which.reason {
        Some(reason) => Chosen::Reason(reason),
        None if which.which.open => Chosen::Open,
        None => Chosen::Ids(which.which.ids),
    };
    Ok((table, chosen))
}

/// Per table, reason and state.
fn kinds(kinds: &[letters::Kind]) -> Listing {
    let mut listing = Listing::new(["table", "topic", "reason", "state", "letters", "first", "last", "offsets"]);
    for kind in kinds {
        let range = |(partition, (first, last)): (&i32, &(i64, i64))| format!("{partition}: {first}-{last}");
        listing.row([
            json!(kind.table),
            json!(kind.topic),
            json!(kind.reason),
            json!(kind.state),
            json!(kind.letters),
            time(kind.first),
            time(kind.last),
            json!(kind.offsets.iter().map(range).collect::<Vec<_>>().join(", ")),
        ]);
    }
    listing
}

/// Per letter.
fn every(letters: Vec<(TableName, Letter)>) -> Listing {
    let mut listing =
        Listing::new(["table", "id", "reason", "state", "record time", "landed", "schema id", "by", "at", "because"])
            .of_data();
    for (table, letter) in letters {
        let mark = letter.mark.as_ref();
        listing.row([
            json!(table),
            json!(letter.id.to_string()),
            json!(letter.reason),
            json!(state(&letter)),
            letter.timestamp.map_or(Value::Null, time),
            time(letter.ingested_at),
            json!(letter.schema_id),
            json!(mark.map(|mark| &mark.actor().by)),
            mark.map_or(Value::Null, |mark| time(mark.actor().at)),
            json!(mark.and_then(Mark::because)),
        ]);
    }
    listing
}

/// One letter: a line per field for people, one row for programs.
struct Shown(Vec<(&'static str, Value)>);

impl Shown {
    fn print(self, global: &Global) -> anyhow::Result<()> {
        let mut listing = Listing::new(["field", "value"]).of_data();
        if global.output == Format::Table {
            for (field, value) in self.0.into_iter().filter(|(_, value)| !value.is_null()) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                listing.row([json!(field), json!(text)]);
            }
        } else {
            listing = Listing::new(self.0.iter().map(|(field, _)| *field)).of_data();
            listing.row(self.0.into_iter().map(|(_, value)| value));
        }
        listing.print(global.output)
    }
}

fn show(table: &Table, whole: &Whole, decoded: Option<String>) -> Shown {
    let letter = &whole.letter;
    let mark = letter.mark.as_ref();
    let hex = |bytes: &Option<Vec<u8>>| json!(bytes.as_ref().map(hex::encode));
    // Control characters could be sequences that a terminal obeys.
    let text = |bytes: &Option<Vec<u8>>| {
        let text = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        json!(text.filter(|text| !text.chars().any(char::is_control)))
    };
    let header =
        |(name, value): &(String, Option<Vec<u8>>)| json!({ "name": name, "hex": hex(value), "text": text(value) });
    let decoded = decoded.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    Shown(vec![
        ("table", json!(table.name)),
        ("id", json!(letter.id.to_string())),
        ("topic", json!(letter.topic)),
        ("partition", json!(letter.id.partition)),
        ("offset", json!(letter.id.offset)),
        ("record time", letter.timestamp.map_or(Value::Null, time)),
        ("landed", time(letter.ingested_at)),
        ("reason", json!(letter.reason)),
        ("schema id", json!(whole.schema_id().map(|id| id.to_string()))),
        ("state", json!(state(letter))),
        ("by", json!(mark.map(|mark| &mark.actor().by))),
        ("at", mark.map_or(Value::Null, |mark| time(mark.actor().at))),
        ("because", json!(mark.and_then(Mark::because))),
        ("headers", json!(whole.headers.iter().map(header).collect::<Vec<_>>())),
        ("key hex", hex(&whole.key)),
        ("key text", text(&whole.key)),
        ("value hex", hex(&whole.value)),
        ("value text", text(&whole.value)),
        ("value decoded", decoded),
    ])
}
