//! What a build would do, without doing it.

use std::collections::BTreeMap;

use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_core::zone::Zone;
pub use weir_curated::{Builds, Reason, TablePlan};
use weir_lake::{Lake, Table};
use weir_project::{Project, Selection};
use weir_staging::run::reader;

/// What waits for one staging table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagingPlan {
    /// The table.
    pub table: TableName,
    /// Whether it is selected: otherwise nothing is staged.
    pub selected: bool,
    /// Landing rows that staging has not read.
    pub rows: u64,
    /// In how many commits.
    pub commits: u64,
}

/// A build's plan, tables in the order in which they would be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    /// Staging.
    pub staging: Vec<StagingPlan>,
    /// Curated.
    pub curated: Vec<TablePlan>,
}

/// Looks at what a build of the selection would do. Writes nothing.
pub async fn plan(project: &Project, lake: &Lake, selection: &Selection) -> Result<BuildPlan, Diagnosed> {
    let mut staging = Vec::new();
    for table in &project.tables {
        let name = table.name.as_str();
        let (mut rows, mut commits) = (0, 0);
        if let Some(landing) = lake.table(Zone::Landing, name).await? {
            let staged = lake.table(Zone::Staging, name).await?;
            (rows, commits) = unstaged(&landing, staged.as_ref()).await?;
        }
        let selected = selection.has_table(&table.name);
        staging.push(StagingPlan { table: table.name.clone(), selected, rows, commits });
    }
    let landed: BTreeMap<TableName, u64> =
        staging.iter().filter(|plan| plan.selected).map(|plan| (plan.table.clone(), plan.rows)).collect();
    let curated = weir_curated::plan(project, lake, selection, &landed).await?;
    Ok(BuildPlan { staging, curated })
}

/// Landing rows that staging has not read, and in how many commits.
pub(crate) async fn unstaged(landing: &Table, staged: Option<&Table>) -> Result<(u64, u64), Diagnosed> {
    let after = staged.and_then(|staged| staged.position(&reader(landing))).unwrap_or(-1);
    let added = landing.files_added(after, landing.version()).await?;
    let rows = added.iter().map(|(_, file)| file.rows).sum();
    let commits = added.iter().map(|(version, _)| version).collect::<std::collections::BTreeSet<_>>().len() as u64;
    Ok((rows, commits))
}
