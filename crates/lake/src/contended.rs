//! Several writers on one table, from several processes: who comes second goes on behind the first.

use std::time::Duration;

use crate::UNFINISHED;
use crate::commit::Commit;
use crate::error::LakeError;
use crate::table::Table;

impl Table {
    /// Commits behind whoever commits first, as often as that happens: for commits that are right at any version at
    /// which the positions that they follow still stand. One that was paused gives up: its files may be gone.
    pub async fn commit_behind_others(&mut self, commit: Commit) -> Result<i64, LakeError> {
        let began = chrono::Utc::now();
        loop {
            match self.commit(commit.clone()).await {
                Err(error) if is_abandoned(began) => return Err(error),
                Err(error) => self.overtaken(error).await?,
                done => return done,
            }
        }
    }

    /// After a commit failed: goes to the newest version where somebody was quicker. Fails with the error itself where it
    /// is no conflict or where there is no newer version, so that a loop around it ends.
    pub async fn overtaken(&mut self, error: LakeError) -> Result<(), LakeError> {
        let is_newer = matches!(error, LakeError::Conflict { .. }) && self.refresh().await?;
        if is_newer { Ok(()) } else { Err(error) }
    }
}

/// Whether a writer that began then has taken longer than [`UNFINISHED`], by the clock on the wall: other clocks stand
/// still while a machine sleeps.
pub fn is_abandoned(began: chrono::DateTime<chrono::Utc>) -> bool {
    (chrono::Utc::now() - began).to_std().unwrap_or(Duration::ZERO) > UNFINISHED
}
