//! An Avro schema's JSON to a [`Node`]: names resolved, logical types of Avro, Connect and Debezium told apart, and
//! what the lake cannot hold refused with the path to it.

use std::sync::Arc;

use serde_json::Value as Json;
use weir_core::schema_id::SchemaId;

use crate::error::EnvelopeError;
use crate::tree::{Field, IntKind, LongKind, Node, Record, TextKind};

/// Schemas nest no deeper: before, after and source are 2 deep, a column of theirs seldom more than 5.
const MAX_DEPTH: usize = 16;
/// Values per row in Arrow; SQL Server has at most 1,024 columns in a table, here twice.
const MAX_CELLS: usize = 10_000;

/// Reads a type definition.
pub(crate) fn node(id: SchemaId, json: &Json) -> Result<Node, EnvelopeError> {
    Parser { id, named: Vec::new(), open: Vec::new(), path: Vec::new() }.node(json, "")
}

struct Parser {
    id: SchemaId,
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
        let node = Node::Record(Arc::new(Record { fields, cells, is_variable_decimal }));
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
