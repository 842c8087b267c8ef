//! How long a first load takes, and a small build after it: `cargo test -- --ignored --nocapture a_first_load`.

use std::sync::Arc;
use std::time::Instant;

use weir_core::change::{Change, Op};
use weir_core::value::Value;
use weir_lake::{Lake, Options};

use super::fixture::{Bench, change, models, shop, sources, text};
use crate::build::build_in;
use crate::room::Room;

const S: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_first_load_of_half_a_million_facts_and_many_changes_of_few_members() {
    let bench = Bench::new(16).await;
    let mut changes: Vec<Change> = Vec::new();
    for i in 0..190_000u32 {
        let number = i64::from(i % 4_000);
        let grade = if i % 50 == 0 { "b" } else { "a" };
        changes.push(shop(i, Op::Update, i64::from(i) * S, ("n", number), ("some name of a shop", grade, "note")));
    }
    for i in 0..541_909u32 {
        let row = vec![
            Value::Int(i64::from(i)),
            text("n"),
            Value::Int(i64::from(i % 4_100)),
            text("new"),
            Value::Timestamp(i64::from(i) * S),
            Value::Int(2),
            Value::Decimal(1_250, 3),
        ];
        changes.push(change("visit", i, Op::Create, i64::from(i) * S, 1, row));
    }
    let changes = Arc::new(changes);
    for part in changes.chunks(200_000) {
        // About 185 lines an hour, as in a shop's real year.
        bench.stage_in_files_of(part, 185).await;
    }
    drop(changes);
    // A process of its own, so that the peak is the build's and not that of making up its input.
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", "tests::speed::only_a_build"])
        .env("WEIR_SPEED_FOLDER", bench.folder.path())
        .status();
    assert!(child.expect("a child").success());
    println!("here {}", peak());
    let start = Instant::now();
    let report = build_in(&bench.room).await.expect("a build");
    println!("after the child {:?} {:?}", start.elapsed(), report.published);
    for (what, part) in [
        (
            "100 type 1 changes",
            (0..100).map(|i| shop(200_000 + i, Op::Update, 0, ("n", i.into()), ("new", "a", "x"))).collect::<Vec<_>>(),
        ),
        (
            "100 type 2 changes",
            (0..100).map(|i| shop(300_000 + i, Op::Update, 0, ("n", i.into()), ("new", "c", "x"))).collect(),
        ),
    ] {
        bench.stage(&part).await;
        let start = Instant::now();
        let report = build_in(&bench.room).await.expect("a build");
        let counts: Vec<_> = report.tables.iter().map(|t| (t.table.to_string(), t.upserts, t.deletes)).collect();
        println!("{what} {:?} {counts:?}", start.elapsed());
    }
    let start = Instant::now();
    build_in(&bench.room).await.expect("a build");
    println!("nothing {:?}", start.elapsed());
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the part of the measurement that runs in a process of its own"]
async fn only_a_build() {
    let Ok(folder) = std::env::var("WEIR_SPEED_FOLDER") else { return };
    let lake = Lake::open(Options::folder(folder)).await.expect("a lake");
    println!("before {}", peak());
    let start = Instant::now();
    let report = build_in(&Room::of(&models(), &sources(), 16, &lake)).await.expect("a build");
    let counts: Vec<_> = report.tables.iter().map(|t| (t.table.to_string(), t.read, t.upserts)).collect();
    println!("first load {:?} {} {counts:?}", start.elapsed(), peak());
}
