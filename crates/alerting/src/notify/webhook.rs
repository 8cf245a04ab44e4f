//! The webhook: Alertmanager's JSON, with a key by which a receiver recognises a repeat and, where
//! a secret is configured, a signature by which it recognises us (Standard Webhooks).

use super::{
    http::{Answer, AttemptError},
    message::{Message, NotifiedAlert, quote_meta},
    telling::{Telling, without_blocking},
};
use crate::{
    config::{WebhookConfig, WebhookUrl},
    timestamp,
};
use daemon::http::signature_headers;
use reqwest::{
    RequestBuilder, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Longer than any delivery.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: String,
    status: &'static str,
    alerts: Vec<BodyAlert<'a>>,
    group_labels: BTreeMap<&'a str, &'a str>,
    common_labels: BTreeMap<String, String>,
    common_annotations: BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
    #[serde(rename = "notification_reason")]
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyAlert<'a> {
    status: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

/// The body for `message`, truncated to `alerts_max`.
pub(crate) fn body(message: &Message, alerts_max: usize, external_url: &str) -> String {
    let mut message = message.clone();
    let truncated_alerts = message.truncate(alerts_max);
    let body = Body {
        receiver: quote_meta(&message.receiver),
        status: message.status(),
        alerts: message.alerts.iter().map(body_alert).collect(),
        group_labels: message.group_labels.iter().collect(),
        common_labels: owned(message.common_labels().iter()),
        common_annotations: owned(message.common_annotations().iter()),
        external_url,
        version: "4",
        group_key: &message.group_key,
        truncated_alerts,
        reason: message.reason.as_str(),
    };
    let text = serde_json::to_string(&body).expect("a body has string keys only");
    format!("{}\n", escape_html(&text))
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn body_alert(alert: &NotifiedAlert) -> BodyAlert<'_> {
    let ends_at = if alert.resolved {
        alert.alert.ends_written.shortest(alert.alert.ends_at_ms)
    } else {
        timestamp::ZERO.to_owned()
    };
    BodyAlert {
        status: alert.status(),
        labels: alert.alert.labels.iter().collect(),
        annotations: alert.alert.annotations.iter().collect(),
        starts_at: alert.alert.starts_written.shortest(alert.alert.starts_at_ms),
        ends_at,
        generator_url: &alert.alert.generator_url,
        fingerprint: alert.alert.fingerprint().to_string(),
    }
}

/// Go's encoder writes these as escapes, so that JSON can stand in HTML. They occur in strings
/// only, where the escape means the same.
fn escape_html(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str(r"\u003c"),
            '>' => out.push_str(r"\u003e"),
            '&' => out.push_str(r"\u0026"),
            '\u{2028}' => out.push_str(r"\u2028"),
            '\u{2029}' => out.push_str(r"\u2029"),
            other => out.push(other),
        }
    }
    out
}

impl WebhookConfig {
    pub(crate) fn target(&self) -> String {
        match &self.url {
            WebhookUrl::Fixed(url) => format!("webhook:{:016x}", url.digest()),
            WebhookUrl::Template(text) => {
                format!("webhook:{:016x}", xxhash_rust::xxh3::xxh3_64(text.expose().as_bytes()))
            }
        }
    }

    /// Posts the message once.
    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let alerts = telling.message.alerts.len();
        let body = without_blocking(alerts, || body(telling.message, self.max_alerts, telling.external_url));
        let headers = headers(self, telling.idempotency_key, &body, telling.now_ms);
        let request = self.http.post(telling.client, self.url(telling)?).await?.headers(headers);
        Answer::of(self.limited(request).body(body)).await?.accepted()
    }

    /// Without a limit of its own the client's would apply, which is shorter than what a delivery
    /// has left.
    fn limited(&self, request: RequestBuilder) -> RequestBuilder {
        request.timeout(self.timeout.min(TIMEOUT_MAX))
    }

    fn url(&self, telling: &Telling<'_>) -> Result<Url, AttemptError> {
        let template = match &self.url {
            WebhookUrl::Fixed(url) => return Ok(url.expose().clone()),
            WebhookUrl::Template(template) => template,
        };
        let text = telling.text(template.expose())?;
        let url = Url::parse(text.trim()).map_err(|error| {
            AttemptError::permanent(format!("the expanded `url` is not an address: {error}"))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AttemptError::permanent("the expanded `url` is neither http nor https"));
        }
        if !self.allow_link_local {
            daemon::http::check_target(&url)
                .map_err(|refused| AttemptError::permanent(refused.to_string()))?;
        }
        Ok(url)
    }
}

fn headers(config: &WebhookConfig, idempotency_key: &str, body: &str, now_ms: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let mut texts = vec![("idempotency-key", idempotency_key.to_owned())];
    if let Some(secret) = &config.secret {
        texts.extend(signature_headers(secret, idempotency_key, now_ms, body));
    }
    for (name, text) in texts {
        // Keys and signatures are hexadecimal, base64 and digits.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Annotations, alert::Alert, config::IntegrationConfig, notify::Reason, timestamp::Written};
    use model::Labels;

    #[test]
    fn a_webhook_without_a_limit_has_what_is_left_of_the_delivery() {
        for (written, expected_s) in [("0s", 86_400), ("90s", 90), ("10s", 10)] {
            let text = format!("webhook_configs: [{{url: 'http://h', timeout: {written}}}]");
            let config = crate::receivers::sink::config(&text);
            let IntegrationConfig::Webhook(webhook) = &config.receivers["r"].integrations[0].config else {
                panic!("it is a webhook")
            };
            let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
            let request = webhook.limited(client.post("http://h")).build().unwrap();
            assert_eq!(request.timeout(), Some(&Duration::from_secs(expected_s)), "{written}");
        }
    }

    #[test]
    fn the_body_is_that_of_alertmanager() {
        let alert = |instance: &str, resolved: bool| NotifiedAlert {
            alert: Alert {
                labels: Labels::from_pairs([("alertname", "T"), ("instance", instance)]),
                annotations: Annotations::from_pairs([("summary", "<b> & \"q\"")]),
                starts_at_ms: 1_643_114_203_250,
                ends_at_ms: 1_643_114_204_000,
                starts_written: Written::default(),
                ends_written: Written::default(),
                updated_at_ms: 0,
                generator_url: "http://p/graph?a&b".into(),
                timeout: false,
                held: false,
                rendered: crate::Rendered::default(),
                measure: None,
            },
            resolved,
        };
        let message = Message {
            receiver: "team.x-1".into(),
            group_key: r#"{}:{alertname="T"}"#.into(),
            group_labels: Labels::from_pairs([("alertname", "T")]),
            alerts: vec![alert("a", false), alert("b", true)],
            reason: Reason::First,
            incidents: None,
        };
        let one = body(&message, 1, "http://bw");
        assert_eq!(
            one,
            concat!(
                r#"{"receiver":"team\\.x-1","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"T","#,
                r#""instance":"a"},"annotations":{"summary":"\u003cb\u003e \u0026 \"q\""},"#,
                r#""startsAt":"2022-01-25T12:36:43.25Z","endsAt":"0001-01-01T00:00:00Z","#,
                r#""generatorURL":"http://p/graph?a\u0026b","fingerprint":"FP"}],"groupLabels":{"alertname":"T"},"#,
                r#""commonLabels":{"alertname":"T","instance":"a"},"commonAnnotations":{"summary":"\u003cb\u003e \u0026 \"q\""},"#,
                r#""externalURL":"http://bw","version":"4","groupKey":"{}:{alertname=\"T\"}","truncatedAlerts":1,"#,
                r#""notification_reason":"first notification"}"#,
                "\n"
            )
            .replace("FP", &message.alerts[0].alert.fingerprint().to_string())
        );
        let both: serde_json::Value = serde_json::from_str(&body(&message, 0, "")).unwrap();
        assert_eq!(both["alerts"][1]["endsAt"], "2022-01-25T12:36:44Z");
        assert_eq!(both["commonLabels"].as_object().unwrap().len(), 1);
    }
}
