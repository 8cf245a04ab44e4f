//! How many samples and lines does one CPU decode in a second?
//!
//! Corpus, made here: remote write requests of 2,000 series with 8 labels each (names and values as
//! long as node_exporter's with Kubernetes labels) and one sample a series; OTLP requests of 2,000
//! lines of 146 bytes in 8 streams. No randomness but a fixed multiplier, so runs are comparable.
//! Bodies are decoded into a reused batch, without decompression and without storing. Caveat:
//! everything stays in the processor's cache here.
//!
//! `cargo bench -p wire`

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use model::{Labels, LogBatch, MetricBatch};
use std::time::{Duration, Instant};
use wire::{LogOptions, otlp, remote_write};

const SERIES: usize = 2_000;
const LINES: usize = 2_000;

fn metrics() -> MetricBatch {
    let mut batch = MetricBatch::default();
    for i in 0..SERIES {
        let labels = Labels::from_pairs([
            ("__name__", format!("node_network_receive_bytes_{}_total", i % 100)),
            ("cluster", "eu-west-1-production".to_owned()),
            ("container", format!("container-{}", i % 7)),
            ("device", format!("eth{}", i % 5)),
            ("instance", format!("10.23.{}.{}:9100", i % 250, i % 13)),
            ("job", "kubernetes-nodes".to_owned()),
            ("namespace", format!("namespace-{}", i % 17)),
            ("pod", format!("node-exporter-{:x}", i.wrapping_mul(2_654_435_761) & 0xffff_ffff)),
        ]);
        batch.begin_with(labels.as_ref());
        batch.sample(1_700_000_000_000 + i as i64, 0, i as f64 * 1.5);
    }
    batch
}

fn logs() -> LogBatch {
    let mut batch = LogBatch::default();
    for stream in 0..8 {
        let labels = Labels::from_pairs([
            ("host", "host-17".to_owned()),
            ("job", format!("job-{stream}")),
            ("path", format!("/var/log/app-{stream}.log")),
        ]);
        batch.begin_with(labels.as_ref());
        for i in 0..LINES / 8 {
            let line = format!(
                "2026-11-23T10:15:{:02}.{:03}Z INFO  [worker-{}] request finished path=/api/v1/items/{} \
                 status=200 bytes={} duration_ms={} peer=10.1.2.{}",
                i % 60,
                i % 1000,
                i % 9,
                i * 7919,
                i * 31,
                i % 400,
                i % 250
            );
            batch.entry(1_700_000_000_000_000_000 + i as i64, &line, Labels::empty().as_ref());
        }
    }
    batch
}

/// Runs `decode` for a second and prints items a second and nanoseconds an item.
fn measure(name: &str, items: usize, bytes: usize, mut decode: impl FnMut()) {
    decode();
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_secs(1) {
        decode();
        rounds += 1;
    }
    let seconds = start.elapsed().as_secs_f64() / f64::from(rounds);
    let per_second = items as f64 / seconds / 1e6;
    let nanos = seconds * 1e9 / items as f64;
    let megabytes = bytes as f64 / seconds / 1e6;
    println!("{name:24} {per_second:8.2} M items/s {nanos:8.1} ns/item {megabytes:8.0} MB/s");
}

fn main() {
    let (source, mut batch) = (metrics(), MetricBatch::default());
    let (mut v1, mut v2, mut otlp_logs) = (Vec::new(), Vec::new(), Vec::new());
    remote_write::encode_v1(&source, &mut v1);
    remote_write::encode_v2(&source, &mut v2);
    measure("remote write 1.0", SERIES, v1.len(), || {
        remote_write::decode_v1(&v1, &mut batch).expect("decodes");
    });
    measure("remote write 2.0", SERIES, v2.len(), || {
        remote_write::decode_v2(&v2, &mut batch).expect("decodes");
    });
    let mut out = Vec::new();
    measure("encode remote write 2.0", SERIES, v2.len(), || {
        out.clear();
        remote_write::encode_v2(&source, &mut out);
    });
    let (source, mut batch) = (logs(), LogBatch::default());
    otlp::encode_logs(&source, &mut otlp_logs);
    for enrich in [false, true] {
        let options = LogOptions { now_ns: 0, enrich };
        let name = if enrich { "otlp logs, enriched" } else { "otlp logs" };
        measure(name, LINES, otlp_logs.len(), || {
            let rule = otlp::LabelRule::AllResourceAttributes;
            otlp::decode_logs(&otlp_logs, rule, options, &mut batch).expect("decodes");
        });
    }
}
