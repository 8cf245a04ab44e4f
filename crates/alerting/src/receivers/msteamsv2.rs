//! `msteamsv2_configs`: a workflow's webhook, which takes adaptive cards.

use super::hook::{Hook, HookYaml};
use crate::{
    config::{Context, GlobalYaml, HttpYaml, texts},
    notify::{http::AttemptError, telling::Telling},
    problem::Place,
};
use serde::Deserialize;
use serde_json::{Value, json};
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Msteamsv2Config {
    hook: Hook,
    texts: Texts,
}

texts! {
    /// The templates of a message.
    Texts {
        title: r#"{{ template "msteamsv2.default.title" . }}"#,
        text: r#"{{ template "msteamsv2.default.text" . }}"#,
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
    text: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<Msteamsv2Config> {
        let written = HookYaml {
            http: self.http_config.as_ref(),
            url: self.webhook_url.as_ref(),
            url_file: self.webhook_url_file.as_ref(),
        };
        let (texts, hook) = (Texts::of(context, self), written.build(context, global, place));
        Some(Msteamsv2Config { hook: hook?, texts })
    }
}

impl Msteamsv2Config {
    pub(crate) fn target(&self) -> String {
        self.hook.identity("msteamsv2")
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        self.hook.post(telling, &self.body(telling)?).await
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let color = if telling.fires() { "Attention" } else { "Good" };
        let title = telling.text(&self.texts.title)?;
        let text = telling.text(&self.texts.text)?;
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true, "style": "heading", "color": color},
                {"type": "TextBlock", "text": text, "wrap": true},
            ],
            "msteams": {"width": "full"},
        });
        let attachment = json!({"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card});
        Ok(json!({"type": "message", "attachments": [attachment]}))
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, resolved};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_an_adaptive_card() {
        let sink = Sink::start(&[(202, "text/plain", "")]).await;
        let config = format!("msteamsv2_configs: [{{webhook_url: '{}', text: t}}]", sink.url);
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(
            sink.json(0),
            json!({"type": "message", "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
                    "body": [
                        {"type": "TextBlock", "text": "[FIRING:1] DiskFull (db-1 critical)", "weight": "Bolder", "size": "Medium", "wrap": true, "style": "heading", "color": "Attention"},
                        {"type": "TextBlock", "text": "t", "wrap": true},
                    ],
                    "msteams": {"width": "full"},
                }
            }]})
        );
        sink.send(&config, resolved()).await.unwrap();
        assert_eq!(sink.json(1)["attachments"][0]["content"]["body"][0]["color"], "Good");
    }
}
