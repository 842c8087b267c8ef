//! Binds a generator's columns to the project's table: the contract decides the order of a row.

use weir_core::column::ColumnType;
use weir_core::value::{Row, Value};
use weir_project::Table;

use crate::error::SourceError;

/// A column that a generator fills.
pub(crate) struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether the generator may leave it NULL.
    pub nullable: bool,
}

/// What a generator puts into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bit,
    Int,
    /// At most this many characters.
    Text(u16),
    Date,
    /// Whole milliseconds.
    Timestamp,
    /// Thousandths, at most 12 digits.
    Decimal,
}

impl Kind {
    const fn wanted(self) -> &'static str {
        match self {
            Self::Bit => "bit",
            Self::Int => "int or bigint",
            Self::Text(_) => "nvarchar long enough for the values",
            Self::Date => "date",
            Self::Timestamp => "datetime2(3) or finer",
            Self::Decimal => "decimal(12,3) or wider, with 3 digits after the point",
        }
    }

    fn fits(self, column: ColumnType) -> bool {
        match (self, column) {
            (Self::Bit, ColumnType::Bit) | (Self::Date, ColumnType::Date) => true,
            (Self::Int, ColumnType::Int | ColumnType::BigInt) => true,
            (Self::Text(most), ColumnType::Text { length }) => length.is_none_or(|length| length >= most),
            (Self::Timestamp, ColumnType::DateTime2 { precision }) => precision >= 3,
            (Self::Decimal, ColumnType::Decimal { precision, scale }) => precision >= 12 && scale == 3,
            _ => false,
        }
    }
}

/// Where a generator's values go in a table of the project.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Index of the table in the project.
    pub table: usize,
    /// Per contract column, which field fills it; none when both orders are the same.
    order: Option<Vec<Option<usize>>>,
}

impl Layout {
    /// Finds the table and checks that every field has a column of a fitting type, that no other column
    /// needs a value, and that the key is the generator's.
    pub fn bind(
        tables: &[Table],
        name: &'static str,
        fields: &'static [Field],
        key: &'static [&'static str],
    ) -> Result<Self, SourceError> {
        let table = tables
            .iter()
            .position(|table| table.name.as_str() == name)
            .ok_or(SourceError::TableMissing { table: name })?;
        let contract = &tables[table];
        for field in fields {
            let column =
                contract.column(field.name).ok_or(SourceError::ColumnMissing { table: name, column: field.name })?;
            if !field.kind.fits(column.kind) || (field.nullable && !column.nullable) {
                return Err(SourceError::ColumnUnfit {
                    table: name,
                    column: field.name,
                    found: column.kind,
                    wanted: field.kind.wanted(),
                    nullable: field.nullable,
                });
            }
        }
        let mut order = Vec::with_capacity(contract.columns.len());
        for column in &contract.columns {
            let field = fields.iter().position(|field| field.name == column.name.as_str());
            if field.is_none() && !column.nullable {
                return Err(SourceError::ColumnUnfilled { table: name, column: column.name.clone() });
            }
            order.push(field);
        }
        if !contract.key.iter().map(|column| column.as_str()).eq(key.iter().copied()) {
            return Err(SourceError::KeyUnfit { table: name, wanted: key });
        }
        let same = order.len() == fields.len() && order.iter().enumerate().all(|(at, field)| *field == Some(at));
        Ok(Self { table, order: (!same).then_some(order) })
    }

    /// A row in the contract's order from values in the generator's order.
    pub fn row(&self, mut values: Row) -> Row {
        match &self.order {
            None => values,
            Some(order) => order
                .iter()
                .map(|field| field.map_or(Value::Null, |at| std::mem::replace(&mut values[at], Value::Null)))
                .collect(),
        }
    }
}
