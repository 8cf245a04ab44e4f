//! The actuator: a POST with the size to have, signed as Standard Webhooks, numbered, and the same
//! under every attempt.
//!
//! A receiver drops what has a number it has seen, and what is past `expires_at`.

use crate::{
    decide::{Action, CheckOutcome, Decision},
    policy::{Policy, Receiver},
};
use daemon::http::{ClientOptions, LinkLocal, client, signature_headers};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a decision may be carried out.
pub(crate) const EXPIRES_AFTER_MS: i64 = 300_000;
/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_FIRST_MS: f64 = 1000.0;
const RETRY_LONGEST_MS: f64 = 60_000.0;

/// What requests are made with; they follow no redirects.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Does not connect to link-local addresses, whatever name they go by.
    guarded: reqwest::Client,
    /// For receivers that say `allow_link_local`.
    open: reqwest::Client,
}

impl Clients {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let with = |link_local| client(&ClientOptions { link_local, ..ClientOptions::default() });
        Ok(Clients { guarded: with(LinkLocal::Refused)?, open: with(LinkLocal::Allowed)? })
    }

    fn of(&self, receiver: &Receiver) -> &reqwest::Client {
        match receiver.link_local {
            LinkLocal::Refused => &self.guarded,
            LinkLocal::Allowed => &self.open,
        }
    }
}

/// A decision on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) receiver: String,
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) expires_at_ms: i64,
    pub(crate) body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    version: &'static str,
    r#type: &'static str,
    id: &'a str,
    policy: &'a str,
    target: &'a str,
    kind: &'a str,
    sequence: u64,
    action: Action,
    current: Option<u32>,
    desired: u32,
    min: u32,
    max: u32,
    reason: &'static str,
    checks: Vec<BodyCheck<'a>>,
    limited_by: Option<&'static str>,
    dry_run: bool,
    evaluated_at: String,
    expires_at: String,
    explain_url: String,
}

#[derive(Serialize)]
struct BodyCheck<'a> {
    name: &'a str,
    value: Option<f64>,
    target: Option<f64>,
    proposed: Option<u32>,
    age_s: Option<i64>,
}

impl<'a> From<&'a CheckOutcome> for BodyCheck<'a> {
    fn from(check: &'a CheckOutcome) -> Self {
        BodyCheck {
            name: &check.name,
            value: check.value,
            target: check.target,
            proposed: check.proposed(),
            age_s: check.age_s,
        }
    }
}

/// The delivery of a decision that moves; `None` when its size is not known.
pub(crate) fn delivery(
    policy: &Policy,
    decision: &Decision,
    sequence: u64,
    external_url: &str,
) -> Option<Delivery> {
    let id = format!("dec_{}_{sequence:08}", policy.uid);
    let expires_at_ms = decision.at_ms + EXPIRES_AFTER_MS;
    let body = Body {
        version: "1",
        r#type: "scale",
        id: &id,
        policy: &policy.name,
        target: &policy.target.id,
        kind: &policy.target.kind,
        sequence,
        action: decision.action,
        current: decision.current,
        desired: decision.desired?,
        min: decision.min,
        max: decision.max,
        reason: decision.reason.as_str(),
        checks: decision.checks.iter().map(BodyCheck::from).collect(),
        limited_by: decision.limited_by.map(|reason| reason.as_str()),
        dry_run: false,
        evaluated_at: rfc3339(decision.at_ms),
        expires_at: rfc3339(expires_at_ms),
        explain_url: format!("{external_url}/api/bellwether/v1/scaling/{}", policy.uid),
    };
    let body = serde_json::to_string(&body).expect("a body has string keys and finite numbers");
    Some(Delivery { receiver: policy.target.receiver.clone(), id, sequence, expires_at_ms, body })
}

fn rfc3339(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attempt {
    Accepted,
    /// Another attempt may help, not before this long where the receiver says so.
    Retry(String, Option<Duration>),
    Refused(String),
}

/// Posts once.
pub(crate) async fn attempt(
    clients: &Clients,
    receiver: &Receiver,
    delivery: &Delivery,
    now_ms: i64,
) -> Attempt {
    let mut request = clients
        .of(receiver)
        .post(receiver.url.clone())
        .timeout(TIMEOUT)
        .header("content-type", "application/json")
        .header("idempotency-key", &delivery.id);
    if let Some(secret) = &receiver.secret {
        for (name, value) in signature_headers(secret, &delivery.id, now_ms, &delivery.body) {
            request = request.header(name, value);
        }
    }
    let response = match request.body(delivery.body.clone()).send().await {
        Ok(response) => response,
        // The URL may hold a token.
        Err(error) => return Attempt::Retry(with_causes(&error.without_url()), None),
    };
    let status = response.status();
    if status.is_success() {
        return Attempt::Accepted;
    }
    let message = format!("the receiver answered {status}");
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_server_error() || passing.contains(&status) {
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        return Attempt::Retry(message, after.map(Duration::from_secs));
    }
    Attempt::Refused(message)
}

/// An error with its causes: it says itself only that sending failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The wait after attempt number `attempt` (from 1): doubling, spread by a fifth either way.
pub(crate) fn backoff(attempt: u32, delivery: &Delivery, asked: Option<Duration>) -> Duration {
    let base = (RETRY_FIRST_MS * 2f64.powi(attempt.saturating_sub(1).min(16) as i32)).min(RETRY_LONGEST_MS);
    let seed = delivery.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(attempt));
    let unit = (seed >> 40) as f64 / (1u64 << 24) as f64;
    let spread = Duration::from_millis((base * (0.8 + 0.4 * unit)) as u64);
    spread.max(asked.unwrap_or_default().min(Duration::from_millis(EXPIRES_AFTER_MS as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_why() {
        #[derive(Debug, thiserror::Error)]
        #[error("error sending request")]
        struct Sending(#[source] std::io::Error);
        let refused = Sending(std::io::Error::other("connection refused"));
        assert_eq!(with_causes(&refused), "error sending request: connection refused");
    }
}
