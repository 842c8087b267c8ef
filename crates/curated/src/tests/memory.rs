//! A first load of a table that is five times larger than the memory limit ends, within the limit; and so does the
//! build after it, in which a tenth of the keys changed.
//!
//! What is measured is by how much a process grows that has built a small table before: what the table takes, without
//! the program itself.

use std::fmt::Write as _;
use std::process::Command;

use tempfile::TempDir;
use weir_core::change::{Change, Op};
use weir_lake::{Lake, Options};

use super::fixture::{Bench, models, shop, sources};
use crate::build::build_in;
use crate::room::Room;

const LIMIT: u64 = 224 << 20;
/// As many as by default.
const BUCKETS: u16 = 16;
/// Bytes of a row, nearly all in one text.
const ROW: usize = 2_000;
const ROWS: u32 = 588_000;
/// Of so many keys one changes.
const CHANGED: u32 = 10;

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or_default() * 1024
}

/// A text of a row's size, no two alike, of which a quarter hardly compresses.
fn note(seed: u32) -> String {
    let (mut text, mut state) = (String::with_capacity(ROW + 32), u64::from(seed) + 1);
    while text.len() < ROW {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (high, noise) = (state >> 40, state >> 24);
        let _ = if text.len() < ROW / 4 { write!(text, "{noise:010x}") } else { write!(text, "{:>32}", high % 8) };
    }
    text.truncate(ROW);
    text
}

async fn stage(folder: &TempDir, changes: impl Iterator<Item = Change>) {
    let bench = Bench::of(Lake::open(Options::folder(folder.path())).await.expect("a lake"));
    let mut changes = changes.peekable();
    while changes.peek().is_some() {
        bench.stage(&changes.by_ref().take(4_000).collect::<Vec<Change>>()).await;
    }
}

/// In a process of its own, so that the peak is the build's and not that of making up its input.
fn build(folder: &TempDir, upserts: u32) {
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", "tests::memory::only_a_build"])
        .env("WEIR_MEMORY_FOLDER", folder.path())
        .env("WEIR_MEMORY_UPSERTS", upserts.to_string())
        // As the binary has it, which says why.
        .env("MALLOC_ARENA_MAX", "2")
        .status();
    assert!(child.expect("a child").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_of_a_table_of_five_times_the_memory_limit_stay_within_it() {
    if !std::path::Path::new("/proc/self/status").exists() {
        return println!("skipped: this system does not tell a process's peak");
    }
    assert!(u64::from(ROWS) * ROW as u64 >= 5 * LIMIT);
    let folder = TempDir::new().expect("a folder");
    let key = |number: u32| ("n", i64::from(number));
    let create = |i: u32| shop(i, Op::Create, i64::from(i), key(i), ("a shop", "a", &note(i)));
    stage(&folder, (0..ROWS).map(create)).await;
    build(&folder, ROWS + 1);
    // Half of the changes make another version, half change the text of the one that is there.
    let update = |i: u32| {
        let grade = if i.is_multiple_of(2) { "a" } else { "b" };
        let order = ROWS + i;
        shop(order, Op::Update, i64::from(order), key(i * CHANGED + i % CHANGED), ("a shop", grade, &note(order)))
    };
    let changed = ROWS / CHANGED;
    stage(&folder, (0..changed).map(update)).await;
    build(&folder, changed / 2 + 2 * (changed / 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the part that runs in a process of its own"]
async fn only_a_build() {
    let Ok(folder) = std::env::var("WEIR_MEMORY_FOLDER") else { return };
    let upserts = std::env::var("WEIR_MEMORY_UPSERTS").expect("how many rows change");
    let small = Bench::as_shipped(BUCKETS).await;
    small.stage(&[shop(0, Op::Create, 0, ("n", 0), ("a shop", "a", &note(0)))]).await;
    build_in(&small.room).await.expect("a build");
    let lake = Lake::open(Options { memory: LIMIT, ..Options::folder(folder) }).await.expect("a lake");
    let before = status("VmRSS:");
    let report = build_in(&Room::of(&models(), &sources(), BUCKETS, &lake)).await.expect("a build");
    let taken = status("VmHWM:") - before;
    println!("{} MiB taken, limit {} MiB", taken >> 20, LIMIT >> 20);
    assert_eq!(report.tables[0].upserts.to_string(), upserts, "every row that changed, and the unknown member");
    assert!(taken <= LIMIT, "{taken} bytes taken, {LIMIT} allowed");
}
