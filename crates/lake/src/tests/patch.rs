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
async fn a_patched_file_holds_the_new_values_the_added_rows_and_all_that_was_not_deleted_as_it_was() {
    let folder = TempDir::new().unwrap();
    let table = curated(&lake(&folder).await).await;
    let partition = Partition::Bucket(3);
    let new_file = |batches| NewFile { partition, batches, tags: BTreeMap::new() };
    let mut whole = rows(0..1000);
    let mut file = table.write_file(new_file(vec![whole.clone()])).await.unwrap();
    // Edits in one row group and in several at once, deletions there, added rows alone, and a patch that empties the
    // row groups behind the first.
    type Step = (Vec<u32>, Vec<u32>, i64);
    let steps: [Step; 5] = [
        (vec![0, 7, 999], vec![], 5),
        (vec![3, 1000, 1001], vec![1, 1002], 1),
        (vec![], vec![], 5),
        (vec![5], vec![6, 7], 0),
        (vec![], (996..1007).collect(), 0),
    ];
    for (step, (at, gone, count)) in steps.into_iter().enumerate() {
        let fetched = table.fetch(&file).await.unwrap();
        let old = take_record_batch(&whole, &arrow::array::UInt32Array::from(at.clone())).unwrap();
        assert_eq!(fetched.decode(&["id", "name"], Some(&at)).unwrap(), old);
        let new = renamed(&old, &format!("zz {step}"));
        let added = rows(1000 * (step as i64 + 1)..1000 * (step as i64 + 1) + count);
        let patch = Patch { rows: &at, old: &old, new: &new, deleted: &gone, added: &added };
        let encoded = fetched.patched(&patch).unwrap().expect("most of the file stays");
        file = table.write_encoded(encoded, partition, BTreeMap::new()).await.unwrap();

        let place = |row: u32| {
            at.iter().position(|edit| *edit == row).map_or(row, |edit| whole.num_rows() as u32 + edit as u32)
        };
        let order: Vec<u32> = (0..whole.num_rows() as u32).filter(|row| !gone.contains(row)).map(place).collect();
        let both = concat_batches(&whole.schema(), [&whole, &new]).unwrap();
        let edited = take_record_batch(&both, &arrow::array::UInt32Array::from(order)).unwrap();
        whole = concat_batches(&whole.schema(), [&edited, &added]).unwrap();
        let read = table.read_all(&[file.clone()], Some(&["id", "name"])).await.unwrap();
        assert_eq!(concat_batches(&whole.schema(), &read).unwrap(), whole);
        let anew = table.write_file(new_file(vec![whole.clone()])).await.unwrap();
        assert_eq!((file.rows, &file.stats), (anew.rows, &anew.stats), "statistics are exact");
    }
    let fetched = table.fetch(&file).await.unwrap();
    let (none, added) = (rows(0..0), rows(7000..9000));
    let patch = Patch { rows: &[], old: &none, new: &none, deleted: &[], added: &added };
    assert!(fetched.patched(&patch).unwrap().is_none(), "twice as many rows are added: nothing is left to copy");
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
