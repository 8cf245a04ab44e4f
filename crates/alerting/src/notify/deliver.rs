//! One delivery from first attempt to last, in a task of its own.

use super::{email, retry::backoff, webhook, webhook::AttemptError};
use crate::{
    config::{Integration, IntegrationConfig},
    dispatch::{Delivery, Finished},
    expand::NotificationTemplates,
    metrics::Metrics,
};
use std::time::Duration;

/// What attempts need of the process.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) client: reqwest::Client,
    pub(crate) external_url: String,
    pub(crate) metrics: Metrics,
    pub(crate) clock: fn() -> i64,
}

/// Tries until the receiver takes it, refuses it for good, or time is up.
pub(crate) async fn deliver(
    means: &Means,
    templates: &NotificationTemplates,
    integration: &Integration,
    delivery: &Delivery,
) -> Finished {
    let seed = xxhash_rust::xxh3::xxh3_64(delivery.idempotency_key.as_bytes());
    let mut attempt = 1;
    loop {
        let now_ms = (means.clock)();
        let time_left_ms = delivery.expires_at_ms - now_ms;
        if time_left_ms <= 0 {
            return Finished::GivenUp(format!("not delivered in time, after {} attempts", attempt - 1));
        }
        let time_left = Duration::from_millis(time_left_ms as u64);
        let tried =
            tokio::time::timeout(time_left, attempt_once(means, templates, integration, delivery, now_ms));
        let result = tried.await.unwrap_or_else(|_| {
            Err(AttemptError {
                message: "the receiver did not answer in time".to_owned(),
                recoverable: false,
            })
        });
        means.metrics.attempted(integration.kind(), result.is_ok());
        let error = match result {
            Ok(()) => return Finished::Delivered,
            Err(error) if !error.recoverable => return Finished::GivenUp(error.message),
            Err(error) => error,
        };
        tracing::warn!(
            receiver = delivery.receiver,
            integration = delivery.integration,
            attempt,
            error = error.message,
            "notification attempt failed and will be repeated"
        );
        let wait = backoff(attempt, seed);
        if wait >= time_left {
            return Finished::GivenUp(error.message);
        }
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

async fn attempt_once(
    means: &Means,
    templates: &NotificationTemplates,
    integration: &Integration,
    delivery: &Delivery,
    now_ms: i64,
) -> Result<(), AttemptError> {
    let (key, message, url) = (&delivery.idempotency_key, &delivery.message, &means.external_url);
    match &integration.config {
        IntegrationConfig::Webhook(config) => {
            webhook::send(&means.client, config, message, key, url, now_ms).await
        }
        IntegrationConfig::Email(config) => email::send(config, templates, message, key, url, now_ms).await,
    }
}
