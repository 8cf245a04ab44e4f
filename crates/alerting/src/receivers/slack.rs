//! `slack_configs`: an incoming webhook, or the Web API with a token.

use super::{set, set_list};
use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, secret, target, target_or, texts},
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

/// Most of an answer that is shown.
const SHOWN_CHARS_MAX: usize = 200;
const UNCLEAR: &str = "the answer does not say whether the message was taken";
/// Longest title that Slack shows.
const TITLE_CHARS_MAX: usize = 1024;
pub(crate) const POST_MESSAGE_URL: &str = "https://slack.com/api/chat.postMessage";

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackConfig {
    url: SecretUrl,
    token: Option<Secret>,
    http: HttpConfig,
    texts: Texts,
    fields: Vec<FieldYaml>,
    actions: Vec<ActionYaml>,
    short_fields: bool,
    link_names: bool,
    mrkdwn_in: Vec<String>,
}

texts! {
    /// The templates of a message.
    Texts {
        channel: "",
        username: r#"{{ template "slack.default.username" . }}"#,
        color: r#"{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}"#,
        title: r#"{{ template "slack.default.title" . }}"#,
        title_link: r#"{{ template "slack.default.titlelink" . }}"#,
        pretext: r#"{{ template "slack.default.pretext" . }}"#,
        text: r#"{{ template "slack.default.text" . }}"#,
        footer: r#"{{ template "slack.default.footer" . }}"#,
        fallback: r#"{{ template "slack.default.fallback" . }}"#,
        callback_id: r#"{{ template "slack.default.callbackid" . }}"#,
        icon_emoji: r#"{{ template "slack.default.iconemoji" . }}"#,
        icon_url: r#"{{ template "slack.default.iconurl" . }}"#,
        image_url: "",
        thumb_url: "",
        message_text: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    api_url: Option<Spanned<String>>,
    api_url_file: Option<PathBuf>,
    app_url: Option<Spanned<String>>,
    app_token: Option<Secret>,
    app_token_file: Option<PathBuf>,
    channel: Option<Spanned<String>>,
    username: Option<Spanned<String>>,
    color: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    title_link: Option<Spanned<String>>,
    pretext: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    footer: Option<Spanned<String>>,
    fallback: Option<Spanned<String>>,
    callback_id: Option<Spanned<String>>,
    icon_emoji: Option<Spanned<String>>,
    icon_url: Option<Spanned<String>>,
    image_url: Option<Spanned<String>>,
    thumb_url: Option<Spanned<String>>,
    message_text: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    fields: Vec<FieldYaml>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    actions: Vec<ActionYaml>,
    #[serde(default)]
    short_fields: bool,
    #[serde(default)]
    link_names: bool,
    mrkdwn_in: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldYaml {
    title: String,
    value: String,
    short: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionYaml {
    r#type: String,
    text: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    style: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
    confirm: Option<ConfirmYaml>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmYaml {
    text: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    ok_text: String,
    #[serde(default)]
    dismiss_text: String,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = false;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<SlackConfig> {
        let mut http = global.http(self.http_config.as_ref(), context, place);
        let token = self.token(context, global, place);
        if token.is_some() {
            http = http.without_authorization();
        }
        let url = if token.is_some() {
            let addresses = [self.app_url.as_ref(), global.slack_app_url.as_ref()];
            target_or(context, place, "app_url", addresses, POST_MESSAGE_URL)?
        } else {
            let (inline, file) = if self.has_address() {
                (&self.api_url, &self.api_url_file)
            } else {
                (&global.slack_api_url, &global.slack_api_url_file)
            };
            target(context, place, "api_url", inline.as_ref(), file.as_ref(), false)?
        };
        Some(SlackConfig {
            url,
            token,
            http,
            texts: Texts::of(context, self),
            fields: self.fields.clone(),
            actions: self.actions.iter().cloned().map(ActionYaml::settled).collect(),
            short_fields: self.short_fields,
            link_names: self.link_names,
            mrkdwn_in: self
                .mrkdwn_in
                .clone()
                .unwrap_or_else(|| ["fallback", "pretext", "text"].map(str::to_owned).to_vec()),
        })
    }
}

impl Yaml {
    /// Whether it is told by a webhook of its own.
    fn has_address(&self) -> bool {
        self.api_url.is_some() || self.api_url_file.is_some()
    }

    /// The token of an app: its own, or that of `global` unless something else of its own says how
    /// it is told.
    fn token(&self, context: &mut Context<'_>, global: &GlobalYaml, place: Place) -> Option<Secret> {
        let (own, own_file) = (self.app_token.as_ref(), self.app_token_file.as_ref());
        let is_own = own.is_some() || own_file.is_some();
        if is_own && self.has_address() {
            context.report(place, "at most one of `api_url` and `app_token` must be set");
        }
        let http = self.http_config.as_ref();
        if is_own && http.is_some_and(HttpYaml::authorizes) {
            context.report(
                place,
                "at most one of `app_token` and an authorization in `http_config` must be set",
            );
        }
        if is_own {
            return secret(context, place, "app_token", own, own_file);
        }
        if self.has_address() || http.is_some_and(HttpYaml::authorizes) {
            return None;
        }
        let (token, file) = (global.slack_app_token.as_ref(), global.slack_app_token_file.as_ref());
        secret(context, place, "slack_app_token", token, file)
    }
}

impl SlackConfig {
    pub(crate) fn target(&self) -> String {
        format!("slack:{:016x}:{}", self.url.digest(), self.texts.channel)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let body = self.body(telling)?;
        let mut request = self.http.post(telling.client, self.url.expose().clone()).await?;
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let request = request.header("content-type", "application/json").body(body.to_string());
        judge(&Answer::of(request).await?)
    }

    fn body(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let texts = &self.texts;
        let text = |template: &String| telling.text(template);
        let mut attachment = Map::new();
        set(&mut attachment, "title", truncate_chars(&text(&texts.title)?, TITLE_CHARS_MAX));
        set(&mut attachment, "title_link", text(&texts.title_link)?);
        set(&mut attachment, "pretext", text(&texts.pretext)?);
        attachment.insert("text".into(), text(&texts.text)?.into());
        attachment.insert("fallback".into(), text(&texts.fallback)?.into());
        attachment.insert("callback_id".into(), text(&texts.callback_id)?.into());
        attachment.insert("footer".into(), text(&texts.footer)?.into());
        set(&mut attachment, "image_url", text(&texts.image_url)?);
        set(&mut attachment, "thumb_url", text(&texts.thumb_url)?);
        set(&mut attachment, "color", text(&texts.color)?);
        if !self.mrkdwn_in.is_empty() {
            attachment.insert("mrkdwn_in".into(), self.mrkdwn_in.clone().into());
        }
        let fields = self.fields.iter().map(|field| self.field(field, telling));
        set_list(&mut attachment, "fields", fields.collect::<Result<_, _>>()?);
        let actions = self.actions.iter().map(|action| action.json(telling));
        set_list(&mut attachment, "actions", actions.collect::<Result<_, _>>()?);
        let mut body = Map::new();
        set(&mut body, "channel", text(&texts.channel)?);
        set(&mut body, "username", text(&texts.username)?);
        set(&mut body, "icon_emoji", text(&texts.icon_emoji)?);
        set(&mut body, "icon_url", text(&texts.icon_url)?);
        set(&mut body, "text", text(&texts.message_text)?);
        if self.link_names {
            body.insert("link_names".into(), true.into());
        }
        body.insert("attachments".into(), json!([attachment]));
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

impl ActionYaml {
    /// A button that leads to an address sends nothing back; one that sends leads nowhere.
    fn settled(self) -> Self {
        if self.url.is_empty() {
            return self;
        }
        ActionYaml { name: String::new(), value: String::new(), confirm: None, ..self }
    }

    fn json(&self, telling: &Telling<'_>) -> Result<Value, AttemptError> {
        let mut action = Map::new();
        for (name, template) in [
            ("type", &self.r#type),
            ("text", &self.text),
            ("url", &self.url),
            ("style", &self.style),
            ("name", &self.name),
            ("value", &self.value),
        ] {
            set(&mut action, name, telling.text(template)?);
        }
        if let Some(confirm) = &self.confirm {
            let mut json = Map::new();
            for (name, template) in [
                ("text", &confirm.text),
                ("title", &confirm.title),
                ("ok_text", &confirm.ok_text),
                ("dismiss_text", &confirm.dismiss_text),
            ] {
                set(&mut json, name, telling.text(template)?);
            }
            action.insert("confirm".into(), Value::Object(json));
        }
        Ok(Value::Object(action))
    }
}

/// Slack says what went wrong in an answer with status 200: JSON without `ok`, or a text other
/// than `ok`. What says neither may be the page of a proxy.
fn judge(answer: &Answer) -> Result<(), AttemptError> {
    answer.accepted()?;
    if answer.content_type.starts_with("application/json") {
        return judge_json(answer);
    }
    let text = answer.body.trim();
    if text == "ok" {
        return Ok(());
    }
    if answer.content_type.starts_with("text/html") || answer.end == End::Lost {
        return Err(AttemptError::passing(UNCLEAR).in_doubt());
    }
    Err(AttemptError::permanent(format!(
        "Slack refused the message: {}",
        truncate_chars(text, SHOWN_CHARS_MAX)
    )))
}

/// A long answer is the message itself as it was posted.
fn judge_json(answer: &Answer) -> Result<(), AttemptError> {
    let json: Value = match serde_json::from_str(&answer.body) {
        Ok(json) => json,
        Err(error) if error.is_eof() && answer.end == End::TooLong => return Ok(()),
        Err(_) => return Err(AttemptError::passing(UNCLEAR).in_doubt()),
    };
    // Rocket.Chat, whose incoming webhooks take Slack's messages, calls it `success`.
    if json["ok"] == true || json["success"] == true {
        return Ok(());
    }
    let why = json["error"].as_str().unwrap_or("unknown error");
    let error = format!("Slack refused the message: {why}");
    let passing = matches!(why, "ratelimited" | "internal_error" | "service_unavailable");
    // With these, it says, a part may be done.
    let in_doubt = matches!(why, "internal_error" | "fatal_error");
    let error = if passing { AttemptError::passing(error) } else { AttemptError::permanent(error) };
    Err(error.after(in_doubt))
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Script, Sink, config_with, firing, problems, resolved};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_an_attachment() {
        let sink = Sink::start(&[(200, "text/plain", "ok")]).await;
        let config = format!(
            "slack_configs:\n- {{api_url: '{}', channel: '#ops', link_names: true, fields: [{{title: T, value: '{{{{ .Status }}}}', short: true}}],\n   actions: [{{type: button, text: Runbook, url: 'http://r'}}]}}",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(
            sink.json(0),
            json!({
                "channel": "#ops", "username": "Bellwether", "link_names": true,
                "attachments": [{
                    "title": "[FIRING:1] DiskFull (db-1 critical)",
                    "title_link": "http://bw/#/alerts?receiver=r",
                    "text": "*DiskFull* db-1 critical\n94 % of <b>/</b> is used\nsince 2022-01-25 12:36:43 UTC · <http://runbook|runbook>",
                    "fallback": "[FIRING:1] DiskFull (db-1 critical) | http://bw/#/alerts?receiver=r",
                    "callback_id": "", "footer": "", "color": "danger",
                    "mrkdwn_in": ["fallback", "pretext", "text"],
                    "fields": [{"title": "T", "value": "firing", "short": true}],
                    "actions": [{"type": "button", "text": "Runbook", "url": "http://r"}],
                }]
            })
        );
        sink.send(&config, resolved()).await.unwrap();
        assert_eq!(sink.json(1)["attachments"][0]["color"], "good");
    }

    #[tokio::test]
    async fn a_button_leads_to_an_address_or_sends_something() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "slack_configs:\n- {{api_url: '{}', actions: [{{type: button, text: a, url: 'http://r', name: n, value: v, confirm: {{text: sure}}}},\n   {{type: button, text: b, name: n, value: v, confirm: {{text: sure}}}}]}}",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(
            sink.json(0)["attachments"][0]["actions"],
            json!([
                {"type": "button", "text": "a", "url": "http://r"},
                {"type": "button", "text": "b", "name": "n", "value": "v", "confirm": {"text": "sure"}},
            ])
        );
    }

    /// Both its own header and that of `global` went out, or the token of `global` was not used.
    #[tokio::test]
    async fn there_is_one_authorization() {
        let sink = Sink::start(&[]).await;
        let global = format!(
            "{{slack_app_token: of-global, slack_app_url: '{}', http_config: {{authorization: {{credentials: other}}}}}}",
            sink.url
        );
        for (written, expected) in [
            ("", "Bearer of-global"),
            (", app_token: own", "Bearer own"),
            (", app_token: own, http_config: {http_headers: {Authorization: {values: [x]}}}", "Bearer own"),
        ] {
            let config = config_with(&global, &format!("slack_configs: [{{channel: c{written}}}]"));
            sink.send_with(&config, firing()).await.unwrap();
            let request = sink.request(sink.count() - 1);
            assert_eq!(request.headers["authorization"], expected, "{written}");
        }
        let both =
            "slack_configs: [{app_token: t, channel: c, http_config: {authorization: {credentials: x}}}]";
        assert!(problems(both)[0].contains("`app_token`"));
    }

    #[tokio::test]
    async fn a_refusal_may_come_with_status_200() {
        const JSON: &str = "application/json";
        let sink = Sink::start(&[
            (200, "text/plain", "invalid_payload"),
            (200, JSON, r#"{"ok":false,"error":"channel_not_found"}"#),
            (200, JSON, r#"{"ok":false,"error":"ratelimited"}"#),
            (429, "text/plain", ""),
            (200, JSON, r#"{"ok":true}"#),
        ])
        .await;
        let config = format!("slack_configs: [{{app_token: xoxb, app_url: '{}', channel: c}}]", sink.url);
        for (recoverable, words) in
            [(false, "invalid_payload"), (false, "channel_not_found"), (true, "ratelimited"), (true, "429")]
        {
            let error = sink.send(&config, firing()).await.unwrap_err();
            assert!(error.recoverable == recoverable && error.message.contains(words), "{error:?}");
        }
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(sink.request(4).headers["authorization"], "Bearer xoxb");
    }

    #[tokio::test]
    async fn only_what_says_so_was_delivered() {
        const JSON: &str = "application/json; charset=utf-8";
        let long = format!(r#"{{"ok":true,"message":{{"text":"{}"}}}}"#, "x".repeat(20_000)).leak();
        let script: Script = Box::leak(Box::new([
            (200, "text/html", "<h1>Log in</h1>"),
            (200, JSON, "{}"),
            (200, JSON, r#"{"ok":tr"#),
            (200, "application/xml", "<ok/>"),
            (200, "text/plain", ""),
            (200, JSON, &*long),
            (200, JSON, r#"{"success":true}"#),
            (200, "text/html", "ok"),
        ]));
        let sink = Sink::start(script).await;
        let config = format!("slack_configs: [{{api_url: '{}', channel: c}}]", sink.url);
        for recoverable in [true, false, true, false, false] {
            let error = sink.send(&config, firing()).await.unwrap_err();
            assert_eq!((error.recoverable, error.may_be_taken), (recoverable, recoverable), "{error:?}");
        }
        for _ in 0..3 {
            sink.send(&config, firing()).await.unwrap();
        }
    }
}
