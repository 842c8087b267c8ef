//! What a small build reads and writes, in bytes, against a first load of the same table.

use std::sync::Arc;
use std::time::Instant;

use weir_core::change::{Change, Op};

use super::fixture::{Bench, shop};
use crate::build::build_in;
use crate::key::{bucket, key_hashes};
use crate::report::BuildReport;

const BUCKETS: u16 = 64;

fn change(order: u32, number: u32, name: &str, grade: &'static str) -> Change {
    shop(order, Op::Update, i64::from(order) * 1_000, ("n", number.into()), (name, grade, "a note of some length"))
}

/// All bytes read and written, and those of the change sets.
fn bytes(report: &BuildReport) -> (u64, u64) {
    let sets = report.tables.iter().map(|table| table.change_set_bytes).sum();
    let files = report.tables.iter().map(|table| table.traffic.bytes_read + table.traffic.bytes_written);
    (files.sum::<u64>() + sets, sets)
}

fn bucket_of(number: u32) -> u16 {
    let region: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["n"]));
    let number: arrow::array::ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![i64::from(number)]));
    bucket(key_hashes(&[region, number])[0], BUCKETS)
}

/// Bytes of a first load of `rows` members, of a build that changes these, and of its change set.
async fn after_a_load(rows: u32, changed: impl Fn(u32) -> bool) -> (u64, u64, u64) {
    let bench = Bench::as_shipped(BUCKETS).await;
    let load: Vec<Change> = (0..rows).map(|i| change(i, i, &format!("shop number {i}"), "a")).collect();
    bench.stage(&load).await;
    let began = Instant::now();
    let (whole, _) = bytes(&build_in(&bench.room).await.expect("a first load"));
    let load_time = began.elapsed();
    let changes: Vec<Change> = (0..rows)
        .filter(|i| changed(*i))
        .take(rows as usize / 1_000)
        .map(|i| change(rows + i, i, "new", "b"))
        .collect();
    assert_eq!(changes.len(), rows as usize / 1_000, "0.1 percent of the table");
    bench.stage(&changes).await;
    let began = Instant::now();
    let report = build_in(&bench.room).await.expect("a build");
    let time = 100.0 * began.elapsed().as_secs_f64() / load_time.as_secs_f64();
    let (all, set) = bytes(&report);
    println!(
        "{rows} rows: first load {whole} bytes, 0.1 percent changed {all} ({time:.0} % of its time), change set {set}"
    );
    (whole, all, set)
}

/// All bytes that are read and written count: of histories, tables and change sets, and by the look before publication.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousandth_of_the_keys_costs_a_small_part_of_a_load_and_its_change_set_below_a_hundredth() {
    for rows in [20_000, 200_000] {
        for in_few in [true, false] {
            let (whole, all, set) = after_a_load(rows, |i| if in_few { bucket_of(i) < 2 } else { i % 997 == 0 }).await;
            assert!(set * 100 < whole, "{rows} rows: change set {set} of {whole} bytes");
            if in_few {
                assert!(all * 20 < whole, "{rows} rows, in few buckets: {all} of {whole} bytes");
            } else if rows == 20_000 {
                // With a changed key in nearly every file of the larger table nearly every file is written (docs/limits.md).
                assert!(all * 4 < whole, "{rows} rows, scattered: {all} of {whole} bytes");
            }
        }
    }
}
