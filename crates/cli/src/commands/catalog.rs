//! `weir catalog`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::catalog::{self, Entry, Glue};
use weir_operate::site;

use crate::args::{Catalog, CatalogPart, Global};
use crate::failure::Failure;
use crate::output::Listing;

pub async fn run(global: &Global, args: &Catalog) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = site::open_lake(&project).await?;
    let glue = Glue::of(&project).map_err(Failure::of)?;
    match (args, glue) {
        (Catalog::Ls { part }, glue) => {
            let entries = match glue {
                Some(glue) => glue.entries(&project).await.map_err(Failure::of)?,
                None => catalog::of_lake_with_commits(&project, &lake, *part == CatalogPart::Partitions).await?,
            };
            listed(&entries, *part).print(global.output)?;
        }
        (Catalog::Diff, glue) => {
            let here = catalog::of_lake(&project, &lake).await?;
            let there = match &glue {
                Some(glue) => glue.entries(&project).await.map_err(Failure::of)?,
                None => here.clone(),
            };
            let found = catalog::differences(&here, &there);
            let mut listing = Listing::new(["database", "table", "what", "lake", "catalog"]).of_data();
            for one in &found {
                listing.row([
                    json!(one.database),
                    json!(one.table),
                    json!(one.what),
                    json!(one.lake),
                    json!(one.catalog),
                ]);
            }
            listing.print(global.output)?;
            say_if_embedded(global, glue.is_none());
            if !found.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        (Catalog::Sync, glue) => {
            let is_embedded = glue.is_none();
            let synced = match glue {
                Some(glue) => glue.mend(&project, &lake).await?,
                None => Vec::new(),
            };
            let mut listing = Listing::new(["database", "table", "done", "partitions added", "partitions removed"]);
            for one in synced {
                listing.row([
                    json!(one.database),
                    json!(one.table),
                    json!(one.done),
                    json!(one.added),
                    json!(one.removed),
                ]);
            }
            listing.print(global.output)?;
            say_if_embedded(global, is_embedded);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say_if_embedded(global: &Global, is_embedded: bool) {
    if is_embedded {
        super::say_if_table(global, "the catalog is embedded: it is the lake's tables themselves and cannot differ");
    }
}

fn listed(entries: &[Entry], part: CatalogPart) -> Listing {
    let mut listing = match part {
        CatalogPart::Tables => {
            Listing::new(["database", "table", "version", "columns", "partitions", "location"]).of_data()
        }
        CatalogPart::Columns => Listing::new(["database", "table", "column", "type", "partition key"]),
        CatalogPart::Partitions => Listing::new(["database", "table", "values", "version", "location"]).of_data(),
    };
    for entry in entries {
        let own = || [json!(entry.database), json!(entry.table)].into_iter();
        match part {
            CatalogPart::Tables => listing.row(own().chain([
                json!(entry.version),
                json!(entry.columns.len() + entry.keys.len()),
                json!(entry.partitions.len()),
                json!(entry.location),
            ])),
            CatalogPart::Columns => {
                for (columns, is_key) in [(&entry.columns, false), (&entry.keys, true)] {
                    for (name, kind) in columns {
                        listing.row(own().chain([json!(name), json!(kind), json!(is_key)]));
                    }
                }
            }
            CatalogPart::Partitions => {
                for (values, folder) in &entry.partitions {
                    listing.row(own().chain([json!(values.join("/")), json!(folder.version), json!(folder.location)]));
                }
            }
        }
    }
    listing
}
