//! What came in and what was refused, by protocol and reason.

use super::{append::Appended, failure::Failure};
use daemon::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// How a batch came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    RemoteWrite1,
    RemoteWrite2,
    OtlpMetrics,
    OtlpLogs,
    LokiPush,
    Influx,
    ElasticBulk,
    SplunkHec,
    JsonLines,
    Journal,
    Syslog,
}

impl Protocol {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Protocol::RemoteWrite1 => "remote_write_1",
            Protocol::RemoteWrite2 => "remote_write_2",
            Protocol::OtlpMetrics => "otlp_metrics",
            Protocol::OtlpLogs => "otlp_logs",
            Protocol::LokiPush => "loki_push",
            Protocol::Influx => "influx",
            Protocol::ElasticBulk => "elastic_bulk",
            Protocol::SplunkHec => "splunk_hec",
            Protocol::JsonLines => "json_lines",
            Protocol::Journal => "journal",
            Protocol::Syslog => "syslog",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProtocol {
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    protocol: &'static str,
    reason: &'static str,
}

/// See the module.
#[derive(Default)]
pub(super) struct Counters {
    requests: Family<ByProtocol, Counter>,
    failures: Family<ByReason, Counter>,
    body_bytes: Family<ByProtocol, Counter>,
    stored: Family<ByProtocol, Counter>,
    duplicates: Family<ByProtocol, Counter>,
    rejected: Family<ByReason, Counter>,
    replaced_utf8: Family<ByProtocol, Counter>,
}

impl Counters {
    pub(super) fn new(own: &Metrics) -> Self {
        let counters = Counters::default();
        own.register(|registry| {
            let Counters { requests, failures, body_bytes, stored, duplicates, rejected, replaced_utf8 } =
                &counters;
            registry.register("bellwether_receive_requests", "Write requests read", requests.clone());
            registry.register(
                "bellwether_receive_failures",
                "Write requests refused as a whole",
                failures.clone(),
            );
            registry.register(
                "bellwether_receive_body_bytes",
                "Bytes of write requests as sent",
                body_bytes.clone(),
            );
            registry.register(
                "bellwether_receive_items",
                "Samples, histograms and log lines stored",
                stored.clone(),
            );
            registry.register(
                "bellwether_receive_duplicate_batches",
                "Batches that had been stored before and were acknowledged again",
                duplicates.clone(),
            );
            registry.register(
                "bellwether_receive_rejected",
                "Samples, histograms, exemplars and log lines refused",
                rejected.clone(),
            );
            registry.register(
                "bellwether_receive_replaced_utf8",
                "Log lines stored with broken UTF-8 replaced",
                replaced_utf8.clone(),
            );
        });
        counters
    }

    pub(super) fn request(&self, protocol: Protocol, body_bytes: usize) {
        let label = ByProtocol { protocol: protocol.as_str() };
        self.requests.get_or_create(&label).inc();
        self.body_bytes.get_or_create(&label).inc_by(body_bytes as u64);
        // There from the start: of a counter that begins with a burst, `increase` tells nothing.
        drop(self.failures.get_or_create(&ByReason { protocol: label.protocol, reason: "full" }));
    }

    /// Bytes of what came without a request.
    pub(super) fn body_bytes(&self, protocol: Protocol, bytes: usize) {
        self.body_bytes.get_or_create(&ByProtocol { protocol: protocol.as_str() }).inc_by(bytes as u64);
    }

    pub(super) fn failure(&self, protocol: Protocol, failure: &Failure) {
        let label = ByReason { protocol: protocol.as_str(), reason: failure.reason() };
        self.failures.get_or_create(&label).inc();
    }

    /// A batch that is durable. Of one that was stored before, all else was counted then.
    pub(super) fn appended(&self, protocol: Protocol, appended: &Appended) {
        let protocol = protocol.as_str();
        let label = ByProtocol { protocol };
        if appended.duplicate {
            self.duplicates.get_or_create(&label).inc();
            return;
        }
        let report = &appended.report;
        self.stored.get_or_create(&label).inc_by(appended.stored);
        if report.replaced_utf8 > 0 {
            self.replaced_utf8.get_or_create(&label).inc_by(report.replaced_utf8);
        }
        let decoding = report.rejected.iter().map(|rejected| (rejected.reason.as_str(), rejected.count));
        let storing = appended.rejections.iter().map(|rejected| (rejected.reason.as_str(), rejected.count));
        for (reason, count) in decoding.chain(storing) {
            self.rejected.get_or_create(&ByReason { protocol, reason }).inc_by(count);
        }
    }
}
