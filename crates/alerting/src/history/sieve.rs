//! What an event's text must hold to be wanted, so that a hundred thousand events are looked
//! through without being read.
//!
//! Invariant: an event that the filter wants is never held back. One that it does not want may pass.

use super::EventFilter;
use memchr::memmem::Finder;
use model::MatchOp;

/// Before an alert's identity. Events of earlier releases about one alert do not have it.
pub(super) const FINGERPRINT: &str = "\"fingerprint\":\"";

/// See the module.
pub(super) struct Sieve {
    /// All must be there.
    needles: Vec<Finder<'static>>,
    /// The alert asked for, and the mark that an event names its alerts.
    alert: Option<(Finder<'static>, Finder<'static>)>,
}

impl Sieve {
    pub(super) fn of(filter: &EventFilter) -> Self {
        // A value stands in the text as JSON writes it, wherever its label is.
        let as_json = |text: &str| serde_json::Value::from(text).to_string();
        let must_have = filter.matchers.iter().filter(|matcher| matcher.op() == MatchOp::Equal);
        let values = must_have.map(|matcher| matcher.value()).filter(|value| !value.is_empty());
        let texts = values.chain(filter.receiver.as_deref()).map(as_json);
        let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
        Sieve {
            needles: texts.map(|text| finder(&text)).collect(),
            alert: filter.alert.map(|alert| (finder(&alert.to_string()), finder(FINGERPRINT))),
        }
    }

    /// Whether the event that this is the text of may be wanted.
    pub(super) fn may_want(&self, text: &str) -> bool {
        let has = |finder: &Finder<'_>| finder.find(text.as_bytes()).is_some();
        self.needles.iter().all(has)
            && self.alert.as_ref().is_none_or(|(alert, mark)| has(alert) || !has(mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Fingerprint,
        history::{Event, EventKind},
        matchers::parse_matchers,
    };
    use model::Labels;

    #[test]
    fn what_the_filter_wants_passes() {
        let labels = Labels::from_pairs([("alertname", "a"), ("path", "C:\\\"x\"\u{1f}ü")]);
        let one = Event::new(EventKind::Firing, 1).alert(&labels);
        let earlier = Event { fingerprint: None, ..one.clone() };
        let told = Event::new(EventKind::Delivered, 1).labels(&labels).to("ops \"1\"", "x", "{}");
        let matching =
            |text: &str| EventFilter { matchers: parse_matchers(text).unwrap(), ..EventFilter::default() };
        let filters = [
            EventFilter::default(),
            matching("alertname=a"),
            matching(r#"{path="C:\\\"x\"\u001fü"}"#),
            matching("alertname!=b"),
            matching("nothing=\"\""),
            matching("alertname=b"),
            EventFilter { alert: Some(Fingerprint::of(&labels)), ..EventFilter::default() },
            EventFilter { alert: Some(Fingerprint(1)), ..EventFilter::default() },
            EventFilter { receiver: Some("ops \"1\"".into()), ..EventFilter::default() },
        ];
        let (mut wanted, mut held_back) = (0, 0);
        for event in [one, earlier, told] {
            let text = serde_json::to_string(&event).unwrap();
            for filter in &filters {
                let passes = Sieve::of(filter).may_want(&text);
                assert!(passes || !filter.wants(&event), "{filter:?} {text}");
                wanted += usize::from(filter.wants(&event));
                held_back += usize::from(!passes);
            }
        }
        assert!(wanted >= 15 && held_back >= 5, "{wanted} {held_back}");
    }
}
