//! `GET` and `POST /api/v1/query`: a query at one moment.

use super::{
    answer::{ApiError, ENVELOPE_BYTES, Success},
    encode::push_result,
    observe,
    params::Params,
};
use crate::app::AppState;
use axum::extract::State;
use daemon::clock;
use model::Labels;
use promql::{Answer, QueryValue};
use std::time::{Duration, Instant};
use store::{QueryContext, QueryUsage};

pub(super) async fn query(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let limit = params.limit()?;
    let at_ms = params.time("time", clock::now_ms())?;
    let (parse_options, options) = params.options(&app)?;
    let query = params.get("query").to_owned();
    let stats = !params.get("stats").is_empty();
    let metrics = app.metrics.clone();
    let asked = Instant::now();
    observe::run(&app, "query", &params, move |context| {
        let begun = Instant::now();
        let expr = promql::parse(&query, &parse_options)?;
        let answer = promql::instant(&expr, at_ms, metrics.as_ref(), &options, context)?;
        success(context, answer, limit, stats.then(|| Timing::new(asked, begun, context)))
    })
    .await
}

/// What a query took.
pub(super) struct Timing {
    queued: Duration,
    evaluation: Duration,
    usage: QueryUsage,
}

impl Timing {
    pub(super) fn new(asked: Instant, begun: Instant, context: &QueryContext) -> Self {
        Timing { queued: begun - asked, evaluation: begun.elapsed(), usage: context.usage() }
    }
}

/// Bytes of a point as text: its time and the digits of a float.
const POINT_TEXT_BYTES: usize = 36;
/// Bytes that a point takes: itself and its text.
const POINT_BYTES: u64 = (size_of::<promql::Point>() + POINT_TEXT_BYTES) as u64;

/// The answer with at most `limit` series, which is charged to the query together with its text.
pub(super) fn success(
    context: &QueryContext,
    mut answer: Answer,
    limit: usize,
    timing: Option<Timing>,
) -> Result<Success, ApiError> {
    let is_truncated = match &mut answer.value {
        QueryValue::Vector(samples) => cut(samples, limit),
        QueryValue::Matrix(matrix) => cut(matrix, limit),
        QueryValue::Scalar { .. } | QueryValue::String { .. } => false,
    };
    let points = match &answer.value {
        QueryValue::Matrix(matrix) => matrix.iter().map(|series| series.points.len() as u64).sum(),
        _ => 0,
    };
    // Labels too are there twice, as they are and as text.
    context.hold_memory(points * POINT_BYTES + 2 * label_bytes(&answer.value))?;
    let mut data = String::with_capacity(ENVELOPE_BYTES + points as usize * POINT_TEXT_BYTES);
    data.push('{');
    push_result(&mut data, &answer.value);
    if let Some(timing) = timing {
        push_stats(&mut data, &timing);
    }
    data.push('}');
    Ok(Success::new(data).annotated(&answer.annotations).truncated(is_truncated))
}

fn label_bytes(value: &QueryValue) -> u64 {
    let bytes = |labels: &Labels| labels.as_bytes().len() as u64;
    match value {
        QueryValue::Vector(samples) => samples.iter().map(|sample| bytes(&sample.labels)).sum(),
        QueryValue::Matrix(matrix) => matrix.iter().map(|series| bytes(&series.labels)).sum(),
        QueryValue::Scalar { .. } | QueryValue::String { .. } => 0,
    }
}

fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let is_longer = items.len() > limit;
    items.truncate(limit);
    is_longer
}

fn push_stats(data: &mut String, timing: &Timing) {
    let seconds = timing.evaluation.as_secs_f64();
    let stats = serde_json::json!({
        "timings": {
            "evalTotalTime": seconds,
            "resultSortTime": 0.0,
            "queryPreparationTime": 0.0,
            "innerEvalTime": seconds,
            "execQueueTime": timing.queued.as_secs_f64(),
            "execTotalTime": seconds + timing.queued.as_secs_f64(),
        },
        "samples": {
            "totalQueryableSamples": timing.usage.samples_read,
            "samplesRead": timing.usage.samples_read,
            "peakSamples": timing.usage.samples_peak,
        },
    });
    data.push_str(",\"stats\":");
    data.push_str(&stats.to_string());
}
