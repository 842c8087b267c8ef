//! Records in AWS Glue's frame.

use super::*;

const UUID: u128 = 0xb7b4_a7f0_9c96_4e4a_a687_fb5d_e9ef_0c63;

/// A registry that knows one version, and one number.
struct Versions(String);

impl Schemas for Versions {
    fn schema(&self, id: SchemaId) -> Result<Arc<str>, StreamError> {
        let known = [SchemaId::from(2), SchemaId::from(UUID.to_be_bytes())].contains(&id);
        if known { Ok(self.0.as_str().into()) } else { Err(StreamError::UnknownSchema { id }) }
    }
}

async fn a_glue_record_lands_with_the_uuid_of_its_schema_beside_confluents_numbers(at: At) {
    let folder = at.fresh();
    let (lake, topic, table) = (lake(&folder).await, Topic::new("A"), customer());
    let glue = |uuid: u128, order: u32| {
        let confluent = change(&table, 2, Op::Create, order.into(), order, 0).unwrap();
        Some([&[3, 0][..], &uuid.to_be_bytes(), &confluent[5..]].concat())
    };
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    topic.push(0, glue(UUID, 2));
    topic.push(0, glue(7, 3));
    let source = Source { feed: topic.clone(), schemas: Versions(schema::value_schema(&table)) };
    let landed = land(&table, &settings(1), &lake, source, Until::CaughtUp).await.unwrap();
    assert_eq!((landed.counts.landed, landed.counts.dead_lettered), (2, 1));

    let main = lake.table(Zone::Landing, "customer").await.unwrap().unwrap();
    let files: Vec<DataFile> = main.files().cloned().collect();
    let mut found = Vec::new();
    for batch in main.read_all(&files, Some(&["_offset", "_schema_id", "_schema_version_id"])).await.unwrap() {
        let numbers = batch.column(1).as_primitive::<arrow::datatypes::Int32Type>();
        let uuids = batch.column(2).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let offset = batch.column(0).as_primitive::<Int64Type>().value(row);
            let number = numbers.is_valid(row).then(|| numbers.value(row));
            let uuid = uuids.is_valid(row).then(|| uuids.value(row).to_owned());
            found.push((offset, number, uuid));
        }
    }
    found.sort();
    let uuid = "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63".to_owned();
    assert_eq!(found, [(0, Some(2), None), (1, None, Some(uuid))]);
    assert_eq!(offsets(&lake, Zone::Deadletter).await, [(0, 2)]);
}

on_both!(a_glue_record_lands_with_the_uuid_of_its_schema_beside_confluents_numbers,);
