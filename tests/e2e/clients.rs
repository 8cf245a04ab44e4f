//! The real clients of that world, from Debian's packages: promtool, amtool, Prometheus.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tests::{Agent, Aggregator, Client, eventually, find_tool, free_port, run_binary, skip};

/// Runs a tool to its end; its standard output when it succeeded.
fn tool(name: &str, args: &[&str], input: Option<&str>) -> Result<String, String> {
    let path = find_tool(name).ok_or_else(|| format!("{name} is not installed"))?;
    let mut child = Command::new(path)
        .args(args)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        std::io::Write::write_all(&mut pipe, input.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{name} {args:?}: {}{}", text(&output.stdout), text(&output.stderr)))
    }
}

async fn with_metrics() -> (Aggregator, Agent) {
    with_agent("").await
}

/// An aggregator, and an agent with further lines of configuration that ships to it.
async fn with_agent(more: &str) -> (Aggregator, Agent) {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let config = format!(
        "data_dir: {{dir}}/data\ninstance: host-1\ninterval: 1s\ndestinations: [{{url: '{}'}}]\n{more}",
        server.url()
    );
    let agent = Agent::start(&config, &[]);
    let client = server.client();
    eventually(Duration::from_secs(20), "metrics arrive", || async {
        !client.vector("node_load1").await.is_empty()
    })
    .await;
    (server, agent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_asks_and_lints() {
    if find_tool("promtool").is_none() {
        return skip("promtool is not installed");
    }
    let pages = format!("127.0.0.1:{}", free_port());
    let (server, _agent) = with_agent(&format!("listen: {pages}\n")).await;
    let url = server.url();
    let instant = tool("promtool", &["query", "instant", &url, "count(node_cpu_seconds_total) > 0"], None)
        .expect("instant");
    assert!(instant.contains("=>"), "{instant}");
    let range =
        tool("promtool", &["query", "range", "--step", "15s", &url, "node_load1"], None).expect("range");
    assert!(range.contains("host-1"), "{range}");
    let series = tool("promtool", &["query", "series", "--match", "node_load1", &url], None).expect("series");
    assert!(series.contains("node_load1"), "{series}");
    let labels = tool("promtool", &["query", "labels", &url, "instance"], None).expect("labels");
    assert!(labels.contains("host-1"), "{labels}");
    let error = tool("promtool", &["query", "instant", &url, "sum("], None).expect_err("a bad query fails");
    assert!(error.contains("parse error"), "{error}");

    let own = server.client().get("/metrics", &[]).await.1;
    tool("promtool", &["check", "metrics"], Some(&own)).expect("the aggregator's metrics are clean");
    let page = Client::new(&format!("http://{pages}")).get("/metrics", &[]).await.1;
    check_node_metrics(&page);
    let (code, collected, error) = run_binary("bellwether-agent", &["--print-metrics"]);
    assert_eq!(code, 0, "{error}");
    check_node_metrics(&collected);
}

/// What node_exporter itself names against the linter's taste is ours to keep; nothing else.
fn check_node_metrics(text: &str) {
    assert!(text.contains("node_cpu_seconds_total"), "{text}");
    if let Err(complaints) = tool("promtool", &["check", "metrics"], Some(text)) {
        let ours: Vec<_> = complaints.lines().skip(1).filter(|line| !is_node_exporters_own(line)).collect();
        assert!(ours.is_empty(), "{ours:#?}");
    }
}

/// Complaints that promtool has about node_exporter's own names, too.
fn is_node_exporters_own(line: &str) -> bool {
    let known = [
        "non-counter metrics should not have",
        "counter metrics should have",
        "use base unit",
        "camelCase",
        "abbreviated units",
        "should not contain",
    ];
    line.starts_with("node_") && known.iter().any(|complaint| line.contains(complaint))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amtool_lists_alerts_and_keeps_silences() {
    if find_tool("amtool").is_none() {
        return skip("amtool is not installed");
    }
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let url = format!("--alertmanager.url={}", server.url());
    tool("amtool", &[&url, "alert", "add", "alertname=Smoke", "severity=critical", "instance=h1"], None)
        .expect("alert add");
    let alerts = tool("amtool", &[&url, "alert", "query"], None).expect("alert query");
    assert!(alerts.contains("Smoke"), "{alerts}");
    let silence = ["silence", "add", "--author=me", "--comment=test", "--duration=1h", "alertname=Smoke"];
    let id = tool("amtool", &[&[url.as_str()], &silence[..]].concat(), None).expect("silence add");
    let listed = tool("amtool", &[&url, "silence", "query"], None).expect("silence query");
    assert!(listed.contains(id.trim()), "{listed}");
    eventually(Duration::from_secs(5), "the alert is silenced", || async {
        tool("amtool", &[&url, "alert", "query"], None).is_ok_and(|alerts| !alerts.contains("Smoke"))
    })
    .await;
    let silenced =
        tool("amtool", &[&url, "alert", "query", "--silenced"], None).expect("alert query --silenced");
    assert!(silenced.contains("Smoke"), "{silenced}");
    tool("amtool", &[&url, "silence", "expire", id.trim()], None).expect("silence expire");
    let listed = tool("amtool", &[&url, "silence", "query"], None).expect("silence query");
    assert!(!listed.contains(id.trim()), "{listed}");
}

/// A Prometheus of Debian's on loopback, killed when dropped.
pub(super) struct Prometheus(Child, u16);

impl Prometheus {
    fn start(folder: &Path, config: &str) -> Self {
        Self::start_with(folder, config, &[])
    }

    /// With further arguments.
    pub(super) fn start_with(folder: &Path, config: &str, args: &[&str]) -> Self {
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).expect("the test's folder can be written");
        let port = free_port();
        let child = Command::new(find_tool("prometheus").expect("looked for before"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Prometheus can be started");
        Prometheus(child, port)
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.1)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            self.0.wait().expect("a killed child can be waited for");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_writes_to_us_and_scrapes_our_federation() {
    if find_tool("prometheus").is_none() {
        return skip("prometheus is not installed");
    }
    let (server, _agent) = with_metrics().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        r#"
global: {{scrape_interval: 1s}}
remote_write: [{{url: '{url}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]
scrape_configs:
  - job_name: federated
    honor_labels: true
    metrics_path: /federate
    params: {{'match[]': ['{{__name__=~"node_load.*"}}']}}
    static_configs: [{{targets: ['127.0.0.1:{port}']}}]
  - job_name: aggregator
    static_configs: [{{targets: ['127.0.0.1:{port}']}}]
"#,
        url = server.url(),
        port = server.port
    );
    let prometheus = Prometheus::start(folder.path(), &config);
    let theirs = Client::new(&prometheus.url());
    let ours = server.client();
    eventually(Duration::from_secs(60), "Prometheus' own scrape is written to us", || async {
        !ours.vector("scrape_duration_seconds{job=\"aggregator\"}").await.is_empty()
    })
    .await;
    eventually(Duration::from_secs(60), "Prometheus has scraped the federated series", || async {
        let found = theirs.vector("node_load1{instance=\"host-1\"}").await;
        found.len() == 1
    })
    .await;
    assert_eq!(theirs.vector("up{job=\"aggregator\"}").await[0].1, 1.0);
}
