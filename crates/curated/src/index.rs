//! Where facts look up versions: a dimension's timelines, read bucket by bucket when one is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use tokio::sync::OnceCell;
use weir_core::name::ModelName;
use weir_lake::{DataFile, Partition, Table};
use weir_project::{Model, ModelKind};

use crate::error::{CuratedError, of};
use crate::facts::{Lookup, Timelines, timelines};
use crate::key::{bucket, complete, key_hashes};
use crate::layout::DIMENSION_TAIL;
use crate::members::Members;
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

    /// What facts with these business keys need to find their versions.
    pub async fn pointed(&self, keys: &[ArrayRef], members: Option<&Arc<Members>>) -> Result<Pointed, CuratedError> {
        let hashes: Vec<u64> = match members {
            Some(members) => members.hashes(keys).into_iter().map(|(_, hash)| hash).collect(),
            None => {
                let hashes = key_hashes(keys).into_iter().enumerate().filter(|(row, _)| complete(keys, *row));
                hashes.map(|(_, hash)| hash).collect()
            }
        };
        let buckets = self.buckets.len() as u16;
        let mut timelines = BTreeMap::new();
        for at in hashes.into_iter().map(|hash| bucket(hash, buckets)).collect::<BTreeSet<u16>>() {
            timelines.insert(at, self.bucket(at).await?);
        }
        Ok(Pointed { timelines, members: members.cloned(), buckets })
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

/// The buckets that one job needs of a pointer's dimension, and who its members are where it has a durable key.
#[derive(Default)]
pub(crate) struct Pointed {
    timelines: BTreeMap<u16, Arc<Timelines>>,
    members: Option<Arc<Members>>,
    buckets: u16,
}

/// Of each pointer of a fact.
impl Lookup for Vec<Pointed> {
    fn timeline(&self, dimension: usize, key: &[u8], hash: u64) -> Option<&Timeline> {
        let pointed = &self[dimension];
        pointed.timelines.get(&bucket(hash, pointed.buckets))?.get(key)
    }

    fn members(&self, dimension: usize) -> Option<&Members> {
        self[dimension].members.as_deref()
    }
}
