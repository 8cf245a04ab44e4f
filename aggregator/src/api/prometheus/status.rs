//! `GET /api/v1/status/*`: what this server is and has.

use super::{
    answer::{ApiError, ErrorKind, Success},
    params::Params,
};
use crate::{app::AppState, query};
use axum::extract::State;
use daemon::clock;
use hashbrown::HashMap;
use jiff::Timestamp;
use model::{Labels, METRIC_NAME, TimeRange, duration_to_string};
use serde_json::{Value, json};

/// The version of Prometheus whose API this is. Clients choose features by it.
const API_VERSION: &str = "3.14.0";
/// Series that `status/tsdb` looks at.
const SERIES_MAX: usize = 1_000_000;
/// Rows of each table of `status/tsdb` unless asked otherwise.
const ROWS: usize = 10;

pub(super) async fn build_info() -> Success {
    Success::of(&json!({
        "version": API_VERSION,
        "revision": format!("bellwether-{}", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

pub(super) async fn runtime_info(State(app): State<AppState>) -> Success {
    let started = rfc3339(app.started_ms);
    let metrics = app.metrics.clone();
    let stats = tokio::task::spawn_blocking(move || metrics.stats()).await.unwrap_or_default();
    let cwd = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    Success::of(&json!({
        "startTime": started,
        "serverTime": rfc3339(clock::now_ms()),
        "CWD": cwd,
        "reloadConfigSuccess": true,
        "lastConfigTime": started,
        "corruptionCount": stats.damage.len(),
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": duration_to_string(app.config.retention.metrics_age.0 as i64),
    }))
}

fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|timestamp| timestamp.to_string()).unwrap_or_default()
}

/// The configuration in force; secrets do not print.
pub(super) async fn config(State(app): State<AppState>) -> Result<Success, ApiError> {
    match serde_saphyr::to_string(&app.config) {
        Ok(yaml) => Ok(Success::of(&json!({ "yaml": yaml }))),
        Err(error) => Err(ApiError { kind: ErrorKind::Internal, message: error.to_string() }),
    }
}

/// The settings that have a counterpart among Prometheus' flags.
pub(super) async fn flags(State(app): State<AppState>) -> Success {
    let config = &app.config;
    let duration = |ms: u64| duration_to_string(ms as i64);
    let features = if config.promql.experimental { "promql-experimental-functions" } else { "" };
    Success::of(&json!({
        "enable-feature": features,
        "query.lookback-delta": duration(config.promql.lookback.0),
        "query.max-samples": config.query.samples_max.to_string(),
        "query.timeout": duration(config.query.timeout.0),
        "storage.tsdb.path": config.data_dir.0.display().to_string(),
        "storage.tsdb.retention.time": duration(config.retention.metrics_age.0),
        "web.enable-admin-api": "true",
        "web.enable-remote-write-receiver": "true",
        "web.listen-address": config.listen.0.to_string(),
    }))
}

/// Where the cardinality is.
pub(super) async fn tsdb(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let rows = match params.get("limit") {
        "" => ROWS,
        text => match text.parse::<usize>() {
            Ok(rows) if (1..=10_000).contains(&rows) => rows,
            _ => return Err(ApiError::bad_data("limit must be a positive number up to 10000")),
        },
    };
    let metrics = app.metrics.clone();
    let (stats, all) = query::run(&app, None, move |context| {
        (metrics.stats(), metrics.series(&[], TimeRange::ALL, SERIES_MAX, context))
    })
    .await?;
    let all = all?;
    let counts = Cardinality::of(&all);
    let range = stats.time_range.unwrap_or(TimeRange::new(0, 0));
    Ok(Success::of(&json!({
        "headStats": {
            "numSeries": all.len(),
            "numLabelPairs": counts.pairs.len(),
            "chunkCount": stats.parts,
            "minTime": range.start,
            "maxTime": range.end,
        },
        "seriesCountByMetricName": top(&counts.by_metric, rows),
        "labelValueCountByLabelName": top(&counts.values_by_label, rows),
        "memoryInBytesByLabelName": top(&counts.bytes_by_label, rows),
        "seriesCountByLabelValuePair": top(&counts.pairs, rows),
    })))
}

#[derive(Default)]
struct Cardinality {
    by_metric: HashMap<String, u64>,
    values_by_label: HashMap<String, u64>,
    bytes_by_label: HashMap<String, u64>,
    pairs: HashMap<String, u64>,
}

impl Cardinality {
    fn of(all: &[Labels]) -> Self {
        let mut counts = Cardinality::default();
        for labels in all {
            for (name, value) in labels.iter() {
                if name == METRIC_NAME {
                    *counts.by_metric.entry_ref(value).or_default() += 1;
                }
                *counts.bytes_by_label.entry_ref(name).or_default() += value.len() as u64;
                let pair = format!("{name}={value}");
                let seen = counts.pairs.entry(pair).or_default();
                *seen += 1;
                if *seen == 1 {
                    *counts.values_by_label.entry_ref(name).or_default() += 1;
                }
            }
        }
        counts
    }
}

/// The largest counts first.
fn top(counts: &HashMap<String, u64>, rows: usize) -> Vec<Value> {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    sorted.iter().take(rows).map(|(name, value)| json!({ "name": name, "value": value })).collect()
}
