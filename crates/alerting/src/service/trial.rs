//! A test notification: sent now, by every way of a receiver, and what came of it.

use super::{Alerting, random_uuid};
use crate::{
    Annotations,
    alert::{ALERT_NAME, Alert},
    config::{BUILT_IN_RECEIVER, Receiver},
    dispatch::Delivery,
    history::{Event, EventKind},
    notify::{Message, NotifiedAlert, Reason, deliver::attempt_test},
    owner::OwnerError,
    timestamp::Written,
};
use model::Labels;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Receivers that a refusal names; more would hide what it says.
const NAMES_SHOWN_MAX: usize = 20;

/// What came of one integration's test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestOutcome {
    /// Such as `team/webhook/0`.
    pub integration: String,
    /// Such as `webhook`.
    pub kind: &'static str,
    /// Whether the receiver has taken it.
    pub delivered: bool,
    /// Why it has not.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Why there was no test.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TestError {
    #[error("there is no receiver `{name}`: {known}")]
    UnknownReceiver { name: String, known: String },
    #[error(transparent)]
    Owner(#[from] OwnerError),
}

impl Alerting {
    /// Sends a test notification to every integration of a receiver, once, and waits for the ends.
    ///
    /// # Errors
    /// When there is no such receiver, or alerting is busy or has stopped.
    pub async fn test_receiver(&self, name: &str) -> Result<Vec<TestOutcome>, TestError> {
        let config = self.config().await?;
        let receiver = config.receivers.get(name).cloned();
        let receiver = receiver.ok_or_else(|| TestError::UnknownReceiver {
            name: name.to_owned(),
            known: known(config.receivers.keys().map(String::as_str)),
        })?;
        let mut tasks = Vec::new();
        for at in 0..receiver.integrations.len() {
            let (means, templates, receiver) =
                (self.means.clone(), config.templates.clone(), receiver.clone());
            let delivery = test_delivery(&receiver, at, (self.parts.clock)());
            tasks.push(tokio::spawn(async move {
                let integration = &receiver.integrations[at];
                let began = Instant::now();
                let result = attempt_test(&means, &templates, integration, &delivery, TIMEOUT).await;
                outcome(delivery.integration, integration.kind(), result, began.elapsed())
            }));
        }
        let mut outcomes = Vec::new();
        for task in tasks {
            // A panic in an attempt is one here, so that it is not taken for a delivery.
            outcomes
                .push(task.await.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic())));
        }
        for outcome in &outcomes {
            self.record(event(&receiver.name, outcome, (self.parts.clock)())).await;
        }
        Ok(outcomes)
    }
}

/// Which receivers there are, for who asked for another.
fn known<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> String {
    if names.clone().eq([BUILT_IN_RECEIVER]) {
        return "no routing is loaded; --alertmanager-config names its file".to_owned();
    }
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let shown: Vec<_> = names.take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there are {}{more}", shown.join(", "))
}

fn outcome(
    integration: String,
    kind: &'static str,
    result: Result<(), String>,
    took: Duration,
) -> TestOutcome {
    let duration_ms = took.as_millis() as u64;
    TestOutcome { integration, kind, delivered: result.is_ok(), error: result.err(), duration_ms }
}

fn event(receiver: &str, outcome: &TestOutcome, at_ms: i64) -> Event {
    let event = Event::new(EventKind::Tested, at_ms).to(receiver, &outcome.integration, "");
    let event = Event { duration_ms: Some(outcome.duration_ms), ..event };
    match &outcome.error {
        Some(error) => event.error(error.as_str()),
        None => event.reason("taken"),
    }
}

/// A notification that says that it is a test.
fn test_delivery(receiver: &Arc<Receiver>, at: usize, now_ms: i64) -> Delivery {
    let integration = &receiver.integrations[at];
    let labels = Labels::from_pairs([(ALERT_NAME, "TestNotification"), ("severity", "info")]);
    let words = format!("A test for the receiver `{}`. Nothing is wrong.", receiver.name);
    let alert = Alert {
        labels: labels.clone(),
        annotations: Annotations::from_pairs([("summary", words)]),
        starts_at_ms: now_ms,
        ends_at_ms: now_ms.saturating_add(TIMEOUT.as_millis() as i64),
        starts_written: Written::default(),
        ends_written: Written::default(),
        updated_at_ms: now_ms,
        generator_url: String::new(),
        timeout: false,
        held: false,
        rendered: crate::Rendered::default(),
        measure: None,
    };
    let message = Message {
        receiver: receiver.name.clone(),
        group_key: format!("test/{}:{{}}", random_uuid()),
        group_labels: labels,
        alerts: vec![NotifiedAlert { alert, resolved: false }],
        reason: Reason::Test,
        incidents: None,
    };
    Delivery {
        id: 0,
        idempotency_key: format!("ntf_test_{}", random_uuid()),
        receiver: receiver.name.clone(),
        integration: integration.key(&receiver.name),
        target: integration.target(),
        message,
        firing: BTreeSet::new(),
        resolved: BTreeSet::new(),
        closes_more: false,
        expires_at_ms: now_ms.saturating_add(TIMEOUT.as_millis() as i64),
        repeat_interval_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_a_wrong_receiver_is_told_the_right_ones() {
        let all = |names: &[&str]| known(names.iter().copied());
        assert!(all(&[BUILT_IN_RECEIVER]).contains("no routing is loaded"));
        assert_eq!(all(&["mail", "on-call"]), "there are `mail`, `on-call`");
        assert!(all(&["r"; 23]).ends_with("`r` and 3 more"));
    }
}
