//! What is secret in a configuration is told by no answer, log line, message or record.

use serde_json::json;
use std::{path::Path, time::Duration};
use tests::{Aggregator, eventually, run_binary};

/// In every secret, and nowhere else.
const MARK: &str = "s3cret";

/// Nothing listens at port 9: every delivery fails, and says so.
const ROUTES: &str = "
global:
  slack_api_url: http://127.0.0.1:9/services/s3cret-01
  smtp_smarthost: 127.0.0.1:9
  smtp_from: a@example.org
  smtp_auth_username: am
  smtp_auth_password: s3cret-02
  telegram_bot_token: s3cret-03
  victorops_api_key: s3cret-04
  http_config:
    authorization: {credentials: s3cret-05}
    http_headers: {X-Key: {secrets: [s3cret-06]}}
route: {receiver: r, group_wait: 0s, group_interval: 1s}
receivers:
- name: r
  webhook_configs:
  - {url: 'http://127.0.0.1:9/hook/s3cret-07?key=s3cret-08', secret: s3cret-09}
  - url: 'http://127.0.0.1:9/{{ .Status }}/s3cret-10'
    http_config: {proxy_url: 'http://u:s3cret-11@127.0.0.1:9'}
  - url: 'http://127.0.0.1:9/'
    http_config: {oauth2: {client_id: i, client_secret: s3cret-12, token_url: 'http://127.0.0.1:9/s3cret-13'}}
  slack_configs: [{channel: c}]
  email_configs: [{to: b@example.org, require_tls: false}]
  telegram_configs: [{chat_id: 1, api_url: 'http://127.0.0.1:9'}]
  victorops_configs: [{routing_key: r, api_url: 'http://127.0.0.1:9/alert/'}]
";

fn config(folder: &Path) -> String {
    format!(
        "auth:
  tokens:
  - {{name: ops, role: admin, token: s3cret-20-that-is-long-enough-for-a-token}}
alerting:
  alertmanager_config: {0}/alertmanager.yml
  rules:
  - git: {{url: 'http://u:s3cret-21@127.0.0.1:9/r.git', name: r, webhook_secret: s3cret-22}}
  - git: {{url: 'http://127.0.0.1:9/q.git', name: q, token: s3cret-23}}
remote_write:
- {{url: 'http://127.0.0.1:9/push', basic_auth: {{username: u, password: s3cret-24}}}}
",
        folder.display()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_told_by_nothing() {
    let server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).expect("the test's folder can be written");
        };
        write("alertmanager.yml", ROUTES);
        write("bellwether.yaml", &config(folder));
        vec!["--config".into(), folder.join("bellwether.yaml").display().to_string()]
    })
    .await;
    let client = server.client();
    let alert = json!([{"labels": {"alertname": "A"}}]).to_string();
    let (status, _) = client.post("/api/v2/alerts", &[("content-type", "application/json")], alert).await;
    assert_eq!(status, 200);
    let history = || async {
        let query = [("kind", "attempt_failed"), ("limit", "1000")];
        client.json("/api/bellwether/v1/alerting/history", &query).await
    };
    eventually(Duration::from_secs(30), "every receiver has been tried", || async {
        let text = history().await.to_string();
        ["webhook/0", "webhook/1", "webhook/2", "slack/0", "email/0", "telegram/0", "victorops/0"]
            .iter()
            .all(|key| text.contains(key))
    })
    .await;
    eventually(Duration::from_secs(30), "both repositories have been asked", || async {
        let repositories = client.json("/api/bellwether/v1/rules/git", &[]).await;
        let all = repositories.as_array().cloned().unwrap_or_default();
        all.len() == 2 && all.iter().all(|repository| !repository["error"].is_null())
    })
    .await;

    for path in [
        "/api/v2/status",
        "/api/v2/receivers",
        "/api/v1/status/config",
        "/api/v1/status/flags",
        "/api/bellwether/v1/status",
        "/api/bellwether/v1/rules/git",
        "/api/bellwether/v1/alerting/history?limit=1000",
        "/api/bellwether/v1/alerting/explain?matcher=alertname%3DA",
        "/metrics",
    ] {
        let (status, text) = client.get(path, &[]).await;
        assert!(status == 200 && !text.contains(MARK), "{path}: {status} {text}");
    }
    let (status, text) = client.post("/api/bellwether/v1/alerting/notify/test/r", &[], "").await;
    assert!(!text.contains(MARK), "a test notification: {status} {text}");
    let log = server.output();
    assert!(log.contains("notification attempt failed"), "{log}");
    let told = log.lines().find(|line| line.contains(MARK));
    assert!(told.is_none(), "{told:?}");
}

#[tokio::test]
async fn a_file_that_is_refused_is_not_quoted_where_secrets_stand() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("alertmanager.yml");
    for broken in [
        ROUTES.replace("u:s3cret-11@127.0.0.1:9'", "u:s3cret-11@'"),
        ROUTES.replace("http://127.0.0.1:9/hook", "ftp://127.0.0.1:9/hook"),
        ROUTES.replace("{credentials: s3cret-05}", "{credentials: s3cret-05, credentials_file: x}"),
        ROUTES.replace("secret: s3cret-09", "secret: [s3cret-09]"),
        ROUTES.replace("victorops_api_key: s3cret-04", "victorops_api_key: s3cret-04: x"),
    ] {
        std::fs::write(&path, &broken).expect("the folder can be written");
        let (code, out, err) = run_binary("bellwether", &["check", &path.display().to_string()]);
        assert!(code == 1 && !format!("{out}{err}").contains(MARK), "{code} {out}{err}\n{broken}");
    }
}
