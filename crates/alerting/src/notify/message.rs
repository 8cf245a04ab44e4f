//! What is told: the alerts of a group at one flush, and what they have in common.

use crate::alert::Alert;
use crate::{Annotations, stored};
use model::Labels;
use serde::{Deserialize, Serialize};

/// Why a notification is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The group has never been told.
    First,
    /// An alert fires that was not told as firing.
    NewAlerts,
    /// Some alerts are over.
    SomeResolved,
    /// All are.
    AllResolved,
    /// Nothing has changed for long enough.
    Repeat,
    /// A silence is over and what it muted still fires.
    SilenceEnded,
    /// Somebody asked whether notifications arrive.
    Test,
}

impl Reason {
    /// Alertmanager's words, and ours for what it does not do.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::First => "first notification",
            Reason::NewAlerts => "new alerts added",
            Reason::SomeResolved => "some alerts resolved",
            Reason::AllResolved => "all alerts resolved",
            Reason::Repeat => "repeat interval elapsed",
            Reason::SilenceEnded => "silence ended",
            Reason::Test => "test",
        }
    }
}

/// An alert with its state at the flush.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotifiedAlert {
    /// The alert.
    pub alert: Alert,
    /// Whether it was over.
    pub resolved: bool,
}

impl NotifiedAlert {
    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.resolved { "resolved" } else { "firing" }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The receiver's name.
    pub receiver: String,
    /// Alertmanager's name of the group.
    pub group_key: String,
    /// The labels that make the group.
    #[serde(with = "stored::labels")]
    pub group_labels: Labels,
    /// In the order of [`crate::order::sort_alerts`].
    pub alerts: Vec<NotifiedAlert>,
    /// Why it is sent.
    pub reason: Reason,
    /// Names of the groups under which the receiver has opened incidents for these alerts; `None`
    /// when that is `group_key`. One that fires goes to the first, an end to all. There may be none:
    /// then others still hold open what these alerts were part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incidents: Option<Vec<String>>,
}

impl Message {
    /// `firing` while any alert fires.
    pub fn status(&self) -> &'static str {
        if self.alerts.iter().any(|alert| !alert.resolved) { "firing" } else { "resolved" }
    }

    /// Names of the incidents that it is about.
    pub(crate) fn named_incidents(&self) -> &[String] {
        self.incidents.as_deref().unwrap_or(std::slice::from_ref(&self.group_key))
    }

    /// Labels that all alerts have.
    pub fn common_labels(&self) -> Labels {
        Labels::from_pairs(common(self.alerts.iter().map(|alert| alert.alert.labels.iter())))
    }

    /// Annotations that all alerts have.
    pub fn common_annotations(&self) -> Annotations {
        Annotations::from_pairs(common(self.alerts.iter().map(|alert| alert.alert.annotations.iter())))
    }

    /// Leaves out alerts beyond `alerts_max` (0 for all) and returns how many.
    pub fn truncate(&mut self, alerts_max: usize) -> usize {
        if alerts_max == 0 || self.alerts.len() <= alerts_max {
            return 0;
        }
        let left_out = self.alerts.len() - alerts_max;
        self.alerts.truncate(alerts_max);
        left_out
    }
}

/// The pairs that are in all sets, each of which is in the order of names.
fn common<'a, S>(mut sets: impl Iterator<Item = S>) -> Vec<(&'a str, &'a str)>
where
    S: Iterator<Item = (&'a str, &'a str)>,
{
    let mut common: Vec<_> = sets.next().into_iter().flatten().collect();
    for set in sets {
        let mut set = set.peekable();
        common.retain(|(name, value)| {
            while set.next_if(|(other, _)| other < name).is_some() {}
            set.peek() == Some(&(*name, *value))
        });
    }
    common
}

/// A text that a regular expression matches literally, as Go quotes it.
pub(crate) fn quote_meta(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_is_what_all_have() {
        let sets = [[("a", "1"), ("b", "1")], [("a", "1"), ("b", "2")]].map(Labels::from_pairs);
        assert_eq!(common(sets.iter().map(Labels::iter)), [("a", "1")]);
        let none: [&Labels; 0] = [];
        assert!(common(none.into_iter().map(Labels::iter)).is_empty());
        let annotations = Annotations::from_pairs([("a", ""), ("c", "1")]);
        let fewer = Annotations::from_pairs([("a", ""), ("b", ""), ("d", "1")]);
        assert_eq!(common([&annotations, &fewer].into_iter().map(Annotations::iter)), [("a", "")]);
        assert_eq!(quote_meta("team.x-1"), r"team\.x-1");
    }
}
