//! kill -9 during an incident: what is told is what an undisturbed run tells. The same scripted
//! incident is played against a server that is left alone and one that is killed every few seconds.
//!
//! `BELLWETHER_CRASH_SECONDS` makes the incident longer, for a run by hand.

use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tests::{Aggregator, WebhookSink, eventually};

/// Between two changes of one alert; longer than a kill, a start and a flush together.
const STEP: Duration = Duration::from_secs(8);
const ALERTS: usize = 6;

fn incident_seconds() -> u64 {
    std::env::var("BELLWETHER_CRASH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(32)
}

fn routes(webhook: &str) -> String {
    format!(
        "route: {{receiver: r, group_by: [alertname], group_wait: 500ms, group_interval: 1s, repeat_interval: 4h}}\n\
         receivers: [{{name: r, webhook_configs: [{{url: '{webhook}'}}]}}]\n"
    )
}

/// Alert number `alert` fires in even steps and is over in odd ones; each begins a little later
/// than the one before.
async fn play(client: tests::Client, alert: usize) {
    tokio::time::sleep(Duration::from_millis(400 * alert as u64)).await;
    let steps = incident_seconds() / STEP.as_secs();
    for step in 0..steps {
        let began = Instant::now();
        let episode = step / 2;
        let starts_at = format!("2026-01-01T{:02}:{:02}:00Z", episode / 60, episode % 60);
        let mut posted = json!({"labels": {"alertname": format!("A{alert}")}, "startsAt": starts_at});
        let is_over = step % 2 == 1;
        posted["endsAt"] = if is_over {
            json!(format!("2026-01-01T{:02}:{:02}:30Z", episode / 60, episode % 60))
        } else {
            json!("2099-01-01T00:00:00Z")
        };
        // A sender tries until it is told that the alert was taken.
        eventually(Duration::from_secs(30), "the alert is taken", || async {
            let request = client.request(reqwest::Method::POST, "/api/v2/alerts");
            let sent = request
                .header("content-type", "application/json")
                .body(json!([posted]).to_string())
                .send()
                .await;
            sent.is_ok_and(|response| response.status() == 200)
        })
        .await;
        tokio::time::sleep(STEP.saturating_sub(began.elapsed())).await;
    }
}

/// What was told.
#[derive(Default)]
struct Told {
    /// Alert, episode and state.
    alerts: BTreeSet<(String, String, String)>,
    /// Idempotency keys, and how often each came.
    keys: BTreeMap<String, usize>,
    kills: usize,
}

fn told(sink: &WebhookSink) -> Told {
    let mut told = Told::default();
    for delivery in sink.deliveries() {
        let key = delivery.header("idempotency-key").expect("a webhook has a key").to_owned();
        *told.keys.entry(key).or_default() += 1;
        let body = delivery.json();
        for alert in body["alerts"].as_array().expect("a webhook has alerts") {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            told.alerts.insert((
                text(&alert["labels"]["alertname"]),
                text(&alert["startsAt"]),
                text(&alert["status"]),
            ));
        }
    }
    told
}

async fn run(kill: bool) -> Told {
    let sink = WebhookSink::start().await;
    let mut server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let path = folder.join("alertmanager.yml");
        std::fs::write(&path, routes(&sink.url)).expect("the test's folder can be written");
        vec!["--alertmanager-config".into(), path.display().to_string()]
    })
    .await;
    let players: Vec<_> = (0..ALERTS).map(|alert| tokio::spawn(play(server.client(), alert))).collect();
    let mut kills = 0;
    while players.iter().any(|player| !player.is_finished()) {
        tokio::time::sleep(Duration::from_millis(2000 + 350 * (kills as u64 % 5))).await;
        if kill {
            server.kill();
            kills += 1;
            server.restart().await;
        }
    }
    for player in players {
        player.await.expect("the incident is played to its end");
    }
    // Whatever is still to be told is told within a few flushes.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let told = Told { kills, ..told(&sink) };
    let history = server
        .client()
        .json("/api/bellwether/v1/alerting/history", &[("kind", "delivered"), ("limit", "10000")])
        .await;
    let noted = history["events"].as_array().expect("there is a history").len();
    assert!(noted <= told.keys.values().sum::<usize>(), "nothing is noted as told that did not arrive");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_during_an_incident_changes_nothing_of_what_is_told() {
    let (undisturbed, disturbed) = tokio::join!(run(false), run(true));
    let Told { alerts: disturbed, keys, kills } = disturbed;
    let undisturbed = undisturbed.alerts;
    let expected = ALERTS * (incident_seconds() / STEP.as_secs()) as usize;
    assert_eq!(undisturbed.len(), expected, "{undisturbed:?}");
    let lost: Vec<_> = undisturbed.difference(&disturbed).collect();
    let invented: Vec<_> = disturbed.difference(&undisturbed).collect();
    assert!(
        lost.is_empty() && invented.is_empty(),
        "after {kills} kills lost: {lost:?}, invented: {invented:?}"
    );
    // A repeat is one that was in flight at a kill, under the same key.
    let repeats: usize = keys.values().map(|count| count - 1).sum();
    assert_eq!(keys.len(), expected, "one notification for each change: {keys:?}");
    assert!(repeats <= kills, "{repeats} repeats by {kills} kills");
    eprintln!("{kills} kills, {} notifications, {repeats} repeated in flight", keys.len());
}
