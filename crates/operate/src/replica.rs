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
    let replica = match root {
        // Opening it would make the folder.
        LakeRoot::Folder(folder) if !folder.is_dir() => None,
        LakeRoot::Folder(_) | LakeRoot::S3(_) => Some(Lake::open(Options::from(&at)).await?),
    };
    let mut exposed = Exposed::default();
    for zone in ZONES {
        for name in lake.tables(zone).await? {
            let Some(table) = lake.table(zone, &name).await? else { continue };
            if let Some((objects, since)) = behind(&table, replica.as_ref()).await? {
                exposed.add(objects, now - since);
            }
        }
    }
    Ok(Some(exposed))
}

/// How many objects of a table the copy lacks, and when the oldest of them was written, milliseconds since 1970 UTC.
async fn behind(table: &Table, copy: Option<&Lake>) -> Result<Option<(u64, i64)>, Diagnosed> {
    let (commits, files) = table.lacking_in(copy).await?;
    let oldest = match commits.first() {
        Some(first) => table.commit_infos(first - 1, *first).await?,
        None => Vec::new(),
    };
    let since = oldest.iter().map(time_of).chain(files.iter().map(|file| file.modified)).min();
    Ok(since.map(|since| (commits.len() as u64 + files.len() as u64, since)))
}
