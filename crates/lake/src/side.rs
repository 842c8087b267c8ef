//! Side tables (dead letters, quarantine): they commit first, under the main table's position, and the
//! main table's commit decides. A side commit ahead of the main table is taken back and done again.

use deltalake::kernel::Action;
use futures::StreamExt;

use crate::commit::Commit;
use crate::error::LakeError;
use crate::table::Table;

/// Takes back what `side` holds under positions that `main` has not reached; how many files that were.
///
/// Only readers whose name begins with `readers` count. `main` none: the main table was never made.
pub async fn undo_ahead(side: &mut Table, main: Option<&mut Table>, readers: &str) -> Result<usize, LakeError> {
    let reached = |reader: &str| main.as_ref().and_then(|main| main.position(reader)).unwrap_or(-1);
    let mine = |reader: &str| reader.starts_with(readers);
    let ahead: Vec<(String, i64)> = side
        .positions()
        .iter()
        .filter(|(reader, position)| mine(reader) && **position > reached(reader))
        .map(|(reader, _)| (reader.clone(), reached(reader)))
        .collect();
    if ahead.is_empty() {
        return Ok(0);
    }
    let mut remove = Vec::new();
    // The commits ahead are the last ones: a writer never goes on over one.
    let mut version = side.version();
    'commits: while version > 0 {
        let mut reading = side.commits(version - 1, version);
        while let Some(next) = reading.next().await {
            let (_, actions) = next?;
            let is_ahead = actions.iter().any(|action| match action {
                Action::Txn(txn) => mine(&txn.app_id) && txn.version > reached(&txn.app_id),
                _ => false,
            });
            if !is_ahead {
                break 'commits;
            }
            remove.extend(actions.into_iter().filter_map(|action| match action {
                Action::Add(add) => side.files.get(&add.path).cloned(),
                _ => None,
            }));
        }
        drop(reading);
        version -= 1;
    }
    // The main commit may be on its way to the store, though its writer is dead: its version is taken first.
    if let Some(main) = main {
        main.commit(Commit::default()).await?;
    }
    let files = remove.len();
    tracing::warn!(table = %side.full_name(), files, "side commit ahead of its main table taken back");
    side.commit(Commit { remove, rewind: ahead, ..Commit::default() }).await?;
    Ok(files)
}
