//! `webhook_configs`.

use super::{Context, global::GlobalYaml};
use crate::problem::Place;
use daemon::Secret;
use reqwest::Url;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{path::PathBuf, time::Duration};

/// How long a receiver may take to answer.
const TIMEOUT_MS: i64 = 10_000;

/// A webhook ready for use.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where to.
    pub url: Url,
    /// Most alerts in one message; 0 for all.
    pub max_alerts: usize,
    /// From connect to the answer.
    pub timeout: Duration,
    /// `Authorization`.
    pub authorization: Option<Authorization>,
    /// Signs the body when given.
    pub secret: Option<Secret>,
}

/// What the `Authorization` header says.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Option<Secret>,
    },
    /// A type, such as `Bearer`, and credentials.
    Credentials {
        /// `Bearer` unless given.
        scheme: String,
        /// The credentials.
        credentials: Secret,
    },
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

/// The part of `http_config` that webhooks honour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpYaml {
    basic_auth: Option<BasicAuthYaml>,
    authorization: Option<AuthorizationYaml>,
    /// Redirects are never followed, because they would carry credentials elsewhere.
    follow_redirects: Option<Spanned<bool>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuthYaml {
    username: String,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizationYaml {
    r#type: Option<String>,
    credentials: Option<Secret>,
    credentials_file: Option<PathBuf>,
}

impl WebhookYaml {
    pub(super) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<WebhookConfig> {
        let url = self.url(context, place)?;
        if !self.allow_link_local
            && let Err(refused) = daemon::http::check_target(&url)
        {
            context.report(place, refused.to_string());
            return None;
        }
        let timeout_ms = context.duration("timeout", self.timeout.as_ref(), TIMEOUT_MS).max(1);
        let http = self.http_config.as_ref().or(global.http_config.as_ref());
        Some(WebhookConfig {
            url,
            max_alerts: self.max_alerts,
            timeout: Duration::from_millis(timeout_ms as u64),
            authorization: http.and_then(|http| http.authorization(context, place)),
            secret: secret(context, place, "secret", self.secret.as_ref(), self.secret_file.as_ref()),
        })
    }

    fn url(&self, context: &mut Context<'_>, place: Place) -> Option<Url> {
        let text = match (&self.url, &self.url_file) {
            (Some(url), None) => url.value.clone(),
            (None, Some(_)) => {
                secret(context, place, "url", None, self.url_file.as_ref())?.expose().to_owned()
            }
            _ => {
                context.report(place, "one of `url` and `url_file` must be set");
                return None;
            }
        };
        let place = self.url.as_ref().map_or(place, Place::of);
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
            Ok(url) => {
                context.report(place, format!("unsupported scheme `{}` for a webhook", url.scheme()));
                None
            }
            Err(error) => {
                context.report(place, format!("webhook URL: {error}"));
                None
            }
        }
    }
}

impl HttpYaml {
    fn authorization(&self, context: &mut Context<'_>, place: Place) -> Option<Authorization> {
        if let Some(follow) = self.follow_redirects.as_ref().filter(|follow| follow.value) {
            context.report(Place::of(follow), "redirects are never followed; leave `follow_redirects` out");
        }
        match (&self.basic_auth, &self.authorization) {
            (Some(_), Some(_)) => {
                context.report(place, "at most one of `basic_auth` and `authorization` must be set");
                None
            }
            (Some(basic), None) => Some(Authorization::Basic {
                username: basic.username.clone(),
                password: secret(
                    context,
                    place,
                    "password",
                    basic.password.as_ref(),
                    basic.password_file.as_ref(),
                ),
            }),
            (None, Some(given)) => {
                let inline = given.credentials.as_ref();
                let credentials =
                    secret(context, place, "credentials", inline, given.credentials_file.as_ref())?;
                let scheme = given.r#type.clone().unwrap_or_else(|| "Bearer".to_owned());
                Some(Authorization::Credentials { scheme, credentials })
            }
            (None, None) => None,
        }
    }
}

/// A secret given inline or by file.
pub(super) fn secret(
    context: &mut Context<'_>,
    place: Place,
    name: &str,
    inline: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Option<Secret> {
    let path = file.map(|file| context.path(file));
    match Secret::resolve(name, inline, path.as_deref()) {
        Ok(secret) => secret,
        Err(error) => {
            context.report(place, error.to_string());
            None
        }
    }
}
