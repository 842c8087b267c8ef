//! Dead letters: records that could not be decoded, whole, with the reason. Their table commits before
//! the main table, under the same offsets.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use weir_core::name::TableName;
use weir_core::schema_id::SchemaId;
use weir_envelope::{Reject, frame};
use weir_lake::timestamp;
use weir_stream::deadletter::DeadLetter;

use crate::batch::Polled;

/// Columns of a dead letter table.
pub fn schema() -> Schema {
    let column = |name: &str, kind| Field::new(name, kind, true);
    Schema::new(vec![
        column("topic", DataType::Utf8),
        column("topic_id", DataType::Utf8),
        column("partition", DataType::Int32),
        column("offset", DataType::Int64),
        column("timestamp", timestamp()),
        column("key", DataType::Binary),
        column("value", DataType::Binary),
        column("headers", DataType::Utf8),
        column("reason", DataType::Utf8),
        column("schema_id", DataType::Int64),
        column("_ingested_at", timestamp()),
    ])
}

/// The rows of rejected records, in order of arrival.
pub fn rows(
    table: &TableName,
    (topic, topic_id): (&str, &str),
    polled: &Polled,
    rejects: &[(usize, Reject)],
    ingested_at: i64,
) -> Result<RecordBatch, ArrowError> {
    let (mut topics, mut partitions, mut offsets) = (StringBuilder::new(), Int32Builder::new(), Int64Builder::new());
    let (mut at, mut keys, mut values) =
        (TimestampMicrosecondBuilder::new(), BinaryBuilder::new(), BinaryBuilder::new());
    let (mut headers, mut reasons, mut ids) = (StringBuilder::new(), StringBuilder::new(), Int64Builder::new());
    let mut ingested = TimestampMicrosecondBuilder::new();
    for (index, reject) in rejects {
        let record = polled.record(*index);
        let letter =
            DeadLetter { table, topic, record, headers: polled.headers(*index), reason: reject.reason().to_owned() };
        topics.append_value(letter.topic);
        partitions.append_value(record.partition);
        offsets.append_value(record.offset);
        at.append_option((record.timestamp_ms >= 0).then(|| record.timestamp_ms.saturating_mul(1000)));
        keys.append_option(record.key);
        values.append_option(record.value);
        headers.append_value(letter.headers_json());
        reasons.append_value(&letter.reason);
        ids.append_option(record.value.and_then(|value| frame(value).ok()).and_then(|(id, _)| match id {
            SchemaId::Number(number) => Some(i64::from(number)),
            SchemaId::Version(_) => None, // the value holds it
        }));
        ingested.append_value(ingested_at);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(topics.finish()),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(topic_id, rejects.len()))),
        Arc::new(partitions.finish()),
        Arc::new(offsets.finish()),
        Arc::new(at.finish().with_timezone("UTC")),
        Arc::new(keys.finish()),
        Arc::new(values.finish()),
        Arc::new(headers.finish()),
        Arc::new(reasons.finish()),
        Arc::new(ids.finish()),
        Arc::new(ingested.finish().with_timezone("UTC")),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns)
}
