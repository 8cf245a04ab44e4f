//! Keeps pages of other sites from acting through a visitor's browser.
//!
//! A browser sends along what it may (a password that was typed before; on loopback nothing is asked
//! for), whichever page has it send a request. So a request that may change something, and the opening
//! of a web socket, are refused when the browser says that another site is behind them: by
//! `Sec-Fetch-Site`, or by an `Origin` that is neither the host asked nor `alerting.external_url`.
//! Programs send neither header and notice nothing.

use crate::external_url::ExternalUrl;
use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// The origin of `alerting.external_url`: where browsers see this server, should a proxy change the host.
#[derive(Clone, Default)]
pub(crate) struct Home(Option<Arc<str>>);

impl Home {
    pub(crate) fn of(external_url: Option<&ExternalUrl>) -> Self {
        Home(external_url.map(|url| url.origin().into()))
    }

    /// The answer to what another site asks for, `None` to everything else.
    pub(crate) fn refusal(&self, request: &Request) -> Option<Response> {
        if !is_from_another_site(request.method(), request.headers(), self.0.as_deref()) {
            return None;
        }
        let message = "another site asked for this; if it is this one, behind a proxy, set `alerting.external_url` to where browsers see it\n";
        Some((StatusCode::FORBIDDEN, message).into_response())
    }
}

fn is_from_another_site(method: &Method, headers: &HeaderMap, home: Option<&str>) -> bool {
    if method.is_safe() && !headers.contains_key(header::UPGRADE) {
        return false;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let origin = text(header::ORIGIN.as_str());
    let is_home = || origin.zip(home).is_some_and(|(origin, home)| origin.eq_ignore_ascii_case(home));
    let is_host = |origin: &str| {
        let asked = text(header::HOST.as_str()).unwrap_or("");
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        // A browser leaves out the port that its scheme has by itself; a proxy may write it.
        let port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return false,
        };
        host.eq_ignore_ascii_case(asked.strip_suffix(port).unwrap_or(asked))
    };
    match (text("sec-fetch-site"), origin) {
        // `none`: a person has typed it.
        (Some("same-origin" | "none"), _) | (None, None) => false,
        (Some(_), _) => !is_home(),
        (None, Some(origin)) => !is_host(origin) && !is_home(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let home = Some("https://monitor.example.org");
        let refused = |method: Method, given: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:9390".parse().unwrap());
            given.iter().for_each(|(name, value)| drop(headers.insert(*name, value.parse().unwrap())));
            is_from_another_site(&method, &headers, home)
        };
        let (site, evil) = ("sec-fetch-site", ("origin", "https://evil.example"));
        for given in [
            &[][..],
            &[(site, "same-origin")],
            &[(site, "none")],
            &[("origin", "http://127.0.0.1:9390")],
            &[("origin", "https://monitor.example.org")],
            &[("origin", "https://monitor.example.org"), (site, "cross-site")],
        ] {
            assert!(!refused(Method::POST, given), "{given:?}");
        }
        for given in [
            &[evil][..],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://127.0.0.1:3000"), (site, "same-site")],
            &[(site, "cross-site")],
        ] {
            assert!(refused(Method::POST, given) && refused(Method::DELETE, given), "{given:?}");
            assert!(!refused(Method::GET, given), "what only reads cannot be read by it: {given:?}");
        }
        assert!(refused(Method::GET, &[evil, ("upgrade", "websocket")]), "a live tail");
        assert!(!refused(Method::GET, &[("upgrade", "websocket")]));
    }

    #[test]
    fn a_port_that_goes_without_saying_may_be_said() {
        for (origin, host, expected) in [
            ("http://m.example.org", "m.example.org:80", false),
            ("https://m.example.org", "m.example.org:443", false),
            ("https://[::1]", "[::1]:443", false),
            ("https://m.example.org", "m.example.org", false),
            ("https://m.example.org", "m.example.org:80", true),
            ("http://m.example.org", "m.example.org:443", true),
            ("http://m.example.org:443", "m.example.org", true),
            ("https://m.example.org:8443", "m.example.org:443", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            assert_eq!(is_from_another_site(&Method::POST, &headers, None), expected, "{origin} at {host}");
        }
    }
}
