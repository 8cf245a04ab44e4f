//! Question: what do a dashboard's queries cost inside the engine, without a server around it?
//!
//! Corpus: a store's folder in `BELLWETHER_DIR`, such as `metrics` of an aggregator's data that
//! `loadgen metrics` has filled; it is opened as a server would open it, so give it a copy. Queries end
//! at `BELLWETHER_END` (Unix seconds) and are asked `BELLWETHER_ROUNDS` (9) times; `BELLWETHER_ONLY`
//! names part of a query. Seed: none, nothing is random.
//! Caveats: wall times vary with what else runs; CPU is that of all threads. One round, of which CPU time
//! is not measured, under callgrind gives counts that repeat.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench reports and stops"
)]

use disk::Dir;
use promql::{EvalOptions, ParseOptions, QueryValue, instant, parse, range};
use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;
use store::QueryContext;
use tsdb::{Tsdb, TsdbOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HOUR_MS: i64 = 3_600_000;
/// Name, expression, hours back, step in seconds; a step of 0 is an instant query. Those of
/// `tests/bench/queries.py`.
const QUERIES: [(&str, &str, i64, i64); 13] = [
    ("cpu by host, 1 h", "sum by (instance)(rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))", 1, 15),
    ("cpu by host, 6 h", "sum by (instance)(rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))", 6, 60),
    ("cpu by host, 24 h", "sum by (instance)(rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))", 24, 300),
    (
        "cpu of some hosts, 24 h",
        "sum by (mode)(rate(node_cpu_seconds_total{instance=~\".*17.*\"}[5m]))",
        24,
        60,
    ),
    ("p99 over hosts, 1 h", "quantile(0.99, node_load1)", 1, 15),
    ("p99 over hosts, 24 h", "quantile(0.99, node_load1)", 24, 300),
    (
        "top 5 by traffic, 1 h",
        "topk(5, sum by (instance)(rate(node_network_receive_bytes_total[5m])))",
        1,
        15,
    ),
    ("memory share, 6 h", "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", 6, 60),
    (
        "join with uname, 1 h",
        "node_load1 * on (instance) group_left (release, nodename) node_uname_info",
        1,
        15,
    ),
    ("regex on name, 1 h", "sum by (__name__)({__name__=~\"node_netstat_Tcp.*\"})", 1, 60),
    (
        "regex on label, 6 h",
        "sum by (device)(rate(node_disk_io_time_seconds_total{device=~\"[sv]d.+\"}[5m]))",
        6,
        60,
    ),
    ("max over time, 24 h", "max by (instance)(max_over_time(node_load5[1h]))", 24, 300),
    ("count of everything, now", "count({__name__=~\".+\"})", 0, 0),
];

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i64>().ok());
    let (Ok(folder), Some(end)) = (std::env::var("BELLWETHER_DIR"), number("BELLWETHER_END")) else {
        println!("set BELLWETHER_DIR and BELLWETHER_END to measure");
        return;
    };
    let rounds = number("BELLWETHER_ROUNDS").unwrap_or(9).max(1);
    let only = std::env::var("BELLWETHER_ONLY").unwrap_or_default();
    let store = Tsdb::open(Dir::real(folder).unwrap(), TsdbOptions::default(), end * 1000).unwrap();
    for (name, expression, hours, step) in QUERIES.into_iter().filter(|query| query.0.contains(&only)) {
        let mut took = Vec::new();
        // Asking for it crashes under callgrind.
        let cpu = || if rounds > 1 { process_cpu() } else { 0.0 };
        let (mut elements, cpu_before) = (0, cpu());
        for _ in 0..rounds {
            let begun = Instant::now();
            elements = ask(&store, expression, end * 1000, hours, step);
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let cpu_ms = (cpu() - cpu_before) * 1e3 / rounds as f64;
        took.sort_by(f64::total_cmp);
        let median_ms = took[took.len() / 2];
        println!("{name:28} {median_ms:8.1} ms, best {:8.1}, CPU {cpu_ms:8.1}, {elements} series", took[0]);
    }
}

/// The number of series of the answer.
fn ask(store: &Tsdb, expression: &str, end_ms: i64, hours: i64, step: i64) -> usize {
    let expr = parse(expression, &ParseOptions::default()).unwrap();
    let (options, context) = (EvalOptions::default(), QueryContext::default());
    let answer = match step {
        0 => instant(&expr, end_ms, store, &options, &context),
        step => range(&expr, end_ms - hours * HOUR_MS, end_ms, step * 1000, store, &options, &context),
    };
    match answer.unwrap().value {
        QueryValue::Matrix(matrix) => matrix.len(),
        QueryValue::Vector(vector) => vector.len(),
        _ => 1,
    }
}

fn process_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
