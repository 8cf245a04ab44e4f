//! `ip("10.0.0.0/8")`: addresses, networks and ranges, in label values and anywhere in lines.

use std::net::IpAddr;

/// What addresses are wanted: all from `first` to `last`, of one family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct IpMatcher {
    first: u128,
    last: u128,
    is_v4: bool,
}

impl IpMatcher {
    /// Reads an address, `network/bits`, or `first-last`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        range_of(text.trim()).ok_or_else(|| format!("ip: invalid pattern: {text:?}"))
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (is_v4, number) = to_number(address);
        is_v4 == self.is_v4 && (self.first..=self.last).contains(&number)
    }

    /// Whether a wanted address stands anywhere in the text.
    pub(super) fn is_in_text(&self, text: &str) -> bool {
        let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
        text.split(|c: char| !is_part(c)).any(|word| self.is_in_word(word))
    }

    fn is_in_word(&self, word: &str) -> bool {
        if word.len() < 2 || !word.contains(['.', ':']) {
            return false;
        }
        // An address may have punctuation or a port behind it, or a key in front. The longest
        // reading that is an address counts: `2001:db8::1` is not `db8::1` behind a key.
        let trimmed = word.trim_end_matches(['.', ':']);
        let without_port = trimmed.rsplit_once(':').map(|(host, _)| host);
        let behind_key = trimmed.split_once(':').map(|(_, rest)| rest);
        let mut readings = [Some(word), Some(trimmed), without_port, behind_key].into_iter().flatten();
        readings.find_map(|reading| reading.parse().ok()).is_some_and(|address| self.contains(address))
    }
}

fn to_number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(v4) => (true, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => (true, u128::from(u32::from(v4))),
            None => (false, u128::from(v6)),
        },
    }
}

fn range_of(text: &str) -> Option<IpMatcher> {
    if let Some((network, bits)) = text.split_once('/') {
        let (is_v4, number) = to_number(network.parse().ok()?);
        let width: u32 = if is_v4 { 32 } else { 128 };
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= width)?;
        let host_bits = width - bits;
        let mask = if host_bits >= 128 { u128::MAX } else { (1u128 << host_bits) - 1 };
        return Some(IpMatcher { first: number & !mask, last: number | mask, is_v4 });
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (is_v4, first) = to_number(first.trim().parse().ok()?);
    let (last_is_v4, last) = to_number(last.trim().parse().ok()?);
    (is_v4 == last_is_v4 && first <= last).then_some(IpMatcher { first, last, is_v4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_text() {
        for (pattern, text, expected) in [
            ("203.0.113.7", "from 203.0.113.7:443 ok", true),
            ("203.0.113.0/24", "x=203.0.113.99,", true),
            ("203.0.113.0/24", "203.0.114.1", false),
            ("10.1.2.3-10.1.6.10", "a 10.1.4.255.", true),
            ("2001:db8::/32", "[2001:db8::1f]:80", true),
            ("::1", "at ::1 now", true),
            ("0.0.0.0/0", "12:30:01 no address 1.2", false),
            ("db8::/16", "2001:db8::1f", false),
            ("10.0.0.0/8", "10.1.2.3:443", true),
        ] {
            assert_eq!(IpMatcher::parse(pattern).unwrap().is_in_text(text), expected, "{pattern} in {text}");
        }
        for bad in ["999.1.1.1", "1.2.3.4/99", "junk", "1.2.3.4-::1"] {
            assert!(IpMatcher::parse(bad).is_err());
        }
    }
}
