//! How a server is reached: through which proxy, and with which TLS.

use super::{
    Context,
    http::{HeaderValues, SecretUrl, unreadable_in_go},
    tls::TlsYaml,
};
use crate::{notify::http::describe, problem::Place};
use daemon::http::{ClientOptions, ClientTls, LinkLocal, Redirects};
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, net::IpAddr};

/// The settings as written, wherever they stand.
pub(super) struct Written<'a> {
    pub(super) tls: Option<&'a TlsYaml>,
    pub(super) proxy_url: Option<&'a Spanned<String>>,
    pub(super) no_proxy: Option<&'a Spanned<String>>,
    pub(super) proxy_connect_header: &'a BTreeMap<String, HeaderValues>,
    pub(super) proxy_from_environment: bool,
    pub(super) follow_redirects: bool,
    pub(super) allow_link_local: bool,
}

/// What a client of its own is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Connection {
    tls: ClientTls,
    proxy: Option<SecretUrl>,
    no_proxy: Option<String>,
    proxy_headers: HeaderMap,
    proxy_from_environment: bool,
    follow_redirects: bool,
    allow_link_local: bool,
}

impl Written<'_> {
    pub(super) fn read(&self, context: &mut Context<'_>, place: Place) -> Connection {
        let proxy = self.proxy_url.and_then(|url| proxy(context, url));
        if let (Some(except), None) = (self.no_proxy, self.proxy_url) {
            context.report(Place::of(except), "`no_proxy` is of use with `proxy_url` only");
        }
        if !self.proxy_connect_header.is_empty() && self.proxy_url.is_none() {
            context.report(place, "`proxy_connect_header` is of use with `proxy_url` only");
        }
        if self.proxy_from_environment && self.proxy_url.is_some() {
            context.report(place, "at most one of `proxy_url` and `proxy_from_environment` must be set");
        }
        Connection {
            tls: self.tls.map(|tls| client_tls(tls, context, place)).unwrap_or_default(),
            proxy,
            no_proxy: self.no_proxy.map(|except| no_proxy(context, except)),
            proxy_headers: self.proxy_headers(context, place),
            proxy_from_environment: self.proxy_from_environment,
            follow_redirects: self.follow_redirects,
            allow_link_local: self.allow_link_local,
        }
    }

    fn proxy_headers(&self, context: &mut Context<'_>, place: Place) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in self.proxy_connect_header {
            for value in values.0.iter() {
                let read = HeaderName::from_bytes(name.as_bytes())
                    .ok()
                    .zip(HeaderValue::from_str(value.expose()).ok());
                let Some((name, mut value)) = read else {
                    context.report(place, format!("`{name}` in `proxy_connect_header` is not a header"));
                    continue;
                };
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        headers
    }
}

fn client_tls(tls: &TlsYaml, context: &mut Context<'_>, place: Place) -> ClientTls {
    if let Some(name) = &tls.server_name {
        let message = "`server_name` is not supported for receivers by HTTP: the name of the address is what \
                       the certificate must have; use an address with that name";
        context.report(Place::of(name), message);
    }
    let identity = tls.identity(context, place);
    let [version_min, version_max] = tls.versions(context);
    ClientTls {
        ca_pem: tls.authorities(context, place),
        identity_pem: identity.map(|[cert, key]| format!("{}\n{}\n", cert.expose(), key.expose())),
        insecure_skip_verify: tls.insecure_skip_verify,
        version_min,
        version_max,
    }
}

fn proxy(context: &mut Context<'_>, text: &Spanned<String>) -> Option<SecretUrl> {
    match Url::parse(&text.value) {
        Ok(url)
            if unreadable_in_go(&text.value).is_none()
                && matches!(url.scheme(), "http" | "https")
                && url.has_host() =>
        {
            Some(SecretUrl(url))
        }
        _ => {
            context.report(Place::of(text), "`proxy_url` must be an http or https address");
            None
        }
    }
}

/// The list as it is read by the client: it knows hosts, `.domain`, addresses and networks.
fn no_proxy(context: &mut Context<'_>, written: &Spanned<String>) -> String {
    let mut entries = Vec::new();
    for entry in written.value.split(',').map(str::trim) {
        if entry.contains([':', '/']) && !is_network(entry) {
            let message = format!(
                "`{entry}` in `no_proxy` never matches: name a host, a domain, an address or a network, without a port"
            );
            context.report(Place::of(written), message);
        }
        match entry.strip_prefix('*') {
            // For the client this is every name and no address.
            Some("") => entries.extend(["*", "0.0.0.0/0", "::/0"]),
            Some(domain) if domain.starts_with('.') => entries.push(domain),
            _ => entries.push(entry),
        }
    }
    entries.join(",")
}

/// Whether it is an address, or one with the bits that count behind a slash.
fn is_network(entry: &str) -> bool {
    let (address, bits) =
        entry.split_once('/').map_or((entry, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

impl Connection {
    /// A client, when the shared one does not do.
    pub(super) fn client(&self, context: &mut Context<'_>, place: Place) -> Option<reqwest::Client> {
        if *self == Connection::default() {
            return None;
        }
        let options = ClientOptions {
            link_local: if self.allow_link_local { LinkLocal::Allowed } else { LinkLocal::Refused },
            redirects: if self.follow_redirects { Redirects::SameOrigin } else { Redirects::Never },
            proxy: self.proxy.as_ref().map(|proxy| proxy.expose().clone()),
            no_proxy: self.no_proxy.clone(),
            proxy_headers: self.proxy_headers.clone(),
            proxy_from_environment: self.proxy_from_environment,
            tls: self.tls.clone(),
            ..ClientOptions::default()
        };
        match daemon::http::client(&options) {
            Ok(client) => Some(client),
            Err(error) => {
                context.report(place, format!("`http_config` cannot be used: {}", describe(&error)));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, problems};

    #[tokio::test]
    async fn some_are_reached_without_the_proxy() {
        for (except, expected) in [
            ("example.invalid", "nobody"),
            (".example.invalid", "nobody"),
            ("10.0.0.0/8, *.example.invalid", "nobody"),
            ("*.example.com, fd00::/8, ::1", "proxy"),
        ] {
            let proxy = Sink::start(&[]).await;
            let config = format!(
                "webhook_configs: [{{url: 'http://hooks.example.invalid:1/', timeout: 2s, http_config: {{proxy_url: '{}', no_proxy: '{except}'}}}}]",
                proxy.url
            );
            let sent = proxy.send(&config, firing()).await;
            let taken_by = if proxy.count() > 0 { "proxy" } else { "nobody" };
            assert_eq!((taken_by, sent.is_ok()), (expected, expected == "proxy"), "{except}: {sent:?}");
        }
    }

    #[tokio::test]
    async fn an_asterisk_stands_for_addresses_too() {
        for host in ["127.0.0.1", "[::1]", "hooks.example.invalid"] {
            let proxy = Sink::start(&[]).await;
            let config = format!(
                "webhook_configs: [{{url: 'http://{host}:1/', timeout: 2s, http_config: {{proxy_url: '{}', no_proxy: 'x, *'}}}}]",
                proxy.url
            );
            let sent = proxy.send(&config, firing()).await;
            assert_eq!((proxy.count(), sent.is_ok()), (0, false), "{host}: {sent:?}");
        }
    }

    #[test]
    fn the_environment_is_asked_for_a_proxy_only_without_one() {
        let both = "webhook_configs: [{url: 'http://h', http_config: {proxy_url: 'http://p', proxy_from_environment: true}}]";
        assert!(problems(both)[0].contains("at most one"));
        assert_eq!(problems(&both.replace("proxy_url: 'http://p', ", "")), Vec::<String>::new());
    }

    #[test]
    fn what_would_never_be_reached_without_the_proxy_is_named() {
        let written = |except: &str| {
            format!(
                "webhook_configs: [{{url: 'http://h', http_config: {{proxy_url: 'http://p', no_proxy: '{except}'}}}}]"
            )
        };
        assert_eq!(problems(&written("::1, fd00::/8, 10.0.0.1, *.example.org, *")), Vec::<String>::new());
        for entry in [
            "example.org:8080",
            "10.0.0.1:80",
            "[::1]:80",
            "http://example.org",
            "example.org/path",
            "10.0.0.0/33",
            "fd00::/129",
        ] {
            let found = problems(&written(entry));
            assert!(found.len() == 1 && found[0].contains(&format!("`{entry}`")), "{entry}: {found:?}");
        }
    }
}
