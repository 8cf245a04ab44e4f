//! `pagerduty_configs`: the Events API, version 2 with a `routing_key` and version 1 with a
//! `service_key`.

use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, required_secret, target_or, texts},
    notify::{
        http::AttemptError,
        telling::{Telling, truncate_chars},
    },
    problem::Place,
};
use daemon::Secret;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

const URL: &str = "https://events.pagerduty.com/v2/enqueue";
const URL_OF_VERSION_1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
/// What PagerDuty takes at most.
const SUMMARY_CHARS_MAX: usize = 1024;
const EVENT_BYTES_MAX: usize = 512 * 1024;
const TOO_LARGE: &str = "left out because the event was larger than PagerDuty takes";
const DEFAULT_DETAILS: [(&str, &str); 4] = [
    ("firing", r#"{{ template "pagerduty.default.instances" .Alerts.Firing }}"#),
    ("resolved", r#"{{ template "pagerduty.default.instances" .Alerts.Resolved }}"#),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct PagerdutyConfig {
    url: SecretUrl,
    key: Key,
    http: HttpConfig,
    texts: Texts,
    details: BTreeMap<String, String>,
    images: Vec<ImageYaml>,
    links: Vec<LinkYaml>,
}

/// Which integration of which version is told.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    Routing(Secret),
    Service(Secret),
}

texts! {
    /// The templates of an event.
    Texts {
        description: r#"{{ template "pagerduty.default.description" . }}"#,
        client: r#"{{ template "pagerduty.default.client" . }}"#,
        client_url: r#"{{ template "pagerduty.default.clientURL" . }}"#,
        severity: "error",
        source: "",
        class: "",
        component: "",
        group: "",
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    routing_key: Option<Secret>,
    routing_key_file: Option<PathBuf>,
    service_key: Option<Secret>,
    service_key_file: Option<PathBuf>,
    url: Option<Spanned<String>>,
    description: Option<Spanned<String>>,
    client: Option<Spanned<String>>,
    client_url: Option<Spanned<String>>,
    severity: Option<Spanned<String>>,
    source: Option<Spanned<String>>,
    class: Option<Spanned<String>>,
    component: Option<Spanned<String>>,
    group: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    details: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    images: Vec<ImageYaml>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    links: Vec<LinkYaml>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageYaml {
    #[serde(default)]
    src: String,
    #[serde(default)]
    alt: String,
    #[serde(default)]
    href: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkYaml {
    #[serde(default)]
    href: String,
    #[serde(default)]
    text: String,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<PagerdutyConfig> {
        let key = self.key(context, place);
        let (default, of_global) = match &key {
            Some(Key::Service(_)) => (URL_OF_VERSION_1, None),
            _ => (URL, global.pagerduty_url.as_ref()),
        };
        let defaults = DEFAULT_DETAILS.map(|(name, template)| (name.to_owned(), template.to_owned()));
        let mut details = BTreeMap::from(defaults);
        for (name, template) in &self.details {
            details.insert(name.clone(), context.text(Some(template), ""));
        }
        Some(PagerdutyConfig {
            http: global.http(self.http_config.as_ref(), context, place),
            texts: Texts::of(context, self),
            details,
            images: self.images.clone(),
            links: self.links.clone(),
            url: target_or(context, place, "url", [self.url.as_ref(), of_global], default)?,
            key: key?,
        })
    }

    fn key(&self, context: &mut Context<'_>, place: Place) -> Option<Key> {
        let routing = (self.routing_key.as_ref(), self.routing_key_file.as_ref());
        let service = (self.service_key.as_ref(), self.service_key_file.as_ref());
        let is_given =
            |(inline, file): (Option<&Secret>, Option<&PathBuf>)| inline.is_some() || file.is_some();
        if is_given(service) && !is_given(routing) {
            return required_secret(context, place, "service_key", [service, (None, None)]).map(Key::Service);
        }
        if is_given(service) {
            context.report(place, "at most one of `routing_key` and `service_key` must be set");
        }
        required_secret(context, place, "routing_key", [routing, (None, None)]).map(Key::Routing)
    }
}

impl PagerdutyConfig {
    pub(crate) fn target(&self) -> String {
        let (Key::Routing(key) | Key::Service(key)) = &self.key;
        format!("pagerduty:{:016x}", xxhash_rust::xxh3::xxh3_64(key.expose().as_bytes()))
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        for (taken, incident) in telling.incident_keys().iter().enumerate() {
            self.send_event(telling, incident).await.map_err(|error| error.after(taken > 0))?;
        }
        Ok(())
    }

    async fn send_event(&self, telling: &Telling<'_>, incident: &str) -> Result<(), AttemptError> {
        let body = match &self.key {
            Key::Routing(key) => self.event(telling, key, incident)?,
            Key::Service(key) => self.event_of_version_1(telling, key, incident)?,
        };
        let answer = self.http.post_json(telling.client, self.url.expose().clone(), &body).await?;
        answer.accepted().map_err(|mut error| {
            // So version 1 says that there were too many events.
            error.recoverable |=
                matches!(self.key, Key::Service(_)) && answer.status == StatusCode::FORBIDDEN;
            error
        })
    }

    fn details(&self, telling: &Telling<'_>) -> Result<Map<String, Value>, AttemptError> {
        let texts =
            self.details.iter().map(|(name, template)| Ok((name.clone(), telling.text(template)?.into())));
        texts.collect()
    }

    fn event_of_version_1(
        &self,
        telling: &Telling<'_>,
        key: &Secret,
        incident: &str,
    ) -> Result<Value, AttemptError> {
        let texts = &self.texts;
        let mut event = json!({
            "service_key": key.expose(),
            "event_type": if telling.fires() { "trigger" } else { "resolve" },
            "incident_key": incident,
            "description": truncate_chars(&telling.text(&texts.description)?, SUMMARY_CHARS_MAX),
            "client": telling.text(&texts.client)?,
            "client_url": telling.text(&texts.client_url)?,
            "details": self.details(telling)?,
        });
        if event.to_string().len() > EVENT_BYTES_MAX {
            event["details"] = json!({"error": TOO_LARGE});
        }
        Ok(event)
    }

    fn event(&self, telling: &Telling<'_>, key: &Secret, incident: &str) -> Result<Value, AttemptError> {
        let texts = &self.texts;
        let details = self.details(telling)?;
        let client = telling.text(&texts.client)?;
        let source = telling.text(&texts.source)?;
        let mut payload = json!({
            "summary": truncate_chars(&telling.text(&texts.description)?, SUMMARY_CHARS_MAX),
            "source": if source.is_empty() { client.clone() } else { source },
            "severity": telling.text(&texts.severity)?,
            "custom_details": details,
        });
        for (name, template) in
            [("class", &texts.class), ("component", &texts.component), ("group", &texts.group)]
        {
            let text = telling.text(template)?;
            if !text.is_empty() {
                payload[name] = text.into();
            }
        }
        let mut event = json!({
            "routing_key": key.expose(),
            "event_action": if telling.fires() { "trigger" } else { "resolve" },
            "dedup_key": incident,
            "client": client,
            "client_url": telling.text(&texts.client_url)?,
            "payload": payload,
        });
        self.add_images_and_links(telling, &mut event)?;
        if event.to_string().len() > EVENT_BYTES_MAX {
            event["payload"]["custom_details"] = json!({"error": TOO_LARGE});
        }
        Ok(event)
    }

    fn add_images_and_links(&self, telling: &Telling<'_>, event: &mut Value) -> Result<(), AttemptError> {
        let mut images = Vec::new();
        for image in &self.images {
            let src = telling.text(&image.src)?;
            if !src.is_empty() {
                images.push(
                    json!({"src": src, "alt": telling.text(&image.alt)?, "href": telling.text(&image.href)?}),
                );
            }
        }
        let mut links = Vec::new();
        for link in &self.links {
            let href = telling.text(&link.href)?;
            if !href.is_empty() {
                links.push(json!({"href": href, "text": telling.text(&link.text)?}));
            }
        }
        for (name, list) in [("images", images), ("links", links)] {
            if !list.is_empty() {
                event[name] = list.into();
            }
        }
        Ok(())
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
    async fn an_event_triggers_and_the_same_key_resolves() {
        let sink = Sink::start(&[(202, "application/json", "{}"), (202, "application/json", "{}")]).await;
        let config = format!(
            "pagerduty_configs: [{{routing_key: k, url: '{}', class: c, links: [{{href: 'http://l', text: '{{{{ .Status }}}}'}}, {{text: nowhere}}], images: [{{alt: nothing}}], details: {{team: db}}}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        let instances = "DiskFull db-1 critical\n94 % of <b>/</b> is used\nsince 2022-01-25 12:36:43 UTC\n";
        assert_eq!(
            sink.json(0),
            json!({
                "routing_key": "k", "event_action": "trigger", "dedup_key": group_hash(),
                "client": "Bellwether", "client_url": "http://bw/#/alerts?receiver=r",
                "payload": {
                    "summary": "[FIRING:1] DiskFull (db-1 critical)", "source": "Bellwether", "severity": "error", "class": "c",
                    "custom_details": {"firing": instances, "resolved": "", "num_firing": "1", "num_resolved": "0", "team": "db"},
                },
                "links": [{"href": "http://l", "text": "firing"}],
            })
        );
        sink.send(&config, resolved()).await.unwrap();
        let end = sink.json(1);
        assert_eq!((&end["event_action"], &end["dedup_key"]), (&json!("resolve"), &json!(group_hash())));
    }

    #[tokio::test]
    async fn a_service_key_is_of_version_1() {
        let sink = Sink::start(&[]).await;
        let config =
            format!("pagerduty_configs: [{{service_key: k, url: '{}', details: {{team: db}}}}]", sink.url);
        sink.send(&config, firing()).await.unwrap();
        sink.send(&config, resolved()).await.unwrap();
        let (begin, end) = (sink.json(0), sink.json(1));
        assert_eq!(
            (&begin["service_key"], &begin["event_type"], &begin["incident_key"], &begin["details"]["team"]),
            (&json!("k"), &json!("trigger"), &json!(group_hash()), &json!("db"))
        );
        assert_eq!(begin["description"], "[FIRING:1] DiskFull (db-1 critical)");
        assert_eq!((&end["event_type"], &end["incident_key"]), (&json!("resolve"), &json!(group_hash())));
    }

    /// Its alerts were told of by two other groups, before the routing was edited.
    #[tokio::test]
    async fn a_group_that_took_over_goes_on_with_the_incidents_of_others() {
        let sink = Sink::start(&[]).await;
        let config = format!("pagerduty_configs: [{{routing_key: k, url: '{}'}}]", sink.url);
        let incidents = Some(vec!["first".to_owned(), "second".to_owned()]);
        sink.send(&config, Message { incidents: incidents.clone(), ..firing() }).await.unwrap();
        sink.send(&config, Message { incidents, ..resolved() }).await.unwrap();
        sink.send(&config, Message { incidents: Some(Vec::new()), ..resolved() }).await.unwrap();
        let sent = |at| {
            let json = sink.json(at);
            ["event_action", "dedup_key"].map(|name| json[name].as_str().unwrap().to_owned())
        };
        assert_eq!(
            (0..sink.count()).map(sent).collect::<Vec<_>>(),
            [("trigger", "first"), ("resolve", "first"), ("resolve", "second")]
                .map(|(action, group)| [action.to_owned(), hash_of(group)])
        );
    }

    #[tokio::test]
    async fn of_an_end_of_several_incidents_a_part_may_be_taken() {
        for (script, may_be_taken) in [
            (&[(202, "text/plain", ""), (503, "text/plain", "")][..], true),
            (&[(202, "text/plain", ""), (400, "text/plain", "")], true),
            (&[(503, "text/plain", "")], false),
        ] {
            let sink = Sink::start(script).await;
            let config = format!("pagerduty_configs: [{{routing_key: k, url: '{}'}}]", sink.url);
            let incidents = Some(vec!["first".to_owned(), "second".to_owned()]);
            let error = sink.send(&config, Message { incidents, ..resolved() }).await.unwrap_err();
            assert_eq!(error.may_be_taken, may_be_taken, "{error:?}");
        }
    }

    #[tokio::test]
    async fn too_many_events_of_version_1_may_pass() {
        for (key, recoverable) in [("service_key", true), ("routing_key", false)] {
            let sink = Sink::start(&[(403, "text/plain", "")]).await;
            let config = format!("pagerduty_configs: [{{{key}: k, url: '{}'}}]", sink.url);
            let error = sink.send(&config, firing()).await.unwrap_err();
            assert_eq!(error.recoverable, recoverable, "{key}: {error:?}");
        }
    }

    #[tokio::test]
    async fn an_event_that_is_too_large_loses_its_details() {
        let sink = Sink::start(&[
            (202, "application/json", "{}"),
            (400, "application/json", r#"{"status":"invalid event","errors":["bad"]}"#),
        ])
        .await;
        let config = format!(
            "pagerduty_configs: [{{routing_key: k, url: '{}', details: {{x: '{}'}}}}]",
            sink.url,
            "y".repeat(600_000)
        );
        sink.send(&config, firing()).await.unwrap();
        assert!(sink.json(0)["payload"]["custom_details"]["error"].as_str().unwrap().contains("left out"));
        let error = sink.send(&config, firing()).await.unwrap_err();
        assert!(!error.recoverable && error.message.contains("bad"), "{error:?}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = problems("pagerduty_configs: [{service_key: x}, {}, {routing_kee: x}]");
        assert!(found[0].contains("did you mean `routing_key`"), "{found:?}");
        let found = problems("pagerduty_configs: [{service_key: x, routing_key: y}, {}]");
        assert!(found[0].contains("at most one") && found[1].contains("`routing_key_file`"), "{found:?}");
    }
}
