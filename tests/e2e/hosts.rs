//! A host that dies and one that says goodbye: only the first is a problem.

use serde_json::Value;
use std::time::Duration;
use tests::{Agent, Aggregator, Client, eventually};

const RULES: &str = "groups:\n- name: hosts\n  interval: 1s\n  rules:\n  - {alert: HostMissing, expr: 'up{job=\"node\"} == 0'}\n";

fn agent(url: &str, instance: &str) -> Agent {
    let config = format!(
        "data_dir: {{dir}}/data\ninstance: {instance}\ninterval: 1s\ndestinations: [{{url: '{url}'}}]\n"
    );
    Agent::start(&config, &[])
}

/// The instances that an alert fires for.
async fn missing(client: &Client) -> Vec<String> {
    let alerts = client.json("/api/v2/alerts", &[("filter", "alertname=HostMissing")]).await;
    let alerts = alerts.as_array().cloned().unwrap_or_default();
    alerts.iter().filter_map(|alert| alert["labels"]["instance"].as_str().map(str::to_owned)).collect()
}

async fn state(client: &Client, instance: &str) -> Option<String> {
    let hosts = client.json("/api/bellwether/v1/hosts", &[]).await;
    let is_it = |host: &&Value| host["instance"] == instance;
    hosts.as_array()?.iter().find(is_it)?["state"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_is_missed_and_one_that_leaves_is_not() {
    let server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let path = folder.join("rules.yml");
        std::fs::write(&path, RULES).expect("the test's folder can be written");
        vec!["--rules".into(), path.display().to_string()]
    })
    .await;
    let (client, url) = (server.client(), server.url());
    let (mut dies, mut leaves, _stays) = (agent(&url, "dies"), agent(&url, "leaves"), agent(&url, "stays"));
    eventually(Duration::from_secs(30), "three hosts are up", || async {
        client.vector("up{job=\"node\"} == 1").await.len() == 3
    })
    .await;

    dies.kill();
    assert!(leaves.stop(), "an agent ends well");
    eventually(Duration::from_secs(10), "the one that left is known to have", || async {
        state(&client, "leaves").await.as_deref() == Some("left")
    })
    .await;
    eventually(Duration::from_secs(60), "the one that died is missed", || async {
        missing(&client).await == ["dies"]
    })
    .await;
    assert_eq!(state(&client, "dies").await.as_deref(), Some("lost"));
    let left = client.vector("up{instance=\"leaves\"}").await;
    assert!(left.is_empty(), "its series has ended, it is not 0: {left:?}");

    dies.restart();
    eventually(Duration::from_secs(30), "it is back", || async { missing(&client).await.is_empty() }).await;
    assert_eq!(state(&client, "dies").await.as_deref(), Some("up"));
}
