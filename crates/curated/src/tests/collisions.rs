//! Two keys with one surrogate key: no hash is known that does it, so a stored row is given another's.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use weir_core::change::Op;
use weir_core::surrogate::surrogate_key;
use weir_core::value::Value;
use weir_core::zone::Zone;
use weir_lake::{Commit, DataFile, NewFile, Partition};

use super::fixture::{Bench, name, shop, text};
use crate::build::build_in;
use crate::error::CuratedError;

const REGIONS: [&str; 4] = ["a", "b", "c", "d"];

fn surrogate((region, number): (&str, i64)) -> i64 {
    surrogate_key(&name("dim_shop"), &vec![text(region), Value::Int(number)], 0)
}

/// A shop in each region, each in a file of its own; that in region `of` has the surrogate key of another shop.
async fn forged(of: &str, like: (&str, i64)) -> Bench {
    let bench = Bench::new(1).await;
    let changes = (0u32..).zip(REGIONS);
    let changes = changes.map(|(at, region)| shop(at, Op::Create, i64::from(at), (region, 1), ("Ann", "a", "x")));
    bench.stage(&changes.collect::<Vec<_>>()).await;
    build_in(&bench.room).await.expect("a build");

    let mut table = bench.lake.table(Zone::Curated, "dim_shop").await.expect("a lake").expect("a table");
    let files: Vec<DataFile> = table.files().cloned().collect();
    let read = table.read_all(&files, Some(&table.column_names())).await.expect("its rows");
    let rows = concat_batches(table.schema(), &read).expect("one schema");
    let forge = |stored: &i64| if *stored == surrogate((of, 1)) { surrogate(like) } else { *stored };
    let keys = rows.column(0).as_primitive::<Int64Type>().values().iter().map(forge);
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[0] = Arc::new(Int64Array::from_iter_values(keys));
    let forged = RecordBatch::try_new(rows.schema(), columns).expect("the same columns");
    let mut add = Vec::new();
    for row in 0..forged.num_rows() {
        let batches = vec![forged.slice(row, 1)];
        let file = NewFile { partition: Partition::Bucket(0), batches, tags: BTreeMap::new() };
        add.push(table.write_file(file).await.expect("a file"));
    }
    table.commit(Commit { add, remove: files, ..Commit::default() }).await.expect("a commit");
    bench
}

#[tokio::test]
async fn a_new_key_whose_surrogate_key_another_keys_row_holds_stops_the_build_and_changes_nothing() {
    // The forged row is in the file of the new key's region, which is read whole; and in one that statistics say can be
    // left out.
    for of in ["b", "d"] {
        let bench = forged(of, ("b", 9)).await;
        let version =
            async || bench.lake.table(Zone::Curated, "dim_shop").await.expect("a lake").expect("a table").version();
        let before = version().await;
        bench.stage(&[shop(20, Op::Create, 20, ("b", 9), ("Bob", "b", "y"))]).await;
        match build_in(&bench.room).await {
            Err(CuratedError::Collision { key, .. }) => assert_eq!(key, surrogate(("b", 9)).to_string()),
            other => panic!("{other:?}"),
        }
        assert_eq!(version().await, before);
    }
}

#[tokio::test]
async fn a_new_key_beside_others_is_taken_in() {
    let bench = forged("b", ("b", 1)).await;
    bench.stage(&[shop(20, Op::Create, 20, ("b", 9), ("Bob", "b", "y"))]).await;
    build_in(&bench.room).await.expect("nothing is forged");
}
