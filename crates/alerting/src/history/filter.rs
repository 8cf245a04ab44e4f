//! Which events a reader wants, and the walk through them, newest first.

use super::{Event, EventKind, key, sieve::Sieve};
use crate::{
    alert::Fingerprint,
    journal::{Journal, JournalError, Table},
    matchers::all_match,
};
use model::Matcher;

/// Most events of one answer.
pub const LIMIT_MAX: usize = 10_000;
/// Ids follow time but for clocks that are set back by less than this.
const CLOCK_SLACK_MS: i64 = 3_600_000;

/// See the module. An empty filter wants everything.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// All must match the event's labels, or those of one of its alerts.
    pub matchers: Vec<Matcher>,
    /// Only events about this alert.
    pub alert: Option<Fingerprint>,
    /// Only these kinds; all when empty.
    pub kinds: Vec<EventKind>,
    /// Only events about this receiver.
    pub receiver: Option<String>,
    /// From when.
    pub start_ms: Option<i64>,
    /// Until when.
    pub end_ms: Option<i64>,
    /// Only events before this id: the next page.
    pub before: Option<u64>,
    /// Most events; 0 for [`LIMIT_MAX`].
    pub limit: usize,
}

/// Events, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryPage {
    /// Those found.
    pub events: Vec<Event>,
    /// Give it as `before` for the next page; `None` when there is no more.
    pub next: Option<u64>,
    /// The time of the oldest event that is kept at all.
    pub oldest_ms: Option<i64>,
}

impl EventFilter {
    /// Whether the event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let by_labels = || {
            self.matchers.is_empty()
                || all_match(&self.matchers, &event.labels) && !event.labels.is_empty()
                || event.alerts.iter().any(|alert| all_match(&self.matchers, &alert.labels))
        };
        self.start_ms.is_none_or(|start| event.at_ms >= start)
            && self.end_ms.is_none_or(|end| event.at_ms <= end)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.receiver.as_ref().is_none_or(|name| event.receiver.as_ref() == Some(name))
            && self.alert.is_none_or(|alert| event.concerns(alert))
            && by_labels()
    }

    /// Finds events in the journal.
    pub(crate) fn find(&self, journal: &Journal) -> Result<HistoryPage, JournalError> {
        let limit = if self.limit == 0 { LIMIT_MAX } else { self.limit.min(LIMIT_MAX) };
        let mut page = HistoryPage {
            oldest_ms: journal.first::<Event>(Table::History)?.map(|event| event.at_ms),
            ..HistoryPage::default()
        };
        let before = self.before.map_or_else(|| key(u64::MAX), key);
        let sieve = Sieve::of(self);
        let worth = |text: &str| sieve.may_want(text);
        journal.walk_back(Table::History, &before, worth, |event: Event| {
            if self.start_ms.is_some_and(|start| event.at_ms < start - CLOCK_SLACK_MS) {
                return false;
            }
            if self.wants(&event) {
                if page.events.len() == limit {
                    page.next = page.events.last().map(|last| last.id);
                    return false;
                }
                page.events.push(event);
            }
            true
        })?;
        Ok(page)
    }
}
