//! Who may do what.
//!
//! On loopback nothing is asked of a caller, unless `auth.mode: always`. Beyond loopback a
//! listener is refused unless tokens are configured, and then every route but health asks for
//! one: as `Authorization: Bearer TOKEN`, or as the password of HTTP Basic, which lets a browser
//! open the page.
//!
//! Tokens are compared by their SHA-256, in constant time, so that neither memory nor timing
//! gives one away.

use crate::{app::AppState, config::TokenConfig};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{AppendHeaders, IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use daemon::{Secret, SecretError};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a caller may do; each role may do all that the ones before it may, except that an agent
/// only writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes metrics and logs.
    Agent,
    /// Reads.
    Viewer,
    /// Silences and reloads.
    Operator,
    /// Everything, deletion included.
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    fn may(self, needed: Role) -> bool {
        match (self, needed) {
            (Role::Admin, _) => true,
            (Role::Agent, _) | (_, Role::Agent) => self == needed,
            _ => self >= needed,
        }
    }
}

/// A token's hash and what it allows.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    name: Arc<str>,
    role: Role,
    hash: [u8; 32],
}

/// With which token a request came, for the log; an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct TokenName(pub Arc<str>);

/// Why a token's configuration is refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(crate) enum TokenError {
    #[error("token `{name}`: {error}")]
    Secret { name: String, error: SecretError },
    #[error("token `{0}`: give exactly one of `token`, `token_file` or `sha256`")]
    NoSecret(String),
    #[error("token `{0}`: `sha256` must be 64 hexadecimal digits, as `bellwether token` prints them")]
    BadHash(String),
    #[error("token `{0}`: shorter than 16 characters; make one with `bellwether token`")]
    TooShort(String),
    #[error("tokens `{0}` and `{1}` have one value, so a caller could be either; give each its own")]
    Same(String, String),
}

/// Reads configured tokens.
///
/// # Errors
/// When one has no secret, several, or a bad one, and when two have the same.
pub(crate) fn tokens(configured: &[TokenConfig]) -> Result<Vec<Token>, TokenError> {
    let mut tokens: Vec<Token> = Vec::with_capacity(configured.len());
    for config in configured {
        let token = token(config)?;
        if let Some(other) = tokens.iter().find(|other| other.hash == token.hash) {
            return Err(TokenError::Same(other.name.to_string(), token.name.to_string()));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn token(config: &TokenConfig) -> Result<Token, TokenError> {
    let name = config.name.clone();
    let secret = Secret::resolve("token", config.token.as_ref(), config.token_file.as_deref())
        .map_err(|error| TokenError::Secret { name: name.clone(), error })?;
    let hash = match (secret, &config.sha256) {
        (Some(secret), None) if secret.expose().len() < 16 => return Err(TokenError::TooShort(name)),
        (Some(secret), None) => hash(secret.expose()),
        (None, Some(text)) => from_hex(text).ok_or_else(|| TokenError::BadHash(name.clone()))?,
        _ => return Err(TokenError::NoSecret(name)),
    };
    Ok(Token { name: name.into(), role: config.role, hash })
}

pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.trim().as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// The role a request needs, `None` for health, which everybody may ask, and for webhooks of git
/// servers, which are signed.
fn needed_role(method: &Method, path: &str) -> Option<Role> {
    let path =
        path.strip_prefix("/prometheus").or_else(|| path.strip_prefix("/alertmanager")).unwrap_or(path);
    let is_git_hook = path.starts_with("/api/bellwether/v1/rules/git/") && path.ends_with("/hook");
    if matches!(path, "/-/healthy" | "/-/ready" | "/ready") || is_git_hook {
        return None;
    }
    let writes = [
        "/api/v1/otlp/",
        "/api/v1/write",
        "/api/v2/write",
        "/elasticsearch",
        "/insert/",
        "/loki/api/v1/push",
        "/otlp/",
        "/services/collector",
        "/upload",
        "/v1/logs",
        "/v1/metrics",
        "/write",
    ];
    if writes.iter().any(|prefix| path.starts_with(prefix)) || path.ends_with("/_bulk") {
        return Some(Role::Agent);
    }
    if path.contains("/admin/")
        || path == "/loki/api/v1/delete"
        || *method == Method::DELETE && path.contains("/hosts/")
    {
        return Some(Role::Admin);
    }
    let changes = path == "/-/reload"
        || path == "/api/bellwether/v1/rules/replay"
        || (path.starts_with("/api/v2/") || path.starts_with("/api/bellwether/v1/alerting/"))
            && *method != Method::GET;
    Some(if changes { Role::Operator } else { Role::Viewer })
}

/// The tokens of a listener that asks for one.
#[derive(Clone)]
pub(crate) struct Guard(pub Arc<[Token]>);

/// Lets a request through when its token allows it.
pub(crate) async fn authorize(
    State((guard, _app)): State<(Guard, AppState)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(needed) = needed_role(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let Some(presented) = presented_token(request.headers()) else {
        return refuse(StatusCode::UNAUTHORIZED, "a bearer token is required");
    };
    let presented = hash(&presented);
    let found = guard
        .0
        .iter()
        .fold(None, |found, token| if same(&token.hash, &presented) { Some(token) } else { found });
    match found {
        None => refuse(StatusCode::UNAUTHORIZED, "unknown token"),
        Some(token) if !token.role.may(needed) => {
            tracing::info!(
                token = &*token.name,
                path = request.uri().path(),
                "token lacks the role for this request"
            );
            let (own, needed) = (token.role.name(), needed.name());
            refuse(
                StatusCode::FORBIDDEN,
                &format!("this token has the role {own}; this takes the role {needed}"),
            )
        }
        Some(token) => {
            request.extensions_mut().insert(TokenName(token.name.clone()));
            next.run(request).await
        }
    }
}

/// Compares without an early exit.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn presented_token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    // `Token` is how InfluxDB's clients call a bearer token, `Splunk` how those of its collector do.
    if ["bearer", "token", "splunk"].iter().any(|bearer| scheme.eq_ignore_ascii_case(bearer)) {
        return Some(rest.trim().to_owned());
    }
    // Elasticsearch's clients send `ApiKey` with base64 of `id:key`, which is as Basic is.
    if !scheme.eq_ignore_ascii_case("basic") && !scheme.eq_ignore_ascii_case("apikey") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let (_user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

/// Each scheme is offered in a header of its own: browsers take a line for one challenge, so that
/// they would not ask for a password when `Bearer` stands before `Basic` in it.
fn refuse(status: StatusCode, message: &str) -> Response {
    let challenges = AppendHeaders([
        (header::WWW_AUTHENTICATE, r#"Basic realm="Bellwether", charset="UTF-8""#),
        (header::WWW_AUTHENTICATE, r#"Bearer realm="Bellwether""#),
    ]);
    (status, challenges, format!("{message}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_but_health_needs_a_role() {
        for (method, path, role) in [
            (Method::GET, "/-/healthy", None),
            (Method::GET, "/prometheus/-/ready", None),
            (Method::GET, "/", Some(Role::Viewer)),
            (Method::GET, "/metrics", Some(Role::Viewer)),
            (Method::POST, "/api/v1/write", Some(Role::Agent)),
            (Method::POST, "/prometheus/api/v1/write", Some(Role::Agent)),
            (Method::POST, "/api/v2/write", Some(Role::Agent)),
            (Method::POST, "/write", Some(Role::Agent)),
            (Method::POST, "/_bulk", Some(Role::Agent)),
            (Method::PUT, "/logs/_bulk", Some(Role::Agent)),
            (Method::GET, "/elasticsearch", Some(Role::Agent)),
            (Method::POST, "/services/collector/event", Some(Role::Agent)),
            (Method::POST, "/insert/jsonline", Some(Role::Agent)),
            (Method::POST, "/upload", Some(Role::Agent)),
            (Method::POST, "/api/v1/query", Some(Role::Viewer)),
            (Method::POST, "/api/v2/silences", Some(Role::Operator)),
            (Method::DELETE, "/alertmanager/api/v2/silence/x", Some(Role::Operator)),
            (Method::POST, "/-/reload", Some(Role::Operator)),
            (Method::POST, "/api/bellwether/v1/alerting/notify/test/ops", Some(Role::Operator)),
            (Method::GET, "/api/bellwether/v1/alerting/history", Some(Role::Viewer)),
            (Method::POST, "/api/v1/admin/tsdb/delete_series", Some(Role::Admin)),
        ] {
            assert_eq!(needed_role(&method, path), role, "{path}");
        }
    }

    #[test]
    fn a_refusal_offers_each_scheme_in_a_header_of_its_own() {
        let refusal = refuse(StatusCode::UNAUTHORIZED, "a bearer token is required");
        let offered: Vec<_> = refusal.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
        assert_eq!(offered.len(), 2, "{offered:?}");
        assert!(offered.iter().any(|offer| offer.as_bytes().starts_with(b"Basic ")), "{offered:?}");
        assert!(offered.iter().any(|offer| offer.as_bytes().starts_with(b"Bearer ")), "{offered:?}");
    }

    #[test]
    fn roles_include_the_weaker_ones_but_agents_only_write() {
        assert!(
            Role::Admin.may(Role::Agent) && Role::Operator.may(Role::Viewer) && Role::Agent.may(Role::Agent)
        );
        assert!(
            !Role::Agent.may(Role::Viewer)
                && !Role::Operator.may(Role::Agent)
                && !Role::Viewer.may(Role::Operator)
        );
    }

    #[test]
    fn tokens_come_by_bearer_or_by_basic() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            presented_token(&headers)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("Token abc").as_deref(), Some("abc"));
        assert_eq!(with(&format!("Basic {}", BASE64_STANDARD.encode("me:a:b"))).as_deref(), Some("a:b"));
        assert_eq!(with("Digest x"), None);
    }

    #[test]
    fn a_token_needs_exactly_one_secret() {
        let config = |token: Option<&str>, sha256: Option<&str>| TokenConfig {
            name: "ops".into(),
            role: Role::Viewer,
            token: token.map(Secret::new),
            token_file: None,
            sha256: sha256.map(str::to_owned),
        };
        let good = "0123456789abcdef";
        assert_eq!(token(&config(Some(good), None)).unwrap().hash, hash(good));
        let hex: String = hash(good).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(token(&config(None, Some(&hex))).unwrap().hash, hash(good));
        for bad in [
            config(None, None),
            config(Some(good), Some(&hex)),
            config(Some("short"), None),
            config(None, Some("xyz")),
        ] {
            assert!(token(&bad).is_err());
        }
        let named = |name: &str, config: TokenConfig| TokenConfig { name: name.into(), ..config };
        let same = [named("a", config(Some(good), None)), named("b", config(None, Some(&hex)))];
        let error = tokens(&same).unwrap_err().to_string();
        assert!(error.starts_with("tokens `a` and `b` have one value"), "{error}");
        assert_eq!(tokens(&same[..1]).unwrap().len(), 1);
    }
}
