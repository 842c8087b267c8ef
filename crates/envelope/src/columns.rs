//! Columns in the making: the walk over a message appends each value that it checks, so that a message is read once.
//!
//! A message that is rejected half-way is cut off again: every column is as long as the rows that passed.

use std::sync::Arc;

use arrow::array::NullBufferBuilder;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::bounds::{Bounds, Cursor, Facts, KeyColumns, Seen};
use crate::decode::COLUMNS;
use crate::position::Source;
use crate::record::Reject;
use crate::tree::{Envelope, IntKind, LongKind, Node, Record, Role, SourceRole};

/// The fields of an envelope that are kept: the first of [`COLUMNS`].
const KEPT: &[&str] = COLUMNS.split_at(5).0;

/// The zone of every timestamp.
const UTC: &str = "UTC";

/// The rows of one writer schema.
#[derive(Debug)]
pub(crate) struct Columns {
    /// One for each field of the envelope that is kept.
    fields: Vec<Option<Column>>,
    order_keys: Bytes,
    source_ts: Vec<i64>,
}

/// The values of one type, all of them there: what is null stands in [`Column::Nullable`].
#[derive(Debug)]
pub(crate) enum Column {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>, IntKind),
    Long(Vec<i64>, LongKind),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Bytes),
    Text(Bytes),
    Decimal(Vec<i128>, u8),
    Enum(Bytes, Arc<[String]>),
    Record(Vec<Column>),
    /// Ends, values of one item, items.
    Array(Vec<i32>, usize, Box<Column>),
    /// Ends, values of one entry, keys, items.
    Map(Vec<i32>, usize, Bytes, Box<Column>),
    /// Which branch is null, whether each value is there, the values with something beneath each null.
    Nullable(u8, NullBufferBuilder, Box<Column>),
}

/// Byte strings, one behind the other. A part's fit into 31 bits: they are no longer than what [`Columns::push`] says.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Bytes {
    fn with_capacity(rows: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(rows) }
    }

    #[inline]
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as i32);
    }

    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn last(&self) -> Option<&[u8]> {
        let at = self.ends.len().checked_sub(1)?;
        self.bytes.get(self.begin(at)..)
    }

    fn truncate(&mut self, rows: usize) {
        self.bytes.truncate(self.begin(rows));
        self.ends.truncate(rows);
    }

    fn text(self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(StringArray::try_new(offsets(self.ends), self.bytes.into(), nulls)?))
    }

    fn binary(self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(BinaryArray::try_new(offsets(self.ends), self.bytes.into(), nulls)?))
    }
}

fn offsets(mut ends: Vec<i32>) -> OffsetBuffer<i32> {
    ends.insert(0, 0);
    OffsetBuffer::new(ends.into())
}

impl Columns {
    /// No row yet, and room for some.
    pub(crate) fn new(envelope: &Envelope, rows: usize) -> Self {
        let kept = |name: &str| KEPT.contains(&name);
        let column = |field: &crate::tree::Field| kept(&field.name).then(|| Column::new(&field.node, rows));
        Self {
            fields: envelope.root.fields.iter().map(column).collect(),
            order_keys: Bytes::with_capacity(rows),
            source_ts: Vec::with_capacity(rows),
        }
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.source_ts.len()
    }

    /// Reads the Avro body of a message as the next row, and says how many bytes that may hold: those of the body and of
    /// its enums' words. On a reject all is as before.
    pub(crate) fn push(
        &mut self,
        envelope: &Envelope,
        bounds: &Bounds,
        body: &[u8],
        keys: &KeyColumns,
    ) -> Result<usize, Reject> {
        match self.read(envelope, bounds, body, keys) {
            Ok((facts, bytes)) => {
                self.order_keys.push(facts.order_key.as_bytes());
                self.source_ts.push(facts.source_ts);
                Ok(bytes)
            }
            Err(reject) => {
                let rows = self.len();
                self.fields.iter_mut().flatten().for_each(|column| column.truncate(rows));
                Err(reject)
            }
        }
    }

    fn read(
        &mut self,
        envelope: &Envelope,
        bounds: &Bounds,
        body: &[u8],
        keys: &KeyColumns,
    ) -> Result<(Facts, usize), Reject> {
        let mut cursor = bounds.cursor(body)?;
        for (field, column) in envelope.root.fields.iter().zip(&mut self.fields) {
            match column {
                Some(column) => column.read(&mut cursor)?,
                None => cursor.walk(&field.node)?,
            }
        }
        cursor.end()?;
        let symbols = bounds.max_bytes - cursor.symbols_left;
        Ok((self.last(envelope, keys).judge()?, body.len() + symbols))
    }

    /// What is to be judged of the last row.
    fn last(&self, envelope: &Envelope, keys: &KeyColumns) -> Seen<'_> {
        let mut seen = Seen::default();
        for (column, role) in self.fields.iter().zip(&envelope.roles) {
            let Some(column) = column else { continue };
            match role {
                Role::Before => seen.before = keys.before.row(column.last_nulls()),
                Role::After => seen.after = keys.after.row(column.last_nulls()),
                Role::Source => seen.source = column.last_source(&envelope.source_roles),
                Role::Op => seen.op = column.last_text(),
                Role::Other => {}
            }
        }
        seen
    }

    /// The rows as a batch with the columns of [`COLUMNS`].
    pub(crate) fn finish(self, envelope: &Envelope) -> Result<RecordBatch, ArrowError> {
        let rows = self.len();
        let mut fields = self.fields;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(COLUMNS.len());
        for name in KEPT {
            let at = envelope.root.index(name);
            columns.push(match at.and_then(|at| Some((fields[at].take()?, &envelope.root.fields[at].node))) {
                Some((column, node)) => column.finish(node, rows, None)?,
                None => new_null_array(&DataType::Int64, rows),
            });
        }
        columns.push(self.order_keys.binary(None)?);
        columns.push(Arc::new(TimestampMicrosecondArray::new(self.source_ts.into(), None).with_timezone(UTC)));
        RecordBatch::try_new(part_schema(envelope), columns)
    }
}

impl Column {
    fn new(node: &Node, rows: usize) -> Self {
        match node {
            Node::Boolean => Self::Boolean(BooleanBufferBuilder::new(rows)),
            Node::Int(kind) => Self::Int(Vec::with_capacity(rows), *kind),
            Node::Long(kind) => Self::Long(Vec::with_capacity(rows), *kind),
            Node::Float => Self::Float(Vec::with_capacity(rows)),
            Node::Double => Self::Double(Vec::with_capacity(rows)),
            Node::Bytes => Self::Bytes(Bytes::with_capacity(rows)),
            Node::Text(_) => Self::Text(Bytes::with_capacity(rows)),
            Node::Decimal { precision, .. } => Self::Decimal(Vec::with_capacity(rows), *precision),
            Node::Enum(symbols) => Self::Enum(Bytes::with_capacity(rows), symbols.clone()),
            Node::Record(record) => {
                Self::Record(record.fields.iter().map(|field| Self::new(&field.node, rows)).collect())
            }
            Node::Array(item) => Self::Array(Vec::with_capacity(rows), item.cells(), Box::new(Self::new(item, 0))),
            Node::Map(item) => {
                let items = Box::new(Self::new(item, 0));
                Self::Map(Vec::with_capacity(rows), 1 + item.cells(), Bytes::default(), items)
            }
            Node::Nullable { null, inner } => {
                Self::Nullable(*null, NullBufferBuilder::new(rows), Box::new(Self::new(inner, rows)))
            }
        }
    }

    /// Checks a value and appends it. On a reject what was appended of it is still there.
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Reject> {
        match self {
            Self::Boolean(values) => values.append(cursor.boolean()?),
            Self::Int(values, IntKind::Plain) => values.push(cursor.int()?),
            Self::Int(values, IntKind::Date) => values.push(cursor.date()?),
            Self::Long(values, kind) => values.push(cursor.long_of(*kind)?),
            Self::Float(values) => values.push(f32::from_le_bytes(cursor.array()?)),
            Self::Double(values) => values.push(f64::from_le_bytes(cursor.array()?)),
            Self::Bytes(values) => values.push(cursor.bytes()?),
            Self::Text(values) => values.push(cursor.utf8()?),
            Self::Decimal(values, precision) => values.push(cursor.decimal(*precision)?),
            Self::Enum(values, symbols) => values.push(cursor.symbol(symbols)?.as_bytes()),
            Self::Record(columns) => return columns.iter_mut().try_for_each(|column| column.read(cursor)),
            Self::Array(ends, cells, items) => {
                let mut end = ends.last().copied().unwrap_or(0);
                cursor.blocks(*cells, |cursor| {
                    end += 1;
                    items.read(cursor)
                })?;
                ends.push(end);
            }
            Self::Map(ends, cells, keys, items) => {
                let mut end = ends.last().copied().unwrap_or(0);
                cursor.blocks(*cells, |cursor| {
                    end += 1;
                    keys.push(cursor.utf8()?);
                    items.read(cursor)
                })?;
                ends.push(end);
            }
            Self::Nullable(null, valid, values) => {
                let present = cursor.present(*null)?;
                valid.append(present);
                if present {
                    return values.read(cursor);
                }
                values.push_beneath_null();
            }
        }
        Ok(())
    }

    fn push_beneath_null(&mut self) {
        match self {
            Self::Boolean(values) => values.append(false),
            Self::Int(values, _) => values.push(0),
            Self::Long(values, _) => values.push(0),
            Self::Float(values) => values.push(0.0),
            Self::Double(values) => values.push(0.0),
            Self::Bytes(values) | Self::Text(values) | Self::Enum(values, _) => values.push(&[]),
            Self::Decimal(values, _) => values.push(0),
            Self::Record(columns) => columns.iter_mut().for_each(Self::push_beneath_null),
            Self::Array(ends, ..) | Self::Map(ends, ..) => ends.push(ends.last().copied().unwrap_or(0)),
            Self::Nullable(_, valid, values) => {
                valid.append_null();
                values.push_beneath_null();
            }
        }
    }

    /// Keeps the first rows; what a rejected message left of one more goes.
    fn truncate(&mut self, rows: usize) {
        let items = |ends: &[i32]| ends.last().map_or(0, |end| *end as usize);
        match self {
            Self::Boolean(values) => values.truncate(rows),
            Self::Int(values, _) => values.truncate(rows),
            Self::Long(values, _) => values.truncate(rows),
            Self::Float(values) => values.truncate(rows),
            Self::Double(values) => values.truncate(rows),
            Self::Bytes(values) | Self::Text(values) | Self::Enum(values, _) => values.truncate(rows),
            Self::Decimal(values, _) => values.truncate(rows),
            Self::Record(columns) => columns.iter_mut().for_each(|column| column.truncate(rows)),
            Self::Array(ends, _, values) => {
                ends.truncate(rows);
                values.truncate(items(ends));
            }
            Self::Map(ends, _, keys, values) => {
                ends.truncate(rows);
                keys.truncate(items(ends));
                values.truncate(items(ends));
            }
            Self::Nullable(_, valid, values) => {
                valid.truncate(rows);
                values.truncate(rows);
            }
        }
    }

    fn is_last_null(&self) -> bool {
        matches!(self, Self::Nullable(_, valid, _) if valid.len().checked_sub(1).is_some_and(|at| !valid.is_valid(at)))
    }

    /// The last value, unless it is null.
    fn last(&self) -> Option<&Self> {
        match self {
            Self::Nullable(..) if self.is_last_null() => None,
            Self::Nullable(_, _, values) => Some(values),
            _ => Some(self),
        }
    }

    fn last_row(&self) -> Option<&[Self]> {
        match self.last()? {
            Self::Record(columns) => Some(columns),
            _ => None,
        }
    }

    /// Which columns of the last row are null.
    fn last_nulls(&self) -> Option<impl Fn(usize) -> bool> {
        self.last_row().map(|columns| |at: usize| columns[at].is_last_null())
    }

    fn last_text(&self) -> Option<&[u8]> {
        match self.last()? {
            Self::Text(values) => values.last(),
            _ => None,
        }
    }

    fn last_long(&self) -> Option<i64> {
        match self.last()? {
            Self::Long(values, _) => values.last().copied(),
            _ => None,
        }
    }

    fn last_source(&self, roles: &[SourceRole]) -> Source<'_> {
        let mut source = Source::default();
        for (column, role) in self.last_row().into_iter().flatten().zip(roles) {
            match role {
                SourceRole::Connector => source.connector = column.last_text(),
                SourceRole::CommitLsn => source.commit_lsn = column.last_text(),
                SourceRole::ChangeLsn => source.change_lsn = column.last_text(),
                SourceRole::Sequence => source.sequence = column.last_text(),
                SourceRole::Serial => source.serial = column.last_long(),
                SourceRole::Millis => source.millis = column.last_long(),
                SourceRole::Micros => source.micros = column.last_long(),
                SourceRole::Nanos => source.nanos = column.last_long(),
                SourceRole::Other => {}
            }
        }
        source
    }

    fn finish(self, node: &Node, rows: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(match (self, node) {
            (Self::Nullable(_, mut valid, values), Node::Nullable { inner, .. }) => {
                let own = valid.finish().filter(|nulls| nulls.null_count() > 0);
                return values.finish(inner, rows, own);
            }
            (Self::Boolean(mut values), _) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            (Self::Int(values, IntKind::Plain), _) => Arc::new(Int32Array::new(values.into(), nulls)),
            (Self::Int(values, IntKind::Date), _) => Arc::new(Date32Array::new(values.into(), nulls)),
            (Self::Long(values, LongKind::Plain), _) => Arc::new(Int64Array::new(values.into(), nulls)),
            (Self::Long(values, _), _) => {
                let values: ScalarBuffer<i64> = values.into();
                Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone(UTC))
            }
            (Self::Float(values), _) => Arc::new(Float32Array::new(values.into(), nulls)),
            (Self::Double(values), _) => Arc::new(Float64Array::new(values.into(), nulls)),
            (Self::Bytes(values), _) => values.binary(nulls)?,
            (Self::Text(values) | Self::Enum(values, _), _) => values.text(nulls)?,
            (Self::Decimal(values, _), Node::Decimal { precision, scale }) => {
                let array = Decimal128Array::new(values.into(), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale as i8)?)
            }
            (Self::Record(columns), Node::Record(record)) => {
                let pairs = columns.into_iter().zip(&record.fields);
                let columns = pairs.map(|(column, field)| column.finish(&field.node, rows, None));
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields(record), columns, nulls, rows)?)
            }
            (Self::Array(ends, _, items), Node::Array(item)) => {
                let count = ends.last().map_or(0, |end| *end as usize);
                let items = items.finish(item, count, None)?;
                Arc::new(ListArray::try_new(element(item), offsets(ends), items, nulls)?)
            }
            (Self::Map(ends, _, keys, items), Node::Map(item)) => {
                let count = ends.last().map_or(0, |end| *end as usize);
                let columns = vec![keys.text(None)?, items.finish(item, count, None)?];
                let field = entries(item);
                let DataType::Struct(pair) = field.data_type() else { return Err(odd(node)) };
                let pairs = StructArray::try_new(pair.clone(), columns, None)?;
                Arc::new(MapArray::try_new(field, offsets(ends), pairs, nulls, false)?)
            }
            _ => return Err(odd(node)),
        })
    }
}

fn odd(node: &Node) -> ArrowError {
    ArrowError::CastError(format!("a column is no {node:?}"))
}

/// The schema of the parts of a writer schema.
pub fn part_schema(envelope: &Envelope) -> SchemaRef {
    let mut fields = Vec::with_capacity(COLUMNS.len());
    for name in KEPT {
        fields.push(match envelope.root.fields.iter().find(|field| field.name == *name) {
            Some(found) => field(name, &found.node),
            None => Field::new(*name, DataType::Int64, true), // `ts_ms`, which Debezium calls optional
        });
    }
    fields.push(Field::new(COLUMNS[5], DataType::Binary, false));
    fields.push(Field::new(COLUMNS[6], DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())), false));
    Arc::new(Schema::new(fields))
}

/// The Arrow type of a value.
fn data_type(node: &Node) -> DataType {
    match node {
        Node::Boolean => DataType::Boolean,
        Node::Int(IntKind::Plain) => DataType::Int32,
        Node::Int(IntKind::Date) => DataType::Date32,
        Node::Long(LongKind::Plain) => DataType::Int64,
        Node::Long(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Node::Float => DataType::Float32,
        Node::Double => DataType::Float64,
        Node::Bytes => DataType::Binary,
        Node::Text(_) | Node::Enum(_) => DataType::Utf8,
        Node::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        Node::Record(record) => DataType::Struct(fields(record)),
        Node::Array(item) => DataType::List(element(item)),
        Node::Map(item) => DataType::Map(entries(item), false),
        Node::Nullable { inner, .. } => data_type(inner),
    }
}

/// A column of this name. Every column is nullable: a table outlives the schema in which a column was not.
fn field(name: &str, node: &Node) -> Field {
    Field::new(name, data_type(node), true)
}

fn fields(record: &Record) -> Fields {
    record.fields.iter().map(|one| field(&one.name, &one.node)).collect()
}

fn element(item: &Node) -> FieldRef {
    Arc::new(field("element", item))
}

fn entries(item: &Node) -> FieldRef {
    let pair = vec![Field::new("key", DataType::Utf8, false), field("value", item)];
    Arc::new(Field::new("key_value", DataType::Struct(pair.into()), false))
}
