//! Values that a change does not carry: Debezium's placeholder for a large value that an update left alone
//! (PostgreSQL's TOAST) becomes NULL, and the row names its column. Curated finds the value again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, Scalar, StringArray};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{and_not, nullif, or};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use weir_core::column::Column;
use weir_project::SqlFile;

/// The staging column that names them, with commas between; NULL on a row that carries all its values.
pub const COLUMN: &str = "_unavailable";

/// Which rows lack which contract column.
#[derive(Debug, Clone, Default)]
pub struct Missing(Vec<Option<BooleanArray>>);

impl Missing {
    /// Takes the placeholder out of what landed. Deletes are left alone: their row image is the past.
    pub fn take_out(raw: &mut [ArrayRef], deletes: &BooleanArray, placeholder: &str) -> Result<Self, ArrowError> {
        let mut missing = Vec::with_capacity(raw.len());
        for array in raw {
            let same = match array.data_type() {
                DataType::Utf8 => eq(array, &Scalar::new(StringArray::from(vec![placeholder])))?,
                DataType::Binary => eq(array, &Scalar::new(BinaryArray::from(vec![placeholder.as_bytes()])))?,
                _ => {
                    missing.push(None);
                    continue;
                }
            };
            let sure: BooleanArray = same.iter().map(|same| Some(same == Some(true))).collect();
            let here = and_not(&sure, deletes)?;
            let any = here.true_count() > 0;
            if any {
                *array = nullif(array, &here)?;
            }
            missing.push(any.then_some(here));
        }
        Ok(Self(missing))
    }

    /// The same for the columns that a staging model makes of these: one is missing where an input of it is.
    pub fn through(self, sql: &SqlFile, columns: &[Column]) -> Result<Self, ArrowError> {
        if self.0.iter().all(Option::is_none) {
            return Ok(self);
        }
        let needs = sql.needs();
        let mut missing = Vec::with_capacity(columns.len());
        for column in columns {
            let mut rows: Option<BooleanArray> = None;
            for (input, lacks) in columns.iter().zip(&self.0) {
                let needed = needs.outputs.get(column.name.as_str()).is_some_and(|of| of.contains(input.name.as_str()));
                if let (true, Some(lacks)) = (needed, lacks) {
                    rows = Some(rows.map_or_else(|| Ok(lacks.clone()), |rows| or(&rows, lacks))?);
                }
            }
            missing.push(rows);
        }
        Ok(Self(missing))
    }

    /// True where the row's value of this contract column is missing.
    pub fn is(&self, column: usize, row: usize) -> bool {
        self.0.get(column).and_then(Option::as_ref).is_some_and(|rows| rows.value(row))
    }

    /// A rule's broken rows without those whose value is missing: nothing is known against them.
    pub fn excuse(&self, column: usize, broken: BooleanArray) -> Result<BooleanArray, ArrowError> {
        match self.0.get(column).and_then(Option::as_ref) {
            Some(rows) => and_not(&broken, rows),
            None => Ok(broken),
        }
    }

    /// The column that names them.
    pub(crate) fn names(&self, columns: &[Column], rows: usize) -> ArrayRef {
        if self.0.iter().all(Option::is_none) {
            return arrow::array::new_null_array(&DataType::Utf8, rows);
        }
        let name = |row: usize| {
            let names: Vec<&str> =
                (0..columns.len()).filter(|c| self.is(*c, row)).map(|c| columns[c].name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(","))
        };
        Arc::new((0..rows).map(name).collect::<StringArray>())
    }
}

pub(crate) fn field() -> Field {
    Field::new(COLUMN, DataType::Utf8, true)
}
