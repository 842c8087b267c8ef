//! Published builds can be read as they were, as far as vacuum lets them be.

use std::time::{Duration, SystemTime};

use weir_core::change::Op;

use super::fixture::{Bench, expected, shop};
use super::run;
use crate::build::build_in;
use crate::error::CuratedError;
use crate::time_travel::{builds, query_at, reach};
use crate::vacuum::vacuum;

const GRADES: &str = "SELECT grade FROM curated.dim_shop WHERE is_current AND shop_no IS NOT NULL";

async fn grade(bench: &Bench, build: u64) -> Result<String, CuratedError> {
    let (_, batches) = query_at(&bench.lake, build, GRADES).await?;
    let column = arrow::compute::cast(batches[0].column(0), &arrow::datatypes::DataType::Utf8).expect("text");
    Ok(crate::key::value_at(column.as_ref(), 0).to_string())
}

#[test]
fn every_published_build_can_be_asked_until_a_vacuum_takes_its_files() {
    run(async {
        let bench = Bench::new(1).await;
        let changes = ["a", "b", "c"]
            .iter()
            .zip(1u32..)
            .map(|(grade, order)| shop(order, Op::Update, i64::from(order) * 1_000_000, ("n", 1), ("Ann", grade, "x")));
        let changes: Vec<_> = changes.collect();
        for change in &changes {
            bench.stage(std::slice::from_ref(change)).await;
            build_in(&bench.room).await.expect("a build");
        }
        for (build, wanted) in [(1, "a"), (2, "b"), (3, "c")] {
            assert_eq!(grade(&bench, build).await.expect("readable"), wanted);
        }
        assert!(matches!(grade(&bench, 4).await, Err(CuratedError::NoBuild { build: 4, newest: 3 })));
        for refused in ["DROP TABLE curated.dim_shop", "SELECT * FROM curated.nothing", "SET a = 1"] {
            assert!(
                matches!(query_at(&bench.lake, 3, refused).await, Err(CuratedError::BuildQuery { .. })),
                "{refused}"
            );
        }
        assert_eq!(reach(&builds(&bench.lake).await.expect("builds")), Some(1));

        let orphan = bench.folder.path().join("curated/_changes/dim_shop/left-behind.parquet");
        std::fs::write(&orphan, b"half").expect("a file");
        let old = SystemTime::now() - Duration::from_secs(7200);
        std::fs::File::options().write(true).open(&orphan).expect("open").set_modified(old).expect("a time");

        let kept = vacuum(&bench.lake, None, Duration::from_secs(3600), true).await.expect("a dry run");
        let of_tables: u64 = kept.iter().filter(|line| line.oldest.is_some()).map(|line| line.files).sum();
        assert_eq!(of_tables, 0, "all versions are younger than an hour");
        let dry = vacuum(&bench.lake, None, Duration::ZERO, true).await.expect("a dry run");
        assert!(dry.iter().any(|line| line.table == "dim_shop" && line.files > 0), "{dry:?}");
        assert!(orphan.exists());
        assert_eq!(grade(&bench, 1).await.expect("a dry run deletes nothing"), "a");

        let done = vacuum(&bench.lake, None, Duration::ZERO, false).await.expect("a vacuum");
        assert_eq!(done, dry);
        assert!(!orphan.exists());
        let error = grade(&bench, 1).await.expect_err("its files are gone");
        assert!(matches!(error, CuratedError::OutOfReach { build: 1, reach: Some(3) }), "{error}");
        assert!(error.to_string().ends_with("time travel reaches back to build 3"), "{error}");
        assert_eq!(grade(&bench, 3).await.expect("the newest stays"), "c");
        assert_eq!(bench.tables().await, expected(&changes));
        assert_eq!(bench.loaded().await, expected(&changes), "a warehouse can still begin at the first build");
        let nothing = vacuum(&bench.lake, None, Duration::ZERO, false).await.expect("a vacuum");
        assert!(nothing.iter().all(|line| line.files == 0), "{nothing:?}");
    });
}
