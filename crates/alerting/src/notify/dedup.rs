//! The notification log: what each receiver was told last about each group, and whether there is
//! something to tell now.
//!
//! Beyond what Alertmanager keeps, an entry knows the alerts that the receiver holds open: told as
//! firing and not yet told as resolved. By it a resolve is told even when the alert was muted
//! meanwhile, and a change of the routing does not tell everything again.

use super::message::{Message, Reason};
use crate::alert::Fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// How long an entry is kept after its last notification, at least.
const KEPT_MS: i64 = 120 * 3_600_000;

/// See the module. Invariant: what was told as firing is open. The reverse need not be: a muted alert
/// stays open, and so does one of which nobody knows whether it was told, after a crash or without an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Alertmanager's name of the group.
    pub(crate) group_key: String,
    /// The integration within the configuration.
    pub(crate) integration: String,
    /// Who was reached, whatever the receiver is called.
    pub(crate) target: String,
    /// What was told as firing.
    pub(crate) firing: BTreeSet<Fingerprint>,
    /// What was told as resolved.
    pub(crate) resolved: BTreeSet<Fingerprint>,
    /// What the receiver takes to be firing.
    pub(crate) open: BTreeSet<Fingerprint>,
    /// When.
    pub(crate) at_ms: i64,
    /// How many notifications there have been.
    pub(crate) sequence: u64,
    /// The route's repeat interval then.
    pub(crate) repeat_interval_ms: i64,
    /// Open alerts that a silence has muted since, or of which nobody knows whether
    /// they, or their ends, were told, or that have no incident any more; they are told again when
    /// they can be.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) silenced: BTreeSet<Fingerprint>,
    /// Names of the groups under which the receiver has opened incidents for what is open, when they
    /// are others than `group_key`, or when other entries have some in common with this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) incidents: Vec<String>,
    /// Those of them that an end has closed which is not told to all yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) closed: BTreeSet<String>,
    /// Those of all of them that the receiver may not have open: nobody knows whether it
    /// was told of them, or an end has closed them while alerts stayed open. An end closes them, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) unsure: BTreeSet<String>,
}

impl Entry {
    /// The key of an entry.
    pub(crate) fn key(integration: &str, group_key: &str) -> String {
        format!("{integration}|{group_key}")
    }

    /// Whether the entry serves no purpose any more. As long as an alert is held that the receiver
    /// takes to be firing, its end is owed, however long a silence has muted it.
    pub(crate) fn is_expired(&self, is_held: impl Fn(Fingerprint) -> bool, now_ms: i64) -> bool {
        self.at_ms + KEPT_MS.max(2 * self.repeat_interval_ms) < now_ms
            && !self.open.iter().any(|alert| is_held(*alert))
    }

    /// Takes it that the receiver knows of the end of `alerts`, although it was not told. Returns the
    /// incidents that are forgotten by it.
    pub(crate) fn close(&mut self, alerts: &BTreeSet<Fingerprint>) -> Vec<String> {
        for alert in alerts {
            for set in [&mut self.firing, &mut self.open, &mut self.silenced] {
                set.remove(alert);
            }
        }
        self.forget_incidents()
    }

    /// The incidents that the receiver has open for this entry; first those of which that is sure.
    pub(crate) fn open_incidents(&self) -> impl Iterator<Item = &str> {
        let open = self.named().filter(|incident| !self.closed.contains(*incident));
        let unsure = open.clone().filter(|incident| self.unsure.contains(*incident));
        open.filter(|incident| !self.unsure.contains(*incident)).chain(unsure)
    }

    /// Those that are not closed, and those that are.
    fn named(&self) -> impl Iterator<Item = &str> + Clone {
        let named = match self.incidents.as_slice() {
            _ if self.open.is_empty() => &[],
            [] => std::slice::from_ref(&self.group_key),
            incidents => incidents,
        };
        named.iter().map(String::as_str)
    }

    /// Whether what is open here would be seen no more, or less surely, without an incident that the entry
    /// names.
    pub(crate) fn relies_on(&self, incident: &str) -> bool {
        !self.unsure.contains(incident) || !self.has_sure()
    }

    /// An incident, and whether it is sure that the receiver has it open.
    pub(crate) fn with_sureness(&self, incident: &str) -> (String, bool) {
        (incident.to_owned(), !self.unsure.contains(incident))
    }

    fn has_sure(&self) -> bool {
        self.open_incidents().next().is_some_and(|first| !self.unsure.contains(first))
    }

    /// Takes it that the receiver may have `incidents` open no more. What has no other is told again.
    pub(crate) fn doubt(&mut self, incidents: &BTreeSet<String>) {
        let own = self.named().filter(|own| incidents.contains(*own)).map(str::to_owned);
        let own: Vec<String> = own.collect();
        self.unsure.extend(own);
        if !self.has_sure() {
            self.silenced.extend(&self.open);
        }
    }

    /// Takes it that the receiver has opened `incidents`, too, each for sure or perhaps.
    pub(crate) fn join_incidents(&mut self, incidents: impl IntoIterator<Item = (String, bool)>) {
        let mut known: HashSet<String> = self.incidents.iter().cloned().collect();
        for (incident, is_sure) in incidents {
            let is_new = known.insert(incident.clone());
            if is_sure {
                self.unsure.remove(&incident);
            } else if is_new {
                self.unsure.insert(incident.clone());
            }
            if is_new {
                self.incidents.push(incident);
            }
        }
    }

    /// Takes it that the receiver may have been told of a beginning.
    pub(crate) fn begin(&mut self, message: &Message) {
        if let Some(incidents) = &message.incidents {
            self.join_incidents(incidents.iter().map(|incident| (incident.clone(), false)));
        } else if !self.open_incidents().any(|incident| *incident == self.group_key) {
            self.unsure.insert(self.group_key.clone());
        }
    }

    /// Once nothing is open, the next incident has the group's own name.
    fn forget_incidents(&mut self) -> Vec<String> {
        if !self.open.is_empty() {
            return Vec::new();
        }
        self.closed.clear();
        self.unsure.clear();
        std::mem::take(&mut self.incidents)
    }

    /// What becomes of the entry when `firing` and `resolved` have been told.
    pub(crate) fn told(
        &mut self,
        firing: &BTreeSet<Fingerprint>,
        resolved: &BTreeSet<Fingerprint>,
        now_ms: i64,
    ) {
        self.open.extend(firing);
        self.open.retain(|alert| !resolved.contains(alert));
        self.silenced.retain(|alert| !firing.contains(alert) && !resolved.contains(alert));
        self.firing.clone_from(firing);
        self.resolved.clone_from(resolved);
        self.at_ms = now_ms;
        self.sequence += 1;
        self.forget_incidents();
        // Alerts that come while an end closes one incident after the other go on with the rest.
        let closed = std::mem::take(&mut self.closed);
        self.incidents.retain(|incident| !closed.contains(incident));
        self.unsure.retain(|incident| !closed.contains(incident));
    }
}

/// What a group holds at a flush, as far as it is not muted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now<'a> {
    /// Alerts that fire.
    pub(crate) firing: &'a BTreeSet<Fingerprint>,
    /// Alerts that are over.
    pub(crate) resolved: &'a BTreeSet<Fingerprint>,
    /// Whether the receiver wants to hear of the end of alerts.
    pub(crate) send_resolved: bool,
    /// The route's.
    pub(crate) repeat_interval_ms: i64,
    /// Whether the receiver is told at every flush while anything fires.
    pub(crate) always: bool,
    /// The time of the flush.
    pub(crate) now_ms: i64,
}

/// Why the receiver must be told, or `None` when it need not.
pub(crate) fn decide(entry: Option<&Entry>, now: Now<'_>) -> Option<Reason> {
    let Some(entry) = entry else {
        return (!now.firing.is_empty()).then_some(Reason::First);
    };
    if !now.firing.is_subset(&entry.firing) {
        return Some(Reason::NewAlerts);
    }
    if now.firing.is_empty() {
        // What was told as over before is not told again because something else is still open.
        return (!now.resolved.is_disjoint(&entry.open)).then_some(Reason::AllResolved);
    }
    if now.send_resolved && !now.resolved.is_subset(&entry.resolved) {
        return Some(Reason::SomeResolved);
    }
    if !now.firing.is_disjoint(&entry.silenced) {
        return Some(Reason::SilenceEnded);
    }
    if now.always {
        return Some(Reason::Repeat);
    }
    (entry.at_ms < now.now_ms - now.repeat_interval_ms).then_some(Reason::Repeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u64]) -> BTreeSet<Fingerprint> {
        ids.iter().copied().map(Fingerprint).collect()
    }

    fn check(entry: Option<(&[u64], &[u64])>, firing: &[u64], resolved: &[u64], expected: Option<Reason>) {
        let entry = entry.map(|(firing, resolved)| {
            let mut entry = Entry::default();
            entry.told(&set(firing), &set(resolved), 1000);
            entry
        });
        let (firing, resolved) = (set(firing), set(resolved));
        for (send_resolved, now_ms) in [(true, 1500), (false, 1500), (true, 9000)] {
            let expected = match expected {
                Some(Reason::SomeResolved) if !send_resolved => None,
                None if now_ms == 9000 && entry.is_some() && !firing.is_empty() => Some(Reason::Repeat),
                other => other,
            };
            let now = Now {
                firing: &firing,
                resolved: &resolved,
                send_resolved,
                repeat_interval_ms: 5000,
                always: false,
                now_ms,
            };
            assert_eq!(
                decide(entry.as_ref(), now),
                expected,
                "{firing:?} {resolved:?} {send_resolved} {now_ms}"
            );
        }
    }

    #[test]
    fn decisions() {
        check(None, &[], &[1], None);
        check(None, &[1], &[], Some(Reason::First));
        check(Some((&[1], &[])), &[1], &[], None);
        check(Some((&[1], &[])), &[1, 2], &[], Some(Reason::NewAlerts));
        check(Some((&[1, 2], &[])), &[1], &[2], Some(Reason::SomeResolved));
        check(Some((&[1, 2], &[])), &[], &[1, 2], Some(Reason::AllResolved));
        check(Some((&[], &[1, 2])), &[], &[1, 2], None);
        check(Some((&[1], &[])), &[], &[], None);
        check(Some((&[], &[1])), &[1], &[], Some(Reason::NewAlerts));
    }

    /// One alert is open and muted; another was told as over and still waits in its group for a
    /// second receiver that refuses it.
    #[test]
    fn what_was_told_as_over_is_not_told_again_at_every_flush() {
        let mut entry = Entry::default();
        entry.told(&set(&[1, 2]), &set(&[]), 1000);
        entry.told(&set(&[]), &set(&[2]), 2000);
        let (firing, resolved) = (set(&[]), set(&[2]));
        let now = Now {
            firing: &firing,
            resolved: &resolved,
            send_resolved: true,
            repeat_interval_ms: 5000,
            always: false,
            now_ms: 3000,
        };
        assert_eq!((entry.open.clone(), decide(Some(&entry), now)), (set(&[1]), None));
    }

    #[test]
    fn open_alerts_are_those_not_told_as_resolved() {
        let mut entry = Entry::default();
        entry.told(&set(&[1, 2]), &set(&[]), 1);
        entry.told(&set(&[2]), &set(&[]), 2);
        assert_eq!(entry.open, set(&[1, 2]), "a muted alert stays open");
        entry.told(&set(&[]), &set(&[1]), 3);
        assert_eq!((entry.open.clone(), entry.sequence), (set(&[2]), 3));
    }
}
