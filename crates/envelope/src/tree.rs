//! A writer schema as a compact tree: what every walk over a message follows, made once per schema id.

use std::sync::Arc;

use serde_json::Value as Json;
use weir_core::schema_id::SchemaId;

use crate::error::EnvelopeError;
use crate::parse;

/// The type of a value in a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// One byte, 0 or 1.
    Boolean,
    /// 32 bits.
    Int(IntKind),
    /// 64 bits.
    Long(LongKind),
    /// IEEE 754 single.
    Float,
    /// IEEE 754 double.
    Double,
    /// Bytes without a meaning.
    Bytes,
    /// UTF-8.
    Text(TextKind),
    /// Two's-complement bytes, big-endian.
    Decimal {
        /// Digits in all, at most 38.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// One of these words.
    Enum(Arc<[String]>),
    /// Fields in order.
    Record(Arc<Record>),
    /// Items in blocks.
    Array(Arc<Node>),
    /// Text keys and items in blocks.
    Map(Arc<Node>),
    /// A union of null and another type.
    Nullable {
        /// Which branch is null: 0 or 1.
        null: u8,
        /// The other branch.
        inner: Arc<Node>,
    },
}

/// What an `int` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntKind {
    /// A number; also a time of day in milliseconds, which Delta has no type for.
    Plain,
    /// Days since 1970.
    Date,
}

/// What a `long` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongKind {
    /// A number; also a time of day.
    Plain,
    /// Milliseconds since 1970 UTC.
    Millis,
    /// Microseconds since 1970 UTC.
    Micros,
    /// Nanoseconds since 1970 UTC.
    Nanos,
}

/// What a `string` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// A text.
    Plain,
    /// Debezium's ZonedTimestamp: ISO 8601 with an offset.
    Zoned,
}

/// A record type.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its fields in order; at least one.
    pub fields: Vec<Field>,
    /// Values that one row of it makes in Arrow, arrays and maps aside.
    pub cells: usize,
    /// Debezium's VariableScaleDecimal: a scale and an unscaled value.
    pub is_variable_decimal: bool,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// `"name":`, for JSON.
    pub(crate) json_name: Box<[u8]>,
    /// Its type.
    pub node: Node,
}

/// Debezium's envelope in a writer schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The schema's id in the registry.
    pub id: SchemaId,
    /// The whole record.
    pub root: Arc<Record>,
    pub(crate) roles: Vec<Role>,
    pub(crate) source_roles: Vec<SourceRole>,
}

/// What a field of the envelope is to Weir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Before,
    After,
    Source,
    Op,
    Other,
}

/// What a field of the source block is to Weir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceRole {
    Connector,
    Millis,
    Micros,
    Nanos,
    CommitLsn,
    ChangeLsn,
    Serial,
    Sequence,
    Other,
}

impl Node {
    /// Values that one value of this type makes in Arrow, arrays and maps aside.
    pub fn cells(&self) -> usize {
        match self {
            Self::Record(record) => record.cells,
            Self::Nullable { inner, .. } => inner.cells(),
            _ => 1,
        }
    }

    /// The type itself, or the one beside null.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Nullable { inner, .. } => inner,
            other => other,
        }
    }

    /// The record, if it is one or a nullable one.
    pub fn record(&self) -> Option<&Arc<Record>> {
        match self.inner() {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }
}

impl Record {
    /// Where a field stands.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

impl Envelope {
    /// Reads a registry's schema text.
    pub fn parse(id: impl Into<SchemaId>, text: &str) -> Result<Self, EnvelopeError> {
        let id = id.into();
        let json: Json =
            serde_json::from_str(text).map_err(|error| EnvelopeError::NotASchema { id, problem: error.to_string() })?;
        let Node::Record(root) = parse::node(id, &json)? else {
            return Err(EnvelopeError::NotAnEnvelope { id, problem: "it is no record".into() });
        };
        Self::of(id, root)
    }

    fn of(id: SchemaId, root: Arc<Record>) -> Result<Self, EnvelopeError> {
        let no = |problem: String| EnvelopeError::NotAnEnvelope { id, problem };
        let field = |name: &str| {
            root.fields.iter().find(|field| field.name == name).ok_or_else(|| no(format!("it has no field `{name}`")))
        };
        for name in ["before", "after"] {
            if !matches!(&field(name)?.node, Node::Nullable { inner, .. } if matches!(**inner, Node::Record(_))) {
                return Err(no(format!("`{name}` is no nullable record")));
            }
        }
        let Node::Record(source) = &field("source")?.node else {
            return Err(no("`source` is no record".into()));
        };
        if field("op")?.node != Node::Text(TextKind::Plain) {
            return Err(no("`op` is no text".into()));
        }
        let roles = root.fields.iter().map(|field| match field.name.as_str() {
            "before" => Role::Before,
            "after" => Role::After,
            "source" => Role::Source,
            "op" => Role::Op,
            _ => Role::Other,
        });
        let source_roles = source.fields.iter().map(|field| match (field.name.as_str(), field.node.inner()) {
            ("connector", Node::Text(_)) => SourceRole::Connector,
            ("commit_lsn", Node::Text(_)) => SourceRole::CommitLsn,
            ("change_lsn", Node::Text(_)) => SourceRole::ChangeLsn,
            ("sequence", Node::Text(_)) => SourceRole::Sequence,
            ("event_serial_no", Node::Long(LongKind::Plain)) => SourceRole::Serial,
            ("ts_ms", Node::Long(LongKind::Plain)) => SourceRole::Millis,
            ("ts_us", Node::Long(LongKind::Plain)) => SourceRole::Micros,
            ("ts_ns", Node::Long(LongKind::Plain)) => SourceRole::Nanos,
            _ => SourceRole::Other,
        });
        let (roles, source_roles): (Vec<_>, Vec<_>) = (roles.collect(), source_roles.collect());
        if !source_roles.contains(&SourceRole::Connector) {
            return Err(no("`source` has no text `connector`".into()));
        }
        Ok(Self { id, roles, source_roles, root })
    }

    /// The record of `before` or `after`.
    pub fn row(&self, image: &str) -> Option<&Arc<Record>> {
        self.root.index(image).and_then(|at| self.root.fields[at].node.record())
    }
}
