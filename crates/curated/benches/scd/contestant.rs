//! Weir itself: a first load, then one build per batch, each timed alone; then the table, read whole and summed up.

use std::fs;
use std::path::Path;
use std::time::Instant;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use serde_json::{Value, json};
use weir_core::zone::Zone;
use weir_curated::scd::OPEN;
use weir_lake::{DataFile, Lake, Options, Root};
use weir_testkit::process::{peak_rss_mb, reset_peak, used};

use crate::Failure;
use crate::events::{Image, Sum};
use crate::input::{Input, held, log_of};

/// Runs in a new lake at `at`.
pub async fn run(dir: &Path, at: &Path) -> Result<Value, Failure> {
    let input = Input::read(dir)?;
    link(&dir.join("lake/staging"), &at.join("staging"))?;
    let project = weir_project::load(&dir.join("project"), "dev", &[])?;
    let options = Options { root: Root::Folder(at.to_owned()), ..Options::from(&project.lake) };
    let lake = Lake::open(options).await?;
    let load = timed(&project, &lake).await?;
    reset_peak();
    let mut batches = Vec::new();
    for batch in 1..=input.shape.batches {
        let name = format!("{:020}.json", batch + 1);
        fs::copy(held(dir).join(&name), log_of(at).join(&name))?;
        batches.push(timed(&project, &lake).await?);
    }
    let peak = peak_rss_mb()?;
    let (found, overlaps) = sum(&lake).await?;
    let ok = found == input.expected && overlaps == 0;
    Ok(json!({
        "load": load, "batches": batches, "peak_rss_mb": peak, "ok": ok, "overlaps": overlaps, "late": "right",
        "found": found, "expected": input.expected,
    }))
}

async fn timed(project: &weir_project::Project, lake: &Lake) -> Result<Value, Failure> {
    let before = used()?;
    let start = Instant::now();
    let report = weir_curated::build(project, lake).await?;
    let seconds = start.elapsed().as_secs_f64();
    let after = used()?;
    let set: u64 = report.tables.iter().map(|table| table.upserts + table.deletes).sum();
    Ok(json!({
        "seconds": seconds,
        "cpu_seconds": after.cpu_seconds - before.cpu_seconds,
        "bytes_written": after.bytes_written - before.bytes_written,
        "change_set_rows": set,
        "files_read": report.tables.iter().map(|table| table.traffic.bytes_read).sum::<u64>(),
        "files_written": report.tables.iter().map(|table| table.traffic.bytes_written).sum::<u64>(),
        "change_set_bytes": report.tables.iter().map(|table| table.change_set_bytes).sum::<u64>(),
    }))
}

/// The same files at another place, without copying them.
fn link(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What the table holds now, read as anybody would: every file that the log names, whole.
async fn sum(lake: &Lake) -> Result<(Sum, u64), Failure> {
    let table = lake.table(Zone::Curated, "dim_customer").await?.ok_or("no table")?;
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut sum = Sum::default();
    let mut spans: Vec<(i64, i64, i64)> = Vec::new();
    for file in files {
        for batch in table.read_all(std::slice::from_ref(&file), None).await? {
            add(&batch, &mut sum, &mut spans)?;
        }
    }
    spans.sort_unstable();
    let overlap = |pair: &&[(i64, i64, i64)]| pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1;
    Ok((sum, spans.windows(2).filter(overlap).count() as u64))
}

fn add(batch: &RecordBatch, sum: &mut Sum, spans: &mut Vec<(i64, i64, i64)>) -> Result<(), Failure> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column {name}"));
    let keys = column("customer_id")?.as_primitive::<Int64Type>();
    let from = column("effective_from")?.as_primitive::<TimestampMicrosecondType>();
    let to = column("effective_to")?.as_primitive::<TimestampMicrosecondType>();
    let current = column("is_current")?.as_boolean();
    let amount = column("amount")?.as_primitive::<Decimal128Type>();
    let level = column("level")?.as_primitive::<Int32Type>();
    let texts = |name: &str| column(name).map(|array| array.as_string::<i32>().clone());
    let (names, notes, cities) = (texts("name")?, texts("note")?, texts("city")?);
    let (segments, plans) = (texts("segment")?, texts("plan")?);
    let number = |text: &str| text.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX);
    // The unknown member has no key.
    for row in (0..batch.num_rows()).filter(|row| keys.is_valid(*row)) {
        let image = Image {
            name: number(names.value(row)),
            note: number(notes.value(row)),
            amount: u32::try_from(amount.value(row))?,
            city: number(cities.value(row)),
            segment: number(segments.value(row)),
            level: u32::try_from(level.value(row))?,
            plan: number(plans.value(row)),
        };
        let (from, to) = (from.value(row), to.value(row));
        if current.value(row) != (to == OPEN) {
            return Err("is_current does not say what effective_to says".into());
        }
        sum.version(u64::try_from(keys.value(row))?, from, (to != OPEN).then_some(to), &image);
        spans.push((keys.value(row), from, to));
    }
    Ok(())
}
