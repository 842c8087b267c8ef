//! The checks of every message: each value is read by a [`Cursor`], which trusts no length, count or branch that a
//! message claims, and [`Seen`] judges what the values say together.
//!
//! A message is walked once: to columns ([`crate::columns`]), or, before it becomes JSON, to nothing ([`Bounds::check`]).

use std::str;

use weir_core::change::Op;
use weir_core::order_key::OrderKey;

use crate::position::Source;
use crate::record::Reject;
use crate::time;
use crate::tree::{Envelope, IntKind, LongKind, Node, Role, SourceRole};

/// How large a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a value's Avro body, unpacked; and of the words for which its enums stand, together.
    pub max_bytes: usize,
    /// Values that the arrays and maps of a message make in Arrow, together.
    pub max_items: usize,
}

impl Default for Bounds {
    /// 32 MiB and a million items: far above what a broker's default lets in, far below what hurts.
    fn default() -> Self {
        Self { max_bytes: 32 << 20, max_items: 1_000_000 }
    }
}

/// What the walk learned of a message that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What was done.
    pub op: Op,
    /// When, in the source's own order.
    pub order_key: OrderKey,
    /// Commit time at the source, microseconds since 1970 UTC.
    pub source_ts: i64,
}

impl Bounds {
    /// Walks the Avro body of a message. Its rows may be without their keys: who lands them asks for those.
    pub fn check(&self, envelope: &Envelope, body: &[u8]) -> Result<Facts, Reject> {
        let mut cursor = self.cursor(body)?;
        let mut seen = Seen::default();
        for (field, role) in envelope.root.fields.iter().zip(&envelope.roles) {
            match role {
                Role::Before => seen.before = cursor.image(&field.node)?,
                Role::After => seen.after = cursor.image(&field.node)?,
                Role::Source => seen.source = cursor.source(&field.node, &envelope.source_roles)?,
                Role::Op => seen.op = Some(cursor.utf8()?),
                Role::Other => cursor.walk(&field.node)?,
            }
        }
        cursor.end()?;
        seen.judge()
    }

    /// The beginning of a message that is not too large.
    pub(crate) fn cursor<'a>(&self, body: &'a [u8]) -> Result<Cursor<'a>, Reject> {
        if body.len() > self.max_bytes {
            return Err(Reject::TooLarge);
        }
        Ok(Cursor { rest: body, items_left: self.max_items, symbols_left: self.max_bytes })
    }
}

/// Where a table's key columns stand in a schema's row images.
#[derive(Debug)]
pub(crate) struct KeyColumns {
    pub(crate) before: Image,
    pub(crate) after: Image,
}

/// The key columns of a row image.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// A key column that the schema lacks makes every row of it one without key.
    lacks: bool,
    /// Field numbers of nullable key columns: each row is looked at. Others cannot be null.
    nullable: Vec<usize>,
}

impl KeyColumns {
    /// Looks the key columns up in a schema.
    pub(crate) fn of<'k>(envelope: &Envelope, key: impl IntoIterator<Item = &'k str> + Clone) -> Self {
        let image = |name: &str| {
            let mut image = Image::default();
            let Some(record) = envelope.row(name) else { return image };
            for column in key.clone() {
                match record.index(column) {
                    None => image.lacks = true,
                    Some(at) if matches!(record.fields[at].node, Node::Nullable { .. }) => image.nullable.push(at),
                    Some(_) => {}
                }
            }
            image
        };
        Self { before: image("before"), after: image("after") }
    }
}

impl Image {
    /// What a row image is, by whether the column of a number is null in it; none without an image.
    pub(crate) fn row(&self, image: Option<impl Fn(usize) -> bool>) -> Row {
        match image {
            None => Row::Null,
            Some(is_null) if self.lacks || self.nullable.iter().any(|at| is_null(*at)) => Row::WithoutKey,
            Some(_) => Row::WithKey,
        }
    }
}

/// A row image in a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    #[default]
    Null,
    WithoutKey,
    WithKey,
}

/// What a whole message says.
#[derive(Debug, Default)]
pub(crate) struct Seen<'a> {
    pub(crate) before: Row,
    pub(crate) after: Row,
    pub(crate) op: Option<&'a [u8]>,
    pub(crate) source: Source<'a>,
}

impl Seen<'_> {
    /// Whether the parts agree, and what they come to.
    pub(crate) fn judge(&self) -> Result<Facts, Reject> {
        let letter = self.op.and_then(|letter| str::from_utf8(letter).ok());
        let op = letter.and_then(Op::from_letter).ok_or(Reject::UnknownOp)?;
        // Updates have a row before only where the source keeps it.
        let (image, forbidden) = match op {
            Op::Create | Op::Read => (Some(self.after), self.before),
            Op::Update => (Some(self.after), Row::Null),
            Op::Delete => (Some(self.before), self.after),
            Op::Truncate => (None, self.before.max(self.after)),
        };
        if forbidden != Row::Null {
            return Err(Reject::UnexpectedRow);
        }
        match image {
            Some(Row::Null) => return Err(Reject::MissingRow),
            Some(Row::WithoutKey) => return Err(Reject::MissingKey),
            Some(Row::WithKey) | None => {}
        }
        Ok(Facts { op, order_key: self.source.order_key()?, source_ts: self.source.commit_time()? })
    }
}

/// A place in a message, and what its arrays, maps and enums may still come to.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) items_left: usize,
    /// A byte of a message may stand for a word of any length.
    pub(crate) symbols_left: usize,
}

impl<'a> Cursor<'a> {
    /// Behind the last value nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Reject> {
        if self.rest.is_empty() { Ok(()) } else { Err(Reject::TrailingBytes) }
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Reject> {
        let (first, rest) = self.rest.split_first().ok_or(Reject::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Reject> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..70).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Reject::BadNumber);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Reject::BadNumber)
    }

    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Reject> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Reject> {
        i32::try_from(self.long()?).map_err(|_| Reject::BadNumber)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Reject> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Reject::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Reject::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Reject> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Reject::BadLength)?;
        self.take(length)
    }

    /// The bytes of a text. Most texts are short and ASCII, for which the library's check is a long way round.
    #[inline]
    pub(crate) fn utf8(&mut self) -> Result<&'a [u8], Reject> {
        let bytes = self.bytes()?;
        if bytes.is_ascii() || str::from_utf8(bytes).is_ok() { Ok(bytes) } else { Err(Reject::BadUtf8) }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Reject> {
        str::from_utf8(self.bytes()?).map_err(|_| Reject::BadUtf8)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Reject> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Reject::BadBoolean),
        }
    }

    /// Whether a nullable value is there.
    #[inline]
    pub(crate) fn present(&mut self, null: u8) -> Result<bool, Reject> {
        match self.long()? {
            branch @ (0 | 1) => Ok(branch != i64::from(null)),
            _ => Err(Reject::BadUnion),
        }
    }

    pub(crate) fn symbol<'s>(&mut self, symbols: &'s [String]) -> Result<&'s str, Reject> {
        let at = usize::try_from(self.int()?).map_err(|_| Reject::BadEnum)?;
        let symbol = symbols.get(at).ok_or(Reject::BadEnum)?;
        self.symbols_left = self.symbols_left.checked_sub(symbol.len()).ok_or(Reject::TooLarge)?;
        Ok(symbol)
    }

    /// An unscaled value that fits the precision.
    pub(crate) fn decimal(&mut self, precision: u8) -> Result<i128, Reject> {
        let unscaled = unscaled(self.bytes()?).ok_or(Reject::BadDecimal)?;
        if unscaled.unsigned_abs() < POWERS_OF_TEN[usize::from(precision)] {
            Ok(unscaled)
        } else {
            Err(Reject::BadDecimal)
        }
    }

    pub(crate) fn date(&mut self) -> Result<i32, Reject> {
        let days = self.int()?;
        if time::day_in_range(days) { Ok(days) } else { Err(Reject::BadTime) }
    }

    /// A number, or a time brought to microseconds.
    #[inline]
    pub(crate) fn long_of(&mut self, kind: LongKind) -> Result<i64, Reject> {
        let raw = self.long()?;
        let us = match kind {
            LongKind::Plain => return Ok(raw),
            LongKind::Millis => raw.checked_mul(1000).ok_or(Reject::BadTime)?,
            LongKind::Micros => raw,
            LongKind::Nanos => raw.div_euclid(1000),
        };
        if time::in_range(us) { Ok(us) } else { Err(Reject::BadTime) }
    }

    /// Reads the blocks of an array or a map; `item` is called for each, within the bounds.
    pub(crate) fn blocks(
        &mut self,
        cells: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), Reject>,
    ) -> Result<(), Reject> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            // A negative count is followed by the block's length in bytes.
            let length =
                if count < 0 { Some(usize::try_from(self.long()?).map_err(|_| Reject::BadLength)?) } else { None };
            let count = usize::try_from(count.unsigned_abs()).map_err(|_| Reject::TooLarge)?;
            let needed = count.checked_mul(cells).ok_or(Reject::TooLarge)?;
            self.items_left = self.items_left.checked_sub(needed).ok_or(Reject::TooLarge)?;
            let before = self.rest.len();
            for _ in 0..count {
                item(self)?;
            }
            if length.is_some_and(|length| length != before - self.rest.len()) {
                return Err(Reject::BadLength);
            }
        }
    }

    /// Checks a value and goes behind it.
    pub(crate) fn walk(&mut self, node: &Node) -> Result<(), Reject> {
        match node {
            Node::Boolean => self.boolean().map(drop),
            Node::Int(IntKind::Plain) => self.int().map(drop),
            Node::Int(IntKind::Date) => self.date().map(drop),
            Node::Long(kind) => self.long_of(*kind).map(drop),
            Node::Float => self.take(4).map(drop),
            Node::Double => self.take(8).map(drop),
            Node::Bytes => self.bytes().map(drop),
            Node::Text(_) => self.utf8().map(drop),
            Node::Decimal { precision, .. } => self.decimal(*precision).map(drop),
            Node::Enum(symbols) => self.symbol(symbols).map(drop),
            Node::Record(record) => record.fields.iter().try_for_each(|field| self.walk(&field.node)),
            Node::Array(item) => self.blocks(item.cells(), |cursor| cursor.walk(item)),
            Node::Map(item) => self.blocks(1 + item.cells(), |cursor| {
                cursor.utf8()?;
                cursor.walk(item)
            }),
            Node::Nullable { null, inner } => {
                if self.present(*null)? {
                    self.walk(inner)?;
                }
                Ok(())
            }
        }
    }

    fn image(&mut self, node: &Node) -> Result<Row, Reject> {
        let Node::Nullable { null, inner } = node else { return Ok(Row::Null) }; // not in an `Envelope`
        if !self.present(*null)? {
            return Ok(Row::Null);
        }
        self.walk(inner)?;
        Ok(Row::WithKey)
    }

    fn source(&mut self, node: &Node, roles: &[SourceRole]) -> Result<Source<'a>, Reject> {
        let mut source = Source::default();
        let Node::Record(record) = node else { return Ok(source) }; // not in an `Envelope`
        for (field, role) in record.fields.iter().zip(roles) {
            if *role == SourceRole::Other {
                self.walk(&field.node)?;
                continue;
            }
            if let Node::Nullable { null, .. } = &field.node
                && !self.present(*null)?
            {
                continue;
            }
            match role {
                SourceRole::Connector => source.connector = Some(self.utf8()?),
                SourceRole::CommitLsn => source.commit_lsn = Some(self.utf8()?),
                SourceRole::ChangeLsn => source.change_lsn = Some(self.utf8()?),
                SourceRole::Sequence => source.sequence = Some(self.utf8()?),
                SourceRole::Serial => source.serial = Some(self.long()?),
                SourceRole::Millis => source.millis = Some(self.long()?),
                SourceRole::Micros => source.micros = Some(self.long()?),
                SourceRole::Nanos => source.nanos = Some(self.long()?),
                SourceRole::Other => {}
            }
        }
        Ok(source)
    }
}

/// 10^0 to 10^38.
const POWERS_OF_TEN: [u128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < 39 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Two's-complement big-endian bytes as a number; more than 16 are allowed when they repeat the sign. No byte is no
/// number, as in Java.
pub(crate) fn unscaled(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 != 0 { 0xff } else { 0 };
    let bytes = if bytes.len() > 16 {
        let (extra, kept) = bytes.split_at(bytes.len() - 16);
        if extra.iter().any(|byte| *byte != sign) || (kept[0] ^ sign) & 0x80 != 0 {
            return None;
        }
        kept
    } else {
        bytes
    };
    let mut wide = [sign; 16];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}
