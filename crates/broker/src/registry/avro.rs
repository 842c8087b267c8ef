//! Avro schemas as the registry must understand them: checked, names resolved, ready to be compared.
//!
//! Follows "Apache Avro 1.12 Specification: Schema Declaration". Logical types are attributes and change
//! nothing about which bytes can be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A type; named ones are looked up in [`Schema::named`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Primitive(Primitive),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// Full name.
    Named(String),
}

/// The types without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) kind: Type,
    pub(super) has_default: bool,
}

/// What stands behind a full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Record { aliases: Vec<String>, fields: Vec<Field> },
    Enum { aliases: Vec<String>, symbols: BTreeSet<String>, has_default: bool },
    Fixed { aliases: Vec<String>, size: u64 },
}

/// A whole schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) root: Type,
    pub(super) named: BTreeMap<String, Named>,
}

/// Why a text is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSchema {
    #[error("it is no JSON: {0}")]
    Json(String),
    #[error("{at}: {what} is missing")]
    Missing { at: String, what: &'static str },
    #[error("{at}: no type `{name}`")]
    UnknownType { at: String, name: String },
    #[error("{at}: `{name}` is no name")]
    Name { at: String, name: String },
    #[error("{at}: `{name}` is there twice")]
    Twice { at: String, name: String },
    #[error("{at}: a union stands directly in a union")]
    NestedUnion { at: String },
    #[error("{at}: the default does not fit the type")]
    Default { at: String },
    #[error("{at}: this is no schema")]
    Shape { at: String },
    #[error("it is nested too deeply")]
    Deep,
}

/// Types may stand in each other so deep.
const DEEPEST: usize = 64;

impl Primitive {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }

    fn accepts(self, default: &Value) -> bool {
        match self {
            Self::Null => default.is_null(),
            Self::Boolean => default.is_boolean(),
            Self::Int => default.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            Self::Long => default.is_i64(),
            Self::Float | Self::Double => default.is_number(),
            Self::Bytes | Self::String => default.is_string(),
        }
    }
}

impl Schema {
    /// Reads a schema and checks it.
    pub(super) fn parse(text: &str) -> Result<Self, BadSchema> {
        let json: Value = serde_json::from_str(text).map_err(|e| BadSchema::Json(e.to_string()))?;
        let mut reader = Reader { named: BTreeMap::new(), defaults: Vec::new(), depth: 0 };
        let root = reader.read(&json, "", "$")?;
        let schema = Self { root, named: reader.named };
        // Last, because a default may be of a type that is declared further down.
        for (at, kind, default) in reader.defaults {
            if !schema.accepts(&kind, &default) {
                return Err(BadSchema::Default { at });
            }
        }
        Ok(schema)
    }

    fn accepts(&self, kind: &Type, default: &Value) -> bool {
        match kind {
            Type::Primitive(primitive) => primitive.accepts(default),
            Type::Array(items) => default.as_array().is_some_and(|a| a.iter().all(|v| self.accepts(items, v))),
            Type::Map(values) => default.as_object().is_some_and(|o| o.values().all(|v| self.accepts(values, v))),
            // The specification wants the first branch; Avro 1.12 and Debezium take any.
            Type::Union(branches) => branches.iter().any(|b| self.accepts(b, default)),
            Type::Named(name) => match self.named.get(name) {
                Some(Named::Record { fields, .. }) => default.as_object().is_some_and(|o| {
                    fields.iter().all(|f| o.get(&f.name).map_or(f.has_default, |v| self.accepts(&f.kind, v)))
                }),
                Some(Named::Enum { symbols, .. }) => default.as_str().is_some_and(|s| symbols.contains(s)),
                Some(Named::Fixed { size, .. }) => default.as_str().is_some_and(|s| s.chars().count() as u64 == *size),
                None => false,
            },
        }
    }
}

struct Reader {
    named: BTreeMap<String, Named>,
    defaults: Vec<(String, Type, Value)>,
    depth: usize,
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The full name of `name` as written in `namespace`.
fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn texts(json: Option<&Value>) -> Vec<String> {
    let list = json.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

impl Reader {
    fn read(&mut self, json: &Value, namespace: &str, at: &str) -> Result<Type, BadSchema> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(BadSchema::Deep);
        }
        let kind = match json {
            Value::String(name) => self.reference(name, namespace, at),
            Value::Array(branches) => self.union(branches, namespace, at),
            Value::Object(object) => self.object(object, namespace, at),
            _ => Err(BadSchema::Shape { at: at.into() }),
        };
        self.depth -= 1;
        kind
    }

    fn reference(&self, name: &str, namespace: &str, at: &str) -> Result<Type, BadSchema> {
        if let Some(primitive) = Primitive::of(name) {
            return Ok(Type::Primitive(primitive));
        }
        let full = full_name(name, namespace);
        if self.named.contains_key(&full) {
            return Ok(Type::Named(full));
        }
        Err(BadSchema::UnknownType { at: at.into(), name: name.into() })
    }

    fn union(&mut self, branches: &[Value], namespace: &str, at: &str) -> Result<Type, BadSchema> {
        let mut kinds: Vec<Type> = Vec::with_capacity(branches.len());
        for (n, branch) in branches.iter().enumerate() {
            let at = format!("{at}[{n}]");
            let kind = self.read(branch, namespace, &at)?;
            let same = |other: &Type| match (other, &kind) {
                (Type::Array(_), Type::Array(_)) | (Type::Map(_), Type::Map(_)) => true,
                (a, b) => a == b,
            };
            if matches!(kind, Type::Union(_)) {
                return Err(BadSchema::NestedUnion { at });
            }
            if kinds.iter().any(same) {
                return Err(BadSchema::Twice { at, name: branch.to_string() });
            }
            kinds.push(kind);
        }
        Ok(Type::Union(kinds))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, at: &str) -> Result<Type, BadSchema> {
        let missing = |what| BadSchema::Missing { at: at.into(), what };
        let kind = object.get("type").ok_or_else(|| missing("`type`"))?;
        match kind.as_str() {
            Some("record" | "error" | "enum" | "fixed") => self.named(object, namespace, at),
            Some("array") => {
                let items = object.get("items").ok_or_else(|| missing("`items`"))?;
                Ok(Type::Array(Box::new(self.read(items, namespace, &format!("{at}.items"))?)))
            }
            Some("map") => {
                let values = object.get("values").ok_or_else(|| missing("`values`"))?;
                Ok(Type::Map(Box::new(self.read(values, namespace, &format!("{at}.values"))?)))
            }
            _ => self.read(kind, namespace, at),
        }
    }

    fn named(&mut self, object: &Map<String, Value>, namespace: &str, at: &str) -> Result<Type, BadSchema> {
        let missing = |what| BadSchema::Missing { at: at.into(), what };
        let name = object.get("name").and_then(Value::as_str).ok_or_else(|| missing("`name`"))?;
        let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        if !full.split('.').all(is_name) || Primitive::of(&full).is_some() {
            return Err(BadSchema::Name { at: at.into(), name: full });
        }
        let inner = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let aliases = texts(object.get("aliases")).iter().map(|a| full_name(a, &inner)).collect();
        // Known before its fields are read, so that a record may hold itself.
        let placeholder = Named::Fixed { aliases: Vec::new(), size: 0 };
        if self.named.insert(full.clone(), placeholder).is_some() {
            return Err(BadSchema::Twice { at: at.into(), name: full });
        }
        let named = match object.get("type").and_then(Value::as_str) {
            Some("enum") => {
                let symbols = texts(object.get("symbols"));
                for symbol in &symbols {
                    if !is_name(symbol) {
                        return Err(BadSchema::Name { at: at.into(), name: symbol.clone() });
                    }
                }
                let set: BTreeSet<_> = symbols.iter().cloned().collect();
                if set.len() != symbols.len() {
                    return Err(BadSchema::Twice { at: at.into(), name: "a symbol".into() });
                }
                if set.is_empty() {
                    return Err(missing("`symbols`"));
                }
                let default = object.get("default");
                if default.is_some_and(|d| !d.as_str().is_some_and(|d| set.contains(d))) {
                    return Err(BadSchema::Default { at: at.into() });
                }
                Named::Enum { aliases, symbols: set, has_default: default.is_some() }
            }
            Some("fixed") => {
                let size = object.get("size").and_then(Value::as_u64).ok_or_else(|| missing("`size`"))?;
                Named::Fixed { aliases, size }
            }
            _ => Named::Record { aliases, fields: self.fields(object, &inner, at)? },
        };
        self.named.insert(full.clone(), named);
        Ok(Type::Named(full))
    }

    fn fields(&mut self, object: &Map<String, Value>, namespace: &str, at: &str) -> Result<Vec<Field>, BadSchema> {
        let missing = |at: &str, what| BadSchema::Missing { at: at.into(), what };
        let list = object.get("fields").and_then(Value::as_array).ok_or_else(|| missing(at, "`fields`"))?;
        let mut fields: Vec<Field> = Vec::with_capacity(list.len());
        for json in list {
            let name = json.get("name").and_then(Value::as_str).ok_or_else(|| missing(at, "a field's `name`"))?;
            let at = format!("{at}.{name}");
            if !is_name(name) {
                return Err(BadSchema::Name { at, name: name.into() });
            }
            if fields.iter().any(|f| f.name == name) {
                return Err(BadSchema::Twice { at, name: name.into() });
            }
            let kind = self.read(json.get("type").ok_or_else(|| missing(&at, "`type`"))?, namespace, &at)?;
            let default = json.get("default");
            if let Some(default) = default {
                self.defaults.push((at, kind.clone(), default.clone()));
            }
            fields.push(Field {
                name: name.into(),
                aliases: texts(json.get("aliases")),
                kind,
                has_default: default.is_some(),
            });
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_in_their_namespace_and_a_record_may_hold_itself() {
        let text = r#"{"type":"record","name":"Node","namespace":"a.b","fields":[
            {"name":"next","type":["null","Node"],"default":null},
            {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["X"]}},
            {"name":"again","type":"a.b.Kind","default":"X"},
            {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":3}}]}"#;
        let schema = Schema::parse(text).unwrap();
        assert_eq!(schema.root, Type::Named("a.b.Node".into()));
        assert!(schema.named.contains_key("a.b.Kind"));
    }

    #[test]
    fn a_default_of_any_branch_fits_a_union_as_debezium_writes_it() {
        let text = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["string","null"],"default":null},
            {"name":"b","type":[{"type":"string","connect.default":"x"},"null"],"default":"x"}]}"#;
        Schema::parse(text).unwrap();
    }

    #[test]
    fn what_is_no_schema_is_refused_with_the_place() {
        for (text, message) in [
            ("{", "no JSON"),
            ("7", "$: this is no schema"),
            (r#""strin""#, "no type `strin`"),
            (r#"{"type":"record","name":"R"}"#, "`fields` is missing"),
            (r#"{"type":"record","name":"1R","fields":[]}"#, "`1R` is no name"),
            (
                r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
                "$.a: `a` is there twice",
            ),
            (
                r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#,
                "$.a: the default does not fit",
            ),
            (r#"["null",["int"]]"#, "directly in a union"),
            (r#"["int","int"]"#, "there twice"),
            (r#"{"type":"fixed","name":"F"}"#, "`size` is missing"),
            (r#"{"type":"enum","name":"E","symbols":["a"],"default":"b"}"#, "the default does not fit"),
        ] {
            let error = Schema::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let deep = format!("{}{}{}", r#"{"type":"array","items":"#.repeat(500), r#""int""#, "}".repeat(500));
        assert!(Schema::parse(&deep).is_err());
    }
}
