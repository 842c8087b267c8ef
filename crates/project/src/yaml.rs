//! YAML as a tree that knows where each key and value stands and how it was written.
//!
//! A subset on purpose: one document, no tags, no anchors; keys are texts. Scalars keep their text, so
//! that `0.10` stays a decimal and `1_000` is not taken for a number.

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::{Fault, Place, Problem};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub at: At,
    pub value: Value,
}

/// Line and column from 1, and how many characters to underline.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct At {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A scalar; `plain` when it was written without quotes and so may be null, a boolean or a number.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub at: At,
    pub value: Node,
}

/// What a scalar is under YAML's core schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Null,
    Bool,
    Integer,
    Number,
    Text,
}

impl ScalarKind {
    pub(crate) fn of(text: &str, plain: bool) -> Self {
        if !plain {
            return Self::Text;
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Self::Bool,
            _ => {}
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let all_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if all_digits(digits) {
            return Self::Integer;
        }
        let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
            None => (digits, None),
        };
        let whole_and_part = match mantissa.split_once('.') {
            Some((whole, part)) => {
                (all_digits(whole) || all_digits(part))
                    && (whole.is_empty() || all_digits(whole))
                    && (part.is_empty() || all_digits(part))
            }
            None => all_digits(mantissa) && exponent.is_some(),
        };
        if whole_and_part && exponent.is_none_or(all_digits) { Self::Number } else { Self::Text }
    }
}

impl Node {
    /// The value at a path of keys and list positions, or as much of the way as exists.
    pub(crate) fn nearest(&self, path: &[Step]) -> (&Node, Option<At>) {
        let mut node = self;
        let mut key_at = None;
        for step in path {
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    entries.iter().find(|e| e.key == *key).map(|e| (&e.value, Some(e.at)))
                }
                (Step::Index(index), Value::List(items)) => items.get(*index).map(|item| (item, None)),
                _ => None,
            };
            match next {
                Some((found, at)) => (node, key_at) = (found, at),
                None => break,
            }
        }
        (node, key_at)
    }

    /// The tree as JSON. Integers stay numbers; other numbers become their text, digit for digit.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar { text, plain } => match ScalarKind::of(text, *plain) {
                ScalarKind::Null => serde_json::Value::Null,
                ScalarKind::Bool => serde_json::Value::Bool(text.eq_ignore_ascii_case("true")),
                ScalarKind::Integer => match text.trim_start_matches('+').parse::<i64>() {
                    Ok(number) => number.into(),
                    Err(_) => text.clone().into(),
                },
                ScalarKind::Number | ScalarKind::Text => text.clone().into(),
            },
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect())
            }
        }
    }
}

/// One step of a path into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A file's text and its tree.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Path relative to the project's folder.
    pub file: String,
    pub text: String,
    pub root: Node,
}

impl Document {
    pub(crate) fn place(&self, at: At) -> Place {
        Place::at(&self.file, &self.text, at.line, at.column, at.width)
    }

    /// The place of the value at a path written `columns[3].type`.
    pub(crate) fn place_of(&self, path: &str) -> Place {
        let (node, key_at) = self.root.nearest(&steps(path));
        let at = match (&node.value, key_at) {
            (Value::Scalar { .. }, _) | (_, None) => node.at,
            (_, Some(key)) => key,
        };
        self.place(at)
    }
}

/// `columns[3].type` as steps. Keys of `stream.client` hold dots, so the rest after it is one key.
pub(crate) fn steps(path: &str) -> Vec<Step> {
    let mut out = Vec::new();
    if let Some(key) = path.strip_prefix("stream.client.") {
        return vec![Step::Key("stream".into()), Step::Key("client".into()), Step::Key(key.into())];
    }
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, rest) = part.split_once('[').map_or((part, ""), |(key, rest)| (key, rest));
        if !key.is_empty() {
            out.push(Step::Key(key.to_owned()));
        }
        let indexes = rest.split('[').filter_map(|index| index.trim_end_matches(']').parse().ok());
        out.extend(indexes.map(Step::Index));
    }
    out
}

/// Reads one document, with what is wrong with it. Broken grammar ends it; a duplicate key does not.
pub(crate) fn read(file: &str, text: &str) -> (Option<Document>, Vec<Problem>) {
    let mut reader = Reader { file, text, parser: Parser::new_from_str(text), problems: Vec::new() };
    match reader.document() {
        Ok(root) => {
            let document = Document { file: file.to_owned(), text: text.to_owned(), root };
            (Some(document), reader.problems)
        }
        Err(problem) => {
            reader.problems.push(*problem);
            (None, reader.problems)
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Box<Problem>> {
        loop {
            match self.parser.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => {
                    let mark = error.marker();
                    let place = Place::at(self.file, self.text, mark.line(), mark.col() + 1, 1);
                    return Err(Box::new(Problem::new(Fault::Syntax(error.info()), place)));
                }
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn refuse<T>(&self, what: &str, at: At) -> Result<T, Box<Problem>> {
        let place = Place::at(self.file, self.text, at.line, at.column, at.width);
        Err(Box::new(Problem::new(Fault::Syntax(what.to_owned()), place)))
    }

    fn document(&mut self) -> Result<Node, Box<Problem>> {
        let empty = Node { at: At { line: 1, column: 1, width: 1 }, value: Value::Map(Vec::new()) };
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, _) => return Ok(empty),
                (event, span) => break self.node(event, span)?,
            }
        };
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => break,
                (_, span) => return self.refuse("a second document in one file", at(&span)),
            }
        }
        // A file of comments only is an empty mapping.
        match &root.value {
            Value::Scalar { text, plain: true } if text.is_empty() => Ok(empty),
            _ => Ok(root),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Box<Problem>> {
        let here = at(&span);
        if event.tag().is_some() {
            return self.refuse("tags are not used in Weir's files", here);
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                self.no_anchor(anchor, here)?;
                let plain = style == ScalarStyle::Plain;
                Ok(Node { at: here, value: Value::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.no_anchor(anchor, here)?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => {
                            return Ok(Node { at: here, value: Value::List(items) });
                        }
                        (event, span) => items.push(self.node(event, span)?),
                    }
                }
            }
            Event::MappingStart(_, anchor, _) => {
                self.no_anchor(anchor, here)?;
                self.mapping(here)
            }
            Event::Alias(_) => self.refuse("aliases are not used in Weir's files", here),
            _ => self.refuse("a value is missing here", here),
        }
    }

    fn no_anchor(&self, anchor: usize, here: At) -> Result<(), Box<Problem>> {
        if anchor == 0 { Ok(()) } else { self.refuse("anchors are not used in Weir's files", here) }
    }

    fn mapping(&mut self, here: At) -> Result<Node, Box<Problem>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Node { at: here, value: Value::Map(entries) });
            }
            let key_at = at(&span);
            let Event::Scalar(key, ..) = event else {
                return self.refuse("a key must be a text", key_at);
            };
            let key = key.into_owned();
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            if entries.iter().any(|entry| entry.key == key) {
                let place = Place::at(self.file, self.text, key_at.line, key_at.column, key_at.width);
                self.problems.push(Problem::new(Fault::Duplicate { what: "key", name: key }, place));
            } else {
                entries.push(Entry { key, at: key_at, value });
            }
        }
    }
}

fn at(span: &Span) -> At {
    let (start, end) = (span.start, span.end);
    let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
    At { line: start.line(), column: start.col() + 1, width: width.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_what_yaml_says_it_is() {
        for (text, kind) in [
            ("", ScalarKind::Null),
            ("null", ScalarKind::Null),
            ("true", ScalarKind::Bool),
            ("yes", ScalarKind::Text),
            ("-12", ScalarKind::Integer),
            ("1_000", ScalarKind::Text),
            ("0.10", ScalarKind::Number),
            (".5", ScalarKind::Number),
            ("1e6", ScalarKind::Number),
            ("7d", ScalarKind::Text),
            (".", ScalarKind::Text),
            ("2024-01-01", ScalarKind::Text),
        ] {
            assert_eq!(ScalarKind::of(text, true), kind, "{text}");
        }
        assert_eq!(ScalarKind::of("12", false), ScalarKind::Text);
    }

    #[test]
    fn a_path_leads_to_the_line_of_its_value() {
        let text = "# a comment\ncolumns:\n  - {name: a, type: int}\n  - name: b\n    type: x\n";
        let document = read("a.yaml", text).0.expect("yaml");
        let place = document.place_of("columns[1].type");
        assert_eq!((place.line, place.column, place.width), (5, 11, 1));
        let missing = document.place_of("columns[1].nullable");
        assert_eq!((missing.line, missing.column), (4, 5));
    }

    #[test]
    fn anchors_tags_and_second_documents_are_refused() {
        for text in ["a: &x 1\n", "a: !!str 1\n", "a: 1\n---\nb: 2\n", "a: *x\n", "? [a]\n: 1\n", "a: [1\n"] {
            assert!(read("a.yaml", text).0.is_none(), "{text}");
        }
        assert!(read("a.yaml", "").1.is_empty());
        assert!(read("a.yaml", "# nothing\n").1.is_empty());
    }
}
