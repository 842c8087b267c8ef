//! `weir replay`

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use weir_operate::progress::Progress as _;
use weir_operate::{run, site as sites, verify};
use weir_source::Source;
use weir_source::events::Events;
use weir_source::online_retail::OnlineRetail;
use weir_source::simulate::{Simulator, Size, Spec, Switch, Switches};

use super::{site, until_asked_to_stop};
use crate::args::{Format, Global, Replay, ReplaySource, Simulate};
use crate::failure::Failure;
use crate::output::{Listing, line, thousands};
use crate::progress::Bars;

pub async fn run(global: &Global, args: Replay) -> Result<ExitCode, Failure> {
    let Some(from) = args.source else {
        let missing = || Failure::Usage("`weir replay` needs a source of events, or `--verify`".to_owned());
        return if args.verify { verify(global).await } else { Err(missing()) };
    };
    let project = super::project(global)?;
    let (source, pace) = match from {
        ReplaySource::DataSet { file } => {
            (Source::OnlineRetail(OnlineRetail::open(&file, &project.tables).map_err(Failure::of)?), 0)
        }
        ReplaySource::Events { file } => {
            (Source::Events(Events::open(&file, &project.tables).map_err(Failure::of)?), 0)
        }
        ReplaySource::Simulate(args) => {
            let spec = spec(&args)?;
            let pace = args.events_per_second;
            (Source::Simulate(Simulator::new(spec, &project.tables).map_err(Failure::of)?), pace)
        }
    };
    let source = Arc::new(source);
    let site = site(global).await?;
    let (bars, stop) = (Arc::new(Bars::new()), until_asked_to_stop());
    bars.begin("replay", Some(source.estimate()));
    let shown = bars.clone();
    let replayed = run::replay(&site, source.clone(), pace, move |at| {
        shown.at(at);
        if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await;
    let closed = site.close().await;
    let replayed = replayed?;
    closed?;
    bars.end();
    let mut listing = Listing::new(["source", "already there", "produced", "complete"]);
    listing.row([json!(source.kind()), json!(replayed.skipped), json!(replayed.produced), json!(replayed.complete)]);
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}

/// Replays the zones themselves in another place, and compares.
async fn verify(global: &Global) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = sites::open_lake(&project).await?;
    let lines = verify::verify(&project, &lake).await?;
    listing(&lines).print(global.output)?;
    let equal = lines.iter().all(verify::Line::agrees);
    if global.output == Format::Table {
        let gone: u64 = lines.iter().map(|line| line.out_of_reach).sum();
        if gone > 0 {
            line(&format!("{} rows left landing by its retention and were not replayed", thousands(gone)))?;
        }
        line(if equal { "every table is what its source gives" } else { "the tables differ" })?;
    }
    if equal { Ok(ExitCode::SUCCESS) } else { Err(Failure::Said) }
}

/// Tables against what was built again.
pub fn listing<'a>(lines: impl IntoIterator<Item = &'a verify::Line>) -> Listing {
    let mut listing =
        Listing::new(["zone", "table", "expected", "found", "missing", "doubled", "different", "out of reach", "keys"]);
    for line in lines {
        listing.row([
            json!(line.zone),
            json!(line.table),
            json!(line.expected),
            json!(line.found),
            json!(line.missing),
            json!(line.doubled),
            json!(line.different),
            json!(line.out_of_reach),
            json!(line.keys.join(", ")),
        ]);
    }
    listing
}

fn spec(args: &Simulate) -> Result<Spec, Failure> {
    let mut switches = Switches::ALL;
    for name in &args.without {
        let switch = Switch::ALL.into_iter().find(|switch| switch.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Switch::ALL.into_iter().map(Switch::name).collect();
            Failure::Usage(format!("`--without {name}` names no kind of trouble; there are {}", known.join(", ")))
        })?;
        switches = switches.without(switch);
    }
    let size = Size { customers: args.customers, products: args.products, orders: args.orders };
    Ok(Spec { seed: args.seed, size, switches })
}
