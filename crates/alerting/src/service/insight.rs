//! Questions about what happened and why.

use super::Alerting;
use crate::{
    alert::Fingerprint,
    dispatch::{AlertView, Dispatcher, Explanation},
    history::{EventFilter, HistoryPage},
    journal::JournalError,
    matchers::all_match,
    owner::OwnerError,
    rules::{AlertState, RuleKind},
};
use model::{Labels, Matcher};
use std::sync::PoisonError;

/// Why the history could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HistoryError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("alerting has stopped")]
    Stopped,
    #[error("the history's reader panicked")]
    Panicked,
}

impl Alerting {
    /// Events, newest first. Nothing waits for it: it reads a snapshot of the journal.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn history(&self, filter: EventFilter) -> Result<HistoryPage, HistoryError> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let journal = journal.ok_or(HistoryError::Stopped)?;
        let read = tokio::task::spawn_blocking(move || filter.find(&journal));
        Ok(read.await.map_err(|_| HistoryError::Panicked)??)
    }

    /// Why alerts did or did not reach someone: those that are held and all of `matchers` take
    /// (or that have the fingerprint), then those that a rule holds pending; at most `limit`.
    ///
    /// # Errors
    /// When alerting is busy or has stopped.
    pub async fn explain(
        &self,
        matchers: Vec<Matcher>,
        fingerprint: Option<Fingerprint>,
        limit: usize,
    ) -> Result<Vec<Explanation>, OwnerError> {
        let wanted = move |labels: &Labels| {
            all_match(&matchers, labels) && fingerprint.is_none_or(|id| Fingerprint::of(labels) == id)
        };
        let pending = self.pending(&wanted);
        let explain = move |dispatcher: &Dispatcher, now_ms: i64| {
            let mut found = dispatcher.explain(|alert| wanted(&alert.labels), limit, now_ms);
            for alert in pending.into_iter().take(limit.saturating_sub(found.len())) {
                found.push(Explanation {
                    state: "pending",
                    annotations: alert.annotations,
                    since_ms: Some(alert.since_ms),
                    fires_at_ms: Some(alert.since_ms.saturating_add(alert.for_ms)),
                    ..dispatcher.explain_where(&alert.labels, now_ms)
                });
            }
            found
        };
        self.owner.read(explain).await
    }

    /// Where an alert with these labels would go.
    ///
    /// # Errors
    /// As [`Alerting::explain`].
    pub async fn explain_labels(&self, labels: Labels) -> Result<Explanation, OwnerError> {
        self.owner.read(move |dispatcher, now_ms| dispatcher.explain_where(&labels, now_ms)).await
    }

    /// The alerts that a silence with these matchers would mute now.
    ///
    /// # Errors
    /// As [`Alerting::explain`].
    pub async fn preview_silence(&self, matchers: Vec<Matcher>) -> Result<Vec<AlertView>, OwnerError> {
        self.owner.read(move |dispatcher, now_ms| dispatcher.matching(&matchers, now_ms)).await
    }

    fn pending(&self, wanted: &impl Fn(&Labels) -> bool) -> Vec<PendingAlert> {
        let mut found = Vec::new();
        for group in self.rules() {
            for rule in &group.rules {
                let RuleKind::Alert { for_ms, .. } = rule.definition.kind else { continue };
                let pending = rule.active.iter().filter(|alert| alert.state == AlertState::Pending);
                found.extend(pending.filter(|alert| wanted(&alert.labels)).map(|alert| PendingAlert {
                    labels: alert.labels.clone(),
                    annotations: alert.annotations.clone(),
                    since_ms: alert.active_at_ms,
                    for_ms,
                }));
            }
        }
        found
    }
}

struct PendingAlert {
    labels: Labels,
    annotations: Labels,
    since_ms: i64,
    for_ms: i64,
}
