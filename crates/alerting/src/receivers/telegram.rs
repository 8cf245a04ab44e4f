//! `telegram_configs`: a bot's message to a chat.

use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, required_secret, target_or, texts},
    notify::{
        http::AttemptError,
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use daemon::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use serde_saphyr::Spanned;
use std::{path::PathBuf, time::Duration};

const URL: &str = "https://api.telegram.org";
/// What Telegram takes at most.
const TEXT_CHARS_MAX: usize = 4096;
const PARSE_MODES: [&str; 4] = ["", "HTML", "Markdown", "MarkdownV2"];

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct TelegramConfig {
    url: SecretUrl,
    token: Secret,
    chat_id: i64,
    thread_id: Option<i64>,
    disable_notifications: bool,
    parse_mode: String,
    http: HttpConfig,
    texts: Texts,
}

texts! {
    /// The templates of a message.
    Texts {
        message: r#"{{ template "telegram.default.message" . }}"#,
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    api_url: Option<Spanned<String>>,
    bot_token: Option<Secret>,
    bot_token_file: Option<PathBuf>,
    chat_id: Option<i64>,
    chat_id_file: Option<PathBuf>,
    message_thread_id: Option<i64>,
    message: Option<Spanned<String>>,
    #[serde(default)]
    disable_notifications: bool,
    parse_mode: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<TelegramConfig> {
        let given = [
            (self.bot_token.as_ref(), self.bot_token_file.as_ref()),
            (global.telegram_bot_token.as_ref(), global.telegram_bot_token_file.as_ref()),
        ];
        let token = required_secret(context, place, "bot_token", given);
        let addresses = [self.api_url.as_ref(), global.telegram_api_url.as_ref()];
        let parse_mode = self.parse_mode.as_ref().map_or("HTML", |mode| &mode.value);
        if !PARSE_MODES.contains(&parse_mode) {
            let at = self.parse_mode.as_ref().map_or(place, Place::of);
            context.report(
                at,
                format!("unknown `parse_mode` `{parse_mode}`; use HTML, Markdown, MarkdownV2 or nothing"),
            );
        }
        Some(TelegramConfig {
            chat_id: self.chat(context, place)?,
            thread_id: self.message_thread_id,
            disable_notifications: self.disable_notifications,
            parse_mode: parse_mode.to_owned(),
            http: global.http(self.http_config.as_ref(), context, place),
            texts: Texts::of(context, self),
            url: target_or(context, place, "api_url", addresses, URL)?,
            token: token?,
        })
    }

    fn chat(&self, context: &mut Context<'_>, place: Place) -> Option<i64> {
        if let (Some(id), None) = (self.chat_id, &self.chat_id_file) {
            return Some(id);
        }
        let given = [(None, self.chat_id_file.as_ref().filter(|_| self.chat_id.is_none())), (None, None)];
        let text = required_secret(context, place, "chat_id", given)?;
        let id = text.expose().trim().parse().ok();
        if id.is_none() {
            context.report(place, "`chat_id_file` does not hold a number");
        }
        id
    }
}

impl TelegramConfig {
    pub(crate) fn target(&self) -> String {
        format!("telegram:{}:{}", self.chat_id, self.thread_id.unwrap_or_default())
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let body = self.body(telling)?;
        let url = self.url.join(&format!("bot{}/sendMessage", self.token.expose()));
        let answer = self.http.post_json(telling.client, url, &body).await?;
        answer.accepted().map_err(|mut error| {
            // Telegram says in the body how long to wait.
            let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            if let Some(seconds) = json["parameters"]["retry_after"].as_u64().filter(|_| error.recoverable) {
                error.retry_after = Some(Duration::from_secs(seconds.min(600)));
            }
            error
        })
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let message = &self.texts.message;
        let text = if self.parse_mode == "HTML" { telling.html(message)? } else { telling.text(message)? };
        let mut body = json!({
            "chat_id": self.chat_id,
            "text": self.cut(&text),
            "disable_notification": self.disable_notifications,
            "disable_web_page_preview": true,
        });
        if !self.parse_mode.is_empty() {
            body["parse_mode"] = self.parse_mode.clone().into();
        }
        if let Some(thread) = self.thread_id {
            body["message_thread_id"] = thread.into();
        }
        Ok(body)
    }

    /// Whole lines as long as they fit, because half a tag would be refused.
    fn cut(&self, text: &str) -> String {
        if text.chars().count() <= TEXT_CHARS_MAX {
            return text.to_owned();
        }
        let short = truncate_chars(text, TEXT_CHARS_MAX - 1);
        match short.rfind('\n') {
            Some(end) if end > 0 => format!("{}\n…", &short[..end]),
            _ => short,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, problems};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_html_within_telegrams_limit() {
        const SLOW_DOWN: &str = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":9}}"#;
        let sink = Sink::start(&[
            (200, "application/json", r#"{"ok":true}"#),
            (429, "application/json", SLOW_DOWN),
            (200, "application/json", "{}"),
        ])
        .await;
        let config = format!(
            "telegram_configs: [{{bot_token: 't:1', chat_id: -100, message_thread_id: 3, api_url: '{}'}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(sink.request(0).path, "/bott:1/sendMessage");
        assert_eq!(
            sink.json(0),
            json!({
                "chat_id": -100, "message_thread_id": 3, "parse_mode": "HTML", "disable_notification": false, "disable_web_page_preview": true,
                "text": "<b>[FIRING:1] DiskFull (db-1 critical)</b>\n\n<b>DiskFull</b> db-1 critical\n94 % of &lt;b&gt;/&lt;/b&gt; is used\nsince 2022-01-25 12:36:43 UTC · <a href=\"http://runbook\">runbook</a>",
            })
        );
        let error = sink.send(&config, firing()).await.unwrap_err();
        assert_eq!((error.recoverable, error.retry_after.map(|wait| wait.as_secs())), (true, Some(9)));
        assert!(!error.message.contains("t:1"), "the token is not shown: {}", error.message);
        let long = format!(
            "telegram_configs: [{{bot_token: t, chat_id: 1, parse_mode: '', message: '{}', api_url: '{}'}}]",
            "x".repeat(5000),
            sink.url
        );
        sink.send(&long, firing()).await.unwrap();
        assert_eq!(sink.json(2)["text"].as_str().unwrap().chars().count(), 4095);
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = problems(
            "telegram_configs: [{bot_token: t}, {chat_id: 1}, {bot_token: t, chat_id: 1, parse_mode: x}]",
        );
        assert!(
            found[0].contains("`chat_id`")
                && found[1].contains("`bot_token`")
                && found[2].contains("parse_mode"),
            "{found:?}"
        );
    }
}
