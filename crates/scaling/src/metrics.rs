//! What scaling says about itself on `/metrics`.

use crate::{
    decide::{Decision, Reason},
    policy::{Mode, Policy},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPolicy {
    policy: String,
}

/// The same label as of what alerting reloads, so that one rule is about all of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWhat {
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    policy: String,
    reason: &'static str,
}

/// See the module. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    desired: Family<ByPolicy, Gauge>,
    current: Family<ByPolicy, Gauge>,
    max: Family<ByPolicy, Gauge>,
    enforced: Family<ByPolicy, Gauge>,
    no_data: Family<ByPolicy, Gauge>,
    limited: Family<ByReason, Counter>,
    delivery_failures: Family<ByPolicy, Counter>,
    direction_changes: Family<ByPolicy, Counter>,
    reload_ok: Family<ByWhat, Gauge>,
}

impl Metrics {
    pub(crate) fn register(&self, metrics: &daemon::metrics::Metrics) {
        let this = self.clone();
        metrics.register(|registry| {
            registry.register("bellwether_scale_desired", "The size last decided", this.desired);
            registry.register("bellwether_scale_current", "The size measured", this.current);
            registry.register("bellwether_scale_max", "The ceiling in force", this.max);
            registry.register(
                "bellwether_scale_enforced",
                "Whether decisions are carried out, which those of a dry run are not",
                this.enforced,
            );
            registry.register(
                "bellwether_scale_no_data",
                "Whether the last decision lacked data that it needed",
                this.no_data,
            );
            registry.register(
                "bellwether_scale_limited",
                "Decisions that were held back, by what",
                this.limited,
            );
            registry.register(
                "bellwether_scale_delivery_failures",
                "Attempts to deliver a decision that failed",
                this.delivery_failures,
            );
            registry.register(
                "bellwether_scale_direction_changes",
                "Moves that went the other way than the one before",
                this.direction_changes,
            );
            registry.register(
                "bellwether_scale_reload_successful",
                "Whether the scaling policies were good when they were last read",
                this.reload_ok,
            );
        });
    }

    pub(crate) fn reloaded(&self, good: bool) {
        self.reload_ok.get_or_create(&ByWhat { what: "policies" }).set(i64::from(good));
    }

    pub(crate) fn decided(&self, policy: &Policy, decision: &Decision, turned: bool) {
        let label = ByPolicy { policy: policy.uid.clone() };
        for (family, size) in [(&self.desired, decision.desired), (&self.current, decision.current)] {
            if let Some(size) = size {
                family.get_or_create(&label).set(size.into());
            }
        }
        self.max.get_or_create(&label).set(decision.max.into());
        self.enforced.get_or_create(&label).set((policy.mode != Mode::DryRun).into());
        let lacks = matches!(decision.reason, Reason::NoDataHold | Reason::CurrentUnknown | Reason::Fallback);
        self.no_data.get_or_create(&label).set(lacks.into());
        if let Some(reason) = decision.limited_by {
            self.limited
                .get_or_create(&ByReason { policy: policy.uid.clone(), reason: reason.as_str() })
                .inc();
        }
        self.direction_changes.get_or_create(&label).inc_by(turned.into());
    }

    pub(crate) fn delivery_failed(&self, policy: &str) {
        self.delivery_failures.get_or_create(&ByPolicy { policy: policy.to_owned() }).inc();
    }
}
