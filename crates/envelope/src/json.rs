//! A change event as JSON, for the warehouse's decode function: straight from the Avro body, without Arrow.
//!
//! `{"op","order_key","source_ts","before","after"}`: the order key in hexadecimal, which sorts as the bytes do;
//! decimals as texts with all their digits; dates and times as ISO texts in UTC; bytes in hexadecimal.

use std::io::Write as _;

use weir_core::value::decimal_text;

use crate::bounds::{Bounds, Cursor, unscaled};
use crate::record::Reject;
use crate::time;
use crate::tree::{Envelope, IntKind, LongKind, Node, Record, Role, TextKind};

/// Appends the JSON text (UTF-8) of an Avro body. On a reject nothing is appended.
pub fn cdc_json(envelope: &Envelope, bounds: &Bounds, body: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
    let facts = bounds.check(envelope, body)?;
    let mut cursor = bounds.cursor(body)?;
    let start = out.len();
    out.extend_from_slice(b"{\"op\":\"");
    out.extend_from_slice(facts.op.letter().as_bytes());
    out.extend_from_slice(b"\",\"order_key\":\"");
    push_hex(out, facts.order_key.as_bytes());
    out.extend_from_slice(b"\",\"source_ts\":\"");
    time::push_timestamp(out, facts.source_ts, b' ');
    out.push(b'"');
    let written = push_images(envelope, &mut cursor, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn push_images(envelope: &Envelope, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
    for (field, role) in envelope.root.fields.iter().zip(&envelope.roles) {
        if matches!(role, Role::Before | Role::After) {
            out.push(b',');
            out.extend_from_slice(&field.json_name);
            push(cursor, &field.node, out)?;
        } else {
            // Seldom needed: Debezium writes both images first.
            cursor.walk(&field.node)?;
        }
    }
    out.push(b'}');
    Ok(())
}

fn push(cursor: &mut Cursor<'_>, node: &Node, out: &mut Vec<u8>) -> Result<(), Reject> {
    match node {
        Node::Boolean => out.extend_from_slice(if cursor.boolean()? { b"true" } else { b"false" }),
        Node::Int(IntKind::Plain) => push_number(out, i64::from(cursor.int()?)),
        Node::Int(IntKind::Date) => {
            let days = cursor.date()?;
            out.push(b'"');
            time::push_date(out, days);
            out.push(b'"');
        }
        Node::Long(LongKind::Plain) => push_number(out, cursor.long()?),
        Node::Long(kind) => push_time(out, cursor.long_of(*kind)?),
        Node::Float => push_float(out, f64::from(f32::from_le_bytes(cursor.array()?))),
        Node::Double => push_float(out, f64::from_le_bytes(cursor.array()?)),
        Node::Bytes => {
            let bytes = cursor.bytes()?;
            out.push(b'"');
            push_hex(out, bytes);
            out.push(b'"');
        }
        Node::Text(kind) => {
            let text = cursor.text()?;
            match (kind, time::parse_zoned(text)) {
                (TextKind::Zoned, Some(us)) => push_time(out, us),
                _ => push_text(out, text),
            }
        }
        Node::Decimal { precision, scale } => push_decimal(out, cursor.decimal(*precision)?, *scale as i8),
        Node::Enum(symbols) => {
            let word = cursor.symbol(symbols)?;
            push_text(out, word);
        }
        Node::Record(record) if record.is_variable_decimal => {
            let (scale, value) = (cursor.int()?, cursor.bytes()?);
            match (unscaled(value), i8::try_from(scale)) {
                (Some(unscaled), Ok(scale)) => push_decimal(out, unscaled, scale),
                // More digits than a warehouse has: kept as its two parts.
                _ => {
                    write!(out, "{{\"scale\":{scale},\"value\":\"").expect("writing to a vector does not fail");
                    push_hex(out, value);
                    out.extend_from_slice(b"\"}");
                }
            }
        }
        Node::Record(record) => push_record(cursor, record, out)?,
        Node::Array(item) => {
            out.push(b'[');
            let mut separator = Separator::default();
            cursor.blocks(item.cells(), |cursor| {
                separator.push(out);
                push(cursor, item, out)
            })?;
            out.push(b']');
        }
        Node::Map(item) => {
            out.push(b'{');
            let mut separator = Separator::default();
            cursor.blocks(1 + item.cells(), |cursor| {
                separator.push(out);
                push_text(out, cursor.text()?);
                out.push(b':');
                push(cursor, item, out)
            })?;
            out.push(b'}');
        }
        Node::Nullable { null, inner } => {
            if cursor.present(*null)? {
                push(cursor, inner, out)?;
            } else {
                out.extend_from_slice(b"null");
            }
        }
    }
    Ok(())
}

fn push_record(cursor: &mut Cursor<'_>, record: &Record, out: &mut Vec<u8>) -> Result<(), Reject> {
    out.push(b'{');
    let mut separator = Separator::default();
    for field in &record.fields {
        separator.push(out);
        out.extend_from_slice(&field.json_name);
        push(cursor, &field.node, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// A comma before every item but the first.
#[derive(Default)]
struct Separator {
    begun: bool,
}

impl Separator {
    fn push(&mut self, out: &mut Vec<u8>) {
        if self.begun {
            out.push(b',');
        }
        self.begun = true;
    }
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn push_number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("writing to a vector does not fail");
}

fn push_time(out: &mut Vec<u8>, us: i64) {
    out.push(b'"');
    time::push_timestamp(out, us, b' ');
    out.push(b'"');
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a text to a vector does not fail");
}

/// JSON has no number for these three: they are texts.
fn push_float(out: &mut Vec<u8>, float: f64) {
    if float.is_finite() {
        serde_json::to_writer(out, &float).expect("writing a number to a vector does not fail");
    } else {
        push_text(
            out,
            if float.is_nan() {
                "NaN"
            } else if float > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            },
        );
    }
}

fn push_decimal(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    out.push(b'"');
    match i64::try_from(unscaled) {
        Ok(small) if (0..18).contains(&scale) => {
            let factor = 10_u64.pow(u32::from(scale.unsigned_abs()));
            let (whole, part) = (small.unsigned_abs() / factor, small.unsigned_abs() % factor);
            let sign = if small < 0 { "-" } else { "" };
            let written = if scale == 0 {
                write!(out, "{sign}{whole}")
            } else {
                write!(out, "{sign}{whole}.{part:0width$}", width = usize::from(scale.unsigned_abs()))
            };
            written.expect("writing to a vector does not fail");
        }
        _ => out.extend_from_slice(decimal_text(unscaled, scale).as_bytes()),
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_decimal_has_the_text_that_the_core_gives_it(
            unscaled in any::<i64>(), wide in any::<i128>(), scale in 0i8..38,
        ) {
            for number in [i128::from(unscaled), wide] {
                let mut out = Vec::new();
                push_decimal(&mut out, number, scale);
                prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", decimal_text(number, scale)));
            }
        }
    }
}
