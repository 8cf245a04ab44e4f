//! How long to wait before the next try: random between nothing and a bound that doubles, so that
//! senders do not come back together.

use std::time::Duration;

/// A receiver cannot send us away for longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(shortest: Duration, longest: Duration) -> Self {
        Backoff { shortest, longest, failures: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure. `retry_after` is the receiver's wish.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        let jitter = Duration::from_millis(rand::random_range(0..=bound.as_millis() as u64));
        // Even those who are told when to come back should not come all at once.
        retry_after.map_or(jitter, |wish| wish.min(RETRY_AFTER_MAX) + jitter)
    }

    fn bound(&self) -> Duration {
        self.shortest.saturating_mul(1 << self.failures.min(20)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_heed_the_receiver() {
        let (shortest, longest) = (Duration::from_millis(30), Duration::from_secs(5));
        let mut backoff = Backoff::new(shortest, longest);
        assert!(backoff.next(None) <= shortest);
        for _ in 0..40 {
            let bound = backoff.bound();
            assert!(backoff.next(None) <= bound);
        }
        assert_eq!(backoff.bound(), longest);
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert!(backoff.next(Some(Duration::from_secs(1 << 40))) <= RETRY_AFTER_MAX + longest);
        backoff.reset();
        assert_eq!(backoff.bound(), shortest);
    }
}
