//! What a receiver is given to tell: the message, expanded by templates, and the means.

use super::{Message, http::AttemptError, sparkline::Sparklines};
use crate::expand::{ExpandError, NotificationTemplates, notification_data};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use template::Value;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Alerts that are shown where a template writes too much for all of them.
const SHORT_ALERTS_MAX: usize = 50;

/// One attempt at one notification.
pub(crate) struct Telling<'a> {
    /// For receivers without a client of their own.
    pub(crate) client: &'a reqwest::Client,
    pub(crate) templates: &'a NotificationTemplates,
    pub(crate) message: &'a Message,
    /// The same for every attempt.
    pub(crate) idempotency_key: &'a str,
    pub(crate) external_url: &'a str,
    pub(crate) now_ms: i64,
    sparklines: Sparklines,
    data: OnceLock<Value>,
    /// The same with the first alerts only.
    short_data: OnceLock<Value>,
}

impl<'a> Telling<'a> {
    /// `means` are the client and where people reach this server.
    pub(crate) fn new(
        means: (&'a reqwest::Client, &'a str),
        templates: &'a NotificationTemplates,
        message: &'a Message,
        idempotency_key: &'a str,
        sparklines: Sparklines,
        now_ms: i64,
    ) -> Self {
        let (client, external_url) = means;
        let (data, short_data) = (OnceLock::new(), OnceLock::new());
        Telling {
            client,
            templates,
            message,
            idempotency_key,
            external_url,
            now_ms,
            sparklines,
            data,
            short_data,
        }
    }

    /// A template's text.
    pub(crate) fn text(&self, template: &str) -> Result<String, AttemptError> {
        self.expand(template, false)
    }

    /// A template's text where what it inserts is escaped for HTML.
    pub(crate) fn html(&self, template: &str) -> Result<String, AttemptError> {
        self.expand(template, true)
    }

    fn expand(&self, template: &str, html: bool) -> Result<String, AttemptError> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        without_blocking(self.message.alerts.len(), || self.expand_here(template, html))
    }

    fn expand_here(&self, template: &str, html: bool) -> Result<String, AttemptError> {
        let failed = |error: ExpandError| AttemptError::permanent(format!("template: {error}"));
        let data =
            self.data.get_or_init(|| notification_data(self.message, self.external_url, &self.sparklines));
        let total = self.message.alerts.len();
        match self.templates.expand(template, data, html, self.now_ms) {
            // Of a storm, too, somebody must be told.
            Err(error) if error.is_limit && total > SHORT_ALERTS_MAX => {
                tracing::warn!(receiver = self.message.receiver, alerts = total, %error, "a template is expanded for the first alerts only");
                let short = self.short_data.get_or_init(|| self.short_data());
                let text = self.templates.expand(template, short, html, self.now_ms).map_err(failed)?;
                Ok(format!(
                    "{text}\n(the first {SHORT_ALERTS_MAX} of {total} alerts: for all of them the template writes too much)"
                ))
            }
            expanded => expanded.map_err(failed),
        }
    }

    fn short_data(&self) -> Value {
        let mut short = self.message.clone();
        short.truncate(SHORT_ALERTS_MAX);
        notification_data(&short, self.external_url, &self.sparklines)
    }

    /// Whether any alert fires.
    pub(crate) fn fires(&self) -> bool {
        self.message.status() == "firing"
    }

    /// The group's name as services know it that want a short one.
    pub(crate) fn group_hash(&self) -> String {
        hash(&self.message.group_key)
    }

    /// Keys of incidents at services that tie an end to its beginning by one: that to open or to
    /// update when something fires, otherwise those to close, of which there may be none.
    pub(crate) fn incident_keys(&self) -> Vec<String> {
        let Some(incidents) = &self.message.incidents else { return vec![self.group_hash()] };
        let wanted = if self.fires() { 1 } else { incidents.len() };
        incidents.iter().take(wanted).map(|incident| hash(incident)).collect()
    }
}

fn hash(group_key: &str) -> String {
    let hash = Sha256::digest(group_key.as_bytes());
    hash.as_slice().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Alerts beyond which a template may take long.
const MANY_ALERTS: usize = 100;

/// Runs `work` so that the sockets that this thread serves do not wait when it is about `alerts`.
pub(crate) fn without_blocking<T>(alerts: usize, work: impl FnOnce() -> T) -> T {
    let runtime = Handle::try_current().map(|handle| handle.runtime_flavor());
    if alerts > MANY_ALERTS && matches!(runtime, Ok(RuntimeFlavor::MultiThread)) {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// At most `chars_max` characters, the last one an ellipsis when some are left out.
pub(crate) fn truncate_chars(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// At most `bytes_max` bytes, cut between characters, an ellipsis at the end when some are left
/// out.
pub(crate) fn truncate_bytes(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotations;
    use crate::{
        notify::{NotifiedAlert, Reason},
        receivers::sink::alert,
    };
    use model::Labels;

    fn storm(alerts: usize) -> Message {
        let notified = |number: usize| {
            let instance = format!("host-{number}");
            let labels = Labels::from_pairs([
                ("alertname", "Storm"),
                ("instance", &instance),
                ("severity", "critical"),
            ]);
            let annotations = Annotations::from_pairs([("summary", "x".repeat(200))]);
            NotifiedAlert { alert: alert(labels, annotations), resolved: false }
        };
        Message {
            receiver: "r".into(),
            group_key: "{}:{}".into(),
            group_labels: Labels::from_pairs([("alertname", "Storm")]),
            alerts: (0..alerts).map(notified).collect(),
            reason: Reason::First,
            incidents: None,
        }
    }

    fn check(message: &Message, template: &str, html: bool) -> String {
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        let templates = NotificationTemplates::default();
        let telling = Telling::new((&client, "http://bw"), &templates, message, "n", Sparklines::new(), 0);
        telling.expand(template, html).unwrap()
    }

    /// Every text of every receiver, for a group of ten thousand alerts.
    #[test]
    fn the_default_texts_stay_short_in_a_storm() {
        let message = storm(10_000);
        for name in [
            "email.default.subject",
            "email.default.text",
            "email.default.html",
            "slack.default.text",
            "slack.default.title",
            "mattermost.default.text",
            "msteams.default.text",
            "msteamsv2.default.text",
            "discord.default.message",
            "pagerduty.default.description",
            "opsgenie.default.description",
            "pushover.default.message",
            "sns.default.message",
            "telegram.default.message",
            "rocketchat.default.text",
            "victorops.default.state_message",
            "webex.default.message",
        ] {
            let text = check(&message, &format!("{{{{ template \"{name}\" . }}}}"), name.ends_with("html"));
            assert!(text.len() < 250_000, "{name} has {} bytes", text.len());
            assert!(text.contains("10000"), "{name} does not say how many: {text}");
            assert!(!text.contains("writes too much"), "{name}");
        }
        let instances =
            check(&message, "{{ template \"pagerduty.default.instances\" .Alerts.Firing }}", false);
        assert!(instances.len() < 50_000 && instances.contains("10000"), "{}", instances.len());
    }

    #[test]
    fn a_text_that_is_too_long_for_all_alerts_shows_the_first() {
        let template = "{{ range .Alerts }}{{ .Labels.instance }} {{ .Annotations.summary }}\n{{ end }}";
        let text = check(&storm(10_000), template, false);
        assert_eq!(text.matches("host-").count(), SHORT_ALERTS_MAX);
        assert!(
            text.ends_with("(the first 50 of 10000 alerts: for all of them the template writes too much)")
        );
        assert_eq!(check(&storm(60), template, false).matches("host-").count(), 60);
        // What every alert asks of its group is not worked out again for each.
        let common = "{{ range .Alerts }}{{ $.CommonLabels.severity }}{{ end }}";
        assert_eq!(check(&storm(10_000), common, false).len(), 80_000);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(truncate_chars("größer", 6), "größer");
        assert_eq!(truncate_chars("größer", 4), "grö…");
        assert_eq!(truncate_bytes("größer", 8), "größer");
        assert_eq!(truncate_bytes("größer", 7), "grö…");
        assert_eq!(truncate_bytes("ö", 1), "…");
    }
}
