//! The HTTP client: rustls with ring, system roots, no redirects unless asked for, bounded waits.

use reqwest::{
    Certificate, Identity, NoProxy, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::HeaderMap,
    redirect,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Redirects followed at most, where they are followed at all.
const REDIRECTS_MAX: usize = 5;

/// What callers choose.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// From connect to the last byte of the response.
    pub timeout: Duration,
    /// `User-Agent` header.
    pub user_agent: String,
    /// Whether names that resolve to link-local addresses may be connected to.
    pub link_local: LinkLocal,
    /// Whether redirects are followed.
    pub redirects: Redirects,
    /// Where connections go, whatever host a URL names: for a server whose certificate has a name under
    /// which it is not reached. Only HTTP/1 is spoken then.
    pub connect_to: Option<String>,
    /// A proxy for every request.
    pub proxy: Option<Url>,
    /// Without `proxy`: whether those that the environment names (`HTTPS_PROXY`, `NO_PROXY`) are used.
    pub proxy_from_environment: bool,
    /// Hosts, domains and networks that are reached without the proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// What the proxy is shown when a tunnel is asked for.
    pub proxy_headers: HeaderMap,
    /// How the server is recognised, and we by it.
    pub tls: ClientTls,
}

/// See [`ClientOptions::link_local`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkLocal {
    /// Yes.
    #[default]
    Allowed,
    /// No: cloud metadata services live there. Judged after resolving, so that a name does not
    /// hide an address; literal addresses are for [`check_target`].
    Refused,
}

/// See [`ClientOptions::redirects`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// Never: a redirect would carry credentials elsewhere.
    #[default]
    Never,
    /// To the same scheme, host and port only.
    SameOrigin,
}

/// See [`ClientOptions::tls`]. Texts are PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities to believe instead of the system's.
    pub ca_pem: Option<String>,
    /// Our certificate and its key, one after the other.
    pub identity_pem: Option<String>,
    /// Whether any certificate is believed.
    pub insecure_skip_verify: bool,
    /// The oldest version that may be spoken.
    pub version_min: Option<TlsVersion>,
    /// The newest.
    pub version_max: Option<TlsVersion>,
}

/// A version of TLS. Older ones are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

impl From<TlsVersion> for reqwest::tls::Version {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::Tls12 => reqwest::tls::Version::TLS_1_2,
            TlsVersion::Tls13 => reqwest::tls::Version::TLS_1_3,
        }
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls")
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish_non_exhaustive()
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            timeout: Duration::from_secs(30),
            user_agent: concat!("Bellwether/", env!("CARGO_PKG_VERSION")).to_owned(),
            link_local: LinkLocal::Allowed,
            redirects: Redirects::Never,
            connect_to: None,
            proxy: None,
            proxy_from_environment: true,
            no_proxy: None,
            proxy_headers: HeaderMap::new(),
            tls: ClientTls::default(),
        }
    }
}

/// A client.
///
/// # Errors
/// When a certificate or key cannot be read, or the TLS backend cannot start.
pub fn client(options: &ClientOptions) -> Result<reqwest::Client, reqwest::Error> {
    super::tls::install_provider();
    let mut builder = reqwest::Client::builder()
        .timeout(options.timeout)
        .connect_timeout(Duration::from_secs(10))
        .redirect(policy(options.redirects))
        .user_agent(&options.user_agent)
        .tcp_nodelay(true);
    if options.link_local == LinkLocal::Refused {
        builder = builder.dns_resolver(Arc::new(Guarded));
    }
    if let Some(host) = &options.connect_to {
        // With HTTP/2 the name of the certificate would be taken for that of the host asked for.
        builder = builder.dns_resolver(Arc::new(Elsewhere(host.clone()))).http1_only();
    }
    if let Some(proxy) = &options.proxy {
        let except = options.no_proxy.as_deref().and_then(NoProxy::from_string);
        // The headers are for tunnels: a request that the proxy passes on would carry them further.
        let tunnel = reqwest::Proxy::https(proxy.clone())?.headers(options.proxy_headers.clone());
        let plain = reqwest::Proxy::http(proxy.clone())?;
        builder = builder.proxy(tunnel.no_proxy(except.clone())).proxy(plain.no_proxy(except));
    } else if !options.proxy_from_environment {
        builder = builder.no_proxy();
    }
    if let Some(pem) = &options.tls.ca_pem {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?);
    }
    if let Some(pem) = &options.tls.identity_pem {
        builder = builder.identity(Identity::from_pem(pem.as_bytes())?);
    }
    if options.tls.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(version) = options.tls.version_min {
        builder = builder.tls_version_min(version.into());
    }
    if let Some(version) = options.tls.version_max {
        builder = builder.tls_version_max(version.into());
    }
    builder.build()
}

/// The error and its causes, and what to do where it is told by them: the two ends do not both speak TLS.
pub fn explain(error: &reqwest::Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let hint = if message.contains("InvalidContentType") {
        "; does the server speak plain HTTP there? Then write http:// instead of https://"
    } else if message.contains("invalid HTTP version parsed") {
        "; does the server speak TLS there? Then write https:// instead of http://"
    } else {
        ""
    };
    message + hint
}

fn policy(redirects: Redirects) -> redirect::Policy {
    if redirects == Redirects::Never {
        return redirect::Policy::none();
    }
    redirect::Policy::custom(|attempt| {
        let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
        match (same, attempt.previous().len() > REDIRECTS_MAX) {
            (true, false) => attempt.follow(),
            _ => attempt.stop(),
        }
    })
}

/// The system's resolver without link-local addresses.
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| !is_link_local(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(TargetRefused(name).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Every name is at this host.
struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A webhook target that is refused unless allowed by configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is a link-local address, where cloud metadata services live; set `allow_link_local: true` to allow it"
)]
pub struct TargetRefused(pub String);

/// Refuses URLs whose host is literally a link-local address (169.254.0.0/16, fe80::/10), or one of
/// version 6 that stands for such.
///
/// # Errors
/// When the host is one.
pub fn check_target(url: &reqwest::Url) -> Result<(), TargetRefused> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if host.parse::<IpAddr>().is_ok_and(is_link_local) { Err(TargetRefused(host.to_owned())) } else { Ok(()) }
}

/// What stands before an address of version 4 in one of version 6: nothing, the mark of a mapped
/// one, and the network of translators (NAT64).
const EMBEDDING: [u128; 3] = [0, 0xffff, 0x0064_ff9b << 64];
/// `fd00:ec2::/32`, where Amazon's metadata service is for version 6.
const METADATA_V6: [u16; 2] = [0xfd00, 0x0ec2];

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            let [first, second, .., high, low] = address.segments();
            let embedded = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
            let rest = address.to_bits() >> 32;
            address.is_unicast_link_local()
                || (EMBEDDING.contains(&rest) && embedded.is_link_local())
                || [first, second] == METADATA_V6
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn link_local_targets_are_refused_in_every_spelling() {
        for (url, refused) in [
            ("http://169.254.169.254/latest", true),
            ("http://[fe80::1]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://2852039166/", true),
            ("http://[64:ff9b::169.254.169.254]/", true),
            ("http://[::169.254.169.254]/", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://[64:ff9b::10.0.0.1]/", false),
            ("http://[fd00::1]/", false),
            ("http://[::1]/", false),
            ("http://127.0.0.1:9/", false),
            ("https://hooks.example.org/x", false),
        ] {
            assert_eq!(check_target(&url.parse().unwrap()).is_err(), refused, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let found = Guarded.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.count() > 0);
        // The resolver takes literals for names too, which spares the test a name server.
        let refused = Guarded.resolve("169.254.169.254".parse().unwrap()).await.err().unwrap();
        assert!(refused.to_string().contains("link-local"), "{refused}");
    }

    /// What a proxy is sent first when `url` is asked for through it.
    async fn seen_by_a_proxy(url: &str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = ClientOptions {
            proxy: Some(format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()),
            proxy_headers: HeaderMap::from_iter([("x-proxy".parse().unwrap(), "s3cret".parse().unwrap())]),
            ..ClientOptions::default()
        };
        let request = client(&options).unwrap().get(url).send();
        let proxy = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            String::from_utf8(head).unwrap()
        };
        let (_, head) = tokio::join!(request, proxy);
        head
    }

    #[tokio::test]
    async fn what_a_proxy_is_shown_goes_no_further() {
        let tunnel = seen_by_a_proxy("https://hooks.example.org/x").await;
        assert!(tunnel.starts_with("CONNECT ") && tunnel.contains("x-proxy: s3cret"), "{tunnel}");
        let plain = seen_by_a_proxy("http://hooks.example.org/x").await;
        assert!(plain.starts_with("GET http://") && !plain.contains("s3cret"), "{plain}");
    }

    #[tokio::test]
    async fn the_other_kind_of_address_is_hinted_at() {
        for (scheme, answer, hint) in [
            ("https", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "http:// instead of https://"),
            // A TLS alert: an unexpected message.
            ("http", &[21, 3, 3, 0, 2, 2, 10], "https:// instead of http://"),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
            let request = client(&ClientOptions::default()).unwrap().get(url).send();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_u8().await.unwrap();
                stream.write_all(answer).await.unwrap();
                stream
            };
            let (answered, _stream) = tokio::join!(request, server);
            let message = explain(&answered.unwrap_err());
            assert!(message.contains(hint), "{message}");
        }
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let tls = ClientTls {
            ca_pem: Some("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n".into()),
            ..ClientTls::default()
        };
        assert!(client(&ClientOptions { tls, ..ClientOptions::default() }).is_err());
        let proxy = Some("http://127.0.0.1:1/".parse().unwrap());
        assert!(
            client(&ClientOptions { proxy, redirects: Redirects::SameOrigin, ..ClientOptions::default() })
                .is_ok()
        );
    }
}
