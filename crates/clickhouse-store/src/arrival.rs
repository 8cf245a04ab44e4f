//! When a row arrived, in nanoseconds of the server's clock: unique and ascending within a process,
//! comparable between processes as far as their shared server's clock goes. It orders lines of one
//! instant and bounds what a scan sees.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// See the module.
pub(crate) struct ArrivalClock {
    server_ns: u64,
    begun: Instant,
    last: AtomicU64,
}

impl ArrivalClock {
    /// A clock that shows `server_ns` now.
    pub(crate) fn starting_at(server_ns: u64) -> Self {
        ArrivalClock { server_ns, begun: Instant::now(), last: AtomicU64::new(0) }
    }

    /// The first of `count` consecutive stamps that nobody else gets.
    pub(crate) fn reserve(&self, count: u64) -> u64 {
        let elapsed = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let now = self.server_ns.saturating_add(elapsed);
        let first = |last: u64| now.max(last + 1);
        let last = self
            .last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(first(last) + count.max(1) - 1))
            .unwrap_or_else(|last| last);
        first(last)
    }
}

/// The `rank` column: falls as arrival rises, so that of two equal rows the first is the greater
/// version, which is the one that ClickHouse keeps.
pub(crate) fn rank(arrival: u64) -> u64 {
    u64::MAX - arrival
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_unique_and_ascend() {
        let clock = ArrivalClock::starting_at(1_000);
        let mut last = 0;
        for count in [1, 5, 1, 0, 1_000_000_000, 2] {
            let first = clock.reserve(count);
            assert!(first > last, "{first} comes after {last}");
            last = first + count.max(1) - 1;
        }
        assert!(rank(5) > rank(6));
    }
}
