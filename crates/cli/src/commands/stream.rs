//! `weir stream`

use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use weir_core::diagnosis::Diagnosed;
use weir_landing::Until;
use weir_operate::run::Landings;
use weir_operate::status::emf::Emf;
use weir_operate::status::metrics::Job;
use weir_operate::status::serve::Server;
use weir_operate::{Site, run};
use weir_project::Project;

use super::until_asked_to_stop;
use crate::args::{Global, Stream};
use crate::failure::Failure;
use crate::output::{Listing, say};

pub async fn run(global: &Global, args: &Stream) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    for name in &args.accept_gap {
        super::known(&project, name)?;
    }
    let (emf, began) = (Emf::of(&project, say), Instant::now());
    let done = land(global, args, project, emf.as_ref()).await;
    if let Some(emf) = emf {
        let succeeded = done.as_ref().is_ok_and(|landings| landings.iter().all(|(_, landed)| landed.is_ok()));
        emf.ended(&Job { name: "stream", succeeded, took: began.elapsed(), load: None });
    }
    let landings = done?;
    let mut listing =
        Listing::new(["table", "received", "landed", "dead letters", "repeated", "tombstones", "late", "commits"]);
    let mut stopped = None;
    for (table, landed) in landings {
        let landed = match landed {
            Ok(landed) => landed,
            Err(error) => {
                let code = Failure::from(error).report();
                stopped.get_or_insert(code);
                continue;
            }
        };
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
    Ok(stopped.unwrap_or(ExitCode::SUCCESS))
}

async fn land(global: &Global, args: &Stream, project: Project, emf: Option<&Emf>) -> Result<Landings, Failure> {
    let site = Site::open(project, &global.dir).await?;
    let work = async { if args.once { once(&site, args).await } else { for_long(&site).await } };
    let landings = match emf {
        Some(emf) => emf.during(&site, work).await,
        None => work.await,
    };
    let closed = site.close().await;
    let landings = landings?;
    closed?;
    Ok(landings)
}

/// Goes over accepted gaps, then lands what is there.
async fn once(site: &Site, args: &Stream) -> Result<Landings, Diagnosed> {
    for table in site.project.tables.iter().filter(|table| args.accept_gap.contains(&table.name)) {
        for gap in run::accept_gap(site, table).await? {
            say(&format!("gap of `{}` accepted: its topic {gap}", table.name));
        }
    }
    run::land(site, &Until::CaughtUp).await
}

/// Lands until it is asked to stop, and serves metrics meanwhile.
async fn for_long(site: &Site) -> Result<Landings, Diagnosed> {
    let stop = until_asked_to_stop();
    let server = Server::bind(&site.project).await?;
    if let Some(server) = &server {
        say(&format!("metrics    http://{}/metrics", server.address));
    }
    let serving = server.map(|server| tokio::spawn(server.run(site, None, stop.clone())));
    let landings = run::land(site, &Until::Forever(stop.clone())).await;
    // Landing ends by itself on an error.
    stop.cancel();
    if let Some(serving) = serving {
        let _ = serving.await;
    }
    landings
}
