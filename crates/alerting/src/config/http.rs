//! `http_config`, and the targets of receivers that are reached by HTTP.

use super::{
    Context,
    connection::{Connection, Written},
    oauth2::{Oauth2, Oauth2Yaml},
    tls::TlsYaml,
};
use crate::{
    notify::http::{Answer, AttemptError},
    problem::Place,
};
use daemon::Secret;
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

/// An address that may hold a token: `Debug` shows scheme and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(pub(super) Url);

impl SecretUrl {
    /// The address itself.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// An identity that gives no secret away.
    pub(crate) fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.0.as_str().as_bytes())
    }

    /// The address with `path` behind it.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/<secret>", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// How a receiver's requests are made.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// `Authorization`.
    pub authorization: Option<Authorization>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    oauth2: Option<Arc<Oauth2>>,
    connection: Connection,
    /// A client of its own, when the settings ask for one.
    client: Option<reqwest::Client>,
}

/// Clients are equal when their settings are.
impl PartialEq for HttpConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.authorization, &self.headers, &self.oauth2, &self.connection)
            == (&other.authorization, &other.headers, &other.oauth2, &other.connection)
    }
}

/// What the `Authorization` header says.
#[derive(Clone, Debug, PartialEq)]
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

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpYaml {
    basic_auth: Option<BasicAuthYaml>,
    authorization: Option<AuthorizationYaml>,
    /// The older form of an `authorization` without a type.
    bearer_token: Option<Secret>,
    bearer_token_file: Option<PathBuf>,
    oauth2: Option<Spanned<Oauth2Yaml>>,
    tls_config: Option<TlsYaml>,
    proxy_url: Option<Spanned<String>>,
    no_proxy: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    proxy_connect_header: BTreeMap<String, HeaderValues>,
    #[serde(default)]
    follow_redirects: bool,
    #[serde(default)]
    proxy_from_environment: bool,
    /// HTTP 2 is used where the server offers it, whatever stands here.
    #[serde(rename = "enable_http2")]
    _enable_http2: Option<bool>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    http_headers: BTreeMap<String, HeaderYaml>,
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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderYaml {
    #[serde(default, deserialize_with = "crate::config::or_default")]
    values: Vec<Secret>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    secrets: Vec<Secret>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    files: Vec<PathBuf>,
}

/// The values of a header.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct HeaderValues(pub(super) Vec<Secret>);

impl HttpYaml {
    /// The receiver's own settings, or else those of `global`.
    pub(crate) fn build(
        own: Option<&HttpYaml>,
        global: Option<&HttpYaml>,
        context: &mut Context<'_>,
        place: Place,
        allow_link_local: bool,
    ) -> HttpConfig {
        let none = HttpYaml::default();
        let http = own.or(global).unwrap_or(&none);
        let written = Written {
            tls: http.tls_config.as_ref(),
            proxy_url: http.proxy_url.as_ref(),
            no_proxy: http.no_proxy.as_ref(),
            proxy_connect_header: &http.proxy_connect_header,
            proxy_from_environment: http.proxy_from_environment,
            follow_redirects: http.follow_redirects,
            allow_link_local,
        };
        let connection = written.read(context, place);
        HttpConfig {
            authorization: http.authorization(context, place),
            headers: http.headers(context, place),
            oauth2: http.oauth2(context, allow_link_local),
            client: connection.client(context, place),
            connection,
        }
    }

    /// Whether requests say who sends them.
    pub(crate) fn authorizes(&self) -> bool {
        self.basic_auth.is_some() || self.has_credentials() || self.oauth2.is_some()
    }

    fn has_credentials(&self) -> bool {
        self.authorization.is_some() || self.has_bearer_token()
    }

    fn has_bearer_token(&self) -> bool {
        self.bearer_token.is_some() || self.bearer_token_file.is_some()
    }

    fn oauth2(&self, context: &mut Context<'_>, allow_link_local: bool) -> Option<Arc<Oauth2>> {
        let written = self.oauth2.as_ref()?;
        let place = Place::of(written);
        if self.basic_auth.is_some() || self.has_credentials() {
            context.report(place, "at most one of `basic_auth`, `authorization` and `oauth2` must be set");
        }
        written.value.build(context, place, allow_link_local).map(Arc::new)
    }

    fn headers(&self, context: &mut Context<'_>, place: Place) -> Vec<(String, Secret)> {
        let mut headers = Vec::new();
        for (name, given) in &self.http_headers {
            if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                context.report(place, format!("`{name}` in `http_headers` is not the name of a header"));
            }
            let inline = given.values.iter().chain(&given.secrets).cloned();
            headers.extend(inline.map(|value| (name.clone(), value)));
            for file in &given.files {
                let value = secret(context, place, name, None, Some(file));
                headers.extend(value.map(|value| (name.clone(), value)));
            }
        }
        for (name, value) in &headers {
            if reqwest::header::HeaderValue::from_str(value.expose()).is_err() {
                context.report(place, format!("a value of `{name}` in `http_headers` cannot be sent: it has a control character, or one that is not ASCII"));
            }
        }
        headers
    }

    fn authorization(&self, context: &mut Context<'_>, place: Place) -> Option<Authorization> {
        if self.basic_auth.is_some() && self.has_credentials() {
            context.report(place, "at most one of `basic_auth` and `authorization` must be set");
            return None;
        }
        if self.authorization.is_some() && self.has_bearer_token() {
            context.report(place, "at most one of `authorization` and `bearer_token` must be set");
            return None;
        }
        if let Some(basic) = &self.basic_auth {
            let (inline, file) = (basic.password.as_ref(), basic.password_file.as_ref());
            let password = secret(context, place, "password", inline, file);
            return Some(Authorization::Basic { username: basic.username.clone(), password });
        }
        let (scheme, name, inline, file) = match &self.authorization {
            Some(given) => (given.scheme(), "credentials", &given.credentials, &given.credentials_file),
            None => (BEARER, "bearer_token", &self.bearer_token, &self.bearer_token_file),
        };
        if scheme.eq_ignore_ascii_case("basic") {
            context.report(place, "an `authorization` cannot be of type `Basic`; use `basic_auth`");
            return None;
        }
        let credentials = secret(context, place, name, inline.as_ref(), file.as_ref())?;
        Some(Authorization::Credentials { scheme: scheme.to_owned(), credentials })
    }
}

/// The type of an `authorization` that does not say.
const BEARER: &str = "Bearer";

impl AuthorizationYaml {
    fn scheme(&self) -> &str {
        self.r#type.as_deref().map(str::trim).filter(|scheme| !scheme.is_empty()).unwrap_or(BEARER)
    }
}

impl HttpConfig {
    /// For a receiver that brings an `Authorization` of its own, beside which there must not be
    /// another.
    pub(crate) fn without_authorization(mut self) -> Self {
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        HttpConfig { authorization: None, oauth2: None, ..self }
    }

    /// A POST to `url` with what the settings add.
    ///
    /// # Errors
    /// As [`HttpConfig::request`].
    pub(crate) async fn post(
        &self,
        shared: &reqwest::Client,
        url: Url,
    ) -> Result<RequestBuilder, AttemptError> {
        self.request(shared, reqwest::Method::POST, url).await
    }

    /// A request with what the settings add.
    ///
    /// # Errors
    /// When it needs a token and none was granted.
    pub(crate) async fn request(
        &self,
        shared: &reqwest::Client,
        method: reqwest::Method,
        url: Url,
    ) -> Result<RequestBuilder, AttemptError> {
        let mut request = self.client.as_ref().unwrap_or(shared).request(method, url);
        match &self.authorization {
            Some(Authorization::Basic { username, password }) => {
                request = request.basic_auth(username, password.as_ref().map(Secret::expose));
            }
            Some(Authorization::Credentials { scheme, credentials }) => {
                request = request.header("authorization", format!("{scheme} {}", credentials.expose()));
            }
            None => {}
        }
        if let Some(oauth2) = &self.oauth2 {
            request = request.bearer_auth(oauth2.token(shared).await?.expose());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        Ok(request)
    }

    /// Posts JSON and returns the answer, whatever its status.
    pub(crate) async fn post_json(
        &self,
        shared: &reqwest::Client,
        url: Url,
        body: &serde_json::Value,
    ) -> Result<Answer, AttemptError> {
        let request = self.post(shared, url).await?.header("content-type", "application/json");
        Answer::of(request.body(body.to_string())).await
    }
}

/// An address given inline or by file, which must be set.
pub(crate) fn target(
    context: &mut Context<'_>,
    place: Place,
    name: &str,
    inline: Option<&Spanned<String>>,
    file: Option<&PathBuf>,
    allow_link_local: bool,
) -> Option<SecretUrl> {
    let text = match (inline, file) {
        (Some(url), None) => url.value.clone(),
        (None, Some(_)) => secret(context, place, name, None, file)?.expose().to_owned(),
        _ => {
            context.report(place, format!("one of `{name}` and `{name}_file` must be set"));
            return None;
        }
    };
    check_target(context, inline.map_or(place, Place::of), name, &text, allow_link_local)
}

/// An address that may be spoken to.
pub(crate) fn check_target(
    context: &mut Context<'_>,
    place: Place,
    name: &str,
    text: &str,
    allow_link_local: bool,
) -> Option<SecretUrl> {
    if let Some(reason) = unreadable_in_go(text) {
        context.report(place, format!("`{name}` is not an address: {reason}"));
        return None;
    }
    let url = match Url::parse(text) {
        // What stands behind three slashes would be taken for the host.
        Ok(_) if text.split_once("://").is_some_and(|(_, rest)| rest.starts_with(['/', '?', '#', '\\'])) => {
            context.report(place, format!("missing host in `{name}`"));
            return None;
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        Ok(url) => {
            context.report(place, format!("unsupported scheme `{}` in `{name}`", url.scheme()));
            return None;
        }
        Err(error) => {
            context.report(place, format!("`{name}` is not an address: {error}"));
            return None;
        }
    };
    if !allow_link_local && let Err(refused) = daemon::http::check_target(&url) {
        context.report(place, refused.to_string());
        return None;
    }
    Some(SecretUrl(url))
}

/// Why Alertmanager cannot read an address that would be mended here instead: control characters,
/// and percent signs outside the query that begin no escape.
pub(super) fn unreadable_in_go(text: &str) -> Option<String> {
    if text.contains(|c: char| c.is_ascii_control()) {
        return Some("it has a control character, such as a line break, in it".to_owned());
    }
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let path = address.split('?').next().unwrap_or_default();
    let is_escape =
        |after: &str| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    let pieces = [path, fragment].into_iter().flat_map(|part| part.split('%').skip(1));
    let bad: String = pieces.into_iter().find(|after| !is_escape(after))?.chars().take(2).collect();
    Some(format!("`%{bad}` is no escape; write %25 for a percent sign"))
}

/// The receiver's own address, or else that of `global`, or else the service's.
pub(crate) fn target_or(
    context: &mut Context<'_>,
    place: Place,
    name: &str,
    given: [Option<&Spanned<String>>; 2],
    default: &str,
) -> Option<SecretUrl> {
    let [own, global] = given;
    let url = own.or(global);
    let text = url.map_or(default, |url| &url.value);
    check_target(context, url.map_or(place, Place::of), name, text, false)
}

/// A secret given inline or by file.
pub(crate) fn secret(
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

/// As [`secret`], from the receiver or else from `global`; it must be given.
pub(crate) fn required_secret(
    context: &mut Context<'_>,
    place: Place,
    name: &str,
    given: [(Option<&Secret>, Option<&PathBuf>); 2],
) -> Option<Secret> {
    let found = given.into_iter().find(|(inline, file)| inline.is_some() || file.is_some());
    let Some((inline, file)) = found else {
        context.report(place, format!("one of `{name}` and `{name}_file` must be set"));
        return None;
    };
    secret(context, place, name, inline, file)
}
