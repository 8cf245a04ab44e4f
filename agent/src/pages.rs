//! The agent's own pages: `/-/healthy`, `/-/ready` and `/metrics`, when an address is configured.
//!
//! `/metrics` makes a collection of its own, so that an existing Prometheus can scrape the agent
//! like node_exporter. One collection at a time; the next scraper waits.

use crate::{
    collect::{Runner, Setup},
    config::{AgentConfig, invalid},
    error::AgentError,
    exposition,
};
use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use daemon::{
    ListenAddress, Shutdown, clock,
    http::{ServerOptions, serve},
    metrics::TEXT_FORMAT,
};
use model::MetricBatch;
use std::sync::Arc;
use tokio::{sync::Mutex, task::JoinHandle};

/// A scraper and a person or two.
const CONNECTIONS_MAX: usize = 32;

struct Scrape {
    runner: Runner,
    base_labels: Vec<(String, String)>,
}

/// Serves the pages until `shutdown`, if the configuration says where.
pub(crate) async fn listen(
    config: &AgentConfig,
    setup: Setup,
    shutdown: Shutdown,
) -> Result<Option<JoinHandle<()>>, AgentError> {
    let Some(address) = config.listen.clone().filter(|address| !address.is_empty()) else { return Ok(None) };
    let listening: ListenAddress = address.parse().map_err(|problem: String| invalid("listen", problem))?;
    let listener = listening.bind().await.map_err(|source| AgentError::Listen { address, source })?;
    let options = ServerOptions { connections_max: CONNECTIONS_MAX, ..ServerOptions::default() };
    Ok(Some(tokio::spawn(serve(listener, router(setup), options, shutdown))))
}

fn router(setup: Setup) -> Router {
    let base_labels = setup.base_labels.clone();
    let scrape = Arc::new(Mutex::new(Scrape { runner: Runner::new(setup), base_labels }));
    Router::new()
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(async || "ready\n"))
        .route("/metrics", get(metrics).with_state(scrape))
}

async fn metrics(State(scrape): State<Arc<Mutex<Scrape>>>) -> impl IntoResponse {
    let mut scrape = scrape.lock().await;
    let batch = scrape.runner.collect(clock::now_ms(), MetricBatch::default()).await;
    ([(CONTENT_TYPE, TEXT_FORMAT)], exposition::to_text(&batch, &scrape.base_labels))
}
