//! Tells when the rows in memory should be written to disk although there are few: after a while,
//! and soon when no more come; and when a day that is over gets no more parts.
//!
//! It goes by the clock of maintenance, as far as that moves forward, so that a clock that was set
//! back never keeps rows in memory.

use std::collections::{BTreeMap, BTreeSet};

/// Rows are written this long after the last one has come.
const QUIET_NS: i64 = 5_000_000_000;
/// With fewer bytes than this in memory nothing is gained by writing them early.
const QUIET_BYTES_MIN: usize = 1 << 20;

/// A day is settled this long after its last flush.
const SETTLED_NS: i64 = 600_000_000_000;

/// What maintenance has seen of the days that are over.
#[derive(Default)]
pub(crate) struct Days {
    /// By day: the highest rank of its parts, which only a flush raises, and since when.
    seen: BTreeMap<i64, (u64, i64)>,
}

impl Days {
    /// The days before `today` that have had no flush for a while; `ranks` are those of all parts,
    /// by day.
    pub(crate) fn settled(
        &mut self,
        ranks: impl Iterator<Item = (i64, u64)>,
        today: i64,
        now_ns: i64,
    ) -> BTreeSet<i64> {
        let mut highest: BTreeMap<i64, u64> = BTreeMap::new();
        for (day, rank) in ranks.filter(|(day, _)| day + 1 < today) {
            let known = highest.entry(day).or_insert(rank);
            *known = rank.max(*known);
        }
        self.seen.retain(|day, _| highest.contains_key(day));
        let mut settled = BTreeSet::new();
        for (day, rank) in highest {
            let (seen_rank, since_ns) = self.seen.entry(day).or_insert((rank, now_ns));
            if rank > *seen_rank || now_ns < *since_ns {
                (*seen_rank, *since_ns) = (rank.max(*seen_rank), now_ns);
            }
            if now_ns.saturating_sub(*since_ns) >= SETTLED_NS {
                settled.insert(day);
            }
        }
        settled
    }
}

/// What maintenance has seen of the memory.
#[derive(Default)]
pub(crate) struct Watch {
    /// Rows at the last look, since when they have been that many, and since when there are any.
    seen: Option<(u64, i64, i64)>,
}

impl Watch {
    /// Whether `rows` in memory, of `bytes`, are to be written at `now_ns`.
    pub(crate) fn is_due(&mut self, rows: u64, bytes: usize, now_ns: i64, age_ns: i64) -> bool {
        if rows == 0 {
            self.seen = None;
            return false;
        }
        let (last_rows, quiet_since_ns, since_ns) = self.seen.unwrap_or((rows, now_ns, now_ns));
        // Fewer rows than before are those of another memory.
        let since_ns = if rows < last_rows || now_ns < since_ns { now_ns } else { since_ns };
        let quiet_since_ns =
            if rows != last_rows || now_ns < quiet_since_ns { now_ns } else { quiet_since_ns };
        self.seen = Some((rows, quiet_since_ns, since_ns));
        let is_quiet = bytes >= QUIET_BYTES_MIN && now_ns.saturating_sub(quiet_since_ns) >= QUIET_NS;
        is_quiet || now_ns.saturating_sub(since_ns) >= age_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const AGE: i64 = 300 * SECOND;

    #[test]
    fn rows_are_due_when_no_more_come_and_when_they_are_old() {
        let mut watch = Watch::default();
        let many = QUIET_BYTES_MIN;
        assert!(!watch.is_due(0, 0, 0, AGE));
        for second in 0..20 {
            assert!(!watch.is_due(1 + second as u64, many, second * SECOND, AGE), "they keep coming");
        }
        assert!(!watch.is_due(20, many, 23 * SECOND, AGE));
        assert!(watch.is_due(20, many, 24 * SECOND, AGE));
        assert!(!watch.is_due(20, many - 1, 25 * SECOND, AGE), "too few to write early");
        assert!(!watch.is_due(5, many, 26 * SECOND, AGE), "another memory");
        assert!(!watch.is_due(6, 10, (26 + 299) * SECOND, AGE));
        assert!(watch.is_due(7, 10, (26 + 300) * SECOND, AGE), "old");
    }

    #[test]
    fn a_day_is_settled_when_its_last_flush_is_a_while_ago() {
        let mut days = Days::default();
        let minute = 60 * SECOND;
        let mut settled = |parts: &[(i64, u64)], now_ns: i64| -> Vec<i64> {
            days.settled(parts.iter().copied(), 10, now_ns).into_iter().collect()
        };
        assert!(settled(&[(1, 1), (1, 2), (9, 3)], 0).is_empty());
        assert!(settled(&[(1, 1), (1, 4), (9, 3)], 9 * minute).is_empty());
        assert!(settled(&[(1, 1), (1, 4), (2, 7)], 18 * minute).is_empty());
        assert_eq!(settled(&[(1, 1), (2, 7)], 19 * minute), [1], "a merge takes the lowest rank");
        assert_eq!(settled(&[(1, 1), (2, 7)], 28 * minute), [1, 2]);
        assert_eq!(settled(&[(1, 1), (1, 9), (2, 7)], 29 * minute), [2]);
    }

    #[test]
    fn a_clock_set_back_keeps_nothing_in_memory() {
        let mut watch = Watch::default();
        let years = 10 * 365 * 86_400 * SECOND;
        assert!(!watch.is_due(1, 10, years, AGE));
        assert!(!watch.is_due(1, 10, 0, AGE));
        assert!(watch.is_due(1, 10, 300 * SECOND, AGE));
        assert!(!watch.is_due(1, QUIET_BYTES_MIN, 0, AGE));
        assert!(watch.is_due(1, QUIET_BYTES_MIN, 5 * SECOND, AGE));
    }
}
