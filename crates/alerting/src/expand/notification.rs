//! Templates of notifications: named ones from files, over ours, and the texts of receivers.

use super::key_values::key_values;
use crate::notify::{Message, NotifiedAlert, http::form, message::quote_meta, sparkline::Sparklines};
use crate::timestamp::Written;
use jiff::{Timestamp, tz::TimeZone};
use model::Labels;
use std::{
    fmt,
    sync::{Arc, LazyLock},
};
use template::{Definitions, ExecError, Object, Options, Template, Value, functions};

/// What receivers use unless they say otherwise.
const DEFAULT: &str = include_str!("default.tmpl");

/// Named templates that receivers' texts may call.
#[derive(Clone)]
pub struct NotificationTemplates(Definitions);

impl Default for NotificationTemplates {
    fn default() -> Self {
        static OURS: LazyLock<Definitions> = LazyLock::new(|| {
            let mut definitions = Definitions::default();
            definitions
                .add("default.tmpl", DEFAULT, &functions::alertmanager())
                .expect("the templates of the program are tested to parse");
            definitions
        });
        NotificationTemplates(OURS.clone())
    }
}

impl fmt::Debug for NotificationTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.names()).finish()
    }
}

impl NotificationTemplates {
    /// Adds the templates that `text` defines.
    ///
    /// # Errors
    /// The line and what is wrong there.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), (usize, String)> {
        self.0.add(name, text, &functions::alertmanager()).map_err(|error| (error.line, error.message))
    }

    /// Whether a receiver's text parses.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, text: &str) -> Result<(), String> {
        self.parse(text).map(|_| ())
    }

    /// Expands a receiver's text; `html` escapes what it inserts.
    ///
    /// # Errors
    /// When the text does not parse or fails.
    pub fn expand(&self, text: &str, data: &Value, html: bool, now_ms: i64) -> Result<String, ExpandError> {
        let options = Options { html, now_ns: now_ms.saturating_mul(1_000_000), ..Options::default() };
        let parsed = self.parse(text).map_err(|message| ExpandError { message, is_limit: false })?;
        let failed =
            |error: ExecError| ExpandError { message: error.to_string(), is_limit: error.is_limit() };
        parsed.execute_with(data, &options).map_err(failed)
    }

    fn parse(&self, text: &str) -> Result<Template, String> {
        Template::parse_with("", text, &functions::alertmanager(), self.0.clone())
            .map_err(|error| error.to_string())
    }
}

/// A receiver's text that could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpandError {
    message: String,
    /// It writes too much, or runs for too long; with fewer alerts it might not.
    pub is_limit: bool,
}

/// The data of a notification template.
pub(crate) fn data(message: &Message, external_url: &str, sparklines: &Sparklines) -> Value {
    let alerts = message.alerts.iter().cloned().map(Arc::new).collect();
    let world = Arc::new(World { external_url: external_url.to_owned(), sparklines: sparklines.clone() });
    Value::object(MessageObject {
        receiver: quote_meta(&message.receiver),
        status: message.status(),
        group_key: message.group_key.clone(),
        group_labels: key_values(message.group_labels.iter()),
        common_labels: key_values(message.common_labels().iter()),
        common_annotations: key_values(message.common_annotations().iter()),
        reason: message.reason.as_str(),
        alerts: Arc::new(AlertList { alerts, world: world.clone() }),
        world,
    })
}

/// What every alert of a message shares.
struct World {
    external_url: String,
    sparklines: Sparklines,
}

/// What may be asked once for each of thousands of alerts is there and only handed out.
struct MessageObject {
    receiver: String,
    status: &'static str,
    group_key: String,
    group_labels: Value,
    common_labels: Value,
    common_annotations: Value,
    reason: &'static str,
    alerts: Arc<AlertList>,
    world: Arc<World>,
}

impl Object for MessageObject {
    fn type_name(&self) -> &str {
        "*template.Data"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Receiver" => Value::from(self.receiver.as_str()),
            "Status" => Value::from(self.status),
            "Alerts" => Value::Object(self.alerts.clone()),
            "GroupLabels" => self.group_labels.clone(),
            "CommonLabels" => self.common_labels.clone(),
            "CommonAnnotations" => self.common_annotations.clone(),
            "ExternalURL" => Value::from(self.world.external_url.as_str()),
            "NotificationReason" => Value::from(self.reason),
            "GroupKey" => Value::from(self.group_key.as_str()),
            _ => return None,
        })
    }
}

struct AlertList {
    alerts: Vec<Arc<NotifiedAlert>>,
    world: Arc<World>,
}

impl AlertList {
    fn with_resolved(&self, resolved: bool) -> Value {
        let alerts = self.alerts.iter().filter(|alert| alert.resolved == resolved).cloned().collect();
        Value::object(AlertList { alerts, world: self.world.clone() })
    }
}

impl Object for AlertList {
    fn type_name(&self) -> &str {
        "template.Alerts"
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        match (name, args) {
            ("Firing", []) => Some(Ok(self.with_resolved(false))),
            ("Resolved", []) => Some(Ok(self.with_resolved(true))),
            _ => None,
        }
    }

    fn items(&self) -> Option<Vec<Value>> {
        let object =
            |alert: &Arc<NotifiedAlert>| Value::object(AlertObject(alert.clone(), self.world.clone()));
        Some(self.alerts.iter().map(object).collect())
    }
}

struct AlertObject(Arc<NotifiedAlert>, Arc<World>);

impl Object for AlertObject {
    fn type_name(&self) -> &str {
        "template.Alert"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let alert = &self.0.alert;
        Some(match name {
            "Status" => Value::from(self.0.status()),
            "Labels" => key_values(alert.labels.iter()),
            "Annotations" => key_values(alert.annotations.iter()),
            "StartsAt" => time(Some((alert.starts_at_ms, alert.starts_written))),
            "EndsAt" => time(self.0.resolved.then_some((alert.ends_at_ms, alert.ends_written))),
            "GeneratorURL" => Value::from(alert.generator_url.as_str()),
            "Fingerprint" => Value::from(alert.fingerprint().to_string()),
            // Ours: what Alertmanager does not know, because rules are evaluated elsewhere.
            "Value" => Value::from(alert.measure.as_ref().map_or("", |measure| &measure.value)),
            "Condition" => Value::from(alert.measure.as_ref().map_or("", |measure| &measure.condition)),
            "Sparkline" => {
                Value::from(self.1.sparklines.get(&alert.fingerprint()).map_or("", String::as_str))
            }
            "SilenceURL" => Value::from(silence_url(&self.1.external_url, &alert.labels)),
            _ => return None,
        })
    }
}

/// The page with a form for a silence of these labels.
fn silence_url(external_url: &str, labels: &Labels) -> String {
    format!("{external_url}/#/alerts?{}", form([("silence", form(labels.iter()))]))
}

/// An instant, as far from UTC as its sender wrote it; `None` is Go's zero time.
fn time(at: Option<(i64, Written)>) -> Value {
    const GO_ZERO_MS: i64 = -62_135_596_800_000;
    let (at_ms, written) = at.unwrap_or((GO_ZERO_MS, Written::default()));
    let zone = if written.is_plain() { TimeZone::UTC } else { written.offset().to_time_zone() };
    let at = written.instant(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    Value::from(at.to_zoned_datetime(zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotations;
    use crate::{
        alert::{Alert, Measure},
        notify::Reason,
    };

    fn message() -> Message {
        let alert = |instance: &str, resolved: bool| NotifiedAlert {
            alert: Alert {
                labels: Labels::from_pairs([("alertname", "Full"), ("instance", instance), ("a", "1")]),
                annotations: Annotations::from_pairs([("summary", "disk <full>")]),
                starts_at_ms: 1_643_114_203_000,
                ends_at_ms: 1_643_114_263_000,
                starts_written: Written::default(),
                ends_written: Written::default(),
                updated_at_ms: 0,
                generator_url: "javascript:alert(1)".into(),
                timeout: false,
                held: false,
                rendered: crate::Rendered::default(),
                measure: Some(Measure {
                    value: "0.94".into(),
                    condition: "> 0.9".into(),
                    expr: "used".into(),
                    element: 0,
                }),
            },
            resolved,
        };
        Message {
            receiver: "r".into(),
            group_key: "{}:{}".into(),
            group_labels: Labels::from_pairs([("alertname", "Full")]),
            alerts: vec![alert("h1", false), alert("h2", true)],
            reason: Reason::First,
            incidents: None,
        }
    }

    fn sparklines() -> Sparklines {
        Sparklines::from([(message().alerts[0].alert.fingerprint(), "▁▅█".to_owned())])
    }

    fn expand(text: &str, html: bool) -> String {
        NotificationTemplates::default()
            .expand(text, &data(&message(), "http://bw", &sparklines()), html, 0)
            .unwrap()
    }

    #[test]
    fn what_receivers_texts_may_ask() {
        for (text, expected) in [
            ("{{ .Receiver }} {{ .Status }} {{ .ExternalURL }}", "r firing http://bw"),
            ("{{ len .Alerts }} {{ .Alerts.Firing | len }} {{ len .Alerts.Resolved }}", "2 1 1"),
            ("{{ range .Alerts }}{{ .Labels.instance }}:{{ .Status }} {{ end }}", "h1:firing h2:resolved "),
            ("{{ (index .Alerts 0).Annotations.summary }}", "disk <full>"),
            (
                "{{ range .Alerts.Firing }}{{ .StartsAt.Format \"15:04:05\" }} {{ .EndsAt.IsZero }}{{ end }}",
                "12:36:43 true",
            ),
            ("{{ .CommonLabels.SortedPairs.Names | join \",\" }}", "alertname,a"),
            ("{{ (.CommonLabels.Remove .GroupLabels.Names).Values | join \",\" }}", "1"),
            (
                "{{ range $name, $value := .CommonLabels }}{{ $name }}={{ $value }};{{ end }}",
                "a=1;alertname=Full;",
            ),
            ("{{ if .Alerts.Firing }}yes{{ end }}{{ with .CommonLabels.nothing }}no{{ end }}", "yes"),
            ("{{ template \"email.default.subject\" . }}", "[FIRING:1] Full (1)"),
        ] {
            assert_eq!(expand(text, false), expected, "{text}");
        }
    }

    #[test]
    fn the_default_mail_shows_what_matters_and_escapes_it() {
        let html = expand("{{ template \"email.default.html\" . }}", true);
        assert!(html.starts_with("<!DOCTYPE html>\n<html"), "{html}");
        for expected in [
            "disk &lt;full&gt;",
            "1 firing",
            "1 resolved",
            "0.94",
            "&gt; 0.9",
            "▁▅█",
            "2022-01-25 12:36:43 UTC",
            "http://bw/#/alerts?silence=a%3D1%26alertname%3DFull%26instance%3Dh1",
        ] {
            assert!(html.contains(expected), "{expected} is not in\n{html}");
        }
        assert!(!html.contains("javascript:"), "only links that are links");
        let text = expand("{{ template \"email.default.text\" . }}", false);
        for expected in
            ["FIRING  Full", "disk <full>", "value    0.94 > 0.9  ▁▅█", "since    2022-01-25 12:36:43 UTC"]
        {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    /// Texts that were written for Alertmanager call what its own are made of.
    #[test]
    fn the_pieces_of_alertmanagers_texts_are_there() {
        let list = expand("{{ template \"__text_alert_list\" .Alerts.Firing }}", false);
        let expected = "Labels:\n - alertname = Full\n - a = 1\n - instance = h1\nAnnotations:\n";
        assert!(list.starts_with(expected) && list.contains("\n - summary = disk <full>\n"), "{list}");
        assert!(list.contains("\nSource: ") && list.ends_with('\n'), "{list}");
        let list = expand("{{ template \"__text_alert_list_markdown\" .Alerts.Firing }}", false);
        assert!(list.starts_with("\nLabels:\n  - alertname = Full\n"), "{list}");
        let alone = Message { alerts: message().alerts.into_iter().take(1).collect(), ..message() };
        let labels = alone.alerts[0].alert.labels.clone();
        let alone = data(&Message { group_labels: labels, ..alone }, "", &Sparklines::new());
        let subject = |name: &str| {
            let text = format!("{{{{ template \"{name}\" . }}}}");
            NotificationTemplates::default().expand(&text, &alone, false, 0).unwrap()
        };
        assert_eq!(subject("__subject"), "[FIRING:1] Full 1 h1 ");
        assert_eq!(subject("__headline"), "[FIRING:1] Full 1 h1");
    }

    #[test]
    fn files_may_replace_what_is_ours() {
        let mut templates = NotificationTemplates::default();
        templates.add("f", r#"{{ define "__subject" }}mine {{ .Status }}{{ end }}"#).unwrap();
        let text = templates.expand(
            r#"{{ template "email.default.subject" . }}"#,
            &data(&message(), "", &Sparklines::new()),
            false,
            0,
        );
        assert_eq!(text, Ok("mine firing".to_owned()));
        assert_eq!(templates.add("f", "a\n{{ nothing }}").unwrap_err().0, 2);
    }
}
