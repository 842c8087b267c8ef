//! `weir status`

use std::process::ExitCode;

use chrono::Utc;
use serde_json::{Value, json};
use weir_operate::status::{BuildAt, Status, Watch};
use weir_operate::{run, warehouse};

use super::{site, time};
use crate::args::{self, Format, Global, StatusPart};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub async fn run(global: &Global, args: &args::Status) -> Result<ExitCode, Failure> {
    let site = site(global).await?;
    let within = i64::try_from(args.within.as_millis()).unwrap_or(i64::MAX);
    let since = Utc::now().timestamp_millis().saturating_sub(within);
    let looked = async {
        let (project, dir) = (site.project.clone(), site.dir.clone());
        let loaded = run::blocking(move || warehouse::loaded(&project, &dir)).await?;
        Watch::new(&site.project, &site.lake, &site.services.connection, since).look(loaded).await
    };
    let looked = looked.await;
    let closed = site.close().await;
    let status = looked?;
    closed?;
    let listing = |part| match part {
        StatusPart::Tables => tables(&status),
        StatusPart::Partitions => partitions(&status),
        StatusPart::Zones => zones(&status),
    };
    match (args.part, global.output) {
        (None, Format::Table) => {
            for (place, part) in [StatusPart::Tables, StatusPart::Partitions, StatusPart::Zones].into_iter().enumerate()
            {
                if place > 0 {
                    line("")?;
                }
                listing(part).print(global.output)?;
            }
        }
        (part, form) => listing(part.unwrap_or(StatusPart::Tables)).print(form)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tables(status: &Status) -> Listing {
    let mut listing = Listing::new([
        "table",
        "lag",
        "lag s",
        "last commit",
        "commits",
        "received",
        "bytes",
        "landed",
        "repeated",
        "dead letters",
        "tombstones",
        "late",
        "open letters",
        "last batch",
        "last batch ms",
        "held",
    ]);
    for table in &status.tables {
        let of_table = || status.partitions.iter().filter(|partition| partition.table == table.table);
        let waiting = of_table().map(|partition| partition.lag_milliseconds(status.at)).max();
        let (sums, last) = (table.sums, table.last.as_ref());
        listing.row([
            json!(table.table),
            json!(of_table().map(|partition| partition.lag()).sum::<u64>()),
            json!(waiting.unwrap_or_default() / 1000),
            last.map_or(Value::Null, |last| millis(last.at)),
            json!(sums.commits),
            json!(sums.counts.received),
            json!(sums.bytes),
            json!(sums.counts.landed),
            json!(sums.counts.repeated),
            json!(sums.counts.dead_lettered),
            json!(sums.counts.tombstones),
            json!(sums.late),
            json!(table.open_letters),
            json!(last.map(|last| last.records)),
            json!(last.map(|last| last.milliseconds)),
            json!(table.held),
        ]);
    }
    listing
}

fn partitions(status: &Status) -> Listing {
    let mut listing = Listing::new(["table", "partition", "next offset", "end offset", "lag", "lag s", "newest event"]);
    for partition in &status.partitions {
        listing.row([
            json!(partition.table),
            json!(partition.partition),
            json!(partition.next),
            json!(partition.end),
            json!(partition.lag()),
            json!(partition.lag_milliseconds(status.at) / 1000),
            partition.newest.map_or(Value::Null, time),
        ]);
    }
    listing
}

fn zones(status: &Status) -> Listing {
    let mut listing = Listing::new(["zone", "table", "as of", "build", "waiting rows", "waiting builds"]);
    for table in &status.tables {
        let at = table.staged_at.map_or(Value::Null, millis);
        listing.row([json!("staging"), json!(table.table), at, json!(null), json!(table.unstaged), json!(null)]);
    }
    let of_build = |zone: &str, build: Option<BuildAt>, waiting: Value| {
        let at = build.map_or(Value::Null, |build| time(build.at));
        [json!(zone), json!(null), at, json!(build.map(|build| build.build)), json!(null), waiting]
    };
    let (published, loaded) = (status.published, status.loaded);
    let behind = published.map_or(0, |build| build.build).saturating_sub(loaded.map_or(0, |build| build.build));
    listing.row(of_build("curated", published, json!(null)));
    listing.row(of_build("warehouse", loaded, json!(behind)));
    listing
}

fn millis(at: i64) -> Value {
    time(at.saturating_mul(1000))
}
