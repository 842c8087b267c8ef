//! A table's expectations: each rule held to its column, its literals read, its reference found.

use regex::Regex;
use weir_core::column::{Column, ColumnType};
use weir_core::name::Identifier;
use weir_core::value::Value;

use crate::check_table::{Tables, Typed, comparable};
use crate::error::{Fault, Place, Problem, suggest};
use crate::file::{ContractFile, ExpectationFile, RangeFile, ReferenceFile, SeverityWord};
use crate::literal::parse_literal;
use crate::table::{Expectation, Rule, Severity, Table};
use crate::yaml::Document;

/// The expectations of a table that are right; every problem is pushed.
pub(crate) fn expectations(
    contract: &Typed<ContractFile>,
    table: &Table,
    known: &Tables,
    problems: &mut Vec<Problem>,
) -> Vec<Expectation> {
    let mut out: Vec<Expectation> = Vec::new();
    for (index, file) in contract.value.expectations.iter().enumerate() {
        let base = format!("expectations[{index}]");
        let mut check = RuleCheck { document: &contract.document, base, known, problems };
        let column = check.column(file, table, &contract.value);
        let rule = column.and_then(|column| check.rule(file, column));
        let place = check.place("name");
        if file.name.parse::<Identifier>().is_err() {
            let reason = format!("`{}` is no name: use lower-case letters, digits and `_`", file.name);
            let path = format!("expectations[{index}].name");
            problems.push(Problem::new(Fault::BadValue { path, reason }, place));
        } else if out.iter().any(|other| other.name == file.name) {
            problems.push(Problem::new(Fault::Duplicate { what: "expectation", name: file.name.clone() }, place));
        } else if let (Some(column), Some(rule)) = (column, rule) {
            out.push(Expectation {
                name: file.name.clone(),
                column: column.name.clone(),
                rule,
                severity: match file.severity {
                    SeverityWord::Warn => Severity::Warn,
                    SeverityWord::Quarantine => Severity::Quarantine,
                },
                version: file.version,
            });
        }
    }
    out
}

struct RuleCheck<'a> {
    document: &'a Document,
    base: String,
    known: &'a Tables,
    problems: &'a mut Vec<Problem>,
}

impl RuleCheck<'_> {
    fn place(&self, key: &str) -> Place {
        self.document.place_of(&format!("{}.{key}", self.base))
    }

    fn push(&mut self, fault: Fault, key: &str, hint: Option<String>) {
        let place = self.place(key);
        self.problems.push(Problem::new(fault, place).hint(hint));
    }

    fn column<'t>(&mut self, file: &ExpectationFile, table: &'t Table, contract: &ContractFile) -> Option<&'t Column> {
        let column = table.column(&file.column);
        // A column of that name that is itself wrong was reported there.
        if column.is_none() && !contract.columns.iter().any(|column| column.name == file.column) {
            let fault = Fault::UnknownColumn { column: file.column.clone(), of: format!("table `{}`", table.name) };
            let hint = suggest(&file.column, table.columns.iter().map(|column| column.name.as_str()));
            self.push(fault, "column", hint);
        }
        column
    }

    fn rule(&mut self, file: &ExpectationFile, column: &Column) -> Option<Rule> {
        let given: Vec<&'static str> = [
            ("not_null", file.not_null.is_some()),
            ("range", file.range.is_some()),
            ("set", file.set.is_some()),
            ("regex", file.regex.is_some()),
            ("reference", file.reference.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect();
        let [kind] = given.as_slice() else {
            let reason = match given.len() {
                0 => "it says nothing about the column".to_owned(),
                _ => format!("it has {} rules: {}", given.len(), given.join(", ")),
            };
            let hint = "give it exactly one of not_null, range, set, regex, reference".to_owned();
            self.push(Fault::BadValue { path: self.base.clone(), reason }, "name", Some(hint));
            return None;
        };
        if let Some(holds) = file.not_null {
            if !holds {
                let reason = "`false` allows what is allowed anyway".into();
                self.push(Fault::Useless { path: format!("{}.not_null", self.base), reason }, "not_null", None);
                return None;
            }
            return Some(Rule::NotNull);
        }
        if let Some(range) = &file.range {
            return self.range(range, column);
        }
        if let Some(set) = &file.set {
            let mut values = Vec::new();
            for (index, literal) in set.iter().enumerate() {
                values.extend(self.literal(&literal.0, column, &format!("set[{index}]")));
            }
            return (values.len() == set.len()).then_some(Rule::Set(values));
        }
        if let Some(expression) = &file.regex {
            if !matches!(column.kind, ColumnType::Text { .. }) {
                self.does_not_fit(kind, column);
                return None;
            }
            return match Regex::new(expression) {
                Ok(_) => Some(Rule::Regex(expression.clone())),
                Err(error) => {
                    let line = error.to_string().lines().last().unwrap_or_default().replace("error: ", "");
                    let reason = format!("it is no regular expression: {line}");
                    self.push(Fault::BadValue { path: format!("{}.regex", self.base), reason }, "regex", None);
                    None
                }
            };
        }
        file.reference.as_ref().and_then(|reference| self.reference(reference, column))
    }

    fn does_not_fit(&mut self, rule: &'static str, column: &Column) {
        let fault = Fault::RuleDoesNotFit { rule, column: column.name.to_string(), kind: column.kind.to_string() };
        self.push(fault, rule, None);
    }

    fn literal(&mut self, text: &str, column: &Column, key: &str) -> Option<Value> {
        match parse_literal(text, column.kind) {
            Ok(value) => Some(value),
            Err(reason) => {
                let fault = Fault::BadLiteral { literal: text.to_owned(), kind: column.kind.to_string(), reason };
                self.push(fault, key, None);
                None
            }
        }
    }

    fn range(&mut self, range: &RangeFile, column: &Column) -> Option<Rule> {
        let ordered = !matches!(
            column.kind,
            ColumnType::Text { .. } | ColumnType::Bit | ColumnType::UniqueIdentifier | ColumnType::VarBinary { .. }
        );
        if !ordered {
            self.does_not_fit("range", column);
            return None;
        }
        if range.min.is_none() && range.max.is_none() {
            let reason = "a range without bounds allows everything".into();
            self.push(Fault::Useless { path: format!("{}.range", self.base), reason }, "range", None);
            return None;
        }
        let min = range.min.as_ref().map(|text| self.literal(&text.0, column, "range.min"));
        let max = range.max.as_ref().map(|text| self.literal(&text.0, column, "range.max"));
        // A bound that could not be read was reported; the other may still be right.
        let (min, max) = match (min, max) {
            (Some(None), _) | (_, Some(None)) => return None,
            (min, max) => (min.flatten(), max.flatten()),
        };
        let above = match (&min, &max) {
            (Some(Value::Float(a)), Some(Value::Float(b))) => f64::from_bits(*a) > f64::from_bits(*b),
            (Some(a), Some(b)) => a > b,
            _ => false,
        };
        if above {
            let reason = "`min` is above `max`, so no value can pass".into();
            self.push(Fault::BadValue { path: format!("{}.range", self.base), reason }, "range", None);
            return None;
        }
        Some(Rule::Range { min, max })
    }

    fn reference(&mut self, reference: &ReferenceFile, column: &Column) -> Option<Rule> {
        let known = self.known;
        let Some(table) = known.tables.iter().find(|table| table.name.as_str() == reference.table) else {
            if !known.broken.contains(&reference.table) {
                let names = known.tables.iter().map(|table| table.name.as_str());
                let hint = suggest(&reference.table, names);
                self.push(Fault::UnknownTable(reference.table.clone()), "reference.table", hint);
            }
            return None;
        };
        if known.broken.contains(&reference.table) {
            return None;
        }
        let Some(target) = table.column(&reference.column) else {
            let of = format!("table `{}`", table.name);
            let hint = suggest(&reference.column, table.columns.iter().map(|column| column.name.as_str()));
            self.push(Fault::UnknownColumn { column: reference.column.clone(), of }, "reference.column", hint);
            return None;
        };
        if !comparable(target.kind, column.kind) {
            let path = format!("{}.reference", self.base);
            let reason = format!("it compares {} with {}", column.kind, target.kind);
            self.push(
                Fault::BadValue { path, reason },
                "reference.column",
                Some("refer to a column of the same type".into()),
            );
            return None;
        }
        Some(Rule::Reference { table: table.name.clone(), column: target.name.clone() })
    }
}
