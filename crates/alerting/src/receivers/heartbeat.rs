//! `heartbeat_configs`: a sign of life. While anything of its group fires (a `Watchdog`, which
//! always does), the address is asked at every `group_interval`; what watches it raises the alarm
//! when the calls stop. The end of an alert is not told: that is what the silence says.

use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, target},
    notify::{
        http::{Answer, AttemptError},
        telling::Telling,
    },
    problem::Place,
};
use reqwest::Method;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatConfig {
    url: SecretUrl,
    method: Method,
    http: HttpConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    url: Option<Spanned<String>>,
    url_file: Option<PathBuf>,
    method: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = false;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<HeartbeatConfig> {
        if self.send_resolved == Some(true) {
            context.report(place, "a heartbeat tells no ends; leave `send_resolved` out");
        }
        let method = match self.method.as_ref().map(|method| method.value.as_str()) {
            None | Some("POST") => Method::POST,
            Some("GET") => Method::GET,
            Some("HEAD") => Method::HEAD,
            Some(other) => {
                let at = self.method.as_ref().map_or(place, Place::of);
                context.report(at, format!("`{other}` in `method` is none of `GET`, `HEAD` and `POST`"));
                return None;
            }
        };
        Some(HeartbeatConfig {
            http: global.http(self.http_config.as_ref(), context, place),
            url: target(context, place, "url", self.url.as_ref(), self.url_file.as_ref(), false)?,
            method,
        })
    }
}

impl HeartbeatConfig {
    pub(crate) fn target(&self) -> String {
        format!("heartbeat:{:016x}", self.url.digest())
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let request =
            self.http.request(telling.client, self.method.clone(), self.url.expose().clone()).await?;
        Answer::of(request).await?.accepted()
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, problems};

    #[tokio::test]
    async fn a_heartbeat_is_a_bare_request() {
        let sink = Sink::start(&[]).await;
        for (index, method) in ["GET", "POST"].into_iter().enumerate() {
            let config = format!("heartbeat_configs: [{{url: '{}ping', method: {method}}}]", sink.url);
            sink.send(&config, firing()).await.unwrap();
            let request = sink.request(index);
            assert_eq!(
                (request.method.as_str(), request.path.as_str(), request.body.as_str()),
                (method, "/ping", "")
            );
        }
        let found = problems("heartbeat_configs: [{url: 'http://x/', method: PUT}, {}]");
        assert!(found[0].contains("`PUT`") && found[1].contains("`url`"), "{found:?}");
    }
}
