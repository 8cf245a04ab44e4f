//! A process's own metrics: one registry, written as Prometheus text.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Content type of [`Metrics::encode`].
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A shared registry. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process { started_s: crate::clock::now_ms() as f64 / 1000.0 }));
        Metrics(Arc::new(Mutex::new(registry)))
    }
}

impl Metrics {
    /// Registers metrics; full names, without the counters' `_total`, which is added.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything in Prometheus text format 0.0.4, which every scraper since 2014 reads.
    pub fn encode(&self) -> String {
        let mut open_metrics = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a `String` cannot fail; a collector that fails leaves its part out.
        if let Err(error) = text::encode(&mut open_metrics, &registry) {
            tracing::warn!(%error, "own metrics are incomplete");
        }
        to_text_format(&open_metrics)
    }
}

/// OpenMetrics names a counter's family without `_total` and ends with `# EOF`; the older format
/// names family and sample alike.
fn to_text_format(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 64);
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, text)) = help.take().filter(|(named, _)| *named == name) {
                out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The standard process metrics of Prometheus client libraries, from `/proc/self`.
#[derive(Debug)]
struct Process {
    started_s: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| -> Result<(), fmt::Error> {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        gauge(
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds",
            self.started_s,
        )?;
        if let Some((virtual_bytes, resident_bytes)) = memory_bytes() {
            gauge("process_virtual_memory_bytes", "Virtual memory size in bytes", virtual_bytes)?;
            gauge("process_resident_memory_bytes", "Resident memory size in bytes", resident_bytes)?;
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            gauge("process_open_fds", "Number of open file descriptors", files.count() as f64)?;
        }
        let Some(cpu_seconds) = cpu_seconds() else {
            return Ok(());
        };
        let metric = ConstCounter::new(cpu_seconds);
        let help = "Total user and system CPU time spent in seconds";
        metric.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, metric.metric_type())?)
    }
}

fn memory_bytes() -> Option<(f64, f64)> {
    const PAGE_BYTES: f64 = 4096.0;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_ascii_whitespace().map(|field| field.parse::<f64>().ok());
    Some((pages.next()?? * PAGE_BYTES, pages.next()?? * PAGE_BYTES))
}

fn cpu_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name, in parentheses, may hold spaces; fields are counted after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn counters_are_named_alike_in_type_and_sample() {
        let metrics = Metrics::default();
        let requests = Counter::<u64>::default();
        requests.inc();
        metrics.register(|registry| {
            registry.register("bellwether_requests", "Requests served", requests.clone())
        });
        let text = metrics.encode();
        assert!(
            text.contains("# TYPE bellwether_requests_total counter\nbellwether_requests_total 1\n"),
            "{text}"
        );
        assert!(text.contains("# HELP bellwether_requests_total Requests served"), "{text}");
        assert!(text.contains("process_cpu_seconds_total"), "{text}");
        assert!(!text.contains("EOF"));
    }
}
