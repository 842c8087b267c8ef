//! Holds a YAML tree to a JSON Schema and reports every difference at its place.
//!
//! Knows the part of JSON Schema that the types in [`crate::file`] use.

use serde_json::{Map, Value as Json};

use crate::error::{Fault, Problem, suggest};
use crate::schema::follow;
use crate::yaml::{Document, Node, ScalarKind, Value};

/// Every way in which a document differs from its schema.
pub(crate) fn differences(document: &Document, schema: &Json) -> Vec<Problem> {
    let mut check = Check { document, root: schema, problems: Vec::new() };
    check.node(&document.root, schema, "");
    check.problems
}

struct Check<'a> {
    document: &'a Document,
    root: &'a Json,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn node(&mut self, node: &Node, schema: &Json, path: &str) {
        let schema = follow(self.root, schema);
        let expected = words(schema);
        match &node.value {
            Value::Map(entries) if types(schema).contains(&"object") => {
                let none = Map::new();
                let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
                for entry in entries {
                    let below = join(path, &entry.key);
                    match (properties.get(&entry.key), schema.get("additionalProperties")) {
                        (Some(property), _) => self.node(&entry.value, property, &below),
                        (None, Some(Json::Object(any))) => self.node(&entry.value, &Json::Object(any.clone()), &below),
                        (None, _) => {
                            let fault = Fault::UnknownKey { key: entry.key.clone(), parent: path.to_owned() };
                            let hint = suggest(&entry.key, properties.keys().map(String::as_str));
                            self.problems.push(Problem::new(fault, self.document.place(entry.at)).hint(hint));
                        }
                    }
                }
                for key in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
                    let Some(key) = key.as_str() else { continue };
                    if !entries.iter().any(|entry| entry.key == key) {
                        let fault = Fault::MissingKey { key: key.to_owned(), parent: path.to_owned() };
                        self.problems.push(Problem::new(fault, self.document.place(node.at)));
                    }
                }
            }
            Value::List(items) if types(schema).contains(&"array") => {
                let least = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
                if (items.len() as u64) < least {
                    self.wrong(node, path, "a list with at least one element".into(), "an empty list".into());
                }
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.node(item, schema, &format!("{path}[{index}]"));
                    }
                }
            }
            Value::Scalar { text, plain } => self.scalar(node, text, ScalarKind::of(text, *plain), schema, path),
            Value::Map(_) => self.wrong(node, path, expected, "a mapping".into()),
            Value::List(_) => self.wrong(node, path, expected, "a list".into()),
        }
    }

    fn scalar(&mut self, node: &Node, text: &str, kind: ScalarKind, schema: &Json, path: &str) {
        if let Some(choices) = choices(schema) {
            if !choices.contains(&text) {
                let fault = Fault::BadValue { path: path.to_owned(), reason: format!("`{text}` is not allowed") };
                let place = self.document.place(node.at);
                self.problems.push(Problem::new(fault, place).hint(suggest(text, choices)));
            }
            return;
        }
        let allowed = types(schema);
        let fits = match kind {
            ScalarKind::Null => allowed.contains(&"null"),
            ScalarKind::Bool => allowed.contains(&"boolean"),
            ScalarKind::Integer => allowed.contains(&"integer") || allowed.contains(&"number"),
            ScalarKind::Number => allowed.contains(&"number"),
            ScalarKind::Text => allowed.contains(&"string"),
        };
        if !fits {
            let found = match kind {
                ScalarKind::Null => "empty".to_owned(),
                ScalarKind::Bool => format!("the boolean {text}"),
                ScalarKind::Integer | ScalarKind::Number => format!("the number {text}"),
                ScalarKind::Text => "a text".to_owned(),
            };
            return self.wrong(node, path, words(schema), found);
        }
        if kind == ScalarKind::Integer && allowed == ["integer"] {
            let bound = |key: &str| schema.get(key).and_then(Json::as_i64);
            let (min, max) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::from(u32::MAX)));
            if !text.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number)) {
                let reason = format!("{text} is not between {min} and {max}");
                let fault = Fault::BadValue { path: path.to_owned(), reason };
                self.problems.push(Problem::new(fault, self.document.place(node.at)));
            }
        }
    }

    fn wrong(&mut self, node: &Node, path: &str, expected: String, found: String) {
        let path = if path.is_empty() { "the file".to_owned() } else { path.to_owned() };
        let hint = match (found.as_str(), expected.as_str()) {
            ("empty", _) => Some("give it a value, or remove the key".to_owned()),
            (found, "a text") if found.starts_with("the ") => Some("put it in quotes".to_owned()),
            _ => Some(format!("write {expected}")),
        };
        let fault = Fault::WrongType { path, expected, found };
        self.problems.push(Problem::new(fault, self.document.place(node.at)).hint(hint));
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(word)) => vec![word],
        Some(Json::Array(words)) => words.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words of an enum, whether schemars wrote it as `enum` or as `oneOf` constants with descriptions.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(Json::Array(words)) = schema.get("enum") {
        return Some(words.iter().filter_map(Json::as_str).collect());
    }
    let options = schema.get("oneOf")?.as_array()?;
    Some(options.iter().filter_map(|option| option.get("const")?.as_str()).collect())
}

fn words(schema: &Json) -> String {
    if let Some(choices) = choices(schema) {
        return format!("one of {}", choices.join(", "));
    }
    let word = |kind: &str| match kind {
        "object" => "a mapping",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "null" => "null",
        _ => "a text",
    };
    types(schema).into_iter().map(word).collect::<Vec<_>>().join(", ")
}
