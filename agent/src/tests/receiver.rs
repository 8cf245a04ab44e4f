//! A receiver of remote write and OTLP logs that keeps what it gets, knows repetitions, and answers
//! as it is told.

use crate::{AgentConfig, Destination, Logs, SourceConfig};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use model::{BatchId, LogBatch, MetricBatch};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use wire::{
    LogOptions,
    compression::{Encoding, decompress},
    otlp, remote_write,
};

const BODY_BYTES_MAX: usize = 64 << 20;

/// What has come.
#[derive(Default)]
pub(super) struct Stored {
    /// Lines of each file, in order of arrival, with their times.
    pub(super) lines: BTreeMap<String, Vec<(i64, String)>>,
    /// Samples of each metric name.
    pub(super) samples: BTreeMap<String, Vec<(i64, f64)>>,
    pub(super) goodbyes: usize,
    pub(super) requests: usize,
    pub(super) repetitions: usize,
    pub(super) forms: Vec<(String, String)>,
    taken: BTreeSet<(&'static str, BatchId)>,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    Status(u16),
    /// Store, and let the answer be lost.
    StoreAndFail,
}

#[derive(Clone, Default)]
pub(super) struct Receiver {
    pub(super) stored: Arc<Mutex<Stored>>,
    /// Answers to the next requests, before all is well again.
    pub(super) answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Every request is answered so while set.
    pub(super) outage: Arc<Mutex<Option<Answer>>>,
    /// Content encodings that are understood.
    pub(super) encodings: Arc<Mutex<Option<Vec<&'static str>>>>,
    pub(super) only_v1: Arc<Mutex<bool>>,
    /// Reads whatever comes as 1.0, as receivers do that do not look at the content type.
    pub(super) takes_v2_for_v1: Arc<Mutex<bool>>,
    /// Lines that poison their batch.
    pub(super) poison: Arc<Mutex<Option<String>>>,
    pub(super) url: String,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Receiver { url, ..Receiver::default() };
        let router = Router::new()
            .route("/api/v1/write", post(write))
            .route("/v1/logs", post(logs))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    pub(super) fn config(&self, folder: &Path) -> AgentConfig {
        let pattern = |name: &str| folder.join(name).display().to_string();
        AgentConfig {
            destinations: vec![Destination { url: self.url.clone(), ..Destination::default() }],
            data_dir: folder.join("data"),
            interval: Duration::from_millis(200),
            instance: Some("h1".to_owned()),
            logs: Logs {
                sources: vec![SourceConfig { paths: vec![pattern("logs/*.log")], ..SourceConfig::default() }],
            },
            rotate_wait: Duration::from_millis(300),
            ..AgentConfig::default()
        }
    }

    pub(super) fn stored(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.stored.lock().unwrap()
    }

    /// All lines of all files, sorted.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.stored().lines.values().flatten().map(|(_, line)| line.clone()).collect();
        lines.sort();
        lines
    }

    pub(super) async fn wait_for(&self, what: &str, condition: impl Fn(&Stored) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(&self.stored()) {
            assert!(Instant::now() < deadline, "{what} did not come; lines: {:?}", self.lines().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn wait_for_lines(&self, count: usize) {
        self.wait_for(&format!("{count} lines"), |stored| {
            stored.lines.values().map(Vec::len).sum::<usize>() >= count
        })
        .await;
    }

    fn decide(&self, headers: &HeaderMap) -> Answer {
        let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let mut stored = self.stored();
        stored.requests += 1;
        stored.forms.push((header("content-type"), header("content-encoding")));
        let is_known = self
            .encodings
            .lock()
            .unwrap()
            .as_ref()
            .is_none_or(|known| known.contains(&header("content-encoding").as_str()));
        if !is_known || *self.only_v1.lock().unwrap() && header("content-type").contains("v2.Request") {
            return Answer::Status(415);
        }
        if let Some(answer) = *self.outage.lock().unwrap() {
            return answer;
        }
        self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200))
    }

    /// Whether the batch is new.
    fn record(&self, signal: &'static str, headers: &HeaderMap) -> bool {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let number = |name: &str| header(name).parse().unwrap();
        let id = BatchId {
            agent: header("x-bellwether-agent"),
            boot: number("x-bellwether-boot"),
            sequence: number("x-bellwether-sequence"),
        };
        let mut stored = self.stored();
        stored.goodbyes += usize::from(headers.contains_key("x-bellwether-goodbye"));
        let is_new = stored.taken.insert((signal, id));
        stored.repetitions += usize::from(!is_new);
        is_new
    }
}

fn raw(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let encoding = headers.get("content-encoding").map_or("", |value| value.to_str().unwrap());
    let mut raw = Vec::new();
    decompress(Encoding::from_header(encoding).unwrap(), body, BODY_BYTES_MAX, &mut raw).unwrap();
    raw
}

fn status(answer: Answer) -> StatusCode {
    match answer {
        Answer::Status(code) => StatusCode::from_u16(code).unwrap(),
        Answer::StoreAndFail => StatusCode::BAD_GATEWAY,
    }
}

async fn write(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = receiver.decide(&headers);
    if !matches!(answer, Answer::Status(200) | Answer::StoreAndFail) {
        return status(answer).into_response();
    }
    let raw = raw(&headers, &body);
    let mut batch = MetricBatch::default();
    let version =
        remote_write::Version::from_content_type(headers["content-type"].to_str().unwrap()).unwrap();
    let takes_v2_for_v1 = *receiver.takes_v2_for_v1.lock().unwrap();
    match version {
        remote_write::Version::V2 if takes_v2_for_v1 => return status(answer).into_response(),
        remote_write::Version::V1 => remote_write::decode_v1(&raw, &mut batch).unwrap(),
        remote_write::Version::V2 => remote_write::decode_v2(&raw, &mut batch).unwrap(),
    };
    if receiver.record("metrics", &headers) {
        let mut stored = receiver.stored();
        for series in batch.series() {
            let name = series.labels().to_owned().metric_name().to_owned();
            let samples = series.samples().iter().map(|sample| (sample.timestamp_ms, sample.value));
            stored.samples.entry(name).or_default().extend(samples);
        }
    }
    let written = [("x-prometheus-remote-write-samples-written", batch.sample_count().to_string())];
    match version {
        remote_write::Version::V1 => status(answer).into_response(),
        remote_write::Version::V2 => (status(answer), written).into_response(),
    }
}

async fn logs(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answer = receiver.decide(&headers);
    if !matches!(answer, Answer::Status(200) | Answer::StoreAndFail) {
        return status(answer);
    }
    assert_eq!(headers["x-bellwether-labels"], "resource");
    let mut batch = LogBatch::default();
    let options = LogOptions { now_ns: 0, enrich: false };
    let rule = otlp::LabelRule::AllResourceAttributes;
    otlp::decode_logs(&raw(&headers, &body), rule, options, &mut batch).unwrap();
    let poison = receiver.poison.lock().unwrap().clone();
    let has_poison = |batch: &LogBatch| {
        let is_poison = |line: &str| poison.as_ref().is_some_and(|poison| line.contains(poison.as_str()));
        batch.streams().any(|stream| stream.entries().any(|entry| is_poison(entry.line)))
    };
    if has_poison(&batch) {
        return StatusCode::BAD_REQUEST;
    }
    if receiver.record("logs", &headers) {
        let mut stored = receiver.stored();
        for stream in batch.streams() {
            let labels = stream.labels().to_owned();
            assert_eq!((labels.value("job"), labels.value("instance")), ("node", "h1"));
            let name = labels.value("filename").rsplit('/').next().unwrap().to_owned();
            let lines = stream.entries().map(|entry| (entry.timestamp_ns, entry.line.to_owned()));
            stored.lines.entry(name).or_default().extend(lines);
        }
    }
    status(answer)
}
