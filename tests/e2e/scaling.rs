//! From a metric to a signed webhook: once per decision, under one number whatever goes wrong, and
//! never smaller for want of data.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::time::Duration;
use tests::{Aggregator, Client, Delivery, WebhookSink, eventually};

const SECRET: &str = "of loopback only";
/// Long enough for several decisions of a policy that decides every second.
const SEVERAL_INTERVALS: Duration = Duration::from_secs(4);

/// `load` wants 100 per replica, between 1 and 10; nothing but a lack of data keeps it from
/// shrinking at once.
fn policy(url: &str, max_age: &str) -> String {
    format!(
        r#"
version: 1
receivers: [{{name: fleet, url: '{url}', secret: '{SECRET}'}}]
policies:
- name: web servers
  uid: web
  target: {{receiver: fleet, kind: generic, id: shop/web, current: web_size}}
  min: 1
  max: 10
  interval: 1s
  checks: [{{name: load, query: web_load, type: target, per: total, target: 100, max_age: {max_age}}}]
  scale_in: {{stabilization: 0s}}
"#
    )
}

async fn start(hook: &WebhookSink, max_age: &str) -> Aggregator {
    Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let file = folder.join("policy.yaml");
        std::fs::write(&file, policy(&hook.url, max_age)).expect("the test's folder can be written");
        vec!["--scaling".into(), file.display().to_string()]
    })
    .await
}

fn now_ms() -> i64 {
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Writes one sample of each series, taken now.
async fn push(client: &Client, samples: &[(&str, f64)]) {
    let mut batch = model::MetricBatch::default();
    for (name, value) in samples {
        batch.begin_with(model::Labels::from_pairs([("__name__", *name)]).as_ref());
        batch.sample(now_ms(), 0, *value);
    }
    let mut message = Vec::new();
    wire::remote_write::encode_v1(&batch, &mut message);
    let body = snap::raw::Encoder::new().compress_vec(&message).expect("a small message can be compressed");
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
    let (status, text) = client.post("/api/v1/write", &headers, body).await;
    assert!((200..300).contains(&status), "{status}: {text}");
}

/// What the API says of the policy.
async fn view(client: &Client) -> Value {
    client.json("/api/bellwether/v1/scaling", &[]).await[0].clone()
}

/// Waits for a decision that was made after this call.
async fn next_decision(client: &Client) -> Value {
    let before = now_ms();
    eventually(Duration::from_secs(10), "another decision is made", || async {
        view(client).await["last_decision_ms"].as_i64().is_some_and(|at_ms| at_ms > before)
    })
    .await;
    view(client).await
}

/// As a receiver does it: HMAC-SHA256 over id, time and body.
fn assert_signed(delivery: &Delivery) {
    let header = |name: &str| delivery.header(name).unwrap_or_else(|| panic!("no header `{name}`"));
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), delivery.body);
    let signature = header("webhook-signature").strip_prefix("v1,").expect("version 1 of the scheme");
    let signature = STANDARD.decode(signature).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).expect("the signature is right");
    let age_s = now_ms() / 1000 - header("webhook-timestamp").parse::<i64>().expect("seconds");
    assert!((0..60).contains(&age_s), "signed {age_s} s ago");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_is_one_signed_webhook_and_attempts_at_it_have_one_id() {
    let hook = WebhookSink::start_refusing(&[503, 503]).await;
    let server = start(&hook, "90s").await;
    let client = server.client();
    push(&client, &[("web_size", 2.0), ("web_load", 700.0)]).await;

    eventually(Duration::from_secs(20), "the webhook arrives", || async { !hook.deliveries().is_empty() })
        .await;
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    let (taken, refused) = (hook.deliveries(), hook.refused());
    assert_eq!((taken.len(), refused.len()), (1, 2), "taken once, after two refusals");
    for attempt in refused.iter().chain(&taken) {
        assert_signed(attempt);
        assert_eq!(attempt.body, taken[0].body);
        assert_eq!(attempt.header("idempotency-key"), Some("dec_web_00000001"));
        assert_eq!(attempt.header("webhook-id"), Some("dec_web_00000001"));
    }
    let body = taken[0].json();
    for (field, expected) in [
        ("id", Value::from("dec_web_00000001")),
        ("policy", "web servers".into()),
        ("target", "shop/web".into()),
        ("action", "out".into()),
        ("current", 2.into()),
        ("desired", 7.into()),
        ("sequence", 1.into()),
        ("dry_run", false.into()),
    ] {
        assert_eq!(body[field], expected, "{field} of {body}");
    }
    // Both in RFC 3339 and UTC, where the order of texts is that of times.
    let (evaluated_at, expires_at) = (body["evaluated_at"].as_str(), body["expires_at"].as_str());
    assert!(evaluated_at.is_some() && evaluated_at < expires_at, "{body}");
    let view = view(&client).await;
    assert_eq!(view["deliveries"][0]["state"], "accepted", "{view}");
    assert_eq!((&view["sequence"], &view["desired"]), (&Value::from(1), &Value::from(7)), "{view}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_samples_and_nan_hold_and_only_a_measurement_shrinks() {
    let hook = WebhookSink::start().await;
    let server = start(&hook, "3s").await;
    let client = server.client();
    push(&client, &[("web_size", 5.0), ("web_load", 500.0)]).await;
    eventually(Duration::from_secs(10), "the load is measured", || async {
        view(&client).await["checks"][0]["value"] == 500.0
    })
    .await;

    eventually(Duration::from_secs(15), "samples that stopped are no data", || async {
        view(&client).await["reason"] == "no_data_hold"
    })
    .await;
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    let held = view(&client).await;
    assert_eq!((&held["reason"], &held["desired"]), (&"no_data_hold".into(), &5.into()), "{held}");

    for _ in 0..3 {
        push(&client, &[("web_load", f64::NAN)]).await;
        let held = next_decision(&client).await;
        assert_eq!((&held["reason"], &held["desired"]), (&"no_data_hold".into(), &5.into()), "{held}");
        assert!(held["checks"][0]["problem"].as_str().is_some_and(|why| why.contains("NaN")), "{held}");
    }
    assert!(hook.deliveries().is_empty(), "held, so nothing is to be done");

    push(&client, &[("web_load", 200.0)]).await;
    eventually(Duration::from_secs(10), "a measured drop shrinks", || async {
        !hook.deliveries().is_empty()
    })
    .await;
    let body = hook.deliveries()[0].json();
    assert_eq!((&body["action"], &body["desired"]), (&"in".into(), &2.into()), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_repeats_nothing_and_numbers_go_on() {
    let hook = WebhookSink::start().await;
    let mut server = start(&hook, "90s").await;
    push(&server.client(), &[("web_size", 2.0), ("web_load", 700.0)]).await;
    eventually(Duration::from_secs(20), "the webhook is accepted", || async {
        view(&server.client()).await["deliveries"][0]["state"] == "accepted"
    })
    .await;
    // Accepted is shown just before the outbox forgets it; a kill between the two repeats it
    // under the same number, which is not what this test is about.
    next_decision(&server.client()).await;

    server.kill();
    server.restart().await;
    let client = server.client();
    next_decision(&client).await;
    tokio::time::sleep(SEVERAL_INTERVALS).await;
    assert_eq!(hook.deliveries().len(), 1, "what was accepted is not repeated");
    assert_eq!(view(&client).await["sequence"], 1);

    push(&client, &[("web_load", 900.0)]).await;
    eventually(Duration::from_secs(10), "the next decision is delivered", || async {
        hook.deliveries().len() == 2
    })
    .await;
    let body = hook.deliveries()[1].json();
    assert_eq!((&body["sequence"], &body["desired"]), (&2.into(), &9.into()), "{body}");
}
