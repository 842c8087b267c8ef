//! Rows on their way as a table of the query engine.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;
use futures::stream::Fuse;
use tokio::sync::Mutex;

use crate::lake::Lake;
use crate::read::Batches;

/// Small hour files are put together to batches of this size before they are computed on, where memory allows.
const BATCH_ROWS: usize = 64 * 1024;

impl Lake {
    /// A table that streams these rows once: to as many partitions as a query is spread over, each of which takes the next
    /// rows when it is ready for them. So the engine has no reason to spread them itself, for which it holds and copies
    /// batches of thousands of rows, however wide these are.
    pub fn once(&self, schema: SchemaRef, rows: Batches) -> Result<Arc<StreamingTable>, DataFusionError> {
        let most = usize::try_from(self.batch_bytes()).unwrap_or(usize::MAX);
        let rows = OnceRows { schema: schema.clone(), most, rows: Arc::new(Mutex::new(rows.fuse())) };
        let partitions = std::iter::repeat_with(|| Arc::new(rows.clone()) as Arc<dyn PartitionStream>);
        Ok(Arc::new(StreamingTable::try_new(schema, partitions.take(self.parallel()).collect())?))
    }
}

/// Rows that can be read once.
#[derive(Clone)]
struct OnceRows {
    schema: SchemaRef,
    /// Bytes of a batch.
    most: usize,
    rows: Arc<Mutex<Fuse<Batches>>>,
}

impl std::fmt::Debug for OnceRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("rows of a stage")
    }
}

impl PartitionStream for OnceRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let next = |rows: Self| async move { Ok(rows.next().await?.map(|batch| (batch, rows))) };
        let batches = futures::stream::try_unfold(self.clone(), next);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

impl OnceRows {
    /// The next small batches put together.
    async fn next(&self) -> Result<Option<RecordBatch>, DataFusionError> {
        let (mut held, mut count, mut bytes) = (Vec::new(), 0, 0);
        let mut rows = self.rows.lock().await;
        while count < BATCH_ROWS && bytes < self.most {
            let Some(batch) = rows.next().await else { break };
            let batch = batch.map_err(|error| DataFusionError::External(Box::new(error)))?;
            count += batch.num_rows();
            bytes += batch.get_array_memory_size();
            held.push(batch);
        }
        drop(rows);
        if count == 0 { Ok(None) } else { Ok(Some(concat_batches(&self.schema, &held)?)) }
    }
}
