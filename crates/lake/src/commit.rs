//! The one place that changes a table: files, positions, schema and counts in one atomic step.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake::kernel::{Action, MetadataExt, StructType, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::LakeError;
use crate::file::DataFile;
use crate::schema;
use crate::table::Table;

/// Names a commit in its commitInfo, so that its writer knows it again.
const ID: &str = "weir.commit";

/// What one commit does.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Files that become part of the table.
    pub add: Vec<DataFile>,
    /// Files that leave it.
    pub remove: Vec<DataFile>,
    /// Where readers stand after it. A position may not run backwards.
    pub positions: Vec<(String, i64)>,
    /// Positions that are set back, when what they stood for is removed.
    pub rewind: Vec<(String, i64)>,
    /// Where readers must still stand for this commit to be right (none: nowhere yet). A writer that was paused while
    /// another one took its place is refused by this, however often it tries.
    pub follows: Vec<(String, Option<i64>)>,
    /// The table's own columns from now on; a superset of those before ([`crate::union`]). For any others there is
    /// [`Table::anew`].
    pub schema: Option<SchemaRef>,
    /// What the commitInfo says, e.g. `weir.landing`.
    pub info: Map<String, Value>,
    /// The version that the commit must follow; none: the one that the handle sees.
    pub expected_version: Option<i64>,
    /// Rows are only moved between files: readers of additions do not see it.
    pub rearranges: bool,
}

impl Table {
    /// Commits, or fails and changes nothing; where the store does not even say whether the commit is there, opening the
    /// table anew does.
    ///
    /// Afterwards the handle stands at the new version, which is returned. A commit of somebody else
    /// since the handle's version is a [`LakeError::Conflict`]; refresh, read the positions, do it again.
    pub async fn commit(&mut self, commit: Commit) -> Result<i64, LakeError> {
        let base = self.version();
        if commit.expected_version.is_some_and(|expected| expected != base) {
            return Err(LakeError::Conflict {
                table: self.full_name.clone(),
                base: commit.expected_version.unwrap_or(base),
            });
        }
        self.refuse_moved(&commit)?;
        self.refuse_backwards(&commit)?;
        let actions = self.actions(&commit)?;
        let now = chrono::Utc::now().timestamp_millis();
        let moves = commit.positions.iter().chain(&commit.rewind);
        let transactions =
            moves.map(|(reader, position)| Transaction::new_with_last_update(reader, *position, Some(now)));
        let mut info = commit.info.clone();
        let id = Uuid::new_v4().simple().to_string();
        info.insert(ID.to_owned(), Value::from(id.as_str()));
        let properties = CommitProperties::default()
            .with_metadata(info)
            .with_application_transactions(transactions.collect())
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let done = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&self.state as &dyn TableReference), self.log_store.clone(), operation)
            .await;
        match done {
            Ok(done) => self.state = done.snapshot(),
            Err(error) => {
                let error = LakeError::delta(&self.full_name, base, error);
                self.take_unanswered(&id, error).await?;
            }
        }
        self.apply(commit);
        self.checkpoint_if_due().await;
        Ok(self.version())
    }

    /// A commit that failed may be there all the same: its reply was lost, or it was sent twice and conflicts with
    /// itself. Only the log knows.
    async fn take_unanswered(&mut self, id: &str, error: LakeError) -> Result<(), LakeError> {
        let base = self.version();
        let infos = self.commit_infos(base, base + 1).await.unwrap_or_default();
        if !infos.iter().any(|commit| commit.info.get(ID).is_some_and(|found| found == id)) {
            return Err(error);
        }
        tracing::warn!(table = %self.full_name, version = base + 1, %error, "committed, though the store said otherwise");
        let ours = u64::try_from(base + 1).ok();
        let taken = self.state.update(&self.log_store, ours).await;
        taken.map_err(|e| LakeError::delta(&self.full_name, base, e))
    }

    /// The commit goes behind exactly the version that is looked at here, or fails: nobody moves a position in between.
    fn refuse_moved(&self, commit: &Commit) -> Result<(), LakeError> {
        for (reader, read) in &commit.follows {
            let stored = self.position(reader);
            if stored != *read {
                let (table, reader, read) = (self.full_name.clone(), reader.clone(), *read);
                return Err(LakeError::PositionMoved { table, reader, read, stored });
            }
        }
        Ok(())
    }

    fn refuse_backwards(&self, commit: &Commit) -> Result<(), LakeError> {
        for (reader, given) in &commit.positions {
            if let Some(stored) = self.position(reader).filter(|stored| stored > given) {
                return Err(LakeError::PositionBackwards {
                    table: self.full_name.clone(),
                    reader: reader.clone(),
                    stored,
                    given: *given,
                });
            }
        }
        Ok(())
    }

    fn actions(&self, commit: &Commit) -> Result<Vec<Action>, LakeError> {
        let now = chrono::Utc::now().timestamp_millis();
        let data_change = !commit.rearranges;
        let mut actions = Vec::with_capacity(commit.add.len() + commit.remove.len() + 1);
        let columns = commit.schema.as_ref().map_or_else(|| self.schema.clone(), |columns| schema::normal(columns));
        if columns != self.stored_schema() {
            let mut fields = schema::delta_fields(&self.full_name, &columns)?;
            let partition_columns = arrow::datatypes::Schema::new(self.partitioning.fields().collect::<Vec<_>>());
            fields.extend(schema::delta_fields(&self.full_name, &partition_columns)?);
            let refused = |e: deltalake::DeltaTableError| LakeError::delta(&self.full_name, self.version(), e);
            let columns = StructType::try_new(fields).map_err(|e| refused(e.into()))?;
            let metadata = self.state.metadata().clone().with_schema(&columns).map_err(|e| refused(e.into()))?;
            actions.push(Action::Metadata(metadata));
        }
        if self.anew {
            let stored = self.stored_files()?;
            actions.extend(stored.values().map(|file| Action::Remove(file.to_remove(data_change, now))));
        }
        actions.extend(commit.remove.iter().map(|file| Action::Remove(file.to_remove(data_change, now))));
        actions.extend(commit.add.iter().map(|file| Action::Add(file.to_add(data_change))));
        Ok(actions)
    }

    /// The handle's own view after its commit.
    fn apply(&mut self, commit: Commit) {
        if let Some(columns) = commit.schema {
            self.schema = schema::normal(&columns);
        }
        self.anew = false;
        let files = Arc::make_mut(&mut self.files);
        for file in &commit.remove {
            files.remove(&file.path);
        }
        files.extend(commit.add.into_iter().map(|file| (file.path.clone(), file)));
        Arc::make_mut(&mut self.positions).extend(commit.positions.into_iter().chain(commit.rewind));
    }
}
