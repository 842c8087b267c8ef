//! Cells in Postgres' text and binary formats, written straight into a row.

use bytes::{BufMut, BytesMut};
use duckdb::arrow::array::{Array, AsArray, RecordBatch};
use duckdb::arrow::datatypes::Date32Type;
use pgwire::api::Type;
use pgwire::messages::data::DataRow;

use crate::outcome::{Kind, bytes, decimal, float, integer, micros, string, text};

/// Days from 1970 to 2000, where Postgres counts from.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Redshift's own number for VARBYTE.
const VARBYTE: u32 = 6551;

/// The wire's type of a column.
pub fn pg_type(kind: Kind) -> Type {
    match kind {
        Kind::Bool => Type::BOOL,
        Kind::Int2 => Type::INT2,
        Kind::Int4 => Type::INT4,
        Kind::Int8 => Type::INT8,
        Kind::Float4 => Type::FLOAT4,
        Kind::Float8 => Type::FLOAT8,
        Kind::Numeric { .. } => Type::NUMERIC,
        Kind::Text => Type::VARCHAR,
        Kind::Date => Type::DATE,
        Kind::Timestamp => Type::TIMESTAMP,
        Kind::TimestampTz => Type::TIMESTAMPTZ,
        Kind::Bytes => Type::BYTEA,
    }
}

/// The column type that [`pg_type`] and [`type_modifier`] made these from.
pub fn kind_of_type(oid: u32, modifier: i32) -> Kind {
    match Type::from_oid(oid) {
        Some(Type::BOOL) => Kind::Bool,
        Some(Type::INT2) => Kind::Int2,
        Some(Type::INT4) => Kind::Int4,
        Some(Type::INT8) => Kind::Int8,
        Some(Type::FLOAT4) => Kind::Float4,
        Some(Type::FLOAT8) => Kind::Float8,
        Some(Type::NUMERIC) => {
            let both = modifier - 4;
            let [_, precision, _, scale] = both.to_be_bytes();
            Kind::Numeric { precision, scale: scale.cast_signed() }
        }
        Some(Type::DATE) => Kind::Date,
        Some(Type::TIMESTAMP) => Kind::Timestamp,
        Some(Type::TIMESTAMPTZ) => Kind::TimestampTz,
        Some(Type::BYTEA) => Kind::Bytes,
        None if oid == VARBYTE => Kind::Bytes,
        _ => Kind::Text,
    }
}

/// What the wire calls a type modifier: precision and scale of a NUMERIC.
pub fn type_modifier(kind: Kind) -> i32 {
    match kind {
        Kind::Numeric { precision, scale } => ((i32::from(precision) << 16) | i32::from(scale)) + 4,
        _ => -1,
    }
}

/// One row of a batch; `binary` says per column in which format.
pub fn row(batch: &RecordBatch, row: usize, kinds: &[Kind], binary: &[bool]) -> DataRow {
    let mut data = BytesMut::with_capacity(kinds.len() * 12);
    for (array, (kind, binary)) in batch.columns().iter().zip(kinds.iter().zip(binary)) {
        let array = array.as_ref();
        if array.is_null(row) {
            data.put_i32(-1);
            continue;
        }
        let at = data.len();
        data.put_i32(0);
        let written = if *binary { put_binary(&mut data, array, row, *kind) } else { put_text(&mut data, array, row) };
        let length = i32::try_from(data.len() - at - 4).unwrap_or(i32::MAX);
        let length = if written { length } else { -1 };
        data[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    DataRow::new(data, i16::try_from(kinds.len()).unwrap_or(i16::MAX))
}

fn put_text(data: &mut BytesMut, array: &dyn Array, row: usize) -> bool {
    if let Some(text) = string(array, row) {
        data.put_slice(text.as_bytes());
        return true;
    }
    match text(array, row) {
        Some(text) => {
            data.put_slice(text.as_bytes());
            true
        }
        None => false,
    }
}

fn put_binary(data: &mut BytesMut, array: &dyn Array, row: usize, kind: Kind) -> bool {
    match kind {
        Kind::Bool => data.put_u8(u8::from(array.as_boolean().value(row))),
        Kind::Int2 => data.put_i16(integer(array, row).and_then(|n| i16::try_from(n).ok()).unwrap_or_default()),
        Kind::Int4 => data.put_i32(integer(array, row).and_then(|n| i32::try_from(n).ok()).unwrap_or_default()),
        Kind::Int8 => data.put_i64(integer(array, row).unwrap_or_default()),
        #[allow(clippy::cast_possible_truncation, reason = "the cell was a float of this width")]
        Kind::Float4 => data.put_f32(float(array, row).unwrap_or_default() as f32),
        Kind::Float8 => data.put_f64(float(array, row).unwrap_or_default()),
        Kind::Numeric { .. } => {
            let (unscaled, scale) = decimal(array, row).unwrap_or_default();
            put_numeric(data, unscaled, scale);
        }
        Kind::Date => data.put_i32(array.as_primitive::<Date32Type>().value(row).saturating_sub(EPOCH_DAYS)),
        Kind::Timestamp | Kind::TimestampTz => {
            data.put_i64(micros(array, row).unwrap_or_default().saturating_sub(EPOCH_MICROS));
        }
        Kind::Bytes => data.put_slice(bytes(array, row).unwrap_or_default()),
        Kind::Text => return put_text(data, array, row),
    }
    true
}

/// Postgres' NUMERIC: digits in base 10000, aligned to the point.
fn put_numeric(data: &mut BytesMut, unscaled: i128, scale: i8) {
    let scale = usize::from(scale.max(0).unsigned_abs());
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let whole = whole.trim_start_matches('0');
    let whole = format!("{:0>width$}", whole, width = whole.len().div_ceil(4) * 4);
    let part = format!("{:0<width$}", part, width = part.len().div_ceil(4) * 4);
    let group = |text: &str| -> Vec<i16> {
        text.as_bytes().chunks(4).map(|four| four.iter().fold(0_i16, |n, b| n * 10 + i16::from(b - b'0'))).collect()
    };
    let mut groups = group(&whole);
    let mut weight = i16::try_from(groups.len()).unwrap_or(i16::MAX) - 1;
    groups.extend(group(&part));
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or_default();
    if groups.is_empty() {
        weight = 0;
    }
    data.put_i16(i16::try_from(groups.len()).unwrap_or(i16::MAX));
    data.put_i16(weight);
    data.put_i16(if unscaled < 0 { 0x4000 } else { 0 });
    data.put_i16(i16::try_from(scale).unwrap_or_default());
    for group in groups {
        data.put_i16(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(unscaled: i128, scale: i8) -> Vec<i16> {
        let mut data = BytesMut::new();
        put_numeric(&mut data, unscaled, scale);
        data.chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect()
    }

    #[test]
    fn a_column_type_comes_back_from_the_wire_as_it_was() {
        let plain = [Kind::Bool, Kind::Int2, Kind::Int4, Kind::Int8, Kind::Float4, Kind::Float8, Kind::Text];
        let others = [Kind::Date, Kind::Timestamp, Kind::TimestampTz, Kind::Bytes];
        let numerics = [(38, 0), (12, 3), (20, 20)].map(|(precision, scale)| Kind::Numeric { precision, scale });
        for kind in plain.into_iter().chain(others).chain(numerics) {
            assert_eq!(kind_of_type(pg_type(kind).oid(), type_modifier(kind)), kind);
        }
    }

    #[test]
    fn a_numeric_is_written_as_postgres_writes_it() {
        assert_eq!(numeric(0, 3), [0, 0, 0, 3]);
        assert_eq!(numeric(12_345_678, 3), [3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(numeric(-5, 2), [1, -1, 0x4000, 2, 500]);
        assert_eq!(numeric(1, 6), [1, -2, 0, 6, 100]);
        assert_eq!(numeric(100_000_000, 0), [1, 2, 0, 0, 1]);
    }
}
