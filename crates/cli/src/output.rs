//! Data on standard output in one of three forms; everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one place of the product that prints")]

use std::io::{BufWriter, Stdout, Write};

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use crate::args::Format;

/// Says something to a person.
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// A titled list of rows.
pub struct Listing {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    counts: bool,
}

impl Listing {
    /// An empty one.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new(), counts: true }
    }

    /// Numbers are data, not counts: a year is no `2,024`.
    pub fn of_data(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Adds a row, as long as the columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Value>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// For people: columns aligned, numbers to the right with thousands apart.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| text(cell, self.counts)));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if index == 0 { 0 } else { 1 }, 1));
            if self.rows.iter().all(|row| row.get(index).is_some_and(|cell| cell.is_number() || cell.is_null())) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> anyhow::Result<String> {
        let object = |row: &Vec<Value>| -> Value {
            let pairs = self.columns.iter().zip(row).map(|(column, cell)| (column.clone(), cell.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        Ok(serde_json::to_string_pretty(&self.rows.iter().map(object).collect::<Vec<_>>())?)
    }

    fn csv(&self) -> anyhow::Result<String> {
        self.csv_rows(true)
    }

    fn csv_rows(&self, header: bool) -> anyhow::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if header {
            writer.write_record(&self.columns)?;
        }
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| match cell {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }))?;
        }
        let bytes = writer.into_inner().context("cannot write CSV")?;
        Ok(String::from_utf8(bytes)?.trim_end_matches('\n').to_owned())
    }

    /// Prints as asked.
    pub fn print(&self, format: Format) -> anyhow::Result<()> {
        let text = match format {
            Format::Table => self.table(),
            Format::Json => self.json()?,
            Format::Csv => self.csv()?,
        };
        line(&text)
    }
}

/// Rows of a result, printed as they come. A table alone is held until its end: its columns are as wide as their
/// widest cell.
pub struct Rows {
    listing: Listing,
    format: Format,
    printed: bool,
    out: BufWriter<Stdout>,
    /// What the first failed print said; a reader that went away is none.
    failed: Option<anyhow::Error>,
}

impl Rows {
    /// A result with these columns.
    pub fn new(columns: impl IntoIterator<Item = String>, format: Format) -> Self {
        let listing = Listing::new(columns).of_data();
        let mut rows = Self { listing, format, printed: false, out: BufWriter::new(std::io::stdout()), failed: None };
        match format {
            Format::Table => {}
            Format::Json => rows.put(|_| Ok("[".to_owned())),
            Format::Csv => rows.put(|listing| Ok(listing.csv()? + "\n")),
        }
        rows
    }

    /// Prints a row, as long as the columns.
    pub fn row(&mut self, cells: Vec<Value>) {
        self.listing.row(cells);
        if self.format == Format::Table {
            return;
        }
        let (format, first) = (self.format, !std::mem::replace(&mut self.printed, true));
        self.put(|listing| match format {
            Format::Json => {
                let row = listing.json()?;
                let row = row.trim_start_matches('[').trim_end_matches(']').trim_end();
                Ok(format!("{}{row}", if first { "" } else { "," }))
            }
            _ => Ok(listing.csv_rows(false)? + "\n"),
        });
        self.listing.rows.clear();
    }

    /// Prints what is left.
    pub fn end(mut self) -> anyhow::Result<()> {
        let (format, printed) = (self.format, self.printed);
        self.put(|listing| match format {
            Format::Table => Ok(listing.table() + "\n"),
            Format::Json => Ok(if printed { "\n]\n" } else { "]\n" }.to_owned()),
            Format::Csv => Ok(String::new()),
        });
        if self.failed.is_none() {
            self.failed = broken(self.out.flush());
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn put(&mut self, text: impl FnOnce(&Listing) -> anyhow::Result<String>) {
        if self.failed.is_some() {
            return;
        }
        match text(&self.listing) {
            Ok(text) => self.failed = broken(self.out.write_all(text.as_bytes())),
            Err(error) => self.failed = Some(error),
        }
    }
}

fn broken(written: std::io::Result<()>) -> Option<anyhow::Error> {
    written.err().filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe).map(anyhow::Error::from)
}

/// Prints a line of data. A reader that went away ends the output, not the program.
pub fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn text(cell: &Value, counts: bool) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if counts => number.as_u64().map_or_else(|| number.to_string(), thousands),
        other => other.to_string(),
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listing_reads_the_same_in_all_three_forms() {
        let mut listing = Listing::new(["zone", "rows"]);
        listing.row([json!("landing"), json!(1_234_567)]);
        listing.row([json!("a, \"b\""), json!(null)]);
        insta::assert_snapshot!(listing.table(), @r#"
        zone          rows
        landing  1,234,567
        a, "b"
        "#);
        insta::assert_snapshot!(listing.csv().expect("CSV"), @r#"
        zone,rows
        landing,1234567
        "a, ""b""",
        "#);
        assert_eq!(
            serde_json::from_str::<Value>(&listing.json().expect("JSON")).expect("JSON"),
            json!([{"zone": "landing", "rows": 1_234_567}, {"zone": "a, \"b\"", "rows": null}])
        );
    }
}
