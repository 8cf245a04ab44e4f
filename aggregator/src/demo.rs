//! The demo: the aggregator, an agent for this host, and a small application log that writes
//! itself, so that there is something to look at and something to search.

use crate::config::Config;
use anyhow::Context;
use bellwether_agent::{Agent, AgentConfig, Destination, SourceConfig};
use daemon::{Shutdown, clock};
use rand::{RngExt, seq::IndexedRandom};
use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Between two collections, so that graphs move from the start.
const AGENT_INTERVAL: Duration = Duration::from_secs(5);
/// Between two lines of the demo's log.
const LINE_PAUSE: Duration = Duration::from_millis(400);
/// The demo's log is rotated beyond this size; one rotated file is kept.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// One line in this many is an error.
const ERROR_EVERY: u32 = 40;

/// Runs until a signal.
pub(crate) async fn run(config: Config, more_logs: Vec<String>) -> anyhow::Result<()> {
    let signal = Shutdown::on_signals().context("failed to listen for signals")?;
    // The agent ends first, while the server still listens, so that its goodbye is heard.
    let server_stop = Shutdown::new();
    let data_dir = config.data_dir.0.clone();
    let log = data_dir.join("demo").join("shop.log");
    let server = crate::start(config, &server_stop).await?;
    let writer = tokio::spawn(write_log(log.clone(), signal.clone()));
    let agent = Agent::start(agent_config(server.address, &data_dir, &log, more_logs), signal.clone());
    let agent = agent.await.context("failed to start the agent")?;
    announce(server.address, &data_dir, &log)?;
    signal.wait().await;
    agent.join().await;
    writer.await?.context("the demo's log could not be written")?;
    server_stop.trigger();
    server.join().await
}

/// An agent for this host that ships to `server`.
#[allow(clippy::field_reassign_with_default, reason = "the configuration has private fields")]
fn agent_config(server: SocketAddr, data_dir: &Path, log: &Path, more_logs: Vec<String>) -> AgentConfig {
    let mut config = AgentConfig::default();
    config.destinations = vec![Destination { url: format!("http://{server}"), ..Destination::default() }];
    config.data_dir = data_dir.join("agent");
    config.interval = AGENT_INTERVAL;
    let own = SourceConfig {
        paths: vec![log.display().to_string()],
        labels: [("app".to_owned(), "shop".to_owned())].into(),
        ..SourceConfig::default()
    };
    config.logs.sources.push(own);
    if !more_logs.is_empty() {
        config.logs.sources.push(SourceConfig { paths: more_logs, ..SourceConfig::default() });
    }
    config
}

fn announce(address: SocketAddr, data_dir: &Path, log: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Bellwether demo\n")?;
    writeln!(out, "  page            http://{address}/")?;
    writeln!(
        out,
        "  Grafana         add http://{address} as a Prometheus, a Loki and an Alertmanager data source"
    )?;
    writeln!(out, "  data            {}", data_dir.display())?;
    writeln!(out, "  a followed log  {}", log.display())?;
    writeln!(out, "\nCtrl-C stops it; starting again shows what was stored.")?;
    out.flush()?;
    Ok(())
}

/// Appends lines to the demo's log until `shutdown`.
async fn write_log(path: PathBuf, shutdown: Shutdown) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    loop {
        append_line(&path, &line())?;
        tokio::select! {
            () = tokio::time::sleep(LINE_PAUSE) => {}
            () = shutdown.wait() => return Ok(()),
        }
    }
}

fn append_line(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() > LOG_BYTES_MAX {
        drop(file);
        rotate(path)?;
        file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    }
    file.write_all(line.as_bytes())
}

#[allow(
    clippy::disallowed_methods,
    reason = "rotates a log file as logrotate would; nothing durable hangs on it"
)]
fn rotate(path: &Path) -> std::io::Result<()> {
    std::fs::rename(path, path.with_extension("log.1"))
}

/// One line of a pretended shop, in logfmt.
fn line() -> String {
    const PATHS: [&str; 5] = ["/cart", "/checkout", "/items", "/search", "/login"];
    const FAILURES: [&str; 3] =
        ["upstream timed out", "connection refused by database", "payment provider answered 502"];
    let mut rng = rand::rng();
    let at = jiff::Timestamp::from_millisecond(clock::now_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let path = PATHS.choose(&mut rng).copied().unwrap_or("/");
    let trace: u64 = rng.random();
    let milliseconds = rng.random_range(2..180);
    if rng.random_range(0..ERROR_EVERY) == 0 {
        let failure = FAILURES.choose(&mut rng).copied().unwrap_or("failed");
        return format!(
            "ts={at} level=ERROR method=POST path={path} status=500 duration={milliseconds}ms trace_id={trace:016x} msg=\"{failure}\"\n"
        );
    }
    format!(
        "ts={at} level=INFO method=GET path={path} status=200 duration={milliseconds}ms trace_id={trace:016x} msg=\"request served\"\n"
    )
}
