//! `/metrics` and `/healthz` over HTTP. Every request looks anew; one look at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use weir_core::diagnosis::Diagnosed;
use weir_warehouse::{Warehouse, load};

use super::{Status, Watch, metrics};
use crate::error::OperateError;
use crate::run::blocking;
use crate::site::Site;

/// What the OpenMetrics format calls itself.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The server, before it runs.
pub struct Server {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

struct Looking {
    watch: Mutex<Watch>,
    warehouse: Option<Arc<Warehouse>>,
}

impl Server {
    /// Listens where the project says; none where it says nothing.
    pub async fn bind(project: &weir_project::Project) -> Result<Option<Self>, OperateError> {
        let Some(wanted) = project.metrics.listen else { return Ok(None) };
        let failed = |source| OperateError::Address { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, address }))
    }

    /// Answers until `stop`. Counters count from now on.
    pub fn run(
        self,
        site: &Site,
        warehouse: Option<Arc<Warehouse>>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let now = chrono::Utc::now().timestamp_millis();
        let watch = Watch::new(&site.project, &site.lake, &site.services.connection, now);
        let looking = Arc::new(Looking { watch: Mutex::new(watch), warehouse });
        let routes = Router::new().route("/metrics", get(metrics)).route("/healthz", get(health)).with_state(looking);
        async move {
            let served = axum::serve(self.listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "metrics are no longer served");
            }
        }
    }
}

impl Looking {
    async fn look(&self) -> Result<Status, Diagnosed> {
        let loaded = match self.warehouse.clone() {
            Some(warehouse) => Some(blocking(move || Ok(load::last_build(&mut warehouse.session()?)?)).await?),
            None => None,
        };
        self.watch.lock().await.look(loaded).await
    }
}

async fn metrics(State(looking): State<Arc<Looking>>) -> Response {
    match looking.look().await.map(metrics::render) {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, FORMAT)], text).into_response(),
        Ok(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Healthy is who reaches lake, brokers and warehouse.
async fn health(State(looking): State<Arc<Looking>>) -> Response {
    match looking.look().await {
        Ok(_) => "ok\n".into_response(),
        Err(error) => unavailable(&error),
    }
}

/// The code alone: who asks over HTTP was not asked who they are.
fn unavailable(error: &Diagnosed) -> Response {
    tracing::warn!(code = %error.diagnosis.code, %error, "the status cannot be told");
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", error.diagnosis.code)).into_response()
}
