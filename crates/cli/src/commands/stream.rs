//! `weir stream`

use std::process::ExitCode;

use serde_json::json;
use weir_landing::Until;
use weir_operate::{Site, run};

use super::until_asked_to_stop;
use crate::args::{Global, Stream};
use crate::failure::Failure;
use crate::output::{Listing, say};

pub async fn run(global: &Global, args: &Stream) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    if let Some(unknown) = args.accept_gap.iter().find(|name| project.table(name).is_none()) {
        return Err(Failure::Usage(format!("`{unknown}` is no table of the pipeline")));
    }
    let site = Site::open(project, &global.dir).await?;
    let until = if args.once { Until::CaughtUp } else { Until::Forever(until_asked_to_stop()) };
    let landings = async {
        for table in site.project.tables.iter().filter(|table| args.accept_gap.contains(&table.name)) {
            for gap in run::accept_gap(&site, table).await? {
                say(&format!("gap of `{}` accepted: its topic {gap}", table.name));
            }
        }
        run::land(&site, &until).await
    };
    let landings = landings.await;
    let closed = site.close().await;
    let landings = landings?;
    closed?;
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
