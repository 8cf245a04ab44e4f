//! From a line in a file to a mail and a webhook, each once, and the resolve after it.

use serde_json::Value;
use std::{fs::File, io::Write, path::Path, time::Duration};
use tests::{Agent, Aggregator, MailSink, WebhookSink, eventually, skip};

const RULES: &str = r#"
groups:
  - name: shop
    source: logs
    interval: 1s
    rules:
      - alert: ErrorLines
        expr: sum by (app) (count_over_time({app="shop"} |= "ERROR" [8s])) > 2
        labels: {severity: critical}
        annotations:
          summary: '{{ $labels.app }} logs errors'
          description: '{{ $value }} lines in 8 s'
"#;

fn routes(webhook: &str, smarthost: &str) -> String {
    format!(
        r#"
global: {{smtp_smarthost: '{smarthost}', smtp_from: bellwether@example.org, smtp_require_tls: false}}
route: {{receiver: team, group_by: [alertname, app], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}}
receivers:
  - name: team
    webhook_configs: [{{url: '{webhook}', send_resolved: true}}]
    email_configs: [{{to: oncall@example.org, send_resolved: true}}]
"#
    )
}

fn agent_config(url: &str) -> String {
    format!(
        r#"
data_dir: {{dir}}/data
instance: shop-1
interval: 1s
destinations: [{{url: '{url}'}}]
logs:
  sources:
    - paths: ['{{dir}}/shop.log']
      from: beginning
      labels: {{app: shop}}
"#
    )
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the test's folder can be written");
}

fn statuses(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().filter_map(|body| body["status"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_a_file_becomes_a_mail_and_a_webhook_once_and_resolves_once() {
    let Some(mail) = MailSink::start().await else {
        return skip("python3 with aiosmtpd is not installed");
    };
    let hook = WebhookSink::start().await;
    let server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        write(&folder.join("rules.yml"), RULES);
        write(&folder.join("alertmanager.yml"), &routes(&hook.url, &mail.address));
        let path = |name: &str| folder.join(name).display().to_string();
        vec!["--rules".into(), path("rules.yml"), "--alertmanager-config".into(), path("alertmanager.yml")]
    })
    .await;
    let agent = Agent::start(&agent_config(&server.url()), &[]);
    let mut log =
        File::options().create(true).append(true).open(agent.folder().join("shop.log")).expect("a log file");
    for n in 0..5 {
        writeln!(log, "level=info n={n}\nlevel=ERROR n={n} payment failed").expect("the log can be written");
    }

    eventually(Duration::from_secs(20), "the webhook fires", || async { !hook.deliveries().is_empty() })
        .await;
    eventually(Duration::from_secs(10), "the mail fires", || async { !mail.mails().is_empty() }).await;
    let body = hook.deliveries()[0].json();
    assert_eq!(body["status"], "firing");
    assert_eq!(body["version"], "4");
    assert_eq!(body["alerts"][0]["labels"]["alertname"], "ErrorLines");
    assert_eq!(body["alerts"][0]["labels"]["app"], "shop");
    assert_eq!(body["alerts"][0]["annotations"]["summary"], "shop logs errors");
    assert!(hook.deliveries()[0].header("idempotency-key").is_some());
    let first = &mail.mails()[0];
    assert!(
        first["headers"]["subject"].as_str().is_some_and(|subject| subject.contains("FIRING")),
        "{first}"
    );
    assert!(first["parts"]["text/html"].is_string() && first["parts"]["text/plain"].is_string(), "{first}");

    eventually(Duration::from_secs(30), "both resolve", || async {
        hook.deliveries().len() >= 2 && mail.mails().len() >= 2
    })
    .await;
    // Long enough for several more evaluations and flushes.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let bodies: Vec<Value> = hook.deliveries().iter().map(tests::Delivery::json).collect();
    assert_eq!(statuses(&bodies), ["firing", "resolved"]);
    let subjects: Vec<String> =
        mail.mails().iter().map(|mail| mail["headers"]["subject"].to_string()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects[1].contains("RESOLVED"), "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firing_alert_survives_kill_and_is_not_told_again() {
    let hook = WebhookSink::start().await;
    let mut server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let rules = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: vector(1)}]}]\n";
        write(&folder.join("rules.yml"), rules);
        let routes = format!(
            "route: {{receiver: r, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\nreceivers: [{{name: r, webhook_configs: [{{url: '{}'}}]}}]\n",
            hook.url
        );
        write(&folder.join("alertmanager.yml"), &routes);
        let path = |name: &str| folder.join(name).display().to_string();
        vec!["--rules".into(), path("rules.yml"), "--alertmanager-config".into(), path("alertmanager.yml")]
    })
    .await;
    eventually(Duration::from_secs(15), "the webhook fires", || async { !hook.deliveries().is_empty() })
        .await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.kill();
        server.restart().await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let alerts = server.client().json("/api/v2/alerts", &[]).await;
    assert_eq!(alerts.as_array().map(Vec::len), Some(1), "{alerts}");
    assert_eq!(hook.deliveries().len(), 1, "told once");
}
