//! Watches the watcher: the process's own metrics, and `up` of every agent, written into its own
//! store every [`INTERVAL`], so that the "Aggregator" dashboard and the shipped rules need no
//! second server.

use crate::app::AppState;
use daemon::{Shutdown, clock};
use model::{Labels, MetricBatch};
use std::time::Duration;
use wire::exposition::{self, ParseOptions, Syntax};

/// Between two writes.
const INTERVAL: Duration = Duration::from_secs(5);
/// The `job` label of the process's own metrics.
const JOB: &str = "bellwether";

/// Runs until `shutdown`.
pub(crate) async fn run(app: AppState, instance: String, shutdown: Shutdown) {
    let _part = app.part("watching itself");
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.wait() => break,
        }
        let worker = app.clone();
        let instance = instance.clone();
        if let Err(busy) = app.ingest_pool.run(move || observe(&worker, &instance)).await {
            tracing::warn!(%busy, "own metrics were not stored this time");
        }
    }
    app.agents.save();
}

fn observe(app: &AppState, instance: &str) {
    let now_ms = clock::now_ms();
    append(app, &app.agents.up(now_ms), now_ms);
    app.agents.save();
    match own_samples(&app.own.encode(), instance, now_ms) {
        Ok(batch) => append(app, &batch, now_ms),
        Err(error) => tracing::warn!(error, "own metrics could not be read back"),
    }
}

/// Own metrics are not acknowledged to anybody, so nothing waits for their commit.
fn append(app: &AppState, batch: &MetricBatch, now_ms: i64) {
    if let Err(error) = app.metrics.append(batch, None, now_ms) {
        tracing::warn!(%error, "own metrics were not stored this time");
    }
}

/// The exposition text as a batch labelled with job and instance, and `up` of this process.
fn own_samples(text: &str, instance: &str, now_ms: i64) -> Result<MetricBatch, String> {
    let mut parsed = MetricBatch::default();
    let options = ParseOptions { syntax: Syntax::Prometheus, timestamp_ms: now_ms, honor_timestamps: false };
    exposition::parse(text.as_bytes(), options, &mut parsed).map_err(|error| error.to_string())?;
    let mut batch = MetricBatch::default();
    for series in parsed.series() {
        let mut labels = series.labels().to_owned().to_builder();
        labels.set("job", JOB).set("instance", instance);
        batch.begin_with(labels.build().as_ref());
        for sample in series.samples() {
            batch.sample(now_ms, sample.start_ms, sample.value);
        }
        if let Some((family, metadata)) = series.metadata() {
            batch.describe_series(family, metadata.clone());
        }
    }
    let up = Labels::from_pairs([(model::METRIC_NAME, "up"), ("job", JOB), ("instance", instance)]);
    batch.begin_with(up.as_ref());
    batch.sample(now_ms, 0, 1.0);
    Ok(batch)
}
