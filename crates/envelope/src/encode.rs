//! Rows to Avro records in Confluent frames, byte for byte as Debezium's SQL Server connector writes them.
//!
//! Goes straight from the contract's columns to bytes in the caller's buffer; the schemas are those of
//! [`crate::schema`], and a test holds the two together.

use weir_core::change::Op;
use weir_core::column::{Column, ColumnType};
use weir_core::order_key::{Lsn, SqlServerPosition};
use weir_core::value::{Row, Value};
use weir_project::{Connector, Table};

use crate::error::EnvelopeError;
use crate::time;

/// The Debezium release whose format this is; stands in `source.version`.
pub const DEBEZIUM_VERSION: &str = "3.6.1.Final";

/// A change to encode.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// What was done.
    pub op: Op,
    /// The row before, in contract column order; for updates and deletes.
    pub before: Option<&'a Row>,
    /// The row after, in contract column order; for all but deletes.
    pub after: Option<&'a Row>,
    /// Where in the source's order; a position without change LSN is a snapshot's.
    pub position: SqlServerPosition,
    /// Commit time at the source, microseconds since 1970 UTC.
    pub source_ts_us: i64,
    /// Which part of a snapshot the row is, if any.
    pub snapshot: Snapshot,
    /// The transaction block, if the connector provides transaction metadata.
    pub transaction: Option<Transaction>,
    /// When the connector made the event, nanoseconds since 1970 UTC.
    pub ts_ns: i64,
}

/// `source.snapshot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// A streamed change.
    False,
    /// A row of the snapshot.
    True,
    /// Its first row.
    First,
    /// The first row of a table.
    FirstInTable,
    /// The last row of a table.
    LastInTable,
    /// Its last row.
    Last,
    /// A row of an incremental snapshot.
    Incremental,
}

impl Snapshot {
    /// Debezium's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::True => "true",
            Self::First => "first",
            Self::FirstInTable => "first_in_data_collection",
            Self::LastInTable => "last_in_data_collection",
            Self::Last => "last",
            Self::Incremental => "incremental",
        }
    }
}

/// The transaction block of an event; its id is the commit LSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    /// Number of the event in its transaction, from 1.
    pub total_order: i64,
    /// Number of the event among those of its table in the transaction, from 1.
    pub table_order: i64,
}

/// Encodes the events of one table.
#[derive(Debug, Clone)]
pub struct Encoder {
    table: String,
    columns: Vec<Column>,
    key: Vec<usize>,
    key_id: u32,
    value_id: u32,
    /// `version`, `connector`, `name` of the source block.
    source_head: Vec<u8>,
    /// `db` and the null of `sequence`.
    source_db: Vec<u8>,
    /// `schema` and `table`.
    source_table: Vec<u8>,
}

impl Encoder {
    /// An encoder for this table, under the ids that the registry gave to its two schemas. Its values are SQL Server's
    /// events; keys are the same whoever writes them.
    pub fn new(table: &Table, key_id: u32, value_id: u32) -> Self {
        let Connector { server, database, schema, .. } = &table.connector;
        let mut source_head = Vec::new();
        for text in [DEBEZIUM_VERSION, "sqlserver", server] {
            push_bytes(&mut source_head, text.as_bytes());
        }
        let mut source_db = Vec::new();
        push_bytes(&mut source_db, database.as_bytes());
        source_db.push(0);
        let mut source_table = Vec::new();
        push_bytes(&mut source_table, schema.as_bytes());
        push_bytes(&mut source_table, table.name.as_str().as_bytes());
        Self {
            table: table.name.to_string(),
            columns: table.columns.clone(),
            key: table.key_indexes(),
            key_id,
            value_id,
            source_head,
            source_db,
            source_table,
        }
    }

    /// Appends the record key of a row.
    pub fn key(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        self.check_length(row)?;
        push_frame(out, self.key_id);
        for &at in &self.key {
            push_value(out, &self.columns[at], &row[at])?;
        }
        Ok(())
    }

    /// Appends the record value of an event. On an error the buffer holds part of it: cut it back.
    pub fn value(&self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        push_frame(out, self.value_id);
        self.push_row(out, event.before)?;
        self.push_row(out, event.after)?;
        self.push_source(out, event);
        match event.transaction {
            None => out.push(0),
            Some(block) => {
                out.push(2);
                push_lsn(out, event.position.commit_lsn);
                push_long(out, block.total_order);
                push_long(out, block.table_order);
            }
        }
        push_bytes(out, event.op.letter().as_bytes());
        push_times(out, event.ts_ns);
        Ok(())
    }

    fn check_length(&self, row: &Row) -> Result<(), EnvelopeError> {
        if row.len() == self.columns.len() {
            return Ok(());
        }
        Err(EnvelopeError::RowLength { table: self.table.clone(), found: row.len(), declared: self.columns.len() })
    }

    fn push_row(&self, out: &mut Vec<u8>, row: Option<&Row>) -> Result<(), EnvelopeError> {
        let Some(row) = row else {
            out.push(0);
            return Ok(());
        };
        self.check_length(row)?;
        out.push(2);
        for (column, value) in self.columns.iter().zip(row) {
            if column.nullable {
                if value.is_null() {
                    out.push(0);
                    continue;
                }
                out.push(2);
            }
            push_value(out, column, value)?;
        }
        Ok(())
    }

    fn push_source(&self, out: &mut Vec<u8>, event: &Event<'_>) {
        out.extend_from_slice(&self.source_head);
        push_long(out, event.source_ts_us.div_euclid(1000));
        out.push(0); // `snapshot` is a union that begins with its text
        push_bytes(out, event.snapshot.as_str().as_bytes());
        out.extend_from_slice(&self.source_db);
        out.push(2);
        push_long(out, event.source_ts_us);
        // Nanoseconds reach from 1677 to 2262; a commit time beyond has none.
        match event.source_ts_us.checked_mul(1000) {
            Some(ns) => {
                out.push(2);
                push_long(out, ns);
            }
            None => out.push(0),
        }
        out.extend_from_slice(&self.source_table);
        match event.position.change_lsn {
            Some(lsn) => {
                out.push(2);
                push_lsn(out, lsn);
            }
            None => out.push(0),
        }
        out.push(2);
        push_lsn(out, event.position.commit_lsn);
        // A snapshot row has no serial number.
        if event.position.change_lsn.is_some() || event.position.serial != 0 {
            out.push(2);
            push_long(out, event.position.serial as i64);
        } else {
            out.push(0);
        }
    }
}

fn push_frame(out: &mut Vec<u8>, id: u32) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}

fn push_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// `ts_ms`, `ts_us`, `ts_ns`.
fn push_times(out: &mut Vec<u8>, ns: i64) {
    for time in [ns.div_euclid(1_000_000), ns.div_euclid(1000), ns] {
        out.push(2);
        push_long(out, time);
    }
}

/// An LSN's text as an Avro string: `0000002a:00000108:0001`.
fn push_lsn(out: &mut Vec<u8>, lsn: Lsn) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b':'; 23];
    text[0] = 22 << 1;
    let mut at = 1;
    for (index, byte) in lsn.0.into_iter().enumerate() {
        if index == 4 || index == 8 {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    out.extend_from_slice(&text);
}

/// A two's-complement integer in as few big-endian bytes as hold it, as Java's `BigInteger` writes it.
fn push_unscaled(out: &mut Vec<u8>, unscaled: i128) {
    let bytes = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] ^ sign) & 0x80 == 0 {
        start += 1;
    }
    push_bytes(out, &bytes[start..]);
}

/// Brings an unscaled value to the column's scale without losing a digit.
fn rescale(unscaled: i128, from: i8, to: i8, precision: u8) -> Option<i128> {
    let steps = u32::from(from.abs_diff(to));
    let factor = 10_i128.checked_pow(steps)?;
    let scaled = if to >= from {
        unscaled.checked_mul(factor)?
    } else if unscaled % factor == 0 {
        unscaled / factor
    } else {
        return None;
    };
    (scaled.unsigned_abs() < 10_u128.pow(u32::from(precision))).then_some(scaled)
}

fn push_value(out: &mut Vec<u8>, column: &Column, value: &Value) -> Result<(), EnvelopeError> {
    let refuse = |problem| {
        Err(EnvelopeError::Value { column: column.name.to_string(), declared: column.kind.to_string(), problem })
    };
    match (column.kind, value) {
        (_, Value::Null) => return refuse("NULL"),
        (ColumnType::Bit, Value::Bool(bit)) => out.push(u8::from(*bit)),
        (ColumnType::TinyInt, Value::Int(int)) if (0..=255).contains(int) => push_long(out, *int),
        (ColumnType::SmallInt, Value::Int(int)) if i16::try_from(*int).is_ok() => push_long(out, *int),
        (ColumnType::Int, Value::Int(int)) if i32::try_from(*int).is_ok() => push_long(out, *int),
        (ColumnType::BigInt, Value::Int(int)) => push_long(out, *int),
        (ColumnType::TinyInt | ColumnType::SmallInt | ColumnType::Int, Value::Int(_)) => {
            return refuse("a number beyond its range");
        }
        (ColumnType::Real, Value::Float(bits)) => {
            out.extend_from_slice(&(f64::from_bits(*bits) as f32).to_le_bytes());
        }
        (ColumnType::Float, Value::Float(bits)) => out.extend_from_slice(&f64::from_bits(*bits).to_le_bytes()),
        (ColumnType::Decimal { precision, scale }, Value::Decimal(unscaled, own)) => {
            match rescale(*unscaled, *own, scale, precision) {
                Some(unscaled) => push_unscaled(out, unscaled),
                None => return refuse("a decimal with more digits"),
            }
        }
        (ColumnType::Text { .. } | ColumnType::UniqueIdentifier, Value::Text(text)) => push_bytes(out, text.as_bytes()),
        (ColumnType::VarBinary { .. }, Value::Bytes(bytes)) => push_bytes(out, bytes),
        (ColumnType::Date, Value::Date(days)) if time::day_in_range(*days) => push_long(out, i64::from(*days)),
        (ColumnType::DateTime2 { precision }, Value::Timestamp(us)) if time::in_range(*us) => match precision {
            0..=3 => push_long(out, us.div_euclid(1000)),
            4..=6 => push_long(out, *us),
            // As Debezium: an event with a datetime2(7) outside 1677 to 2262 fails.
            _ => match us.checked_mul(1000) {
                Some(ns) => push_long(out, ns),
                None => return refuse("a time outside the years 1677 to 2262"),
            },
        },
        (ColumnType::DateTimeOffset, Value::Timestamp(us)) if time::in_range(*us) => {
            out.push(27 << 1);
            time::push_timestamp(out, *us, b'T');
            out.push(b'Z');
        }
        // With its offset, as the source has it.
        (ColumnType::DateTimeOffset, Value::Text(text)) if time::parse_zoned(text).is_some() => {
            push_bytes(out, text.as_bytes());
        }
        (ColumnType::Date, Value::Date(_))
        | (ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset, Value::Timestamp(_)) => {
            return refuse("a time outside the years 1 to 9999");
        }
        (_, Value::Bool(_)) => return refuse("a boolean"),
        (_, Value::Int(_)) => return refuse("an integer"),
        (_, Value::Decimal(..)) => return refuse("a decimal"),
        (_, Value::Float(_)) => return refuse("a float"),
        (_, Value::Text(_)) => return refuse("a text"),
        (_, Value::Date(_)) => return refuse("a date"),
        (_, Value::Timestamp(_)) => return refuse("a timestamp"),
        (_, Value::Bytes(_)) => return refuse("bytes"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_decimal_takes_as_few_bytes_as_hold_it(unscaled in any::<i128>(), shift in 0u32..127) {
            let unscaled = unscaled >> shift;
            let mut out = Vec::new();
            push_unscaled(&mut out, unscaled);
            let bytes = &out[1..];
            let mut wide = if bytes[0] & 0x80 == 0 { [0u8; 16] } else { [0xff; 16] };
            wide[16 - bytes.len()..].copy_from_slice(bytes);
            prop_assert_eq!(i128::from_be_bytes(wide), unscaled);
            if bytes.len() > 1 {
                let redundant = bytes[0] == 0 && bytes[1] & 0x80 == 0 || bytes[0] == 0xff && bytes[1] & 0x80 != 0;
                prop_assert!(!redundant);
            }
        }

        #[test]
        fn an_lsn_is_written_as_its_text(bytes in any::<[u8; 10]>()) {
            let mut out = Vec::new();
            push_lsn(&mut out, Lsn(bytes));
            prop_assert_eq!(String::from_utf8(out[1..].to_vec()).unwrap(), Lsn(bytes).to_string());
            prop_assert_eq!(out[0], 44);
        }
    }

    #[test]
    fn a_decimal_is_brought_to_its_columns_scale_or_refused() {
        assert_eq!(rescale(125, 2, 3, 12), Some(1250));
        assert_eq!(rescale(1250, 3, 2, 12), Some(125));
        assert_eq!(rescale(1255, 3, 2, 12), None);
        assert_eq!(rescale(1000, 0, 0, 3), None);
        assert_eq!(rescale(i128::MAX, 0, 3, 38), None);
    }
}
