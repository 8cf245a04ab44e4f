//! `/loki/api/v1/index/volume` and `volume_range`: bytes by stream labels, largest first.

use super::{
    answer::{labels_json, point},
    params::{Asked, HOUR_NS, check_resolution},
    refusal::Refusal,
    statistics::Statistics,
};
use crate::app::{App, AppState};
use axum::{Json, extract::State};
use model::{Labels, Matcher, TimeRange};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use store::{CountRequest, LogStore, QueryContext, QueryUsage, StoreError};

/// Series of an answer whose caller names no limit.
const LIMIT_DEFAULT: i64 = 100;

/// What the bytes are added up by.
#[derive(Clone, Copy, PartialEq)]
enum AggregateBy {
    /// Combinations of label values.
    Series,
    /// Label names.
    Labels,
}

struct Request {
    matchers: Vec<Matcher>,
    range: TimeRange,
    step_ns: i64,
    targets: Vec<String>,
    aggregate_by: AggregateBy,
    limit: usize,
}

/// Bytes by bucket.
type Buckets = BTreeMap<u64, u64>;
/// Buckets by series.
type Volumes = BTreeMap<Labels, Buckets>;

pub(super) async fn volume(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let mut request = request(&app, &asked).await?;
    request.step_ns = request.range.end.saturating_sub(request.range.start).max(1);
    answer(&app, request).await
}

pub(super) async fn volume_range(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let request = request(&app, &asked).await?;
    check_resolution(request.range, request.step_ns)?;
    answer(&app, request).await
}

async fn request(app: &App, asked: &Asked) -> Result<Request, Refusal> {
    let range = asked.range(HOUR_NS)?;
    let aggregate_by = match asked.get("aggregateBy") {
        None | Some("series") => AggregateBy::Series,
        Some("labels") => AggregateBy::Labels,
        Some(_) => return Err(Refusal::bad("invalid aggregation option")),
    };
    let targets = asked.get("targetLabels").unwrap_or("");
    let limit = asked.number("limit", LIMIT_DEFAULT)?;
    Ok(Request {
        matchers: asked.matchers(app).await?,
        range,
        step_ns: asked.step(range)?,
        targets: targets.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        aggregate_by,
        limit: usize::try_from(limit).map_err(|_| Refusal::bad("limit must be a positive value"))?,
    })
}

async fn answer(app: &Arc<App>, request: Request) -> Result<Json<Value>, Refusal> {
    let logs = app.logs.clone();
    let range = request.range;
    let step_ns = request.step_ns;
    let volumes =
        crate::query::run(app, None, move |context| count(logs.as_ref(), &request, context)).await??;
    Ok(Json(body(volumes, range, step_ns)))
}

fn count(
    logs: &dyn LogStore,
    request: &Request,
    context: &QueryContext,
) -> Result<Vec<(Labels, Buckets)>, StoreError> {
    let by = names(logs, request, context)?;
    let counts = CountRequest {
        matchers: request.matchers.clone(),
        range: request.range,
        step_ns: request.step_ns,
        by: by.clone(),
    };
    let mut volumes = Volumes::new();
    for bucket in logs.counts(&counts, context)? {
        for series in series_of(&bucket.group, request.aggregate_by) {
            *volumes.entry(series).or_default().entry(bucket.bucket).or_default() += bucket.bytes;
        }
    }
    let total = |buckets: &Buckets| buckets.values().sum::<u64>();
    let mut largest: Vec<_> = volumes.into_iter().collect();
    largest.sort_by(|a, b| total(&b.1).cmp(&total(&a.1)).then_with(|| a.0.cmp(&b.0)));
    largest.truncate(request.limit);
    Ok(largest)
}

/// The labels to group by: the targets, else those that the selector names, else all.
fn names(logs: &dyn LogStore, request: &Request, context: &QueryContext) -> Result<Vec<String>, StoreError> {
    if !request.targets.is_empty() {
        return Ok(request.targets.clone());
    }
    let named: BTreeSet<String> = request.matchers.iter().map(|matcher| matcher.name().to_owned()).collect();
    if request.aggregate_by == AggregateBy::Series && !named.is_empty() {
        return Ok(named.into_iter().collect());
    }
    let selectors = if request.matchers.is_empty() { Vec::new() } else { vec![request.matchers.clone()] };
    let streams = logs.streams(&selectors, request.range, context)?;
    let names: BTreeSet<String> =
        streams.iter().flat_map(|labels| labels.iter().map(|(name, _)| name.to_owned())).collect();
    Ok(names.into_iter().collect())
}

/// The series that a group counts for. Rows without any of the labels count for none.
fn series_of(group: &Labels, aggregate_by: AggregateBy) -> Vec<Labels> {
    match aggregate_by {
        _ if group.is_empty() => Vec::new(),
        AggregateBy::Series => vec![group.clone()],
        AggregateBy::Labels => {
            // The value is "", which a label set cannot hold; `metric` takes it away again.
            group.iter().map(|(name, _)| Labels::from_pairs([(name, NAME_ONLY)])).collect()
        }
    }
}

/// Stands for the empty value of a series that is a label's name alone.
const NAME_ONLY: &str = "\u{0}";

fn metric(labels: &Labels) -> Value {
    let mut json = labels_json(labels);
    for value in json.as_object_mut().into_iter().flat_map(|pairs| pairs.values_mut()) {
        if value == NAME_ONLY {
            *value = Value::from("");
        }
    }
    json
}

/// A single bucket is answered as a vector.
fn body(volumes: Vec<(Labels, Buckets)>, range: TimeRange, step_ns: i64) -> Value {
    let last = (range.end.saturating_sub(range.start).max(1) - 1) / step_ns;
    let end_ms = range.end.div_euclid(1_000_000);
    let time_ms = |bucket: u64| match bucket as i64 {
        bucket if bucket >= last => end_ms,
        // A bucket is named by its last instant.
        bucket => (range.start + (bucket + 1) * step_ns).div_euclid(1_000_000) - 1,
    };
    let series = |(labels, buckets): &(Labels, Buckets)| {
        let points: Vec<_> =
            buckets.iter().map(|(bucket, bytes)| point(time_ms(*bucket), *bytes as f64)).collect();
        if last == 0 {
            let value = points.into_iter().next().unwrap_or_default();
            json!({"metric": metric(labels), "value": value})
        } else {
            json!({"metric": metric(labels), "values": points})
        }
    };
    let result: Vec<_> = volumes.iter().map(series).collect();
    let result_type = if last == 0 { "vector" } else { "matrix" };
    let statistics = Statistics { usage: QueryUsage::default(), took: Duration::ZERO };
    json!({
        "status": "success",
        "data": {"resultType": result_type, "result": result, "stats": statistics.json(0)}
    })
}
