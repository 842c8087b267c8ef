//! `weir sql`

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};
use weir_operate::{run, site, warehouse};
use weir_warehouse::{Answer, Column, Kind, Outcome};

use crate::args::{Format, Global, Sql};
use crate::failure::Failure;
use crate::output::{Listing, Rows, say};

pub async fn run(global: &Global, args: Sql) -> Result<ExitCode, Failure> {
    let text = match args.text {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
    };
    if let Some(build) = args.build {
        return at_build(global, build, &text).await;
    }
    let dir = site::make_folder(&global.dir).map_err(Failure::of)?;
    let project = super::project(global)?;
    let format = global.output;
    let printed = run::blocking(move || {
        let mut printer = Printer { format, columns: Vec::new(), rows: None, failed: None };
        warehouse::reach(&project, &dir)?.stream(&text, &mut |answer| printer.take(answer))?;
        Ok(printer.failed)
    })
    .await?;
    printed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

/// Prints what statements give, as it comes.
struct Printer {
    format: Format,
    columns: Vec<Column>,
    rows: Option<Rows>,
    failed: Option<anyhow::Error>,
}

impl Printer {
    fn take(&mut self, answer: Answer<'_>) {
        match answer {
            Answer::Columns(columns) => {
                self.columns = columns.to_vec();
                self.rows = Some(Rows::new(columns.iter().map(|column| column.name.clone()), self.format));
            }
            Answer::Row(row) => {
                if let Some(rows) = &mut self.rows {
                    rows.row(cells(row, &self.columns));
                }
            }
            Answer::Done(tag) => match self.rows.take() {
                Some(rows) => self.failed = self.failed.take().or(rows.end().err()),
                None => {
                    let rows = tag.rows.map_or_else(String::new, |rows| format!(" {rows}"));
                    say(&format!("{}{rows}", tag.command));
                }
            },
        }
    }
}

/// A row's cells; numbers stay numbers where JSON can hold them exactly.
fn cells(row: Vec<Option<String>>, columns: &[Column]) -> Vec<Value> {
    let cell = |(cell, column): (Option<String>, &Column)| match (cell, column.kind) {
        (None, _) => Value::Null,
        (Some(text), Kind::Int2 | Kind::Int4 | Kind::Int8) => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        (Some(text), Kind::Bool) => json!(text == "t"),
        (Some(text), _) => json!(text),
    };
    row.into_iter().zip(columns).map(cell).collect()
}

/// One query over the curated tables as a build published them.
async fn at_build(global: &Global, build: u64, text: &str) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = site::open_lake(&project).await?;
    let (columns, rows) = run::query_at(&lake, build, text).await?;
    let mut listing = Listing::new(columns).of_data();
    for row in rows {
        listing.row(row);
    }
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}

/// A result as a listing.
pub fn listing(outcome: &Outcome) -> Listing {
    let mut listing = Listing::new(outcome.columns.iter().map(|column| column.name.clone())).of_data();
    for row in outcome.rows() {
        listing.row(cells(row, &outcome.columns));
    }
    listing
}
