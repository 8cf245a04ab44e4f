//! Mail to a real server over STARTTLS and over implicit TLS, with a user and a password, and what
//! happens when the server is not who it should be.

use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tests::{Aggregator, Certificates, MailSink, eventually, skip};

fn routes(smarthost: &str, ca: &str, implicit: bool) -> String {
    format!(
        "global: {{smtp_smarthost: '{smarthost}', smtp_from: bellwether@example.org, smtp_auth_username: bw, smtp_auth_password: pw}}\n\
         route: {{receiver: team, group_wait: 0s, group_interval: 1s, group_by: [alertname]}}\n\
         receivers:\n\
         - name: team\n  email_configs: [{{to: oncall@example.org, force_implicit_tls: {implicit}, send_resolved: true, tls_config: {{ca_file: '{ca}'}}}}]\n\
         - name: suspicious\n  email_configs: [{{to: oncall@example.org, force_implicit_tls: {implicit}}}]\n"
    )
}

async fn test_receiver(server: &Aggregator, name: &str) -> Value {
    let path = format!("/api/bellwether/v1/alerting/notify/test/{name}");
    let response = server.client().request(reqwest::Method::POST, &path).send().await.expect("it answers");
    response.json().await.expect("in JSON")
}

async fn post(server: &Aggregator, body: Value) {
    let request = server.client().request(reqwest::Method::POST, "/api/v2/alerts");
    let sent = request.header("content-type", "application/json").body(body.to_string()).send().await;
    assert_eq!(sent.expect("it answers").status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_over_tls_to_the_server_it_is_meant_for() {
    let folder = TempDir::with_prefix("bellwether-certificates-").expect("a temporary folder can be made");
    let Some(certificates) = Certificates::make(folder.path()) else {
        return skip("openssl is not installed");
    };
    for mode in ["starttls", "implicit"] {
        let Some(mail) = MailSink::start_tls(mode, &certificates).await else {
            return skip("python3 with aiosmtpd is not installed");
        };
        let server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
            let path = folder.join("alertmanager.yml");
            let ca = certificates.ca.display().to_string();
            std::fs::write(&path, routes(&mail.address, &ca, mode == "implicit"))
                .expect("the folder can be written");
            vec!["--alertmanager-config".into(), path.display().to_string()]
        })
        .await;
        let alert = |ends: Option<&str>| json!([{"labels": {"alertname": "Full", "instance": "db-1"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": ends}]);
        post(&server, alert(None)).await;
        eventually(Duration::from_secs(20), "the first mail arrives", || async { mail.mails().len() == 1 })
            .await;
        post(&server, alert(Some("2026-01-01T00:01:00Z"))).await;
        eventually(Duration::from_secs(20), "the second mail arrives", || async { mail.mails().len() == 2 })
            .await;
        let mails = mail.mails();
        for mail in &mails {
            assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("bw")), "{mode}: {mail}");
            let parts = mail["parts"].as_object().expect("a mail has parts");
            assert!(parts.contains_key("text/plain") && parts.contains_key("text/html"));
        }
        let thread = |mail: &Value| mail["headers"]["references"].clone();
        assert_eq!(thread(&mails[0]), thread(&mails[1]), "one conversation");
        assert_ne!(mails[0]["headers"]["message-id"], mails[1]["headers"]["message-id"]);
        let suspicious = test_receiver(&server, "suspicious").await;
        assert_eq!(
            suspicious["delivered"], false,
            "{mode}: a certificate of an unknown authority: {suspicious}"
        );
        assert_eq!(mail.mails().len(), 2);
        let good = test_receiver(&server, "team").await;
        assert_eq!(good["delivered"], true, "{mode}: {good}");
    }
}
