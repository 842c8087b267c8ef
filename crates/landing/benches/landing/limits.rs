//! What limits a run of landing: how fast records come from the brokers, and how fast rows become files.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use weir_core::zone::Zone;
use weir_envelope::{Bounds, Decoder};
use weir_lake::{Lake, NewFile, Options, Partitioning, hour_files, hours};
use weir_testkit::process::peak_rss_mb;

use crate::decoders::add_rows;
use crate::events::Sum;
use crate::prepare::{Input, PARTITIONS, table};
use crate::{Clock, Failure, frames};

/// librdkafka alone: fetches every record and looks at its length.
pub fn consume(dir: &Path) -> Result<Value, Failure> {
    let input = Input::read(dir)?;
    let brokers = input.brokers.ok_or("prepared without brokers")?;
    let mut clock = Clock::new();
    let began = Clock::start()?;
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "bench").create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&input.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut rows, mut bytes) = (0, 0);
    while rows < input.shape.rows {
        let message = consumer.poll(Duration::from_secs(30)).ok_or("no record came for half a minute")??;
        rows += 1;
        bytes += (message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len)) as u64;
    }
    clock.stop(began)?;
    Ok(json!({
        "seconds": clock.seconds, "cpu_seconds": clock.cpu_seconds, "bytes_written": 0,
        "peak_rss_mb": peak_rss_mb()?, "ok": rows == input.expected.rows && bytes == input.bytes,
    }))
}

/// Rows that are decoded already, written as landing's files.
pub async fn encode(dir: &Path, lake: &Path) -> Result<Value, Failure> {
    let input = Input::read(dir)?;
    let (of, landing) = table(dir)?;
    let lake = Lake::open(Options::folder(lake)).await?;
    let mut decoder = Decoder::new(Bounds::default());
    decoder.add_schema(input.value_id, &std::fs::read_to_string(dir.join("value.avsc"))?)?;
    let (mut found, mut waiting, mut clock) = (Sum::default(), Vec::new(), Clock::new());
    let mut batches = Vec::new();
    frames::each(&dir.join("frames.bin"), |frames| {
        let decoded = decoder.decode(&of, &frames.records());
        batches.extend(decoded.rows.into_iter().map(|part| part.batch));
        if batches.iter().map(|batch| batch.num_rows()).sum::<usize>() >= landing.max_rows {
            waiting.push(std::mem::take(&mut batches));
        }
        Ok(())
    })?;
    waiting.push(batches);
    let mut files: BTreeMap<usize, Vec<NewFile>> = BTreeMap::new();
    for (at, batches) in waiting.into_iter().enumerate().filter(|(_, batches)| !batches.is_empty()) {
        let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches)?;
        add_rows(&batch, &mut found)?;
        let rows = (0..u32::try_from(batch.num_rows())?).collect();
        files.insert(at, hour_files(&batch, &hours(&batch)?, rows)?);
    }
    let schema = files.values().flatten().next().ok_or("no rows")?.batches[0].schema();
    let table = lake.create_table(Zone::Landing, "order_item", &schema, Partitioning::Hour).await?;
    for files in files.into_values() {
        let began = Clock::start()?;
        table.write_files(files).await?;
        clock.stop(began)?;
    }
    clock.said(&found, &input.expected)
}
