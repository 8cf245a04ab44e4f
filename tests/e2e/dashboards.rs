//! Every expression that we ship has data on a live server, or at least evaluates.

use serde_json::Value;
use std::{path::PathBuf, time::Duration};
use tests::{Aggregator, Client, eventually, repository_root};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = repository_root().join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is shipped")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// Every target of every panel, rows opened: (data source type, expression).
fn targets(panels: &Value, found: &mut Vec<(String, String)>) {
    for panel in panels.as_array().into_iter().flatten() {
        targets(&panel["panels"], found);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let source = target["datasource"]["type"]
                .as_str()
                .or(panel["datasource"]["type"].as_str())
                .unwrap_or("prometheus");
            if let Some(expression) = target["expr"].as_str() {
                found.push((source.to_owned(), expression.to_owned()));
            }
        }
    }
}

/// As Grafana fills its variables in, with everything selected.
fn fill(expression: &str) -> String {
    let mut text = expression.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "1m"),
        ("$__interval", "15s"),
        ("$__range", "5m"),
        ("$__auto", "1m"),
        ("${job}", ".+"),
        ("$job", ".+"),
        ("${instance}", ".+"),
        ("$instance", ".+"),
        ("$host", ".+"),
    ] {
        text = text.replace(variable, value);
    }
    text.replace("=\".+\"", "=~\".+\"")
}

async fn has_data(client: &Client, source: &str, expression: &str) -> bool {
    let path = if source == "loki" { "/loki/api/v1/query_range" } else { "/api/v1/query" };
    let (status, text) = client.get(path, &[("query", expression)]).await;
    assert_eq!(status, 200, "{expression}: {text}");
    let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
    answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shipped_expression_works_on_a_live_server() {
    let server = Aggregator::demo(&[]).await;
    let client = server.client();
    eventually(Duration::from_secs(30), "rates have data", || async {
        !client.vector("rate(node_cpu_seconds_total[1m])").await.is_empty()
    })
    .await;

    let mut silent = Vec::new();
    for file in files("dashboards", "json") {
        let dashboard: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).expect("a dashboard is text"))
                .expect("a dashboard is JSON");
        let mut found = Vec::new();
        targets(&dashboard["panels"], &mut found);
        assert!(found.len() > 3, "{}: hardly any panels", file.display());
        for (source, expression) in found {
            let filled = fill(&expression);
            assert!(!filled.contains('$'), "an unknown variable in `{expression}`");
            // A scaling policy that found no data yet decides again after half a minute.
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            while !has_data(&client, &source, &filled).await {
                if tokio::time::Instant::now() > deadline {
                    silent.push(format!("{}: {expression}", file.display()));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
    assert!(silent.is_empty(), "no data for:\n{}", silent.join("\n"));

    // Nothing had been stored when the server started: packs go on when their metrics arrive.
    for (pack, is_on) in
        [("self", true), ("host", true), ("agents", true), ("logs", true), ("postgresql", false)]
    {
        eventually(Duration::from_secs(60), "packs with something to watch are on", || async {
            let packs = client.json("/api/bellwether/v1/packs", &[]).await;
            let mut packs = packs.as_array().into_iter().flatten();
            packs.any(|view| view["name"] == pack && view["on"] == is_on)
        })
        .await;
    }
    eventually(Duration::from_secs(30), "the rules of a pack that is on are loaded", || async {
        let rules = client.json("/api/v1/rules", &[("rule_name[]", "DiskFull")]).await;
        rules["data"]["groups"].as_array().is_some_and(|groups| !groups.is_empty())
    })
    .await;
    eventually(Duration::from_secs(90), "every shipped rule has been evaluated", || async {
        let rules = client.json("/api/v1/rules", &[]).await;
        let all = rules["data"]["groups"].as_array().cloned().unwrap_or_default();
        all.iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .all(|rule| rule["health"] != "unknown")
    })
    .await;
    let rules = client.json("/api/v1/rules", &[]).await;
    let all = rules["data"]["groups"].as_array().cloned().unwrap_or_default();
    let failing: Vec<_> = all
        .iter()
        .filter_map(|group| group["rules"].as_array())
        .flatten()
        .filter(|rule| rule["health"] != "ok")
        .collect();
    assert!(failing.is_empty(), "{failing:#?}");
}
