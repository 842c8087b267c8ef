//! Where facts look up versions: a dimension's timelines, read bucket by bucket when one is needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use tokio::sync::OnceCell;
use weir_core::name::ModelName;
use weir_lake::{DataFile, Partition, Table};
use weir_project::{Model, ModelKind};

use crate::error::{CuratedError, of};
use crate::facts::{Lookup, Timelines, timelines};
use crate::key::bucket;
use crate::layout::DIMENSION_TAIL;
use crate::room::{Room, blocking};
use crate::scd::Timeline;

/// One dimension at one version.
pub(crate) struct Index {
    model: Model,
    table: Table,
    surrogate_key: String,
    /// Types of the business key.
    pub types: Vec<DataType>,
    buckets: Vec<OnceCell<Arc<Timelines>>>,
}

/// The dimensions that facts point to.
pub(crate) type Indexes = BTreeMap<ModelName, Index>;

impl Index {
    /// Over a dimension's table; none for another kind of model.
    pub fn new(room: &Room, model: &Model, table: Table) -> Option<Self> {
        let ModelKind::Dimension { surrogate_key, .. } = &model.kind else { return None };
        let buckets = (0..room.buckets).map(|_| OnceCell::new()).collect();
        let types = room.key_types(&model.name);
        Some(Self { model: model.clone(), table, surrogate_key: surrogate_key.to_string(), types, buckets })
    }

    /// The dimension's version.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// One bucket's timelines.
    pub async fn bucket(&self, bucket: u16) -> Result<Arc<Timelines>, CuratedError> {
        self.buckets[usize::from(bucket)].get_or_try_init(|| self.read(bucket)).await.cloned()
    }

    async fn read(&self, bucket: u16) -> Result<Arc<Timelines>, CuratedError> {
        let [from, ..] = DIMENSION_TAIL;
        let mut columns = vec![self.surrogate_key.as_str(), from];
        columns.extend(self.model.key.iter().map(|name| name.as_str()));
        let files: Vec<DataFile> = self.table.files_in(Partition::Bucket(bucket)).cloned().collect();
        let batches = self.table.read_all(&files, Some(&columns)).await?;
        let name = self.model.name.clone();
        blocking(&self.model, move || {
            let Some(first) = batches.first() else { return Ok(Arc::default()) };
            let rows = concat_batches(&first.schema(), &batches).map_err(of(&name))?;
            of_rows(&rows).map(Arc::new).map_err(of(&name))
        })
        .await
    }
}

fn of_rows(rows: &RecordBatch) -> Result<Timelines, arrow::error::ArrowError> {
    let surrogates = rows.column(0).as_primitive::<Int64Type>();
    timelines(surrogates, &rows.columns()[2..], rows.column(1).as_primitive::<TimestampMicrosecondType>())
}

/// The buckets that one job needs, for each pointer of a fact.
pub(crate) struct Loaded {
    pub pointers: Vec<BTreeMap<u16, Arc<Timelines>>>,
    pub buckets: u16,
}

impl Lookup for Loaded {
    fn timeline(&self, dimension: usize, key: &[u8], hash: u64) -> Option<&Timeline> {
        self.pointers[dimension].get(&bucket(hash, self.buckets))?.get(key)
    }
}
