//! `global`: what receivers start from.

use super::Context;
use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// Without another word, five minutes.
const RESOLVE_TIMEOUT_MS: i64 = 5 * 60_000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobalYaml {
    resolve_timeout: Option<Spanned<String>>,
    pub(super) smtp_from: Option<String>,
    pub(super) smtp_smarthost: Option<Spanned<String>>,
    pub(super) smtp_hello: Option<String>,
    pub(super) smtp_auth_username: Option<String>,
    pub(super) smtp_auth_password: Option<Secret>,
    pub(super) smtp_auth_password_file: Option<PathBuf>,
    pub(super) smtp_auth_identity: Option<String>,
    pub(super) smtp_require_tls: Option<bool>,
    pub(super) smtp_force_implicit_tls: Option<bool>,
    pub(super) http_config: Option<super::webhook::HttpYaml>,
}

impl GlobalYaml {
    pub(super) fn resolve_timeout_ms(&self, context: &mut Context<'_>) -> i64 {
        context.duration("resolve_timeout", self.resolve_timeout.as_ref(), RESOLVE_TIMEOUT_MS)
    }
}
