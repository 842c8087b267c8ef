//! How far a copy of the lake in another place is behind: what would be lost with the lake.

use weir_core::diagnosis::Diagnosed;
use weir_core::zone::Zone;
use weir_lake::{Lake, Options, Table};
use weir_project::{LakeRoot, Project};

use crate::drill::Exposed;
use crate::status::time_of;

/// Zones that nothing else gives again. Staging is one: landing forgets.
const ZONES: [Zone; 4] = [Zone::Landing, Zone::Deadletter, Zone::Staging, Zone::Quarantine];

/// What the replica lacks; none where the project declares no replica.
pub(crate) async fn lacks(project: &Project, lake: &Lake, now: i64) -> Result<Option<Exposed>, Diagnosed> {
    let Some(root) = &project.recovery.replica else { return Ok(None) };
    let mut at = project.lake.clone();
    at.root = root.clone();
    at.region = project.recovery.replica_region.clone().or(at.region);
    // Opening a lake in a folder makes the folder.
    let is_there =
        |root: &LakeRoot| matches!(root, LakeRoot::S3(_)) || matches!(root, LakeRoot::Folder(f) if f.is_dir());
    let replica = if is_there(root) { Some(Lake::open(Options::from(&at)).await?) } else { None };
    let mut exposed = Exposed::default();
    for zone in ZONES {
        for name in lake.tables(zone).await? {
            let Some(table) = lake.table(zone, &name).await? else { continue };
            let copy = match &replica {
                Some(replica) => replica.table(zone, &name).await?,
                None => None,
            };
            if let Some((commits, since)) = behind(&table, copy.as_ref()).await? {
                exposed.add(commits, now - since);
            }
        }
    }
    Ok(Some(exposed))
}

/// Commits that the copy does not have or cannot read, and when the oldest of what is missing came, milliseconds since
/// 1970 UTC. Objects are copied in any order: a commit is there once the files that it names are.
async fn behind(table: &Table, copy: Option<&Table>) -> Result<Option<(u64, i64)>, Diagnosed> {
    let version = copy.map_or(-1, Table::version);
    let missing = table.commit_infos(version, table.version()).await?;
    let absent = match copy {
        Some(copy) => copy.absent().await?,
        None => Vec::new(),
    };
    let commits = missing.len() as u64 + u64::from(!absent.is_empty());
    let committed = missing.iter().map(time_of);
    Ok(committed.chain(absent.iter().map(|file| file.arrived() / 1000)).min().map(|since| (commits, since)))
}
