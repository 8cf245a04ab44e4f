//! Questions about what happened and why.

use super::Alerting;
use crate::{
    Annotations,
    alert::Fingerprint,
    dispatch::{Dispatcher, Explanation},
    history::{Event, EventFilter, HistoryPage, latest},
    journal::{Journal, JournalError},
    matchers::all_match,
    owner::OwnerError,
    rules::{AlertState, Group, RuleKind},
};
use model::{Labels, Matcher};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

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
        self.walk(move |journal| filter.find(journal)).await
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
        let groups = self.rules();
        let explain = move |dispatcher: &Dispatcher, now_ms: i64| {
            let mut found = dispatcher.explain(|alert| wanted(&alert.labels), limit, now_ms);
            let pending = pending(&groups, &wanted, limit.saturating_sub(found.len()));
            let labels = pending.iter().map(|alert| &alert.labels);
            let explained = dispatcher.explain_where(labels, now_ms);
            found.extend(explained.into_iter().zip(&pending).map(|(explanation, alert)| Explanation {
                state: "pending",
                annotations: alert.annotations.clone(),
                since_ms: Some(alert.since_ms),
                fires_at_ms: Some(alert.since_ms.saturating_add(alert.for_ms)),
                ..explanation
            }));
            found
        };
        self.owner.read(explain).await
    }

    /// Where an alert with these labels would go.
    ///
    /// # Errors
    /// As [`Alerting::explain`].
    pub async fn explain_labels(&self, labels: Labels) -> Result<Explanation, OwnerError> {
        let explain = move |dispatcher: &Dispatcher, now_ms: i64| {
            dispatcher.explain_where(std::iter::once(&labels), now_ms).remove(0)
        };
        self.owner.read(explain).await
    }

    /// The latest events about each of `alerts`, newest first, at most `each_max` each. However
    /// many alerts there are, the history is walked through once.
    ///
    /// # Errors
    /// As [`Alerting::history`].
    pub async fn latest_events(
        &self,
        alerts: Vec<Fingerprint>,
        each_max: usize,
    ) -> Result<HashMap<Fingerprint, Vec<Event>>, HistoryError> {
        self.walk(move |journal| latest(journal, &alerts, each_max)).await
    }

    async fn walk<T: Send + 'static>(
        &self,
        walk: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let journal = journal.ok_or(HistoryError::Stopped)?;
        let read = tokio::task::spawn_blocking(move || walk(&journal));
        Ok(read.await.map_err(|_| HistoryError::Panicked)??)
    }
}

/// Alerts that rules hold pending, at most `limit`.
fn pending(groups: &[Arc<Group>], wanted: &impl Fn(&Labels) -> bool, limit: usize) -> Vec<PendingAlert> {
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts = rules.filter_map(|rule| match rule.definition.kind {
        RuleKind::Alert { for_ms, .. } => Some(rule.active.iter().map(move |alert| (alert, for_ms))),
        RuleKind::Record { .. } => None,
    });
    let pending = alerts
        .flatten()
        .filter(|(alert, _)| alert.state == AlertState::Pending && wanted(&alert.labels))
        .map(|(alert, for_ms)| PendingAlert {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            since_ms: alert.active_at_ms,
            for_ms,
        });
    pending.take(limit).collect()
}

struct PendingAlert {
    labels: Labels,
    annotations: Annotations,
    since_ms: i64,
    for_ms: i64,
}
