//! What the topics themselves hold, read from their first record to their last.

use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use weir_core::change::{Change, Op};
use weir_core::diagnosis::Diagnosed;
use weir_core::ledger::{LedgerRecord, RecordKind};
use weir_core::order_key::OrderKey;
use weir_core::value::Row;
use weir_envelope::{Bounds, Decoder, RawRecord, Reject};
use weir_project::{Project, Table};
use weir_stream::{Batch, Consumer, Start, StreamError};

use super::Witness;
use super::values::image_row;
use super::zones::unreadable;
use crate::error::OperateError;
use crate::services::Services;

/// The topics of a project.
pub struct StreamWitness<'a> {
    /// The project.
    pub project: &'a Project,
    /// Where its topics are.
    pub services: &'a Services,
}

impl Witness for StreamWitness<'_> {
    fn each(&self, visit: &mut dyn FnMut(LedgerRecord)) -> Result<(), Diagnosed> {
        for table in &self.project.tables {
            self.topic(table, visit)?;
        }
        Ok(())
    }
}

impl StreamWitness<'_> {
    fn topic(&self, table: &Table, visit: &mut dyn FnMut(LedgerRecord)) -> Result<(), Diagnosed> {
        let mut consumer = Consumer::new(&self.services.connection, &table.topic)?;
        let mut left: i64 = 0;
        let mut starts = Vec::new();
        for partition in consumer.partitions()? {
            let (low, high) = consumer.watermarks(partition)?;
            if low > 0 {
                return Err(OperateError::StreamTrimmed { topic: table.topic.clone(), partition, low }.into());
            }
            left += high;
            starts.push((partition, Start::At(0)));
        }
        consumer.assign(&starts)?;
        let mut decoder = Decoder::new(Bounds::default());
        while left > 0 {
            let batch = consumer.poll_batch(50_000, 32 << 20, Duration::from_millis(500))?;
            left -= i64::try_from(batch.len()).unwrap_or(i64::MAX);
            self.decode(table, &mut decoder, &batch, visit)?;
        }
        Ok(())
    }

    fn decode(
        &self,
        table: &Table,
        decoder: &mut Decoder,
        batch: &Batch,
        visit: &mut dyn FnMut(LedgerRecord),
    ) -> Result<(), Diagnosed> {
        let records: Vec<RawRecord<'_>> = batch
            .records()
            .map(|record| RawRecord {
                partition: record.partition,
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                key: record.key,
                value: record.value,
            })
            .collect();
        for id in decoder.schema_ids_needed(&records) {
            let known = match self.services.registry.schema(id) {
                Ok(schema) => decoder.add_schema(id, &schema).is_ok(),
                Err(StreamError::UnknownSchema { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            if !known {
                decoder.refuse_schema(id, Reject::UnknownSchema(id));
            }
        }
        let decoded = decoder.decode(table, &records);
        let mut kinds: Vec<Option<RecordKind>> = records.iter().map(|_| None).collect();
        for index in decoded.tombstones {
            kinds[index] = Some(RecordKind::Tombstone);
        }
        for (index, reject) in decoded.rejects {
            kinds[index] = Some(RecordKind::Poison(reject.to_string()));
        }
        for part in decoded.rows {
            let named = |name: &str| {
                let column = part.batch.column_by_name(name).cloned();
                column.ok_or_else(|| unreadable("the stream", &table.topic, format!("no column `{name}`")))
            };
            let (before, after, ops) = (named("before")?, named("after")?, named("op")?);
            let (order_keys, times) = (named("_order_key")?, named("_source_ts")?);
            for (row, record) in part.index.iter().enumerate() {
                let letter = ops.as_string::<i32>().value(row);
                let op = Op::from_letter(letter)
                    .ok_or_else(|| unreadable("the stream", &table.topic, format!("`{letter}` is no operation")))?;
                let image = if op == Op::Delete { before.as_struct() } else { after.as_struct() };
                let values = (op != Op::Truncate).then(|| image_row(&table.columns, image, row)).transpose();
                let values = values.map_err(|message| unreadable("the stream", &table.topic, message))?;
                let key = |values: &Row| table.key_indexes().into_iter().map(|i| values[i].clone()).collect();
                kinds[*record] = Some(RecordKind::Change(Change {
                    table: table.name.clone(),
                    key: values.as_ref().map(key).unwrap_or_default(),
                    op,
                    order_key: OrderKey::from_stored(order_keys.as_binary::<i32>().value(row)),
                    source_ts: times.as_primitive::<TimestampMicrosecondType>().value(row),
                    row: values,
                }));
            }
        }
        for (record, kind) in records.iter().zip(kinds) {
            if let Some(kind) = kind {
                let (partition, offset) = (record.partition, record.offset);
                visit(LedgerRecord { table: table.name.clone(), partition, offset, kind });
            }
        }
        Ok(())
    }
}
