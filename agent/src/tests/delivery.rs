//! Outages, refusals, fallbacks, restarts: what is read is stored once, or counted.

use super::receiver::{Answer, Receiver};
use crate::{Agent, AgentConfig, AgentHandle};
use daemon::Shutdown;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};

pub(super) fn append(path: &Path, lines: &[String]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes()).unwrap();
}

/// Lines that say which they are.
pub(super) fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|i| format!("line {i:06}")).collect()
}

pub(super) struct Running {
    pub(super) handle: AgentHandle,
    pub(super) shutdown: Shutdown,
}

pub(super) async fn start(config: AgentConfig) -> Running {
    let shutdown = Shutdown::new();
    let handle = Agent::start(config, shutdown.clone()).await.unwrap();
    Running { handle, shutdown }
}

impl Running {
    pub(super) async fn stop(self) {
        self.shutdown.trigger();
        self.handle.join().await;
    }

    /// As a crash leaves it: nothing is finished, nothing said.
    pub(super) async fn kill(self) {
        self.handle.kill.trigger();
        self.handle.join().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_logs_arrive_and_the_end_says_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let log = folder.path().join("logs/a.log");
    append(&log, &numbered(0, 100));
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for_lines(100).await;
    append(&log, &numbered(100, 200));
    let counters = running.handle.counters.clone();
    running.stop().await;

    assert_eq!(receiver.lines(), numbered(0, 200));
    let stored = receiver.stored();
    let times: Vec<i64> = stored.lines["a.log"].iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "unique and ascending");
    assert_eq!(stored.goodbyes, 1);
    let load = &stored.samples["node_load1"];
    assert!(
        load.len() >= 2 && model::is_stale(load.last().unwrap().1),
        "series end at a clean end: {load:?}"
    );
    let counters = counters.destination(&counters.names()[0]);
    assert_eq!((counters.lines_read.get(), counters.lines_acknowledged.get()), (200, 200));
    assert_eq!(counters.samples_read.get(), counters.samples_acknowledged.get());
    assert_eq!(counters.lines_lost.total() + counters.samples_lost.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_delays_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let log = folder.path().join("logs/a.log");
    *receiver.outage.lock().unwrap() = Some(Answer::Status(503));
    let running = start(receiver.config(folder.path())).await;
    for i in 0..10 {
        append(&log, &numbered(i * 50, i * 50 + 50));
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(receiver.lines().is_empty());
    let counters = running.handle.counters.clone();
    let waiting = counters.destination(&counters.names()[0]);
    let (bytes, oldest_ms) = (waiting.spool_bytes.get(), waiting.spool_oldest_ms.get());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(oldest_ms > 0 && waiting.spool_oldest_ms.get() == oldest_ms, "{oldest_ms}");
    assert!(waiting.spool_bytes.get() > bytes, "what is collected meanwhile waits too");
    *receiver.outage.lock().unwrap() = None;
    receiver.wait_for_lines(500).await;
    receiver
        .wait_for("samples of the outage", |stored| {
            stored.samples.get("node_load1").is_some_and(|s| s.len() > 3)
        })
        .await;
    receiver
        .wait_for("an empty spool", |_| (waiting.spool_bytes.get(), waiting.spool_oldest_ms.get()) == (0, 0))
        .await;
    running.stop().await;
    assert_eq!(receiver.lines(), numbered(0, 500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_stores_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    append(&folder.path().join("logs/a.log"), &numbered(0, 300));
    *receiver.outage.lock().unwrap() = Some(Answer::StoreAndFail);
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for("a repetition", |stored| stored.repetitions >= 2).await;
    *receiver.outage.lock().unwrap() = None;
    append(&folder.path().join("logs/a.log"), &numbered(300, 400));
    receiver.wait_for_lines(400).await;
    running.stop().await;
    assert_eq!(receiver.lines(), numbered(0, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_receivers_get_older_forms() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    *receiver.encodings.lock().unwrap() = Some(vec!["snappy", "gzip"]);
    *receiver.only_v1.lock().unwrap() = true;
    append(&folder.path().join("logs/a.log"), &numbered(0, 10));
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for_lines(10).await;
    receiver
        .wait_for("samples", |stored| stored.samples.get("node_load1").is_some_and(|s| s.len() >= 2))
        .await;
    running.stop().await;
    assert_eq!(receiver.lines(), numbered(0, 10));
    let stored = receiver.stored();
    let refused = stored.forms.iter().filter(|(_, encoding)| encoding == "zstd").count();
    assert_eq!(refused, 2, "the form is remembered: one for samples, one for lines: {:?}", stored.forms);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_find_nothing_in_a_new_form_get_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    *receiver.takes_v2_for_v1.lock().unwrap() = true;
    let running = start(receiver.config(folder.path())).await;
    receiver
        .wait_for("samples", |stored| stored.samples.get("node_load1").is_some_and(|s| s.len() >= 3))
        .await;
    let counters = running.handle.counters.clone();
    running.stop().await;
    let counters = counters.destination(&counters.names()[0]);
    assert_eq!(counters.samples_read.get(), counters.samples_acknowledged.get());
    let stored: usize = receiver.stored().samples.values().map(Vec::len).sum();
    assert_eq!(stored as u64, counters.samples_read.get(), "from the first on");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poisoned_line_costs_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    *receiver.poison.lock().unwrap() = Some("line 000123".to_owned());
    append(&folder.path().join("logs/a.log"), &numbered(0, 500));
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for_lines(499).await;
    let counters = running.handle.counters.clone();
    running.stop().await;
    let expected: Vec<String> = numbered(0, 500).into_iter().filter(|line| line != "line 000123").collect();
    assert_eq!(receiver.lines(), expected);
    let counters = counters.destination(&counters.names()[0]);
    assert_eq!(counters.lines_lost.total(), 1);
    assert_eq!(counters.lines_read.get(), counters.lines_acknowledged.get() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_goes_on_exactly_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let log = folder.path().join("logs/a.log");
    append(&log, &numbered(0, 100));
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for_lines(100).await;
    // Whatever comes now is stored, but the agent never hears of it before it dies.
    *receiver.outage.lock().unwrap() = Some(Answer::StoreAndFail);
    append(&log, &numbered(100, 200));
    receiver.wait_for_lines(200).await;
    running.kill().await;
    append(&log, &numbered(200, 250));
    *receiver.outage.lock().unwrap() = None;
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for_lines(250).await;
    running.stop().await;
    assert_eq!(receiver.lines(), numbered(0, 250), "none lost, none doubled");
    assert!(receiver.stored().repetitions > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_time_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let log = folder.path().join("logs/a.log");
    let mut written = 0;
    for round in 0..8u64 {
        let outage = (round % 3 == 1)
            .then_some(Answer::StoreAndFail)
            .or((round % 3 == 2).then_some(Answer::Status(503)));
        *receiver.outage.lock().unwrap() = outage;
        let running = start(receiver.config(folder.path())).await;
        for step in 0..4 {
            append(&log, &numbered(written, written + 25));
            written += 25;
            tokio::time::sleep(Duration::from_millis(20 + 37 * (round + step) % 90)).await;
        }
        running.kill().await;
    }
    *receiver.outage.lock().unwrap() = None;
    let running = start(receiver.config(folder.path())).await;
    receiver.wait_for_lines(written).await;
    running.stop().await;
    assert_eq!(receiver.lines(), numbered(0, written));
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_wait_on_disk_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    *receiver.outage.lock().unwrap() = Some(Answer::Status(500));
    let running = start(receiver.config(folder.path())).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    running.kill().await;
    let restarted_at = daemon::clock::now_ms();
    *receiver.outage.lock().unwrap() = None;
    let running = start(receiver.config(folder.path())).await;
    receiver
        .wait_for("samples", |stored| stored.samples.get("node_load1").is_some_and(|s| s.len() >= 4))
        .await;
    running.stop().await;
    let stored = receiver.stored();
    let early = stored.samples["node_load1"].iter().filter(|(time, _)| *time < restarted_at).count();
    assert!(early >= 2, "samples of the first run arrive after the second start: {early}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_belongs_to_one_agent() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let running = start(receiver.config(folder.path())).await;
    let error = Agent::start(receiver.config(folder.path()), Shutdown::new()).await.unwrap_err().to_string();
    assert!(error.contains("another agent uses it"), "{error}");
    running.stop().await;
    start(receiver.config(folder.path())).await.stop().await;
}
