//! How long lines are kept, by their age: in general, and for the streams of a rule.
//!
//! Age is measured against the newest line that the store has, as long as the clock is ahead of
//! it: a clock that jumps forward drops nothing by itself.

use model::{Labels, Matcher};
use std::{sync::Arc, time::Duration};
use store::AgeLimits;

/// Streams that are kept for an age of their own.
#[derive(Clone, Debug)]
pub struct StreamRetention {
    /// The streams: all must match.
    pub matchers: Vec<Matcher>,
    /// How long their lines are kept; `None` for ever.
    pub age: Option<Duration>,
}

/// Which of its rules a stream is kept by: 0 for the general one, else the first that matches.
pub(crate) type RuleNumber = u16;

/// Rules beyond this many are left out, and said to be.
pub(crate) const RULES_MAX: usize = 1000;

/// The rules of a store.
#[derive(Debug)]
pub(crate) struct Rules {
    matchers: Vec<Vec<Matcher>>,
    /// By number of the rule.
    limits: Vec<AgeLimits>,
}

impl Rules {
    pub(crate) fn new(general: AgeLimits, of_streams: &[StreamRetention]) -> Rules {
        let of_streams = &of_streams[..of_streams.len().min(RULES_MAX)];
        let own = of_streams.iter().map(|rule| AgeLimits { retention: rule.age, ..general });
        Rules {
            matchers: of_streams.iter().map(|rule| rule.matchers.clone()).collect(),
            limits: std::iter::once(general).chain(own).collect(),
        }
    }

    /// The rule for a stream.
    pub(crate) fn rule_of(&self, labels: &Labels) -> RuleNumber {
        let matches = |matcher: &Matcher| matcher.matches(labels.value(matcher.name()));
        let first = self.matchers.iter().position(|matchers| matchers.iter().all(matches));
        first.map_or(0, |first| first as RuleNumber + 1)
    }

    /// What the streams of a rule take and keep.
    pub(crate) fn limits(&self, rule: RuleNumber) -> &AgeLimits {
        &self.limits[usize::from(rule)]
    }

    /// The oldest lines kept, when the newest line is of `newest_ns`.
    pub(crate) fn cuts(&self, now_ns: i64, newest_ns: i64) -> Cuts {
        let now_ns = now_ns.min(newest_ns);
        Cuts(self.limits.iter().map(|limits| limits.oldest_ns(now_ns)).collect())
    }
}

/// By rule, the oldest instant that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Cuts(Arc<[i64]>);

impl Cuts {
    /// Of the streams of a rule.
    pub(crate) fn of(&self, rule: RuleNumber) -> i64 {
        self.0.get(usize::from(rule)).copied().unwrap_or(i64::MIN)
    }
}

/// The rows of a part that one rule governs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) rule: RuleNumber,
    /// Bytes of lines.
    pub(crate) bytes: u64,
    pub(crate) newest_ns: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_counts() {
        let day = |days: u64| Some(Duration::from_secs(days * 86_400));
        let rule = |app: &str, age| StreamRetention { matchers: vec![Matcher::equal("app", app)], age };
        let rules = Rules::new(
            AgeLimits { retention: day(10), future_max: None },
            &[rule("audit", None), rule("debug", day(1)), rule("debug", day(5))],
        );
        let now = 100 * 86_400_000_000_000;
        let cuts = rules.cuts(now, i64::MAX);
        let days_kept = |app: &str| {
            let rule = rules.rule_of(&Labels::from_pairs([("app", app)]));
            now.saturating_sub(cuts.of(rule)) / 86_400_000_000_000
        };
        assert_eq!((days_kept("web"), days_kept("debug")), (10, 1));
        assert!(days_kept("audit") > 1000);
        let jumped = rules.cuts(now * 1000, now);
        assert_eq!(jumped.of(0), cuts.of(0), "the clock alone drops nothing");
    }
}
