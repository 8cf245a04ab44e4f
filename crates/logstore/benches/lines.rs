//! What does a raw megabyte of lines cost, and how fast are answers about many of them?
//!
//! State question: CPU seconds of append, flush and merge per raw MB; bytes on disk; time per query.
//! Corpus: every `*.log` file of the folder in `LOGS` (one app each; half of their ids are drawn
//! anew) and four apps of JSON request logs, from 20 hosts. Seed: fixed. Caveats: one process, so
//! decoding of requests is not in the figures; CPU is that of the whole process while the store
//! works (fsync included), in steps of 10 ms.
//!
//! Figures (2 cores shared with builds, which move CPU by a third; 3 M lines, 473 MB): with lines in
//! plain zstd frames 41 MB per CPU second, 1/5.5 on disk, "error" 273 ms; with templates and columns
//! 47 MB, 1/7.3, 176 ms; with merges that copy chunks 50 to 75 MB, 1/7.2, 155 to 200 ms.
//!
//! `LOGS=folder LINES=3000000 cargo bench -p logstore --bench lines`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use disk::Dir;
use logstore::{Logstore, LogstoreOptions};
use model::{Labels, LabelsRef, LogBatch, Matcher, TimeRange};
use regex::bytes::Regex;
use std::{fmt::Write, ops::ControlFlow, time::Instant};
use store::{AgeLimits, CountRequest, Direction, LineFilter, LogRequest, LogStore, QueryContext, Row};

const START_NS: i64 = 1_700_000_000_000_000_000;
const SPAN_NS: i64 = 21_600_000_000_000;
const BATCH_LINES: u64 = 2000;
/// Batches made before they are appended, so that making them is not measured.
const BATCHES_AHEAD: usize = 50;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

/// Redraws half of the digit and hex runs of a line, keeping their shape.
fn freshen(line: &str, random: &mut Random, out: &mut String) {
    out.clear();
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let digits = bytes[at..at + run].iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_in_word = at > 0 && bytes[at - 1].is_ascii_alphabetic();
        if run >= 4 && digits * 2 >= run && !is_in_word && random.below(2) == 0 {
            for &byte in &bytes[at..at + run] {
                let fresh = if byte.is_ascii_digit() {
                    b'0' + random.below(10) as u8
                } else {
                    b'a' + random.below(6) as u8
                };
                out.push(char::from(fresh));
            }
            at += run;
        } else {
            let mut end = at + run.max(1);
            while !line.is_char_boundary(end) {
                end += 1;
            }
            out.push_str(&line[at..end]);
            at = end;
        }
    }
}

fn json_line(random: &mut Random, out: &mut String) {
    let paths =
        ["/api/cart", "/api/checkout", "/api/items", "/api/users", "/healthz", "/api/search", "/login"];
    let status = *random.pick(&[200, 200, 200, 200, 200, 200, 201, 204, 301, 400, 404, 500, 503]);
    let level = match status {
        500.. => "error",
        400.. => "warn",
        _ => "info",
    };
    let (trace_high, trace_low) = (random.next(), random.next());
    out.clear();
    write!(
        out,
        r#"{{"level":"{level}","msg":"request completed","method":"{}","path":"{}/{}","status":{status},"duration_ms":{}.{:03},"trace_id":"{trace_high:016x}{trace_low:016x}","user_id":{},"client":"10.{}.{}.{}","bytes":{}}}"#,
        random.pick(&["GET", "GET", "GET", "POST", "PUT", "DELETE"]),
        random.pick(&paths),
        random.below(5000),
        random.below(60) * random.below(50),
        random.below(1000),
        random.below(100_000),
        random.below(4),
        random.below(256),
        random.below(256),
        random.below(100_000) + 100,
    )
    .expect("a string takes any text");
}

struct App {
    name: String,
    lines: Vec<String>,
}

fn apps() -> Vec<App> {
    let mut apps = Vec::new();
    if let Ok(folder) = std::env::var("LOGS") {
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .expect("LOGS is a folder")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "log")) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = String::from_utf8_lossy(&std::fs::read(path).expect("a readable file")).into_owned();
            apps.push(App { name, lines: text.lines().map(str::to_owned).collect() });
        }
    }
    apps.extend((0..4).map(|shop| App { name: format!("shop-{shop}"), lines: Vec::new() }));
    apps
}

fn fill(
    batch: &mut LogBatch,
    apps: &[App],
    random: &mut Random,
    done: &mut u64,
    total: u64,
) -> Option<String> {
    batch.clear();
    let host = random.below(20);
    let streams = 2 + random.below(4);
    let mut line = String::new();
    let mut needle = None;
    for _ in 0..streams {
        let app = random.pick(apps);
        let labels = Labels::from_pairs([("app", app.name.clone()), ("host", format!("host-{host:05}"))]);
        batch.begin_with(labels.as_ref());
        for _ in 0..BATCH_LINES / streams {
            if app.lines.is_empty() {
                json_line(random, &mut line);
                needle = line.split("trace_id\":\"").nth(1).map(|rest| rest[..32].to_owned());
            } else {
                let template: &String = random.pick(&app.lines);
                freshen(template, random, &mut line);
            }
            let time = START_NS + (*done as f64 / total as f64 * SPAN_NS as f64) as i64;
            batch.entry(time, &line, LabelsRef::from_trusted_bytes(&[]));
            *done += 1;
        }
    }
    needle
}

/// CPU seconds of this process.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 10
}

fn main() {
    let total: u64 = std::env::var("LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(300_000);
    let folder = tempfile_dir();
    let dir = Dir::real(&folder).expect("a writable folder");
    let options = LogstoreOptions { limits: AgeLimits::NONE, ..LogstoreOptions::default() };
    let store = Logstore::open(dir, options, START_NS).expect("an empty store");
    let apps = apps();
    let mut random = Random(1);
    let (mut done, mut raw, mut append_cpu) = (0, 0, 0.0);
    let mut batches = vec![LogBatch::default(); BATCHES_AHEAD];
    let mut needle = None;
    while done < total {
        for batch in &mut batches {
            let found = fill(batch, &apps, &mut random, &mut done, total);
            if done < total / 2 {
                needle = found.or(needle);
            }
        }
        let before = cpu_s();
        for batch in &batches {
            raw += batch.line_bytes() as u64;
            let receipt = store.append(batch, None, START_NS).expect("room");
            receipt.commit.wait().expect("durable");
        }
        append_cpu += cpu_s() - before;
    }
    let before = cpu_s();
    store.flush().expect("a flush");
    let flush_cpu = append_cpu + cpu_s() - before;
    let (before, at) = (cpu_s(), Instant::now());
    store.maintain(START_NS, START_NS).expect("maintenance");
    let merge_cpu = cpu_s() - before;
    let stats = store.stats();
    let mb = raw as f64 / 1e6;
    println!(
        "lines {done}, raw {mb:.1} MB, streams {}, parts {}, chunks {}",
        stats.streams, stats.parts, stats.chunks
    );
    println!(
        "append and flush {flush_cpu:.2} s CPU, {:.1} ms/MB, {:.1} MB/s",
        flush_cpu * 1e3 / mb,
        mb / flush_cpu
    );
    println!(
        "merge {merge_cpu:.2} s CPU ({:.1} s wall), {:.1} ms/MB",
        at.elapsed().as_secs_f64(),
        merge_cpu * 1e3 / mb
    );
    println!("all in {:.1} MB per CPU second", mb / (flush_cpu + merge_cpu));
    println!(
        "disk {:.1} MB = 1/{:.2}, index {:.1} MB = {:.2} %, peak RSS {} MiB",
        stats.disk_bytes as f64 / 1e6,
        raw as f64 / stats.disk_bytes as f64,
        stats.index_bytes as f64 / 1e6,
        stats.index_bytes as f64 * 100.0 / raw as f64,
        peak_rss_mb()
    );
    ask_lines(&store, &needle.unwrap_or_default());
    ask_counts(&store);
    drop(store);
    let at = Instant::now();
    let options = LogstoreOptions { limits: AgeLimits::NONE, ..LogstoreOptions::default() };
    drop(Logstore::open(Dir::real(&folder).expect("a folder"), options, START_NS).expect("the store again"));
    println!("open {:.2} ms", at.elapsed().as_secs_f64() * 1e3);
    std::fs::remove_dir_all(&folder).expect("our own folder");
}

/// What finding lines costs.
fn ask_lines(store: &Logstore, needle: &str) {
    let contains = |text: &str| LineFilter::ContainsAny(vec![text.as_bytes().to_vec()]);
    let matches = |pattern: &str| LineFilter::Matches {
        pattern: pattern.to_owned(),
        regex: Regex::new(pattern).expect("a pattern"),
    };
    for (name, filters) in [
        ("needle", vec![contains(needle)]),
        ("absent id", vec![contains("7c0f9be2a4d1480f9d2b7c7a66f1c2aa")]),
        ("error", vec![contains("error")]),
        ("authentication failure", vec![contains("authentication failure")]),
        ("ailed pass", vec![contains("ailed pass")]),
        ("blk_-?[0-9]+99", vec![matches("blk_-?[0-9]+99")]),
        ("(?i)timeout|refused", vec![matches("(?i)timeout|refused")]),
        ("all", vec![]),
    ] {
        let mut best = f64::MAX;
        let mut rows = 0;
        let mut units = 0;
        for _ in 0..5 {
            let at = Instant::now();
            (rows, units) = count(store, &filters);
            best = best.min(at.elapsed().as_secs_f64());
        }
        println!("{name:<28} {rows:>8} rows, {units:>4} units, {:>8.2} ms on one core", best * 1e3);
    }
}

/// What answers without lines cost.
fn ask_counts(store: &Logstore) {
    // The last lines lie beyond the span, so ranges that end with it cut chunks.
    for (name, by, span_ns, steps) in [
        ("by app", "app", 2 * SPAN_NS, 1),
        ("by app, cut", "app", SPAN_NS, 1),
        ("by level, 250 steps", "detected_level", SPAN_NS, 250),
    ] {
        let request = CountRequest {
            matchers: Vec::new(),
            range: TimeRange::new(START_NS, START_NS + span_ns),
            step_ns: span_ns / steps,
            by: vec![by.to_owned()],
        };
        let at = Instant::now();
        let buckets = store.counts(&request, &QueryContext::default()).expect("counts").len();
        println!("count {name:<22} {buckets:>8} buckets {:>21.2} ms", at.elapsed().as_secs_f64() * 1e3);
    }
    let at = Instant::now();
    let app = [Matcher::equal("app", "shop-1")];
    let streams = store.streams(&[app.to_vec()], TimeRange::ALL, &QueryContext::default());
    println!(
        "streams {} {:.2} ms",
        streams.map_or(0, |streams| streams.len()),
        at.elapsed().as_secs_f64() * 1e3
    );
}

fn tempfile_dir() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("logstore-bench-{}", std::process::id()))
}

/// Rows that pass, and units read.
fn count(store: &Logstore, filters: &[LineFilter]) -> (u64, usize) {
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: filters.to_vec(),
        metadata_hints: Vec::new(),
        direction: Direction::Backward,
    };
    let context = QueryContext::default();
    let scan = store.scan(&request, &context).expect("a scan");
    let mut rows = 0;
    for unit in 0..scan.units().len() {
        let mut sink = |_: Row<'_>| {
            rows += 1;
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).expect("a unit");
    }
    (rows, scan.units().len())
}
