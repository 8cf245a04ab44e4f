//! Question: what does a sample cost, in CPU to take in, in bytes on disk once settled, in memory
//! for each series, and in time to start again?
//!
//! Corpus: a recording of one host's node_exporter (gzip text, `#SCRAPE` between scrapes) whose path
//! is in `BELLWETHER_RECORDING`, replayed as `BELLWETHER_HOSTS` (200) hosts for `BELLWETHER_SCRAPES`
//! (240) scrapes 15 s apart, 5,000 series a batch; each host replays at its own pace and keeps the
//! decimal grain of the recorded values. Without a recording a synthetic host takes its place.
//! Seed: fixed. Caveats: CPU is that of threads, so a busy machine only stretches wall time; data
//! are made between the measured calls; decoding requests is not included; fsync is to the folder in
//! `BELLWETHER_DIR` (a temporary one when unset).

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench reports and stops"
)]

use disk::Dir;
use model::{Matcher, MetricBatch, Samples, TimeRange};
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    time::Instant,
};
use store::{MetricStore, QueryContext, Selection};
use tsdb::{Tsdb, TsdbOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_MS: i64 = 1_780_000_000_000;
const BATCH: usize = 5_000;

fn main() {
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (hosts, scrapes) = (number("BELLWETHER_HOSTS", 200), number("BELLWETHER_SCRAPES", 240));
    let recorded = match std::env::var("BELLWETHER_RECORDING") {
        Ok(path) => load(&path),
        Err(_) => synthetic(),
    };
    let scratch = tempfile::tempdir().unwrap();
    let folder = std::env::var("BELLWETHER_DIR").map_or(scratch.path().to_owned(), Into::into);
    println!("{} series a host, {hosts} hosts, {scrapes} scrapes, in {}", recorded.len(), folder.display());
    println!("memory before: {}", memory());
    let store = open(&folder);
    let samples = ingest(&store, &recorded, hosts, scrapes);
    settle(&store, samples, scrapes);
    query(&store);
    drop(store);
    restart(&folder, &recorded, hosts);
}

fn open(folder: &std::path::Path) -> Tsdb {
    Tsdb::open(Dir::real(folder).unwrap(), TsdbOptions::default(), START_MS).unwrap()
}

fn ingest(store: &Tsdb, recorded: &[Recorded], hosts: usize, scrapes: usize) -> u64 {
    let mut replays: Vec<Host> = (0..hosts).map(|id| Host::new(id, recorded)).collect();
    let mut batch = MetricBatch::default();
    let (mut append, mut maintain, mut samples) = (0.0, 0.0, 0u64);
    let (process, wall) = (process_cpu(), Instant::now());
    let mut made = 0.0;
    let mut last = None;
    for scrape in 0..scrapes {
        for host in &mut replays {
            let begun = thread_cpu();
            let mut left = recorded.iter().enumerate().peekable();
            while left.peek().is_some() {
                let room = BATCH - batch.series_count();
                for (i, series) in left.by_ref().take(room) {
                    host.add(&mut batch, scrape, i, series);
                }
                if batch.series_count() < BATCH {
                    break;
                }
                let before = thread_cpu();
                let receipt = store.append(&batch, None, i64::MAX / 2).unwrap();
                append += thread_cpu() - before;
                samples += receipt.stored;
                last = Some(receipt.commit);
                batch.clear();
            }
            made += thread_cpu() - begun;
        }
        // A server calls this every few seconds; at full speed that is once in a few scrapes.
        if scrape % 5 == 4 {
            let before = thread_cpu();
            store.maintain(START_MS + scrape as i64 * 100).unwrap();
            maintain += thread_cpu() - before;
        }
    }
    samples += store.append(&batch, None, i64::MAX / 2).unwrap().stored;
    last.unwrap().wait().unwrap();
    println!("memory after ingest: {}", memory());
    println!(
        "append {:.0} ns/sample, maintain {:.0} ns/sample, log thread {:.0} ns/sample, wall {:.1} s",
        append * 1e9 / samples as f64,
        maintain * 1e9 / samples as f64,
        (process_cpu() - process - made - maintain) * 1e9 / samples as f64,
        wall.elapsed().as_secs_f64(),
    );
    let stats = store.stats();
    println!("{} samples, {} parts, log {} bytes", samples, stats.parts, stats.wal_bytes);
    samples
}

fn settle(store: &Tsdb, samples: u64, scrapes: usize) {
    let before = thread_cpu();
    let mut now_ms = START_MS + scrapes as i64 * 100;
    for _ in 0..12 {
        now_ms += 5_000;
        store.maintain(now_ms).unwrap();
    }
    let stats = store.stats();
    println!(
        "settled: {:.0} ns/sample, {:.3} bytes/sample ({} bytes, {} parts, log {}), memory {}",
        (thread_cpu() - before) * 1e9 / samples as f64,
        stats.disk_bytes as f64 / samples as f64,
        stats.disk_bytes,
        stats.parts,
        stats.wal_bytes,
        memory(),
    );
}

fn query(store: &Tsdb) {
    for (what, matchers) in [
        ("one metric", vec![Matcher::equal("__name__", "node_cpu_seconds_total")]),
        ("one host", vec![Matcher::equal("instance", "host-00007:9100")]),
        ("everything", vec![Matcher::equal("job", "node")]),
    ] {
        for round in ["first", "again"] {
            let wall = Instant::now();
            let context = QueryContext::default();
            let selection = Selection { matchers: matchers.clone(), range: TimeRange::ALL, step_ms: 0 };
            let set = store.select(&selection, &context).unwrap();
            let found = wall.elapsed();
            let mut samples = Samples::default();
            let mut total = 0;
            for index in 0..set.len() {
                set.read(index, &context, &mut samples).unwrap();
                total += samples.len();
            }
            let (series, read) = (set.len(), wall.elapsed());
            println!("{what}, {round}: {series} series in {found:.1?}, {total} samples in {read:.1?}");
        }
    }
}

/// Opens the store again with some scrapes in its log only.
fn restart(folder: &std::path::Path, recorded: &[Recorded], hosts: usize) {
    let store = open(folder);
    let mut batch = MetricBatch::default();
    let mut samples = 0;
    for id in 0..hosts {
        let mut host = Host::new(id, recorded);
        for scrape in 0..20 {
            batch.clear();
            for (i, series) in recorded.iter().enumerate() {
                host.add(&mut batch, scrape + 1_000_000, i, series);
            }
            samples += store.append(&batch, None, i64::MAX / 2).unwrap().stored;
        }
    }
    drop(store);
    let wall = Instant::now();
    let store = open(folder);
    let took = wall.elapsed();
    println!("start with {samples} samples of {} series in the log: {took:.2?}", store.stats().active_series);
}

fn thread_cpu() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

fn process_cpu() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        found.map(str::trim).unwrap_or("unknown").to_owned()
    };
    format!("{} (peak {})", line("VmRSS:"), line("VmHWM:"))
}

/// A series of the recording.
struct Recorded {
    labels: Vec<(String, String)>,
    is_counter: bool,
    values: Vec<f64>,
    /// What all values are multiples of, 0 when nothing is found.
    grain: f64,
}

impl Recorded {
    fn at(&self, i: usize) -> f64 {
        self.values[i % self.values.len()]
    }

    fn round(&self, value: f64) -> f64 {
        if self.grain >= 1.0 {
            (value / self.grain).round() * self.grain
        } else if self.grain > 0.0 {
            let scale = (1.0 / self.grain).round();
            (value * scale).round() / scale
        } else {
            value
        }
    }
}

/// One host's replay of the recording at its own pace.
struct Host {
    id: usize,
    random: u64,
    offset: usize,
    jitter_ms: i64,
    /// Pace, first value, last value.
    series: Vec<(f64, f64, f64)>,
}

impl Host {
    fn new(id: usize, recorded: &[Recorded]) -> Self {
        let mut host =
            Host { id, random: id as u64 * 1_000_003 + 1, offset: 0, jitter_ms: 0, series: Vec::new() };
        host.offset = 1 + (host.uniform() * (recorded[0].values.len() - 1) as f64) as usize;
        host.jitter_ms = (host.uniform() * 15_000.0) as i64;
        for series in recorded {
            let (pace, base) = ((host.uniform() * 2.0 - 1.0).exp(), series.at(host.offset));
            host.series.push((pace, base, base));
        }
        host
    }

    fn uniform(&mut self) -> f64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    fn add(&mut self, batch: &mut MetricBatch, scrape: usize, i: usize, series: &Recorded) {
        let at = self.offset + scrape;
        let (before, now) = (series.at(at - 1), series.at(at));
        if now != before {
            let noise = self.series[i].0 * (0.8 + 0.4 * self.uniform());
            let (_, base, value) = &mut self.series[i];
            *value = if series.is_counter {
                series.round(*value + ((now - before) * noise).max(0.0))
            } else {
                series.round(*base + (now - *base) * noise)
            };
        }
        batch.begin();
        for (name, value) in &series.labels {
            batch.label(name.as_bytes(), value.as_bytes());
        }
        batch.label(b"instance", format!("host-{:05}:9100", self.id).as_bytes());
        batch.label(b"job", b"node");
        batch.label(b"region", ["eu-west-1", "us-east-1", "ap-south-1"][self.id % 3].as_bytes());
        batch.end_labels().unwrap();
        batch.sample(START_MS + scrape as i64 * 15_000 + self.jitter_ms, 0, self.series[i].2);
    }
}

fn grain_of(values: &[f64]) -> f64 {
    for grain in [4096.0, 1024.0, 512.0, 1.0] {
        if values.iter().all(|value| value % grain == 0.0) {
            return grain;
        }
    }
    for digits in 1..=9 {
        let scale = 10f64.powi(digits);
        if values.iter().all(|v| ((v * scale).round() / scale - v).abs() < 1e-12 * v.abs().max(1.0)) {
            return 1.0 / scale;
        }
    }
    0.0
}

fn load(path: &str) -> Vec<Recorded> {
    let file = std::fs::File::open(path).unwrap();
    let mut counters: HashMap<String, bool> = HashMap::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<Recorded> = Vec::new();
    let mut scrapes = 0;
    for line in BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines().map_while(Result::ok) {
        if line.starts_with("#SCRAPE") {
            scrapes += 1;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            counters.insert(name.into(), kind == "counter");
        } else if let Some((key, value)) = line.rsplit_once(' ') {
            let value: f64 = value.parse().unwrap_or(0.0);
            if scrapes == 1 && !index.contains_key(key) {
                let labels = parse_key(key);
                let is_counter = counters.get(&labels[0].1).copied().unwrap_or(false);
                index.insert(key.into(), all.len());
                all.push(Recorded { labels, is_counter, values: Vec::new(), grain: 0.0 });
            }
            if let Some(&at) = index.get(key)
                && all[at].values.len() < scrapes
            {
                all[at].values.push(value);
            }
        }
    }
    let length = all.iter().map(|series| series.values.len()).max().unwrap_or(0);
    all.retain(|series| series.values.len() + 1 >= length);
    for series in &mut all {
        series.grain = grain_of(&series.values);
    }
    all
}

fn parse_key(key: &str) -> Vec<(String, String)> {
    let (name, rest) = key.split_once('{').unwrap_or((key, ""));
    let mut labels = vec![("__name__".to_owned(), name.to_owned())];
    for pair in rest.trim_end_matches('}').split("\",") {
        if let Some((name, value)) = pair.split_once("=\"") {
            labels.push((name.to_owned(), value.trim_end_matches('"').to_owned()));
        }
    }
    labels
}

/// 500 series: two thirds constant, counters of small steps, gauges of bytes, and random fractions.
fn synthetic() -> Vec<Recorded> {
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as f64
    };
    (0..500)
        .map(|i| {
            let labels = vec![
                ("__name__".to_owned(), format!("metric_{}_total", i / 10)),
                ("device".to_owned(), format!("d{}", i % 10)),
            ];
            let mut value = next();
            let values = (0..600)
                .map(|_| {
                    match i % 12 {
                        0 | 1 => value += (next() / 1e6).floor() / 100.0,
                        2 => value = (next() / 1e5).floor() * 4096.0,
                        3 => value = next() / 1e9,
                        _ => {}
                    }
                    value
                })
                .collect::<Vec<_>>();
            let grain = grain_of(&values);
            Recorded { labels, is_counter: i % 12 < 2, values, grain }
        })
        .collect()
}
