//! `webex_configs`: a bot's message to a room.

use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, target_or, texts},
    notify::{
        http::AttemptError,
        telling::{Telling, truncate_bytes},
    },
    problem::Place,
};
use serde::Deserialize;
use serde_json::json;
use serde_saphyr::Spanned;

const URL: &str = "https://webexapis.com/v1/messages";
/// What Webex takes at most.
const MESSAGE_BYTES_MAX: usize = 7439;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct WebexConfig {
    url: SecretUrl,
    http: HttpConfig,
    texts: Texts,
}

texts! {
    /// The templates of a message.
    Texts {
        room_id: "",
        message: r#"{{ template "webex.default.message" . }}"#,
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    api_url: Option<Spanned<String>>,
    room_id: Option<Spanned<String>>,
    message: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<WebexConfig> {
        if self.room_id.as_ref().is_none_or(|room| room.value.is_empty()) {
            context.report(place, "missing `room_id` in webex config");
        }
        let http = global.http(self.http_config.as_ref(), context, place);
        if http.authorization.is_none() {
            context.report(place, "missing `http_config.authorization` in webex config: the bot's token");
        }
        let addresses = [self.api_url.as_ref(), global.webex_api_url.as_ref()];
        let url = target_or(context, place, "api_url", addresses, URL)?;
        Some(WebexConfig { url, http, texts: Texts::of(context, self) })
    }
}

impl WebexConfig {
    pub(crate) fn target(&self) -> String {
        format!("webex:{:016x}:{}", self.url.digest(), self.texts.room_id)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let body = json!({
            "roomId": telling.text(&self.texts.room_id)?,
            "markdown": truncate_bytes(&telling.text(&self.texts.message)?, MESSAGE_BYTES_MAX),
        });
        self.http.post_json(telling.client, self.url.expose().clone(), &body).await?.accepted()
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, problems};
    use serde_json::json;

    #[tokio::test]
    async fn a_message_is_markdown_in_a_room() {
        let sink = Sink::start(&[]).await;
        let with = |message: &str| {
            format!(
                "webex_configs: [{{room_id: R1, message: '{message}', api_url: '{}', http_config: {{authorization: {{credentials: t0ken}}}}}}]",
                sink.url
            )
        };
        sink.send(&with("{{ .CommonLabels.alertname }}"), firing()).await.unwrap();
        assert_eq!(sink.json(0), json!({"roomId": "R1", "markdown": "DiskFull"}));
        assert_eq!(sink.request(0).headers["authorization"], "Bearer t0ken");
        sink.send(&with(&"ä".repeat(5000)), firing()).await.unwrap();
        let length = sink.json(1)["markdown"].as_str().unwrap().len();
        assert!((7400..=7439).contains(&length), "{length}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = problems("webex_configs: [{message: x}]");
        assert!(found[0].contains("`room_id`") && found[1].contains("authorization"), "{found:?}");
    }
}
