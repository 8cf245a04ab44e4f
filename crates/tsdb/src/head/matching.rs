//! Finds the series of a head by matchers.
//!
//! The shortest list of candidates that one matcher gives is checked against all matchers. Label
//! sets are at hand here, so checking a candidate costs less than intersecting more lists.

use super::HeadState;
use model::{Labels, MatchOp, Matcher};

pub(super) fn matching(head: &HeadState, matchers: &[Matcher]) -> Vec<u32> {
    let is_match = |series: u32| {
        let labels = head.labels(series).as_ref();
        matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
    };
    let selective = matchers.iter().filter(|matcher| !matcher.matches_empty());
    let equal = selective
        .clone()
        .filter(|matcher| matcher.op() == MatchOp::Equal)
        .map(|matcher| head.index.postings(matcher.name(), matcher.value()))
        .min_by_key(|postings| postings.len());
    if let Some(candidates) = equal {
        return candidates.iter().copied().filter(|&series| is_match(series)).collect();
    }
    match selective.map(|matcher| candidates_of(head, matcher)).min_by_key(Vec::len) {
        Some(candidates) => candidates.into_iter().filter(|&series| is_match(series)).collect(),
        None => (0..head.len() as u32).filter(|&series| is_match(series)).collect(),
    }
}

/// Series whose value of the matcher's label matches, ascending.
fn candidates_of(head: &HeadState, matcher: &Matcher) -> Vec<u32> {
    let mut candidates = Vec::new();
    for (value, postings) in head.index.values(matcher.name()) {
        if matcher.matches(value) {
            candidates.extend_from_slice(postings);
        }
    }
    candidates.sort_unstable();
    candidates
}

pub(super) fn find(head: &HeadState, labels: &Labels) -> Option<u32> {
    let candidates = labels
        .iter()
        .map(|(name, value)| head.index.postings(name, value))
        .min_by_key(|postings| postings.len())?;
    candidates.iter().copied().find(|&series| head.labels(series) == labels)
}
