//! `syslog` in the configuration file.

use crate::config::Bytes;
use daemon::ListenAddress;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{net::IpAddr, path::PathBuf, str::FromStr};

/// Listeners for syslog; none by default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogConfig {
    /// For UDP.
    pub udp: Option<ListenAddress>,
    /// For TCP.
    pub tcp: Option<ListenAddress>,
    /// For TLS.
    pub tls: Option<SyslogTls>,
    /// Who may send from beyond loopback.
    pub allow_from: Vec<Network>,
    /// A longer message is cut.
    pub message_bytes_max: Bytes,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        SyslogConfig {
            udp: None,
            tcp: None,
            tls: None,
            allow_from: Vec::new(),
            message_bytes_max: Bytes(64 << 10),
        }
    }
}

/// The TLS listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogTls {
    /// Where.
    pub listen: ListenAddress,
    /// The certificate and the chain behind it, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Senders must show a certificate that one of these signed.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}

/// A network as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// Whether a sender at `address` may send.
pub(super) fn is_allowed(networks: &[Network], address: IpAddr) -> bool {
    address.to_canonical().is_loopback() || networks.iter().any(|network| network.contains(address))
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("not a network: `{text}`; write 10.0.0.0/8 or 2001:db8::/32");
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(longest), |bits| bits.trim().parse::<u8>().map_err(|_| bad()))?;
        if bits > longest { Err(bad()) } else { Ok(Network { address, bits }) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.address, self.bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let networks = [network.parse().unwrap()];
            assert_eq!(is_allowed(&networks, address.parse().unwrap()), expected, "{network} {address}");
        }
        assert!(
            is_allowed(&[], "127.0.0.1".parse().unwrap()) && !is_allowed(&[], "10.0.0.1".parse().unwrap())
        );
        for bad in ["10.0.0.0/33", "10.0.0", "", "::/129", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
