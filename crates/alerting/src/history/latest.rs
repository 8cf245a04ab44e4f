//! The latest events about each of several alerts, in one walk through the history.

use super::{Event, key, sieve::FINGERPRINT};
use crate::{
    alert::Fingerprint,
    journal::{Journal, JournalError, Table},
};
use memchr::memmem::Finder;
use std::collections::HashMap;

/// For each of `alerts` at most `each_max` events, newest first.
pub(crate) fn latest(
    journal: &Journal,
    alerts: &[Fingerprint],
    each_max: usize,
) -> Result<HashMap<Fingerprint, Vec<Event>>, JournalError> {
    let mut found: HashMap<Fingerprint, Vec<Event>> =
        alerts.iter().map(|alert| (*alert, Vec::new())).collect();
    let mut missing = found.len();
    if missing == 0 || each_max == 0 {
        return Ok(found);
    }
    let wanted: HashMap<String, Fingerprint> =
        found.keys().map(|alert| (alert.to_string(), *alert)).collect();
    let mark = Finder::new(FINGERPRINT);
    let worth = |text: &str| {
        let mut named = named(&mark, text).peekable();
        // One that names nobody may be of an earlier release.
        named.peek().is_none() || named.any(|fingerprint| wanted.contains_key(fingerprint))
    };
    journal.walk_back(Table::History, &key(u64::MAX), worth, |event: Event| {
        for alert in concerned(&event, &wanted) {
            let Some(events) = found.get_mut(&alert).filter(|events| events.len() < each_max) else {
                continue;
            };
            events.push(event.clone());
            missing -= usize::from(events.len() == each_max);
        }
        missing > 0
    })?;
    Ok(found)
}

/// The identities in an event's text.
fn named<'t>(mark: &Finder<'_>, text: &'t str) -> impl Iterator<Item = &'t str> {
    let begins = mark.find_iter(text.as_bytes()).map(|at| at + FINGERPRINT.len());
    begins.filter_map(|begin| text.get(begin..begin + Fingerprint::DIGITS))
}

/// Those of `wanted` that the event is about.
fn concerned(event: &Event, wanted: &HashMap<String, Fingerprint>) -> Vec<Fingerprint> {
    let named = event.fingerprint.iter().chain(event.alerts.iter().map(|alert| &alert.fingerprint));
    let mut found: Vec<_> = named.filter_map(|text| wanted.get(text)).copied().collect();
    if event.fingerprint.is_none() && event.alerts.is_empty() {
        let alert = Fingerprint::of(&event.labels);
        found.extend(wanted.values().find(|wanted| **wanted == alert));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{EventAlert, EventFilter, EventKind, Recorder};
    use model::Labels;

    /// One walk finds what a question for each alert finds.
    #[test]
    fn one_walk_answers_as_a_question_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let mut recorder = Recorder::default();
        let labels = |number: usize| Labels::from_pairs([("alertname", format!("a{number}"))]);
        let named = |number: usize| EventAlert {
            fingerprint: Fingerprint::of(&labels(number)).to_string(),
            status: "firing".into(),
            labels: labels(number),
        };
        for at in 0..60 {
            let event = Event::new(EventKind::Firing, at as i64);
            recorder.record(match at % 4 {
                0 => event.alert(&labels(at % 5)),
                // As earlier releases wrote it.
                1 => event.labels(&labels(at % 7)),
                2 => Event { alerts: vec![named(at % 3), named(3)], alerts_total: 2, ..event },
                _ => event,
            });
        }
        let mut changes = Vec::new();
        recorder.take(&mut changes);
        journal.commit(&changes).unwrap();
        let alerts: Vec<_> = [0, 1, 3, 6, 9].map(|number| Fingerprint::of(&labels(number))).to_vec();
        for each_max in [1, 3, 100] {
            let found = latest(&journal, &alerts, each_max).unwrap();
            for alert in &alerts {
                let filter = EventFilter { alert: Some(*alert), limit: each_max, ..EventFilter::default() };
                assert_eq!(found[alert], filter.find(&journal).unwrap().events, "{alert} {each_max}");
            }
        }
    }
}
