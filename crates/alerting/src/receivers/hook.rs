//! Services that are told by one POST to an address that holds their token.

use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, target},
    notify::{http::AttemptError, telling::Telling},
    problem::Place,
};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::path::PathBuf;

/// The address, and how it is reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hook {
    url: SecretUrl,
    http: HttpConfig,
}

/// `webhook_url` and what stands beside it.
pub(crate) struct HookYaml<'a> {
    pub(crate) http: Option<&'a HttpYaml>,
    pub(crate) url: Option<&'a Spanned<String>>,
    pub(crate) url_file: Option<&'a PathBuf>,
}

impl HookYaml<'_> {
    pub(crate) fn build(&self, context: &mut Context<'_>, global: &GlobalYaml, place: Place) -> Option<Hook> {
        let http = global.http(self.http, context, place);
        Some(Hook { url: target(context, place, "webhook_url", self.url, self.url_file, false)?, http })
    }
}

impl Hook {
    /// Who is reached, without the token.
    pub(crate) fn identity(&self, kind: &str) -> String {
        format!("{kind}:{:016x}", self.url.digest())
    }

    pub(crate) async fn post(&self, telling: &Telling<'_>, body: &Value) -> Result<(), AttemptError> {
        self.http.post_json(telling.client, self.url.expose().clone(), body).await?.accepted()
    }
}
