//! The one commit of a curated table: rows, positions and change set together.

use weir_core::failpoint;
use weir_lake::{Commit, Table};
use weir_project::Model;

use crate::bucket::Rewritten;
use crate::change_set::Writer;
use crate::error::CuratedError;
use crate::report::TableReport;
use crate::room::{Room, declared, of_staging};

/// What a build found for one table.
pub(crate) struct Outcome {
    /// Where it stands in its inputs now.
    pub positions: Vec<(String, i64)>,
    /// Files.
    pub rewritten: Rewritten,
    /// The same as rows to load.
    pub change_set: Writer,
}

/// Commits what was written; does nothing when there is neither a row nor a position to keep.
pub(crate) async fn commit(
    room: &Room,
    model: &Model,
    table: &mut Table,
    history: Option<&Table>,
    outcome: Outcome,
) -> Result<TableReport, CuratedError> {
    let Outcome { mut positions, rewritten, change_set } = outcome;
    // How far the history had gone into staging stands beside the rows that follow from it.
    if let Some((source, history)) = model.source.as_ref().zip(history) {
        let name = of_staging(source.as_str());
        positions.extend(history.position(&name).map(|position| (name, position)));
    }
    positions.retain(|(name, position)| table.position(name) != Some(*position));
    let mut rewind = room.mark(model, table);
    let idle = rewritten.add.is_empty() && rewritten.remove.is_empty();
    if idle && positions.is_empty() && rewind.is_empty() {
        return Ok(TableReport::of(model, table.version()));
    }
    let mut written = change_set.finish().await?;
    written.anew = table.is_anew();
    let change_set_bytes = written.files.iter().map(|file| file.content_length).sum();
    let mut report = TableReport::of(model, 0);
    (report.upserts, report.deletes, report.change_set_bytes) = (written.upserts, written.deletes, change_set_bytes);
    let info = written.info().map_err(|source| CuratedError::Unreadable {
        path: format!("curated/{}", model.name),
        source: Box::new(source),
    })?;
    rewind.extend(declared(model, table));
    let Rewritten { add, remove } = rewritten;
    report.version = table.commit(Commit { add, remove, positions, rewind, info, ..Commit::default() }).await?;
    failpoint::hit("curated.table_committed");
    Ok(report)
}
