//! Notifications on their way: decided, durable, not yet known to have arrived.
//!
//! Invariant: at most one for each integration and group. One that is to stop stays until its
//! attempt under way has ended, because only then is it known what the receiver knows.

use super::{Delivery, GroupId};
use crate::alert::Fingerprint;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

/// A notification and what became of it so far.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) delivery: Arc<Delivery>,
    /// The group that it is of; `None` when that is gone.
    pub(crate) group: Option<GroupId>,
    /// Other groups of alerts that it tells of, which wait to learn what its target knows.
    pub(crate) waiting: BTreeSet<GroupId>,
    /// Groups that take over from others what its target knows when it has ended.
    pub(crate) adopters: BTreeSet<GroupId>,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// All that it tells to have begun is over meanwhile. It goes on, because a receiver that could
    /// not be reached for a while still wants to know what there was.
    pub(crate) outdated: bool,
    /// It was under way when an earlier process ended, and may have been taken then.
    pub(crate) resumed: bool,
    /// Attempts that failed.
    pub(crate) failures: u32,
    /// Why the last one did.
    pub(crate) last_error: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    under_way: BTreeMap<u64, UnderWay>,
    /// By integration and group key.
    by_group: HashMap<(String, String), u64>,
    /// By alert that is told of.
    by_alert: Index<Fingerprint>,
    /// What must have ended before an integration of a group takes over from others.
    holding_up: HashMap<(GroupId, usize), u64>,
    /// By target and the incident that is opened or updated.
    opening: Index<(String, String)>,
    /// By target and incident that is closed.
    closing: Index<(String, String)>,
}

type Index<K> = HashMap<K, BTreeSet<u64>>;

/// Takes a notification out of an index.
fn forget<K: Hash + Eq>(index: &mut Index<K>, of: &K, id: u64) {
    let is_last = index.get_mut(of).is_some_and(|ids| {
        ids.remove(&id);
        ids.is_empty()
    });
    if is_last {
        index.remove(of);
    }
}

fn incidents<'d>(
    delivery: &'d Delivery,
    named: impl IntoIterator<Item = &'d String> + 'd,
) -> impl Iterator<Item = (String, String)> {
    named.into_iter().map(|incident| (delivery.target.clone(), incident.clone()))
}

fn group_of(delivery: &Delivery) -> (String, String) {
    (delivery.integration.clone(), delivery.message.group_key.clone())
}

impl UnderWay {
    /// Whether its group decides anew what to tell as soon as it has ended.
    pub(crate) fn is_followed(&self) -> bool {
        self.stopping || self.outdated
    }
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.under_way.keys().copied().collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&UnderWay> {
        self.under_way.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut UnderWay> {
        self.under_way.get_mut(&id)
    }

    pub(crate) fn insert(&mut self, delivery: Arc<Delivery>, group: Option<GroupId>) {
        let id = delivery.id;
        self.by_group.insert(group_of(&delivery), id);
        for alert in delivery.alerts() {
            self.by_alert.entry(alert).or_default().insert(id);
        }
        for incident in incidents(&delivery, delivery.opens()) {
            self.opening.entry(incident).or_default().insert(id);
        }
        for incident in incidents(&delivery, delivery.closes()) {
            self.closing.entry(incident).or_default().insert(id);
        }
        let under_way = UnderWay {
            delivery,
            group,
            waiting: BTreeSet::new(),
            adopters: BTreeSet::new(),
            stopping: false,
            outdated: false,
            resumed: false,
            failures: 0,
            last_error: None,
        };
        self.under_way.insert(id, under_way);
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<UnderWay> {
        let under_way = self.under_way.remove(&id)?;
        let group = group_of(&under_way.delivery);
        if self.by_group.get(&group) == Some(&id) {
            self.by_group.remove(&group);
        }
        if self.under_way.is_empty() {
            self.holding_up.clear();
        }
        let delivery = &under_way.delivery;
        delivery.alerts().for_each(|alert| forget(&mut self.by_alert, &alert, id));
        incidents(delivery, delivery.opens()).for_each(|it| forget(&mut self.opening, &it, id));
        incidents(delivery, delivery.closes()).for_each(|it| forget(&mut self.closing, &it, id));
        Some(under_way)
    }

    /// The notification of an integration to a group.
    pub(crate) fn of_group(&self, integration: &str, group_key: &str) -> Option<&UnderWay> {
        let id = self.by_group.get(&(integration.to_owned(), group_key.to_owned()))?;
        self.under_way.get(id)
    }

    /// The notifications that tell of an alert.
    pub(crate) fn about(&self, alert: Fingerprint) -> impl Iterator<Item = &UnderWay> {
        let ids = self.by_alert.get(&alert).into_iter().flatten();
        ids.filter_map(|id| self.under_way.get(id))
    }

    /// Lets an integration of a group take over from others no earlier than when a notification has ended.
    pub(crate) fn hold_up(&mut self, group: &GroupId, at: usize, id: u64) {
        if let Some(under_way) = self.under_way.get_mut(&id) {
            under_way.adopters.insert(group.clone());
            self.holding_up.insert((group.clone(), at), id);
        }
    }

    /// Whether that has not ended yet.
    pub(crate) fn is_held_up(&self, group: &GroupId, at: usize) -> bool {
        self.holding_up.get(&(group.clone(), at)).is_some_and(|id| self.under_way.contains_key(id))
    }

    /// The first notification that opens or updates an incident.
    pub(crate) fn opening(&self, target: &str, incident: &str) -> Option<u64> {
        self.opening.get(&(target.to_owned(), incident.to_owned()))?.first().copied()
    }

    /// The first notification that closes an incident.
    pub(crate) fn closing(&self, target: &str, incident: &str) -> Option<u64> {
        self.closing.get(&(target.to_owned(), incident.to_owned()))?.first().copied()
    }

    /// Links each notification to its group, after the groups have changed. Those that waited for
    /// others ask again at their next flush.
    pub(crate) fn relink(&mut self, group_of: impl Fn(&Delivery) -> Option<GroupId>) {
        self.holding_up.clear();
        for under_way in self.under_way.values_mut() {
            under_way.group = group_of(&under_way.delivery);
            under_way.waiting.clear();
            under_way.adopters.clear();
        }
    }
}
