//! What came over syslog and what was lost, by transport and reason.

use daemon::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTransport {
    transport: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    transport: &'static str,
    reason: &'static str,
}

/// See the module.
#[derive(Default)]
pub(super) struct SyslogCounters {
    received: Family<ByTransport, Counter>,
    lost: Family<ByReason, Counter>,
    cut: Family<ByTransport, Counter>,
    handshakes: Family<ByTransport, Counter>,
}

impl SyslogCounters {
    pub(super) fn new(own: &Metrics) -> Self {
        let counters = SyslogCounters::default();
        own.register(|registry| {
            let SyslogCounters { received, lost, cut, handshakes } = &counters;
            registry.register("bellwether_syslog_messages", "Syslog messages received", received.clone());
            registry.register("bellwether_syslog_lost", "Syslog messages that were not stored", lost.clone());
            registry.register(
                "bellwether_syslog_cut",
                "Syslog messages cut at the longest allowed",
                cut.clone(),
            );
            registry.register(
                "bellwether_syslog_failed_handshakes",
                "Connections for syslog on which TLS could not be agreed",
                handshakes.clone(),
            );
        });
        counters
    }

    pub(super) fn received(&self, transport: &'static str) {
        self.received.get_or_create(&ByTransport { transport }).inc();
    }

    pub(super) fn lost(&self, transport: &'static str, reason: &'static str, count: u64) {
        self.lost.get_or_create(&ByReason { transport, reason }).inc_by(count);
    }

    pub(super) fn failed_handshake(&self, transport: &'static str) {
        self.handshakes.get_or_create(&ByTransport { transport }).inc();
    }

    pub(super) fn cut(&self, transport: &'static str, count: u64) {
        if count > 0 {
            self.cut.get_or_create(&ByTransport { transport }).inc_by(count);
        }
    }
}
