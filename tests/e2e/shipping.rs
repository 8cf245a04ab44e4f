//! The agent and the aggregator together: quickly, exactly once, through kills and outages.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};
use tests::{Agent, Aggregator, Client, eventually};

fn config(url: &str) -> String {
    format!(
        r#"
data_dir: {{dir}}/data
instance: host-1
interval: 1s
destinations: [{{url: '{url}'}}]
logs:
  sources:
    - paths: ['{{dir}}/app.log']
      from: beginning
      labels: {{app: seq}}
"#
    )
}

/// Appends numbered lines to a file that is rotated by renaming.
struct Sequence {
    path: PathBuf,
    next: u64,
}

impl Sequence {
    fn new(agent: &Agent) -> Self {
        Sequence { path: agent.folder().join("app.log"), next: 0 }
    }

    fn write(&mut self, count: u64) {
        let mut file = File::options().create(true).append(true).open(&self.path).expect("a log file");
        for _ in 0..count {
            writeln!(file, "seq={} {}", self.next, "x".repeat(40)).expect("the log can be written");
            self.next += 1;
        }
    }

    #[allow(clippy::disallowed_methods, reason = "rotates as logrotate does")]
    fn rotate(&self) {
        std::fs::rename(&self.path, self.path.with_extension("log.1")).expect("the log can be renamed");
    }

    /// Waits until every line is stored, then checks that each is there once and whole.
    async fn check(&self, client: &Client) {
        let total = self.next;
        let query = "sum(count_over_time({app=\"seq\"}[1h]))";
        eventually(Duration::from_secs(60), "all lines arrive", || async {
            let answer = client.json("/loki/api/v1/query", &[("query", query)]).await;
            answer["data"]["result"][0]["value"][1]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
                >= total
        })
        .await;
        let mut seen = BTreeMap::new();
        for (_, line) in client.lines("{app=\"seq\"}").await {
            let number = line
                .strip_prefix("seq=")
                .and_then(|rest| rest.split(' ').next())
                .and_then(|text| text.parse::<u64>().ok());
            let number = number.unwrap_or_else(|| panic!("a split line: {line}"));
            assert!(line.ends_with(&"x".repeat(40)), "a cut line: {line}");
            *seen.entry(number).or_insert(0) += 1;
        }
        let doubled: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
        assert_eq!(seen.len() as u64, total, "lost some of {total} lines");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_found_within_two_seconds() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let agent = Agent::start(&config(&server.url()), &[]);
    let client = server.client();
    let mut log = Sequence::new(&agent);
    log.write(1);
    eventually(Duration::from_secs(20), "the first line arrives", || async {
        !client.lines("{app=\"seq\"}").await.is_empty()
    })
    .await;
    let mut slowest = Duration::ZERO;
    for n in 1..4u64 {
        log.write(1);
        let written = Instant::now();
        let needle = format!("{{app=\"seq\"}} |= \"seq={n} \"");
        eventually(Duration::from_secs(10), "the line is found", || async {
            !client.lines(&needle).await.is_empty()
        })
        .await;
        slowest = slowest.max(written.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "found after {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_agent_lose_and_double_no_line() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let mut agent = Agent::start(&config(&server.url()), &[]);
    let mut log = Sequence::new(&agent);
    for round in 0..4u64 {
        log.write(200);
        tokio::time::sleep(Duration::from_millis(150 * (round + 1))).await;
        log.write(50);
        agent.kill();
        log.write(50);
        if round == 1 {
            log.rotate();
            log.write(50);
        }
        agent.restart();
    }
    log.check(&server.client()).await;
}

/// Seconds between consecutive samples of a series, as stored.
async fn gaps(client: &Client, selector: &str, window: &str) -> Vec<f64> {
    let answer = client.json("/api/v1/query", &[("query", &format!("{selector}[{window}]"))]).await;
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let times: Vec<f64> = values.iter().filter_map(|pair: &Value| pair[0].as_f64()).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_the_aggregator_leaves_no_gap() {
    let mut server = Aggregator::start(&["--no-shipped-rules"]).await;
    let agent = Agent::start(&config(&server.url()), &[]);
    let mut log = Sequence::new(&agent);
    log.write(100);
    let client = server.client();
    eventually(Duration::from_secs(20), "metrics arrive", || async {
        !client.vector("node_load1").await.is_empty()
    })
    .await;
    server.kill();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        log.write(10);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    log.rotate();
    log.write(20);
    server.restart().await;
    log.check(&client).await;
    eventually(Duration::from_secs(60), "the spool is drained", || async {
        gaps(&client, "node_load1", "2m").await.len() > 60
    })
    .await;
    // Collection goes on every second; a tick may be late on a busy machine, none may be missing.
    eventually(Duration::from_secs(30), "no gap is left", || async {
        gaps(&client, "node_load1", "2m").await.iter().all(|gap| *gap < 2.5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_ends_up_and_a_kill_makes_it_zero() {
    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let client = server.client();
    let mut agent = Agent::start(&config(&server.url()), &[]);
    let up = "up{instance=\"host-1\"}";
    eventually(Duration::from_secs(30), "up is 1", || async {
        client.vector(up).await.first().is_some_and(|found| found.1 == 1.0)
    })
    .await;
    agent.kill();
    eventually(Duration::from_secs(40), "up is 0", || async {
        client.vector(up).await.first().is_some_and(|found| found.1 == 0.0)
    })
    .await;
    agent.restart();
    eventually(Duration::from_secs(30), "up is 1 again", || async {
        client.vector(up).await.first().is_some_and(|found| found.1 == 1.0)
    })
    .await;
    assert!(agent.stop(), "the agent ends well");
    eventually(Duration::from_secs(30), "up has ended", || async { client.vector(up).await.is_empty() })
        .await;
}
