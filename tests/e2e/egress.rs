//! Sending on: what was acknowledged reaches another server, kill -9 or not.

use super::{
    clients::Prometheus,
    durability::{check_metrics, now_ms, write_metrics},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tests::{Aggregator, Client, eventually, find_tool, skip};

const ROUNDS: i64 = 3;
const WRITERS: usize = 3;
/// Between the rounds' first samples.
const ROUND_MS: i64 = 300_000;

/// An aggregator that sends on to the server at `url`.
async fn sending_to(url: &str) -> Aggregator {
    Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let file = folder.join("bellwether.yaml");
        let config = format!(
            "remote_write:\n- url: {url}/api/v1/write\n  queue_config: {{batch_send_deadline: 200ms, \
             max_samples_per_send: 500}}\n"
        );
        std::fs::write(&file, config).expect("the folder can be written");
        vec!["--config".to_owned(), file.display().to_string()]
    })
    .await
}

/// The one endpoint's status.
async fn status(client: &Client) -> serde_json::Value {
    client.json("/api/bellwether/v1/status", &[]).await["remote_write"]["endpoints"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_gets_all_that_was_acknowledged_over_kills() {
    if find_tool("prometheus").is_none() {
        return skip("prometheus is not installed");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver =
        Prometheus::start_with(folder.path(), "global: {}\n", &["--web.enable-remote-write-receiver"]);
    let theirs = Client::new(&receiver.url());
    let mut server = sending_to(&receiver.url()).await;
    let base_ms = now_ms() - ROUNDS * ROUND_MS;
    let mut acknowledged = vec![BTreeMap::new(); WRITERS];
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |writer| {
            let at_ms = base_ms + round * ROUND_MS;
            tokio::spawn(write_metrics(server.client(), writer, at_ms, stop.clone()))
        };
        let writing: Vec<_> = (0..WRITERS).map(start).collect();
        tokio::time::sleep(Duration::from_millis(900)).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for (writer, writing) in writing.into_iter().enumerate() {
            acknowledged[writer].extend(writing.await.expect("the writer ends"));
        }
        server.restart().await;
    }
    let ours = server.client();
    eventually(Duration::from_secs(60), "everything is sent", || async {
        status(&ours).await["pending_samples"] == 0
    })
    .await;
    for (writer, acknowledged) in acknowledged.iter().enumerate() {
        assert!(!acknowledged.is_empty());
        check_metrics(&theirs, writer, acknowledged).await;
    }
    assert!(server.stop(), "it ends well with an endpoint");
}
