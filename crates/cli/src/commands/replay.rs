//! `weir replay`

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use weir_operate::progress::Progress as _;
use weir_operate::run;
use weir_source::Source;
use weir_source::events::Events;
use weir_source::online_retail::OnlineRetail;
use weir_source::simulate::{Simulator, Size, Spec, Switch, Switches};

use super::{site, until_asked_to_stop};
use crate::args::{Global, Replay, Simulate};
use crate::failure::Failure;
use crate::output::Listing;
use crate::progress::Bars;

pub async fn run(global: &Global, args: Replay) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let (source, pace) = match args {
        Replay::DataSet { file } => {
            (Source::OnlineRetail(OnlineRetail::open(&file, &project.tables).map_err(Failure::of)?), 0)
        }
        Replay::Events { file } => (Source::Events(Events::open(&file, &project.tables).map_err(Failure::of)?), 0),
        Replay::Simulate(args) => {
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
