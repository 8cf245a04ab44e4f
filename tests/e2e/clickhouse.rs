//! `bellwether serve` in front of a ClickHouse: in and out again, over a restart of either side,
//! and through an outage.

use reqwest::Method;
use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tests::{Aggregator, Client, eventually, find_tool, free_port, repository_root, skip};

/// The engine as a Python module behind an HTTP bridge, on the same folder and port when restarted.
struct ClickHouse {
    python: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl ClickHouse {
    /// `None` where Python or the module is missing.
    fn find() -> Option<Self> {
        let python =
            std::env::var_os("BELLWETHER_TEST_PYTHON").map(PathBuf::from).or_else(|| find_tool("python3"))?;
        let has_engine = Command::new(&python)
            .args(["-c", "import importlib.util as u, sys; sys.exit(u.find_spec('chdb') is None)"])
            .status()
            .is_ok_and(|status| status.success());
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        has_engine.then(|| ClickHouse { python, folder, port: free_port(), process: None })
    }

    fn start(&mut self) {
        let mut process = Command::new(&self.python)
            .arg(repository_root().join("crates/clickhouse-store/testdata/bridge.py"))
            .arg(self.port.to_string())
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("its output can be read");
        assert!(line.starts_with("ready"), "the bridge is ready: {line}");
        self.process = Some(process);
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the bridge runs");
            process.wait().expect("a killed child can be waited for");
        }
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}

fn now_ms() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn metric(at_ms: i64, value: f64) -> Vec<u8> {
    let mut batch = model::MetricBatch::default();
    batch.begin_with(model::Labels::from_pairs([("__name__", "remote"), ("host", "a")]).as_ref());
    batch.sample(at_ms, 0, value);
    let mut message = Vec::new();
    wire::remote_write::encode_v1(&batch, &mut message);
    snap::raw::Encoder::new().compress_vec(&message).expect("a small message can be compressed")
}

/// Remote write; returns the status and `Retry-After`.
async fn write(client: &Client, body: Vec<u8>, sequence: u64) -> (u16, String) {
    let request = client
        .request(Method::POST, "/api/v1/write")
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-bellwether-agent", "agent-1")
        .header("x-bellwether-boot", "7")
        .header("x-bellwether-sequence", sequence.to_string())
        .body(body);
    let response = request.send().await.expect("the aggregator answers");
    let retry_after =
        response.headers().get("retry-after").and_then(|value| value.to_str().ok()).unwrap_or("");
    (response.status().as_u16(), retry_after.to_owned())
}

async fn value(client: &Client) -> Vec<f64> {
    client.vector("count_over_time(remote[10m])").await.into_iter().map(|(_, value)| value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_kept_in_clickhouse_and_an_outage_loses_nothing() {
    let Some(mut clickhouse) = ClickHouse::find() else {
        return skip("`chdb` is not installed for Python; set BELLWETHER_TEST_PYTHON");
    };
    clickhouse.start();
    let config = format!("storage:\n  clickhouse:\n    url: http://127.0.0.1:{}\n", clickhouse.port);
    let mut aggregator = Aggregator::start_with(&[], |folder| {
        let file = folder.join("config.yaml");
        std::fs::write(&file, config).expect("the folder can be written");
        vec!["--config".to_owned(), file.display().to_string()]
    })
    .await;
    let client = aggregator.client();
    let start = now_ms() - 60_000;

    // In, and the same batch again.
    for _ in 0..2 {
        assert_eq!(write(&client, metric(start, 1.0), 1).await.0, 204);
    }
    let stream = json!({"app": "remote"});
    let lines: Vec<(i64, String)> =
        (0..20).map(|i| (start * 1_000_000 + i, format!("line {i} level=error"))).collect();
    assert_eq!(client.push(&stream, &lines).await, 204);
    assert_eq!(client.push(&stream, &lines).await, 204, "an exact repeat is success");
    assert_eq!(value(&client).await, [1.0]);
    assert_eq!(client.lines(r#"{app="remote"} |= "level=error""#).await.len(), 20);
    let counted = client.vector("count by (__name__) (remote)").await;
    assert_eq!(counted.len(), 1);

    // A new aggregator process knows the batch and all data.
    assert!(aggregator.stop(), "it ends well");
    aggregator.restart().await;
    assert_eq!(write(&client, metric(start + 5, 9.0), 1).await.0, 204, "a known number is acknowledged");
    assert_eq!(value(&client).await, [1.0], "and changes nothing");
    assert_eq!(client.lines(r#"{app="remote"} |= "line 7 ""#).await.len(), 1);

    // Gone: writes are refused so that senders keep them, queries say why.
    clickhouse.kill();
    let (status, retry_after) = write(&client, metric(start + 10, 2.0), 2).await;
    assert_eq!((status, retry_after.as_str()), (503, "30"));
    assert_eq!(client.push(&stream, &[((start + 10) * 1_000_000, "late".to_owned())]).await, 503);
    let (status, text) = client.get("/api/v1/query", &[("query", "remote")]).await;
    assert!(status >= 500 && text.contains("cannot be reached"), "{status} {text}");
    assert_eq!(client.get_status("/-/healthy").await, Some(200), "the aggregator itself lives");

    // Back: the same batch, sent again, is stored.
    clickhouse.start();
    eventually(Duration::from_secs(20), "the batch is taken again", || async {
        write(&client, metric(start + 10, 2.0), 2).await.0 == 204
    })
    .await;
    assert_eq!(client.push(&stream, &[((start + 10) * 1_000_000, "late".to_owned())]).await, 204);
    assert_eq!(value(&client).await, [2.0]);
    assert_eq!(client.lines(r#"{app="remote"}"#).await.len(), 21);
}

#[test]
fn a_clickhouse_that_is_not_there_is_named_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("config.yaml");
    let url = format!("http://127.0.0.1:{}", free_port());
    std::fs::write(&file, format!("storage: {{clickhouse: {{url: \"{url}\"}}}}\n"))
        .expect("it can be written");
    let (file, data) = (file.display().to_string(), folder.path().join("data").display().to_string());
    let listen = format!("127.0.0.1:{}", free_port());
    let (code, _, error) = tests::run_binary(
        "bellwether",
        &["serve", "--config", &file, "--data-dir", &data, "--listen", &listen],
    );
    assert_ne!(code, 0);
    assert!(error.contains(&url) && error.contains("cannot be reached"), "{error}");
}
