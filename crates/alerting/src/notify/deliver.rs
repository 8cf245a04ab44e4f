//! One delivery from first attempt to last, in a task of its own.

use super::{
    http::AttemptError,
    retry::backoff,
    sparkline::{self, Sparklines},
    telling::Telling,
};
use crate::{
    config::Integration,
    dispatch::{Delivery, FailedAttempt, Finished},
    expand::NotificationTemplates,
    metrics::Metrics,
    querier::Querier,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, watch};

/// What attempts need of the process.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) client: reqwest::Client,
    /// For pictures of what is measured.
    pub(crate) querier: Arc<dyn Querier>,
    pub(crate) external_url: String,
    pub(crate) metrics: Metrics,
    pub(crate) clock: fn() -> i64,
}

/// Tries until the receiver takes it, refuses it for good, time is up, or no further attempt is
/// wanted. An attempt that was begun is waited for, because a receiver that has taken it must be
/// known to have. A permit is held during attempts only, so that receivers that fail or hang do
/// not keep others waiting for longer than an attempt.
pub(crate) async fn deliver(
    means: &Means,
    templates: &NotificationTemplates,
    integration: &Integration,
    delivery: &Delivery,
    permits: [&Semaphore; 2],
    failed: impl Fn(FailedAttempt),
    stopped: &mut watch::Receiver<bool>,
) -> Finished {
    let seed = xxhash_rust::xxh3::xxh3_64(delivery.idempotency_key.as_bytes());
    let mut attempt = 1;
    loop {
        let permit = tokio::select! {
            biased;
            () = wait_for_stop(stopped) => return Finished::Stopped,
            permit = acquire(permits) => permit,
        };
        let now_ms = (means.clock)();
        let time_left_ms = delivery.expires_at_ms - now_ms;
        if time_left_ms <= 0 {
            return Finished::GivenUp(format!("not delivered in time, after {} attempts", attempt - 1));
        }
        let time_left = Duration::from_millis(time_left_ms as u64);
        let tried =
            tokio::time::timeout(time_left, attempt_once(means, templates, integration, delivery, now_ms));
        let result = tried
            .await
            .unwrap_or_else(|_| Err(AttemptError::permanent("the receiver did not answer in time")));
        drop(permit);
        means.metrics.attempted(integration.kind(), result.is_ok());
        let error = match result {
            Ok(()) => return Finished::Delivered,
            Err(error) if !error.recoverable => return Finished::GivenUp(error.message),
            Err(error) => error,
        };
        let duration_ms = ((means.clock)() - now_ms).max(0) as u64;
        failed(FailedAttempt { attempt, duration_ms, error: error.message.clone() });
        tracing::warn!(
            receiver = delivery.receiver,
            integration = delivery.integration,
            attempt,
            error = error.message,
            "notification attempt failed and will be repeated"
        );
        let wait = backoff(attempt, seed).max(error.retry_after.unwrap_or_default());
        if wait.as_millis() as i64 >= delivery.expires_at_ms - (means.clock)() {
            return Finished::GivenUp(error.message);
        }
        tokio::select! {
            biased;
            () = wait_for_stop(stopped) => return Finished::Stopped,
            () = tokio::time::sleep(wait) => {}
        }
        attempt += 1;
    }
}

/// A permit of the integration, then one of all.
async fn acquire(permits: [&Semaphore; 2]) -> [Result<SemaphorePermit<'_>, AcquireError>; 2] {
    let [own, all] = permits;
    [own.acquire().await, all.acquire().await]
}

/// Ends when no further attempt is wanted; never when the owner has gone, who aborts the task.
async fn wait_for_stop(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One attempt to tell somebody that notifications arrive.
pub(crate) async fn attempt_test(
    means: &Means,
    templates: &NotificationTemplates,
    integration: &Integration,
    delivery: &Delivery,
    timeout: Duration,
) -> Result<(), String> {
    let now_ms = (means.clock)();
    let tried = tokio::time::timeout(timeout, attempt_once(means, templates, integration, delivery, now_ms));
    let result = tried.await.map_err(|_| "the receiver did not answer in time".to_owned());
    means.metrics.attempted(integration.kind(), matches!(result, Ok(Ok(()))));
    result?.map_err(|error| error.message)
}

async fn attempt_once(
    means: &Means,
    templates: &NotificationTemplates,
    integration: &Integration,
    delivery: &Delivery,
    now_ms: i64,
) -> Result<(), AttemptError> {
    let (key, message) = (&delivery.idempotency_key, &delivery.message);
    let sparklines = if integration.shows_graphs() {
        sparkline::draw(means.querier.clone(), message, now_ms).await
    } else {
        Sparklines::new()
    };
    let means = (&means.client, means.external_url.as_str());
    let telling = Telling::new(means, templates, message, key, sparklines, now_ms);
    integration.config.send(&telling).await
}
