//! One group: alerts that are told together, and when.

use super::mutes::Mutes;
use crate::{alert::Fingerprint, route::Route};
use model::Labels;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct AlertGroup {
    pub(crate) labels: Labels,
    alerts: BTreeSet<Fingerprint>,
    /// Of `alerts`; see [`AlertGroup::in_order`].
    order: OnceLock<Vec<Fingerprint>>,
    pub(crate) next_flush_ms: i64,
    flushed: bool,
    /// A delivery was stopped: what to tell is decided anew, whatever the timer says.
    again: bool,
    pending: Option<PendingFlush>,
    /// What muted which alert at the last flush.
    muted: BTreeMap<Fingerprint, Mutes>,
    /// Why an integration was told nothing at the last flush.
    withheld: BTreeMap<usize, &'static str>,
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
        // Never longer, should the clock have been set back since.
        let rest_of_interval = told_at_ms.map(|told| {
            let interval_ms = route.group_interval_ms;
            (told + interval_ms).clamp(now_ms, now_ms + interval_ms)
        });
        AlertGroup {
            labels,
            alerts: BTreeSet::new(),
            order: OnceLock::new(),
            next_flush_ms: rest_of_interval.unwrap_or(now_ms + route.group_wait_ms),
            flushed: told_at_ms.is_some(),
            again: false,
            pending: None,
            muted: BTreeMap::new(),
            withheld: BTreeMap::new(),
        }
    }

    /// Adds an alert. One that began longer ago than `group_wait` has waited enough.
    pub(crate) fn insert(&mut self, alert: Fingerprint, starts_at_ms: i64, group_wait_ms: i64, now_ms: i64) {
        if self.alerts.insert(alert) {
            self.order.take();
        }
        if !self.flushed && starts_at_ms + group_wait_ms < now_ms {
            self.next_flush_ms = self.next_flush_ms.min(now_ms);
        }
    }

    /// Goes on under a route that a reload has brought.
    pub(crate) fn rejoin(&mut self, route: &Route, now_ms: i64) {
        self.alerts.clear();
        self.order.take();
        self.wait_at_most(route, now_ms);
    }

    /// Holds the wait to what the route asks for, now that the route or the clock is another.
    pub(crate) fn wait_at_most(&mut self, route: &Route, now_ms: i64) {
        let longest = if self.flushed { route.group_interval_ms } else { route.group_wait_ms };
        self.next_flush_ms = self.next_flush_ms.min(now_ms + longest);
    }

    /// Whether the group is to be flushed at `now_ms`.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        self.again || self.next_flush_ms <= now_ms
    }

    /// Asks for another look before the timer.
    pub(crate) fn flush_again(&mut self) {
        self.pending = None;
        self.again = true;
    }

    /// When the group is looked at next.
    pub(crate) fn due_ms(&self) -> i64 {
        if self.again { 0 } else { self.next_flush_ms }
    }

    /// Notes that the group is flushed at `now_ms`.
    pub(crate) fn begin_flush(&mut self, group_interval_ms: i64, now_ms: i64) {
        self.flushed = true;
        self.again = false;
        if self.next_flush_ms <= now_ms {
            self.next_flush_ms = now_ms + group_interval_ms;
        }
    }

    /// Takes what mutes the group's alerts now, and returns what is new: alerts that are muted
    /// otherwise than at the last flush, and those that nothing mutes any more.
    pub(crate) fn mute(
        &mut self,
        now: BTreeMap<Fingerprint, Mutes>,
    ) -> (Vec<(Fingerprint, Mutes)>, Vec<Fingerprint>) {
        let before = std::mem::replace(&mut self.muted, now);
        let is_new = |(alert, mutes): &(&Fingerprint, &Mutes)| before.get(*alert) != Some(*mutes);
        let fresh = self.muted.iter().filter(is_new).map(|(alert, mutes)| (*alert, mutes.clone())).collect();
        let is_gone = |alert: &&Fingerprint| !self.muted.contains_key(*alert) && self.alerts.contains(*alert);
        (fresh, before.keys().filter(is_gone).copied().collect())
    }

    /// Notes why an integration is told nothing (or that it is told something), and returns
    /// whether that is new.
    pub(crate) fn withhold(&mut self, integration: usize, why: Option<&'static str>) -> bool {
        match why {
            Some(why) => self.withheld.insert(integration, why) != Some(why),
            None => self.withheld.remove(&integration).is_some(),
        }
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
        if self.alerts.remove(&alert) {
            self.order.take();
        }
        self.muted.remove(&alert);
    }

    pub(crate) fn contains(&self, alert: Fingerprint) -> bool {
        self.alerts.contains(&alert)
    }

    pub(crate) fn alerts(&self) -> impl Iterator<Item = Fingerprint> {
        self.alerts.iter().copied()
    }

    /// The alerts as `sort` orders them, which must depend on nothing but what they are: it is asked when
    /// the group has others than before, and not at every look.
    pub(crate) fn in_order(
        &self,
        sort: impl FnOnce(Vec<Fingerprint>) -> Vec<Fingerprint>,
    ) -> impl Iterator<Item = Fingerprint> {
        self.order.get_or_init(|| sort(self.alerts().collect())).iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.alerts.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }
}
