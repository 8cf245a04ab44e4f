//! Finds series by matchers.
//!
//! The shortest list of candidates that one matcher gives is checked against all matchers; each
//! distinct value is put to a matcher once.

use super::RegistryState;
use crate::{bytes::put_field, postings::Postings};
use hashbrown::HashMap;
use model::{MatchOp, Matcher};

/// A matcher with what it has said so far.
struct Condition<'a> {
    matcher: &'a Matcher,
    /// Number of the label's name; `None` when no series has it.
    name: Option<u32>,
    known: HashMap<u32, bool>,
}

impl Condition<'_> {
    fn holds(&mut self, registry: &RegistryState, series: u32) -> bool {
        let set = registry.set(series);
        let pair = set.iter().copied().find(|&pair| Some(registry.pairs.name(pair)) == self.name);
        match pair {
            None => self.matcher.matches_empty(),
            Some(pair) => {
                *self.known.entry(pair).or_insert_with(|| self.matcher.matches(registry.pairs.value(pair)))
            }
        }
    }
}

pub(super) fn matching(registry: &RegistryState, matchers: &[Matcher]) -> Vec<u32> {
    let mut conditions: Vec<Condition<'_>> = matchers
        .iter()
        .map(|matcher| Condition {
            matcher,
            name: registry.pairs.with_name(matcher.name()).map(|(number, _)| number),
            known: HashMap::new(),
        })
        .collect();
    let mut is_match =
        |series: &u32| conditions.iter_mut().all(|condition| condition.holds(registry, *series));
    let selective = || matchers.iter().filter(|matcher| !matcher.matches_empty());
    let mut shortest: Option<&Postings> = None;
    for matcher in selective().filter(|matcher| matcher.op() == MatchOp::Equal) {
        let Some(postings) = equal_to(registry, matcher) else { return Vec::new() };
        if shortest.is_none_or(|shortest| postings.len() < shortest.len()) {
            shortest = Some(postings);
        }
    }
    if let Some(candidates) = shortest {
        return candidates.iter().filter(|series| is_match(series)).collect();
    }
    match selective().map(|matcher| candidates_of(registry, matcher)).min_by_key(Vec::len) {
        Some(candidates) => candidates.into_iter().filter(|series| is_match(series)).collect(),
        None => (0..registry.len() as u32).filter(|series| is_match(series)).collect(),
    }
}

fn equal_to<'a>(registry: &'a RegistryState, matcher: &Matcher) -> Option<&'a Postings> {
    let mut pair = Vec::new();
    put_field(&mut pair, matcher.name().as_bytes());
    put_field(&mut pair, matcher.value().as_bytes());
    registry.pairs.find(&pair).map(|pair| registry.pairs.postings(pair))
}

/// Series whose value of the matcher's label matches, ascending.
fn candidates_of(registry: &RegistryState, matcher: &Matcher) -> Vec<u32> {
    let mut candidates = Vec::new();
    let (_, pairs) = registry.pairs.with_name(matcher.name()).unwrap_or_default();
    for &pair in pairs {
        if matcher.matches(registry.pairs.value(pair)) {
            candidates.extend(registry.pairs.postings(pair).iter());
        }
    }
    candidates.sort_unstable();
    candidates
}
