//! `tls_config`: whom to believe, and who we are.

use super::{Context, http::secret};
use crate::problem::Place;
use daemon::{
    Secret,
    http::{TlsVersion, holds_certificate},
};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsYaml {
    ca: Option<Secret>,
    ca_file: Option<PathBuf>,
    cert: Option<Secret>,
    cert_file: Option<PathBuf>,
    key: Option<Secret>,
    key_file: Option<PathBuf>,
    pub(super) server_name: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) insecure_skip_verify: bool,
    min_version: Option<Spanned<String>>,
    pub(super) max_version: Option<Spanned<String>>,
}

impl TlsYaml {
    /// The authorities to believe instead of the system's.
    pub(super) fn authorities(&self, context: &mut Context<'_>, place: Place) -> Option<String> {
        let pem = secret(context, place, "ca", self.ca.as_ref(), self.ca_file.as_ref())?;
        if !holds_certificate(pem.expose()) {
            context.report(place, "`ca` holds no certificate in PEM form");
        }
        Some(pem.expose().to_owned())
    }

    /// Our certificate and its key.
    pub(super) fn identity(&self, context: &mut Context<'_>, place: Place) -> Option<[Secret; 2]> {
        let cert = secret(context, place, "cert", self.cert.as_ref(), self.cert_file.as_ref());
        let key = secret(context, place, "key", self.key.as_ref(), self.key_file.as_ref());
        match (cert, key) {
            (Some(cert), Some(key)) => Some([cert, key]),
            (None, None) => None,
            _ => {
                context.report(place, "`cert` and `key` must be set together");
                None
            }
        }
    }

    /// The oldest and the newest version that may be spoken. Below 1.2 there is none here: who
    /// asks for less gets 1.2.
    pub(super) fn versions(&self, context: &mut Context<'_>) -> [Option<TlsVersion>; 2] {
        let oldest = self.min_version.as_ref().and_then(|text| version(context, text));
        let newest = self.max_version.as_ref().and_then(|text| version(context, text));
        if let (Some(text), Some(newest)) = (&self.max_version, newest)
            && (matches!(text.value.as_str(), "TLS10" | "TLS11")
                || oldest.is_some_and(|oldest| oldest > newest))
        {
            let message =
                format!("no version of TLS is left below `max_version: {}`; use TLS12 or TLS13", text.value);
            context.report(Place::of(text), message);
        }
        [oldest, newest]
    }
}

fn version(context: &mut Context<'_>, text: &Spanned<String>) -> Option<TlsVersion> {
    match text.value.as_str() {
        "TLS10" | "TLS11" | "TLS12" => Some(TlsVersion::Tls12),
        "TLS13" => Some(TlsVersion::Tls13),
        other => {
            let message = format!("unknown TLS version `{other}`; use TLS10, TLS11, TLS12 or TLS13");
            context.report(Place::of(text), message);
            None
        }
    }
}
