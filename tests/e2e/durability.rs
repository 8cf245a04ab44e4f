//! Acknowledged means readable: kill -9 under load, then look for everything that was
//! acknowledged, once.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tests::{Aggregator, Client};

const ROUNDS: u64 = 4;
const WRITERS: usize = 3;

pub(super) fn now_ms() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Writes one series until the server is gone; returns what was acknowledged, by millisecond.
pub(super) async fn write_metrics(
    client: Client,
    writer: usize,
    mut at_ms: i64,
    stop: Arc<AtomicBool>,
) -> BTreeMap<i64, f64> {
    let mut acknowledged = BTreeMap::new();
    let labels = model::Labels::from_pairs([("__name__", "crash"), ("writer", &writer.to_string())]);
    while !stop.load(Ordering::Relaxed) {
        let mut batch = model::MetricBatch::default();
        batch.begin_with(labels.as_ref());
        let samples: Vec<(i64, f64)> = (1..=50).map(|i| (at_ms + i, (at_ms + i) as f64 * 0.5)).collect();
        for (at, value) in &samples {
            batch.sample(*at, 0, *value);
        }
        at_ms += 50;
        let mut message = Vec::new();
        wire::remote_write::encode_v1(&batch, &mut message);
        let body =
            snap::raw::Encoder::new().compress_vec(&message).expect("a small message can be compressed");
        let request = client
            .request(reqwest::Method::POST, "/api/v1/write")
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "snappy")
            .body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => acknowledged.extend(samples),
            Ok(response) => panic!("refused: {}", response.status()),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Pushes numbered lines until the server is gone; returns how many were acknowledged.
async fn write_logs(client: Client, writer: usize, round: u64, start_ns: i64, stop: Arc<AtomicBool>) -> i64 {
    let mut acknowledged = 0;
    while !stop.load(Ordering::Relaxed) {
        let values: Vec<_> = (acknowledged..acknowledged + 40)
            .map(|n| {
                json!([(start_ns + n * 1000).to_string(), format!("writer {writer} round {round} line {n}")])
            })
            .collect();
        let stream = json!({"app": "crash", "writer": writer.to_string(), "round": round.to_string()});
        let body = json!({"streams": [{"stream": stream, "values": values}]}).to_string();
        let request = client
            .request(reqwest::Method::POST, "/loki/api/v1/push")
            .header("content-type", "application/json")
            .body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => acknowledged += 40,
            Ok(response) => panic!("refused: {}", response.status()),
            Err(_) => break,
        }
    }
    acknowledged
}

pub(super) async fn check_metrics(client: &Client, writer: usize, acknowledged: &BTreeMap<i64, f64>) {
    let (Some((first, _)), Some((last, _))) = (acknowledged.first_key_value(), acknowledged.last_key_value())
    else {
        return;
    };
    let query = format!("crash{{writer=\"{writer}\"}}[{}ms]", last - first + 1);
    let at = format!("{:.3}", *last as f64 / 1000.0);
    let answer = client.json("/api/v1/query", &[("query", &query), ("time", &at)]).await;
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let found: BTreeMap<i64, f64> = values
        .iter()
        .map(|pair| {
            let at_ms = (pair[0].as_f64().expect("a time") * 1000.0).round() as i64;
            (at_ms, pair[1].as_str().and_then(|text| text.parse().ok()).expect("a value"))
        })
        .collect();
    assert_eq!(values.len(), found.len(), "a sample came twice");
    for (at, value) in acknowledged {
        assert_eq!(found.get(at), Some(value), "writer {writer}: the acknowledged sample at {at}");
    }
}

async fn check_logs(client: &Client, writer: usize, round: u64, acknowledged: i64) {
    let selector = format!("{{app=\"crash\", writer=\"{writer}\", round=\"{round}\"}}");
    let answer = client
        .json("/loki/api/v1/query", &[("query", &format!("sum(count_over_time({selector}[1h]))"))])
        .await;
    let counted: i64 =
        answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    assert!(
        counted >= acknowledged,
        "writer {writer} round {round}: {counted} of {acknowledged} acknowledged lines"
    );
    assert!(
        counted <= acknowledged + 40,
        "writer {writer} round {round}: {counted} lines, {acknowledged} acknowledged"
    );
    for n in [0, acknowledged / 2, acknowledged - 1] {
        let query = format!("{selector} |= \"line {n}\"");
        let lines = client.lines(&query).await;
        let exact = format!("writer {writer} round {round} line {n}");
        assert_eq!(lines.iter().filter(|(_, line)| *line == exact).count(), 1, "{exact}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_under_load_loses_nothing_and_doubles_nothing() {
    let seed = rand::rng().random();
    eprintln!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut server = Aggregator::start(&["--no-shipped-rules"]).await;
    let base_ms = now_ms() - 1_800_000;
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let round_ms = base_ms + round as i64 * 300_000;
        let metrics: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write_metrics(server.client(), writer, round_ms, stop.clone())))
            .collect();
        let logs: Vec<_> = (0..WRITERS)
            .map(|writer| {
                tokio::spawn(write_logs(server.client(), writer, round, round_ms * 1_000_000, stop.clone()))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(rng.random_range(200..1500))).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        if round == ROUNDS - 1 {
            // Once more while it recovers.
            server.spawn();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..200))).await;
            server.kill();
        }
        server.restart().await;
        let client = server.client();
        let mut total = 0;
        for (writer, task) in metrics.into_iter().enumerate() {
            let acknowledged = task.await.expect("a writer ends");
            total += acknowledged.len();
            check_metrics(&client, writer, &acknowledged).await;
        }
        assert!(total > 0, "nothing was acknowledged, so nothing was tested");
        for (writer, task) in logs.into_iter().enumerate() {
            let acknowledged = task.await.expect("a writer ends");
            assert!(acknowledged > 0, "nothing was acknowledged, so nothing was tested");
            check_logs(&client, writer, round, acknowledged).await;
        }
    }
    assert!(server.stop(), "a clean stop ends with status 0");
}
