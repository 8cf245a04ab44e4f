//! `email_configs`.

use super::{Context, global::GlobalYaml, http::secret, tls::TlsYaml};
use crate::problem::Place;
use daemon::{Secret, http::TlsVersion};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

/// A mail receiver ready for use. Texts are templates.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailConfig {
    /// Recipients, separated by commas.
    pub to: String,
    /// Sender.
    pub from: String,
    /// The mail server's name.
    pub host: String,
    /// The mail server's port.
    pub port: u16,
    /// What we call ourselves in EHLO.
    pub hello: String,
    /// User and password.
    pub auth: Option<(String, Secret)>,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Authorities to believe instead of the system's, in PEM form.
    pub ca_pem: Option<String>,
    /// Our certificate and its key, in PEM form.
    pub identity_pem: Option<[Secret; 2]>,
    /// The oldest version of TLS that may be spoken.
    pub tls_version_min: Option<TlsVersion>,
    /// Whether the server's certificate is believed whatever it says.
    pub insecure_skip_verify: bool,
    /// The name the certificate must have, when it is not the host's.
    pub server_name: Option<String>,
    /// Further headers, and `Subject`, by name.
    pub headers: BTreeMap<String, String>,
    /// The HTML part; empty for none.
    pub html: String,
    /// The text part; empty for none.
    pub text: String,
    /// Whether mails of one group are told to be one conversation.
    pub threading: bool,
}

/// See [`EmailConfig::tls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (port 465).
    Implicit,
    /// STARTTLS, or no mail.
    Required,
    /// No TLS; `require_tls: false`.
    Plain,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailYaml {
    pub(super) send_resolved: Option<bool>,
    to: Option<Spanned<String>>,
    from: Option<String>,
    hello: Option<String>,
    smarthost: Option<Spanned<String>>,
    auth_username: Option<String>,
    auth_password: Option<Secret>,
    auth_password_file: Option<PathBuf>,
    auth_secret: Option<Spanned<Secret>>,
    auth_secret_file: Option<Spanned<PathBuf>>,
    auth_identity: Option<String>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    headers: BTreeMap<String, Spanned<String>>,
    html: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    require_tls: Option<bool>,
    force_implicit_tls: Option<bool>,
    tls_config: Option<TlsYaml>,
    threading: Option<ThreadingYaml>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThreadingYaml {
    #[serde(default)]
    enabled: bool,
}

const IMPLICIT_TLS_PORT: u16 = 465;
const DEFAULT_HTML: &str = r#"{{ template "email.default.html" . }}"#;
const DEFAULT_TEXT: &str = r#"{{ template "email.default.text" . }}"#;
const DEFAULT_SUBJECT: &str = r#"{{ template "email.default.subject" . }}"#;

/// The oldest version of TLS that may be spoken. The newest cannot be chosen for mail.
fn oldest_version(context: &mut Context<'_>, tls: &TlsYaml) -> Option<TlsVersion> {
    let [oldest, newest] = tls.versions(context);
    if let Some(written) = tls.max_version.as_ref().filter(|_| newest == Some(TlsVersion::Tls12)) {
        let message = format!("`max_version: {}` is not supported for mail; leave it out", written.value);
        context.report(Place::of(written), message);
    }
    oldest
}

/// Ports that may be given by the name of what is spoken there.
const PORTS: [(&str, u16); 4] =
    [("smtp", 25), ("smtps", IMPLICIT_TLS_PORT), ("submission", 587), ("submissions", IMPLICIT_TLS_PORT)];

/// Host and port of a mail server.
pub(super) fn read_smarthost(
    context: &mut Context<'_>,
    smarthost: &Spanned<String>,
) -> Option<(String, u16)> {
    let read_port = |text: &str| {
        let named = PORTS.iter().find(|(name, _)| *name == text).map(|(_, port)| *port);
        named.or_else(|| text.parse().ok())
    };
    let parsed = smarthost.value.rsplit_once(':').and_then(|(host, port)| Some((host, read_port(port)?)));
    // Colons of an address stand in brackets.
    let is_host = |host: &str| !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    match parsed.filter(|(host, _)| is_host(host)) {
        Some((host, port)) => Some((host.trim_matches(['[', ']']).to_owned(), port)),
        None => {
            let message = format!("`{}` is not a mail server of the form host:port", smarthost.value);
            context.report(Place::of(smarthost), message);
            None
        }
    }
}

/// The name with a capital at the start of each word, as Alertmanager sends it.
fn with_capitals(name: &str) -> String {
    let mut is_start = true;
    let capital = |c: char| {
        let shown = if is_start { c.to_ascii_uppercase() } else { c };
        is_start = !(c.is_alphanumeric() || c == '_');
        shown
    };
    name.chars().map(capital).collect()
}

impl EmailYaml {
    pub(super) const SEND_RESOLVED: bool = false;

    pub(super) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<EmailConfig> {
        let Some(to) = self.to.as_ref().filter(|to| !to.value.trim().is_empty()) else {
            context.report(place, "missing `to` address in email config");
            return None;
        };
        let mut froms = [self.from.as_ref(), global.smtp_from.as_ref()].into_iter().flatten();
        let Some(from) = froms.find(|from| !from.is_empty()) else {
            context.report(place, "no `from` address: set it here or as `smtp_from`");
            return None;
        };
        let (host, port) = self.smarthost(context, global, place)?;
        let implicit = self.force_implicit_tls.or(global.smtp_force_implicit_tls);
        let tls = if implicit.unwrap_or(port == IMPLICIT_TLS_PORT) {
            SmtpTls::Implicit
        } else if self.require_tls.or(global.smtp_require_tls).unwrap_or(true) {
            SmtpTls::Required
        } else {
            SmtpTls::Plain
        };
        let hello = self.hello.as_ref().or(global.smtp_hello.as_ref());
        let tls_config = self.tls_config.as_ref().or(global.smtp_tls_config.as_ref());
        Some(EmailConfig {
            to: to.value.clone(),
            from: from.clone(),
            host,
            port,
            hello: hello.cloned().unwrap_or_else(|| "localhost".to_owned()),
            auth: self.auth(context, global, place),
            tls,
            ca_pem: tls_config.and_then(|tls| tls.authorities(context, place)),
            identity_pem: tls_config.and_then(|tls| tls.identity(context, place)),
            tls_version_min: tls_config.and_then(|tls| oldest_version(context, tls)),
            insecure_skip_verify: tls_config.is_some_and(|tls| tls.insecure_skip_verify),
            server_name: tls_config.and_then(|tls| Some(tls.server_name.as_ref()?.value.clone())),
            headers: self.headers(context),
            html: context.text(self.html.as_ref(), DEFAULT_HTML),
            text: context.text(self.text.as_ref(), self.default_text()),
            threading: self.threading.as_ref().is_none_or(|threading| threading.enabled),
        })
    }

    /// Whoever writes the HTML part means no other, unless it is to be left out.
    fn default_text(&self) -> &'static str {
        if self.html.as_ref().is_none_or(|html| html.value.is_empty()) { DEFAULT_TEXT } else { "" }
    }

    fn smarthost(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<(String, u16)> {
        let own = self.smarthost.as_ref().filter(|smarthost| !smarthost.value.is_empty());
        let Some(smarthost) = own.or(global.smtp_smarthost.as_ref()) else {
            context.report(place, "no mail server: set `smarthost` here or `smtp_smarthost`");
            return None;
        };
        read_smarthost(context, smarthost)
    }

    fn auth(&self, context: &mut Context<'_>, global: &GlobalYaml, place: Place) -> Option<(String, Secret)> {
        let identity = self.auth_identity.as_ref().or(global.smtp_auth_identity.as_ref());
        let username = self.auth_username.as_ref().or(global.smtp_auth_username.as_ref())?;
        if identity.is_some_and(|identity| !identity.is_empty() && identity != username) {
            context.report(place, "an `auth_identity` other than the user is not supported");
        }
        let own = self.auth_password.is_some() || self.auth_password_file.is_some();
        let (inline, file) = if own {
            (self.auth_password.as_ref(), self.auth_password_file.as_ref())
        } else {
            (global.smtp_auth_password.as_ref(), global.smtp_auth_password_file.as_ref())
        };
        if let Some(password) = secret(context, place, "auth_password", inline, file) {
            return Some((username.clone(), password));
        }
        if inline.is_some() || file.is_some() {
            // Why it cannot be had is told already.
            return None;
        }
        let inline = self.auth_secret.as_ref().or(global.smtp_auth_secret.as_ref()).map(Place::of);
        let file = self.auth_secret_file.as_ref().or(global.smtp_auth_secret_file.as_ref()).map(Place::of);
        match inline.or(file) {
            Some(at) => context.report(
                at,
                "`auth_secret` is for CRAM-MD5, which is not spoken; give `auth_password`, for PLAIN and LOGIN",
            ),
            None => context
                .report(place, "`auth_username` is set, but no `auth_password` or `auth_password_file`"),
        }
        None
    }

    /// The given headers; names differ by more than case.
    fn headers(&self, context: &mut Context<'_>) -> BTreeMap<String, String> {
        let mut seen = std::collections::BTreeSet::new();
        let mut headers = BTreeMap::new();
        for (name, value) in &self.headers {
            if !seen.insert(name.to_ascii_lowercase()) {
                context.report(Place::of(value), format!("duplicate header `{name}` in email config"));
            }
            headers.insert(with_capitals(name), context.text(Some(value), ""));
        }
        if !seen.contains("subject") {
            headers.insert("Subject".to_owned(), DEFAULT_SUBJECT.to_owned());
        }
        headers
    }
}
