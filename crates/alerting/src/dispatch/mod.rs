//! From alerts to notifications: route, group, wait, mute, compare with what was told, hand over.
//!
//! [`Dispatcher`] is a state machine without a clock, a disk or a network. Every call takes `now`,
//! changes the state, and leaves behind what must be made durable (journal changes) and done
//! (effects). Its owner commits the changes first and performs the effects after, so that what
//! was decided survives a crash and what was told is never told twice by one.
//!
//! Bounds: [`ALERTS_MAX`] alerts; one delivery in flight per group and integration.

mod adopt;
mod delivery;
mod explain;
mod flapping;
mod flush;
mod group;
mod incidents;
mod ingest;
mod mutes;
mod outbox;
mod rehearse;
mod told;
mod views;

pub use delivery::{Delivery, Effect, FailedAttempt, Finished};
pub use explain::{
    DeliveryExplanation, Explanation, InhibitorExplanation, IntegrationExplanation, RouteExplanation,
    RouteStep,
};
pub use ingest::{PostedAlert, ingest};
pub use rehearse::{Rehearsal, Told};
pub use views::{AlertStatus, AlertView, GroupView};

use crate::{
    alert::{Alert, Fingerprint},
    config::Config,
    history::{Event, EventKind, Recorder},
    inhibit::Candidates,
    journal::{Change, Journal, JournalError, Table},
    notify::dedup::Entry,
    order,
    route::{Route, RouteId},
    silence::{FileSilence, Planned, Silence, SilenceError, Silences},
    timestamp::Written,
};
use flapping::Flapping;
pub(crate) use flush::Due;
use group::AlertGroup;
use incidents::IncidentBounds;
use model::Labels;
use outbox::Outbox;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use told::NotificationLog;

/// Most alerts held at once; more are refused.
pub const ALERTS_MAX: usize = 1_000_000;
/// Between two looks for what can be forgotten.
const COLLECT_EVERY_MS: i64 = 30_000;
/// A clock that goes back by less is left alone.
const SET_BACK_MS_MIN: i64 = 1000;

/// A group's identity: the route's key, its index among all routes (two routes may have the same
/// key), and the group's labels.
pub(crate) type GroupId = (usize, Labels);

/// See the module.
pub struct Dispatcher {
    config: Arc<Config>,
    alerts: BTreeMap<Fingerprint, Alert>,
    /// Of `alerts`, by the rules of `config`.
    inhibit_candidates: Candidates,
    /// Alerts that the history knows as firing.
    firing: BTreeSet<Fingerprint>,
    flapping: Flapping,
    silences: Silences,
    groups: BTreeMap<GroupId, AlertGroup>,
    told: NotificationLog,
    incident_bounds: IncidentBounds,
    outbox: Outbox,
    history: Recorder,
    next_delivery: u64,
    collected_at_ms: i64,
    ticked_at_ms: i64,
    /// No group is due before this.
    next_due_ms: i64,
    changes: Vec<Change>,
    effects: Vec<Effect>,
    /// How often all alerts of a group were looked through to take over from others.
    #[cfg(test)]
    looks: usize,
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
            inhibit_candidates: Candidates::new(&config.inhibit_rules, std::iter::empty()),
            config,
            alerts: BTreeMap::new(),
            firing: BTreeSet::new(),
            flapping: Flapping::default(),
            silences: Silences::default(),
            groups: BTreeMap::new(),
            told: NotificationLog::default(),
            incident_bounds: IncidentBounds::default(),
            outbox: Outbox::default(),
            history: Recorder::default(),
            next_delivery: 1,
            collected_at_ms: now_ms,
            ticked_at_ms: now_ms,
            next_due_ms: i64::MAX,
            changes: Vec::new(),
            effects: Vec::new(),
            #[cfg(test)]
            looks: 0,
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
        this.told = NotificationLog::restored(journal.load::<Entry>(Table::Notifications)?);
        let known = journal.bounds(Table::History)?;
        this.history =
            Recorder::restored(known.and_then(|(first, last)| first.parse().ok().zip(last.parse().ok())));
        for (_, mut alert) in journal.load::<Alert>(Table::Alerts)? {
            alert.renew_after_restart(now_ms);
            if !alert.is_resolved(now_ms) {
                this.firing.insert(alert.fingerprint());
            }
            this.hold(alert.fingerprint(), alert);
        }
        let waiting = journal.load::<Delivery>(Table::Outbox)?.into_iter().map(|(_, delivery)| delivery);
        this.take_over_deliveries(waiting.collect(), now_ms);
        this.regroup(now_ms);
        this.resume_deliveries();
        this.adopt_moved();
        Ok(this)
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What must be made durable, then done, since the last call.
    pub(crate) fn take(&mut self) -> (Vec<Change>, Vec<Effect>) {
        self.history.take(&mut self.changes);
        self.changes.extend(self.told.take_changes());
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.effects))
    }

    /// Takes an alert: merges it with what is known of it and puts it into its groups.
    ///
    /// # Errors
    /// When there are too many.
    pub fn post(&mut self, alert: Alert, now_ms: i64) -> Result<(), PostError> {
        let fingerprint = alert.fingerprint();
        let known = self.alerts.get(&fingerprint);
        let is_renewal = known.is_some_and(|known| known.is_renewed_by(&alert, now_ms));
        let alert = match known {
            Some(known) => known.succeeded_by(alert, now_ms),
            None if alert.is_resolved(now_ms) && alert.held => return Ok(()),
            None if self.alerts.len() >= ALERTS_MAX => return Err(PostError::TooMany),
            None => alert,
        };
        if !is_renewal {
            self.changes.push(Change::put(Table::Alerts, fingerprint.to_string(), &alert));
        }
        self.note_state(fingerprint, &alert, None, now_ms);
        self.place(fingerprint, &alert, true, now_ms);
        self.hold(fingerprint, alert);
        Ok(())
    }

    fn hold(&mut self, id: Fingerprint, alert: Alert) {
        if let Some(known) = self.alerts.get_mut(&id) {
            // Its labels are those that make its fingerprint.
            let before = std::mem::replace(known, alert);
            known.keep_rendered(&before);
            return;
        }
        self.inhibit_candidates.add(&self.config.inhibit_rules, id, &alert.labels);
        self.alerts.insert(id, alert);
    }

    /// Tells the history when an alert has begun or ended since it was told last.
    fn note_state(&mut self, id: Fingerprint, alert: &Alert, why: Option<&str>, now_ms: i64) {
        let fires = !alert.is_resolved(now_ms);
        let changed = if fires { self.firing.insert(id) } else { self.firing.remove(&id) };
        if changed {
            let kind = if fires { EventKind::Firing } else { EventKind::Resolved };
            let event = Event::new(kind, now_ms).alert(&alert.labels);
            self.history.record(match why {
                Some(why) => event.reason(why),
                None => event,
            });
            if self.flapping.changed(id, fires, now_ms) {
                let words = format!("began {} times within an hour", flapping::BEGINS);
                self.history
                    .record(Event::new(EventKind::Flapping, now_ms).alert(&alert.labels).reason(words));
            }
        }
    }

    /// Whether an alert counts as over when its group is told: one that flaps may be held back.
    fn is_over(&self, id: Fingerprint, alert: &Alert, now_ms: i64) -> bool {
        alert.is_resolved(now_ms) && !self.flapping.holds_back(id, self.config.hold_flapping_ms, now_ms)
    }

    fn settle_flapping(&mut self, now_ms: i64) {
        for id in self.flapping.settle(now_ms) {
            let event = Event::new(EventKind::Settled, now_ms);
            self.history.record(match self.alerts.get(&id) {
                Some(alert) => event.alert(&alert.labels),
                None => event.reason(id.to_string()),
            });
        }
    }

    /// Adds to the history.
    pub(crate) fn record(&mut self, event: Event) {
        self.history.record(event);
    }

    /// Lets [`Dispatcher::tick`] look at the groups at `at_ms`.
    fn wake(&mut self, at_ms: i64) {
        self.next_due_ms = self.next_due_ms.min(at_ms);
    }

    /// Resolves alerts that rules held before and hold no more, given those that they hold now.
    pub fn release_unheld(&mut self, held: &std::collections::BTreeSet<Fingerprint>, now_ms: i64) {
        let orphaned = |alert: &&mut Alert| {
            alert.held && !alert.is_resolved(now_ms) && !held.contains(&alert.fingerprint())
        };
        let mut ended = Vec::new();
        for alert in self.alerts.values_mut().filter(orphaned) {
            (alert.ends_at_ms, alert.ends_written) = (now_ms, Written::default());
            alert.updated_at_ms = now_ms;
            ended.push(alert.clone());
        }
        for alert in ended {
            let id = alert.fingerprint();
            self.changes.push(Change::put(Table::Alerts, id.to_string(), &alert));
            self.note_state(id, &alert, Some("its rule is gone"), now_ms);
        }
    }

    /// Puts every alert into the groups of the present routes, keeping the timers of groups that
    /// were there before.
    fn regroup(&mut self, now_ms: i64) {
        let alerts: Vec<_> = self.alerts.iter().map(|(id, alert)| (*id, alert.clone())).collect();
        for (fingerprint, alert) in alerts {
            self.place(fingerprint, &alert, false, now_ms);
        }
    }

    /// Puts an alert into its groups. One that is over makes none, and when it was only put together
    /// anew joins none, unless a receiver waits for its end: others have been told.
    fn place(&mut self, fingerprint: Fingerprint, alert: &Alert, is_posted: bool, now_ms: i64) {
        for route_id in self.config.routes.matching(&alert.labels) {
            let route = self.config.routes.get(route_id);
            let group_labels = route.group_labels(&alert.labels);
            let id = (route_id.0, group_labels.clone());
            let is_known = self.groups.contains_key(&id);
            let must_be_open = alert.is_resolved(now_ms) && !(is_known && is_posted);
            if must_be_open && !self.is_open(route, &group_labels, fingerprint) {
                continue;
            }
            if !is_known {
                let told_at_ms = self.told_at(route, &group_labels);
                self.groups.insert(id.clone(), AlertGroup::new(route, group_labels, told_at_ms, now_ms));
            }
            if let Some(group) = self.groups.get_mut(&id) {
                group.insert(fingerprint, alert.starts_at_ms, route.group_wait_ms, now_ms);
                self.next_due_ms = self.next_due_ms.min(group.due_ms());
            }
        }
    }

    fn entries_of<'a>(&'a self, route: &'a Route, group_labels: &Labels) -> impl Iterator<Item = &'a Entry> {
        let group_key = route.group_key(group_labels);
        self.integrations_of(route).filter_map(move |it| self.told.get(&Entry::key(&it, &group_key)))
    }

    /// The keys of the integrations that a route tells.
    fn integrations_of<'a>(&'a self, route: &'a Route) -> impl Iterator<Item = String> + use<'a> {
        let receiver = self.config.receivers.get(&route.receiver).into_iter();
        receiver.flat_map(|receiver| &receiver.integrations).map(|it| it.key(&route.receiver))
    }

    /// Whether a receiver takes the alert to be firing, or is about to be told so. That may have
    /// been for another group and under another name of the receiver, before a route was edited.
    fn is_open(&self, route: &Route, group_labels: &Labels, alert: Fingerprint) -> bool {
        let told = self.told.holders(alert).map(|(_, it)| (&it.target, &it.integration, &it.group_key));
        let on_their_way = self.outbox.about(alert).map(|under_way| &under_way.delivery);
        let on_their_way = on_their_way.filter(|delivery| delivery.firing.contains(&alert));
        let on_their_way = on_their_way.map(|it| (&it.target, &it.integration, &it.message.group_key));
        let knowing: Vec<_> = told.chain(on_their_way).collect();
        if knowing.is_empty() {
            return false;
        }
        let group_key = route.group_key(group_labels);
        let receiver = self.config.receivers.get(&route.receiver).into_iter();
        receiver.flat_map(|receiver| &receiver.integrations).any(|it| {
            let (own_target, own_key) = (it.target(), it.key(&route.receiver));
            knowing.iter().any(|(target, integration, of_group)| {
                **target == own_target || **integration == own_key && **of_group == group_key
            })
        })
    }

    /// When a group that is new to this process was told last, if a receiver still holds anything
    /// of it open. One that was told to its end begins anew, and waits for company.
    fn told_at(&self, route: &Route, group_labels: &Labels) -> Option<i64> {
        let open = self.entries_of(route, group_labels).filter(|entry| !entry.open.is_empty());
        open.map(|entry| entry.at_ms).max()
    }

    /// Takes a new configuration: groups that exist in it go on, others end, deliveries to
    /// integrations that are gone are cancelled.
    pub fn reload(&mut self, config: Arc<Config>, now_ms: i64) {
        let before = std::mem::replace(&mut self.config, config);
        let alerts = self.alerts.iter().map(|(id, alert)| (*id, alert));
        self.inhibit_candidates = Candidates::new(&self.config.inhibit_rules, alerts);
        let mut earlier = std::mem::take(&mut self.groups);
        for (id, route) in self.config.routes.iter() {
            // The same route may stand at another place of the tree now.
            let same_key = before.routes.iter().filter(|(_, old)| old.key == route.key);
            for (old_id, old_route) in same_key {
                let same_grouping =
                    old_route.group_by == route.group_by && old_route.receiver == route.receiver;
                if !same_grouping {
                    continue;
                }
                let moved: Vec<_> = earlier.keys().filter(|(at, _)| *at == old_id.0).cloned().collect();
                for key in moved {
                    if let Some(mut group) = earlier.remove(&key) {
                        group.rejoin(route, now_ms);
                        self.next_due_ms = self.next_due_ms.min(group.due_ms());
                        self.groups.insert((id.0, key.1), group);
                    }
                }
            }
        }
        self.regroup(now_ms);
        // What waits for a group that has no alerts any more waits for nothing.
        self.groups.retain(|_, group| !group.is_empty());
        self.review_deliveries(&before);
        self.adopt_moved();
    }

    /// Creates or changes a silence at once, as a rehearsal does, and returns its id.
    ///
    /// # Errors
    /// When it is malformed, unknown or one too many.
    pub fn set_silence(
        &mut self,
        wanted: Silence,
        fresh_id: String,
        now_ms: i64,
    ) -> Result<String, SilenceError> {
        let planned = self.silences.plan_set(wanted, fresh_id, now_ms)?;
        let id = planned.id().to_owned();
        let SilenceChanges { records, events } = self.silence_changes(&planned, now_ms);
        self.changes.extend(records.into_iter().chain(events));
        self.apply_silences(planned);
        Ok(id)
    }

    /// What writes down a change of silences, and that the history tells of it.
    pub(crate) fn silence_changes(&self, planned: &Planned, now_ms: i64) -> SilenceChanges {
        let events = planned.silences().map(|silence| silence_event(silence, now_ms));
        SilenceChanges {
            records: planned.silences().map(put_silence).collect(),
            events: self.history.planned(events).collect(),
        }
    }

    /// Puts a change of silences into force whose [`Dispatcher::silence_changes`] are written.
    pub(crate) fn apply_silences(&mut self, planned: Planned) {
        self.history.skip_planned(planned.silences().count());
        self.silences.apply(planned);
    }

    /// Leaves out the numbers of so many events that the history was perhaps told in vain.
    pub(crate) fn skip_events(&mut self, count: usize) {
        self.history.skip_planned(count);
    }

    /// Replaces the silences of files.
    pub fn set_file_silences(&mut self, files: Vec<FileSilence>) {
        self.silences.set_files(files);
    }

    /// Every silence.
    pub fn silences(&self) -> &Silences {
        &self.silences
    }

    /// How many alerts are held, how many notifications are on their way, how many alerts flap.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.alerts.len(), self.outbox.len(), self.flapping.len())
    }

    /// When [`Dispatcher::tick`] last looked for what can be forgotten.
    pub(crate) fn collected_at_ms(&self) -> i64 {
        self.collected_at_ms
    }

    /// When [`Dispatcher::tick`] has something to do next.
    pub fn next_wakeup_ms(&self) -> i64 {
        (self.collected_at_ms + COLLECT_EVERY_MS).min(self.next_due_ms)
    }

    /// Flushes the groups that are due and forgets what is over.
    pub fn tick(&mut self, now_ms: i64) {
        self.note_time(now_ms);
        let due = self.due(now_ms);
        self.tick_with(due, now_ms);
    }

    /// First part of a tick.
    pub(crate) fn note_time(&mut self, now_ms: i64) {
        if now_ms + SET_BACK_MS_MIN < self.ticked_at_ms {
            self.clock_was_set_back(now_ms);
        }
        self.ticked_at_ms = now_ms;
    }

    /// Last part of a tick, given what [`Dispatcher::due`] has found since nothing was changed.
    pub(crate) fn tick_with(&mut self, due: Due, now_ms: i64) {
        self.flush_due(due, now_ms);
        if now_ms - self.collected_at_ms >= COLLECT_EVERY_MS {
            self.collected_at_ms = now_ms;
            self.collect(now_ms);
        }
    }

    /// Timers of groups that were set by the clock before would keep alerts waiting until it has
    /// caught up.
    fn clock_was_set_back(&mut self, now_ms: i64) {
        for ((route, _), group) in &mut self.groups {
            group.wait_at_most(self.config.routes.get(RouteId(*route)), now_ms);
        }
        self.collected_at_ms = self.collected_at_ms.min(now_ms);
        self.next_due_ms = self.earliest_due_ms();
    }

    /// The alerts of a group in the order in which they are told.
    fn in_order<'a>(&'a self, group: &'a AlertGroup) -> impl Iterator<Item = (Fingerprint, &'a Alert)> {
        let order = group.in_order(|ids| {
            let count = ids.len();
            let held = ids.into_iter().filter_map(|id| self.alerts.get(&id).map(|alert| (id, &alert.labels)));
            let sorted = order::sort_alerts(held.collect(), |(_, labels)| *labels);
            debug_assert_eq!(
                sorted.len(),
                count,
                "an alert of a group is held, or it would be missing later"
            );
            sorted.into_iter().map(|(id, _)| id).collect()
        });
        order.filter_map(|id| self.alerts.get(&id).map(|alert| (id, alert)))
    }

    fn earliest_due_ms(&self) -> i64 {
        self.groups.values().map(AlertGroup::due_ms).min().unwrap_or(i64::MAX)
    }

    /// Forgets empty groups, alerts that are over and in no group, old silences and log entries.
    fn collect(&mut self, now_ms: i64) {
        self.groups.retain(|_, group| !group.is_empty());
        let grouped: BTreeSet<Fingerprint> = self.groups.values().flat_map(AlertGroup::alerts).collect();
        let is_over = |id: &&Fingerprint| self.alerts.get(*id).is_none_or(|alert| alert.is_resolved(now_ms));
        let ended: Vec<_> = self.firing.iter().filter(is_over).copied().collect();
        for id in ended {
            match self.alerts.get(&id).cloned() {
                Some(alert) => self.note_state(id, &alert, Some("not renewed"), now_ms),
                None => drop(self.firing.remove(&id)),
            }
        }
        self.settle_flapping(now_ms);
        let (changes, candidates) = (&mut self.changes, &mut self.inhibit_candidates);
        self.alerts.retain(|fingerprint, alert| {
            let kept = !alert.is_resolved(now_ms) || grouped.contains(fingerprint);
            if !kept {
                candidates.remove(*fingerprint);
                changes.push(Change::remove(Table::Alerts, fingerprint.to_string()));
            }
            kept
        });
        for id in self.silences.collect_expired(now_ms) {
            changes.push(Change::remove(Table::Silences, id));
        }
        let alerts = &self.alerts;
        self.told.collect(|alert| alerts.contains_key(&alert), now_ms);
    }
}

/// What writes down a change of silences.
pub(crate) struct SilenceChanges {
    /// The silences.
    pub(crate) records: Vec<Change>,
    /// What the history tells of them.
    pub(crate) events: Vec<Change>,
}

/// What writes a silence down.
pub(crate) fn put_silence(silence: &Silence) -> Change {
    Change::put(Table::Silences, silence.id.as_str(), silence)
}

/// What writes down a silence as it is in force, or that there is none.
pub(crate) fn restore_silence(silences: &Silences, id: &str) -> Change {
    silences.get(id).map_or_else(|| Change::remove(Table::Silences, id), put_silence)
}

fn silence_event(silence: &Silence, now_ms: i64) -> Event {
    let is_over = silence.ends_at_ms <= now_ms;
    let kind = if is_over { EventKind::SilenceExpired } else { EventKind::SilenceSet };
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    let words = format!("{} by `{}`: {}", matchers.join(", "), silence.created_by, silence.comment);
    Event { silences: vec![silence.id.clone()], ..Event::new(kind, now_ms).reason(words) }
}

#[cfg(test)]
mod complaints;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unanswered;
