//! What remote write says about itself on `/metrics`.

use daemon::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByEndpoint {
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    endpoint: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    endpoint: String,
    outcome: &'static str,
}

/// The families, shared by all endpoints.
#[derive(Clone, Default)]
pub(super) struct Families {
    sent: Family<ByEndpoint, Counter>,
    failed: Family<ByEndpoint, Counter>,
    retried: Family<ByEndpoint, Counter>,
    dropped: Family<ByReason, Counter>,
    bytes: Family<ByEndpoint, Counter>,
    requests: Family<ByOutcome, Counter>,
    pending: Family<ByEndpoint, Gauge>,
    lag: Family<ByEndpoint, Gauge<f64, AtomicU64>>,
    journal_bytes: Gauge,
}

impl Families {
    pub(super) fn register(&self, own: &Metrics) {
        let this = self.clone();
        own.register(|registry| {
            registry.register(
                "bellwether_remote_write_samples",
                "Samples that an endpoint has taken",
                this.sent,
            );
            registry.register(
                "bellwether_remote_write_samples_failed",
                "Samples that an endpoint refused for good",
                this.failed,
            );
            registry.register(
                "bellwether_remote_write_samples_retried",
                "Samples sent again after a failure that may pass",
                this.retried,
            );
            registry.register(
                "bellwether_remote_write_samples_dropped",
                "Samples not sent, by reason: relabelled away, too_old, native_histogram not wanted, \
                 buffer_full",
                this.dropped,
            );
            registry.register("bellwether_remote_write_bytes", "Bytes of requests, compressed", this.bytes);
            registry.register(
                "bellwether_remote_write_requests",
                "Requests by outcome: stored, refused, retry",
                this.requests,
            );
            registry.register(
                "bellwether_remote_write_samples_pending",
                "Samples that an endpoint has not taken yet",
                this.pending,
            );
            registry.register(
                "bellwether_remote_write_lag_seconds",
                "Age of the oldest batch that an endpoint has not taken yet",
                this.lag,
            );
            registry.register(
                "bellwether_remote_write_journal_bytes",
                "Bytes kept on disk for endpoints",
                this.journal_bytes,
            );
        });
    }

    /// The numbers of one endpoint.
    pub(super) fn endpoint(&self, endpoint: &str) -> EndpointMetrics {
        let label = ByEndpoint { endpoint: endpoint.to_owned() };
        let dropped = |reason| {
            let label = ByReason { endpoint: endpoint.to_owned(), reason };
            self.dropped.get_or_create(&label).clone()
        };
        let requests = |outcome| {
            let label = ByOutcome { endpoint: endpoint.to_owned(), outcome };
            self.requests.get_or_create(&label).clone()
        };
        EndpointMetrics {
            sent: self.sent.get_or_create(&label).clone(),
            failed: self.failed.get_or_create(&label).clone(),
            retried: self.retried.get_or_create(&label).clone(),
            bytes: self.bytes.get_or_create(&label).clone(),
            pending: self.pending.get_or_create(&label).clone(),
            lag: self.lag.get_or_create(&label).clone(),
            relabelled: dropped("relabelled"),
            too_old: dropped("too_old"),
            native_histogram: dropped("native_histogram"),
            buffer_full: dropped("buffer_full"),
            requests_stored: requests("stored"),
            requests_refused: requests("refused"),
            requests_retry: requests("retry"),
            journal_bytes: self.journal_bytes.clone(),
        }
    }
}

/// The numbers of one endpoint. Clones share them.
#[derive(Clone)]
pub(super) struct EndpointMetrics {
    pub(super) sent: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
    pub(super) bytes: Counter,
    pub(super) pending: Gauge,
    pub(super) lag: Gauge<f64, AtomicU64>,
    pub(super) relabelled: Counter,
    pub(super) too_old: Counter,
    pub(super) native_histogram: Counter,
    /// What went because the journal was full.
    pub(super) buffer_full: Counter,
    pub(super) requests_stored: Counter,
    pub(super) requests_refused: Counter,
    pub(super) requests_retry: Counter,
    /// Of all endpoints.
    pub(super) journal_bytes: Gauge,
}

impl EndpointMetrics {
    /// Samples not sent, whatever the reason.
    pub(super) fn dropped(&self) -> u64 {
        [&self.relabelled, &self.too_old, &self.native_histogram, &self.buffer_full]
            .map(Counter::get)
            .iter()
            .sum()
    }
}
