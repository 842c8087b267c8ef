//! `weir build`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::{Site, run, warehouse};
use weir_staging::Stager;

use super::site;
use crate::args::{Build, Global, Upto};
use crate::failure::Failure;
use crate::output::Listing;

pub async fn run(global: &Global, args: &Build) -> Result<ExitCode, Failure> {
    let site = site(global).await?;
    let built = build(&site, args.upto).await;
    let closed = site.close().await;
    let listing = built?;
    closed?;
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn build(site: &Site, upto: Upto) -> Result<Listing, Failure> {
    let mut listing = Listing::new(["zone", "table", "read", "written", "removed", "set aside"]);
    for (table, staged) in run::stage(site, &mut Stager::default()).await? {
        let counts = staged.counts;
        listing.row([
            json!("staging"),
            json!(table),
            json!(counts.read),
            json!(counts.staged),
            json!(counts.repeated),
            json!(counts.quarantined),
        ]);
    }
    if upto >= Upto::Curated {
        for table in run::build(site).await?.tables {
            listing.row([
                json!("curated"),
                json!(table.table),
                json!(table.read),
                json!(table.upserts),
                json!(table.deletes),
                json!(table.keyless),
            ]);
        }
    }
    if upto >= Upto::Warehouse {
        let double = warehouse::open(site)?;
        for loaded in run::load(site, &double).await? {
            for (table, set, gone) in loaded.tables {
                listing.row([json!("warehouse"), json!(table), json!(set + gone), json!(set), json!(gone), json!(0)]);
            }
        }
        let advanced = run::refresh(site, &double).await?;
        listing.row([json!("mirrors"), json!("(all)"), json!(advanced.records), json!(null), json!(null), json!(null)]);
    }
    Ok(listing)
}
