//! Landing, dead letters, staging with quarantine: every distinct change once, and the accounts.

use std::collections::HashSet;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use weir_core::accounts::{LandingCounts, StagingCounts};
use weir_core::change::Op;
use weir_core::diagnosis::Diagnosed;
use weir_core::order_key::OrderKey;
use weir_core::value::{Row, Value};
use weir_core::zone::Zone;
use weir_lake::{DataFile, Lake, Retained};
use weir_landing::handled::Mark;
use weir_landing::letters::Letters;
use weir_project::Table;
use weir_staging::truncation::order_keys;

use super::expected::{ExpectedTable, identity};
use super::report::{AccountLine, ZoneLine};
use super::tally::{Fingerprint, Tally, fingerprint};
use super::values::{image_row, row};
use crate::error::OperateError;

/// Every distinct change of the stream lies in landing once, with its row.
pub async fn landing(lake: &Lake, table: &Table, expected: &ExpectedTable) -> Result<ZoneLine, Diagnosed> {
    let mut tally = Tally::default();
    #[allow(clippy::iter_over_hash_type, reason = "a set is filled: the order does not show")]
    for (name, content) in &expected.changes {
        tally.expect(*name, *content);
    }
    for order_key in &expected.truncations {
        tally.expect(identity(&[], Op::Truncate, order_key), None);
    }
    let columns = ["before", "after", "op", "_order_key"];
    scan(lake, Zone::Landing, table.name.as_str(), &columns, |batch| {
        let (before, after) = (batch.column(0).as_struct(), batch.column(1).as_struct());
        for index in 0..batch.num_rows() {
            let (op, order_key) = place(batch.column(2), batch.column(3), index)?;
            if op == Op::Truncate {
                tally.find(identity(&[], op, &order_key), 0);
                continue;
            }
            let image = if op == Op::Delete { before } else { after };
            let row = image_row(&table.columns, image, index)?;
            let key: Row = table.key_indexes().into_iter().map(|i| row[i].clone()).collect();
            tally.find(identity(&key, op, &order_key), fingerprint(&row));
        }
        Ok(())
    })
    .await?;
    excuse_retained(lake, table, &mut tally).await?;
    Ok(tally.line("landing", &table.name))
}

/// What left landing by its retention counts as found where the stage behind has it: no more rows than retention says.
async fn excuse_retained(lake: &Lake, table: &Table, tally: &mut Tally) -> Result<(), Diagnosed> {
    let Some(landing) = lake.table(Zone::Landing, table.name.as_str()).await? else { return Ok(()) };
    let Some(Retained { rows: mut left, .. }) = landing.retained().await? else { return Ok(()) };
    let mut excuse = |name: Fingerprint| left -= u64::from(left > 0 && tally.find_missing(name));
    for zone in [Zone::Staging, Zone::Quarantine] {
        each_change(lake, zone, table, |found| excuse(found.name)).await?;
    }
    if let Some(staging) = lake.table(Zone::Staging, table.name.as_str()).await? {
        order_keys(&staging).for_each(|at| excuse(identity(&[], Op::Truncate, &at)));
    }
    Ok(())
}

/// Every record that cannot be read lies in the dead letters once. A letter that was sent again is read by now.
pub async fn dead_letters(letters: &Letters, table: &Table, expected: &ExpectedTable) -> Result<ZoneLine, Diagnosed> {
    let name = |partition: i32, offset: i64| -> Fingerprint {
        fingerprint(&[Value::Int(i64::from(partition)), Value::Int(offset)])
    };
    let mut tally = Tally::default();
    for (partition, offset) in &expected.unreadable {
        tally.expect(name(*partition, *offset), None);
    }
    letters
        .each(|letter| {
            if !matches!(letter.mark, Some(Mark::Replayed { .. })) {
                tally.find(name(letter.id.partition, letter.id.offset), 0);
            }
        })
        .await?;
    Ok(tally.line("dead letters", &table.name))
}

/// Every distinct change lies once in staging or in quarantine; what else staging holds are deletes of keys that a
/// known truncation ended, each once. Whether none of these is missing shows in curated.
pub async fn staging(lake: &Lake, table: &Table, expected: &ExpectedTable) -> Result<ZoneLine, Diagnosed> {
    let mut tally = Tally::default();
    #[allow(clippy::iter_over_hash_type, reason = "a set is filled: the order does not show")]
    for name in expected.changes.keys() {
        // The content is judged in curated: staging may clean it by the table's own query.
        tally.expect(*name, None);
    }
    let mut ended = HashSet::new();
    for zone in [Zone::Staging, Zone::Quarantine] {
        each_change(lake, zone, table, |found| {
            let by_truncation = found.op == Op::Delete && expected.truncations.contains(&found.order_key);
            if !(by_truncation && ended.insert(found.name)) {
                tally.find(found.name, 0);
            }
        })
        .await?;
    }
    Ok(tally.line("staging", &table.name))
}

/// A change that was found in a zone.
pub struct Found {
    /// Its identity.
    pub name: Fingerprint,
    /// Its key.
    pub key: Fingerprint,
    /// What was done.
    pub op: Op,
    /// When, in the source's own order.
    pub order_key: OrderKey,
}

/// Every change of a table of typed rows.
pub async fn each_change(
    lake: &Lake,
    zone: Zone,
    table: &Table,
    mut visit: impl FnMut(Found),
) -> Result<(), Diagnosed> {
    let mut columns = vec!["_op", "_order_key"];
    columns.extend(table.key.iter().map(|name| name.as_str()));
    scan(lake, zone, table.name.as_str(), &columns, |batch| {
        for index in 0..batch.num_rows() {
            let (op, order_key) = place(batch.column(0), batch.column(1), index)?;
            let key = row(&batch.columns()[2..], index)?;
            let (name, key) = (identity(&key, op, &order_key), fingerprint(&key));
            visit(Found { name, key, op, order_key });
        }
        Ok(())
    })
    .await
}

/// received = landed + dead-lettered + repeats + tombstones, and landed = staged + quarantined + repeats +
/// truncations, as the commits say, against what the stream and the zones hold.
pub async fn accounts(
    lake: &Lake,
    letters: &Letters,
    table: &Table,
    expected: &ExpectedTable,
) -> Result<Vec<AccountLine>, Diagnosed> {
    let landing: LandingCounts = sum(lake, Zone::Landing, table, "weir.landing").await?;
    let staging: StagingCounts = sum(lake, Zone::Staging, table, "weir.staging").await?;
    let line = |equation, left, right| AccountLine { table: table.name.clone(), equation, left, right };
    Ok(vec![
        line("records in the stream = received", expected.records, landing.received),
        line("received = landed + dead-lettered + repeated + tombstones", landing.received, landing.accounted()),
        line("tombstones in the stream = tombstones", expected.tombstones, landing.tombstones),
        line(
            "repeats in the stream = repeated in landing + in staging + dead letters sent again",
            expected.repeats,
            landing.repeated + staging.repeated + letters.replayed(),
        ),
        line("truncations in the stream = truncations", expected.truncations.len() as u64, staging.truncations),
        line("landed = staged + quarantined + repeated + truncations", landing.landed, staging.accounted()),
    ])
}

/// Sums the counts that the commits of a table carry.
async fn sum<T: DeserializeOwned + Default + std::ops::AddAssign>(
    lake: &Lake,
    zone: Zone,
    table: &Table,
    name: &str,
) -> Result<T, Diagnosed> {
    let mut sum = T::default();
    let Some(found) = lake.table(zone, table.name.as_str()).await? else { return Ok(sum) };
    for commit in found.commit_infos(-1, found.version()).await? {
        if let Some(counts) = commit.info.get(name) {
            sum += serde_json::from_value(counts.clone())
                .map_err(|e| unreadable(zone.folder(), table.name.as_str(), e))?;
        }
    }
    Ok(sum)
}

/// Reads these columns of a table, batch by batch; nothing where there is no table.
pub async fn scan(
    lake: &Lake,
    zone: Zone,
    name: &str,
    columns: &[&str],
    mut visit: impl FnMut(&RecordBatch) -> Result<(), String>,
) -> Result<(), Diagnosed> {
    let Some(table) = lake.table(zone, name).await? else { return Ok(()) };
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut batches = table.read(&files, Some(columns))?;
    while let Some(batch) = batches.next().await {
        visit(&batch?).map_err(|message| unreadable(zone.folder(), name, message))?;
    }
    Ok(())
}

fn place(ops: &ArrayRef, order_keys: &ArrayRef, index: usize) -> Result<(Op, OrderKey), String> {
    let letter = ops.as_string::<i32>().value(index);
    let op = Op::from_letter(letter).ok_or_else(|| format!("`{letter}` is no operation"))?;
    Ok((op, OrderKey::from_stored(order_keys.as_binary::<i32>().value(index))))
}

pub fn unreadable(
    zone: &'static str,
    table: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> OperateError {
    OperateError::Unreadable { zone, table: table.to_owned(), source: source.into() }
}
