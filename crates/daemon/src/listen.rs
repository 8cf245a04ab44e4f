//! Addresses to listen on, as Prometheus' flags take them: `127.0.0.1:9390`, `[::1]:9390`,
//! `localhost:9390`, and `:9390` for all addresses of the host.

use crate::config::TextOrNumber;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};
use tokio::net::TcpListener;

/// An address to listen on. A name is looked up when it is read; of its addresses the first of
/// version 4 counts, and one of version 6 where there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl ListenAddress {
    /// Whether only this host can reach it.
    pub fn is_loopback(&self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }

    /// Listens for connections. All addresses are those of version 4 on a host that has no other.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn bind(&self) -> io::Result<TcpListener> {
        match TcpListener::bind(self.0).await {
            Err(error) if self.without_version_6(&error).is_some() => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.0.port())).await
            }
            bound => bound,
        }
    }

    /// What to listen on instead, on a host that does not know addresses of version 6.
    pub fn without_version_6(&self, error: &io::Error) -> Option<SocketAddr> {
        // EAFNOSUPPORT, as of kernels without version 6, has no kind of its own.
        let is_unknown = error.kind() == ErrorKind::AddrNotAvailable
            || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
        let is_all = self.0.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        (is_all && is_unknown).then(|| (Ipv4Addr::UNSPECIFIED, self.0.port()).into())
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        if host.is_empty() {
            return Ok(ListenAddress((Ipv6Addr::UNSPECIFIED, port).into()));
        }
        let unknown = |why: &dyn fmt::Display| format!("`{text}`: failed to look up `{host}`: {why}");
        let found: Vec<_> = (host, port).to_socket_addrs().map_err(|error| unknown(&error))?.collect();
        let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
        best.copied().map(ListenAddress).ok_or_else(|| unknown(&"it has no address"))
    }
}

/// Host and port, without looking the host up; it is empty where all addresses are meant.
///
/// # Errors
/// When it has not the form; the message says what to write.
pub fn split(text: &str) -> Result<(&str, u16), String> {
    let bad =
        || format!("`{text}` is no address to listen on; write 127.0.0.1:9390, or :9390 for all addresses");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        // What has colons belongs into brackets; a scheme or a path is of a URL.
        None => !host.contains([':', '/', '*', '[', ']']) && !host.contains(char::is_whitespace),
    };
    if is_host { Ok((bare.unwrap_or(host), port)) } else { Err(bad()) }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A port alone is a number.
        TextOrNumber::deserialize(deserializer)?.0.parse().map_err(D::Error::custom)
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_prometheus_reads_them() {
        for (text, expected) in [
            ("127.0.0.1:9390", "127.0.0.1:9390"),
            ("[::1]:9390", "[::1]:9390"),
            (":9390", "[::]:9390"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("localhost:9390", "127.0.0.1:9390"),
        ] {
            let read: ListenAddress = text.parse().unwrap();
            assert_eq!(read.to_string(), expected, "{text}");
            assert_eq!(read.is_loopback(), !matches!(text, ":9390" | "0.0.0.0:0"), "{text}");
        }
    }

    #[test]
    fn what_is_none_says_what_to_write() {
        for text in
            ["9390", "localhost", "", ":", ":http", "::1:9390", "*:9390", "http://x:9390", ":99999", "[x]:1"]
        {
            let message = text.parse::<ListenAddress>().unwrap_err();
            assert!(message.contains(":9390 for all addresses"), "{text}: {message}");
        }
        let message = "no-such-host.invalid:9390".parse::<ListenAddress>().unwrap_err();
        assert!(message.contains("failed to look up `no-such-host.invalid`"), "{message}");
    }

    #[test]
    fn all_addresses_are_those_of_version_4_where_there_is_no_other() {
        let refused = io::Error::from(ErrorKind::AddrNotAvailable);
        let all: ListenAddress = ":80".parse().unwrap();
        assert_eq!(all.without_version_6(&refused).map(|it| it.to_string()).as_deref(), Some("0.0.0.0:80"));
        assert_eq!(all.without_version_6(&ErrorKind::AddrInUse.into()), None);
        assert_eq!("[::1]:80".parse::<ListenAddress>().unwrap().without_version_6(&refused), None);
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_versions() {
        let listener = ":0".parse::<ListenAddress>().unwrap().bind().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    }
}
