//! One group: alerts that are told together, and when.

use crate::{alert::Fingerprint, route::Route};
use model::Labels;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct AlertGroup {
    pub(crate) labels: Labels,
    alerts: BTreeSet<Fingerprint>,
    pub(crate) next_flush_ms: i64,
    flushed: bool,
    pending: Option<PendingFlush>,
}

/// A flush whose deliveries have not all ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingFlush {
    /// Deliveries that must succeed before resolved alerts leave the group.
    pub(crate) deliveries: BTreeSet<u64>,
    /// Alerts that were over at the flush, with the time of their last change.
    pub(crate) resolved: BTreeMap<Fingerprint, i64>,
}

impl AlertGroup {
    /// A group that waits for `group_wait`, or, when it was told at `told_at_ms` by an earlier
    /// process or configuration, for the rest of its interval.
    pub(crate) fn new(route: &Route, labels: Labels, told_at_ms: Option<i64>, now_ms: i64) -> Self {
        let rest_of_interval = told_at_ms.map(|told| (told + route.group_interval_ms).max(now_ms));
        AlertGroup {
            labels,
            alerts: BTreeSet::new(),
            next_flush_ms: rest_of_interval.unwrap_or(now_ms + route.group_wait_ms),
            flushed: told_at_ms.is_some(),
            pending: None,
        }
    }

    /// Adds an alert. One that began longer ago than `group_wait` has waited enough.
    pub(crate) fn insert(&mut self, alert: Fingerprint, starts_at_ms: i64, group_wait_ms: i64, now_ms: i64) {
        self.alerts.insert(alert);
        if !self.flushed && starts_at_ms + group_wait_ms < now_ms {
            self.next_flush_ms = self.next_flush_ms.min(now_ms);
        }
    }

    /// Goes on under a route that a reload has brought.
    pub(crate) fn rejoin(&mut self, route: &Route, now_ms: i64) {
        self.alerts.clear();
        let longest = if self.flushed { route.group_interval_ms } else { route.group_wait_ms };
        self.next_flush_ms = self.next_flush_ms.min(now_ms + longest);
    }

    /// Notes that the group is flushed at `now_ms`.
    pub(crate) fn begin_flush(&mut self, group_interval_ms: i64, now_ms: i64) {
        self.flushed = true;
        self.next_flush_ms = now_ms + group_interval_ms;
    }

    pub(crate) fn set_pending(&mut self, pending: PendingFlush) {
        self.pending = Some(pending);
    }

    /// Takes the end of a delivery. When it was the last of a flush that succeeded as a whole,
    /// returns the alerts that may leave.
    pub(crate) fn delivery_ended(&mut self, id: u64, delivered: bool) -> Option<BTreeMap<Fingerprint, i64>> {
        let pending = self.pending.as_mut()?;
        if !pending.deliveries.contains(&id) {
            return None;
        }
        if !delivered {
            self.pending = None;
            return None;
        }
        pending.deliveries.remove(&id);
        if !pending.deliveries.is_empty() {
            return None;
        }
        self.pending.take().map(|pending| pending.resolved)
    }

    pub(crate) fn remove(&mut self, alert: Fingerprint) {
        self.alerts.remove(&alert);
    }

    pub(crate) fn alerts(&self) -> impl Iterator<Item = Fingerprint> {
        self.alerts.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }
}
