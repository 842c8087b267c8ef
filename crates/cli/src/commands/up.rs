//! `weir up`

use std::process::ExitCode;

use weir_operate::up::{Pace, bind, up};

use super::{site, until_asked_to_stop};
use crate::args::{Global, Up};
use crate::failure::Failure;
use crate::output::say;

pub async fn run(global: &Global, args: &Up) -> Result<ExitCode, Failure> {
    let listener = bind(args.port).await.map_err(Failure::of)?;
    let site = site(global).await?;
    let pace = Pace { build_every: args.build_every, refresh_every: site.project.warehouse.refresh_every };
    let result = up(&site, listener, pace, until_asked_to_stop(), |running, metrics| {
        say(&format!("brokers    {}", site.services.connection.shown()));
        say(&format!("registry   {}", site.services.registry.url()));
        say(&format!("warehouse  psql -h 127.0.0.1 -p {} -U weir weir", running.wire));
        if let Some(address) = metrics {
            say(&format!("metrics    http://{address}/metrics"));
        }
        say("Ctrl-C ends it in good order");
    })
    .await;
    let closed = site.close().await;
    result?;
    closed?;
    Ok(ExitCode::SUCCESS)
}
