//! What lies in each zone: rows, files, bytes.

use serde::Serialize;
use weir_core::diagnosis::Diagnosed;
use weir_core::zone::Zone;
use weir_lake::Lake;

/// One table of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneCount {
    /// The zone.
    pub zone: Zone,
    /// The table.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Counts every table of every zone, in the order of the path.
pub async fn counts(lake: &Lake) -> Result<Vec<ZoneCount>, Diagnosed> {
    let mut counts = Vec::new();
    for zone in [Zone::Landing, Zone::Deadletter, Zone::Staging, Zone::Quarantine, Zone::Curated] {
        for name in lake.tables(zone).await? {
            let Some(table) = lake.table(zone, &name).await? else { continue };
            let (mut files, mut bytes) = (0, 0);
            for file in table.files() {
                files += 1;
                bytes += u64::try_from(file.size).unwrap_or(0);
            }
            counts.push(ZoneCount { zone, table: name, rows: table.rows(), files, bytes });
        }
    }
    Ok(counts)
}
