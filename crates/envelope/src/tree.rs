//! A writer schema as a compact tree: what every walk over a message follows, made once per schema id.
//!
//! The tree also writes a plain schema of its own for arrow-avro ([`Envelope::plain_schema`]): the same bytes, without
//! defaults, aliases, documentation or logical types other than decimals. What a column means, the tree knows.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::error::EnvelopeError;

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
    /// Its full Avro name.
    pub name: String,
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
    pub id: u32,
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

/// Schemas nest no deeper: before, after and source are 2 deep, a column of theirs seldom more than 5.
const MAX_DEPTH: usize = 16;
/// Values per row in Arrow; SQL Server has at most 1,024 columns in a table, here twice.
const MAX_CELLS: usize = 10_000;

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
    pub fn parse(id: u32, text: &str) -> Result<Self, EnvelopeError> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| EnvelopeError::NotASchema { id, problem: error.to_string() })?;
        let mut parser = Parser { id, named: Vec::new(), open: Vec::new(), path: Vec::new() };
        let Node::Record(root) = parser.node(&json, "")? else {
            return Err(EnvelopeError::NotAnEnvelope { id, problem: "it is no record".into() });
        };
        Self::of(id, root)
    }

    fn of(id: u32, root: Arc<Record>) -> Result<Self, EnvelopeError> {
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

    /// A schema for the same bytes with nothing in it but names, types and decimals.
    pub fn plain_schema(&self) -> String {
        let mut written = Vec::new();
        plain_record(&self.root, &mut written).to_string()
    }
}

fn plain(node: &Node, written: &mut Vec<Arc<Record>>) -> Json {
    match node {
        Node::Boolean => json!("boolean"),
        Node::Int(_) => json!("int"),
        Node::Long(_) => json!("long"),
        Node::Float => json!("float"),
        Node::Double => json!("double"),
        Node::Bytes => json!("bytes"),
        Node::Text(_) => json!("string"),
        Node::Decimal { precision, scale } => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        // Words are checked against the symbols before; each use gets a name of its own.
        Node::Enum(symbols) => {
            let name = format!("e{}", written.len());
            written.push(Arc::new(Record {
                name: String::new(),
                fields: Vec::new(),
                cells: 0,
                is_variable_decimal: false,
            }));
            json!({"type": "enum", "name": name, "symbols": &symbols[..]})
        }
        Node::Record(record) => plain_record(record, written),
        Node::Array(item) => json!({"type": "array", "items": plain(item, written)}),
        Node::Map(item) => json!({"type": "map", "values": plain(item, written)}),
        Node::Nullable { null: 0, inner } => json!(["null", plain(inner, written)]),
        Node::Nullable { inner, .. } => json!([plain(inner, written), "null"]),
    }
}

fn plain_record(record: &Arc<Record>, written: &mut Vec<Arc<Record>>) -> Json {
    if let Some(at) = written.iter().position(|known| Arc::ptr_eq(known, record)) {
        return json!(format!("r{at}"));
    }
    let name = format!("r{}", written.len());
    written.push(Arc::clone(record));
    let fields: Vec<Json> =
        record.fields.iter().map(|field| json!({"name": field.name, "type": plain(&field.node, written)})).collect();
    json!({"type": "record", "name": name, "fields": fields})
}

struct Parser {
    id: u32,
    named: Vec<(String, Node)>,
    /// Names of the records that are being read; one of them inside itself is recursion.
    open: Vec<String>,
    path: Vec<String>,
}

impl Parser {
    fn broken(&self, problem: impl Into<String>) -> EnvelopeError {
        EnvelopeError::NotASchema { id: self.id, problem: problem.into() }
    }

    fn unsupported(&self, what: impl Into<String>) -> EnvelopeError {
        let field = if self.path.is_empty() { "the schema".into() } else { self.path.join(".") };
        EnvelopeError::Unsupported { id: self.id, field, what: what.into() }
    }

    fn node(&mut self, json: &Json, namespace: &str) -> Result<Node, EnvelopeError> {
        match json {
            Json::String(name) => self.by_name(name, &Json::Null, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => match object.get("type") {
                Some(Json::String(name)) => match name.as_str() {
                    "record" => self.record(json, namespace),
                    "enum" => self.enumeration(json, namespace),
                    "array" => Ok(Node::Array(Arc::new(self.part(json, "items", namespace)?))),
                    "map" => Ok(Node::Map(Arc::new(self.part(json, "values", namespace)?))),
                    "fixed" => Err(self.unsupported("a fixed-size binary")),
                    _ => self.by_name(name, json, namespace),
                },
                Some(inner) => self.node(inner, namespace),
                None => Err(self.broken("a type without `type`")),
            },
            _ => Err(self.broken("a type is neither text, list nor object")),
        }
    }

    fn part(&mut self, json: &Json, name: &str, namespace: &str) -> Result<Node, EnvelopeError> {
        let inner = json.get(name).ok_or_else(|| self.broken(format!("no `{name}`")))?;
        if self.path.len() >= MAX_DEPTH {
            return Err(self.unsupported(format!("more than {MAX_DEPTH} levels")));
        }
        self.path.push("[]".into());
        let node = self.node(inner, namespace)?;
        self.path.pop();
        Ok(node)
    }

    /// A primitive with its attributes, or a reference to a type that was defined before.
    fn by_name(&self, name: &str, attributes: &Json, namespace: &str) -> Result<Node, EnvelopeError> {
        let text = |key: &str| attributes.get(key).and_then(Json::as_str).unwrap_or_default();
        let (connect, logical) = (text("connect.name"), text("logicalType"));
        Ok(match name {
            "null" => return Err(self.unsupported("a column that is always null")),
            "boolean" => Node::Boolean,
            "int" => Node::Int(match (connect, logical) {
                ("io.debezium.time.Date" | "org.apache.kafka.connect.data.Date", _) | (_, "date") => IntKind::Date,
                _ => IntKind::Plain,
            }),
            "long" => Node::Long(long_kind(connect, logical)),
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" if logical == "decimal" || connect == "org.apache.kafka.connect.data.Decimal" => {
                self.decimal(attributes)?
            }
            "bytes" => Node::Bytes,
            "string" if connect == "io.debezium.time.ZonedTimestamp" => Node::Text(TextKind::Zoned),
            "string" => Node::Text(TextKind::Plain),
            _ => {
                let full = full_name(name, namespace);
                if self.open.contains(&full) {
                    return Err(self.unsupported("a type inside itself"));
                }
                let known = self.named.iter().find(|(known, _)| *known == full || known == name);
                known.map(|(_, node)| node.clone()).ok_or_else(|| self.broken(format!("unknown type `{name}`")))?
            }
        })
    }

    fn decimal(&self, attributes: &Json) -> Result<Node, EnvelopeError> {
        let number = |key: &str, parameter: &str| {
            attributes
                .get(key)
                .and_then(Json::as_i64)
                .or_else(|| attributes.get("connect.parameters")?.get(parameter)?.as_str()?.parse::<i64>().ok())
        };
        // A converter that was not told the precision writes its default, 64; values are checked against 38.
        let precision = number("precision", "connect.decimal.precision").unwrap_or(38).clamp(1, 38);
        let scale = number("scale", "scale").unwrap_or(0);
        if !(0..=precision).contains(&scale) {
            return Err(self.unsupported(format!("a decimal of scale {scale}")));
        }
        Ok(Node::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn union(&mut self, branches: &[Json], namespace: &str) -> Result<Node, EnvelopeError> {
        let is_null = |json: &Json| json == "null" || json.get("type").is_some_and(|kind| kind == "null");
        let (null, other) = match branches {
            [a, b] if is_null(a) && !is_null(b) => (0, b),
            [a, b] if is_null(b) && !is_null(a) => (1, a),
            _ => return Err(self.unsupported(format!("a union of {} types", branches.len()))),
        };
        match self.node(other, namespace)? {
            Node::Nullable { .. } => Err(self.broken("a union directly inside a union")),
            inner => Ok(Node::Nullable { null, inner: Arc::new(inner) }),
        }
    }

    fn enumeration(&mut self, json: &Json, namespace: &str) -> Result<Node, EnvelopeError> {
        let (full, _) = self.names(json, namespace)?;
        let symbols: Option<Vec<String>> = json
            .get("symbols")
            .and_then(Json::as_array)
            .and_then(|list| list.iter().map(|word| word.as_str().map(str::to_owned)).collect());
        let node = match symbols {
            Some(words) if words.iter().all(|word| is_name(word)) && !words.is_empty() => Node::Enum(words.into()),
            _ => return Err(self.broken(format!("enum `{full}` has no symbols"))),
        };
        self.named.push((full, node.clone()));
        Ok(node)
    }

    fn record(&mut self, json: &Json, namespace: &str) -> Result<Node, EnvelopeError> {
        let (full, namespace) = self.names(json, namespace)?;
        let Some(list) = json.get("fields").and_then(Json::as_array).filter(|list| !list.is_empty()) else {
            return Err(self.unsupported("a record without fields"));
        };
        if self.path.len() >= MAX_DEPTH {
            return Err(self.unsupported(format!("more than {MAX_DEPTH} levels")));
        }
        if self.open.contains(&full) {
            return Err(self.unsupported("a type inside itself"));
        }
        self.open.push(full.clone());
        let mut fields: Vec<Field> = Vec::with_capacity(list.len());
        let mut cells = 1_usize;
        for field in list {
            let name = field.get("name").and_then(Json::as_str).filter(|name| is_name(name));
            let (Some(name), Some(kind)) = (name, field.get("type")) else {
                return Err(self.broken(format!("a field of `{full}` has no name or no type")));
            };
            if fields.iter().any(|known| known.name == name) {
                return Err(self.broken(format!("`{full}` has two fields `{name}`")));
            }
            self.path.push(name.to_owned());
            let node = self.node(kind, &namespace)?;
            cells = cells.saturating_add(node.cells());
            if cells > MAX_CELLS {
                return Err(self.unsupported(format!("more than {MAX_CELLS} values in a row")));
            }
            self.path.pop();
            let json_name = format!("\"{name}\":").into_bytes().into();
            fields.push(Field { name: name.to_owned(), json_name, node });
        }
        self.open.pop();
        let is_variable_decimal = is_variable_decimal(&full, &fields);
        let node = Node::Record(Arc::new(Record { name: full.clone(), fields, cells, is_variable_decimal }));
        self.named.push((full, node.clone()));
        Ok(node)
    }

    /// The full name of a definition, and the namespace inside it.
    fn names(&self, json: &Json, outer: &str) -> Result<(String, String), EnvelopeError> {
        let text = |key: &str| json.get(key).and_then(Json::as_str);
        let name = text("name").ok_or_else(|| self.broken("a definition without `name`"))?;
        let full = full_name(name, text("namespace").unwrap_or(outer));
        let namespace = full.rsplit_once('.').map(|(namespace, _)| namespace.to_owned()).unwrap_or_default();
        Ok((full, namespace))
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_variable_decimal(name: &str, fields: &[Field]) -> bool {
    name == "io.debezium.data.VariableScaleDecimal"
        && matches!(fields, [scale, value] if scale.name == "scale" && scale.node == Node::Int(IntKind::Plain)
            && value.name == "value" && value.node == Node::Bytes)
}

fn long_kind(connect: &str, logical: &str) -> LongKind {
    match connect {
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => LongKind::Millis,
        "io.debezium.time.MicroTimestamp" => LongKind::Micros,
        "io.debezium.time.NanoTimestamp" => LongKind::Nanos,
        _ => match logical.strip_prefix("local-").unwrap_or(logical) {
            "timestamp-millis" => LongKind::Millis,
            "timestamp-micros" => LongKind::Micros,
            "timestamp-nanos" => LongKind::Nanos,
            _ => LongKind::Plain,
        },
    }
}
