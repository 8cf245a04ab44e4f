//! `discord_configs`: a channel's webhook.

use super::hook::{Hook, HookYaml};
use crate::{
    config::{Context, GlobalYaml, HttpYaml, texts},
    notify::{
        http::AttemptError,
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use serde::Deserialize;
use serde_json::{Value, json};
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// What Discord takes at most, in characters.
const TITLE_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 4096;
const CONTENT_CHARS_MAX: usize = 2000;
const RED: u32 = 0x99_2D_22;
const GREEN: u32 = 0x2E_CC_71;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscordConfig {
    hook: Hook,
    texts: Texts,
}

texts! {
    /// The templates of a message.
    Texts {
        title: r#"{{ template "discord.default.title" . }}"#,
        message: r#"{{ template "discord.default.message" . }}"#,
        content: r#"{{ template "discord.default.content" . }}"#,
        username: "",
        avatar_url: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    webhook_url: Option<Spanned<String>>,
    webhook_url_file: Option<PathBuf>,
    title: Option<Spanned<String>>,
    message: Option<Spanned<String>>,
    content: Option<Spanned<String>>,
    username: Option<Spanned<String>>,
    avatar_url: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<DiscordConfig> {
        let written = HookYaml {
            http: self.http_config.as_ref(),
            url: self.webhook_url.as_ref(),
            url_file: self.webhook_url_file.as_ref(),
        };
        let (texts, hook) = (Texts::of(context, self), written.build(context, global, place));
        Some(DiscordConfig { hook: hook?, texts })
    }
}

impl DiscordConfig {
    pub(crate) fn target(&self) -> String {
        self.hook.identity("discord")
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        self.hook.post(telling, &self.body(telling)?).await
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let texts = &self.texts;
        let cut = |template: &str, max: usize| Ok(truncate_chars(&telling.text(template)?, max));
        let embed = json!({
            "title": cut(&texts.title, TITLE_CHARS_MAX)?,
            "description": cut(&texts.message, DESCRIPTION_CHARS_MAX)?,
            "color": if telling.fires() { RED } else { GREEN },
        });
        let mut body = json!({"content": cut(&texts.content, CONTENT_CHARS_MAX)?, "embeds": [embed]});
        for (name, template) in [("username", &texts.username), ("avatar_url", &texts.avatar_url)] {
            let text = telling.text(template)?;
            if !text.is_empty() {
                body[name] = text.into();
            }
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_an_embed_within_discords_limits() {
        let sink = Sink::start(&[
            (204, "", ""),
            (429, "application/json\r\nretry-after: 3", r#"{"retry_after": 2.7}"#),
        ])
        .await;
        let long = "x".repeat(5000);
        let config = format!(
            "discord_configs: [{{webhook_url: '{}', message: '{long}', content: 'a', username: bw}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        let description = format!("{}…", "x".repeat(4095));
        assert_eq!(
            sink.json(0),
            json!({
                "content": "a", "username": "bw",
                "embeds": [{"title": "[FIRING:1] DiskFull (db-1 critical)", "description": description, "color": 10_038_562}],
            })
        );
        let error = sink.send(&config, firing()).await.unwrap_err();
        assert_eq!((error.recoverable, error.retry_after.map(|wait| wait.as_secs())), (true, Some(3)));
    }
}
