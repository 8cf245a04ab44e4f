//! Finds series by matchers.
//!
//! The shortest list of candidates that one matcher gives is checked against all matchers; each
//! distinct value is put to a matcher once.

use super::RegistryState;
use crate::{bytes::put_field, postings::Postings, query::CHECK_EVERY, sort::sort_checked};
use hashbrown::HashMap;
use model::{MatchOp, Matcher};
use store::{QueryContext, StopReason};

/// What putting a value to a regular expression takes.
const STEPS_A_PATTERN: usize = 8;

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

pub(super) fn matching(
    registry: &RegistryState,
    matchers: &[Matcher],
    context: &QueryContext,
) -> Result<Vec<u32>, StopReason> {
    let mut conditions: Vec<Condition<'_>> = matchers
        .iter()
        .map(|matcher| Condition {
            matcher,
            name: registry.pairs.with_name(matcher.name()).map(|(number, _)| number),
            known: HashMap::new(),
        })
        .collect();
    let selective = || matchers.iter().enumerate().filter(|(_, matcher)| !matcher.matches_empty());
    let mut shortest: Option<(usize, &Postings)> = None;
    for (number, matcher) in selective().filter(|(_, matcher)| matcher.op() == MatchOp::Equal) {
        let Some(postings) = equal_to(registry, matcher) else { return Ok(Vec::new()) };
        if shortest.is_none_or(|(_, shortest)| postings.len() < shortest.len()) {
            shortest = Some((number, postings));
        }
    }
    let mut chosen = shortest.map(|(number, postings)| (number, postings.iter().collect::<Vec<u32>>()));
    if chosen.is_none() {
        for (number, matcher) in selective() {
            let candidates = candidates_of(registry, matcher, context)?;
            if chosen.as_ref().is_none_or(|(_, shortest)| candidates.len() < shortest.len()) {
                chosen = Some((number, candidates));
            }
        }
    }
    let candidates = match chosen {
        // The candidates are what the chosen matcher matches.
        Some((number, candidates)) => {
            conditions.remove(number);
            candidates
        }
        None => (0..registry.len() as u32).collect(),
    };
    if conditions.is_empty() {
        return Ok(candidates);
    }
    let mut matching = Vec::new();
    for some in candidates.chunks(CHECK_EVERY) {
        context.check()?;
        let mut is_match =
            |series: &u32| conditions.iter_mut().all(|condition| condition.holds(registry, *series));
        matching.extend(some.iter().copied().filter(|series| is_match(series)));
    }
    Ok(matching)
}

/// Steps that [`matching`] takes, or a few more: each candidate is put to each matcher, and a matcher
/// to each value of its label.
pub(super) fn steps(registry: &RegistryState, matchers: &[Matcher]) -> usize {
    let is_exact = |matcher: &&Matcher| matcher.op() == MatchOp::Equal && !matcher.matches_empty();
    let lengths = matchers
        .iter()
        .filter(is_exact)
        .map(|matcher| equal_to(registry, matcher).map_or(0, |postings| postings.len()));
    let candidates = lengths.min().unwrap_or(registry.len());
    let values_of =
        |matcher: &Matcher| registry.pairs.with_name(matcher.name()).map_or(0, |(_, all)| all.len());
    let put = |matcher: &Matcher| match matcher.op() {
        MatchOp::Equal | MatchOp::NotEqual => 0,
        MatchOp::Regex | MatchOp::NotRegex => values_of(matcher) * STEPS_A_PATTERN,
    };
    candidates * matchers.len().max(1) + matchers.iter().map(put).sum::<usize>()
}

fn equal_to<'a>(registry: &'a RegistryState, matcher: &Matcher) -> Option<&'a Postings> {
    let mut pair = Vec::new();
    put_field(&mut pair, matcher.name().as_bytes());
    put_field(&mut pair, matcher.value().as_bytes());
    registry.pairs.find(&pair).map(|pair| registry.pairs.postings(pair))
}

/// Series whose value of the matcher's label matches, ascending.
fn candidates_of(
    registry: &RegistryState,
    matcher: &Matcher,
    context: &QueryContext,
) -> Result<Vec<u32>, StopReason> {
    let mut candidates = Vec::new();
    let (_, pairs) = registry.pairs.with_name(matcher.name()).unwrap_or_default();
    for some in pairs.chunks(CHECK_EVERY) {
        context.check()?;
        for &pair in some {
            if matcher.matches(registry.pairs.value(pair)) {
                candidates.extend(registry.pairs.postings(pair).iter());
            }
        }
    }
    sort_checked(&mut candidates, context, u32::cmp)?;
    Ok(candidates)
}
