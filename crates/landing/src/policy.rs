//! A table's policy on schema changes: whether records that would give the table another schema are landed.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use weir_lake::{Commit, column_changes};
use weir_project::{SchemaChanges, Table};

use crate::error::LandingError;
use crate::worker::Worker;

/// The key under which a commit's info says that the table is held, and why. It is so until the next micro-batch.
pub const HELD: &str = "weir.held";

/// Time between two looks at a table that is held.
const LOOK: Duration = Duration::from_secs(2);

/// What these parts would change in a table: `column type`, and for a column that is there ` instead of type`.
fn changes(stored: &Schema, parts: &[RecordBatch]) -> Vec<String> {
    // A table without a row has no columns of the source's yet.
    if stored.column_with_name("after").is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for change in parts.iter().flat_map(|part| column_changes(stored, &part.schema())) {
        // A column that does not come is none less in the table, and those with `_` are Weir's own.
        let Some(given) = change.given.filter(|_| !change.column.starts_with('_')) else { continue };
        let was = change.stored.map_or_else(String::new, |stored| format!(" instead of {stored}"));
        let text = format!("`{}` {given}{was}", change.column);
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Refuses parts that change a table with these columns where its policy says so.
pub(crate) fn allowed(table: &Table, stored: &Schema, parts: &[RecordBatch]) -> Result<(), LandingError> {
    let holds = match table.schema_changes {
        SchemaChanges::Evolve => return Ok(()),
        SchemaChanges::Hold => true,
        SchemaChanges::Stop => false,
    };
    let columns = changes(stored, parts);
    if columns.is_empty() {
        return Ok(());
    }
    Err(LandingError::SchemaChange { table: table.name.clone(), columns: columns.join(", "), holds })
}

impl Worker<'_> {
    /// Says in the table that it is held; once, however often that is found out.
    pub(crate) async fn note(&mut self, why: &LandingError) -> Result<(), LandingError> {
        let (failed, said) = (self.failed(), json!(why.to_string()));
        let Some(main) = &mut self.main else { return Ok(()) };
        main.refresh().await.map_err(&failed)?;
        loop {
            let newest = main.commit_infos(main.version() - 1, main.version()).await.map_err(&failed)?;
            if newest.last().and_then(|commit| commit.info.get(HELD)) == Some(&said) {
                return Ok(());
            }
            let info = [(HELD.to_owned(), said.clone())].into_iter().collect();
            match main.commit(Commit { info, ..Commit::default() }).await {
                Ok(_) => return Ok(()),
                Err(error) => main.overtaken(error).await.map_err(&failed)?,
            }
        }
    }

    /// Waits until somebody has committed to the table; false when asked to stop before.
    pub(crate) async fn held(&mut self, why: &LandingError, asked: &CancellationToken) -> Result<bool, LandingError> {
        self.note(why).await?;
        tracing::warn!("{why}");
        let failed = self.failed();
        let Some(main) = &mut self.main else { return Ok(true) };
        loop {
            tokio::select! {
                () = asked.cancelled() => return Ok(false),
                () = tokio::time::sleep(LOOK) => {}
            }
            if main.refresh().await.map_err(&failed)? {
                return Ok(true);
            }
        }
    }
}
