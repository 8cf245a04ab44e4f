//! `victorops_configs`: Splunk On-Call, which knows an incident by the group's hash.

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
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

const URL: &str = "https://alert.victorops.com/integrations/generic/20131114/alert/";
/// What is shown of a message at most.
const MESSAGE_CHARS_MAX: usize = 20_480;
/// Fields that a custom one must not take the place of.
const FIXED_FIELDS: [&str; 6] =
    ["routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "entity_id"];

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct VictoropsConfig {
    url: SecretUrl,
    api_key: Secret,
    http: HttpConfig,
    texts: Texts,
    custom_fields: BTreeMap<String, String>,
}

texts! {
    /// The templates of a message.
    Texts {
        routing_key: "",
        message_type: "CRITICAL",
        state_message: r#"{{ template "victorops.default.state_message" . }}"#,
        entity_display_name: r#"{{ template "victorops.default.entity_display_name" . }}"#,
        monitoring_tool: r#"{{ template "victorops.default.monitoring_tool" . }}"#,
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
    routing_key: Option<Spanned<String>>,
    message_type: Option<Spanned<String>>,
    state_message: Option<Spanned<String>>,
    entity_display_name: Option<Spanned<String>>,
    monitoring_tool: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    custom_fields: BTreeMap<String, Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<VictoropsConfig> {
        if self.routing_key.as_ref().is_none_or(|key| key.value.is_empty()) {
            context.report(place, "missing `routing_key` in victorops config");
        }
        let given = [
            (self.api_key.as_ref(), self.api_key_file.as_ref()),
            (global.victorops_api_key.as_ref(), global.victorops_api_key_file.as_ref()),
        ];
        let api_key = required_secret(context, place, "api_key", given);
        let addresses = [self.api_url.as_ref(), global.victorops_api_url.as_ref()];
        Some(VictoropsConfig {
            http: global.http(self.http_config.as_ref(), context, place),
            texts: Texts::of(context, self),
            custom_fields: self.custom_fields(context),
            url: target_or(context, place, "api_url", addresses, URL)?,
            api_key: api_key?,
        })
    }

    fn custom_fields(&self, context: &mut Context<'_>) -> BTreeMap<String, String> {
        for (name, text) in &self.custom_fields {
            if FIXED_FIELDS.contains(&name.as_str()) {
                let message = format!("`{name}` in `custom_fields` has a setting of its own");
                context.report(Place::of(text), message);
            }
        }
        let fields = self.custom_fields.iter();
        fields.map(|(name, text)| (name.clone(), context.text(Some(text), ""))).collect()
    }
}

impl VictoropsConfig {
    pub(crate) fn target(&self) -> String {
        format!("victorops:{:016x}:{}", self.url.digest(), self.texts.routing_key)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let routing_key = telling.text(&self.texts.routing_key)?;
        let url = self.url.join(&format!("{}/{routing_key}", self.api_key.expose()));
        for (taken, incident) in telling.incident_keys().into_iter().enumerate() {
            let sent = self.send_incident(telling, url.clone(), incident).await;
            sent.map_err(|error| error.after(taken > 0))?;
        }
        Ok(())
    }

    async fn send_incident(
        &self,
        telling: &Telling<'_>,
        url: reqwest::Url,
        incident: String,
    ) -> Result<(), AttemptError> {
        let body = self.body(telling, incident)?;
        self.http.post_json(telling.client, url, &body).await?.accepted()
    }

    fn body(&self, telling: &Telling<'_>, incident: String) -> Result<Value, AttemptError> {
        let texts = &self.texts;
        let wanted = telling.text(&texts.message_type)?;
        let message_type = match wanted.as_str() {
            _ if !telling.fires() => "RECOVERY",
            "INFO" | "WARNING" => wanted.as_str(),
            _ => "CRITICAL",
        };
        let mut body = Map::new();
        let mut set = |name: &str, text: String| body.insert(name.to_owned(), text.into());
        set("message_type", message_type.to_owned());
        set("entity_id", incident);
        set("entity_display_name", telling.text(&texts.entity_display_name)?);
        set("state_message", truncate_chars(&telling.text(&texts.state_message)?, MESSAGE_CHARS_MAX));
        set("monitoring_tool", telling.text(&texts.monitoring_tool)?);
        for (name, template) in &self.custom_fields {
            set(name, telling.text(template)?);
        }
        Ok(Value::Object(body))
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
    async fn an_incident_opens_and_recovers() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "victorops_configs: [{{api_key: k3y, routing_key: '{{{{ .CommonLabels.severity }}}}', state_message: s, custom_fields: {{team: '{{{{ .Receiver }}}}'}}, api_url: '{}alert/'}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert_eq!(sink.request(0).path, "/alert/k3y/critical");
        assert_eq!(
            sink.json(0),
            json!({
                "message_type": "CRITICAL", "entity_id": group_hash(), "state_message": "s", "team": "r",
                "entity_display_name": "[FIRING:1] DiskFull (db-1 critical)", "monitoring_tool": "Bellwether",
            })
        );
        sink.send(&config, resolved()).await.unwrap();
        assert_eq!(sink.json(1)["message_type"], "RECOVERY");
    }

    /// Its alerts were told of by two other groups, before the routing was edited.
    #[tokio::test]
    async fn a_group_that_took_over_goes_on_with_the_incidents_of_others() {
        let sink = Sink::start(&[]).await;
        let config =
            format!("victorops_configs: [{{api_key: k, routing_key: r, api_url: '{}alert/'}}]", sink.url);
        let incidents = Some(vec!["first".to_owned(), "second".to_owned()]);
        sink.send(&config, Message { incidents: incidents.clone(), ..firing() }).await.unwrap();
        sink.send(&config, Message { incidents, ..resolved() }).await.unwrap();
        let sent: Vec<_> = (0..sink.count()).map(|at| sink.json(at)["entity_id"].clone()).collect();
        assert_eq!(sent, ["first", "first", "second"].map(hash_of));
    }

    #[test]
    fn what_is_missing_or_taken_is_named() {
        let found =
            problems("victorops_configs: [{api_key: k, custom_fields: {entity_id: x}}, {routing_key: r}]");
        assert!(
            found[0].contains("`routing_key`")
                && found[1].contains("`entity_id`")
                && found[2].contains("`api_key`"),
            "{found:?}"
        );
    }
}
