//! The same services and stages for long: landing always, builds and refreshes on a schedule, the wire.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_core::diagnosis::Diagnosed;
use weir_landing::Until;
use weir_project::Selection;
use weir_warehouse::mirror::{self, Mirrors};
use weir_warehouse::{Users, Warehouse};

use crate::building::{Builder, Upto, Wanted};
use crate::error::OperateError;
use crate::running::{Announced, Running};
use crate::services::Services;
use crate::site::Site;
use crate::status::serve::Server;
use crate::warehouse::Target;
use crate::{run, warehouse};

/// How `up` works.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two builds.
    pub build_every: Duration,
    /// Time between two refreshes of the streaming views.
    pub refresh_every: Duration,
}

/// Runs until `stop`: then what was received is landed, the step under way is ended, and all is closed.
/// `ready` hears where the parts and the metrics listen. An error in landing or in a build ends everything.
pub async fn up(
    site: &Site,
    listener: TcpListener,
    pace: Pace,
    stop: CancellationToken,
    ready: impl FnOnce(&Running, Option<SocketAddr>),
) -> Result<(), Diagnosed> {
    let double = warehouse::open(site)?;
    run::ensure_topics(site).await?;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let server = Server::bind(&site.project).await?;
    let announced = Announced::write(&site.dir, port, Some(&site.services))?;
    // A client that connects before the first build finds empty tables, not none. Later on each load sees to them: a
    // model may have other columns by now than the table that was loaded.
    {
        let mut session = double.session()?;
        if weir_warehouse::load::last_build(&mut session)? == 0 {
            session.run(&weir_warehouse::load::ddl::whole(&site.project))?;
        }
    }
    let wire = tokio::spawn(weir_warehouse::wire::serve(
        double.clone(),
        listener,
        Users::Trust,
        stop.clone().cancelled_owned(),
    ));
    let refreshing = match site.project.warehouse.mirrors {
        true => Some(tokio::spawn(refresh(site, &double, pace.refresh_every, stop.clone()).await?)),
        false => None,
    };
    ready(&announced.running, server.as_ref().map(|server| server.address));
    let metrics = server.map(|server| tokio::spawn(server.run(site, Some(double.clone()), stop.clone())));

    let ended = stop.clone().drop_guard();
    let landing = async {
        let result = run::land(site, &Until::Forever(stop.clone())).await.and_then(run::all_landed).map(drop);
        // Landing ends by itself only on an error: then nothing else has a reason to go on.
        stop.cancel();
        result
    };
    let builds = builds(site, &double, pace.build_every, &stop);
    let (landed, built) = tokio::join!(landing, builds);
    drop(ended);
    // Both end with `stop`; what they could say is logged where it happened.
    let _ = wire.await;
    if let Some(refreshing) = refreshing {
        let _ = refreshing.await;
    }
    if let Some(metrics) = metrics {
        let _ = metrics.await;
    }
    drop(announced);
    landed.and(built)
}

async fn builds(
    site: &Site,
    warehouse: &Arc<Warehouse>,
    every: Duration,
    stop: &CancellationToken,
) -> Result<(), Diagnosed> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let selection = Selection::new(&site.project, &[])?;
    let target = Target::Embedded(warehouse.clone());
    let mut builder = Builder::new(site).await?;
    let ended = loop {
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            _ = ticks.tick() => {}
        }
        let wanted =
            Wanted { selection: &selection, upto: Upto::Warehouse, warehouse: Some(target.clone()), often: true };
        match builder.build(wanted).await {
            Ok(built) => tracing::info!(build = built.curated.published, "built"),
            Err(error) => break Err(error),
        }
    };
    stop.cancel();
    builder.close().await;
    ended
}

async fn refresh(
    site: &Site,
    warehouse: &Arc<Warehouse>,
    every: Duration,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, Diagnosed> {
    let (project, values, warehouse) = (site.project.clone(), warehouse::placeholders(site).await?, warehouse.clone());
    let mirrors =
        run::blocking(move || Ok(Mirrors::prepare(Box::new(warehouse.session()?), &project, &values)?)).await?;
    Ok(mirror::schedule(mirrors, every, stop.cancelled_owned()))
}

/// Serves the warehouse alone until `stop`, and leaves a note of it in the folder meanwhile. `ready` is told the port once
/// the note is there.
pub async fn serve(
    dir: &Path,
    warehouse: Arc<Warehouse>,
    listener: TcpListener,
    services: Option<&Services>,
    ready: impl FnOnce(u16),
    stop: CancellationToken,
) -> Result<(), Diagnosed> {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let _announced = Announced::write(dir, port, services)?;
    ready(port);
    Ok(weir_warehouse::wire::serve(warehouse, listener, Users::Trust, stop.cancelled_owned()).await?)
}

/// Binds the wire's port on loopback.
pub async fn bind(port: u16) -> Result<TcpListener, OperateError> {
    let bound = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|source| OperateError::Port { port, source })
}
