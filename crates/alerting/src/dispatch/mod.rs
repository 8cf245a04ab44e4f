//! From alerts to notifications: route, group, wait, mute, compare with what was told, hand over.
//!
//! [`Dispatcher`] is a state machine without a clock, a disk or a network. Every call takes `now`,
//! changes the state, and leaves behind what must be made durable (journal changes) and done
//! (effects). Its owner commits the changes first and performs the effects after, so that what
//! was decided survives a crash and what was told is never told twice by one.
//!
//! Bounds: [`ALERTS_MAX`] alerts; one delivery in flight per group and integration.

mod delivery;
mod flush;
mod group;
mod ingest;
mod views;

pub use delivery::{Delivery, Effect, Finished};
pub use ingest::{PostedAlert, ingest};
pub use views::{AlertStatus, AlertView, GroupView};

use crate::{
    alert::{Alert, Fingerprint},
    config::Config,
    journal::{Change, Journal, JournalError, Table},
    notify::dedup::Entry,
    silence::{Silence, SilenceError, Silences},
};
use group::AlertGroup;
use model::Labels;
use std::{collections::BTreeMap, sync::Arc};

/// Most alerts held at once; more are refused.
pub const ALERTS_MAX: usize = 1_000_000;
/// Between two looks for what can be forgotten.
const COLLECT_EVERY_MS: i64 = 30_000;

/// A group's identity: the route's key, its index among all routes (two routes may have the same
/// key), and the group's labels.
pub(crate) type GroupId = (usize, Labels);

/// See the module.
pub struct Dispatcher {
    config: Arc<Config>,
    alerts: BTreeMap<Fingerprint, Alert>,
    silences: Silences,
    groups: BTreeMap<GroupId, AlertGroup>,
    log: BTreeMap<String, Entry>,
    outbox: BTreeMap<u64, Delivery>,
    next_delivery: u64,
    collected_at_ms: i64,
    changes: Vec<Change>,
    effects: Vec<Effect>,
}

/// Why an alert was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PostError {
    #[error("{0}")]
    Invalid(String),
    #[error("{ALERTS_MAX} alerts are held already")]
    TooMany,
}

impl Dispatcher {
    /// A dispatcher that has never heard of an alert.
    pub fn new(config: Arc<Config>, now_ms: i64) -> Self {
        Dispatcher {
            config,
            alerts: BTreeMap::new(),
            silences: Silences::default(),
            groups: BTreeMap::new(),
            log: BTreeMap::new(),
            outbox: BTreeMap::new(),
            next_delivery: 1,
            collected_at_ms: now_ms,
            changes: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// A dispatcher that goes on where the journal ends: leases of alerts begin anew, groups wait
    /// for their interval, undelivered notifications are tried again.
    pub(crate) fn restored(
        config: Arc<Config>,
        journal: &Journal,
        now_ms: i64,
    ) -> Result<Self, JournalError> {
        let mut this = Self::new(config, now_ms);
        for (_, silence) in journal.load::<Silence>(Table::Silences)? {
            let id = silence.id.clone();
            if let Err(error) = this.silences.restore(silence) {
                tracing::warn!(id, %error, "a stored silence is left out");
            }
        }
        this.log = journal.load::<Entry>(Table::Notifications)?.into_iter().collect();
        for (_, mut alert) in journal.load::<Alert>(Table::Alerts)? {
            alert.renew_after_restart(now_ms);
            this.alerts.insert(alert.fingerprint(), alert);
        }
        for (_, delivery) in journal.load::<Delivery>(Table::Outbox)? {
            this.next_delivery = this.next_delivery.max(delivery.id + 1);
            this.outbox.insert(delivery.id, delivery);
        }
        this.regroup(now_ms);
        this.resume_deliveries(now_ms);
        Ok(this)
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What must be made durable, then done, since the last call.
    pub(crate) fn take(&mut self) -> (Vec<Change>, Vec<Effect>) {
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.effects))
    }

    /// Takes an alert: merges it with what is known of it and puts it into its groups.
    ///
    /// # Errors
    /// When there are too many.
    pub fn post(&mut self, alert: Alert, now_ms: i64) -> Result<(), PostError> {
        let fingerprint = alert.fingerprint();
        let alert = match self.alerts.get(&fingerprint) {
            Some(known) => known.succeeded_by(alert, now_ms),
            None if alert.is_resolved(now_ms) && alert.held => return Ok(()),
            None if self.alerts.len() >= ALERTS_MAX => return Err(PostError::TooMany),
            None => alert,
        };
        self.changes.push(Change::put(Table::Alerts, fingerprint.to_string(), &alert));
        self.place(fingerprint, &alert, now_ms);
        self.alerts.insert(fingerprint, alert);
        Ok(())
    }

    /// Resolves alerts that rules held before and hold no more, given those that they hold now.
    pub fn release_unheld(&mut self, held: &std::collections::BTreeSet<Fingerprint>, now_ms: i64) {
        let orphaned = |alert: &&mut Alert| {
            alert.held && !alert.is_resolved(now_ms) && !held.contains(&alert.fingerprint())
        };
        for alert in self.alerts.values_mut().filter(orphaned) {
            alert.ends_at_ms = now_ms;
            alert.updated_at_ms = now_ms;
            self.changes.push(Change::put(Table::Alerts, alert.fingerprint().to_string(), alert));
        }
    }

    /// Puts every alert into the groups of the present routes, keeping the timers of groups that
    /// were there before.
    fn regroup(&mut self, now_ms: i64) {
        let alerts: Vec<_> = self.alerts.iter().map(|(id, alert)| (*id, alert.clone())).collect();
        for (fingerprint, alert) in alerts {
            self.place(fingerprint, &alert, now_ms);
        }
    }

    fn place(&mut self, fingerprint: Fingerprint, alert: &Alert, now_ms: i64) {
        for route_id in self.config.routes.matching(&alert.labels) {
            let route = self.config.routes.get(route_id);
            let group_labels = route.group_labels(&alert.labels);
            let id = (route_id.0, group_labels.clone());
            if !self.groups.contains_key(&id) {
                if alert.is_resolved(now_ms) && !self.is_open(route, &group_labels, fingerprint) {
                    continue;
                }
                let told_at_ms = self.told_at(route, &group_labels);
                self.groups.insert(id.clone(), AlertGroup::new(route, group_labels, told_at_ms, now_ms));
            }
            if let Some(group) = self.groups.get_mut(&id) {
                group.insert(fingerprint, alert.starts_at_ms, route.group_wait_ms, now_ms);
            }
        }
    }

    fn entries_of<'a>(
        &'a self,
        route: &'a crate::route::Route,
        group_labels: &Labels,
    ) -> impl Iterator<Item = &'a Entry> {
        let group_key = route.group_key(group_labels);
        let receiver = self.config.receivers.get(&route.receiver);
        receiver
            .into_iter()
            .flat_map(|receiver| &receiver.integrations)
            .filter_map(move |it| self.log.get(&Entry::key(&it.key(&route.receiver), &group_key)))
    }

    fn is_open(&self, route: &crate::route::Route, group_labels: &Labels, alert: Fingerprint) -> bool {
        self.entries_of(route, group_labels).any(|entry| entry.open.contains(&alert))
    }

    /// When a group that is new to this process was told last.
    fn told_at(&self, route: &crate::route::Route, group_labels: &Labels) -> Option<i64> {
        self.entries_of(route, group_labels).map(|entry| entry.at_ms).max()
    }

    /// Takes a new configuration: groups that exist in it go on, others end, deliveries to
    /// integrations that are gone are cancelled.
    pub fn reload(&mut self, config: Arc<Config>, now_ms: i64) {
        let earlier_routes = std::mem::replace(&mut self.config, config);
        let mut earlier = std::mem::take(&mut self.groups);
        for (id, route) in self.config.routes.iter() {
            // The same route may stand at another place of the tree now.
            let before = earlier_routes.routes.iter().filter(|(_, old)| old.key == route.key);
            for (old_id, old_route) in before {
                let same_grouping =
                    old_route.group_by == route.group_by && old_route.receiver == route.receiver;
                if !same_grouping {
                    continue;
                }
                let moved: Vec<_> = earlier.keys().filter(|(at, _)| *at == old_id.0).cloned().collect();
                for key in moved {
                    if let Some(mut group) = earlier.remove(&key) {
                        group.rejoin(route, now_ms);
                        self.groups.insert((id.0, key.1), group);
                    }
                }
            }
        }
        self.regroup(now_ms);
        self.resume_deliveries(now_ms);
    }

    /// Creates or changes a silence and returns its id.
    ///
    /// # Errors
    /// When it is malformed, unknown or one too many.
    pub fn set_silence(
        &mut self,
        wanted: Silence,
        fresh_id: String,
        now_ms: i64,
    ) -> Result<String, SilenceError> {
        let changed = self.silences.set(wanted, fresh_id, now_ms)?;
        self.changes
            .extend(changed.iter().map(|silence| Change::put(Table::Silences, silence.id.as_str(), silence)));
        Ok(changed.last().map(|silence| silence.id.clone()).unwrap_or_default())
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// When it is not known.
    pub fn expire_silence(&mut self, id: &str, now_ms: i64) -> Result<(), SilenceError> {
        if let Some(silence) = self.silences.expire(id, now_ms)? {
            self.changes.push(Change::put(Table::Silences, id, &silence));
        }
        Ok(())
    }

    /// Every silence.
    pub fn silences(&self) -> &Silences {
        &self.silences
    }

    /// How many alerts are held, and how many notifications are on their way.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.alerts.len(), self.outbox.len())
    }

    /// When [`Dispatcher::tick`] has something to do next.
    pub fn next_wakeup_ms(&self) -> i64 {
        let collect = self.collected_at_ms + COLLECT_EVERY_MS;
        self.groups
            .values()
            .map(|group| group.next_flush_ms)
            .min()
            .map_or(collect, |flush| flush.min(collect))
    }

    /// Flushes the groups that are due and forgets what is over.
    pub fn tick(&mut self, now_ms: i64) {
        self.flush_due(now_ms);
        if now_ms - self.collected_at_ms >= COLLECT_EVERY_MS {
            self.collected_at_ms = now_ms;
            self.collect(now_ms);
        }
    }

    /// Forgets empty groups, alerts that are over and in no group, old silences and log entries.
    fn collect(&mut self, now_ms: i64) {
        self.groups.retain(|_, group| !group.is_empty());
        let grouped: std::collections::BTreeSet<Fingerprint> =
            self.groups.values().flat_map(AlertGroup::alerts).collect();
        let changes = &mut self.changes;
        self.alerts.retain(|fingerprint, alert| {
            let kept = !alert.is_resolved(now_ms) || grouped.contains(fingerprint);
            if !kept {
                changes.push(Change::remove(Table::Alerts, fingerprint.to_string()));
            }
            kept
        });
        for id in self.silences.collect_expired(now_ms) {
            changes.push(Change::remove(Table::Silences, id));
        }
        self.log.retain(|key, entry| {
            let kept = !entry.is_expired(now_ms);
            if !kept {
                changes.push(Change::remove(Table::Notifications, key.as_str()));
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests;
