//! The steps of staging: read what landed, decide every row, commit quarantine, commit staging.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use serde_json::{Map, json};
use weir_core::accounts::StagingCounts;
use weir_core::failpoint;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_lake::{Commit, DataFile, Lake, LakeError, Partitioning, Table, hour_files, hours, identities, side};
use weir_project::{Project, Rule, Staging};

use crate::counts::{RuleCount, add_up, rule_counts};
use crate::error::StagingError;
use crate::flatten::{Flat, flatten, staging_schema};
use crate::quarantine::{self, Decided};
use crate::reference::{self, References};
use crate::rules::{self, Facts, judge};
use crate::unavailable::Missing;
use crate::{metrics, model, truncation, typed};

/// The key under which a commit's info holds [`StagingCounts`].
pub const INFO: &str = "weir.staging";
/// The key under which a commit's info holds the counts of [`RuleCount`].
pub const RULES: &str = "weir.rules";

/// What the reader's name of landing begins with in staging tables.
const READERS: &str = "weir:landing:";

/// The name under which a staging table says how far it has taken a landing table:
/// `weir:landing:<table>:<id of the landing table>`. A landing table that was made anew is read from its
/// start, and what staging has already is dropped as repeats.
pub fn reader(landing: &Table) -> String {
    format!("{READERS}{}:{}", landing.name(), landing.id())
}

/// What a run did to one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staged {
    /// Sums over its commits.
    pub counts: StagingCounts,
    /// Rows that broke each rule, in the order in which rules are asked.
    pub rules: Vec<RuleCount>,
    /// Commits.
    pub commits: u64,
    /// Data files written to staging.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The staging table's version; none if nothing has landed yet.
    pub version: Option<i64>,
}

/// Stages again and again, and remembers referenced values between runs.
#[derive(Debug, Default)]
pub struct Stager {
    references: References,
    cleaned: HashSet<TableName>,
}

impl Stager {
    /// One run over every table, in declared order: a table that others refer to is declared before them.
    pub async fn run(&mut self, project: &Project, lake: &Lake) -> Result<Vec<(TableName, Staged)>, StagingError> {
        let mut report = Vec::with_capacity(project.tables.len());
        for table in &project.tables {
            let staged = self.stage_table(table, &project.staging, lake).await?;
            report.push((table.name.clone(), staged));
        }
        metrics::derive(&project.tables, lake).await?;
        Ok(report)
    }

    /// One table, until it has taken all that landed.
    #[tracing::instrument(name = "staging.table", skip_all, fields(stage = "staging", table = %table.name))]
    pub async fn stage_table(
        &mut self,
        table: &weir_project::Table,
        settings: &Staging,
        lake: &Lake,
    ) -> Result<Staged, StagingError> {
        let failed = |source| StagingError::Lake { table: table.name.clone(), source };
        let name = table.name.as_str();
        let Some(landing) = lake.table(Zone::Landing, name).await.map_err(failed)? else {
            return Ok(Staged::default());
        };
        let schema = staging_schema(&table.columns);
        let mut main = lake.create_table(Zone::Staging, name, &schema, Partitioning::Hour).await.map_err(failed)?;
        let mut quarantine = lake.table(Zone::Quarantine, name).await.map_err(failed)?;
        if let Some(quarantine) = &mut quarantine {
            side::undo_ahead(quarantine, &mut main, READERS).await.map_err(failed)?;
        }
        if self.cleaned.insert(table.name.clone()) {
            for table in [Some(&main), quarantine.as_ref()].into_iter().flatten() {
                table.remove_orphans().await.map_err(failed)?;
            }
        }
        grow(table, &mut main, &schema).await?;
        let mut step = Step {
            table,
            settings,
            lake,
            references: &mut self.references,
            main,
            quarantine,
            staged: Staged::default(),
        };
        step.take_all(&landing).await?;
        step.staged.version = Some(step.main.version());
        Ok(step.staged)
    }
}

/// Adds contract columns that the staging table lacks; refuses a column whose type changed.
async fn grow(table: &weir_project::Table, main: &mut Table, schema: &Schema) -> Result<(), StagingError> {
    for field in schema.fields() {
        let Some((_, staged)) = main.schema().fields().find(field.name()) else { continue };
        if staged.data_type() != field.data_type() {
            return Err(StagingError::ContractChanged {
                table: table.name.clone(),
                column: field.name().clone(),
                staged: staged.data_type().to_string(),
                declared: field.data_type().to_string(),
            });
        }
    }
    let failed = |source| StagingError::Lake { table: table.name.clone(), source };
    let wider = weir_lake::union(main.full_name(), main.schema(), schema).map_err(failed)?;
    if &wider != main.schema() {
        main.commit(Commit { schema: Some(wider), ..Commit::default() }).await.map_err(failed)?;
    }
    Ok(())
}

/// What a table's steps work with.
pub(crate) struct Step<'a> {
    pub(crate) table: &'a weir_project::Table,
    settings: &'a Staging,
    pub(crate) lake: &'a Lake,
    references: &'a mut References,
    pub(crate) main: Table,
    quarantine: Option<Table>,
    staged: Staged,
}

impl Step<'_> {
    pub(crate) fn failed(&self) -> impl Fn(LakeError) -> StagingError + use<> {
        let table = self.table.name.clone();
        move |source| StagingError::Lake { table: table.clone(), source }
    }

    pub(crate) fn rows(&self) -> impl Fn(ArrowError) -> StagingError + use<> {
        let table = self.table.name.clone();
        move |source| StagingError::Rows { table: table.clone(), source }
    }

    /// Whole landing commits, as many as hold `max_rows` rows, one staging commit each time.
    async fn take_all(&mut self, landing: &Table) -> Result<(), StagingError> {
        let from = self.main.position(&reader(landing)).unwrap_or(-1);
        if from > landing.version() {
            let (table, landing) = (self.table.name.clone(), landing.version());
            return Err(StagingError::LandingReplaced { table, staged: from, landing });
        }
        let added = landing.files_added(from, landing.version()).await.map_err(self.failed())?;
        if from < 0 {
            self.warn_of_retention(landing).await?;
        }
        let mut files: Vec<DataFile> = Vec::new();
        let (mut rows, mut up_to) = (0, from);
        for commit in added.chunk_by(|a, b| a.0 == b.0) {
            let more: u64 = commit.iter().map(|(_, file)| file.rows).sum();
            if rows > 0 && rows + more > self.settings.max_rows as u64 {
                self.take(landing, &files, up_to).await?;
                files.clear();
                rows = 0;
            }
            files.extend(commit.iter().map(|(_, file)| file.clone()));
            rows += more;
            up_to = commit[0].0;
        }
        if files.is_empty() { Ok(()) } else { self.take(landing, &files, up_to).await }
    }

    /// A staging table that begins anew gets what landing still holds.
    async fn warn_of_retention(&self, landing: &Table) -> Result<(), StagingError> {
        let retained = landing.retained().await.map_err(self.failed())?;
        let rows = retained.map_or(0, |retained| retained.rows);
        if rows > 0 {
            tracing::warn!(rows, "staging begins with what landing holds: its retention has taken rows before");
        }
        Ok(())
    }

    /// One step: these landing files, then the landing version `up_to` is done.
    async fn take(&mut self, landing: &Table, files: &[DataFile], up_to: i64) -> Result<(), StagingError> {
        for expectation in &self.table.expectations {
            if let Rule::Reference { table, column } = &expectation.rule {
                self.references.update(self.lake, table, column).await?;
            }
        }
        let decided = self.decide(landing, files).await?;
        let rows = |wanted: &dyn Fn(usize) -> bool| -> Vec<u32> {
            // A step holds far fewer than 2^32 rows: `staging.max_rows` bounds it.
            (0u32..).zip(&decided.repeats).map(|(row, _)| row).filter(|row| wanted(*row as usize)).collect()
        };
        let good = rows(&|row| !decided.repeats[row] && decided.verdict.reasons[row].is_none());
        let bad = rows(&|row| decided.verdict.reasons[row].is_some());
        let deletes = self.close(&decided.batch, &good, &decided.truncations).await?;
        let counts = StagingCounts {
            read: files.iter().map(|file| file.rows).sum(),
            staged: good.len() as u64,
            quarantined: bad.len() as u64,
            repeated: decided.repeats.iter().filter(|repeat| **repeat).count() as u64 + decided.truncated_again,
            truncations: decided.truncations.len() as u64,
            closed: deletes.iter().map(|file| file.rows).sum(),
        };
        if !counts.balance() {
            let (table, accounted) = (self.table.name.clone(), counts.accounted());
            return Err(StagingError::Unbalanced { table, read: counts.read, accounted });
        }
        let at = hours(&decided.batch).map_err(self.rows())?;
        let new = hour_files(&decided.batch, &at, good).map_err(self.rows())?;
        let mut add = self.main.write_files(new).await.map_err(self.failed())?;
        add.extend(deletes);
        failpoint::hit("staging.files_written");
        let mut positions = vec![(reader(landing), up_to)];
        if !bad.is_empty() {
            self.commit_quarantine(&decided, bad, &positions).await?;
            failpoint::hit("staging.quarantine_committed");
        }
        positions.extend(decided.truncations.iter().map(|(order_key, it)| truncation::position(order_key, it)));
        let rules = rule_counts(self.table, &decided.verdict);
        let mut info = Map::new();
        info.insert(INFO.to_owned(), json!(counts));
        info.insert(RULES.to_owned(), json!(rules));
        info.insert("weir.landing_version".to_owned(), json!(up_to));
        self.staged.files += add.len() as u64;
        self.staged.bytes += add.iter().map(|file| file.size.unsigned_abs()).sum::<u64>();
        let version =
            self.main.commit(Commit { add, positions, info, ..Commit::default() }).await.map_err(self.failed())?;
        failpoint::hit("staging.committed");
        tracing::info!(version, read = counts.read, staged = counts.staged, quarantined = counts.quarantined, "staged");
        self.staged.counts += counts;
        self.staged.commits += 1;
        add_up(&mut self.staged.rules, rules);
        Ok(())
    }

    /// Types, repeats and rules of the rows of these files.
    async fn decide(&mut self, landing: &Table, files: &[DataFile]) -> Result<Decided, StagingError> {
        let columns = landing.column_names();
        let wanted: Vec<&str> = columns.into_iter().filter(|name| !["source", "ts_ms"].contains(name)).collect();
        let batches = landing.read_all(files, Some(&wanted)).await.map_err(self.failed())?;
        let landed = match batches.first() {
            Some(first) => concat_batches(&first.schema(), &batches).map_err(self.rows())?,
            None => RecordBatch::new_empty(landing.schema().clone()),
        };
        drop(batches);
        let (landed, truncated) = truncation::take_out(landed).map_err(self.rows())?;
        let delivered = truncated.len();
        let truncations = truncation::new_ones(&self.main, truncated);
        let truncated_again = (delivered - truncations.len()) as u64;
        let Flat { columns: mut raw, weir, deletes } = flatten(&landed, &self.table.columns).map_err(self.rows())?;
        let rows = landed.num_rows();
        drop(landed);
        let mut missing =
            Missing::take_out(&mut raw, &deletes, &self.settings.unavailable_value).map_err(self.rows())?;
        if let Some(sql) = &self.table.staging_sql {
            raw = model::apply(self.lake, self.table, sql, &raw).await?;
            missing = missing.through(sql, &self.table.columns).map_err(self.rows())?;
        }
        let (columns, misfits) = self.fit(&raw, &deletes, &missing)?;
        let names = missing.names(&self.table.columns, rows);
        let batch = crate::flatten::batch(&self.table.columns, columns.clone(), weir, names).map_err(self.rows())?;
        let repeats = self.repeats(&batch).await?;
        let broken = self.broken(&columns, &missing)?;
        let facts = Facts {
            table: self.table,
            columns: &columns,
            misfits: &misfits,
            deletes: &deletes,
            repeats: &repeats,
            broken: &broken,
        };
        let verdict = judge(&facts);
        Ok(Decided { batch, raw, repeats, verdict, truncations, truncated_again })
    }

    /// Columns in the contract's types, and the rows that do not fit them, by column.
    fn fit(
        &self,
        raw: &[ArrayRef],
        deletes: &arrow::array::BooleanArray,
        missing: &Missing,
    ) -> Result<(Vec<ArrayRef>, Vec<Vec<usize>>), StagingError> {
        let (mut columns, mut misfits) = (Vec::with_capacity(raw.len()), Vec::with_capacity(raw.len()));
        for (at, (column, raw)) in self.table.columns.iter().zip(raw).enumerate() {
            let mut fitted = typed::fit(raw, column).map_err(self.rows())?;
            // A missing value fits a nullable column; the key has a rule of its own, a delete is the past.
            if !column.nullable && !self.table.key.contains(&column.name) {
                let array = fitted.array.clone();
                let null = (0..raw.len()).filter(|row| array.is_null(*row) && !deletes.value(*row));
                fitted.misfits.extend(null.filter(|row| !missing.is(at, *row)));
                fitted.misfits.sort_unstable();
                fitted.misfits.dedup();
            }
            columns.push(fitted.array);
            misfits.push(fitted.misfits);
        }
        Ok((columns, misfits))
    }

    /// Which rows are deliveries of a change that is in this step already, in staging or in quarantine.
    pub(crate) async fn repeats(&self, batch: &RecordBatch) -> Result<Vec<bool>, StagingError> {
        let ids = self.identities(batch, "_op", "_order_key")?;
        let mut seen = HashSet::with_capacity(ids.len());
        let mut repeats: Vec<bool> = ids.iter().map(|id| !seen.insert(&**id)).collect();
        let keys = batch.column_by_name("_order_key").and_then(|keys| keys.as_binary_opt::<i32>());
        let mut keys: Vec<&[u8]> = keys.into_iter().flat_map(|keys| keys.iter().flatten()).collect();
        keys.sort_unstable();
        for table in [Some(&self.main), self.quarantine.as_ref()].into_iter().flatten() {
            let files: Vec<DataFile> = table.files().filter(|file| file.may_hold_any(&keys)).cloned().collect();
            if files.is_empty() {
                continue;
            }
            let mut columns = vec!["_op", "_order_key"];
            columns.extend(self.table.key.iter().map(|key| key.as_str()));
            for stored in table.read_all(&files, Some(&columns)).await.map_err(self.failed())? {
                let stored: HashSet<Box<[u8]>> = self
                    .identities(&stored, "_op", "_order_key")?
                    .into_iter()
                    .filter(|id| seen.contains(&**id))
                    .collect();
                if !stored.is_empty() {
                    repeats.iter_mut().zip(&ids).for_each(|(repeat, id)| *repeat |= stored.contains(id));
                }
            }
        }
        Ok(repeats)
    }

    fn identities(&self, batch: &RecordBatch, op: &str, order_key: &str) -> Result<Vec<Box<[u8]>>, StagingError> {
        let column = |name: &str| {
            let found = batch.column_by_name(name).cloned();
            found.ok_or_else(|| self.rows()(ArrowError::SchemaError(format!("rows lack `{name}`"))))
        };
        let keys = self.table.key.iter().map(|key| column(key.as_str())).collect::<Result<Vec<_>, _>>()?;
        identities(&column(op)?, &column(order_key)?, &keys).map_err(self.rows())
    }

    /// Which rows break each expectation.
    fn broken(&self, columns: &[ArrayRef], missing: &Missing) -> Result<Vec<arrow::array::BooleanArray>, StagingError> {
        let mut broken = Vec::with_capacity(self.table.expectations.len());
        for expectation in &self.table.expectations {
            let unfit = || StagingError::Rule { table: self.table.name.clone(), rule: expectation.name.clone() };
            let at = self.table.column_index(expectation.column.as_str()).ok_or_else(unfit)?;
            let array = columns.get(at).ok_or_else(unfit)?;
            let referenced = match &expectation.rule {
                Rule::Reference { table, column } => Some(self.referenced(table, column, columns)?),
                _ => None,
            };
            let rows = rules::broken(&expectation.rule, array, referenced.as_deref()).map_err(|_| unfit())?;
            broken.push(missing.excuse(at, rows).map_err(self.rows())?);
        }
        Ok(broken)
    }

    /// Values of a referenced column; of this very table those of the step as well.
    fn referenced(
        &self,
        table: &TableName,
        column: &weir_core::name::Identifier,
        columns: &[ArrayRef],
    ) -> Result<std::borrow::Cow<'_, rules::Referenced>, StagingError> {
        use std::borrow::Cow;
        let known = self.references.values(table, column);
        if *table != self.table.name {
            return Ok(known.map_or_else(Cow::default, Cow::Borrowed));
        }
        let mut values = known.cloned().unwrap_or_default();
        if let Some(own) = self.table.column_index(column.as_str()).and_then(|at| columns.get(at)) {
            reference::add(&mut values, own).map_err(self.rows())?;
        }
        Ok(Cow::Owned(values))
    }

    async fn commit_quarantine(
        &mut self,
        decided: &Decided,
        bad: Vec<u32>,
        positions: &[(String, i64)],
    ) -> Result<(), StagingError> {
        let failed = self.failed();
        let batch = quarantine::rows(self.table, decided, &bad).map_err(self.rows())?;
        let mut table = match self.quarantine.take() {
            Some(table) => table,
            None => {
                let name = self.table.name.as_str();
                let made = self.lake.create_table(Zone::Quarantine, name, &batch.schema(), Partitioning::Hour).await;
                made.map_err(&failed)?
            }
        };
        let hour = hours(&batch).map_err(self.rows())?;
        let all = (0..).take(batch.num_rows()).collect();
        let add = table.write_files(hour_files(&batch, &hour, all).map_err(self.rows())?).await.map_err(&failed)?;
        let schema = weir_lake::union(table.full_name(), table.schema(), &batch.schema()).map_err(&failed)?;
        let commit = Commit { add, positions: positions.to_vec(), schema: Some(schema), ..Commit::default() };
        table.commit(commit).await.map_err(&failed)?;
        self.quarantine = Some(table);
        Ok(())
    }
}
