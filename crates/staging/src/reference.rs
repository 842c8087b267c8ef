//! Referenced values: what a column of another table's staging holds. Read once per process, then only
//! from files that came later.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use weir_core::name::Identifier;
use weir_core::zone::Zone;
use weir_lake::{DataFile, Lake};

use crate::error::StagingError;
use crate::rules::Referenced;

/// Values as bytes that can be compared, whatever the width of their integer type.
pub(crate) fn encode(array: &ArrayRef) -> Result<Vec<Box<[u8]>>, ArrowError> {
    let array = match array.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => cast(array, &DataType::Int64)?,
        _ => array.clone(),
    };
    let rows = RowConverter::new(vec![SortField::new(array.data_type().clone())])?.convert_columns(&[array])?;
    Ok(rows.iter().map(|row| row.as_ref().into()).collect())
}

/// Values of referenced columns, by table and column.
#[derive(Debug, Default)]
pub(crate) struct References {
    known: HashMap<(Identifier, Identifier), Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    files: HashSet<String>,
    values: Referenced,
}

impl References {
    /// Brings one column up to date with its table.
    pub(crate) async fn update(
        &mut self,
        lake: &Lake,
        table: &Identifier,
        column: &Identifier,
    ) -> Result<(), StagingError> {
        let failed = |source| StagingError::Lake { table: table.clone(), source };
        let seen = self.known.entry((table.clone(), column.clone())).or_default();
        let Some(staged) = lake.table(Zone::Staging, table.as_str()).await.map_err(failed)? else { return Ok(()) };
        if staged.schema().fields().find(column.as_str()).is_none() {
            return Ok(());
        }
        let new: Vec<DataFile> = staged.files().filter(|file| !seen.files.contains(&file.path)).cloned().collect();
        for batch in staged.read_all(&new, Some(&[column.as_str()])).await.map_err(failed)? {
            let rows = |source| StagingError::Rows { table: table.clone(), source };
            add(&mut seen.values, batch.column(0)).map_err(rows)?;
        }
        seen.files.extend(new.into_iter().map(|file| file.path));
        Ok(())
    }

    /// The values of a column that was brought up to date.
    pub(crate) fn values(&self, table: &Identifier, column: &Identifier) -> Option<&Referenced> {
        self.known.get(&(table.clone(), column.clone())).map(|seen| &seen.values)
    }
}

/// Adds an array's values; NULL is none.
pub(crate) fn add(values: &mut Referenced, array: &ArrayRef) -> Result<(), ArrowError> {
    let encoded = encode(array)?.into_iter().enumerate();
    values.extend(encoded.filter(|(row, _)| array.is_valid(*row)).map(|(_, value)| value));
    Ok(())
}
