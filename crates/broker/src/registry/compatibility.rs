//! Can data written with one schema be read with another? Avro's schema resolution, and Confluent's levels over it.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::avro::{Field, Named, Primitive, Schema, Type};

/// What a new schema of a subject must get on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Level {
    /// Anything goes.
    None,
    /// The new one reads what the last one wrote.
    Backward,
    /// The new one reads what any earlier one wrote.
    BackwardTransitive,
    /// The last one reads what the new one writes.
    Forward,
    /// Every earlier one reads what the new one writes.
    ForwardTransitive,
    /// Both ways with the last one.
    Full,
    /// Both ways with every earlier one.
    FullTransitive,
}

impl Level {
    /// Every level, by Confluent's name.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::None, "NONE"),
        (Self::Backward, "BACKWARD"),
        (Self::BackwardTransitive, "BACKWARD_TRANSITIVE"),
        (Self::Forward, "FORWARD"),
        (Self::ForwardTransitive, "FORWARD_TRANSITIVE"),
        (Self::Full, "FULL"),
        (Self::FullTransitive, "FULL_TRANSITIVE"),
    ];

    /// Confluent's name.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("NONE", |(_, name)| name)
    }

    fn reads_backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    fn reads_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// What is wrong between a new schema and the earlier ones, oldest first; empty: nothing.
    pub(super) fn problems(self, new: &Schema, earlier: &[Schema]) -> Vec<String> {
        let compared = if self.is_transitive() { earlier } else { &earlier[earlier.len().saturating_sub(1)..] };
        let mut out = Vec::new();
        for old in compared {
            if self.reads_backward() {
                out.extend(unreadable(new, old).into_iter().map(|p| format!("new schema cannot read old data: {p}")));
            }
            if self.reads_forward() {
                out.extend(unreadable(old, new).into_iter().map(|p| format!("old schema cannot read new data: {p}")));
            }
        }
        out
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = Self::ALL.iter().find(|(_, name)| text.eq_ignore_ascii_case(name));
        found.map(|(level, _)| *level).ok_or(())
    }
}

/// Why `reader` cannot read every datum of `writer`; empty when it can.
pub(super) fn unreadable(reader: &Schema, writer: &Schema) -> Vec<String> {
    let mut check = Check { reader, writer, seen: BTreeSet::new(), problems: Vec::new() };
    check.compare(&reader.root, &writer.root, "$");
    check.problems
}

struct Check<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    /// Pairs of names under way or done: a record that holds itself ends here.
    seen: BTreeSet<(String, String)>,
    problems: Vec<String>,
}

fn simple(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

/// Names match without their namespace, as in Avro; the reader's aliases count too.
fn names_match(reader: &str, aliases: &[String], writer: &str) -> bool {
    simple(reader) == simple(writer) || aliases.iter().any(|a| simple(a) == simple(writer))
}

fn promotes(reader: Primitive, writer: Primitive) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    reader == writer
        || matches!(
            (reader, writer),
            (Long, Int) | (Float, Int | Long) | (Double, Int | Long | Float) | (String, Bytes) | (Bytes, String)
        )
}

impl Check<'_> {
    /// True when the reader's type reads the writer's; notes nothing.
    fn reads(&self, reader: &Type, writer: &Type) -> bool {
        let mut quiet =
            Check { reader: self.reader, writer: self.writer, seen: self.seen.clone(), problems: Vec::new() };
        quiet.compare(reader, writer, "");
        quiet.problems.is_empty()
    }

    fn compare(&mut self, reader: &Type, writer: &Type, at: &str) {
        match (reader, writer) {
            (_, Type::Union(branches)) => {
                for (n, branch) in branches.iter().enumerate() {
                    self.compare(reader, branch, &format!("{at}[{n}]"));
                }
            }
            (Type::Union(branches), _) => {
                if !branches.iter().any(|b| self.reads(b, writer)) {
                    self.problems.push(format!("{at}: no branch of the union reads {}", self.describe(writer)));
                }
            }
            (Type::Primitive(r), Type::Primitive(w)) if promotes(*r, *w) => {}
            (Type::Array(r), Type::Array(w)) => self.compare(r, w, &format!("{at}.items")),
            (Type::Map(r), Type::Map(w)) => self.compare(r, w, &format!("{at}.values")),
            (Type::Named(r), Type::Named(w)) => self.compare_named(r, w, at),
            _ => self.problems.push(format!("{at}: the type was {}", self.describe(writer))),
        }
    }

    fn describe(&self, writer: &Type) -> String {
        match writer {
            Type::Primitive(p) => format!("{p:?}").to_lowercase(),
            Type::Array(_) => "an array".into(),
            Type::Map(_) => "a map".into(),
            Type::Union(_) => "a union".into(),
            Type::Named(name) => format!("`{name}`"),
        }
    }

    fn compare_named(&mut self, r: &str, w: &str, at: &str) {
        if !self.seen.insert((r.to_owned(), w.to_owned())) {
            return;
        }
        let (reader, writer) = (self.reader, self.writer);
        match (reader.named.get(r), writer.named.get(w)) {
            (Some(Named::Record { aliases, fields }), Some(Named::Record { fields: written, .. })) => {
                self.check_name(r, aliases, w, at);
                self.compare_fields(fields, written, at);
            }
            (Some(Named::Enum { aliases, symbols, has_default }), Some(Named::Enum { symbols: written, .. })) => {
                self.check_name(r, aliases, w, at);
                let unknown: Vec<_> = written.difference(symbols).map(String::as_str).collect();
                if !unknown.is_empty() && !has_default {
                    let unknown = unknown.join(", ");
                    self.problems.push(format!("{at}: symbols {unknown} are gone and the enum has no default"));
                }
            }
            (Some(Named::Fixed { aliases, size }), Some(Named::Fixed { size: written, .. })) => {
                self.check_name(r, aliases, w, at);
                if size != written {
                    self.problems.push(format!("{at}: the size was {written}"));
                }
            }
            _ => self.problems.push(format!("{at}: `{w}` was another kind of type")),
        }
    }

    fn check_name(&mut self, reader: &str, aliases: &[String], writer: &str, at: &str) {
        if !names_match(reader, aliases, writer) {
            self.problems.push(format!("{at}: the name was `{writer}`"));
        }
    }

    fn compare_fields(&mut self, fields: &[Field], written: &[Field], at: &str) {
        for field in fields {
            let at = format!("{at}.{}", field.name);
            let same = written.iter().find(|w| w.name == field.name);
            match same.or_else(|| written.iter().find(|w| field.aliases.contains(&w.name))) {
                Some(found) => self.compare(&field.kind, &found.kind, &at),
                None if field.has_default => {}
                None => self.problems.push(format!("{at}: the field was not there and has no default")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        Schema::parse(text).unwrap()
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"n.R","fields":[{fields}]}}"#)
    }

    const A: &str = r#"{"name":"a","type":"int"}"#;

    /// (reader, writer, readable), as Avro's own compatibility tests have them.
    fn cases() -> Vec<(String, String, bool)> {
        let f = |kind: &str| record(&format!(r#"{{"name":"a","type":{kind}}}"#));
        let e = |symbols: &str, rest: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{rest}}}"#);
        let fixed = |size: u8| format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#);
        let q = |s: &str| format!("\"{s}\"");
        let mut cases = vec![
            (record(&format!(r#"{A},{{"name":"b","type":"int","default":0}}"#)), record(A), true),
            (record(&format!(r#"{A},{{"name":"b","type":"int"}}"#)), record(A), false),
            (record(&format!(r#"{A},{{"name":"b","type":["null","int"]}}"#)), record(A), false),
            (record(A), record(&format!(r#"{A},{{"name":"b","type":"int"}}"#)), true),
            (record(r#"{"name":"b","type":"int"}"#), record(A), false),
            (record(r#"{"name":"b","aliases":["a"],"type":"int"}"#), record(A), true),
            (record(A).replace("n.R", "n.S"), record(A), false),
            (record(A).replace("n.R", "m.R"), record(A), true),
            (f(r#"["null","int"]"#), f(r#""int""#), true),
            (f(r#""int""#), f(r#"["null","int"]"#), false),
            (f(r#"["null","int","string"]"#), f(r#"["null","int"]"#), true),
            (f(r#"["null","int"]"#), f(r#"["null","int","string"]"#), false),
            (f(r#"["null","long"]"#), f(r#"["null","int"]"#), true),
            (f(&e(r#""x","y""#, "")), f(&e(r#""x""#, "")), true),
            (f(&e(r#""x""#, "")), f(&e(r#""x","y""#, "")), false),
            (f(&e(r#""x""#, r#","default":"x""#)), f(&e(r#""x","y""#, "")), true),
            (f(&fixed(4)), f(&fixed(4)), true),
            (f(&fixed(4)), f(&fixed(5)), false),
            (f(r#"{"type":"array","items":"long"}"#), f(r#"{"type":"array","items":"int"}"#), true),
            (f(r#"{"type":"array","items":"int"}"#), f(r#"{"type":"array","items":"long"}"#), false),
            (f(r#"{"type":"map","values":"long"}"#), f(r#"{"type":"map","values":"int"}"#), true),
            (f(r#"{"type":"map","values":"int"}"#), f(r#"{"type":"array","items":"int"}"#), false),
            (f(&e(r#""x""#, "")), f(r#""string""#), false),
        ];
        let promotions = [
            ("long", "int"),
            ("float", "int"),
            ("double", "int"),
            ("float", "long"),
            ("double", "long"),
            ("double", "float"),
            ("string", "bytes"),
            ("bytes", "string"),
        ];
        let all = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
        for reader in all {
            for writer in all {
                let readable = reader == writer || promotions.contains(&(reader, writer));
                cases.push((f(&q(reader)), f(&q(writer)), readable));
            }
        }
        cases
    }

    #[test]
    fn a_schema_reads_what_avro_says_it_reads_and_nothing_else() {
        for (reader, writer, readable) in cases() {
            let problems = unreadable(&schema(&reader), &schema(&writer));
            assert_eq!(problems.is_empty(), readable, "reader {reader}\nwriter {writer}\n{problems:?}");
        }
    }

    #[test]
    fn a_schema_that_holds_itself_is_compared_to_its_end() {
        let node = |kind: &str| {
            schema(&format!(
                r#"{{"type":"record","name":"N","fields":[{{"name":"v","type":"{kind}"}},{{"name":"next","type":["null","N"],"default":null}}]}}"#
            ))
        };
        assert!(unreadable(&node("long"), &node("int")).is_empty());
        assert_eq!(unreadable(&node("int"), &node("long")), ["$.v: the type was long"]);
    }

    #[test]
    fn a_level_looks_in_its_direction_and_as_far_back_as_it_says() {
        let one = schema(&record(A));
        let two = schema(&record(&format!(r#"{A},{{"name":"b","type":"int","default":0}}"#)));
        let three = schema(&record(r#"{"name":"b","type":"int","default":0}"#));
        let fits = |level: Level, new: &Schema, earlier: &[Schema]| level.problems(new, earlier).is_empty();
        let history = [one.clone(), two.clone()];
        // Three reads two and one (b has a default), but neither reads three (a has none).
        for (level, wanted) in [
            (Level::None, true),
            (Level::Backward, true),
            (Level::BackwardTransitive, true),
            (Level::Forward, false),
            (Level::Full, false),
        ] {
            assert_eq!(fits(level, &three, &history), wanted, "{level:?}");
        }
        // One reads two, and `b` of type string fits one but not two.
        let text = schema(&record(&format!(r#"{A},{{"name":"b","type":"string","default":""}}"#)));
        let history = [text, one.clone()];
        assert!(fits(Level::Backward, &two, &history));
        assert!(!fits(Level::BackwardTransitive, &two, &history));
        assert!(!fits(Level::ForwardTransitive, &two, &history));
        assert!(fits(Level::FullTransitive, &one, &history));
    }
}
