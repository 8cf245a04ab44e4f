//! API scenarios: YAML files in this folder, played against a fresh server, or against any server
//! at `$BELLWETHER_API_URL` (the products we stand in for, too).
//!
//! A scenario has `about`, `serve` (arguments of the server), and `steps`. A step either loads data
//! (`metrics`: exposition lines, stored ten seconds ago; `logs`: streams) or asks: `get` or `post`
//! (a path), with `params`, `headers`, `body` or `form`; then `status` (200 if left out), `text` (a
//! regular expression for the body) or `json` (a pattern).
//!
//! A pattern matches an object that has at least its keys, a list item by item, a string that
//! starts with `~` as a regular expression for the whole text, anything at all with `~any`, and the
//! rest when equal.

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tests::{Aggregator, Client, repository_root};
use wire::exposition::{self, ParseOptions, Syntax};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    #[serde(default)]
    serve: Vec<String>,
    steps: Vec<Step>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Step {
    metrics: Option<String>,
    logs: Vec<Stream>,
    get: Option<String>,
    post: Option<String>,
    delete: Option<String>,
    params: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    form: Option<Vec<(String, String)>>,
    status: Option<u16>,
    text: Option<String>,
    json: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    labels: BTreeMap<String, String>,
    lines: Vec<String>,
}

#[tokio::test]
async fn scenarios() {
    let mut files: Vec<_> = std::fs::read_dir(repository_root().join("tests/api"))
        .expect("the folder of scenarios")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenarios");
    let mut problems = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a scenario is text");
        let scenario: Scenario =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        problems.extend(play(&scenario).await.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn play(scenario: &Scenario) -> Vec<String> {
    assert!(!scenario.about.is_empty(), "a scenario says what it is about");
    let elsewhere = std::env::var("BELLWETHER_API_URL").ok();
    let arguments: Vec<&str> = scenario.serve.iter().map(String::as_str).collect();
    let server = if elsewhere.is_none() { Some(Aggregator::start(&arguments).await) } else { None };
    let client = match (&server, &elsewhere) {
        (Some(server), _) => server.client(),
        (None, url) => Client::new(url.as_deref().unwrap_or_default()),
    };
    let mut problems = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        if let Err(problem) = take(step, &client).await {
            problems.push(format!("step {}: {problem}", number + 1));
        }
    }
    problems
}

async fn take(step: &Step, client: &Client) -> Result<(), String> {
    if let Some(text) = &step.metrics {
        load_metrics(client, text).await?;
    }
    for stream in &step.logs {
        load_logs(client, stream).await?;
    }
    let (method, path) = match (&step.get, &step.post, &step.delete) {
        (Some(path), None, None) => (reqwest::Method::GET, path),
        (None, Some(path), None) => (reqwest::Method::POST, path),
        (None, None, Some(path)) => (reqwest::Method::DELETE, path),
        (None, None, None) => return Ok(()),
        _ => return Err("more than one of get, post, delete".to_owned()),
    };
    let query: Vec<String> =
        step.params.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let target = if query.is_empty() { path.clone() } else { format!("{path}?{}", query.join("&")) };
    let mut request = client.request(method, &target);
    for (name, value) in &step.headers {
        request = request.header(name, value);
    }
    if let Some(form) = &step.form {
        let fields: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        request = request.header("content-type", "application/x-www-form-urlencoded").body(fields.join("&"));
    } else if let Some(body) = &step.body {
        request = request.body(body.clone());
    }
    let response = request.send().await.map_err(|error| format!("{target}: {error}"))?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(|error| format!("{target}: {error}"))?;
    judge(step, status, &text).map_err(|problem| format!("{target}: {problem}\n  answer: {text}"))
}

fn judge(step: &Step, status: u16, text: &str) -> Result<(), String> {
    let expected = step.status.unwrap_or(200);
    if status != expected {
        return Err(format!("status {status}, expected {expected}"));
    }
    if let Some(pattern) = &step.text {
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        if !regex.is_match(text) {
            return Err(format!("the text does not match `{pattern}`"));
        }
    }
    if let Some(pattern) = &step.json {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        matches(pattern, &value, "$")?;
    }
    Ok(())
}

fn matches(pattern: &Value, value: &Value, at: &str) -> Result<(), String> {
    let differs = || Err(format!("{at}: {value} does not match {pattern}"));
    match (pattern, value) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().try_for_each(|(key, pattern)| {
            found.get(key).map_or_else(
                || Err(format!("{at}.{key} is missing")),
                |value| matches(pattern, value, &format!("{at}.{key}")),
            )
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .try_for_each(|(i, (pattern, value))| matches(pattern, value, &format!("{at}[{i}]"))),
        (Value::String(pattern), Value::String(text)) if pattern.starts_with('~') => {
            let regex =
                Regex::new(&format!("^(?s:{})$", &pattern[1..])).map_err(|error| error.to_string())?;
            if regex.is_match(text) { Ok(()) } else { differs() }
        }
        (Value::String(pattern), _) if pattern == "~any" => Ok(()),
        _ if pattern == value => Ok(()),
        _ => differs(),
    }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Ten seconds ago, so that the data lie inside every lookback and before every "now".
fn data_time_ms() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64) - 10_000
}

async fn load_metrics(client: &Client, text: &str) -> Result<(), String> {
    let mut batch = model::MetricBatch::default();
    let options =
        ParseOptions { syntax: Syntax::Prometheus, timestamp_ms: data_time_ms(), honor_timestamps: false };
    exposition::parse(text.as_bytes(), options, &mut batch).map_err(|error| error.to_string())?;
    let mut message = Vec::new();
    wire::remote_write::encode_v1(&batch, &mut message);
    let body = snap::raw::Encoder::new().compress_vec(&message).map_err(|error| error.to_string())?;
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
    let (status, answer) = client.post("/api/v1/write", &headers, body).await;
    if status / 100 == 2 { Ok(()) } else { Err(format!("loading metrics: {status} {answer}")) }
}

async fn load_logs(client: &Client, stream: &Stream) -> Result<(), String> {
    let labels = serde_json::to_value(&stream.labels).map_err(|error| error.to_string())?;
    let start = data_time_ms() * 1_000_000;
    let lines: Vec<_> = stream
        .lines
        .iter()
        .enumerate()
        .map(|(i, line)| (start + i as i64 * 1_000_000, line.clone()))
        .collect();
    let status = client.push(&labels, &lines).await;
    if status / 100 == 2 { Ok(()) } else { Err(format!("loading logs: {status}")) }
}
