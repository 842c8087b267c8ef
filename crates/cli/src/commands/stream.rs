//! `weir stream`

use std::process::ExitCode;

use serde_json::json;
use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_landing::{Landed, Until};
use weir_operate::status::serve::Server;
use weir_operate::{Site, run};

use super::{site, until_asked_to_stop};
use crate::args::{Global, Stream};
use crate::failure::Failure;
use crate::output::{Listing, say};

pub async fn run(global: &Global, args: &Stream) -> Result<ExitCode, Failure> {
    let site = site(global).await?;
    let landed = if args.once { run::land(&site, &Until::CaughtUp).await } else { for_long(&site).await };
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

/// Lands until it is asked to stop, and serves metrics meanwhile.
async fn for_long(site: &Site) -> Result<Vec<(TableName, Landed)>, Diagnosed> {
    let stop = until_asked_to_stop();
    let server = Server::bind(&site.project).await?;
    if let Some(server) = &server {
        say(&format!("metrics    http://{}/metrics", server.address));
    }
    let serving = server.map(|server| tokio::spawn(server.run(site, None, stop.clone())));
    let landed = run::land(site, &Until::Forever(stop.clone())).await;
    // Landing ends by itself on an error.
    stop.cancel();
    if let Some(serving) = serving {
        let _ = serving.await;
    }
    landed
}
