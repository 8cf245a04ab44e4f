//! Both stores in memory, written to be obviously right: the reference for every backend, and the
//! storage of tests. Bounds: none; what is appended stays until it is deleted or too old.

mod logs;
mod metrics;

pub use logs::MemLogStore;
pub use metrics::MemMetricStore;

use model::Matcher;

/// Whether all matchers match; `get` yields a label's value, "" when absent.
fn all_match<'a>(matchers: &[Matcher], get: impl Fn(&str) -> &'a str) -> bool {
    matchers.iter().all(|matcher| matcher.matches(get(matcher.name())))
}

/// Whether any selector matches, or there is none.
fn any_matches<'a>(selectors: &[Vec<Matcher>], get: impl Fn(&str) -> &'a str) -> bool {
    selectors.is_empty() || selectors.iter().any(|matchers| all_match(matchers, &get))
}
