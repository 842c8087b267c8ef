//! How far back a build reads: a history file that ends before all that a late change touches is not opened.

use weir_core::change::{Change, Op};
use weir_core::zone::Zone;
use weir_project::Scd;

use super::fixture::{Bench, S, dim_shop, dim_shop_of, expected_of, project, shop};
use crate::build::build_in;

/// A member's change at a place in order and time.
fn at(place: u32, grade: &'static str) -> Change {
    shop(place, Op::Update, i64::from(place) * S, ("n", 1), ("Ann", grade, "x"))
}

/// Builds over the first two lists of changes; takes the history file of the first build away; whether a build over
/// the third list goes without it.
async fn goes_without_the_first_file(dimension: weir_project::Model, builds: [&[Change]; 3]) -> bool {
    let models = vec![dimension];
    let bench = Bench::with(models.clone(), 1).await;
    let folder = bench.folder.path().join("curated/dim_shop_history");
    let mut first = Vec::new();
    for build in &builds[..2] {
        bench.stage(build).await;
        build_in(&bench.room).await.expect("a build");
        let history = bench.lake.table(Zone::Curated, "dim_shop_history").await.expect("the lake").expect("a history");
        if first.is_empty() {
            first = history.files().map(|file| folder.join(&file.path)).collect();
        }
    }
    for file in &first {
        std::fs::remove_file(file).expect("a file of the history");
    }
    bench.stage(builds[2]).await;
    match build_in(&bench.room).await {
        Ok(_) => {
            assert_eq!(bench.tables().await, expected_of(&models, &project, &builds.concat()));
            true
        }
        Err(error) => {
            let said = format!("{error:?}");
            assert!(said.contains("dim_shop_history") && said.contains("NotFound"), "{said}");
            false
        }
    }
}

#[tokio::test]
async fn a_late_change_needs_no_history_that_ends_before_it() {
    let usual = || dim_shop_of(Scd::Type2, Scd::Type1, Scd::Type1);
    let (old, new) = ([at(1, "a"), at(2, "b")], [at(5, "c"), at(9, "d")]);
    assert!(goes_without_the_first_file(usual(), [&old, &new, &[at(10, "e")]]).await, "after all");
    assert!(goes_without_the_first_file(usual(), [&old, &new, &[at(7, "e")]]).await, "late for the second build");
    assert!(goes_without_the_first_file(usual(), [&old, &new, &[at(3, "e")]]).await, "between the builds");
    assert!(!goes_without_the_first_file(usual(), [&old, &new, &[at(2, "e")]]).await, "late for the first");
    let clock_is_behind = Change { source_ts: S, ..at(7, "e") };
    assert!(!goes_without_the_first_file(usual(), [&old, &new, &[clock_is_behind]]).await, "late by its time");
}

#[tokio::test]
async fn a_value_that_closed_versions_keep_needs_all_of_a_late_keys_history() {
    let (old, new) = ([at(1, "a"), at(2, "b")], [at(5, "c"), at(9, "d")]);
    assert!(goes_without_the_first_file(dim_shop(), [&old, &new, &[at(10, "e")]]).await);
    assert!(!goes_without_the_first_file(dim_shop(), [&old, &new, &[at(7, "e")]]).await);
}
