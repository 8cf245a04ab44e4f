//! Label sets in one flat allocation.
//!
//! Layout: for each pair, in ascending order of name: LEB128 length and bytes of the name, then
//! of the value. Equal sets have equal bytes, so hashing and equality never decode; a batch can
//! carry thousands of sets in one buffer ([`LabelsRef`]).
//!
//! Invariants: names are unique, non-empty and sorted bytewise; values are non-empty (an empty
//! value means that the label is absent); both are UTF-8.

use crate::quote::Quoted;
use std::{cmp::Ordering, fmt, sync::Arc};

/// An owned, cheaply cloned label set.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

/// A borrowed label set in the same layout.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LabelsRef<'a>(&'a [u8]);

impl Default for Labels {
    fn default() -> Self {
        Labels(Arc::from([].as_slice()))
    }
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Self::default()
    }

    /// From pairs in any order; a later duplicate wins and empty values are left out.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// The borrowed form.
    pub fn as_ref(&self) -> LabelsRef<'_> {
        LabelsRef(&self.0)
    }

    /// Name and value pairs in ascending order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.as_ref().iter()
    }

    /// The value of `name`, or `None` when absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.as_ref().get(name)
    }

    /// The value of `name`, or "" when absent, as matchers see it.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The value of `__name__`, or "".
    pub fn metric_name(&self) -> &str {
        self.value(crate::METRIC_NAME)
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        // Two fields a pair, of which none is looked at.
        let mut rest = &*self.0;
        std::iter::from_fn(|| take(&mut rest)).count() / 2
    }

    /// A builder that starts from this set.
    pub fn to_builder(&self) -> LabelsBuilder {
        let mut builder = LabelsBuilder::default();
        for (name, value) in self.iter() {
            builder.pairs.push((name.to_owned(), value.to_owned()));
        }
        builder
    }

    /// This set without the named labels.
    pub fn without(&self, names: &[&str]) -> Labels {
        let mut bytes = Vec::with_capacity(self.0.len());
        self.as_ref().put_without(names, &mut bytes);
        if bytes.len() == self.0.len() { self.clone() } else { Labels(Arc::from(bytes)) }
    }

    /// Only the named labels of this set.
    pub fn keep(&self, names: &[&str]) -> Labels {
        let mut bytes = Vec::with_capacity(self.0.len());
        self.as_ref().put_kept(names, &mut bytes);
        Labels(Arc::from(bytes))
    }

    /// The canonical bytes; see the module's layout.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From canonical bytes, checked.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        LabelsRef::from_bytes(bytes).map(|labels| labels.to_owned())
    }
}

impl<'a> LabelsRef<'a> {
    /// From canonical bytes; `None` when they break an invariant of the layout.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut previous: &[u8] = &[];
        while !rest.is_empty() {
            let name = take(&mut rest)?;
            let value = take(&mut rest)?;
            let ordered = name > previous;
            if !ordered || value.is_empty() {
                return None;
            }
            std::str::from_utf8(name).ok()?;
            std::str::from_utf8(value).ok()?;
            previous = name;
        }
        Some(LabelsRef(bytes))
    }

    /// Wraps bytes that this process encoded itself.
    ///
    /// Broken bytes cannot cause undefined behaviour: iteration stops at the first bad pair.
    pub fn from_trusted_bytes(bytes: &'a [u8]) -> Self {
        LabelsRef(bytes)
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Name and value pairs in ascending order of name.
    pub fn iter(&self) -> Iter<'a> {
        Iter { rest: self.0 }
    }

    /// The value of `name`, or `None` when absent.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        // Only the value that is returned is checked to be UTF-8: this runs for every candidate of
        // every matcher.
        let mut rest = self.0;
        while !rest.is_empty() {
            let (candidate, value) = (take(&mut rest)?, take(&mut rest)?);
            match candidate.cmp(name.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return std::str::from_utf8(value).ok(),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// Appends the canonical bytes of this set without the named labels.
    pub fn put_without(&self, names: &[&str], out: &mut Vec<u8>) {
        self.put_pairs(|name| !is_among(name, names), out);
    }

    /// Appends the canonical bytes of only the named labels of this set.
    pub fn put_kept(&self, names: &[&str], out: &mut Vec<u8>) {
        self.put_pairs(|name| is_among(name, names), out);
    }

    fn put_pairs(&self, is_wanted: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) {
        let mut rest = self.0;
        while !rest.is_empty() {
            let pair = rest;
            let (Some(name), Some(_)) = (take(&mut rest), take(&mut rest)) else { return };
            if is_wanted(name) {
                out.extend_from_slice(&pair[..pair.len() - rest.len()]);
            }
        }
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An owned copy.
    #[allow(clippy::wrong_self_convention, reason = "mirrors `str::to_owned`; `Self` is `Copy`")]
    pub fn to_owned(&self) -> Labels {
        Labels(Arc::from(self.0))
    }

    /// A 64-bit hash of the canonical bytes (XXH3), the same in every process and release.
    pub fn stable_hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.0)
    }
}

/// See [`LabelsRef::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = std::str::from_utf8(take(&mut self.rest)?).ok()?;
        let value = std::str::from_utf8(take(&mut self.rest)?).ok()?;
        Some((name, value))
    }
}

/// Takes one length-prefixed field off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    let mut shift = 0;
    loop {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
    let (field, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(field)
}

fn is_among(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|wanted| wanted.as_bytes() == name)
}

/// Appends one length-prefixed field.
pub(crate) fn put(out: &mut Vec<u8>, field: &[u8]) {
    let mut length = field.len();
    while length >= 0x80 {
        out.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(field);
}

fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        put(&mut bytes, name.as_bytes());
        put(&mut bytes, value.as_bytes());
    }
    Labels(Arc::from(bytes))
}

impl Ord for LabelsRef<'_> {
    /// Prometheus' order of label sets: pair by pair, name before value, a prefix first.
    fn cmp(&self, other: &Self) -> Ordering {
        // Field by field is pair by pair, and bytes compare as the text they are. What both begin with
        // need not be compared field by field, only walked to find where a field begins.
        let (a, b) = (self.0, other.0);
        let common = common_bytes(a, b);
        if common == a.len() || common == b.len() {
            return a.len().cmp(&b.len());
        }
        let (mut field, mut rest) = (a, a);
        while take(&mut rest).is_some() && a.len() - rest.len() <= common {
            field = rest;
        }
        let (mut field, mut other_field) = (field, &b[a.len() - field.len()..]);
        take(&mut field).cmp(&take(&mut other_field))
    }
}

/// How many bytes both begin with.
fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let mut common = 0;
    for (x, y) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return common + difference.trailing_zeros() as usize / 8;
        }
        common += 8;
    }
    common + a[common..].iter().zip(&b[common..]).take_while(|(x, y)| x == y).count()
}

impl PartialOrd for LabelsRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `{a="b", c="d"}`, as Prometheus prints a label set in messages.
impl fmt::Display for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            if is_legacy_label_name(name) {
                write!(f, "{separator}{name}={}", Quoted(value))?;
            } else {
                write!(f, "{separator}{}={}", Quoted(name), Quoted(value))?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Builds a [`Labels`]; setting an empty value removes the label.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets `name` to `value`, replacing what was there.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            return self.remove(name);
        }
        match self.pairs.iter_mut().find(|(existing, _)| existing == name) {
            Some(pair) => value.clone_into(&mut pair.1),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(existing, _)| existing != name);
        self
    }

    /// Removes the labels whose names are not wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&str) -> bool) {
        self.pairs.retain(|(name, _)| is_wanted(name));
    }

    /// The value of `name` so far.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(existing, _)| existing == name).map(|(_, value)| value.as_str())
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        let mut sorted: Vec<_> = self.pairs.iter().filter(|(name, _)| !name.is_empty()).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        encode(sorted.into_iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// Whether `name` fits `[a-zA-Z_][a-zA-Z0-9_]*`, the names that need no quotes.
pub fn is_legacy_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `name` fits `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_unique_and_non_empty() {
        let labels = Labels::from_pairs([("b", "1"), ("a", "2"), ("b", "3"), ("c", "")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="2", b="3"}"#);
    }

    #[test]
    fn order_is_pairwise_and_a_prefix_comes_first() {
        let a = Labels::from_pairs([("a", "1")]);
        let ab = Labels::from_pairs([("a", "1"), ("b", "1")]);
        let b = Labels::from_pairs([("b", "0")]);
        let long = Labels::from_pairs([("a", "z".repeat(300))]);
        assert!(a < ab && ab < long && long < b);
    }

    #[test]
    fn order_is_that_of_the_pairs() {
        let values = ["a", "b", "ab", "b7", "host-9", "host-10", "host-100", "é", &"x".repeat(130)];
        let mut sets = vec![Labels::empty()];
        for first in values {
            sets.push(Labels::from_pairs([("instance", first)]));
            for (name, second) in [("a", "b"), ("job", first), ("jobs", "host-1"), ("z", "zz")] {
                sets.push(Labels::from_pairs([("instance", first), (name, second)]));
            }
        }
        for a in &sets {
            for b in &sets {
                assert_eq!(a.cmp(b), a.iter().cmp(b.iter()), "{a} and {b}");
            }
        }
    }

    #[test]
    fn broken_bytes_are_refused() {
        let good = Labels::from_pairs([("a", "1"), ("b", "2")]);
        assert!(LabelsRef::from_bytes(good.as_bytes()).is_some());
        for bad in
            [&b"\x01"[..], b"\x01a", b"\x01a\x00", b"\x01b\x011\x01a\x011", b"\x01a\x01\xff", b"\x00\x011"]
        {
            assert!(LabelsRef::from_bytes(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn without_and_keep() {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "x"), ("instance", "y")]);
        assert_eq!(labels.without(&["__name__"]).to_string(), r#"{instance="y", job="x"}"#);
        assert_eq!(labels.keep(&["job"]).to_string(), r#"{job="x"}"#);
        assert_eq!(labels.metric_name(), "up");
    }
}
