//! `global`: what receivers start from.

use super::{Context, HttpConfig, HttpYaml, tls::TlsYaml};
use crate::problem::Place;
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
    /// How a receiver's requests are made: as it says itself, or else as `global` says.
    pub(crate) fn http(&self, own: Option<&HttpYaml>, context: &mut Context<'_>, place: Place) -> HttpConfig {
        HttpYaml::build(own, self.http_config.as_ref(), context, place, false)
    }

    pub(super) fn resolve_timeout_ms(&self, context: &mut Context<'_>) -> i64 {
        context.duration("resolve_timeout", self.resolve_timeout.as_ref(), RESOLVE_TIMEOUT_MS)
    }
}
