//! When a group is evaluated: in slots of its interval, shifted by a hash of its identity so that
//! groups spread over the interval, and the same after every restart.

/// The instants of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    interval_ms: i64,
    offset_ms: i64,
}

impl Slots {
    /// The slots of the group called `id`; `interval_ms` is at least 1.
    pub fn new(id: &str, interval_ms: i64) -> Self {
        let interval_ms = interval_ms.max(1);
        let offset_ms = (xxhash_rust::xxh3::xxh3_64(id.as_bytes()) % interval_ms as u64) as i64;
        Slots { interval_ms, offset_ms }
    }

    /// The latest slot at or before `now_ms`.
    pub fn current(&self, now_ms: i64) -> i64 {
        (now_ms - self.offset_ms).div_euclid(self.interval_ms) * self.interval_ms + self.offset_ms
    }

    /// `slot`, or the current one when the clock was set back since `slot` was chosen.
    pub fn not_ahead(&self, slot: i64, now_ms: i64) -> i64 {
        if slot > now_ms + self.interval_ms { self.current(now_ms) } else { slot }
    }

    /// The slot to evaluate next after `evaluated_ms`, and how many were missed by `now_ms`: a late
    /// group goes on with the current slot and never makes up for lost ones.
    pub fn next(&self, evaluated_ms: i64, now_ms: i64) -> (i64, u64) {
        let due = evaluated_ms + self.interval_ms;
        if due > now_ms + self.interval_ms {
            // The clock was set back. A group that waited for its slot would be silent meanwhile.
            return (self.current(now_ms) + self.interval_ms, 0);
        }
        if now_ms < due + self.interval_ms {
            return (due, 0);
        }
        let current = self.current(now_ms);
        (current, ((current - due) / self.interval_ms).max(0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_keeps_no_group_waiting() {
        let slots = Slots::new("file;group", 60_000);
        let (before, now) = (slots.current(10_000_000), 1_000_000);
        let current = slots.current(now);
        assert_eq!(slots.next(before, now), (current + 60_000, 0));
        assert_eq!(slots.not_ahead(before, now), current);
        assert_eq!(slots.not_ahead(current + 60_000, now), current + 60_000, "that is only the next one");
    }

    #[test]
    fn slots_are_regular_and_lost_ones_are_skipped() {
        let slots = Slots::new("file;group", 60_000);
        let first = slots.current(1_000_000);
        assert!(first <= 1_000_000 && first > 940_000);
        assert_eq!(slots.current(first), first);
        assert_eq!(slots.current(first - 1), first - 60_000);
        assert_eq!(slots.next(first, first + 1_000), (first + 60_000, 0));
        assert_eq!(slots.next(first, first + 61_000), (first + 60_000, 0), "a little late is not lost");
        assert_eq!(slots.next(first, first + 185_000), (first + 180_000, 2));
    }
}
