//! The HTTP client: rustls with ring, system roots, no redirects, bounded waits.

use std::{net::IpAddr, time::Duration};

/// What callers choose.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// From connect to the last byte of the response.
    pub timeout: Duration,
    /// `User-Agent` header.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            timeout: Duration::from_secs(30),
            user_agent: concat!("Bellwether/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A client. Redirects are not followed: a redirect would carry credentials elsewhere.
///
/// # Errors
/// When the TLS backend cannot start.
pub fn client(options: &ClientOptions) -> Result<reqwest::Client, reqwest::Error> {
    super::tls::install_provider();
    reqwest::Client::builder()
        .timeout(options.timeout)
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(&options.user_agent)
        .tcp_nodelay(true)
        .build()
}

/// A webhook target that is refused unless allowed by configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is a link-local address, where cloud metadata services live; set `allow_link_local: true` to allow it"
)]
pub struct TargetRefused(pub String);

/// Refuses URLs whose host is literally a link-local address (169.254.0.0/16, fe80::/10).
///
/// # Errors
/// When the host is one.
pub fn check_target(url: &reqwest::Url) -> Result<(), TargetRefused> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let link_local = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(|mapped| mapped.is_link_local())
        }
        Err(_) => false,
    };
    if link_local { Err(TargetRefused(host.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_targets_are_refused_in_every_spelling() {
        for (url, refused) in [
            ("http://169.254.169.254/latest", true),
            ("http://[fe80::1]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://2852039166/", true),
            ("http://127.0.0.1:9/", false),
            ("https://hooks.example.org/x", false),
        ] {
            assert_eq!(check_target(&url.parse().unwrap()).is_err(), refused, "{url}");
        }
    }
}
