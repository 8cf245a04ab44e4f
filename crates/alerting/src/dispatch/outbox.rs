//! Notifications on their way: decided, durable, not yet known to have arrived.
//!
//! Invariant: at most one for each integration and group. One that is to stop stays until its
//! attempt under way has ended, because only then is it known what the receiver knows.

use super::{Delivery, GroupId};
use crate::alert::Fingerprint;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A notification and what became of it so far.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) delivery: Delivery,
    /// The group that waits for it; `None` when it is gone.
    pub(crate) group: Option<GroupId>,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// All that it tells to have begun is over meanwhile. It goes on, because a receiver that could
    /// not be reached for a while still wants to know what there was.
    pub(crate) outdated: bool,
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
    /// Those whose group is gone; few, because only a reload makes them.
    orphans: BTreeSet<u64>,
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

    pub(crate) fn insert(&mut self, delivery: Delivery, group: Option<GroupId>) {
        let id = delivery.id;
        self.by_group.insert(group_of(&delivery), id);
        if group.is_none() {
            self.orphans.insert(id);
        }
        let under_way =
            UnderWay { delivery, group, stopping: false, outdated: false, failures: 0, last_error: None };
        self.under_way.insert(id, under_way);
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<UnderWay> {
        let under_way = self.under_way.remove(&id)?;
        let group = group_of(&under_way.delivery);
        if self.by_group.get(&group) == Some(&id) {
            self.by_group.remove(&group);
        }
        self.orphans.remove(&id);
        Some(under_way)
    }

    /// The notification of an integration to a group.
    pub(crate) fn of_group(&self, integration: &str, group_key: &str) -> Option<&UnderWay> {
        let id = self.by_group.get(&(integration.to_owned(), group_key.to_owned()))?;
        self.under_way.get(id)
    }

    /// Links each notification to the group that waits for it, after the groups have changed.
    pub(crate) fn relink(&mut self, group_of: impl Fn(&Delivery) -> Option<GroupId>) {
        self.orphans.clear();
        for (id, under_way) in &mut self.under_way {
            under_way.group = group_of(&under_way.delivery);
            if under_way.group.is_none() {
                self.orphans.insert(*id);
            }
        }
    }

    /// A notification without a group that tells `target` about one of `alerts`. Until it has
    /// ended it is not known what the target knows. The group takes it over.
    pub(crate) fn adopt_orphan(
        &mut self,
        target: &str,
        alerts: &BTreeSet<Fingerprint>,
        group: &GroupId,
    ) -> Option<u64> {
        let tells = |id: &&u64| {
            self.under_way.get(id).is_some_and(|under_way| {
                let delivery = &under_way.delivery;
                delivery.target == target
                    && alerts
                        .iter()
                        .any(|alert| delivery.firing.contains(alert) || delivery.resolved.contains(alert))
            })
        };
        let id = *self.orphans.iter().find(tells)?;
        let under_way = self.under_way.get_mut(&id)?;
        under_way.group = Some(group.clone());
        // The group decides anew once it is known how this ended.
        under_way.stopping = true;
        self.orphans.remove(&id);
        Some(id)
    }
}
