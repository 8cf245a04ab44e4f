//! `global`: what receivers start from.

use super::{
    Context, HttpConfig, HttpYaml, check_target, email::read_smarthost, http::SecretUrl, tls::TlsYaml,
};
use crate::{problem::Place, receivers::slack::POST_MESSAGE_URL};
use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// Without another word, five minutes.
const RESOLVE_TIMEOUT_MS: i64 = 5 * 60_000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GlobalYaml {
    resolve_timeout: Option<Spanned<String>>,
    /// Ours.
    pub(super) hold_flapping: Option<Spanned<String>>,
    pub(super) smtp_from: Option<String>,
    pub(super) smtp_smarthost: Option<Spanned<String>>,
    pub(super) smtp_hello: Option<String>,
    pub(super) smtp_auth_username: Option<String>,
    pub(super) smtp_auth_password: Option<Secret>,
    pub(super) smtp_auth_password_file: Option<PathBuf>,
    pub(super) smtp_auth_secret: Option<Spanned<Secret>>,
    pub(super) smtp_auth_secret_file: Option<Spanned<PathBuf>>,
    pub(super) smtp_auth_identity: Option<String>,
    pub(super) smtp_require_tls: Option<bool>,
    pub(super) smtp_force_implicit_tls: Option<bool>,
    pub(super) smtp_tls_config: Option<TlsYaml>,
    pub(crate) http_config: Option<HttpYaml>,
    pub(crate) slack_api_url: Option<Spanned<String>>,
    pub(crate) slack_api_url_file: Option<PathBuf>,
    pub(crate) slack_app_url: Option<Spanned<String>>,
    pub(crate) slack_app_token: Option<Secret>,
    pub(crate) slack_app_token_file: Option<PathBuf>,
    pub(crate) pagerduty_url: Option<Spanned<String>>,
    pub(crate) opsgenie_api_url: Option<Spanned<String>>,
    pub(crate) opsgenie_api_key: Option<Secret>,
    pub(crate) opsgenie_api_key_file: Option<PathBuf>,
    pub(crate) telegram_api_url: Option<Spanned<String>>,
    pub(crate) telegram_bot_token: Option<Secret>,
    pub(crate) telegram_bot_token_file: Option<PathBuf>,
    pub(crate) mattermost_webhook_url: Option<Spanned<String>>,
    pub(crate) mattermost_webhook_url_file: Option<PathBuf>,
    pub(crate) rocketchat_api_url: Option<Spanned<String>>,
    pub(crate) rocketchat_token: Option<Secret>,
    pub(crate) rocketchat_token_file: Option<PathBuf>,
    pub(crate) rocketchat_token_id: Option<Secret>,
    pub(crate) rocketchat_token_id_file: Option<PathBuf>,
    pub(crate) victorops_api_url: Option<Spanned<String>>,
    pub(crate) victorops_api_key: Option<Secret>,
    pub(crate) victorops_api_key_file: Option<PathBuf>,
    pub(crate) webex_api_url: Option<Spanned<String>>,
    // Of integrations that do not exist here; a file that names them for another receiver loads.
    #[serde(rename = "wechat_api_url")]
    _wechat_api_url: Option<String>,
    #[serde(rename = "wechat_api_secret")]
    _wechat_api_secret: Option<Secret>,
    #[serde(rename = "wechat_api_secret_file")]
    _wechat_api_secret_file: Option<PathBuf>,
    #[serde(rename = "wechat_api_corp_id")]
    _wechat_api_corp_id: Option<String>,
    #[serde(rename = "jira_api_url")]
    _jira_api_url: Option<String>,
}

impl GlobalYaml {
    /// Reports what is wrong here, whether or not a receiver uses it.
    pub(super) fn check(&self, context: &mut Context<'_>, place: Place) {
        self.check_secrets(context, place);
        let addresses = [
            ("slack_api_url", &self.slack_api_url),
            ("slack_app_url", &self.slack_app_url),
            ("pagerduty_url", &self.pagerduty_url),
            ("opsgenie_api_url", &self.opsgenie_api_url),
            ("telegram_api_url", &self.telegram_api_url),
            ("mattermost_webhook_url", &self.mattermost_webhook_url),
            ("rocketchat_api_url", &self.rocketchat_api_url),
            ("victorops_api_url", &self.victorops_api_url),
            ("webex_api_url", &self.webex_api_url),
        ];
        for (name, url) in addresses {
            // Which hosts may be spoken to is asked where one is.
            let _: Option<SecretUrl> =
                url.as_ref().and_then(|url| check_target(context, Place::of(url), name, &url.value, true));
        }
        if let Some(smarthost) = self.smtp_smarthost.as_ref().filter(|smarthost| !smarthost.value.is_empty())
        {
            read_smarthost(context, smarthost);
        }
        let (token, token_file) = (&self.slack_app_token, &self.slack_app_token_file);
        let has_token = token.is_some() || token_file.is_some();
        let app_url = self.slack_app_url.as_ref().map_or(POST_MESSAGE_URL, |url| &url.value);
        // Those who used to tell an app by a webhook's setting may have both while they change over.
        let is_same = self.slack_api_url.as_ref().is_some_and(|url| url.value == app_url);
        let has_webhook = self.slack_api_url.is_some() || self.slack_api_url_file.is_some();
        if has_token && has_webhook && !is_same {
            context.report(place, "at most one of `slack_app_token` and `slack_api_url` must be set");
        }
    }

    fn check_secrets(&self, context: &mut Context<'_>, place: Place) {
        let slack_api_url = (self.slack_api_url.is_some(), self.slack_api_url_file.is_some());
        let mattermost_url =
            (self.mattermost_webhook_url.is_some(), self.mattermost_webhook_url_file.is_some());
        let given = |inline: &Option<Secret>, file: &Option<PathBuf>| (inline.is_some(), file.is_some());
        for (name, (inline, file)) in [
            ("slack_api_url", slack_api_url),
            ("mattermost_webhook_url", mattermost_url),
            ("smtp_auth_password", given(&self.smtp_auth_password, &self.smtp_auth_password_file)),
            ("smtp_auth_secret", (self.smtp_auth_secret.is_some(), self.smtp_auth_secret_file.is_some())),
            ("slack_app_token", given(&self.slack_app_token, &self.slack_app_token_file)),
            ("opsgenie_api_key", given(&self.opsgenie_api_key, &self.opsgenie_api_key_file)),
            ("telegram_bot_token", given(&self.telegram_bot_token, &self.telegram_bot_token_file)),
            ("rocketchat_token", given(&self.rocketchat_token, &self.rocketchat_token_file)),
            ("rocketchat_token_id", given(&self.rocketchat_token_id, &self.rocketchat_token_id_file)),
            ("victorops_api_key", given(&self.victorops_api_key, &self.victorops_api_key_file)),
            ("wechat_api_secret", given(&self._wechat_api_secret, &self._wechat_api_secret_file)),
        ] {
            if inline && file {
                context.report(place, format!("at most one of `{name}` and `{name}_file` must be set"));
            }
        }
    }

    /// How a receiver's requests are made: as it says itself, or else as `global` says.
    pub(crate) fn http(&self, own: Option<&HttpYaml>, context: &mut Context<'_>, place: Place) -> HttpConfig {
        HttpYaml::build(own, self.http_config.as_ref(), context, place, false)
    }

    pub(super) fn resolve_timeout_ms(&self, context: &mut Context<'_>) -> i64 {
        context.duration("resolve_timeout", self.resolve_timeout.as_ref(), RESOLVE_TIMEOUT_MS)
    }
}
