//! Sums and counts of groups: what rows add, what is taken back, and what a reader sees. Pure.
//!
//! A group's state is its number of rows and, per measure, the exact sum and the number of values in it: with
//! both, a row that leaves is taken back exactly, a group without rows ends, and a sum of no value is NULL.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use weir_core::name::Identifier;
use weir_project::{Measure, Model, ModelKind};

use crate::layout::{arrow_type, table_schema};

/// Rows of a group, in its state.
const ROWS: &str = "_rows";

/// The parts of an aggregate.
#[derive(Debug, Clone)]
pub struct AggregateSpec {
    key: Vec<Identifier>,
    key_types: Vec<DataType>,
    measures: Vec<Column>,
}

#[derive(Debug, Clone)]
struct Column {
    name: Identifier,
    measure: Measure,
    kind: DataType,
}

impl Column {
    /// Decimal places of the sum.
    fn scale(&self) -> i8 {
        match self.kind {
            DataType::Decimal128(_, scale) => scale,
            _ => 0,
        }
    }
}

impl AggregateSpec {
    /// Of an aggregate; none for another kind of model.
    pub fn new(model: &Model) -> Option<Self> {
        let ModelKind::Aggregate { measures, .. } = &model.kind else { return None };
        let kind = |name: &Identifier| model.column(name.as_str()).map(|column| arrow_type(column.kind));
        Some(Self {
            key: model.key.clone(),
            key_types: model.key.iter().filter_map(kind).collect(),
            measures: measures
                .iter()
                .filter_map(|m| Some(Column { name: m.column.clone(), measure: m.measure, kind: kind(&m.column)? }))
                .collect(),
        })
    }

    /// Columns of a contribution: the group's, then what each SUM and COUNT(x) looks at. Each with the type that
    /// it must have; a count takes any.
    pub fn contribution_columns(&self) -> Vec<(&Identifier, Option<DataType>)> {
        let keys = self.key.iter().zip(self.key_types.iter().cloned().map(Some));
        let looks = self.measures.iter().filter_map(|column| match column.measure {
            Measure::Rows => None,
            Measure::Count => Some((&column.name, None)),
            Measure::Sum => Some((&column.name, Some(DataType::Decimal128(38, column.scale())))),
        });
        keys.chain(looks).collect()
    }

    /// Columns of the state: the group's, its rows, then per measure the sum and the number of values.
    pub fn state_schema(&self) -> SchemaRef {
        let field = |name: &str, kind: DataType| Field::new(name, kind, true);
        let mut fields: Vec<Field> =
            self.key.iter().zip(&self.key_types).map(|(name, kind)| field(name.as_str(), kind.clone())).collect();
        fields.push(field(ROWS, DataType::Int64));
        for column in &self.measures {
            if column.measure == Measure::Sum {
                fields.push(field(column.name.as_str(), DataType::Decimal128(38, column.scale())));
            }
            if column.measure != Measure::Rows {
                fields.push(field(&count_name(&column.name), DataType::Int64));
            }
        }
        Arc::new(Schema::new(fields))
    }
}

/// The state's column of the number of values of a measure.
fn count_name(column: &Identifier) -> String {
    format!("_{column}_count")
}

/// What a group adds up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Totals {
    rows: i64,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

impl Totals {
    fn is_nothing(&self) -> bool {
        self.rows == 0 && self.sums.iter().all(|sum| *sum == 0) && self.counts.iter().all(|count| *count == 0)
    }

    /// What a group of rows that are there can be.
    fn is_sound(&self) -> bool {
        let fits = |count: &i64| (0..=self.rows).contains(count);
        if self.rows == 0 { self.is_nothing() } else { self.rows > 0 && self.counts.iter().all(fits) }
    }
}

/// Whether rows come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// They come.
    Plus,
    /// They go.
    Minus,
}

/// Groups and what they add up to; differences while rows are taken back, too.
pub struct Groups {
    spec: AggregateSpec,
    keys: RowConverter,
    totals: BTreeMap<Box<[u8]>, Totals>,
}

impl Groups {
    /// No group.
    pub fn new(spec: &AggregateSpec) -> Result<Self, ArrowError> {
        let fields = spec.key_types.iter().map(|kind| SortField::new(kind.clone())).collect();
        Ok(Self { spec: spec.clone(), keys: RowConverter::new(fields)?, totals: BTreeMap::new() })
    }

    /// True when nothing was added, or all of it taken back.
    pub fn is_empty(&self) -> bool {
        self.totals.values().all(Totals::is_nothing)
    }

    /// Adds rows, or takes them back. Columns as [`AggregateSpec::contribution_columns`] says.
    pub fn fold(&mut self, rows: &[ArrayRef], sign: Sign) -> Result<(), ArrowError> {
        let (keys, values) = rows.split_at(self.spec.key.len());
        let count = keys.first().map_or(0, |column| column.len());
        let mut values = values.iter();
        let mut looked: Vec<Option<Looked>> = Vec::with_capacity(self.spec.measures.len());
        for column in &self.spec.measures {
            looked.push(match column.measure {
                Measure::Rows => None,
                Measure::Count => values.next().map(|array| Looked { array: array.clone(), exact: None }),
                Measure::Sum => match values.next() {
                    Some(array) => {
                        let exact = exact(array, column.scale())?;
                        Some(Looked { array: array.clone(), exact: Some(exact) })
                    }
                    None => None,
                },
            });
        }
        let encoded = self.keys.convert_columns(keys)?;
        let one = if sign == Sign::Plus { 1 } else { -1 };
        for row in 0..count {
            let totals = entry(&mut self.totals, encoded.row(row).data(), self.spec.measures.len());
            totals.rows += one;
            for (i, looked) in looked.iter().enumerate() {
                let Some(looked) = looked.as_ref().filter(|looked| looked.array.is_valid(row)) else { continue };
                totals.counts[i] += one;
                if let Some(exact) = &looked.exact {
                    let value = exact.value(row);
                    totals.sums[i] = plus(totals.sums[i], if sign == Sign::Plus { value } else { -value })?;
                }
            }
        }
        Ok(())
    }

    /// Adds groups in the form of the state.
    pub fn add_state(&mut self, state: &RecordBatch) -> Result<(), ArrowError> {
        let column = |name: &str| {
            let found = state.column_by_name(name);
            found.ok_or_else(|| ArrowError::SchemaError(format!("an aggregate's state has no `{name}`")))
        };
        let keys = self.spec.key.iter().map(|name| column(name.as_str()).cloned()).collect::<Result<Vec<_>, _>>()?;
        let rows = column(ROWS)?.as_primitive::<Int64Type>();
        let mut sums = Vec::new();
        let mut counts = Vec::new();
        for measure in &self.spec.measures {
            sums.push(match measure.measure {
                Measure::Sum => Some(column(measure.name.as_str())?.as_primitive::<Decimal128Type>()),
                Measure::Count | Measure::Rows => None,
            });
            counts.push(match measure.measure {
                Measure::Rows => None,
                Measure::Sum | Measure::Count => Some(column(&count_name(&measure.name))?.as_primitive::<Int64Type>()),
            });
        }
        let encoded = self.keys.convert_columns(&keys)?;
        for row in 0..state.num_rows() {
            let totals = entry(&mut self.totals, encoded.row(row).data(), self.spec.measures.len());
            totals.rows += rows.value(row);
            for (i, sum) in sums.iter().enumerate() {
                let sum = sum.map_or(0, |sum| sum.value(row));
                totals.sums[i] = plus(totals.sums[i], sum)?;
                totals.counts[i] += counts[i].map_or(0, |count| count.value(row));
            }
        }
        Ok(())
    }

    /// Whether every group can be one of rows that are there: nothing was taken back that never came.
    pub fn is_sound(&self) -> bool {
        self.totals.values().all(Totals::is_sound)
    }

    /// The groups that are not nothing, in the form of the state.
    pub fn to_state(&self) -> Result<RecordBatch, ArrowError> {
        let kept: Vec<(&[u8], &Totals)> = self
            .totals
            .iter()
            .filter(|(_, totals)| !totals.is_nothing())
            .map(|(key, totals)| (&**key, totals))
            .collect();
        let parser = self.keys.parser();
        let mut columns = self.keys.convert_rows(kept.iter().map(|(key, _)| parser.parse(key)))?;
        columns.push(Arc::new(Int64Array::from_iter_values(kept.iter().map(|(_, totals)| totals.rows))));
        for (i, column) in self.spec.measures.iter().enumerate() {
            if column.measure == Measure::Sum {
                let sums = Decimal128Array::from_iter_values(kept.iter().map(|(_, totals)| totals.sums[i]));
                columns.push(Arc::new(sums.with_precision_and_scale(38, column.scale())?));
            }
            if column.measure != Measure::Rows {
                columns.push(Arc::new(Int64Array::from_iter_values(kept.iter().map(|(_, totals)| totals.counts[i]))));
            }
        }
        RecordBatch::try_new(self.spec.state_schema(), columns)
    }
}

struct Looked {
    array: ArrayRef,
    exact: Option<Decimal128Array>,
}

fn entry<'t>(totals: &'t mut BTreeMap<Box<[u8]>, Totals>, key: &[u8], measures: usize) -> &'t mut Totals {
    if !totals.contains_key(key) {
        totals.insert(key.into(), Totals { rows: 0, sums: vec![0; measures], counts: vec![0; measures] });
    }
    totals.get_mut(key).expect("it was put there")
}

/// The exact sum; both have at most 38 digits.
fn plus(sum: i128, value: i128) -> Result<i128, ArrowError> {
    let most = 10_i128.pow(38);
    let sum = sum.checked_add(value).filter(|sum| (1 - most..most).contains(sum));
    sum.ok_or_else(|| ArrowError::ArithmeticOverflow("a sum has more than 38 digits".to_owned()))
}

/// Values as decimals of this scale.
fn exact(values: &ArrayRef, scale: i8) -> Result<Decimal128Array, ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(values, &DataType::Decimal128(38, scale), &strict)?;
    Ok(cast.as_primitive::<Decimal128Type>().clone())
}

/// What readers see of a state: the model's columns in table order.
pub fn visible(model: &Model, spec: &AggregateSpec, state: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |name: &str| {
        let found = state.column_by_name(name).cloned();
        found.ok_or_else(|| ArrowError::SchemaError(format!("an aggregate's state has no `{name}`")))
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let mut columns = Vec::with_capacity(model.columns.len());
    for (declared, field) in model.columns.iter().zip(table_schema(model).fields()) {
        let measure = spec.measures.iter().find(|measure| measure.name == declared.name);
        let found = match measure.map(|measure| measure.measure) {
            None => column(declared.name.as_str())?,
            Some(Measure::Rows) => column(ROWS)?,
            Some(Measure::Count) => column(&count_name(&declared.name))?,
            Some(Measure::Sum) => {
                let counts = column(&count_name(&declared.name))?;
                let none =
                    arrow::compute::kernels::cmp::eq(counts.as_primitive::<Int64Type>(), &Int64Array::new_scalar(0))?;
                arrow::compute::nullif(&column(declared.name.as_str())?, &none)?
            }
        };
        columns.push(cast_with_options(&found, field.data_type(), &strict)?);
    }
    RecordBatch::try_new(table_schema(model), columns)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use weir_core::column::ColumnType;
    use weir_project::{MeasureColumn, ModelColumn, Scd};

    use super::*;

    fn model() -> Model {
        let name = |text: &str| text.parse::<Identifier>().expect("a name");
        let text = ColumnType::Text { length: None };
        let column = |of: &str, kind, scd| ModelColumn { name: name(of), kind, scd };
        let measure = |column: &str, measure| MeasureColumn { column: name(column), measure };
        Model {
            name: name("agg"),
            kind: ModelKind::Aggregate {
                fact: name("fact"),
                joins: vec![],
                measures: vec![
                    measure("amount", Measure::Sum),
                    measure("priced", Measure::Count),
                    measure("lines", Measure::Rows),
                ],
            },
            sql: None,
            source: None,
            key: vec![name("shop")],
            columns: vec![
                column("amount", ColumnType::Decimal { precision: 12, scale: 3 }, Scd::None),
                column("shop", text, Scd::Key),
                column("priced", ColumnType::Int, Scd::None),
                column("lines", ColumnType::BigInt, Scd::None),
            ],
        }
    }

    fn rows(of: &[(&str, Option<i128>)]) -> Vec<ArrayRef> {
        let shops: ArrayRef = Arc::new(of.iter().map(|(shop, _)| Some(*shop)).collect::<StringArray>());
        let amounts: Decimal128Array = of.iter().map(|(_, amount)| *amount).collect();
        let amounts: ArrayRef = Arc::new(amounts.with_precision_and_scale(9, 2).expect("fits"));
        vec![shops, amounts.clone(), amounts]
    }

    fn shown(model: &Model, groups: &Groups) -> Vec<String> {
        let spec = AggregateSpec::new(model).expect("an aggregate");
        let seen = visible(model, &spec, &groups.to_state().expect("a state")).expect("rows");
        let row = |row| crate::key::row_at(seen.columns(), row).iter().map(ToString::to_string).collect::<Vec<_>>();
        (0..seen.num_rows()).map(|at| row(at).join(" ")).collect()
    }

    #[test]
    fn what_comes_and_goes_leaves_exactly_what_is_there() {
        let model = model();
        let spec = AggregateSpec::new(&model).expect("an aggregate");
        let mut groups = Groups::new(&spec).expect("no group");
        groups.fold(&rows(&[("a", Some(125)), ("a", None), ("b", None), ("c", Some(-1))]), Sign::Plus).expect("rows");
        assert_eq!(shown(&model, &groups), ["1.250 a 1 2", "\\N b 0 1", "-0.010 c 1 1"]);
        groups.fold(&rows(&[("a", Some(125)), ("c", Some(-1))]), Sign::Minus).expect("rows");
        assert_eq!(shown(&model, &groups), ["\\N a 0 1", "\\N b 0 1"]);
        assert!(groups.is_sound() && !groups.is_empty());
    }

    #[test]
    fn a_difference_put_on_a_stored_state_is_the_state_of_all_rows() {
        let spec = AggregateSpec::new(&model()).expect("an aggregate");
        type Part<'a> = (&'a [(&'a str, Option<i128>)], Sign);
        let of = |parts: &[Part<'_>]| {
            let mut groups = Groups::new(&spec).expect("no group");
            for (part, sign) in parts {
                groups.fold(&rows(part), *sign).expect("rows");
            }
            groups
        };
        let stored = of(&[(&[("a", Some(1)), ("b", Some(2))], Sign::Plus)]);
        let change = of(&[(&[("b", Some(2))], Sign::Minus), (&[("a", Some(5)), ("d", None)], Sign::Plus)]);
        let mut sum = Groups::new(&spec).expect("no group");
        sum.add_state(&stored.to_state().expect("a state")).expect("rows");
        sum.add_state(&change.to_state().expect("a state")).expect("rows");
        let all = of(&[(&[("a", Some(1)), ("a", Some(5)), ("d", None)], Sign::Plus)]);
        assert_eq!(sum.to_state().expect("a state"), all.to_state().expect("a state"));
        assert!(sum.is_sound() && !change.is_sound());
    }

    #[test]
    fn a_sum_beyond_its_digits_is_refused_and_never_wraps() {
        let spec = AggregateSpec::new(&model()).expect("an aggregate");
        let mut groups = Groups::new(&spec).expect("no group");
        let shop: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let most = Decimal128Array::from(vec![99_999_999_999_999_999_999_999_999_999_999_999_999_i128]);
        let most: ArrayRef = Arc::new(most.with_precision_and_scale(38, 3).expect("fits"));
        let one = [shop.clone(), most.clone(), most];
        groups.fold(&one, Sign::Plus).expect("the first fits");
        assert!(groups.fold(&one, Sign::Plus).is_err(), "a sum of 39 digits");
        // The state holds what the declared column cannot.
        let model = model();
        assert!(visible(&model, &spec, &groups.to_state().expect("a state")).is_err());
    }
}
