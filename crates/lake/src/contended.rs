//! Several writers on one table, from several processes: who comes second goes on behind the first.

use crate::commit::Commit;
use crate::error::LakeError;
use crate::table::Table;

impl Table {
    /// Commits behind whoever commits first, as often as that happens: for commits that are right at any version at
    /// which the positions that they follow still stand.
    pub async fn commit_behind_others(&mut self, commit: Commit) -> Result<i64, LakeError> {
        loop {
            match self.commit(commit.clone()).await {
                Err(conflict @ LakeError::Conflict { .. }) => self.overtaken(conflict).await?,
                done => return done,
            }
        }
    }

    /// After a conflict: goes to the newest version. Fails with the conflict itself when there is no newer one, so that
    /// a loop around it ends.
    pub async fn overtaken(&mut self, conflict: LakeError) -> Result<(), LakeError> {
        if self.refresh().await? { Ok(()) } else { Err(conflict) }
    }
}
