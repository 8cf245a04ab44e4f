mod tls;

use super::*;
use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use http::HeaderMap;
use model::{Labels, MetricBatch};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use wire::{
    compression::{Encoding, decompress},
    remote_write::{Version, decode_v1, decode_v2},
};

/// A value that the receiver refuses a whole request for.
const BAD: f64 = 666.0;

/// What a receiver got and how it is to behave.
#[derive(Default)]
struct Received {
    /// Value and how often it came, by series and time.
    samples: BTreeMap<(String, i64), (f64, usize)>,
    requests: Vec<(Version, HeaderMap)>,
    described: usize,
    /// Answers to give before the usual ones.
    script: VecDeque<StatusCode>,
    knows_v2: bool,
    /// Finds nothing in 2.0 and is content with that.
    takes_v2_for_v1: bool,
}

type Shared = Arc<Mutex<Received>>;

async fn receive(
    State(received): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(status) = received.script.pop_front() {
        return (status, [("retry-after", "0")], "as told").into_response();
    }
    let content_type = headers["content-type"].to_str().unwrap();
    let version = Version::from_content_type(content_type).unwrap();
    if version == Version::V2 && received.takes_v2_for_v1 {
        return StatusCode::NO_CONTENT.into_response();
    }
    if version == Version::V2 && !received.knows_v2 {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let (mut plain, mut batch) = (Vec::new(), MetricBatch::default());
    decompress(Encoding::Snappy, &body, 1 << 24, &mut plain).unwrap();
    match version {
        Version::V1 => decode_v1(&plain, &mut batch).unwrap(),
        Version::V2 => decode_v2(&plain, &mut batch).unwrap(),
    };
    received.requests.push((version, headers));
    received.described += batch.metadata().len();
    let samples: Vec<_> = batch
        .series()
        .flat_map(|series| {
            let labels = series.labels().to_string();
            series.samples().iter().map(move |sample| ((labels.clone(), sample.timestamp_ms), sample.value))
        })
        .collect();
    if samples.iter().any(|(_, value)| *value == BAD) {
        return (StatusCode::BAD_REQUEST, "a bad sample").into_response();
    }
    let written = [("x-prometheus-remote-write-samples-written", samples.len().to_string())];
    for (key, value) in samples {
        received.samples.entry(key).or_insert((value, 0)).1 += 1;
    }
    match version {
        Version::V1 => StatusCode::NO_CONTENT.into_response(),
        Version::V2 => (StatusCode::NO_CONTENT, written).into_response(),
    }
}

async fn receiver() -> (SocketAddr, Shared) {
    let received = Shared::default();
    let router = Router::new().route("/w", post(receive)).with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, received)
}

/// A sender over a folder.
struct Sender {
    store: Arc<dyn MetricStore>,
    egress: Arc<Egress>,
    running: Running,
    shutdown: Shutdown,
}

fn start(folder: &Path, address: SocketAddr, more: &str) -> Sender {
    start_to(folder, &format!("http://{address}/w"), more)
}

fn start_to(folder: &Path, url: &str, more: &str) -> Sender {
    let text = format!(
        "remote_write:\n- url: {url}\n  queue_config: {{batch_send_deadline: 10ms, max_backoff: 50ms, \
         max_samples_per_send: 50}}\n{more}"
    );
    let config: Config = daemon::config::parse_yaml(&text, "test").unwrap();
    let egress = Arc::new(Egress::open(&disk::Dir::real(folder).unwrap(), &config).unwrap().unwrap());
    let store = egress.forwarding(Arc::new(store::MemMetricStore::new()));
    let shutdown = Shutdown::new();
    let running = egress.clone().start(&daemon::metrics::Metrics::default(), &shutdown).unwrap();
    Sender { store, egress, running, shutdown }
}

impl Sender {
    /// Appends samples of 20 series at these times.
    fn put(&self, times_ms: std::ops::Range<i64>) {
        for at_ms in times_ms {
            let mut batch = MetricBatch::default();
            for i in 0..20 {
                let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
                batch.begin_with(labels.as_ref());
                batch.sample(at_ms, 0, at_ms as f64 + f64::from(i) / 32.0);
            }
            self.store.append(&batch, None, at_ms).unwrap().commit.wait().unwrap();
        }
    }

    fn number(&self, name: &str) -> u64 {
        self.egress.status()["endpoints"][0][name].as_u64().unwrap()
    }

    async fn caught_up(&self) {
        for _ in 0..400 {
            if self.number("pending_samples") == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("still pending: {}", self.egress.status());
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.running.join().await.unwrap();
    }
}

fn lock(received: &Shared) -> std::sync::MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_over_failures_and_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (address, received) = receiver().await;
    lock(&received).script =
        [429, 500, 503].map(|status| StatusCode::from_u16(status).unwrap()).into_iter().collect();
    let sender = start(folder.path(), address, "");
    sender.put(0..30);
    sender.caught_up().await;
    assert_eq!(lock(&received).samples.len(), 600);
    assert!(lock(&received).samples.values().all(|(_, times)| *times == 1), "nothing came twice");
    sender.stop().await;

    // A receiver that is away while samples come, and the process starts anew meanwhile.
    let away: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let same_name = "  name: far\n";
    let sender = start(folder.path(), away, same_name);
    sender.put(30..60);
    sender.stop().await;
    let sender = start(folder.path(), address, same_name);
    sender.put(60..70);
    sender.caught_up().await;
    assert_eq!(lock(&received).samples.len(), 1400);
    assert_eq!((sender.number("sent_samples"), sender.number("failed_samples")), (800, 0));
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_sample_costs_only_itself_and_other_refusals_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (address, received) = receiver().await;
    let sender = start(folder.path(), address, "");
    sender.put(0..5);
    let mut bad = MetricBatch::default();
    bad.begin_with(Labels::from_pairs([("__name__", "bad")]).as_ref());
    bad.sample(7, 0, BAD);
    bad.sample(8, 0, 1.0);
    sender.store.append(&bad, None, 8).unwrap();
    sender.put(5..10);
    sender.caught_up().await;
    assert_eq!(lock(&received).samples.len(), 201);
    assert_eq!((sender.number("sent_samples"), sender.number("failed_samples")), (201, 1));

    // Even alone a series of twenty is refused for good: all its samples are counted.
    lock(&received).script = std::iter::repeat_n(StatusCode::FORBIDDEN, 10_000).collect();
    sender.put(10..11);
    sender.caught_up().await;
    assert_eq!((sender.number("sent_samples"), sender.number("failed_samples")), (201, 21));
    let failure = sender.egress.status()["endpoints"][0]["failure"].to_string();
    assert!(failure.contains("403"), "{failure}");
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_carry_credentials_and_the_version_is_negotiated() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "geheim\n").unwrap();
    let more = format!(
        "  protobuf_message: io.prometheus.write.v2.Request\n  headers: {{X-Scope-OrgID: '7'}}\n  basic_auth: \
         {{username: u, password_file: {}}}\n",
        password.display()
    );
    for (knows_v2, takes_v2_for_v1, expected) in
        [(true, false, Version::V2), (false, false, Version::V1), (false, true, Version::V1)]
    {
        let (address, received) = receiver().await;
        lock(&received).knows_v2 = knows_v2;
        lock(&received).takes_v2_for_v1 = takes_v2_for_v1;
        let data = tempfile::tempdir().unwrap();
        let sender = start(data.path(), address, &more);
        sender.put(0..3);
        sender.caught_up().await;
        sender.stop().await;
        let received = lock(&received);
        assert_eq!(received.samples.len(), 60);
        let (version, headers) = received.requests.last().unwrap();
        assert_eq!(*version, expected);
        assert_eq!(headers["x-scope-orgid"], "7");
        assert_eq!(headers["authorization"], "Basic dTpnZWhlaW0=");
        assert_eq!(headers["x-prometheus-remote-write-version"], expected.version_header());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_load_balancer_costs_neither_samples_nor_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let (address, received) = receiver().await;
    lock(&received).knows_v2 = true;
    let sender = start(folder.path(), address, "  protobuf_message: io.prometheus.write.v2.Request\n");
    sender.put(0..3);
    sender.caught_up().await;
    lock(&received).script = [StatusCode::OK; 3].into_iter().collect();
    sender.put(3..9);
    sender.caught_up().await;
    sender.stop().await;
    let received = lock(&received);
    assert_eq!((received.samples.len(), received.script.len()), (180, 0));
    assert!(received.requests.iter().all(|(version, _)| *version == Version::V2));
}
