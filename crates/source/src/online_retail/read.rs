//! Reads the whole file once into compact memory, checking every line.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use csv::StringRecord;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::fields;
use crate::error::SourceError;
use crate::hash::hex;

const HEADER: [&str; 8] =
    ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// The file's lines in event order, texts held once.
#[derive(Debug)]
pub(super) struct Data {
    /// In InvoiceDate order, then file order.
    pub lines: Vec<Line>,
    pub invoices: Vec<String>,
    pub products: Vec<String>,
    pub descriptions: Vec<String>,
    pub countries: Vec<String>,
    pub sha256: String,
}

/// One order line; texts by their index in [`Data`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Seconds since 1970 UTC.
    pub time: i64,
    /// Thousandths.
    pub price: i64,
    pub invoice: u32,
    /// Number within the invoice in file order, from 1.
    pub number: i32,
    pub product: u32,
    /// Empty is none.
    pub description: Option<u32>,
    pub quantity: i32,
    pub customer: Option<i32>,
    /// Empty is none.
    pub country: Option<u32>,
}

/// Texts by number, in the order of their first appearance.
#[derive(Default)]
struct Texts {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("memory ends long before 2^32 texts");
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }

    fn number_unless_empty(&mut self, text: &str) -> Option<u32> {
        (!text.is_empty()).then(|| self.number(text))
    }
}

/// Hashes what passes through.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.hasher.update(&out[..count]);
        Ok(count)
    }
}

/// Reads and checks the file; gzip is told by its first two bytes.
pub(super) fn read(path: &Path) -> Result<Data, SourceError> {
    let open = |source| SourceError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(open)?;
    if file.metadata().map_err(open)?.is_dir() {
        return Err(open(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let mut raw = BufReader::with_capacity(1 << 16, Hashing { inner: file, hasher: Sha256::new() });
    let gzip = raw.fill_buf().map_err(|source| unreadable(path, 0, source))?.starts_with(&[0x1f, 0x8b]);
    let mut data = if gzip { lines(path, MultiGzDecoder::new(&mut raw))? } else { lines(path, &mut raw)? };
    io::copy(&mut raw, &mut io::sink()).map_err(|source| unreadable(path, 0, source))?;
    data.sha256 = hex(&raw.into_inner().hasher.finalize());
    Ok(data)
}

fn unreadable(path: &Path, line: u64, source: io::Error) -> SourceError {
    SourceError::Read { path: path.to_owned(), line, source }
}

fn lines(path: &Path, input: impl Read) -> Result<Data, SourceError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut record = StringRecord::new();
    if !next(&mut reader, &mut record, path)? || !record.iter().eq(HEADER) {
        return Err(SourceError::Header { path: path.to_owned(), wanted: HEADER.join(",") });
    }
    let (mut invoices, mut products) = (Texts::default(), Texts::default());
    let (mut descriptions, mut countries) = (Texts::default(), Texts::default());
    let mut lines_of_invoice: Vec<i32> = Vec::new();
    let mut lines = Vec::new();
    while next(&mut reader, &mut record, path)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != HEADER.len() {
            let (found, wanted) = (record.len(), HEADER.len());
            return Err(SourceError::ColumnCount { path: path.to_owned(), line, found, wanted });
        }
        let bad = |column: usize| {
            move |problem| SourceError::BadValue {
                path: path.to_owned(),
                line,
                column: HEADER[column].to_owned(),
                problem,
            }
        };
        let invoice = invoices.number(fields::code(&record[0]).map_err(bad(0))?);
        let product = products.number(fields::code(&record[1]).map_err(bad(1))?);
        let description = descriptions.number_unless_empty(fields::text(&record[2], 200).map_err(bad(2))?);
        let quantity = fields::quantity(&record[3]).map_err(bad(3))?;
        let time = fields::time(&record[4]).map_err(bad(4))?;
        let price = fields::price(&record[5]).map_err(bad(5))?;
        let customer = fields::customer(&record[6]).map_err(bad(6))?;
        let country = countries.number_unless_empty(fields::text(&record[7], 40).map_err(bad(7))?);
        let at = invoice as usize;
        if at == lines_of_invoice.len() {
            lines_of_invoice.push(0);
        }
        lines_of_invoice[at] += 1;
        let number = lines_of_invoice[at];
        lines.push(Line { time, price, invoice, number, product, description, quantity, customer, country });
    }
    // Stable: file order within one time. The published file is in order already.
    lines.sort_by_key(|line| line.time);
    Ok(Data {
        lines,
        invoices: invoices.texts,
        products: products.texts,
        descriptions: descriptions.texts,
        countries: countries.texts,
        sha256: String::new(),
    })
}

fn next<R: Read>(reader: &mut csv::Reader<R>, record: &mut StringRecord, path: &Path) -> Result<bool, SourceError> {
    let line = reader.position().line();
    reader.read_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(source) => unreadable(path, line.saturating_sub(1), source),
        csv::ErrorKind::Utf8 { pos, err } => SourceError::BadValue {
            path: path.to_owned(),
            line: pos.map_or(line, |pos| pos.line()),
            column: HEADER.get(err.field()).copied().unwrap_or("a column").to_owned(),
            problem: "no UTF-8 text",
        },
        // The reader is flexible and does not seek or deserialize: no other kind can occur.
        _ => unreadable(path, line, io::Error::from(io::ErrorKind::InvalidData)),
    })
}
