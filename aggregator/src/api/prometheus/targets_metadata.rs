//! `GET /api/v1/targets/metadata`: what the metrics of each reporting agent measure.
//!
//! The store describes families, not targets, so a target has the description of every family of
//! which it has series within the lookback.

use super::{
    answer::{ApiError, ErrorKind, Success},
    params::Params,
};
use crate::{
    agents::{Host, HostState},
    app::AppState,
    query,
};
use axum::extract::State;
use daemon::clock;
use model::{Labels, METRIC_NAME, Matcher, Metadata, TimeRange};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{MetricStore, QueryContext, StoreError, Texts};

/// What series of a family add to its name.
const SUFFIXES: [&str; 6] = ["", "_total", "_bucket", "_sum", "_count", "_info"];

pub(super) async fn metadata(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let limit = params.limit()?;
    let matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => {
            let selector = promql::parse_selector(text);
            selector.map_err(|error| ApiError::parameter("match_target", error))?.matchers
        }
    };
    let metric = params.get("metric").to_owned();
    let mut hosts = app.agents.hosts();
    hosts.retain(|host| host.state != HostState::Left && is_matched(host, &matchers));
    let now_ms = clock::now_ms();
    let range = TimeRange::new(now_ms.saturating_sub(app.config.promql.lookback.0 as i64), now_ms);
    let metrics = app.metrics.clone();
    let found = query::run(&app, None, move |context| {
        let described = metrics.metadata(Some(metric.as_str()).filter(|metric| !metric.is_empty()));
        let mut rows = Vec::new();
        for host in hosts {
            let names = names_of(metrics.as_ref(), &host, range, context)?;
            let families = described.iter().filter(|(family, _)| has_family(&names, family));
            rows.extend(families.take(limit - rows.len()).map(|found| row(&host, found, &metric)));
        }
        Ok::<_, StoreError>(rows)
    })
    .await??;
    match found.is_empty() {
        true => {
            let message = "specified metadata not found".to_owned();
            Err(ApiError { kind: ErrorKind::NotFound, message })
        }
        false => Ok(Success::of(&Value::Array(found))),
    }
}

fn is_matched(host: &Host, matchers: &[Matcher]) -> bool {
    let labels = Labels::from_pairs([("job", &host.job), ("instance", &host.instance)]);
    matchers.iter().all(|matcher| matcher.matches(labels.value(matcher.name())))
}

fn names_of(
    metrics: &dyn MetricStore,
    host: &Host,
    range: TimeRange,
    context: &QueryContext,
) -> Result<Arc<Texts>, StoreError> {
    let selector = vec![Matcher::equal("job", &host.job), Matcher::equal("instance", &host.instance)];
    metrics.label_values(METRIC_NAME, &[selector], range, context)
}

fn has_family(names: &Texts, family: &str) -> bool {
    SUFFIXES.iter().any(|suffix| names.contains(&format!("{family}{suffix}")))
}

/// The name is left out where the caller gave it, as Prometheus does.
fn row(host: &Host, (family, metadata): &(String, Metadata), asked: &str) -> Value {
    let mut row = json!({
        "target": { "instance": host.instance, "job": host.job },
        "type": metadata.kind.as_str(),
        "help": metadata.help,
        "unit": metadata.unit,
    });
    if asked.is_empty() {
        row["metric"] = json!(family);
    }
    row
}
