//! The same samples in us and in Debian's Prometheus, the same questions to both, and every answer
//! compared: labels exactly, values to one part in a hundred thousand.
//!
//! The questions follow the families of the public PromQL compliance list. Samples lie off the steps
//! and off the ends of windows, because Prometheus 2 takes a sample at the left end and Prometheus 3
//! and we do not.

use super::{clients::Prometheus, durability::now_ms};
use model::{Labels, MetricBatch, STALE_NAN};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use tests::{Aggregator, Client, find_tool, skip};

const STEPS: i64 = 600;
const STEP_MS: i64 = 5_000;
/// Samples in one request to each server, in steps: late ones are refused there.
const STEPS_SENT: i64 = 100;
/// Largest difference of values, relative.
const TOLERANCE: f64 = 1e-5;
const ASKING: usize = 4;

/// Writes the samples of one step.
fn step(batch: &mut Series, step: i64, at_ms: i64) {
    let x = step as f64;
    for instance in ["demo:10000", "demo:10001", "demo:10002"] {
        let n = f64::from(instance.as_bytes()[9] - b'0');
        let mut put = |name: &str, labels: &[(&str, &str)], value: f64| {
            batch.put(name, instance, labels, at_ms, value);
        };
        put("up", &[], 1.0);
        put("demo_num_cpus", &[], 4.0);
        put("demo_disk_total_bytes", &[], 2.6e11);
        put("demo_disk_usage_bytes", &[], 1e10 + x * (n + 1.0) * 7e5);
        put("demo_batch_last_success_timestamp_seconds", &[], (at_ms / 60_000 * 60) as f64);
        for (i, kind) in ["used", "free", "cached", "buffers"].into_iter().enumerate() {
            let value = 1e8 * (i as f64 + 1.0) + 3e7 * (x / 9.0 + n + i as f64).sin();
            put("demo_memory_usage_bytes", &[("type", kind)], value.round());
        }
        for (i, mode) in ["idle", "system", "user"].into_iter().enumerate() {
            // The counters of one instance start anew.
            let since = if n == 1.0 && step > 333 { x - 333.0 } else { x };
            let value = since * (i as f64 + 1.0) * (1.5 + n) / 7.0;
            put("demo_cpu_usage_seconds_total", &[("mode", mode)], value);
        }
        for (i, method) in ["GET", "POST"].into_iter().enumerate() {
            let mut count = 0.0;
            for (j, le) in ["0.1", "0.5", "1", "5", "+Inf"].into_iter().enumerate() {
                count += (x * (j as f64 + 1.0) * (n + i as f64 + 1.0) / 3.0).floor();
                put("demo_api_request_duration_seconds_bucket", &[("method", method), ("le", le)], count);
            }
            put("demo_api_request_duration_seconds_count", &[("method", method)], count);
            put("demo_api_request_duration_seconds_sum", &[("method", method)], count * 0.37);
        }
        if step % 60 < 30 {
            put("demo_intermittent_metric", &[], x);
        } else if step % 60 == 30 {
            put("demo_intermittent_metric", &[], STALE_NAN);
        }
    }
}

/// Samples of some steps by series.
#[derive(Default)]
struct Series(BTreeMap<Labels, Vec<(i64, f64)>>);

impl Series {
    fn put(&mut self, name: &str, instance: &str, labels: &[(&str, &str)], at_ms: i64, value: f64) {
        let fixed = [("__name__", name), ("job", "demo"), ("instance", instance)];
        let labels = Labels::from_pairs(fixed.iter().chain(labels).copied());
        self.0.entry(labels).or_default().push((at_ms, value));
    }

    /// As a remote write request.
    fn request(&self) -> Vec<u8> {
        let mut batch = MetricBatch::default();
        for (labels, samples) in &self.0 {
            batch.begin_with(labels.as_ref());
            samples.iter().for_each(|(at_ms, value)| batch.sample(*at_ms, 0, *value));
        }
        let mut message = Vec::new();
        wire::remote_write::encode_v1(&batch, &mut message);
        snap::raw::Encoder::new().compress_vec(&message).expect("a small message can be compressed")
    }
}

/// Every text of `template` with `<name>` replaced by each of its values.
fn expand(template: &str, names: &[(&str, &[&str])]) -> Vec<String> {
    let mut texts = vec![template.to_owned()];
    for (name, values) in names {
        let slot = format!("<{name}>");
        texts = texts
            .iter()
            .flat_map(|text| {
                let values = if text.contains(&slot) { values.to_vec() } else { vec![""] };
                values.into_iter().map(|value| text.replace(&slot, value)).collect::<Vec<_>>()
            })
            .collect();
    }
    texts
}

fn questions() -> Vec<String> {
    let names: &[(&str, &[&str])] = &[
        ("range", &["1s", "15s", "1m", "5m", "15m"]),
        ("agg", &["sum", "avg", "max", "min", "count", "stddev", "stdvar", "group"]),
        (
            "by",
            &[
                "",
                "by ()",
                "by (instance)",
                "by (instance, type)",
                "by (none)",
                "without ()",
                "without (instance, type)",
            ],
        ),
        ("arith", &["+", "-", "*", "/", "%", "^"]),
        ("compare", &["==", "!=", "<", ">", "<=", ">="]),
        ("set", &["and", "or", "unless"]),
        ("match", &["=", "!=", "=~", "!~"]),
        (
            "math",
            &[
                "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round", "sgn", "sin", "cos",
                "atan",
            ],
        ),
        ("date", &["day_of_month", "day_of_week", "days_in_month", "hour", "minute", "month", "year"]),
        ("over", &["avg", "count", "last", "max", "min", "present", "quantile", "stddev", "stdvar", "sum"]),
        ("k", &["1", "2", "3", "5"]),
        ("q", &["-0.5", "0.1", "0.5", "0.95", "1", "1.5"]),
        ("literal", &["42", "1.234", ".123", "1.23e-3", "0x3d", "Inf", "-Inf", "NaN"]),
    ];
    QUESTIONS.iter().flat_map(|template| expand(template, names)).collect()
}

const QUESTIONS: &[&str] = &[
    "<literal>",
    "demo_memory_usage_bytes",
    "{__name__=\"demo_memory_usage_bytes\"}",
    "demo_memory_usage_bytes{type<match>\"used\"}",
    "demo_memory_usage_bytes{type<match>\"(used|free)\",instance!=\"demo:10000\"}",
    "{type=\"used\",__name__=~\"demo_.*\"}",
    "nothing_at_all",
    "demo_intermittent_metric",
    "demo_memory_usage_bytes offset <range>",
    "demo_memory_usage_bytes offset -<range>",
    "demo_memory_usage_bytes @ end()",
    "demo_memory_usage_bytes @ start() offset 1m",
    "<agg> <by> (demo_memory_usage_bytes)",
    "<agg>(demo_intermittent_metric)",
    "topk by (instance) (2, demo_memory_usage_bytes)",
    "bottomk (3, demo_memory_usage_bytes)",
    "quantile(<q>, demo_memory_usage_bytes)",
    "quantile by (type) (<q>, demo_memory_usage_bytes)",
    "count_values(\"value\", demo_num_cpus)",
    "1 * 2 + 4 / 6 - 10 % 2 ^ 2",
    "demo_num_cpus + (1 <compare> bool 2)",
    "demo_memory_usage_bytes <arith> 1.2345",
    "0.12345 <arith> demo_num_cpus",
    "demo_memory_usage_bytes <compare> 100000000",
    "demo_memory_usage_bytes <compare> bool 100000000",
    "100000000 <compare> demo_memory_usage_bytes",
    "(1 * 2 + 4 / 6 - (10%7)^2) <arith> demo_num_cpus",
    "demo_memory_usage_bytes <arith> ignoring (type) group_left () demo_disk_total_bytes",
    "demo_memory_usage_bytes <arith> on (instance, job, type) demo_memory_usage_bytes",
    "demo_memory_usage_bytes <compare> on (instance, job) group_left () demo_disk_usage_bytes",
    "demo_memory_usage_bytes <compare> bool on (instance, job) group_left () demo_disk_usage_bytes",
    "demo_num_cpus <set> on (instance) demo_memory_usage_bytes",
    "demo_memory_usage_bytes{type=\"used\"} <set> demo_memory_usage_bytes{type!=\"free\"}",
    "demo_disk_usage_bytes / on (instance) group_right (type) demo_memory_usage_bytes",
    "demo_memory_usage_bytes + demo_num_cpus",
    "-demo_memory_usage_bytes",
    "<math>(-demo_num_cpus)",
    "<math>(demo_memory_usage_bytes / 1e8)",
    "round(demo_memory_usage_bytes, 1e6)",
    "clamp(demo_memory_usage_bytes, 1e8, 3e8)",
    "clamp_min(demo_memory_usage_bytes, 2e8)",
    "clamp_max(demo_memory_usage_bytes, 2e8)",
    "clamp(demo_memory_usage_bytes, 3e8, 1e8)",
    "<date>()",
    "<date>(demo_batch_last_success_timestamp_seconds)",
    "timestamp(demo_num_cpus)",
    "timestamp(timestamp(demo_num_cpus))",
    "time()",
    "vector(1.5)",
    "vector(time())",
    "scalar(demo_num_cpus)",
    "demo_num_cpus * scalar(demo_num_cpus{instance=\"demo:10000\"})",
    "absent(nothing_at_all{job=\"demo\",a=~\"b\"})",
    "absent(demo_memory_usage_bytes)",
    "absent_over_time(nothing_at_all[5m])",
    "absent_over_time(demo_intermittent_metric{instance=\"demo:10000\"}[<range>])",
    "<over>_over_time(demo_memory_usage_bytes[<range>])",
    "<over>_over_time(demo_intermittent_metric[<range>])",
    "quantile_over_time(<q>, demo_memory_usage_bytes[<range>])",
    "rate(demo_cpu_usage_seconds_total[<range>])",
    "irate(demo_cpu_usage_seconds_total[<range>])",
    "increase(demo_cpu_usage_seconds_total[<range>])",
    "resets(demo_cpu_usage_seconds_total[<range>])",
    "changes(demo_batch_last_success_timestamp_seconds[<range>])",
    "delta(demo_disk_usage_bytes[<range>])",
    "idelta(demo_disk_usage_bytes[<range>])",
    "deriv(demo_disk_usage_bytes[<range>])",
    "predict_linear(demo_disk_usage_bytes[<range>], 600)",
    "sum by (mode) (rate(demo_cpu_usage_seconds_total[<range>]))",
    "label_replace(demo_num_cpus, \"port\", \"$1\", \"instance\", \".*:(.*)\")",
    "label_replace(demo_num_cpus, \"job\", \"value-$1\", \"instance\", \"nothing-(.*)\")",
    "label_replace(demo_num_cpus, \"instance\", \"\", \"instance\", \".*\")",
    "label_join(demo_num_cpus, \"both\", \"-\", \"instance\", \"job\")",
    "label_join(demo_num_cpus, \"job\", \"\", \"instance\")",
    "histogram_quantile(<q>, rate(demo_api_request_duration_seconds_bucket[1m]))",
    "histogram_quantile(<q>, sum by (le, instance) (rate(demo_api_request_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.9, demo_memory_usage_bytes)",
    "max_over_time((time() - max(demo_batch_last_success_timestamp_seconds) < 1000)[5m:10s] offset 1m)",
    "avg_over_time(rate(demo_cpu_usage_seconds_total[1m])[2m:10s])",
    "sum(rate(demo_api_request_duration_seconds_sum[5m])) / sum(rate(demo_api_request_duration_seconds_count[5m]))",
    "topk(<k>, demo_num_cpus)",
    "bottomk(<k>, demo_num_cpus)",
    "bottomk without (type) (<k>, round(demo_memory_usage_bytes, 1e8))",
    "topk(0, demo_num_cpus)",
    "topk(scalar(count(demo_intermittent_metric)), demo_memory_usage_bytes)",
    "quantile(NaN, demo_memory_usage_bytes)",
    "count_values(\"value\", demo_memory_usage_bytes * <literal>)",
    "count_values without (type) (\"value\", demo_num_cpus * 1e20)",
    "absent(nothing_at_all{a!=\"b\",a=\"c\",d=\"e\",d=\"f\",g=\"h\"})",
    "demo_intermittent_metric or vector(1)",
    "demo_memory_usage_bytes unless on (instance) demo_intermittent_metric",
    "demo_num_cpus * on (instance) group_left (type) demo_memory_usage_bytes{type=\"used\"}",
    "max_over_time(demo_num_cpus[2m:15s] offset -30s)",
    "last_over_time(demo_intermittent_metric[5m] @ end())",
    "rate(demo_cpu_usage_seconds_total[5m] @ start() offset -1m)",
    "sum by (instance) (demo_cpu_usage_seconds_total) / ignoring (mode) group_right () demo_cpu_usage_seconds_total",
    "histogram_quantile(0.5, rate(demo_api_request_duration_seconds_bucket[1m]) * NaN)",
    "histogram_quantile(0.5, demo_api_request_duration_seconds_bucket{le!=\"+Inf\"})",
    "histogram_quantile(0.5, demo_api_request_duration_seconds_bucket * -1)",
    "stddev_over_time((demo_memory_usage_bytes / 1e8)[1m:10s])",
    "<agg> by (type) (demo_memory_usage_bytes * <literal>)",
    "clamp(demo_num_cpus * <literal>, -1, NaN)",
    "clamp_min(demo_num_cpus * <literal>, Inf)",
    "sort(demo_memory_usage_bytes)",
    "sort_desc(demo_memory_usage_bytes)",
    // These fail.
    "demo_memory_usage_bytes + on () demo_memory_usage_bytes",
    "sum(demo_num_cpus",
    "demo_num_cpus{instance=\"demo:10000\"} + on (job, mode) demo_cpu_usage_seconds_total",
    "demo_num_cpus{instance=\"demo:10000\"} * on (instance) demo_memory_usage_bytes{instance!=\"demo:10000\"}",
    "demo_memory_usage_bytes > on (instance) group_left (mode) demo_cpu_usage_seconds_total{mode=\"idle\"}",
    "demo_memory_usage_bytes > on (instance) group_left (method) demo_disk_usage_bytes",
    "topk(NaN, demo_num_cpus)",
    "rate(demo_num_cpus)",
    "demo_num_cpus[5m]",
    "label_replace(demo_num_cpus, \"~invalid\", \"\", \"src\", \"(.*)\")[5m]",
];

/// A matrix by its series' labels, or the kind of error.
type Matrix = Result<BTreeMap<String, Vec<(f64, f64)>>, String>;

async fn ask(client: &Client, query: &str, start: f64, end: f64) -> Matrix {
    let (start, end) = (start.to_string(), end.to_string());
    let params = [("query", query), ("start", &start), ("end", &end), ("step", "10")];
    let (status, text) = client.get("/api/v1/query_range", &params).await;
    let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
    if status != 200 {
        return Err(answer["errorType"].as_str().unwrap_or("").to_owned());
    }
    let number = |value: &Value| match value {
        Value::String(text) => match text.as_str() {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().expect("a value is a number"),
        },
        value => value.as_f64().expect("a time is a number"),
    };
    let points = |series: &Value| {
        let values = series["values"].as_array().cloned().unwrap_or_default();
        values.iter().map(|pair| (number(&pair[0]), number(&pair[1]))).collect()
    };
    let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    Ok(result.iter().map(|series| (series["metric"].to_string(), points(series))).collect())
}

/// What differs, if anything.
fn difference(ours: &Matrix, theirs: &Matrix) -> Option<String> {
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (ours, theirs) => return (ours != theirs).then(|| format!("{ours:?} but {theirs:?}")),
    };
    if let Some(only) = ours.keys().find(|key| !theirs.contains_key(*key)) {
        return Some(format!("only we have {only}"));
    }
    for (key, theirs) in theirs {
        let Some(ours) = ours.get(key) else { return Some(format!("only Prometheus has {key}")) };
        if ours.len() != theirs.len() {
            return Some(format!("{key}: {} points, not {}", ours.len(), theirs.len()));
        }
        for ((time, a), (their_time, b)) in ours.iter().zip(theirs) {
            let is_same = a == b || a.is_nan() && b.is_nan();
            let is_near = (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
            if time != their_time || !is_same && !is_near {
                return Some(format!("{key}: {a} at {time}, not {b} at {their_time}"));
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_prometheus() {
    if find_tool("prometheus").is_none() {
        return skip("prometheus is not installed");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prometheus =
        Prometheus::start_with(folder.path(), "global: {}\n", &["--web.enable-remote-write-receiver"]);
    let theirs = Client::new(&prometheus.url());
    tests::eventually(std::time::Duration::from_secs(30), "Prometheus is ready", || async {
        theirs.get_status("/-/ready").await == Some(200)
    })
    .await;
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let ours = server.client();
    // Multiples of ten seconds and 1.237 s: off every step.
    let base_ms = (now_ms() - STEPS * STEP_MS) / 10_000 * 10_000 + 1_237;
    for first in (0..STEPS).step_by(STEPS_SENT as usize) {
        let mut series = Series::default();
        (first..first + STEPS_SENT).for_each(|n| step(&mut series, n, base_ms + n * STEP_MS));
        let body = series.request();
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
        for client in [&ours, &theirs] {
            let (status, text) = client.post("/api/v1/write", &headers, body.clone()).await;
            assert_eq!(status, 204, "{text}");
        }
    }
    let end = (base_ms + STEPS * STEP_MS) as f64 / 1000.0 - 1.237 - 720.0 + 3.0;
    let start = end - 600.0;
    let questions = Arc::new(questions());
    let asking: Vec<_> = (0..ASKING)
        .map(|part| {
            let (ours, theirs, questions) = (ours.clone(), theirs.clone(), questions.clone());
            tokio::spawn(async move {
                let mut found = Vec::new();
                for question in questions.iter().skip(part).step_by(ASKING) {
                    let (a, b) =
                        tokio::join!(ask(&ours, question, start, end), ask(&theirs, question, start, end));
                    found.extend(difference(&a, &b).map(|what| format!("{question}\n    {what}")));
                }
                found
            })
        })
        .collect();
    let mut found = Vec::new();
    for part in asking {
        found.extend(part.await.expect("asking ends"));
    }
    assert!(found.is_empty(), "{} of {} differ:\n{}", found.len(), questions.len(), found.join("\n"));
}
