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

/// What a first attempt has at least, however late its turn and however short its group's interval.
/// Its own bounds end it sooner: 30 s for each request, of which a token and Opsgenie take some more,
/// 20 s for each word with a mail server, a webhook's `timeout`. With less, a slow receiver would be
/// given up while it takes what it is told.
const FIRST_ATTEMPT_MIN: Duration = Duration::from_secs(150);

/// Tries until the receiver takes it, refuses it for good, time is up, or no further attempt is
/// wanted. An attempt that was begun is waited for, because a receiver that has taken it must be
/// known to have. A permit is held during attempts only, so that receivers that fail or hang do
/// not keep others waiting for longer than an attempt.
///
/// One that has waited longer for its first permit than it had time for is attempted all the same:
/// its group has found at every flush that it still says what is to be told, and with thousands
/// before a slow receiver those that give up their place would never have a turn.
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
    let (mut attempt, mut may_be_taken) = (1, false);
    loop {
        let permit = tokio::select! {
            biased;
            () = wait_for_stop(stopped) => return Finished::Stopped { may_be_taken },
            permit = acquire(permits) => permit,
        };
        let now_ms = (means.clock)();
        let first_min = integration.timeout().map_or(FIRST_ATTEMPT_MIN, |own| own.max(FIRST_ATTEMPT_MIN));
        let time_left_ms = time_for_attempt_ms(attempt, first_min, delivery.expires_at_ms - now_ms);
        if time_left_ms <= 0 {
            let why = format!("not delivered in time, after {} attempts", attempt - 1);
            return Finished::GivenUp { why, may_be_taken };
        }
        let time_left = Duration::from_millis(time_left_ms as u64);
        let tried =
            tokio::time::timeout(time_left, attempt_once(means, templates, integration, delivery, now_ms));
        let result = tried.await.unwrap_or_else(|_| {
            Err(AttemptError::permanent("the receiver did not answer in time").in_doubt())
        });
        drop(permit);
        means.metrics.attempted(integration.kind(), result.is_ok());
        let Err(error) = result else { return Finished::Delivered };
        may_be_taken |= error.may_be_taken;
        if !error.recoverable {
            return Finished::GivenUp { why: error.message, may_be_taken };
        }
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
            return Finished::GivenUp { why: error.message, may_be_taken };
        }
        tokio::select! {
            biased;
            () = wait_for_stop(stopped) => return Finished::Stopped { may_be_taken },
            () = tokio::time::sleep(wait) => {}
        }
        attempt += 1;
    }
}

fn time_for_attempt_ms(attempt: u32, first_min: Duration, time_left_ms: i64) -> i64 {
    if attempt == 1 { time_left_ms.max(first_min.as_millis() as i64) } else { time_left_ms }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        querier::{ExpressionError, QueryFailure, Reading, Source},
        receivers::sink::{Sink, firing},
    };
    use std::{collections::BTreeSet, path::Path};

    struct NoData;

    impl Querier for NoData {
        fn instant(&self, _: Source, _: &str, _: i64) -> Result<Reading, QueryFailure> {
            Ok(Reading::Vector(Vec::new()))
        }

        fn check(&self, _: Source, _: &str) -> Result<(), ExpressionError> {
            Ok(())
        }
    }

    /// A delivery whose time is up, to a receiver that answers as told.
    async fn late(sink: &Sink) -> Finished {
        deliver_to(sink, || 1_000_000).await
    }

    /// A delivery with ten seconds from the start of the clock.
    async fn deliver_to(sink: &Sink, clock: fn() -> i64) -> Finished {
        let text = format!(
            "route: {{receiver: r}}\nreceivers: [{{name: r, webhook_configs: [{{url: '{}'}}]}}]\n",
            sink.url
        );
        let config = Config::parse("f", &text, Path::new(".")).unwrap();
        let means = Means {
            client: daemon::http::client(&daemon::http::ClientOptions::default()).unwrap(),
            querier: Arc::new(NoData),
            external_url: String::new(),
            metrics: Metrics::default(),
            clock,
        };
        let delivery = Delivery {
            id: 1,
            idempotency_key: "k".into(),
            receiver: "r".into(),
            integration: "r/webhook/0".into(),
            target: String::new(),
            message: firing(),
            firing: BTreeSet::new(),
            resolved: BTreeSet::new(),
            closes_more: false,
            expires_at_ms: 10_000,
            repeat_interval_ms: 1,
        };
        let permits = [&Semaphore::new(1), &Semaphore::new(1)];
        let (_stop, mut stopped) = watch::channel(false);
        let integration = &config.receivers["r"].integrations[0];
        deliver(&means, &config.templates, integration, &delivery, permits, |_| {}, &mut stopped).await
    }

    /// Behind a slow receiver with thousands of groups a delivery may wait for longer than its
    /// group's interval. It was given up without a single attempt then.
    #[tokio::test]
    async fn one_that_has_waited_too_long_for_its_turn_has_it_all_the_same() {
        let sink = Sink::start(&[(200, "text/plain", "")]).await;
        assert_eq!(late(&sink).await, Finished::Delivered);
        let refusing = Sink::start(&[(500, "text/plain", "")]).await;
        let why = "unexpected status code 500 Internal Server Error".to_owned();
        assert_eq!(late(&refusing).await, Finished::GivenUp { why, may_be_taken: true });
        assert_eq!(refusing.count(), 1, "no further attempt is made");
    }

    /// What an attempt has left open the next one does not settle by a refusal.
    #[tokio::test]
    async fn doubt_outlives_later_attempts() {
        for (script, expected) in [
            (&[(500, "text/plain", ""), (400, "text/plain", "")][..], true),
            (&[(503, "text/plain", ""), (400, "text/plain", "")], false),
        ] {
            let finished = deliver_to(&Sink::start(script).await, || 0).await;
            assert!(
                matches!(finished, Finished::GivenUp { may_be_taken, .. } if may_be_taken == expected),
                "{finished:?}"
            );
        }
    }

    #[test]
    fn a_first_attempt_has_as_long_as_its_receiver_may_take() {
        for (attempt, first_s, time_left_ms, expected) in [
            (1, 150, -100_000, 150_000),
            (1, 150, 10_000, 150_000),
            (1, 300, 10_000, 300_000),
            (1, 150, 600_000, 600_000),
            (2, 150, 10_000, 10_000),
            (2, 150, -100_000, -100_000),
        ] {
            let first_min = Duration::from_secs(first_s);
            assert_eq!(time_for_attempt_ms(attempt, first_min, time_left_ms), expected, "{attempt}");
        }
        let timeout = |text: &str| {
            let config = crate::receivers::sink::config(text);
            config.receivers["r"].integrations[0].timeout()
        };
        assert_eq!(timeout("webhook_configs: [{url: 'http://h'}]"), Some(Duration::from_secs(10)));
        let own = timeout("webhook_configs: [{url: 'http://h', timeout: 5m}]");
        assert_eq!(own, Some(Duration::from_secs(300)));
    }
}
