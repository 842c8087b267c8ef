//! Expectations: which rows break them, and what becomes of each row. Pure: no lake, no clock.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar};
use arrow::compute::kernels::cmp::{eq, gt, lt};
use arrow::compute::or;
use regex::Regex;
use weir_core::value::Value;
use weir_project::{Expectation, Rule, Severity, Table};

use crate::value::one;

/// The word in `_rule` of a row whose value does not fit its column.
pub const TYPE: &str = "type";
/// The word in `_rule` of a row with a NULL in its key.
pub const KEY: &str = "key";

/// Values that a column of another table holds.
pub type Referenced = HashSet<Box<[u8]>>;

/// The rule cannot be evaluated on its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoesNotFit;

/// Which rows of `array` break the rule. NULL breaks `NotNull` only.
pub fn broken(rule: &Rule, array: &ArrayRef, referenced: Option<&Referenced>) -> Result<BooleanArray, DoesNotFit> {
    let compared = |value: &Value| one(value, array.data_type()).map(Scalar::new).ok_or(DoesNotFit);
    let sure = |flags: BooleanArray| -> BooleanArray { flags.iter().map(|flag| Some(flag == Some(true))).collect() };
    match rule {
        Rule::NotNull => arrow::compute::is_null(array).map_err(|_| DoesNotFit),
        Rule::Range { min, max } => {
            let low = min.as_ref().map(|min| lt(array, &compared(min)?).map_err(|_| DoesNotFit)).transpose()?;
            let high = max.as_ref().map(|max| gt(array, &compared(max)?).map_err(|_| DoesNotFit)).transpose()?;
            match (low, high) {
                (Some(low), Some(high)) => or(&low, &high).map(sure).map_err(|_| DoesNotFit),
                (Some(one), None) | (None, Some(one)) => Ok(sure(one)),
                (None, None) => Err(DoesNotFit),
            }
        }
        Rule::Set(allowed) => {
            let mut inside = BooleanArray::from(vec![false; array.len()]);
            for value in allowed {
                let same = eq(array, &compared(value)?).map_err(|_| DoesNotFit)?;
                inside = or(&inside, &sure(same)).map_err(|_| DoesNotFit)?;
            }
            Ok((0..array.len()).map(|row| Some(array.is_valid(row) && !inside.value(row))).collect())
        }
        Rule::Regex(pattern) => {
            let pattern = Regex::new(pattern).map_err(|_| DoesNotFit)?;
            let texts = array.as_string_opt::<i32>().ok_or(DoesNotFit)?;
            Ok(texts.iter().map(|text| Some(text.is_some_and(|text| !pattern.is_match(text)))).collect())
        }
        Rule::Reference { .. } => {
            let known = referenced.ok_or(DoesNotFit)?;
            let values = crate::reference::encode(array).map_err(|_| DoesNotFit)?;
            Ok((0..array.len()).map(|row| Some(array.is_valid(row) && !known.contains(&values[row]))).collect())
        }
    }
}

/// Why a row goes to quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The value of this contract column does not fit.
    Type(usize),
    /// This key column is NULL.
    Key(usize),
    /// This expectation is broken.
    Expectation(usize),
}

/// What the rules say of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why each row goes to quarantine; none for a row that may be staged.
    pub reasons: Vec<Option<Reason>>,
    /// Rows that break each expectation, in declared order.
    pub broken: Vec<u64>,
    /// Rows with a value that does not fit.
    pub misfits: u64,
    /// Rows with a NULL in the key.
    pub keyless: u64,
}

/// The rules' view of a batch: the rows that count, what does not fit, what each expectation says.
pub struct Facts<'a> {
    /// The contract.
    pub table: &'a Table,
    /// Contract columns, typed.
    pub columns: &'a [ArrayRef],
    /// Rows whose value does not fit, by contract column.
    pub misfits: &'a [Vec<usize>],
    /// Rows that are deletes.
    pub deletes: &'a BooleanArray,
    /// Rows that were found to be repeats: no rule looks at them.
    pub repeats: &'a [bool],
    /// Rows that break each expectation.
    pub broken: &'a [BooleanArray],
}

/// Decides each row: `type` first, then `key`, then the expectations in declared order.
pub fn judge(facts: &Facts<'_>) -> Verdict {
    let rows = facts.repeats.len();
    let mut verdict = Verdict { reasons: vec![None; rows], broken: vec![0; facts.broken.len()], ..Verdict::default() };
    for (column, misfits) in facts.misfits.iter().enumerate() {
        for row in misfits.iter().copied().filter(|row| !facts.repeats[*row]) {
            verdict.reasons[row].get_or_insert(Reason::Type(column));
        }
    }
    let misfit = |reason: &&Option<Reason>| reason.is_some();
    verdict.misfits = verdict.reasons.iter().filter(misfit).count() as u64;
    for column in facts.table.key_indexes() {
        let key = &facts.columns[column];
        for row in (0..rows).filter(|row| key.is_null(*row) && !facts.repeats[*row]) {
            if verdict.reasons[row].is_none() {
                verdict.reasons[row] = Some(Reason::Key(column));
                verdict.keyless += 1;
            }
        }
    }
    for (at, (expectation, broken)) in facts.table.expectations.iter().zip(facts.broken).enumerate() {
        for row in (0..rows).filter(|row| broken.value(*row) && !facts.repeats[*row] && !facts.deletes.value(*row)) {
            verdict.broken[at] += 1;
            if expectation.severity == Severity::Quarantine {
                verdict.reasons[row].get_or_insert(Reason::Expectation(at));
            }
        }
    }
    verdict
}

impl Reason {
    /// `_rule`, `_column` and `_rule_version`.
    pub fn words(self, table: &Table) -> (&str, &str, u32) {
        let name = |column: usize| table.columns[column].name.as_str();
        match self {
            Self::Type(column) => (TYPE, name(column), 1),
            Self::Key(column) => (KEY, name(column), 1),
            Self::Expectation(at) => {
                let Expectation { name, column, version, .. } = &table.expectations[at];
                (name, column.as_str(), *version)
            }
        }
    }

    /// The contract column that it looks at.
    pub fn column(self, table: &Table) -> Option<usize> {
        match self {
            Self::Type(column) | Self::Key(column) => Some(column),
            Self::Expectation(at) => table.column_index(table.expectations[at].column.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Int32Array, StringArray};

    use super::*;

    fn rows(rule: Rule, array: impl Array + 'static) -> Vec<usize> {
        let array: ArrayRef = Arc::new(array);
        let broken = broken(&rule, &array, None).expect("fits");
        (0..array.len()).filter(|row| broken.value(*row)).collect()
    }

    fn prices() -> Decimal128Array {
        let prices = vec![Some(-11_062_060), Some(0), Some(1), None];
        Decimal128Array::from(prices).with_precision_and_scale(12, 3).expect("a type")
    }

    #[test]
    fn a_null_breaks_not_null_and_no_other_rule() {
        assert_eq!(rows(Rule::NotNull, Int32Array::from(vec![Some(1), None])), vec![1]);
        let set = Rule::Set(vec![Value::Int(1)]);
        assert_eq!(rows(set, Int32Array::from(vec![Some(1), None, Some(2)])), vec![2]);
    }

    #[test]
    fn both_bounds_of_a_range_are_inside_it() {
        let zero = Some(Value::Decimal(0, 3));
        assert_eq!(rows(Rule::Range { min: zero.clone(), max: None }, prices()), vec![0]);
        assert_eq!(rows(Rule::Range { min: zero.clone(), max: zero }, prices()), vec![0, 2]);
    }

    #[test]
    fn a_regex_matches_somewhere_unless_anchored() {
        let texts = StringArray::from(vec![Some("a@b"), Some("ab"), None]);
        assert_eq!(rows(Rule::Regex("@".into()), texts), vec![1]);
    }

    #[test]
    fn a_rule_of_another_type_does_not_fit_instead_of_passing() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert_eq!(broken(&Rule::Regex("a".into()), &array, None), Err(DoesNotFit));
        assert_eq!(broken(&Rule::Set(vec![Value::Text("a".into())]), &array, None), Err(DoesNotFit));
    }
}
