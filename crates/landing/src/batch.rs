//! What becomes of a micro-batch: decoded, brought into the table's columns, repeats found, sorted by hour.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use weir_core::name::Identifier;
use weir_core::schema_id::SchemaId;
use weir_core::zone::Hour;
use weir_envelope::{Part, RawRecord};
use weir_lake::{NewFile, align_batch, envelope_keys, hour_files, hours, identities, order_key_ranges};
use weir_stream::{Batch, Record};

use crate::error::LandingError;

/// The records of one micro-batch, in the order in which the client handed them over.
#[derive(Debug, Default)]
pub struct Polled {
    batches: Vec<Batch>,
    /// First record of each batch, and the number of records at the end.
    firsts: Vec<usize>,
    records: usize,
    bytes: usize,
}

impl Polled {
    /// Takes what one poll gave.
    pub fn push(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.firsts.push(self.records);
            self.records += batch.len();
            self.bytes += batch.bytes();
            self.batches.push(batch);
        }
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.records
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A record by its place.
    pub fn record(&self, index: usize) -> Record<'_> {
        let (batch, inside) = self.place(index);
        batch.record(inside)
    }

    /// Its headers.
    pub fn headers(&self, index: usize) -> &[(String, Option<Vec<u8>>)] {
        let (batch, inside) = self.place(index);
        batch.headers(inside)
    }

    fn place(&self, index: usize) -> (&Batch, usize) {
        let at = self.firsts.partition_point(|first| *first <= index) - 1;
        (&self.batches[at], index - self.firsts[at])
    }

    /// All records as the decoder takes them.
    pub fn raw(&self) -> Vec<RawRecord<'_>> {
        let records = self.batches.iter().flat_map(Batch::records);
        let raw = records.map(|Record { partition, offset, timestamp_ms, key, value }| RawRecord {
            partition,
            offset,
            timestamp_ms,
            key,
            value,
        });
        raw.collect()
    }

    /// First and last offset of each partition; refuses offsets that do not grow.
    pub fn ranges(&self, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, LandingError> {
        let mut ranges: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
        for record in self.batches.iter().flat_map(Batch::records) {
            let range = ranges.entry(record.partition).or_insert((record.offset, record.offset - 1));
            if record.offset <= range.1 {
                let (partition, given, before) = (record.partition, record.offset, range.1);
                return Err(LandingError::OutOfOrder { topic: topic.to_owned(), partition, given, before });
            }
            range.1 = record.offset;
        }
        Ok(ranges)
    }
}

/// The UUID of the writer schema's version; only tables that have had records in AWS Glue's frame have it.
const SCHEMA_VERSION_ID: &str = "_schema_version_id";

/// The columns that landing adds behind the envelope's.
fn weir_fields() -> [Field; 5] {
    [
        Field::new("_topic", DataType::Utf8, true),
        Field::new("_partition", DataType::Int32, true),
        Field::new("_offset", DataType::Int64, true),
        Field::new("_schema_id", DataType::Int32, true),
        Field::new("_ingested_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]
}

/// Columns that every landing table has from the start.
pub fn least_schema() -> Schema {
    let mut fields = vec![
        Field::new("op", DataType::Utf8, true),
        Field::new("ts_ms", DataType::Int64, true),
        Field::new("_order_key", DataType::Binary, true),
        Field::new("_source_ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ];
    fields.extend(weir_fields());
    Schema::new(fields)
}

/// A decoded part with the columns that say where it came from.
pub fn with_origin(part: &Part, polled: &Polled, topic: &str, ingested_at: i64) -> Result<RecordBatch, ArrowError> {
    let rows = part.batch.num_rows();
    let records = || part.index.iter().map(|index| polled.record(*index));
    let mut columns: Vec<ArrayRef> = part.batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(topic, rows))));
    columns.push(Arc::new(Int32Array::from_iter_values(records().map(|record| record.partition))));
    columns.push(Arc::new(Int64Array::from_iter_values(records().map(|record| record.offset))));
    let (number, version) = match part.schema_id {
        // An id above i32::MAX shows as the negative number of the same bits, as in Java's registry.
        SchemaId::Number(number) => (Some(i32::from_be_bytes(number.to_be_bytes())), None),
        SchemaId::Version(_) => (None, Some(part.schema_id.to_string())),
    };
    columns.push(Arc::new(Int32Array::from_iter(std::iter::repeat_n(number, rows))));
    columns.push(Arc::new(TimestampMicrosecondArray::from_value(ingested_at, rows).with_timezone("UTC")));
    let mut fields: Vec<Arc<Field>> = part.batch.schema().fields().iter().cloned().collect();
    fields.extend(weir_fields().into_iter().map(Arc::new));
    if let Some(version) = version {
        columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(version, rows))));
        fields.push(Arc::new(Field::new(SCHEMA_VERSION_ID, DataType::Utf8, true)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The rows of a micro-batch in the table's columns, and what is known of each.
pub struct Rows {
    /// The rows, parts in order.
    pub batch: RecordBatch,
    /// The hour of each row.
    pub hours: Vec<Hour>,
    /// The identity of each row.
    pub identities: Vec<Box<[u8]>>,
    /// Rows that are written.
    keep: Vec<bool>,
}

impl Rows {
    /// Brings parts into the table's columns; rows that repeat an earlier row of the batch are not kept.
    pub fn new(parts: &[RecordBatch], schema: &SchemaRef, key: &[Identifier]) -> Result<Self, ArrowError> {
        if parts.is_empty() {
            let batch = RecordBatch::new_empty(schema.clone());
            return Ok(Self { batch, hours: Vec::new(), identities: Vec::new(), keep: Vec::new() });
        }
        let aligned = parts.iter().map(|part| align_batch(part, schema)).collect::<Result<Vec<_>, _>>()?;
        let batch = match &aligned[..] {
            [one] => one.clone(),
            several => concat_batches(schema, several)?,
        };
        let hours = hours(&batch)?;
        let identities = batch_identities(&batch, key)?;
        let mut seen = HashSet::with_capacity(identities.len());
        let keep = hours.iter().zip(&identities).map(|(hour, identity)| seen.insert((*hour, &**identity))).collect();
        drop(seen);
        Ok(Self { batch, hours, identities, keep })
    }

    /// Brings the rows of each hour together, those of an hour in order of arrival. So they are written, and so they need
    /// not be copied for it: a batch is most of what memory holds.
    pub fn sort_by_hour(&mut self) -> Result<(), ArrowError> {
        if self.hours.is_sorted() {
            return Ok(());
        }
        let mut order: Vec<u32> = (0u32..).zip(&self.hours).map(|(row, _)| row).collect();
        order.sort_by_key(|row| self.hours[*row as usize]);
        let mut identities: Vec<_> = std::mem::take(&mut self.identities).into_iter().map(Some).collect();
        self.identities = order.iter().filter_map(|row| identities[*row as usize].take()).collect();
        self.keep = order.iter().map(|row| self.keep[*row as usize]).collect();
        self.hours.sort();
        self.batch = take_record_batch(&self.batch, &UInt32Array::from(order))?;
        Ok(())
    }

    /// Drops the rows whose identity their hour's folder holds already; whether there were any.
    pub fn drop_repeats(&mut self, stored: &HashMap<Hour, HashSet<Box<[u8]>>>) -> bool {
        let before = self.kept();
        for row in 0..self.keep.len() {
            let repeats = stored.get(&self.hours[row]).is_some_and(|stored| stored.contains(&self.identities[row]));
            self.keep[row] &= !repeats;
        }
        self.kept() < before
    }

    /// Rows that are written.
    pub fn kept(&self) -> u64 {
        self.keep.iter().filter(|keep| **keep).count() as u64
    }

    /// Rows that are not, because they repeat another.
    pub fn repeated(&self) -> u64 {
        self.keep.len() as u64 - self.kept()
    }

    /// Smallest and largest order key of each hour, hexadecimal.
    pub fn order_key_ranges(&self) -> Result<BTreeMap<Hour, (String, String)>, ArrowError> {
        order_key_ranges(&self.batch, &self.hours, &self.kept_rows())
    }

    /// One file per hour, rows of an hour in order of arrival.
    pub fn files(&self) -> Result<Vec<NewFile>, ArrowError> {
        hour_files(&self.batch, &self.hours, self.kept_rows())
    }

    fn kept_rows(&self) -> Vec<u32> {
        // A micro-batch holds far fewer than 2^32 rows: `landing.max_rows` bounds it.
        (0u32..).zip(&self.keep).filter(|(_, keep)| **keep).map(|(row, _)| row).collect()
    }
}

/// The identities of landing rows.
pub fn batch_identities(batch: &RecordBatch, key: &[Identifier]) -> Result<Vec<Box<[u8]>>, ArrowError> {
    let names: Vec<&str> = key.iter().map(Identifier::as_str).collect();
    let op = column(batch, "op")?;
    let keys = envelope_keys(op, column(batch, "before")?, column(batch, "after")?, &names)?;
    identities(op, column(batch, "_order_key")?, &keys)
}

/// How many rows are older than the newest of their partition so far by more than the allowed lateness.
pub fn late(batch: &RecordBatch, newest: &mut BTreeMap<i32, i64>, allowed: i64) -> Result<u64, ArrowError> {
    let at = column(batch, "_source_ts")?.as_primitive::<TimestampMicrosecondType>();
    let partitions = column(batch, "_partition")?.as_primitive::<arrow::datatypes::Int32Type>();
    let mut late = 0;
    let mut seen: HashMap<i32, i64> = newest.iter().map(|(partition, us)| (*partition, *us)).collect();
    for (us, partition) in at.values().iter().zip(partitions.values()) {
        let newest = seen.entry(*partition).or_insert(*us);
        if *us < newest.saturating_sub(allowed) {
            late += 1;
        }
        *newest = (*newest).max(*us);
    }
    newest.extend(seen);
    Ok(late)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("landing rows lack `{name}`")))
}
