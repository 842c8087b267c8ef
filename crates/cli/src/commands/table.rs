//! `weir table`

use std::process::ExitCode;

use serde_json::{Value, json};
use weir_operate::upkeep::{self, Health};
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
        Table::Health => health(&upkeep::health(&project, &lake).await?).print(global.output)?,
        Table::Compact { table } => {
            let only = table.as_ref().map(|name| super::known(&project, name)).transpose()?;
            let only = only.as_ref().map(|table| table.name.as_str());
            let mut listing = Listing::new(["table", "files", "into", "rows", "bytes before", "bytes after"]);
            for line in upkeep::compact(&project, &lake, only).await? {
                let done = line.compacted;
                let counts = [done.files, done.into, done.rows, done.bytes_before, done.bytes_after];
                listing.row(std::iter::once(json!(line.table)).chain(counts.map(|count| json!(count))));
            }
            listing.print(global.output)?;
        }
        Table::Vacuum { table, keep, dry_run } => {
            let mut listing = Listing::new(["zone", "table", "oldest version", "files", "bytes"]);
            let report = upkeep::vacuum(&project, &lake, table.as_deref(), *keep, *dry_run).await?;
            if let Some(name) = table.as_ref().filter(|_| report.is_empty()) {
                return Err(Failure::Usage(format!("no zone has a table `{name}`; `weir table health` lists them")));
            }
            for line in report {
                listing.row([
                    json!(line.zone.folder()),
                    json!(line.table),
                    json!(line.oldest),
                    json!(line.files),
                    json!(line.bytes),
                ]);
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

fn health(tables: &[Health]) -> Listing {
    let mut listing = Listing::new([
        "zone",
        "table",
        "rows",
        "files",
        "bytes",
        "median",
        "smallest",
        "small",
        "hours closed",
        "hours open",
        "files unnamed",
        "bytes unnamed",
        "compaction of",
        "into",
    ]);
    for table in tables {
        let counts: [Option<u64>; 12] = [
            Some(table.rows),
            Some(table.files),
            Some(table.bytes),
            table.median,
            table.smallest,
            Some(table.small),
            table.closed_hours,
            table.open_hours,
            Some(table.unnamed.0),
            Some(table.unnamed.1),
            table.compactable.map(|(of, _)| of),
            table.compactable.map(|(_, into)| into),
        ];
        let names: [Value; 2] = [json!(table.zone.folder()), json!(table.table)];
        listing.row(names.into_iter().chain(counts.map(|count| json!(count))));
    }
    listing
}
