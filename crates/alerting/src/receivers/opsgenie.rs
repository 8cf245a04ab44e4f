//! `opsgenie_configs`: the Alert API. An alert's alias is the group's, so that the end closes what
//! the beginning opened.

use super::{set, set_list};
use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, required_secret, target_or, texts},
    notify::{
        http::{Answer, AttemptError},
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use daemon::Secret;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

const URL: &str = "https://api.opsgenie.com/";
/// What Opsgenie takes at most, in characters.
const MESSAGE_CHARS_MAX: usize = 130;
const DESCRIPTION_CHARS_MAX: usize = 15_000;
const RESPONDER_TYPES: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct OpsgenieConfig {
    url: SecretUrl,
    api_key: Secret,
    http: HttpConfig,
    texts: Texts,
    details: BTreeMap<String, String>,
    responders: Vec<ResponderYaml>,
    update_alerts: bool,
}

texts! {
    /// The templates of an alert.
    Texts {
        message: r#"{{ template "opsgenie.default.message" . }}"#,
        description: r#"{{ template "opsgenie.default.description" . }}"#,
        source: r#"{{ template "opsgenie.default.source" . }}"#,
        entity: "",
        actions: "",
        tags: "",
        note: "",
        priority: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    api_key: Option<Secret>,
    api_key_file: Option<PathBuf>,
    api_url: Option<Spanned<String>>,
    message: Option<Spanned<String>>,
    description: Option<Spanned<String>>,
    source: Option<Spanned<String>>,
    entity: Option<Spanned<String>>,
    actions: Option<Spanned<String>>,
    tags: Option<Spanned<String>>,
    note: Option<Spanned<String>>,
    priority: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    details: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    responders: Vec<Spanned<ResponderYaml>>,
    #[serde(default)]
    update_alerts: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponderYaml {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    username: String,
    r#type: String,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<OpsgenieConfig> {
        let given = [
            (self.api_key.as_ref(), self.api_key_file.as_ref()),
            (global.opsgenie_api_key.as_ref(), global.opsgenie_api_key_file.as_ref()),
        ];
        let api_key = required_secret(context, place, "api_key", given);
        let addresses = [self.api_url.as_ref(), global.opsgenie_api_url.as_ref()];
        for responder in &self.responders {
            responder.value.check(context, Place::of(responder));
        }
        let details = self.details.iter().map(|(name, text)| (name.clone(), context.text(Some(text), "")));
        let details = details.collect();
        Some(OpsgenieConfig {
            http: global.http(self.http_config.as_ref(), context, place).without_authorization(),
            texts: Texts::of(context, self),
            details,
            responders: self.responders.iter().map(|responder| responder.value.clone()).collect(),
            update_alerts: self.update_alerts,
            url: target_or(context, place, "api_url", addresses, URL)?,
            api_key: api_key?,
        })
    }
}

impl ResponderYaml {
    fn check(&self, context: &mut Context<'_>, place: Place) {
        if self.id.is_empty() && self.name.is_empty() && self.username.is_empty() {
            context.report(place, "a responder needs one of `id`, `name` and `username`");
        }
        if !self.r#type.contains("{{") && !RESPONDER_TYPES.contains(&self.r#type.as_str()) {
            let known = RESPONDER_TYPES.join("`, `");
            context.report(place, format!("`{}` is no type of responder; there are `{known}`", self.r#type));
        }
    }

    /// One responder; several for `teams`, which names them with commas between.
    fn json(&self, telling: &Telling<'_>) -> Result<Vec<Value>, AttemptError> {
        let mut responder = Map::new();
        for (name, template) in [("id", &self.id), ("name", &self.name), ("username", &self.username)] {
            set(&mut responder, name, telling.text(template)?);
        }
        let kind = telling.text(&self.r#type)?;
        if responder.is_empty() {
            return Ok(Vec::new());
        }
        if kind == "teams" {
            let names = responder.get("name").and_then(Value::as_str).unwrap_or_default();
            return Ok(words(names).into_iter().map(|name| json!({"name": name, "type": "team"})).collect());
        }
        responder.insert("type".to_owned(), kind.into());
        Ok(vec![Value::Object(responder)])
    }
}

/// Words between commas.
fn words(text: &str) -> Vec<&str> {
    pieces(text).into_iter().map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// What stands between commas, blanks included, as Alertmanager sends it.
fn pieces(text: &str) -> Vec<&str> {
    text.trim().split(',').filter(|piece| !piece.is_empty()).collect()
}

impl OpsgenieConfig {
    pub(crate) fn target(&self) -> String {
        format!("opsgenie:{:016x}", xxhash_rust::xxh3::xxh3_64(self.api_key.expose().as_bytes()))
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        if telling.fires() {
            for alias in telling.incident_keys() {
                self.open(telling, &alias).await?;
            }
            return Ok(());
        }
        let body = json!({"source": telling.text(&self.texts.source)?});
        for (taken, alias) in telling.incident_keys().iter().enumerate() {
            let closed = self.ask(telling, Method::POST, self.of_alias(alias, "close"), &body).await;
            closed.map_err(|error| error.after(taken > 0))?;
        }
        Ok(())
    }

    async fn open(&self, telling: &Telling<'_>, alias: &str) -> Result<(), AttemptError> {
        let body = Value::Object(self.body(telling, alias)?);
        self.ask(telling, Method::POST, self.url.join("v2/alerts"), &body).await?;
        if self.update_alerts {
            for part in ["message", "description"] {
                let changed = json!({(part): body[part]});
                let updated = self.ask(telling, Method::PUT, self.of_alias(alias, part), &changed).await;
                updated.map_err(AttemptError::in_doubt)?;
            }
        }
        Ok(())
    }

    fn of_alias(&self, alias: &str, part: &str) -> Url {
        let mut url = self.url.join(&format!("v2/alerts/{alias}/{part}"));
        url.set_query(Some("identifierType=alias"));
        url
    }

    async fn ask(
        &self,
        telling: &Telling<'_>,
        method: Method,
        url: Url,
        body: &Value,
    ) -> Result<(), AttemptError> {
        let request = self
            .http
            .request(telling.client, method, url)
            .await?
            .header("authorization", format!("GenieKey {}", self.api_key.expose()))
            .header("content-type", "application/json");
        Answer::of(request.body(body.to_string())).await?.accepted()
    }

    fn body(&self, telling: &Telling<'_>, alias: &str) -> Result<Map<String, Value>, AttemptError> {
        let texts = &self.texts;
        let mut details = Map::new();
        for (name, value) in telling.message.common_labels().iter() {
            details.insert(name.to_owned(), value.into());
        }
        for (name, template) in &self.details {
            details.insert(name.clone(), telling.text(template)?.into());
        }
        let message = truncate_chars(&telling.text(&texts.message)?, MESSAGE_CHARS_MAX);
        let description = truncate_chars(&telling.text(&texts.description)?, DESCRIPTION_CHARS_MAX);
        let mut body = Map::from_iter([
            ("alias".to_owned(), alias.into()),
            ("message".to_owned(), message.into()),
            ("description".to_owned(), description.into()),
            ("source".to_owned(), telling.text(&texts.source)?.into()),
            ("details".to_owned(), details.into()),
        ]);
        for (name, template) in
            [("entity", &texts.entity), ("note", &texts.note), ("priority", &texts.priority)]
        {
            set(&mut body, name, telling.text(template)?);
        }
        for (name, template) in [("tags", &texts.tags), ("actions", &texts.actions)] {
            let text = telling.text(template)?;
            set_list(&mut body, name, pieces(&text).into_iter().map(Value::from).collect());
        }
        let mut responders = Vec::new();
        for responder in &self.responders {
            responders.extend(responder.json(telling)?);
        }
        set_list(&mut body, "responders", responders);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        notify::Message,
        receivers::sink::{Sink, firing, group_hash, hash_of, problems, resolved},
    };
    use serde_json::json;

    #[tokio::test]
    async fn an_alert_is_opened_updated_and_closed_by_its_alias() {
        let taken = (202, "application/json", "{}");
        let script = Box::leak(Box::new([taken; 4]));
        let sink = Sink::start(script).await;
        let config = format!(
            "opsgenie_configs: [{{api_key: k, api_url: '{}', tags: ' a,, b', priority: P1, update_alerts: true, details: {{x: y}}, responders: [{{name: 'ops, db', type: teams}}, {{username: ann, type: user}}]}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        let opened = sink.request(0);
        assert_eq!(
            (opened.path.as_str(), opened.headers["authorization"].as_str()),
            ("/v2/alerts", "GenieKey k")
        );
        let description = "DiskFull db-1 critical\n94 % of <b>/</b> is used\nsince 2022-01-25 12:36:43 UTC\n";
        assert_eq!(
            sink.json(0),
            json!({
                "alias": group_hash(), "message": "[FIRING:1] DiskFull (db-1 critical)", "description": description,
                "source": "http://bw/#/alerts?receiver=r", "priority": "P1", "tags": ["a", " b"],
                "details": {"alertname": "DiskFull", "instance": "db-1", "severity": "critical", "x": "y"},
                "responders": [{"name": "ops", "type": "team"}, {"name": "db", "type": "team"}, {"username": "ann", "type": "user"}],
            })
        );
        let message = sink.request(1);
        let path = format!("/v2/alerts/{}/message?identifierType=alias", group_hash());
        assert_eq!((message.method.as_str(), message.path), ("PUT", path));
        sink.send(&config, resolved()).await.unwrap();
        let closed = sink.request(3);
        assert_eq!(closed.path, format!("/v2/alerts/{}/close?identifierType=alias", group_hash()));
        assert_eq!(sink.json(3), json!({"source": "http://bw/#/alerts?receiver=r"}));
    }

    /// Its alerts were told of by two other groups, before the routing was edited.
    #[tokio::test]
    async fn a_group_that_took_over_goes_on_with_the_alerts_of_others() {
        let sink = Sink::start(&[]).await;
        let config = format!("opsgenie_configs: [{{api_key: k, api_url: '{}'}}]", sink.url);
        let incidents = Some(vec!["first".to_owned(), "second".to_owned()]);
        sink.send(&config, Message { incidents: incidents.clone(), ..firing() }).await.unwrap();
        assert_eq!(sink.json(0)["alias"], hash_of("first"));
        sink.send(&config, Message { incidents, ..resolved() }).await.unwrap();
        for (at, group) in [(1, "first"), (2, "second")] {
            let path = format!("/v2/alerts/{}/close?identifierType=alias", hash_of(group));
            assert_eq!(sink.request(at).path, path);
        }
    }

    #[tokio::test]
    async fn there_is_one_authorization() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "opsgenie_configs: [{{api_key: k, api_url: '{}', http_config: {{authorization: {{credentials: x}}}}}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(sink.request(0).headers["authorization"], "GenieKey k");
    }

    #[test]
    fn responders_are_checked() {
        let found = problems(
            "opsgenie_configs: [{api_key: k, responders: [{name: x, type: tem}, {type: user}]}, {}]",
        );
        assert!(
            found[0].contains("`tem`") && found[1].contains("`username`") && found[2].contains("`api_key`"),
            "{found:?}"
        );
    }
}
