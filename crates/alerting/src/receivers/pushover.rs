//! `pushover_configs`: a message to a phone. One that fires is repeated by Pushover until somebody
//! acknowledges it (priority 2).

use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, required_secret, target_or, texts},
    notify::{
        http::{Answer, AttemptError, form},
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::PathBuf;

const URL: &str = "https://api.pushover.net/1/messages.json";
/// What Pushover takes at most, in characters.
const TITLE_CHARS_MAX: usize = 250;
const MESSAGE_CHARS_MAX: usize = 1024;
const URL_CHARS_MAX: usize = 512;
const RETRY_MS: i64 = 60_000;
const EXPIRE_MS: i64 = 3_600_000;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct PushoverConfig {
    url: SecretUrl,
    user_key: Secret,
    token: Secret,
    retry_ms: i64,
    expire_ms: i64,
    ttl_ms: i64,
    html: bool,
    monospace: bool,
    http: HttpConfig,
    texts: Texts,
}

texts! {
    /// The templates of a message.
    Texts {
        title: r#"{{ template "pushover.default.title" . }}"#,
        message: r#"{{ template "pushover.default.message" . }}"#,
        url: r#"{{ template "pushover.default.url" . }}"#,
        url_title: "",
        priority: r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#,
        device: "",
        sound: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    user_key: Option<Secret>,
    user_key_file: Option<PathBuf>,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    /// Where the service is; ours, so that it can be another one.
    api_url: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    message: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    url_title: Option<Spanned<String>>,
    priority: Option<Spanned<String>>,
    device: Option<Spanned<String>>,
    sound: Option<Spanned<String>>,
    retry: Option<Spanned<String>>,
    expire: Option<Spanned<String>>,
    ttl: Option<Spanned<String>>,
    #[serde(default)]
    html: bool,
    #[serde(default)]
    monospace: bool,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<PushoverConfig> {
        if self.html && self.monospace {
            context.report(place, "at most one of `html` and `monospace` must be set");
        }
        let none = (None, None);
        let user = [(self.user_key.as_ref(), self.user_key_file.as_ref()), none];
        let user_key = required_secret(context, place, "user_key", user);
        let token = [(self.token.as_ref(), self.token_file.as_ref()), none];
        let token = required_secret(context, place, "token", token);
        Some(PushoverConfig {
            url: target_or(context, place, "api_url", [self.api_url.as_ref(), None], URL)?,
            retry_ms: context.duration("retry", self.retry.as_ref(), RETRY_MS),
            expire_ms: context.duration("expire", self.expire.as_ref(), EXPIRE_MS),
            ttl_ms: context.duration("ttl", self.ttl.as_ref(), 0),
            html: self.html,
            monospace: self.monospace,
            http: global.http(self.http_config.as_ref(), context, place),
            texts: Texts::of(context, self),
            user_key: user_key?,
            token: token?,
        })
    }
}

impl PushoverConfig {
    pub(crate) fn target(&self) -> String {
        let user = xxhash_rust::xxh3::xxh3_64(self.user_key.expose().as_bytes());
        format!("pushover:{user:016x}:{}", self.texts.device)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let request = self
            .http
            .post(telling.client, self.url.expose().clone())
            .await?
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(self.fields(telling)?));
        Answer::of(request).await?.accepted()
    }

    fn fields(&self, telling: &Telling<'_>) -> Result<Vec<(&'static str, String)>, AttemptError> {
        let texts = &self.texts;
        let cut = |template: &str, max: usize| Ok(truncate_chars(&telling.text(template)?, max));
        let message = if self.html { telling.html(&texts.message)? } else { telling.text(&texts.message)? };
        let message = truncate_chars(&message, MESSAGE_CHARS_MAX);
        // An empty message is refused.
        let message = if message.trim().is_empty() { "(no details)".to_owned() } else { message };
        let priority = telling.text(&texts.priority)?;
        let mut fields = vec![
            ("token", self.token.expose().to_owned()),
            ("user", self.user_key.expose().to_owned()),
            ("title", cut(&texts.title, TITLE_CHARS_MAX)?),
            ("message", message),
            ("url", cut(&texts.url, URL_CHARS_MAX)?),
            ("url_title", telling.text(&texts.url_title)?),
            ("priority", priority),
            ("device", telling.text(&texts.device)?),
            ("sound", telling.text(&texts.sound)?),
            ("retry", (self.retry_ms / 1000).to_string()),
            ("expire", (self.expire_ms / 1000).to_string()),
        ];
        if self.ttl_ms > 0 {
            fields.push(("ttl", (self.ttl_ms / 1000).to_string()));
        }
        if self.html {
            fields.push(("html", "1".to_owned()));
        }
        if self.monospace {
            fields.push(("monospace", "1".to_owned()));
        }
        fields.retain(|(_, value)| !value.is_empty());
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, problems, resolved};

    #[tokio::test]
    async fn a_message_is_a_form_within_pushovers_limits() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "pushover_configs: [{{user_key: u, token: t, api_url: '{}', ttl: 1h, sound: siren}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        let form = sink.form(0);
        for (name, expected) in [
            ("token", "t"),
            ("user", "u"),
            ("title", "[FIRING:1] DiskFull (db-1 critical)"),
            ("message", "DiskFull db-1 critical\n94 % of <b>/</b> is used\nsince 2022-01-25 12:36:43 UTC\n"),
            ("url", "http://bw/#/alerts?receiver=r"),
            ("priority", "2"),
            ("retry", "60"),
            ("expire", "3600"),
            ("ttl", "3600"),
            ("sound", "siren"),
        ] {
            assert_eq!(form[name], expected, "{name}");
        }
        assert_eq!(form.len(), 10);
        sink.send(&config, resolved()).await.unwrap();
        assert_eq!(sink.form(1)["priority"], "0");
        let long = format!(
            "pushover_configs: [{{user_key: u, token: t, html: true, api_url: '{}', message: '{{{{ .CommonAnnotations.summary }}}}{}'}}]",
            sink.url,
            "x".repeat(2000)
        );
        sink.send(&long, firing()).await.unwrap();
        let form = sink.form(2);
        assert!(form["message"].starts_with("94 % of &lt;b&gt;") && form["html"] == "1");
        assert_eq!(form["message"].chars().count(), 1024);
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = problems(
            "pushover_configs: [{token: t}, {user_key: u}, {user_key: u, token: t, html: true, monospace: true}]",
        );
        assert!(
            found[0].contains("`user_key`") && found[1].contains("`token`") && found[2].contains("monospace"),
            "{found:?}"
        );
    }
}
