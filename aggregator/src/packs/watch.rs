//! Looks for the metrics of packs again and again, and hands the rules of those that are on to
//! alerting.

use crate::app::AppState;
use daemon::{Shutdown, clock};
use std::time::Duration;

/// Between two looks.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Runs until `shutdown`. The first look was taken before alerting started.
pub(crate) async fn run(app: AppState, shutdown: Shutdown) {
    let _part = app.part("the switching of rule packs");
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.wait() => return,
        }
        let worker = app.clone();
        let look = move || worker.packs.look(worker.metrics.as_ref(), clock::now_ms());
        match app.query_pool.run(look).await {
            Ok(false) => {}
            Ok(true) => switch(&app).await,
            Err(busy) => tracing::warn!(%busy, "the metrics of rule packs were not looked for this time"),
        }
    }
}

async fn switch(app: &AppState) {
    let Some(alerting) = app.alerting() else { return };
    if let Err(problems) = alerting.replace_built_in(app.packs.rules()).await {
        tracing::error!(%problems, "shipped rules are not good; those in force stay in force");
    }
}
