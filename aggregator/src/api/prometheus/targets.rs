//! `GET /api/v1/targets` and `scrape_pools`: every agent as an active target, and its job as the
//! scrape pool.
//!
//! Agents push, so there is no address to scrape: `scrapeUrl` says `push://INSTANCE`. A host that
//! said goodbye is a dropped target until it is forgotten; a lost one is active and down.

use super::{answer::Success, params::Params};
use crate::{
    agents::{Host, HostState},
    app::AppState,
};
use axum::extract::State;
use jiff::Timestamp;
use model::duration_to_string;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) async fn targets(State(app): State<AppState>, params: Params) -> Success {
    let pool = params.get("scrapePool");
    let hosts = app.agents.hosts().into_iter().filter(|host| pool.is_empty() || host.job == pool);
    let (left, present): (Vec<Host>, Vec<Host>) = hosts.partition(|host| host.state == HostState::Left);
    let state = params.get("state").to_ascii_lowercase();
    let shown = |which: &str| state.is_empty() || state == "any" || state == which;
    let active: Vec<Value> = if shown("active") { present.iter().map(active).collect() } else { Vec::new() };
    let (mut dropped, mut counts) = (Vec::new(), Map::new());
    if shown("dropped") {
        dropped = left.iter().map(dropped_target).collect();
        for job in left.iter().map(|host| &host.job).collect::<BTreeSet<_>>() {
            counts.insert(job.clone(), left.iter().filter(|host| host.job == *job).count().into());
        }
    }
    Success::of(&json!({
        "activeTargets": active,
        "droppedTargets": dropped,
        "droppedTargetCounts": counts,
    }))
}

pub(super) async fn scrape_pools(State(app): State<AppState>) -> Success {
    let hosts = app.agents.hosts();
    let present = hosts.iter().filter(|host| host.state != HostState::Left);
    let pools: BTreeSet<&str> = present.map(|host| host.job.as_str()).collect();
    Success::of(&json!({ "scrapePools": pools }))
}

fn discovered(host: &Host) -> Value {
    json!({
        "__address__": host.instance,
        "__meta_bellwether_agent": host.agent,
        "__meta_bellwether_version": host.version,
        "job": host.job,
    })
}

fn dropped_target(host: &Host) -> Value {
    json!({ "discoveredLabels": discovered(host), "scrapePool": host.job })
}

fn active(host: &Host) -> Value {
    let url = format!("push://{}", host.instance);
    let (health, error) = match host.state {
        HostState::Up => ("up", ""),
        HostState::Lost => ("down", "the agent stopped reporting without a goodbye"),
        HostState::Left => ("unknown", ""),
    };
    let interval = duration_to_string(host.interval_ms);
    json!({
        "discoveredLabels": discovered(host),
        "labels": { "instance": host.instance, "job": host.job },
        "scrapePool": host.job,
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": error,
        "lastScrape": Timestamp::from_millisecond(host.last_seen_ms).unwrap_or_default().to_string(),
        "lastScrapeDuration": 0.0,
        "health": health,
        "scrapeInterval": interval,
        "scrapeTimeout": interval,
    })
}
