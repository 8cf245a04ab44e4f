//! Events of alerting as a log stream: `{job="bellwether", stream="alerting"}`, one JSON line an
//! event, with its kind, alert name and receiver as structured metadata.

use crate::tail::Tail;
use alerting::{Event, EventSink, QueryFailure};
use daemon::clock;
use model::{Labels, LogBatch};
use std::sync::Arc;
use store::LogStore;

/// Writes events into the log store.
pub(crate) struct EventLog {
    logs: Arc<dyn LogStore>,
    tail: Tail,
    stream: Labels,
}

impl EventLog {
    /// Over this store; live tails see what it writes.
    pub(crate) fn new(logs: Arc<dyn LogStore>, tail: Tail) -> Self {
        let stream = [("job", "bellwether"), ("service_name", "bellwether"), ("stream", "alerting")];
        EventLog { logs, tail, stream: Labels::from_pairs(stream) }
    }
}

impl EventSink for EventLog {
    fn append(&self, events: &[Event]) -> Result<(), QueryFailure> {
        let mut batch = LogBatch::default();
        batch.begin_with(self.stream.as_ref());
        for event in events {
            let at_ns = event.at_ms.saturating_mul(1_000_000);
            batch.entry(at_ns, &event.to_json().to_string(), metadata(event).as_ref());
        }
        let failed = |error: &dyn std::fmt::Display| QueryFailure(error.to_string());
        // Not awaited on disk: the history holds the same events.
        let receipt = self.logs.append(&batch, None, clock::now_ns()).map_err(|error| failed(&error))?;
        if let Some(rejected) = receipt.rejected.first() {
            tracing::warn!(
                reason = rejected.reason.as_str(),
                "events of alerting were refused by the log store"
            );
        }
        if self.tail.is_followed() {
            self.tail.publish(batch);
        }
        Ok(())
    }
}

fn metadata(event: &Event) -> Labels {
    let kind = event.kind.as_str();
    let level = if event.error.is_some() { "warn" } else { "info" };
    let mut pairs = vec![("kind", kind.as_str()), ("detected_level", level)];
    let name = event.labels.value("alertname");
    if !name.is_empty() {
        pairs.push(("alertname", name));
    }
    if let Some(receiver) = &event.receiver {
        pairs.push(("receiver", receiver));
    }
    Labels::from_pairs(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alerting::EventKind;
    use logql::Answer;
    use store::QueryContext;

    #[test]
    fn events_are_found_in_logql() {
        let logs: Arc<dyn LogStore> = Arc::new(store::MemLogStore::new());
        let sink = EventLog::new(logs.clone(), Tail::default());
        let mut event = Event::new(EventKind::GivenUp, clock::now_ms());
        event.labels = Labels::from_pairs([("alertname", "Down")]);
        event.receiver = Some("ops".to_owned());
        event.error = Some("503".to_owned());
        sink.append(&[event]).unwrap();
        let query = r#"sum by (receiver) (count_over_time({job="bellwether", stream="alerting"} | alertname="Down" | kind="given_up" | json | error="503" [1h]))"#;
        let tree = logql::parse(query).unwrap();
        let context = QueryContext::new(store::Limits::default());
        let answer = logql::instant(&tree, clock::now_ns() + 1_000_000_000, logs.as_ref(), &context).unwrap();
        let Answer::Vector(found) = answer else { panic!("{answer:?}") };
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].labels.value("receiver"), found[0].value.as_float()), ("ops", 1.0));
    }
}
