//! A patched file holds what a file written whole would hold, and says of itself what is true.

use std::collections::BTreeMap;

use arrow::compute::{concat_batches, take_record_batch};
use weir_core::zone::Zone;

use super::*;
use crate::Patch;

async fn curated(lake: &Lake) -> Table {
    lake.create_table(Zone::Curated, "customer", &schema(), Partitioning::Bucket).await.unwrap()
}

fn renamed(batch: &RecordBatch, name: &str) -> RecordBatch {
    let names = StringArray::from(vec![name; batch.num_rows()]);
    RecordBatch::try_new(batch.schema(), vec![batch.column(0).clone(), Arc::new(names)]).unwrap()
}

#[tokio::test]
async fn a_patched_file_holds_the_new_values_the_added_rows_and_all_else_as_it_was() {
    let folder = TempDir::new().unwrap();
    let table = curated(&lake(&folder).await).await;
    let partition = Partition::Bucket(3);
    let new_file = |batches| NewFile { partition, batches, tags: BTreeMap::new() };
    let mut whole = rows(0..1000);
    let mut file = table.write_file(new_file(vec![whole.clone()])).await.unwrap();
    // Three patches, so that there are edits in later row groups, in several at once, and in none.
    for (step, at) in [vec![0u32, 7, 999], vec![3, 1000, 1001], vec![]].into_iter().enumerate() {
        let fetched = table.fetch(&file).await.unwrap();
        assert_eq!(fetched.row_groups(), step + 1);
        let old = take_record_batch(&whole, &arrow::array::UInt32Array::from(at.clone())).unwrap();
        assert_eq!(fetched.decode(&["id", "name"], Some(&at)).unwrap(), old);
        let new = renamed(&old, &format!("zz {step}"));
        let added = rows(1000 * (step as i64 + 1)..1000 * (step as i64 + 1) + 5);
        let patch = Patch { rows: &at, old: &old, new: &new, added: &added };
        let encoded = fetched.patched(&patch).unwrap().expect("the same columns");
        file = table.write_encoded(encoded, partition, BTreeMap::new()).await.unwrap();

        let place = |row: u32| {
            at.iter().position(|edit| *edit == row).map_or(row, |edit| whole.num_rows() as u32 + edit as u32)
        };
        let order: Vec<u32> = (0..whole.num_rows() as u32).map(place).collect();
        let both = concat_batches(&whole.schema(), [&whole, &new]).unwrap();
        let edited = take_record_batch(&both, &arrow::array::UInt32Array::from(order)).unwrap();
        whole = concat_batches(&whole.schema(), [&edited, &added]).unwrap();
        let read = table.read_all(&[file.clone()], Some(&["id", "name"])).await.unwrap();
        assert_eq!(concat_batches(&whole.schema(), &read).unwrap(), whole);
        let anew = table.write_file(new_file(vec![whole.clone()])).await.unwrap();
        assert_eq!((file.rows, &file.stats), (anew.rows, &anew.stats), "statistics are exact");
    }
}

#[tokio::test]
async fn a_file_is_passed_over_when_no_sought_value_lies_between_its_bounds() {
    let folder = TempDir::new().unwrap();
    let table = curated(&lake(&folder).await).await;
    let file = NewFile { partition: Partition::Bucket(0), batches: vec![rows(10..20)], tags: BTreeMap::new() };
    let file = table.write_file(file).await.unwrap();
    let numbers = |ids: std::ops::Range<i64>| crate::Sought::of([rows(ids).column(0)]);
    assert!(file.may_hold("id", &numbers(19..25)) && file.may_hold("id", &numbers(5..11)));
    assert!(!file.may_hold("id", &numbers(20..25)) && !file.may_hold("id", &numbers(0..10)));
    assert!(!file.may_hold("id", &numbers(0..0)), "nothing is sought");
    let texts = crate::Sought::of([rows(30..31).column(1)]);
    assert!(!file.may_hold("name", &texts) && file.may_hold("unknown", &texts));
    assert!(file.may_hold("id", &texts) && file.may_hold("id", &crate::Sought::Any), "what is not compared is read");
}
