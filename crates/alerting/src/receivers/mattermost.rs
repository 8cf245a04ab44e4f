//! `mattermost_configs`: an incoming webhook.

use super::{set, set_list};
use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, target, texts},
    notify::{
        http::AttemptError,
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// What Mattermost takes at most, in characters.
const TEXT_CHARS_MAX: usize = 16_383;
const TITLE_CHARS_MAX: usize = 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct MattermostConfig {
    url: SecretUrl,
    http: HttpConfig,
    texts: Texts,
    fields: Vec<FieldYaml>,
    attachments: Option<Vec<AttachmentYaml>>,
    card: Option<String>,
    priority: Option<PriorityYaml>,
}

texts! {
    /// The templates of a message, whose attachment most of them are.
    Texts {
        channel: "",
        username: r#"{{ template "mattermost.default.username" . }}"#,
        text: r#"{{ template "mattermost.default.text" . }}"#,
        fallback: r#"{{ template "mattermost.default.fallback" . }}"#,
        color: r#"{{ template "mattermost.default.color" . }}"#,
        pretext: "",
        author_name: "",
        author_link: "",
        author_icon: "",
        title: r#"{{ template "mattermost.default.title" . }}"#,
        title_link: r#"{{ template "mattermost.default.titlelink" . }}"#,
        thumb_url: "",
        footer: "",
        footer_icon: "",
        image_url: "",
        icon_url: "",
        icon_emoji: "",
        r#type: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    webhook_url: Option<Spanned<String>>,
    webhook_url_file: Option<PathBuf>,
    channel: Option<Spanned<String>>,
    username: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    fallback: Option<Spanned<String>>,
    color: Option<Spanned<String>>,
    pretext: Option<Spanned<String>>,
    author_name: Option<Spanned<String>>,
    author_link: Option<Spanned<String>>,
    author_icon: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    title_link: Option<Spanned<String>>,
    thumb_url: Option<Spanned<String>>,
    footer: Option<Spanned<String>>,
    footer_icon: Option<Spanned<String>>,
    image_url: Option<Spanned<String>>,
    icon_url: Option<Spanned<String>>,
    icon_emoji: Option<Spanned<String>>,
    r#type: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    fields: Vec<FieldYaml>,
    attachments: Option<Vec<AttachmentYaml>>,
    props: Option<PropsYaml>,
    priority: Option<PriorityYaml>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldYaml {
    title: String,
    value: String,
    #[serde(default)]
    short: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AttachmentYaml {
    fallback: String,
    color: String,
    pretext: String,
    text: String,
    author_name: String,
    author_link: String,
    author_icon: String,
    title: String,
    title_link: String,
    fields: Vec<FieldYaml>,
    thumb_url: String,
    footer: String,
    footer_icon: String,
    image_url: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PropsYaml {
    card: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriorityYaml {
    #[serde(default)]
    priority: String,
    #[serde(default)]
    requested_ack: bool,
    #[serde(default)]
    persistent_notifications: bool,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<MattermostConfig> {
        let is_own = self.webhook_url.is_some() || self.webhook_url_file.is_some();
        let (inline, file) = if is_own {
            (&self.webhook_url, &self.webhook_url_file)
        } else {
            (&global.mattermost_webhook_url, &global.mattermost_webhook_url_file)
        };
        Some(MattermostConfig {
            http: global.http(self.http_config.as_ref(), context, place),
            texts: Texts::of(context, self),
            fields: self.fields.clone(),
            attachments: self.attachments.clone(),
            card: self.props.as_ref().and_then(|props| props.card.clone()),
            priority: self.priority.clone(),
            url: target(context, place, "webhook_url", inline.as_ref(), file.as_ref(), false)?,
        })
    }
}

impl AttachmentYaml {
    fn json(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let mut json = Map::new();
        for (name, template) in [
            ("fallback", &self.fallback),
            ("color", &self.color),
            ("pretext", &self.pretext),
            ("text", &self.text),
            ("author_name", &self.author_name),
            ("author_link", &self.author_link),
            ("author_icon", &self.author_icon),
            ("title", &self.title),
            ("title_link", &self.title_link),
            ("thumb_url", &self.thumb_url),
            ("footer", &self.footer),
            ("footer_icon", &self.footer_icon),
            ("image_url", &self.image_url),
        ] {
            let chars_max = if name == "title" { TITLE_CHARS_MAX } else { TEXT_CHARS_MAX };
            set(&mut json, name, truncate_chars(&telling.text(template)?, chars_max));
        }
        let mut fields = Vec::new();
        for field in &self.fields {
            let (title, value) = (telling.text(&field.title)?, telling.text(&field.value)?);
            fields.push(json!({"title": title, "value": value, "short": field.short}));
        }
        set_list(&mut json, "fields", fields);
        Ok(Value::Object(json))
    }
}

impl MattermostConfig {
    pub(crate) fn target(&self) -> String {
        format!("mattermost:{:016x}:{}", self.url.digest(), self.texts.channel)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let body = self.body(telling)?;
        self.http.post_json(telling.client, self.url.expose().clone(), &body).await?.accepted()
    }

    /// The attachment that the receiver's own fields describe.
    fn own_attachment(&self) -> AttachmentYaml {
        let texts = self.texts.clone();
        AttachmentYaml {
            fallback: texts.fallback,
            color: texts.color,
            pretext: texts.pretext,
            text: texts.text,
            author_name: texts.author_name,
            author_link: texts.author_link,
            author_icon: texts.author_icon,
            title: texts.title,
            title_link: texts.title_link,
            fields: self.fields.clone(),
            thumb_url: texts.thumb_url,
            footer: texts.footer,
            footer_icon: texts.footer_icon,
            image_url: texts.image_url,
        }
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let mut body = Map::new();
        let attachments = match &self.attachments {
            Some(given) => {
                let text = truncate_chars(&telling.text(&self.texts.text)?, TEXT_CHARS_MAX);
                body.insert("text".to_owned(), text.into());
                given.clone()
            }
            None => vec![self.own_attachment()],
        };
        let attachments = attachments.iter().map(|attachment| attachment.json(telling));
        body.insert("attachments".to_owned(), attachments.collect::<Result<Vec<_>, _>>()?.into());
        for (name, template) in [
            ("channel", &self.texts.channel),
            ("username", &self.texts.username),
            ("icon_url", &self.texts.icon_url),
            ("icon_emoji", &self.texts.icon_emoji),
            ("type", &self.texts.r#type),
        ] {
            set(&mut body, name, telling.text(template)?);
        }
        if let Some(card) = &self.card {
            body.insert("props".to_owned(), json!({"card": telling.text(card)?}));
        }
        if let Some(priority) = &self.priority {
            let json = json!({
                "priority": telling.text(&priority.priority)?,
                "requested_ack": priority.requested_ack,
                "persistent_notifications": priority.persistent_notifications,
            });
            body.insert("priority".to_owned(), json);
        }
        Ok(Value::Object(body))
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_an_attachment_or_several() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "mattermost_configs: [{{webhook_url: '{}', channel: ops, fields: [{{title: a, value: b}}], priority: {{priority: urgent, requested_ack: true}}, props: {{card: c}}}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(
            sink.json(0),
            json!({
                "channel": "ops", "username": "Bellwether",
                "attachments": [{
                    "title": "[FIRING:1] DiskFull (db-1 critical)", "title_link": "http://bw/#/alerts?receiver=r", "color": "#C4312A",
                    "fallback": "[FIRING:1] DiskFull (db-1 critical)",
                    "text": "**DiskFull** db-1 critical\n\n94 % of <b>/</b> is used\n\nsince 2022-01-25 12:36:43 UTC · [runbook](http://runbook)",
                    "fields": [{"title": "a", "value": "b", "short": false}],
                }],
                "props": {"card": "c"},
                "priority": {"priority": "urgent", "requested_ack": true, "persistent_notifications": false},
            })
        );
        let own = format!(
            "mattermost_configs: [{{webhook_url: '{}', text: t, username: '', attachments: [{{text: '{{{{ .Status }}}}'}}]}}]",
            sink.url
        );
        sink.send(&own, firing()).await.unwrap();
        assert_eq!(sink.json(1), json!({"text": "t", "attachments": [{"text": "firing"}]}));
    }
}
