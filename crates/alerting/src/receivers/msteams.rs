//! `msteams_configs`: a connector's webhook, which takes message cards.

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

const RED: &str = "8C1A1A";
const GREEN: &str = "2DC72D";

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct MsteamsConfig {
    hook: Hook,
    texts: Texts,
}

texts! {
    /// The templates of a message.
    Texts {
        title: r#"{{ template "msteams.default.title" . }}"#,
        summary: r#"{{ template "msteams.default.summary" . }}"#,
        text: r#"{{ template "msteams.default.text" . }}"#,
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
    summary: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<MsteamsConfig> {
        let written = HookYaml {
            http: self.http_config.as_ref(),
            url: self.webhook_url.as_ref(),
            url_file: self.webhook_url_file.as_ref(),
        };
        let (texts, hook) = (Texts::of(context, self), written.build(context, global, place));
        Some(MsteamsConfig { hook: hook?, texts })
    }
}

impl MsteamsConfig {
    pub(crate) fn target(&self) -> String {
        self.hook.identity("msteams")
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        self.hook.post(telling, &self.body(telling)?).await
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        Ok(json!({
            "@context": "http://schema.org/extensions",
            "@type": "MessageCard",
            "title": telling.text(&self.texts.title)?,
            "summary": telling.text(&self.texts.summary)?,
            "text": telling.text(&self.texts.text)?,
            "themeColor": if telling.fires() { RED } else { GREEN },
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, resolved};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_a_card() {
        let sink = Sink::start(&[]).await;
        let config = format!("msteams_configs: [{{webhook_url: '{}', summary: s}}]", sink.url);
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(
            sink.json(0),
            json!({
                "@context": "http://schema.org/extensions", "@type": "MessageCard",
                "title": "[FIRING:1] DiskFull (db-1 critical)", "summary": "s", "themeColor": "8C1A1A",
                "text": "**DiskFull** db-1 critical\n\n94 % of <b>/</b> is used\n\nsince 2022-01-25 12:36:43 UTC · [runbook](http://runbook)",
            })
        );
        sink.send(&config, resolved()).await.unwrap();
        assert_eq!(sink.json(1)["themeColor"], "2DC72D");
    }
}
