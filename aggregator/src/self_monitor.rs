//! Watches the watcher: the process's own metrics, and `up` of every agent, written into its own
//! store every [`INTERVAL`], so that the "Aggregator" dashboard and the shipped rules need no
//! second server.
//!
//! A store without room takes these no more than anything else, so no rule would tell: that alert is
//! posted from here.

use crate::{app::AppState, wiring::external_url};
use alerting::PostedAlert;
use daemon::{Shutdown, clock};
use model::{Labels, MetricBatch};
use std::time::Duration;
use store::StoreError;
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
    let mut was_full = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.wait() => break,
        }
        let (worker, name) = (app.clone(), instance.clone());
        match app.ingest_pool.run(move || observe(&worker, &name)).await {
            Ok(is_full) if is_full || was_full => {
                tell_full(&app, &instance, is_full).await;
                was_full = is_full;
            }
            Ok(_) => {}
            Err(busy) => tracing::warn!(%busy, "own metrics were not stored this time"),
        }
    }
    app.agents.save();
}

/// Returns whether the store has no room for what was seen.
fn observe(app: &AppState, instance: &str) -> bool {
    let now_ms = clock::now_ms();
    let is_full = append(app, &app.agents.up(now_ms), now_ms);
    app.agents.save();
    match own_samples(&app.own.encode(), instance, now_ms) {
        Ok(batch) => append(app, &batch, now_ms) || is_full,
        Err(error) => {
            tracing::warn!(error, "own metrics could not be read back");
            is_full
        }
    }
}

/// Own metrics are not acknowledged to anybody, so nothing waits for their commit. Returns whether the
/// store has no room for them.
fn append(app: &AppState, batch: &MetricBatch, now_ms: i64) -> bool {
    let Err(error) = app.metrics.append(batch, None, now_ms) else { return false };
    tracing::warn!(%error, "own metrics were not stored this time");
    matches!(error, StoreError::Full(_))
}

/// Renews the alert, or ends it. It has a label more than that of the rule of this name, which tells of
/// refused requests as far as they can be counted.
async fn tell_full(app: &AppState, instance: &str, is_full: bool) {
    let Some(alerting) = app.alerting().filter(|_| app.config.alerting.shipped_rules) else { return };
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let alert = PostedAlert {
        labels: vec![
            pair("alertname", "StorageFull".to_owned()),
            pair("instance", instance.to_owned()),
            pair("severity", "critical".to_owned()),
            pair("store", "metrics".to_owned()),
        ],
        annotations: vec![
            pair("summary", format!("The disk of {instance} is full: nothing more is stored")),
            pair("description", "The server cannot store its own metrics either, so rules see nothing new. Agents keep their data in the meantime.".to_owned()),
            pair("runbook_url", format!("{}/runbooks/storagefull", external_url(&app.config))),
        ],
        ends_at_ms: (!is_full).then(clock::now_ms),
        ..PostedAlert::default()
    };
    if let Err(error) = alerting.post(vec![alert]).await {
        tracing::debug!(%error, "what was told of the full disk is not on it");
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
