//! `rocketchat_configs`: a message to a channel, by a user's token.

use super::{set, set_list};
use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, required_secret, target_or, texts},
    notify::{
        http::{Answer, AttemptError, End},
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use daemon::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;
use std::path::PathBuf;

const URL: &str = "https://open.rocket.chat/";
const TITLE_CHARS_MAX: usize = 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct RocketchatConfig {
    url: SecretUrl,
    token: Secret,
    token_id: Secret,
    http: HttpConfig,
    texts: Texts,
    fields: Vec<FieldYaml>,
    actions: Vec<ActionYaml>,
    short_fields: bool,
}

texts! {
    /// The templates of a message.
    Texts {
        channel: "",
        color: r#"{{ if eq .Status "firing" }}red{{ else }}green{{ end }}"#,
        emoji: r#"{{ template "rocketchat.default.emoji" . }}"#,
        icon_url: r#"{{ template "rocketchat.default.iconurl" . }}"#,
        text: r#"{{ template "rocketchat.default.text" . }}"#,
        title: r#"{{ template "rocketchat.default.title" . }}"#,
        title_link: r#"{{ template "rocketchat.default.titlelink" . }}"#,
        image_url: "",
        thumb_url: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    api_url: Option<Spanned<String>>,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    token_id: Option<Secret>,
    token_id_file: Option<PathBuf>,
    channel: Option<Spanned<String>>,
    color: Option<Spanned<String>>,
    emoji: Option<Spanned<String>>,
    icon_url: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    title_link: Option<Spanned<String>>,
    image_url: Option<Spanned<String>>,
    thumb_url: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    fields: Vec<FieldYaml>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    actions: Vec<ActionYaml>,
    #[serde(default)]
    short_fields: bool,
    /// Known; as in Alertmanager, it changes nothing.
    #[serde(rename = "link_names")]
    _link_names: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldYaml {
    #[serde(default)]
    title: String,
    #[serde(default)]
    value: String,
    short: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionYaml {
    /// Always a button.
    #[serde(rename = "type")]
    _type: Option<String>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    msg: String,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = false;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<RocketchatConfig> {
        let given = [
            (self.token.as_ref(), self.token_file.as_ref()),
            (global.rocketchat_token.as_ref(), global.rocketchat_token_file.as_ref()),
        ];
        let token = required_secret(context, place, "token", given);
        let given = [
            (self.token_id.as_ref(), self.token_id_file.as_ref()),
            (global.rocketchat_token_id.as_ref(), global.rocketchat_token_id_file.as_ref()),
        ];
        let token_id = required_secret(context, place, "token_id", given);
        let addresses = [self.api_url.as_ref(), global.rocketchat_api_url.as_ref()];
        Some(RocketchatConfig {
            http: global.http(self.http_config.as_ref(), context, place),
            texts: Texts::of(context, self),
            fields: self.fields.clone(),
            actions: self.actions.clone(),
            short_fields: self.short_fields,
            url: target_or(context, place, "api_url", addresses, URL)?,
            token: token?,
            token_id: token_id?,
        })
    }
}

impl RocketchatConfig {
    pub(crate) fn target(&self) -> String {
        format!("rocketchat:{:016x}:{}", self.url.digest(), self.texts.channel)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let body = self.body(telling)?;
        let request = self.http.post(telling.client, self.url.join("api/v1/chat.postMessage")).await?;
        let request = request
            .header("content-type", "application/json")
            .header("x-auth-token", self.token.expose())
            .header("x-user-id", self.token_id.expose());
        judge(&Answer::of(request.body(body.to_string())).await?)
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let texts = &self.texts;
        let mut attachment = Map::new();
        let title = truncate_chars(&telling.text(&texts.title)?, TITLE_CHARS_MAX);
        for (name, text) in [
            ("title", title),
            ("title_link", telling.text(&texts.title_link)?),
            ("text", telling.text(&texts.text)?),
            ("image_url", telling.text(&texts.image_url)?),
            ("thumb_url", telling.text(&texts.thumb_url)?),
            ("color", telling.text(&texts.color)?),
        ] {
            set(&mut attachment, name, text);
        }
        let fields = self.fields.iter().map(|field| self.field(field, telling));
        set_list(&mut attachment, "fields", fields.collect::<Result<_, _>>()?);
        let actions = self.actions.iter().map(|action| action.json(telling));
        set_list(&mut attachment, "actions", actions.collect::<Result<_, _>>()?);
        let mut body = Map::new();
        set(&mut body, "channel", telling.text(&texts.channel)?);
        set(&mut body, "emoji", telling.text(&texts.emoji)?);
        set(&mut body, "avatar", telling.text(&texts.icon_url)?);
        body.insert("attachments".to_owned(), json!([attachment]));
        Ok(Value::Object(body))
    }

    fn field(&self, field: &FieldYaml, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        Ok(json!({
            "title": telling.text(&field.title)?,
            "value": telling.text(&field.value)?,
            "short": field.short.unwrap_or(self.short_fields),
        }))
    }
}

/// What went wrong may be said in an answer with status 200, and what does not say that it went
/// well may be the page of a proxy. A long answer is the message itself as it was posted.
fn judge(answer: &Answer) -> Result<(), AttemptError> {
    answer.accepted()?;
    let json: Value = match serde_json::from_str(&answer.body) {
        Ok(json) => json,
        Err(error) if error.is_eof() && answer.end == End::TooLong => return Ok(()),
        Err(_) => {
            let message = "the answer does not say whether the message was taken";
            return Err(AttemptError::passing(message).in_doubt());
        }
    };
    if json["success"].as_bool() == Some(true) {
        return Ok(());
    }
    let why = json["error"].as_str().unwrap_or("unknown error");
    Err(AttemptError::permanent(format!("Rocket.Chat refused the message: {why}")))
}

impl ActionYaml {
    fn json(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let mut action = Map::new();
        action.insert("type".to_owned(), "button".into());
        set(&mut action, "text", telling.text(&self.text)?);
        set(&mut action, "url", telling.text(&self.url)?);
        set(&mut action, "msg", telling.text(&self.msg)?);
        Ok(Value::Object(action))
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Script, Sink, firing, problems};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_an_attachment_and_a_refusal_may_come_with_status_200() {
        const JSON: &str = "application/json";
        let sink = Sink::start(&[
            (200, JSON, r#"{"success":true}"#),
            (200, JSON, r#"{"success":false,"error":"error-room-not-found"}"#),
        ])
        .await;
        let config = format!(
            "rocketchat_configs:\n- {{token: s3cret, token_id: u1, channel: '#ops', text: t, short_fields: true, api_url: '{}',\n   fields: [{{title: T, value: '{{{{ .Status }}}}'}}], actions: [{{type: x, text: Go, url: 'http://r'}}]}}",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        let request = sink.request(0);
        assert_eq!(request.path, "/api/v1/chat.postMessage");
        assert_eq!(
            (request.headers["x-auth-token"].as_str(), request.headers["x-user-id"].as_str()),
            ("s3cret", "u1")
        );
        assert_eq!(
            sink.json(0),
            json!({"channel": "#ops", "attachments": [{
                "title": "[FIRING:1] DiskFull (db-1 critical)", "title_link": "http://bw/#/alerts?receiver=r",
                "text": "t", "color": "red",
                "fields": [{"title": "T", "value": "firing", "short": true}],
                "actions": [{"type": "button", "text": "Go", "url": "http://r"}],
            }]})
        );
        let error = sink.send(&config, firing()).await.unwrap_err();
        assert!(!error.recoverable && error.message.contains("error-room-not-found"), "{error:?}");
    }

    #[tokio::test]
    async fn only_what_says_so_was_delivered() {
        const JSON: &str = "application/json";
        let long = format!(r#"{{"success":true,"message":{{"msg":"{}"}}}}"#, "x".repeat(20_000)).leak();
        let script: Script = Box::leak(Box::new([
            (200, "text/html", "<h1>Log in</h1>"),
            (200, JSON, "{}"),
            (200, JSON, r#"{"success":tr"#),
            (200, JSON, &*long),
        ]));
        let sink = Sink::start(script).await;
        let config = format!("rocketchat_configs: [{{token: t, token_id: i, api_url: '{}'}}]", sink.url);
        for recoverable in [true, false, true] {
            let error = sink.send(&config, firing()).await.unwrap_err();
            assert_eq!((error.recoverable, error.may_be_taken), (recoverable, recoverable), "{error:?}");
        }
        sink.send(&config, firing()).await.unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = problems("rocketchat_configs: [{token: t}, {token_id: i}]");
        assert!(found[0].contains("`token_id`") && found[1].contains("`token`"), "{found:?}");
    }
}
