//! Replays recorded answers of a running Loki, where the recordings are at hand: beside the
//! checkout (`../shared/conformance/logql`) or under `$BELLWETHER_SHARED`.
//!
//! Only questions that need no HTTP are asked here. The number of right answers is a ratchet.

use crate::{Answer, LabelPairs, Params, instant, parse, query_range};
use model::LogBatch;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, path::PathBuf};
use store::{Direction, LogStore, MemLogStore, QueryContext};

/// Right answers that must not become fewer.
const PASSED_MIN: usize = 654;

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("BELLWETHER_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("conformance/logql");
    folder.join("golden.jsonl").is_file().then_some(folder)
}

fn rows(path: PathBuf) -> Vec<Json> {
    let text = std::fs::read_to_string(path).expect("the recordings can be read");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// What a receiver adds to a stream: the service's name.
fn service_name(stream: &Json) -> &str {
    let names = [
        "service",
        "app",
        "application",
        "app_name",
        "name",
        "app_kubernetes_io_name",
        "container",
        "container_name",
        "k8s_container_name",
        "component",
        "workload",
        "job",
        "k8s_job_name",
    ];
    names.iter().find_map(|name| stream[*name].as_str()).unwrap_or("unknown_service")
}

/// What a receiver adds to a line: its level, as far as these recordings need it.
fn detected_level(stream: &Json, metadata: &Json, line: &str) -> &'static str {
    let keys = ["level", "LEVEL", "Level", "severity", "SEVERITY", "lvl", "severity_text"];
    for labels in [metadata, stream] {
        if let Some(level) = keys.iter().find_map(|key| labels[*key].as_str()).and_then(level_of) {
            return level;
        }
    }
    if let Some(level) = metadata["severity_number"].as_str().and_then(|text| text.parse::<u8>().ok()) {
        return ["trace", "debug", "info", "warn", "error", "fatal"]
            [usize::from(level.saturating_sub(1) / 4).min(5)];
    }
    let json = serde_json::from_str::<Json>(line).unwrap_or_default();
    if json.is_object() {
        return keys.iter().find_map(|key| json[*key].as_str()).and_then(level_of).unwrap_or("unknown");
    }
    let words = line.split_whitespace().filter_map(|word| word.split_once('='));
    let logfmt =
        words.filter(|(key, _)| keys.contains(key)).find_map(|(_, value)| level_of(value.trim_matches('"')));
    logfmt.or_else(|| keyword(line)).unwrap_or("unknown")
}

fn level_of(text: &str) -> Option<&'static str> {
    Some(match text.to_lowercase().as_str() {
        "trace" | "trc" => "trace",
        "debug" | "dbg" => "debug",
        "info" | "inf" | "information" => "info",
        "warn" | "wrn" | "warning" => "warn",
        "error" | "err" => "error",
        "critical" => "critical",
        "fatal" => "fatal",
        _ => return None,
    })
}

fn keyword(line: &str) -> Option<&'static str> {
    let lower = line.to_lowercase();
    ["debug", "warn", "error", "critical", "fatal", "info"].into_iter().find(|word| lower.contains(word))
}

fn store(folder: &std::path::Path) -> MemLogStore {
    let store = MemLogStore::default();
    let mut batch = LogBatch::default();
    for row in rows(folder.join("dataset.jsonl")) {
        let line = row["line"].as_str().expect("a line is text");
        batch.begin();
        for (name, value) in row["stream"].as_object().expect("labels") {
            batch.label(name.as_bytes(), value.as_str().unwrap_or("").as_bytes());
        }
        if row["stream"]["service_name"].is_null() {
            batch.label(b"service_name", service_name(&row["stream"]).as_bytes());
        }
        batch.end_stream_labels().expect("labels are well formed");
        batch.begin();
        for (name, value) in row["metadata"].as_object().into_iter().flatten() {
            batch.label(name.as_bytes(), value.as_str().unwrap_or("").as_bytes());
        }
        if row["metadata"]["detected_level"].is_null() {
            batch.label(b"detected_level", detected_level(&row["stream"], &row["metadata"], line).as_bytes());
        }
        let timestamp_ns = row["ts"].as_str().and_then(|text| text.parse().ok()).expect("a time");
        batch.entry_with_scratch(timestamp_ns, line).expect("metadata are well formed");
    }
    store.append(&batch, None, 1_795_172_400_000_000_000).expect("the store takes the batch");
    store
}

fn time_ns(text: &str) -> i64 {
    if let Ok(number) = text.parse::<i64>() {
        return if text.len() <= 10 { number * 1_000_000_000 } else { number };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds * 1e3).round() as i64 * 1_000_000;
    }
    let time: jiff::Timestamp = text.parse().expect("a time");
    i64::try_from(time.as_nanosecond()).expect("a time of our days")
}

fn duration_ns(text: &str) -> i64 {
    match text.parse::<f64>() {
        Ok(seconds) => (seconds * 1e9) as i64,
        Err(_) => model::parse_duration_ms(text).expect("a duration") * 1_000_000,
    }
}

fn params(row: &Json) -> Option<Params> {
    let text = |name: &str| row["params"][name].as_str();
    let start_ns = time_ns(text("start")?);
    let end_ns = time_ns(text("end")?);
    let default_step_ns = ((end_ns - start_ns) / 1_000_000_000 / 250).max(1) * 1_000_000_000;
    Some(Params {
        start_ns,
        end_ns,
        step_ns: text("step").map_or(default_step_ns, duration_ns),
        interval_ns: text("interval").map_or(0, duration_ns),
        limit: text("limit").map_or(100, |text| text.parse().expect("a number")),
        direction: if text("direction") == Some("forward") {
            Direction::Forward
        } else {
            Direction::Backward
        },
    })
}

fn ask(row: &Json, store: &MemLogStore) -> Option<Result<Answer, String>> {
    let query = row["query"].as_str()?;
    let context = QueryContext::default();
    let expr = match parse(query) {
        Ok(expr) => expr,
        Err(error) => return Some(Err(error.to_string())),
    };
    let answer = if row["kind"] == "range" {
        query_range(&expr, &params(row)?, store, &context)
    } else {
        instant(&expr, time_ns(row["params"]["time"].as_str()?), store, &context)
    };
    Some(answer.map_err(|error| error.to_string().trim().to_owned()))
}

fn pairs_json(pairs: &LabelPairs) -> Json {
    let masked = |name: &str, value: &str| match name {
        "__error_details__" => "(masked)".to_owned(),
        _ => value.to_owned(),
    };
    pairs.iter().map(|(name, value)| (name.clone(), Json::from(masked(name, value)))).collect()
}

/// Streams by label text: the values in order of time, those of one time as a set.
fn streams(entries: &[crate::Entry], forward: bool, categorized: bool) -> Json {
    let mut merged: BTreeMap<String, (Json, Vec<Json>)> = BTreeMap::new();
    for entry in entries {
        let labels = pairs_json(&if categorized { entry.stream.clone() } else { entry.labels() });
        let mut value = vec![json!(entry.timestamp_ns.to_string()), json!(entry.line)];
        if categorized {
            let mut categories = serde_json::Map::new();
            for (name, pairs) in [("structuredMetadata", &entry.metadata), ("parsed", &entry.parsed)] {
                if !pairs.is_empty() {
                    categories.insert(name.to_owned(), pairs_json(pairs));
                }
            }
            value.push(Json::Object(categories));
        }
        merged.entry(labels.to_string()).or_insert((labels, Vec::new())).1.push(Json::from(value));
    }
    let streams = merged.into_values().map(|(labels, mut values)| {
        sort_values(&mut values, forward);
        json!({"stream": labels, "values": values})
    });
    streams.collect()
}

fn sort_values(values: &mut [Json], forward: bool) {
    let time = |value: &Json| value[0].as_str().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    values.sort_by_key(|value| (if forward { time(value) } else { -time(value) }, value.to_string()));
}

fn labels_json(labels: &model::Labels) -> Json {
    labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect()
}

fn data(answer: Answer, row: &Json) -> Json {
    let forward = row["params"]["direction"] == "forward";
    let categorized = row["headers"].is_object();
    match answer {
        Answer::Streams(entries) => {
            json!({"resultType": "streams", "result": streams(&entries, forward, categorized)})
        }
        Answer::Scalar(value) => json!({"resultType": "scalar", "result": value}),
        Answer::Vector(vector) => {
            let mut result: Vec<_> = vector
                .iter()
                .map(|sample| json!({"metric": labels_json(&sample.labels), "value": [sample.timestamp_ms, model::format_float(sample.value.as_float())]}))
                .collect();
            if row["ordered"] != true {
                result.sort_by_key(|sample| sample["metric"].to_string());
            }
            json!({"resultType": "vector", "result": result})
        }
        Answer::Matrix(matrix) => {
            let series = |series: &crate::Series| {
                let values: Vec<_> = series
                    .points
                    .iter()
                    .map(|(time, value)| json!([time, model::format_float(*value)]))
                    .collect();
                json!({"metric": labels_json(&series.labels), "values": values})
            };
            let mut result: Vec<_> = matrix.iter().map(series).collect();
            result.sort_by_key(|sample| sample["metric"].to_string());
            json!({"resultType": "matrix", "result": result})
        }
    }
}

/// The recorded answer in the form of [`data`].
fn expected(row: &Json) -> Json {
    let mut data = row["expect"]["data"].clone();
    let forward = row["params"]["direction"] == "forward";
    let milliseconds = |pair: &mut Json| {
        let seconds = pair[0].as_f64().unwrap_or(0.0);
        pair[0] = json!((seconds * 1000.0).round() as i64);
    };
    match data["resultType"].as_str() {
        Some("streams") => {
            for stream in data["result"].as_array_mut().into_iter().flatten() {
                let values = stream["values"].as_array_mut().expect("values");
                sort_values(values, forward);
            }
            let mut streams = data["result"].as_array().cloned().unwrap_or_default();
            streams.sort_by_key(|stream| stream["stream"].to_string());
            data["result"] = Json::from(streams);
        }
        Some("scalar") => data["result"] = json!(data["result"][1].as_str().and_then(model::parse_float)),
        Some("vector") => {
            data["result"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|sample| milliseconds(&mut sample["value"]));
            sort_metrics(&mut data, row);
        }
        Some("matrix") => {
            for series in data["result"].as_array_mut().into_iter().flatten() {
                series["values"].as_array_mut().into_iter().flatten().for_each(milliseconds);
            }
            sort_metrics(&mut data, row);
        }
        _ => {}
    }
    data
}

fn sort_metrics(data: &mut Json, row: &Json) {
    if row["ordered"] != true
        && let Some(result) = data["result"].as_array_mut()
    {
        result.sort_by_key(|sample| sample["metric"].to_string());
    }
}

fn same(want: &Json, got: &Json, tolerance: f64) -> bool {
    match (want, got) {
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, tolerance))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b, tolerance)))
        }
        (Json::String(a), Json::String(b)) if a != b => {
            // A long number without a point is a time, which must be equal.
            let is_value = a.len() < 19 || a.contains('.');
            let numbers = model::parse_float(a).zip(model::parse_float(b)).filter(|_| is_value);
            numbers.is_some_and(|(a, b)| {
                (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-7)
            })
        }
        _ => want == got,
    }
}

const GO_WORDING: [&str; 6] =
    ["syntax error", "error parsing regexp", "template: ", "strconv.", "*syntax.", " at line 0,"];

fn same_error(want: &str, got: &str) -> bool {
    let cut = GO_WORDING.iter().chain(&[" for series"]).filter_map(|mark| want.find(mark)).min();
    cut.map_or(want == got, |cut| got.starts_with(&want[..cut]))
}

fn judge(row: &Json, outcome: Result<Answer, String>) -> Result<(), String> {
    let short = |text: String| text.chars().take(1500).collect::<String>();
    match (row["expect"]["error"].as_str(), outcome) {
        (Some(_), Err(_)) if row["status_only"] == true => Ok(()),
        (Some(want), Err(got)) if same_error(want, &got) => Ok(()),
        (Some(want), Err(got)) => Err(format!("want error {want}\n    got error  {got}")),
        (Some(want), Ok(_)) => Err(format!("want error {want}\n    got an answer")),
        (None, Err(got)) => Err(format!("got error {got}")),
        (None, Ok(answer)) => {
            let (want, got) = (expected(row), data(answer, row));
            let tolerance = row["tolerance"].as_f64().unwrap_or(1e-5);
            if same(&want, &got, tolerance) {
                return Ok(());
            }
            Err(format!("want {}\n    got  {}", short(want.to_string()), short(got.to_string())))
        }
    }
}

#[test]
fn recorded_answers_are_given() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no recordings at hand");
        return;
    };
    let store = store(&folder);
    let (mut passed, mut asked) = (0, 0);
    let mut failures = String::new();
    for row in rows(folder.join("golden.jsonl")) {
        let in_process = matches!(row["kind"].as_str(), Some("range" | "instant"));
        if !in_process || row["feature"] == "error_request" || row["feature"] == "time_parameters" {
            continue;
        }
        let Some(outcome) = ask(&row, &store) else {
            continue;
        };
        asked += 1;
        match judge(&row, outcome) {
            Ok(()) => passed += 1,
            Err(problem) => {
                failures.push_str(&format!("{} {}\n    {problem}\n", row["id"], row["query"]));
            }
        }
    }
    eprintln!("{failures}passed {passed} of {asked}");
    assert!(passed >= PASSED_MIN, "passed {passed} of {asked}, fewer than before");
}
