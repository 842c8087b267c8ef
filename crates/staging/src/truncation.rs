//! Truncations: a table that was emptied at once ends every key that it held.
//!
//! No row says which keys these were, so staging does: **every key with a staged change other than a delete before a
//! truncation has one delete at the truncation's place**, which is a function of the set of changes. A truncation that
//! comes looks at all that is staged before it; a row that comes after a truncation that it lies before brings its
//! delete along. The row image of such a delete is the key's last state, as far as it was known when it was made.
//!
//! Which truncations a table has seen stands in its positions, so in the commit that holds their deletes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch, not, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use weir_core::change::Op;
use weir_core::order_key::OrderKey;
use weir_core::zone::Hour;
use weir_lake::{Batches, DataFile, LakeError, NewFile, Partition, Table, order_key_tags};

use crate::error::StagingError;
use crate::flatten;
use crate::run::Step;

/// What the positions begin with that name a staging table's truncations.
const KNOWN: &str = "weir:staging:truncated:";
/// Rows of a batch while they are sorted by key.
const SORTED: usize = 256;

/// A truncation, by its place in the source's order.
pub(crate) type Truncations = BTreeMap<OrderKey, Truncation>;

/// Where a truncation stands beside its order key: what Weir's columns say of its deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truncation {
    source_ts: i64,
    topic: String,
    partition: i32,
    offset: i64,
    schema_id: Option<i32>,
    ingested_at: i64,
}

/// The order keys of the truncations that a staging table has seen.
pub fn order_keys(staging: &Table) -> impl Iterator<Item = OrderKey> {
    known(staging).into_keys()
}

/// The truncations that a staging table has seen.
pub(crate) fn known(staging: &Table) -> Truncations {
    let named = staging.positions().range(KNOWN.to_owned()..).take_while(|(name, _)| name.starts_with(KNOWN));
    named.filter_map(|(name, offset)| read_position(name.strip_prefix(KNOWN)?, *offset)).collect()
}

/// The position by which a staging table knows a truncation. A topic's name has no colon.
pub(crate) fn position(order_key: &OrderKey, truncation: &Truncation) -> (String, i64) {
    let Truncation { source_ts, topic, partition, offset, schema_id, ingested_at } = truncation;
    let order_key = order_key.to_hex();
    let schema_id = schema_id.map_or_else(String::new, |id| id.to_string());
    (format!("{KNOWN}{order_key}:{source_ts}:{topic}:{partition}:{schema_id}:{ingested_at}"), *offset)
}

fn read_position(name: &str, offset: i64) -> Option<(OrderKey, Truncation)> {
    let parts: Vec<&str> = name.split(':').collect();
    let [order_key, source_ts, topic, partition, schema_id, ingested_at] = parts.try_into().ok()?;
    let truncation = Truncation {
        source_ts: source_ts.parse().ok()?,
        topic: topic.to_owned(),
        partition: partition.parse().ok()?,
        offset,
        schema_id: if schema_id.is_empty() { None } else { Some(schema_id.parse().ok()?) },
        ingested_at: ingested_at.parse().ok()?,
    };
    Some((OrderKey::try_from(order_key.to_owned()).ok()?, truncation))
}

/// Landing rows without the truncations among them, and these.
pub(crate) fn take_out(landed: RecordBatch) -> Result<(RecordBatch, Vec<(OrderKey, Truncation)>), ArrowError> {
    let ops = cast(flatten::column(&landed, "op")?, &DataType::Utf8)?;
    let is: BooleanArray = ops.as_string::<i32>().iter().map(|op| Some(op == Some(Op::Truncate.letter()))).collect();
    if is.true_count() == 0 {
        return Ok((landed, Vec::new()));
    }
    let taken = filter_record_batch(&landed, &is)?;
    // Weir's columns in the order of `flatten::weir_fields`, behind `_op`.
    let weir = flatten::weir_columns(&taken)?;
    let time = |at: usize, row: usize| weir[at].as_primitive::<TimestampMicrosecondType>().value(row);
    let truncation = |row: usize| {
        let truncation = Truncation {
            source_ts: time(2, row),
            topic: weir[3].as_string::<i32>().value(row).to_owned(),
            partition: weir[4].as_primitive::<Int32Type>().value(row),
            offset: weir[5].as_primitive::<Int64Type>().value(row),
            schema_id: weir[6].is_valid(row).then(|| weir[6].as_primitive::<Int32Type>().value(row)),
            ingested_at: time(7, row),
        };
        (OrderKey::from_stored(weir[1].as_binary::<i32>().value(row)), truncation)
    };
    let truncations = (0..taken.num_rows()).map(truncation).collect();
    Ok((filter_record_batch(&landed, &not(&is)?)?, truncations))
}

/// Those that a staging table has not seen; of several deliveries the first.
pub(crate) fn new_ones(staging: &Table, landed: Vec<(OrderKey, Truncation)>) -> Truncations {
    let known = known(staging);
    let mut new = Truncations::new();
    for (order_key, truncation) in landed.into_iter().filter(|(order_key, _)| !known.contains_key(order_key)) {
        new.entry(order_key).or_insert(truncation);
    }
    new
}

impl Truncation {
    /// Weir's columns of this many deletes, in the order of `flatten::weir_fields`.
    fn weir(&self, order_key: &OrderKey, rows: usize) -> Vec<ArrayRef> {
        let text = |text: &str| StringArray::from_iter_values(std::iter::repeat_n(text, rows));
        let time = |us| TimestampMicrosecondArray::from_value(us, rows).with_timezone("UTC");
        vec![
            Arc::new(text(Op::Delete.letter())),
            Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(order_key.as_bytes(), rows))),
            Arc::new(time(self.source_ts)),
            Arc::new(text(&self.topic)),
            Arc::new(Int32Array::from_value(self.partition, rows)),
            Arc::new(Int64Array::from_value(self.offset, rows)),
            Arc::new(Int32Array::from_iter(std::iter::repeat_n(self.schema_id, rows))),
            Arc::new(time(self.ingested_at)),
        ]
    }
}

impl Step<'_> {
    /// Writes the deletes that new truncations ask for, and those that the step's good rows ask for where they lie
    /// before a known one.
    pub(crate) async fn close(
        &self,
        batch: &RecordBatch,
        good: &[u32],
        new: &Truncations,
    ) -> Result<Vec<DataFile>, StagingError> {
        let mut all = known(&self.main);
        all.extend(new.clone());
        let Some((newest, _)) = all.last_key_value() else { return Ok(Vec::new()) };
        let rows = before(batch, good, newest).and_then(|rows| self.narrow(&rows)).map_err(self.rows())?;
        let first = (0..rows.num_rows()).map(|row| order_key(&rows, row)).min();
        let mut written = Vec::new();
        let mut previous: Option<&OrderKey> = None;
        for (at, truncation) in &all {
            let is_new = new.contains_key(at);
            if is_new || first.is_some_and(|first| first < at.as_bytes()) {
                // The deletes at the truncation before this one stand for all keys with changes before that.
                let (since, stored) = match (is_new, previous) {
                    (true, previous) => (previous, self.stored(previous, at, &written)?),
                    (false, _) => (None, futures::stream::empty().boxed()),
                };
                let rows = futures::stream::iter([Ok(rows.clone())]).chain(stored);
                let states = self.states(since, at, rows.boxed()).await.map_err(self.engine())?;
                written.extend(self.write_deletes(states, (at, truncation), is_new).await?);
            }
            previous = Some(at);
        }
        Ok(written)
    }

    /// Staged rows, and deletes that the step has written, from the place of a truncation on to that of the next.
    fn stored(
        &self,
        since: Option<&OrderKey>,
        before: &OrderKey,
        written: &[DataFile],
    ) -> Result<Batches, StagingError> {
        let (low, high) = (since.map(OrderKey::to_hex).unwrap_or_default(), before.to_hex());
        let files = self.main.files().chain(written).filter(|file| file.may_hold_order_keys(&low, &high));
        let files: Vec<DataFile> = files.cloned().collect();
        self.main.read(&files, Some(&self.wanted())).map_err(self.failed())
    }

    /// The contract's columns, then the place of a change.
    fn wanted(&self) -> Vec<&str> {
        self.table.columns.iter().map(|column| column.name.as_str()).chain(["_op", "_order_key"]).collect()
    }

    fn narrow(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let at = self.wanted().into_iter().map(|name| rows.schema().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        rows.project(&at)
    }

    /// The last state of every key before a truncation.
    async fn states(
        &self,
        since: Option<&OrderKey>,
        before: &OrderKey,
        rows: Batches,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let fields = self.wanted().into_iter().map(|name| self.main.schema().field_with_name(name).cloned());
        let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?));
        // Rows may be wide: a sort needs room for a few batches at least, and for as many runs that it has spilled.
        let config = SessionConfig::new()
            .with_target_partitions(self.lake.parallel())
            .with_batch_size(SORTED)
            .with_sort_spill_reservation_bytes(usize::try_from(self.lake.batch_bytes()).unwrap_or(usize::MAX));
        let context = SessionContext::new_with_config_rt(config, self.lake.session().runtime_env());
        context.register_table("rows", self.lake.once(schema, rows)?)?;
        context.sql(&last_states(self.table, since, before)).await?.execute_stream().await
    }

    /// Files of deletes at a truncation's place.
    async fn write_deletes(
        &self,
        mut states: SendableRecordBatchStream,
        at: (&OrderKey, &Truncation),
        is_new: bool,
    ) -> Result<Vec<DataFile>, StagingError> {
        let (mut held, mut bytes, mut written) = (Vec::new(), 0, Vec::new());
        while let Some(states) = states.next().await.transpose().map_err(self.engine())? {
            let (weir, rows) = (at.1.weir(at.0, states.num_rows()), states.num_rows());
            let (columns, unavailable) = (states.columns().to_vec(), new_null_array(&DataType::Utf8, rows));
            let deletes = flatten::batch(&self.table.columns, columns, weir, unavailable).map_err(self.rows())?;
            bytes += deletes.get_array_memory_size() as u64;
            held.push(deletes);
            if bytes > self.lake.batch_bytes() {
                written.extend(self.write(at, std::mem::take(&mut held), is_new).await?);
                bytes = 0;
            }
        }
        written.extend(self.write(at, held, is_new).await?);
        Ok(written)
    }

    /// One file in the hour of a truncation; none without a row for it.
    async fn write(
        &self,
        at: (&OrderKey, &Truncation),
        mut batches: Vec<RecordBatch>,
        is_new: bool,
    ) -> Result<Option<DataFile>, StagingError> {
        if let (Some(first), false) = (batches.first(), is_new) {
            batches = vec![self.unstaged(&concat_batches(&first.schema(), &batches).map_err(self.rows())?).await?];
        }
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(None);
        }
        let (partition, order_key) = (Partition::Hour(Hour::of_micros(at.1.source_ts)), at.0.as_bytes());
        let file = NewFile { partition, batches, tags: order_key_tags(order_key, order_key) };
        self.main.write_file(file).await.map(Some).map_err(self.failed())
    }

    /// The deletes that staging does not hold yet: its files of that place are read for them.
    async fn unstaged(&self, deletes: &RecordBatch) -> Result<RecordBatch, StagingError> {
        let new: BooleanArray = self.repeats(deletes).await?.into_iter().map(|repeat| Some(!repeat)).collect();
        filter_record_batch(deletes, &new).map_err(self.rows())
    }

    fn engine(&self) -> impl Fn(DataFusionError) -> StagingError + use<> {
        let failed = self.failed();
        move |source| failed(LakeError::engine("the keys before a truncation", source))
    }
}

/// Those of the rows that are no deletes and lie before a truncation.
fn before(batch: &RecordBatch, good: &[u32], truncation: &OrderKey) -> Result<RecordBatch, ArrowError> {
    let ops = flatten::column(batch, "_op")?.as_string::<i32>();
    let is = |row: &u32| {
        let row = *row as usize;
        ops.value(row) != Op::Delete.letter() && order_key(batch, row) < truncation.as_bytes()
    };
    take_record_batch(batch, &good.iter().copied().filter(is).collect::<UInt32Array>())
}

fn order_key(batch: &RecordBatch, row: usize) -> &[u8] {
    let keys = batch.column_by_name("_order_key").and_then(|keys| keys.as_binary_opt::<i32>());
    keys.map_or(&[], |keys| keys.value(row))
}

/// The query of [`Step::states`]. `since` is the truncation before: its deletes count as states.
fn last_states(table: &weir_project::Table, since: Option<&OrderKey>, before: &OrderKey) -> String {
    let list = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let key: Vec<&str> = table.key.iter().map(|name| name.as_str()).collect();
    let since = since.map(OrderKey::to_hex).unwrap_or_default();
    format!(
        r#"SELECT {columns} FROM (
            SELECT {columns}, row_number() OVER (
                PARTITION BY {key} ORDER BY "_order_key" DESC, "_op" DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS "_nth"
            FROM "rows"
            WHERE "_order_key" < X'{before}'
                AND ("_op" <> 'd' AND "_order_key" >= X'{since}' OR "_op" = 'd' AND "_order_key" = X'{since}')
        ) WHERE "_nth" = 1"#,
        columns = list(&columns),
        key = list(&key),
        before = before.to_hex(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncation_reads_back_from_its_position() {
        let truncation = Truncation {
            source_ts: -5,
            topic: "shop.order-item_1".into(),
            partition: 3,
            offset: 17,
            schema_id: Some(-2),
            ingested_at: 1_700_000_000_000_000,
        };
        let order_key = OrderKey::from_stored(&[0, 1, 255]);
        let (name, offset) = position(&order_key, &truncation);
        assert_eq!(read_position(name.strip_prefix(KNOWN).unwrap(), offset), Some((order_key, truncation)));
    }
}
