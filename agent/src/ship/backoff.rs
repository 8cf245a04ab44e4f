//! How long to wait before the next try: random between nothing and a bound that doubles, so that
//! a thousand agents do not come back in the same second.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(250);
/// Upper bound between two tries.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
/// A receiver cannot send us away for longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure. `retry_after` is the receiver's wish.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        let jitter = Duration::from_millis(rand::random_range(0..=bound.as_millis() as u64));
        // Even those who are told when to come back should not come all at once.
        retry_after.map_or(jitter, |wish| wish.min(RETRY_AFTER_MAX) + jitter.min(SHORTEST))
    }

    fn bound(&self) -> Duration {
        SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_heed_the_receiver() {
        let mut backoff = Backoff::default();
        for _ in 0..40 {
            let bound = backoff.bound();
            assert!(backoff.next(None) <= bound);
        }
        assert_eq!(backoff.bound(), LONGEST);
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert!(backoff.next(Some(Duration::from_secs(1 << 40))) <= RETRY_AFTER_MAX + SHORTEST);
        backoff.reset();
        assert!(backoff.next(None) <= SHORTEST);
    }
}
