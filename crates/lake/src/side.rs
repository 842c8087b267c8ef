//! Side tables (dead letters, quarantine): they commit first, under the main table's position, and the
//! main table's commit decides. A side commit ahead of the main table is taken back and done again.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::kernel::Action;
use futures::StreamExt;

use crate::commit::Commit;
use crate::error::LakeError;
use crate::file::DataFile;
use crate::table::Table;

/// Side commits that the main table has not decided on.
#[derive(Debug, Default)]
pub struct Ahead {
    remove: Vec<DataFile>,
    /// Every reader of those commits, and where the main table has it.
    rewind: BTreeMap<String, i64>,
}

impl Ahead {
    /// The readers under whose positions they were made.
    pub fn readers(&self) -> impl Iterator<Item = &str> {
        self.rewind.keys().map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rewind.is_empty()
    }
}

/// The commits of `side` under positions that `main` has not reached, where one of `mine` took part in them.
/// `main` none: the main table was never made.
pub async fn ahead(side: &Table, main: Option<&Table>, mine: impl Fn(&str) -> bool) -> Result<Ahead, LakeError> {
    let reached = |reader: &str| main.and_then(|main| main.position(reader)).unwrap_or(-1);
    let is_ahead = |reader: &str| side.position(reader).is_some_and(|position| position > reached(reader));
    let mut wanted: BTreeSet<String> =
        side.positions().keys().filter(|reader| mine(reader) && is_ahead(reader)).cloned().collect();
    let mut ahead = Ahead::default();
    // A reader's newest commit is the one ahead: no writer goes on over one. Others may have committed after it.
    let mut version = side.version();
    while !wanted.is_empty() && version > 0 {
        let mut reading = side.commits(version - 1, version);
        let Some(next) = reading.next().await else { break };
        let (_, actions) = next?;
        let readers =
            || actions.iter().filter_map(|action| if let Action::Txn(txn) = action { Some(&txn.app_id) } else { None });
        if readers().any(|reader| wanted.contains(reader)) {
            for reader in readers() {
                wanted.remove(reader);
                if is_ahead(reader) {
                    ahead.rewind.insert(reader.clone(), reached(reader));
                }
            }
            let added =
                actions.iter().filter_map(|action| if let Action::Add(add) = action { Some(&add.path) } else { None });
            ahead.remove.extend(added.filter_map(|path| side.files.get(path).cloned()));
        }
        version -= 1;
    }
    Ok(ahead)
}

/// Takes such commits back; how many files that were.
pub async fn take_back(side: &mut Table, ahead: Ahead) -> Result<usize, LakeError> {
    if ahead.is_empty() {
        return Ok(0);
    }
    let files = ahead.remove.len();
    tracing::warn!(table = %side.full_name(), files, "side commit ahead of its main table taken back");
    let rewind = ahead.rewind.into_iter().collect();
    side.commit(Commit { remove: ahead.remove, rewind, ..Commit::default() }).await?;
    Ok(files)
}

/// Both, for a main table with one writer, which is this one: of the readers whose name begins with `readers`.
///
/// The main table's commit may be on its way to the store, though its writer is dead: its version is taken first.
pub async fn undo_ahead(side: &mut Table, main: &mut Table, readers: &str) -> Result<usize, LakeError> {
    let ahead = ahead(side, Some(main), |reader| reader.starts_with(readers)).await?;
    if !ahead.is_empty() {
        main.commit(Commit::default()).await?;
    }
    take_back(side, ahead).await
}
