//! Rows of one key in the zones, with the file and the place in it that each stands at.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use weir_core::change::Op;
use weir_core::diagnosis::Diagnosed;
use weir_core::value::Value;
use weir_core::zone::{Hour, Zone};
use weir_curated::layout::ORDER_KEY;
use weir_envelope::values::{row_at, value_at};
use weir_lake::{DataFile, Lake, Partition, Table};

use super::key::Key;
use super::passport::{FilesRead, Spot};

/// A row, and where it stands.
pub(super) struct Located {
    pub spot: Spot,
    /// The row alone.
    pub row: RecordBatch,
}

impl Located {
    /// A value of the row; NULL where there is no such column.
    pub fn value(&self, column: &str) -> Value {
        let array = self.row.column_by_name(column);
        array.and_then(|array| value_at(array.as_ref(), 0)).unwrap_or(Value::Null)
    }

    pub fn int(&self, column: &str) -> i64 {
        match self.value(column) {
            Value::Int(number) | Value::Timestamp(number) => number,
            _ => -1,
        }
    }

    pub fn bytes(&self, column: &str) -> Vec<u8> {
        match self.value(column) {
            Value::Bytes(bytes) => bytes,
            _ => Vec::new(),
        }
    }
}

/// The zones of one source table, and what was read of them.
pub(super) struct Zones<'a> {
    pub lake: &'a Lake,
    pub read: BTreeMap<String, FilesRead>,
}

impl Zones<'_> {
    /// Notes what was read of a table.
    pub fn note(&mut self, table: &Table, files: usize) {
        let noted = self.read.entry(table.full_name().to_owned()).or_default();
        noted.of = table.files().count();
        // A file that is read for two questions counts once, as far as that can be told.
        noted.read = (noted.read + files).min(noted.of);
    }

    /// The rows of these files that `keep` names, file by file.
    pub async fn locate(
        &mut self,
        table: &Table,
        files: &[DataFile],
        columns: Option<&[&str]>,
        keep: impl Fn(&RecordBatch) -> Vec<usize>,
    ) -> Result<Vec<Located>, Diagnosed> {
        let mut found = Vec::new();
        for file in files {
            let mut before = 0;
            for batch in table.read_all(std::slice::from_ref(file), columns).await? {
                for row in keep(&batch) {
                    let spot = Spot { file: table.path_of(file), row: before + row };
                    found.push(Located { spot, row: batch.slice(row, 1) });
                }
                before += batch.num_rows();
            }
        }
        self.note(table, files.len());
        Ok(found)
    }

    /// The key's rows in staging: in the hours and order-key ranges of the changes that are known, and in what
    /// has come since version `after`.
    pub async fn staged(
        &mut self,
        staging: &Table,
        key: &Key<'_>,
        known: &[(Vec<u8>, i64)],
        after: i64,
    ) -> Result<Vec<Located>, Diagnosed> {
        let mut files = in_hours_or_since(staging, known, after).await?;
        files.retain(|file| may_hold(file, key));
        self.locate(staging, &files, None, |batch| rows_with(batch, key)).await
    }

    /// The key's rows in quarantine.
    pub async fn quarantined(&mut self, key: &Key<'_>) -> Result<Vec<Located>, Diagnosed> {
        let Some(table) = self.lake.table(Zone::Quarantine, key.table.name.as_str()).await? else { return Ok(vec![]) };
        let files: Vec<DataFile> = table.files().filter(|file| may_hold(file, key)).cloned().collect();
        self.locate(&table, &files, None, |batch| rows_with(batch, key)).await
    }

    /// The landing rows of these (order key, commit time), and the key's rows that staging has not taken yet.
    pub async fn landed(
        &mut self,
        staging: Option<&Table>,
        key: &Key<'_>,
        known: &[(Vec<u8>, i64)],
    ) -> Result<Vec<Located>, Diagnosed> {
        let Some(table) = self.lake.table(Zone::Landing, key.table.name.as_str()).await? else { return Ok(vec![]) };
        let taken = staging.and_then(|staging| staging.position(&weir_staging::run::reader(&table))).unwrap_or(-1);
        let files = in_hours_or_since(&table, known, taken).await?;
        let mut columns = table.column_names();
        columns.retain(|name| !["source", "ts_ms"].contains(name));
        let known: HashSet<&[u8]> = known.iter().map(|(order_key, _)| order_key.as_slice()).collect();
        self.locate(&table, &files, Some(&columns), |batch| landed_with(batch, key, &known)).await
    }
}

/// Files where these changes may be, and all that came since a version.
async fn in_hours_or_since(
    table: &Table,
    known: &[(Vec<u8>, i64)],
    after: i64,
) -> Result<Vec<DataFile>, weir_lake::LakeError> {
    let mut files = in_hours(table, known);
    for (_, file) in table.files_added(after, table.version()).await? {
        if !files.iter().any(|known| known.path == file.path) {
            files.push(file);
        }
    }
    Ok(files)
}

/// Files of the hours of these changes whose order keys may be theirs.
fn in_hours(table: &Table, known: &[(Vec<u8>, i64)]) -> Vec<DataFile> {
    let mut by_hour: BTreeMap<Hour, Vec<&[u8]>> = BTreeMap::new();
    for (order_key, at) in known {
        by_hour.entry(Hour::of_micros(*at)).or_default().push(order_key);
    }
    let mut files = Vec::new();
    for (hour, mut order_keys) in by_hour {
        order_keys.sort_unstable();
        let of_hour = table.files_in(Partition::Hour(hour));
        files.extend(of_hour.filter(|file| file.may_hold_any(&order_keys)).cloned());
    }
    files
}

fn may_hold(file: &DataFile, key: &Key<'_>) -> bool {
    key.staged().all(|(column, value)| file.may_hold_value(column, value))
}

/// Rows of staging or quarantine with this key.
fn rows_with(batch: &RecordBatch, key: &Key<'_>) -> Vec<usize> {
    let columns: Vec<_> = key.staged().map(|(name, value)| (batch.column_by_name(name), value)).collect();
    let same = |row: usize| {
        columns.iter().all(|(array, value)| {
            array.and_then(|array| value_at(array.as_ref(), row)).is_some_and(|found| found == **value)
        })
    };
    (0..batch.num_rows()).filter(|row| same(*row)).collect()
}

/// Landing rows with this key: in `after`, and in `before` for a delete; and the truncations at these order keys,
/// whose rows have no key.
fn landed_with(batch: &RecordBatch, key: &Key<'_>, known: &HashSet<&[u8]>) -> Vec<usize> {
    let image = |name: &str| batch.column_by_name(name).and_then(|image| image.as_struct_opt());
    let (before, after) = (image("before"), image("after"));
    let ops = batch.column_by_name("op");
    let order_keys = batch.column_by_name(ORDER_KEY).and_then(|keys| keys.as_binary_opt::<i32>());
    let columns: Vec<_> = key.table.key.iter().filter_map(|name| key.table.column(name.as_str()).cloned()).collect();
    let same = |row: usize| {
        let op = ops.and_then(|ops| value_at(ops.as_ref(), row));
        if op == Some(Value::Text(Op::Truncate.letter().to_owned())) {
            return order_keys.is_some_and(|order_keys| known.contains(order_keys.value(row)));
        }
        let image = if op == Some(Value::Text("d".to_owned())) { before } else { after };
        let found = image.filter(|image| image.is_valid(row)).and_then(|image| row_at(image, &columns, row).ok());
        found.flatten().is_some_and(|found| found == key.source_values())
    };
    (0..batch.num_rows()).filter(|row| same(*row)).collect()
}
