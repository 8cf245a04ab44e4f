//! `GET /federate`: the latest samples of matching series as exposition text, for another server to
//! scrape.

use super::{answer::ApiError, params::Params};
use crate::{app::AppState, query};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use daemon::clock;
use model::{Labels, Matcher, MetricBatch, Samples, TimeRange, Value};
use std::collections::BTreeMap;
use store::{MetricStore, QueryContext, Selection, StoreError};

pub(super) async fn federate(State(app): State<AppState>, params: Params) -> Result<Response, ApiError> {
    let selectors = params.selectors();
    let (_, options) = params.options(&app)?;
    let now_ms = clock::now_ms();
    let range = TimeRange::new(now_ms.saturating_sub(options.lookback_ms).saturating_add(1), now_ms);
    let metrics = app.metrics.clone();
    let text = query::run(&app, None, move |context| {
        let batch = latest(metrics.as_ref(), selectors.parse()?, range, context)?;
        let mut text = String::new();
        wire::exposition::write(&batch, true, &mut text);
        Ok::<_, ApiError>(text)
    })
    .await??;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The latest sample of every matching series, unless it has gone stale; in order of the name.
fn latest(
    metrics: &dyn MetricStore,
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    context: &QueryContext,
) -> Result<MetricBatch, StoreError> {
    let mut found: BTreeMap<(String, Labels), (i64, f64)> = BTreeMap::new();
    let mut samples = Samples::default();
    for matchers in selectors {
        let set = metrics.select(&Selection { matchers, range, step_ms: 0 }, context)?;
        for index in 0..set.len() {
            set.read(index, context, &mut samples)?;
            let Some(last) = samples.len().checked_sub(1).filter(|last| !samples.is_stale(*last)) else {
                continue;
            };
            // Exposition text has no form for native histograms.
            if let Value::Float(value) = samples.value(last) {
                let labels = set.labels(index).clone();
                let key = (labels.metric_name().to_owned(), labels);
                found.insert(key, (samples.timestamps_ms[last], value));
            }
        }
    }
    let descriptions: BTreeMap<_, _> = metrics.metadata(None).into_iter().collect();
    let mut batch = MetricBatch::default();
    for ((name, labels), (timestamp_ms, value)) in found {
        batch.begin_with(labels.as_ref());
        batch.sample(timestamp_ms, 0, value);
        if let Some(metadata) = descriptions.get(&name) {
            batch.describe_series(&name, metadata.clone());
        }
    }
    Ok(batch)
}
