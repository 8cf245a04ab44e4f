//! Finds the series of a part: label values in the FST, series in bitmaps, set operations between.

use super::index::{PartIndex, SEPARATOR};
use crate::{
    bytes::{Malformed, Reader, put_varint},
    listing::Listed,
    postings::Postings,
    query::CHECK_EVERY,
    regex_values::{Values, values_of},
};
use fst::{IntoStreamer, Streamer};
use model::{Labels, Matcher};
use roaring::RoaringBitmap;
use std::ops::ControlFlow;
use store::{QueryContext, StopReason};

/// Appends the series of one label value, ascending. Most values of labels such as `pod` or `uid`
/// belong to one series, which takes its number alone instead of a bitmap.
pub(super) fn put_postings(out: &mut Vec<u8>, ordinals: Postings) -> std::io::Result<()> {
    if let Postings::One(only) = ordinals {
        put_varint(out, u64::from(only) << 1 | 1);
        return Ok(());
    }
    put_varint(out, 0);
    let mut bitmap = ordinals.into_bitmap();
    bitmap.optimize();
    bitmap.serialize_into(out)
}

/// The series of a key, by the offset that the dictionary has for it.
pub(super) fn postings_at(index: &PartIndex, offset: u64) -> Result<RoaringBitmap, Malformed> {
    let bytes = index.postings.get(offset as usize..).ok_or(Malformed)?;
    let mut reader = Reader::new(bytes);
    match reader.varint()? {
        0 => RoaringBitmap::deserialize_from(reader.rest()).map_err(|_| Malformed),
        only => Ok(RoaringBitmap::from_iter([(only >> 1) as u32])),
    }
}

/// Visits the keys of every label, or of one, by name or by value; each with the offset of its
/// series. Whether no visit broke it off.
pub(super) fn for_each_key<E>(
    index: &PartIndex,
    listed: Listed<'_>,
    bad: impl Fn(Malformed) -> E,
    mut visit: impl FnMut(&str, u64) -> Result<ControlFlow<()>, E>,
) -> Result<bool, E> {
    let first = match listed {
        Listed::Names => Vec::new(),
        Listed::Values(name) => key(name, ""),
    };
    let mut stream = index.keys.range().ge(&first).into_stream();
    while let Some((found, offset)) = stream.next() {
        if !found.starts_with(&first) {
            break;
        }
        let name_bytes = found.iter().position(|&byte| byte == SEPARATOR).ok_or(Malformed);
        let text = match listed {
            Listed::Names => &found[..name_bytes.map_err(&bad)?],
            Listed::Values(_) => &found[first.len()..],
        };
        if visit(std::str::from_utf8(text).map_err(|_| bad(Malformed))?, offset)?.is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn key(name: &str, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1 + value.len());
    key.extend_from_slice(name.as_bytes());
    key.push(SEPARATOR);
    key.extend_from_slice(value.as_bytes());
    key
}

/// Series that have every one of these labels, and perhaps more.
pub(super) fn with_pairs(index: &PartIndex, labels: &Labels) -> Result<RoaringBitmap, Malformed> {
    let mut found: Option<RoaringBitmap> = None;
    for (name, value) in labels.iter() {
        let Some(offset) = index.keys.get(key(name, value)) else { return Ok(RoaringBitmap::new()) };
        let postings = postings_at(index, offset)?;
        found = Some(match found {
            None => postings,
            Some(found) => found & postings,
        });
    }
    Ok(found.unwrap_or_default())
}

/// Why series could not be matched.
pub(super) enum Unmatched {
    Malformed,
    Stopped(StopReason),
}

impl From<Malformed> for Unmatched {
    fn from(_: Malformed) -> Self {
        Unmatched::Malformed
    }
}

impl From<StopReason> for Unmatched {
    fn from(reason: StopReason) -> Self {
        Unmatched::Stopped(reason)
    }
}

/// Series that all of `matchers` match, of `series_count`.
pub(super) fn matching(
    index: &PartIndex,
    series_count: u32,
    matchers: &[Matcher],
    context: &QueryContext,
) -> Result<RoaringBitmap, Unmatched> {
    let all = || RoaringBitmap::from_iter(0..series_count);
    let mut found: Option<RoaringBitmap> = None;
    // Those that refuse the empty value select; the others take away from what was selected.
    for matcher in matchers.iter().filter(|matcher| !matcher.matches_empty()) {
        let is_wanted = |value: &str| matcher.matches(value);
        let selected = with_values(index, matcher, is_wanted, values_of(matcher), context)?;
        found = Some(match found {
            None => selected,
            Some(found) => found & selected,
        });
    }
    let mut found = found.unwrap_or_else(all);
    for matcher in matchers.iter().filter(|matcher| matcher.matches_empty()) {
        if found.is_empty() {
            break;
        }
        let is_wanted = |value: &str| !matcher.matches(value);
        found -= with_values(index, matcher, is_wanted, Values::Prefix(String::new()), context)?;
    }
    Ok(found)
}

/// Series whose value of the matcher's label is among `values` and wanted.
fn with_values(
    index: &PartIndex,
    matcher: &Matcher,
    is_wanted: impl Fn(&str) -> bool,
    values: Values,
    context: &QueryContext,
) -> Result<RoaringBitmap, Unmatched> {
    let mut union = RoaringBitmap::new();
    match values {
        Values::Exactly(values) => {
            for value in values.iter().filter(|value| is_wanted(value)) {
                if let Some(offset) = index.keys.get(key(matcher.name(), value)) {
                    union |= postings_at(index, offset)?;
                }
            }
        }
        Values::Prefix(prefix) => {
            let first = key(matcher.name(), &prefix);
            let value_at = matcher.name().len() + 1;
            let mut stream = index.keys.range().ge(&first).into_stream();
            let mut visited = 0usize;
            while let Some((found, offset)) = stream.next() {
                if !found.starts_with(&first) {
                    break;
                }
                if visited.is_multiple_of(CHECK_EVERY) {
                    context.check()?;
                }
                visited += 1;
                let value = std::str::from_utf8(&found[value_at..]).map_err(|_| Malformed)?;
                if is_wanted(value) {
                    union |= postings_at(index, offset)?;
                }
            }
        }
    }
    Ok(union)
}
