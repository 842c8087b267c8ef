//! `weir table`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::{run, site};

use crate::args::{Global, Table};
use crate::failure::Failure;
use crate::output::Listing;

pub async fn run(global: &Global, args: &Table) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = site::open_lake(&project).await?;
    match args {
        Table::Builds => {
            let mut listing = Listing::new(["build", "published", "table", "version", "set", "removed", "readable"]);
            for build in run::builds(&lake).await? {
                for table in &build.publication.tables {
                    let sums = table.change_sets.iter().fold((0, 0), |(u, d), set| (u + set.upserts, d + set.deletes));
                    listing.row([
                        json!(build.publication.build),
                        super::time(build.publication.published_at),
                        json!(table.table),
                        json!(table.version),
                        json!(sums.0),
                        json!(sums.1),
                        json!(build.readable),
                    ]);
                }
            }
            listing.print(global.output)?;
        }
        Table::Vacuum { keep, dry_run } => {
            let mut listing = Listing::new(["table", "oldest version", "files", "bytes"]);
            for line in run::vacuum(&lake, *keep, *dry_run).await? {
                listing.row([json!(line.table), json!(line.oldest), json!(line.files), json!(line.bytes)]);
            }
            listing.print(global.output)?;
            let reach = weir_operate::run::reach(&run::builds(&lake).await?);
            let text = match reach {
                Some(build) if *dry_run => format!("nothing was deleted; time travel reaches back to build {build}"),
                Some(build) => format!("time travel reaches back to build {build}"),
                None => "nothing is published that could be read".to_owned(),
            };
            super::say_if_table(global, &text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
