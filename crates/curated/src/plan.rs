//! What a build would do, and why, without doing it: looks at versions and positions, and of new staging rows at
//! the key columns only.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::name::{ModelName, TableName};
use weir_core::zone::Zone;
use weir_lake::{DataFile, Lake, Partition, Table};
use weir_project::{Graph, Model, ModelKind, Node, Project, Selection};

use crate::change_set::moved_since;
use crate::column_changes::ColumnChanges;
use crate::error::CuratedError;
use crate::key::{bucket, key_hashes};
use crate::layout::{history_name, history_schema, table_schema};
use crate::members::{business_key, durable_key, hash, own};
use crate::query::plain_columns;
use crate::room::{Room, of_curated, of_staging};

/// Whether a build writes to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builds {
    /// There is something to do.
    Yes,
    /// When what it follows changes in a way that matters to it.
    Perhaps,
    /// Nothing is new.
    No,
}

/// Why a table is built, or why not all that is new is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No build has written to the table.
    NeverBuilt,
    /// Its model is another than the one that it was built with: the build refuses it.
    DefinitionChanged,
    /// Its model has other columns than the table: the build refuses it.
    ColumnsChanged {
        /// How they differ.
        columns: ColumnChanges,
    },
    /// Rows were staged since.
    NewRows {
        /// The staging table.
        table: TableName,
        /// How many.
        rows: u64,
        /// In how many commits.
        commits: u64,
    },
    /// Rows will be staged by the same build.
    Landed {
        /// The staging table.
        table: TableName,
        /// Landing rows that are to be staged.
        rows: u64,
    },
    /// A build was stopped between its history and the table.
    Unfinished {
        /// History rows that the table has not seen.
        rows: u64,
    },
    /// Facts that point to these keys of a dimension must be pointed anew.
    Moved {
        /// The dimension.
        dimension: ModelName,
        /// How many keys.
        keys: u64,
    },
    /// It depends on what this model's build brings.
    Follows {
        /// The model.
        model: ModelName,
    },
    /// It takes in no new rows, because it is not selected.
    NotSelected,
}

/// What a build would do with one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// The table.
    pub table: ModelName,
    /// Whether it would be written to.
    pub builds: Builds,
    /// Why.
    pub reasons: Vec<Reason>,
    /// New rows that would be read, those that have yet to be staged included.
    pub new_rows: u64,
    /// Rows of its history and of the table in the buckets that are touched: at most so many are read again.
    pub stored_rows: u64,
    /// Buckets that are touched, as far as is known before the build.
    pub buckets: u64,
    /// Buckets that it has.
    pub of_buckets: u64,
}

/// One line per curated table, in build order. `landed` counts landing rows that the same build would stage.
pub async fn plan(
    project: &Project,
    lake: &Lake,
    selection: &Selection,
    landed: &BTreeMap<TableName, u64>,
) -> Result<Vec<TablePlan>, CuratedError> {
    let room = Room::new(project, lake).only(selection);
    let mut plans = Vec::new();
    // A view has no table to build.
    let models: Vec<&Model> =
        room.models.iter().filter(|model| !matches!(model.kind, ModelKind::View { .. })).collect();
    for model in &models {
        plans.push(of_model(&room, model, landed).await?);
    }
    let graph = Graph::new(&project.tables, &project.models);
    for at in 0..plans.len() {
        let followed: Vec<ModelName> = (0..plans.len())
            .filter(|other| {
                let certain = plans[*other].builds == Builds::Yes;
                // A fact that perhaps changes is enough for what is made from it.
                let perhaps = plans[*other].builds == Builds::Perhaps && is_fact(models[*other]);
                (certain || perhaps) && follows(&graph, models[at], models[*other])
            })
            .map(|other| plans[other].table.clone())
            .collect();
        let plan = &mut plans[at];
        if plan.builds == Builds::No && !followed.is_empty() {
            plan.builds = Builds::Perhaps;
        }
        plan.reasons.extend(followed.into_iter().map(|model| Reason::Follows { model }));
    }
    Ok(plans)
}

fn is_fact(model: &Model) -> bool {
    matches!(model.kind, ModelKind::Fact { .. })
}

/// Whether a build of `other` may lead to one of `model`: members that its facts need, versions that it points to.
fn follows(graph: &Graph, model: &Model, other: &Model) -> bool {
    let made_from = |model: &Model, other: &Model| {
        graph.parents(&Node::Model(model.name.clone())).any(|node| *node == Node::Model(other.name.clone()))
    };
    match (&model.kind, &other.kind) {
        (_, ModelKind::DateDimension) => false,
        (ModelKind::Dimension { .. } | ModelKind::DateDimension, ModelKind::Fact { .. }) => made_from(other, model),
        _ => made_from(model, other),
    }
}

async fn of_model(room: &Room, model: &Model, landed: &BTreeMap<TableName, u64>) -> Result<TablePlan, CuratedError> {
    let table = room.lake.table(Zone::Curated, model.name.as_str()).await?;
    let history = match model.source {
        Some(_) => room.lake.table(Zone::Curated, &history_name(&model.name)).await?,
        None => None,
    };
    let mut look = Look { room, model, reasons: Vec::new(), new_rows: 0, touched: BTreeSet::new() };
    match &table {
        Some(table) if !table.positions().is_empty() => {
            // A table follows from its history: where that one is of today's definition, a build goes on from it.
            let refused = match &history {
                Some(history) => room.has_changed(model, history, &history_schema(model)),
                None => room.has_changed(model, table, &table_schema(model)),
            };
            if refused {
                let columns = ColumnChanges::between(table.schema(), &table_schema(model));
                look.reasons.push(match columns.is_empty() {
                    true => Reason::DefinitionChanged,
                    false => Reason::ColumnsChanged { columns },
                });
            }
        }
        _ => {
            look.touched.extend(0..room.buckets);
            look.reasons.push(Reason::NeverBuilt);
        }
    }
    look.unfinished(history.as_ref(), table.as_ref()).await?;
    if room.takes(model) {
        look.new_rows(history.as_ref(), landed).await?;
    } else {
        look.reasons.push(Reason::NotSelected);
    }
    if let Some(table) = &table {
        look.moved(table).await?;
    }
    let Look { reasons, new_rows, touched, .. } = look;
    let stored = |table: &Table| -> u64 {
        touched.iter().flat_map(|bucket| table.files_in(Partition::Bucket(*bucket))).map(|file| file.rows).sum()
    };
    let dates = matches!(model.kind, ModelKind::DateDimension);
    let idle = reasons.iter().all(|reason| matches!(reason, Reason::NotSelected));
    Ok(TablePlan {
        table: model.name.clone(),
        builds: if idle { Builds::No } else { Builds::Yes },
        reasons,
        new_rows,
        stored_rows: history.iter().chain(&table).map(stored).sum(),
        buckets: if dates { 0 } else { touched.len() as u64 },
        of_buckets: if dates { 0 } else { room.buckets.into() },
    })
}

/// What is known of one model so far.
struct Look<'a> {
    room: &'a Room,
    model: &'a Model,
    reasons: Vec<Reason>,
    new_rows: u64,
    touched: BTreeSet<u16>,
}

impl Look<'_> {
    async fn unfinished(&mut self, history: Option<&Table>, table: Option<&Table>) -> Result<(), CuratedError> {
        let Some(history) = history else { return Ok(()) };
        let after = table.and_then(|table| table.position(&of_curated(history.name()))).unwrap_or(-1);
        let files = history.files_added(after, history.version()).await?;
        self.touched.extend(files.iter().filter_map(|(_, file)| match file.partition {
            Partition::Bucket(bucket) => Some(bucket),
            _ => None,
        }));
        let rows: u64 = files.iter().map(|(_, file)| file.rows).sum();
        self.reasons.extend((rows > 0).then_some(Reason::Unfinished { rows }));
        Ok(())
    }

    async fn new_rows(
        &mut self,
        history: Option<&Table>,
        landed: &BTreeMap<TableName, u64>,
    ) -> Result<(), CuratedError> {
        let Some(source) = &self.model.source else { return Ok(()) };
        if let Some(rows) = landed.get(source).copied().filter(|rows| *rows > 0) {
            self.new_rows += rows;
            self.reasons.push(Reason::Landed { table: source.clone(), rows });
        }
        let Some(staging) = self.room.lake.table(Zone::Staging, source.as_str()).await? else { return Ok(()) };
        let after = history.and_then(|history| history.position(&of_staging(source.as_str()))).unwrap_or(-1);
        let added = staging.files_added(after, staging.version()).await?;
        if added.is_empty() {
            return Ok(());
        }
        let rows = added.iter().map(|(_, file)| file.rows).sum();
        let commits = added.iter().map(|(version, _)| version).collect::<BTreeSet<_>>().len() as u64;
        self.new_rows += rows;
        self.reasons.push(Reason::NewRows { table: source.clone(), rows, commits });
        let files: Vec<DataFile> = added.into_iter().map(|(_, file)| file).collect();
        self.touch(&staging, &files).await
    }

    /// The buckets of the keys in new staging rows. The model's key is its table's, so no query need run. Of members by
    /// durable keys those of the keys' own names: key changes are yet to be read.
    async fn touch(&mut self, staging: &Table, files: &[DataFile]) -> Result<(), CuratedError> {
        let plain = self.model.sql.as_ref().map(|sql| plain_columns(&sql.text)).unwrap_or_default();
        let key: Option<Vec<&str>> =
            business_key(self.model).iter().map(|key| plain.get(key.name.as_str()).map(String::as_str)).collect();
        let Some(key) = key else {
            self.touched.extend(0..self.room.buckets);
            return Ok(());
        };
        for file in files {
            if self.touched.len() == usize::from(self.room.buckets) {
                break;
            }
            for batch in staging.read_all(std::slice::from_ref(file), Some(&key)).await? {
                let hashes = match durable_key(self.model) {
                    Some(_) => own(&self.model.name, batch.columns()).into_iter().flatten().map(hash).collect(),
                    None => key_hashes(batch.columns()),
                };
                self.touched.extend(hashes.into_iter().map(|hash| bucket(hash, self.room.buckets)));
            }
        }
        Ok(())
    }

    /// Keys of dimensions that moved since a fact's table was built.
    async fn moved(&mut self, table: &Table) -> Result<(), CuratedError> {
        let ModelKind::Fact { dimensions, .. } = &self.model.kind else { return Ok(()) };
        let names: BTreeSet<&ModelName> = dimensions.iter().map(|pointer| &pointer.dimension).collect();
        for name in names {
            let Some(after) = table.position(&of_curated(name.as_str())) else { continue };
            let Some(dimension) = self.room.lake.table(Zone::Curated, name.as_str()).await? else { continue };
            let moved = moved_since(&dimension, after).await?;
            let keys = moved.map_or_else(|| dimension.rows(), |keys| keys.len() as u64);
            self.reasons.extend((keys > 0).then(|| Reason::Moved { dimension: name.clone(), keys }));
        }
        Ok(())
    }
}
