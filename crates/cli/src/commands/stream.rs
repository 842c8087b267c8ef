//! `weir stream`

use std::process::ExitCode;

use serde_json::json;
use weir_landing::Until;
use weir_operate::run;

use super::{site, until_asked_to_stop};
use crate::args::{Global, Stream};
use crate::failure::Failure;
use crate::output::Listing;

pub async fn run(global: &Global, args: &Stream) -> Result<ExitCode, Failure> {
    let site = site(global).await?;
    let until = if args.once { Until::CaughtUp } else { Until::Forever(until_asked_to_stop()) };
    let landed = run::land(&site, &until).await;
    let closed = site.close().await;
    let landed = landed?;
    closed?;
    let mut listing =
        Listing::new(["table", "received", "landed", "dead letters", "repeated", "tombstones", "late", "commits"]);
    for (table, landed) in landed {
        let counts = landed.counts;
        listing.row([
            json!(table),
            json!(counts.received),
            json!(counts.landed),
            json!(counts.dead_lettered),
            json!(counts.repeated),
            json!(counts.tombstones),
            json!(landed.late),
            json!(landed.commits),
        ]);
    }
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}
