//! `webhook_configs`.

use super::{
    Context,
    global::GlobalYaml,
    http::{HttpConfig, HttpYaml, SecretUrl, check_target, secret},
};
use crate::problem::Place;
use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{path::PathBuf, time::Duration};

/// How long a receiver may take to answer.
const TIMEOUT_MS: i64 = 10_000;

/// A webhook ready for use.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookConfig {
    /// Where to.
    pub url: WebhookUrl,
    /// Most alerts in one message; 0 for all.
    pub max_alerts: usize,
    /// From connect to the answer.
    pub timeout: Duration,
    /// Signs the body when given.
    pub secret: Option<Secret>,
    /// How requests are made.
    pub http: HttpConfig,
    /// Whether a target such as 169.254.169.254 is allowed.
    pub(crate) allow_link_local: bool,
}

/// A webhook's address.
#[derive(Clone, Debug, PartialEq)]
pub enum WebhookUrl {
    /// The same for every message.
    Fixed(SecretUrl),
    /// Expanded for every message.
    Template(Secret),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookYaml {
    pub(super) send_resolved: Option<bool>,
    url: Option<Spanned<String>>,
    url_file: Option<PathBuf>,
    http_config: Option<HttpYaml>,
    #[serde(default)]
    max_alerts: usize,
    timeout: Option<Spanned<String>>,
    /// Key of the HMAC-SHA256 signature in the header `webhook-signature`.
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    /// Allows a target such as 169.254.169.254.
    #[serde(default)]
    allow_link_local: bool,
}

impl WebhookYaml {
    pub(super) const SEND_RESOLVED: bool = true;

    pub(super) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<WebhookConfig> {
        let url = self.url(context, place)?;
        let timeout_ms = context.duration("timeout", self.timeout.as_ref(), TIMEOUT_MS);
        // As in Alertmanager, 0 is no limit of its own: the delivery's is left.
        let timeout = if timeout_ms == 0 { Duration::MAX } else { Duration::from_millis(timeout_ms as u64) };
        let (own, global) = (self.http_config.as_ref(), global.http_config.as_ref());
        Some(WebhookConfig {
            url,
            max_alerts: self.max_alerts,
            timeout,
            secret: secret(context, place, "secret", self.secret.as_ref(), self.secret_file.as_ref()),
            http: HttpYaml::build(own, global, context, place, self.allow_link_local),
            allow_link_local: self.allow_link_local,
        })
    }

    fn url(&self, context: &mut Context<'_>, place: Place) -> Option<WebhookUrl> {
        let text = match (&self.url, &self.url_file) {
            (Some(url), None) => context.text(Some(url), ""),
            (None, Some(_)) => {
                secret(context, place, "url", None, self.url_file.as_ref())?.expose().to_owned()
            }
            _ => {
                context.report(place, "one of `url` and `url_file` must be set");
                return None;
            }
        };
        if text.contains("{{") {
            return Some(WebhookUrl::Template(Secret::new(text)));
        }
        let place = self.url.as_ref().map_or(place, Place::of);
        check_target(context, place, "url", &text, self.allow_link_local).map(WebhookUrl::Fixed)
    }
}
