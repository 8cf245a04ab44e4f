//! Windows of time: what one part holds at most.
//!
//! A window is a day, long enough to compress well and short enough to drop. A backfill of many
//! years with little in each day is cut into longer ones instead, 32 days, 1,024 days and so on, so
//! that a seal never writes more than [`WINDOWS_MAX`] parts whatever times it holds.

use model::TimeRange;
use std::collections::BTreeSet;

const DAY_MS: i64 = 86_400_000;
/// Days of a longer window: powers of this.
const WIDENING: i64 = 32;
/// Days are counted from so long before the epoch that none is negative: then one window is long
/// enough for any two.
const ORIGIN_DAYS: i64 = 1 << 39;
/// Most windows of one seal; more days than this become fewer, longer windows.
const WINDOWS_MAX: usize = 16;

/// A window by its length and its number, so that windows in order are in order of length first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Window {
    days: i64,
    number: i64,
}

impl Window {
    fn of(timestamp_ms: i64, days: i64) -> Window {
        Window { days, number: (day_of(timestamp_ms) + ORIGIN_DAYS) / days }
    }

    /// The shortest window that holds the range.
    pub(crate) fn around(range: TimeRange) -> Window {
        Self::from_days(range, 1)
    }

    /// As [`Window::around`], but no day: for parts that have little of each.
    pub(crate) fn wide(range: TimeRange) -> Window {
        Self::from_days(range, WIDENING)
    }

    fn from_days(range: TimeRange, mut days: i64) -> Window {
        loop {
            let (first, last) = (Window::of(range.start, days), Window::of(range.end, days));
            if first == last {
                return first;
            }
            days *= WIDENING;
        }
    }

    /// First and last instant, cut at the ends of time.
    pub(crate) fn range(self) -> TimeRange {
        let first = self.number * self.days - ORIGIN_DAYS;
        let next = (first + self.days).checked_mul(DAY_MS);
        TimeRange::new(first.saturating_mul(DAY_MS), next.map_or(i64::MAX, |next| next - 1))
    }
}

/// The day that holds an instant.
pub(crate) fn day_of(timestamp_ms: i64) -> i64 {
    timestamp_ms.div_euclid(DAY_MS)
}

/// Ranges, in order and apart, that hold all of `days`. The newest day always has its own, since
/// what a running fleet writes is in it.
pub(crate) fn ranges_of(days: &BTreeSet<i64>) -> Vec<TimeRange> {
    let day = |&day: &i64| Window { days: 1, number: day + ORIGIN_DAYS };
    if days.len() <= WINDOWS_MAX {
        return days.iter().map(|number| day(number).range()).collect();
    }
    let Some(newest) = days.last().map(|number| day(number).range()) else { return Vec::new() };
    let mut length = WIDENING;
    let older = loop {
        let of_day = |day: &i64| Window { days: length, number: (day + ORIGIN_DAYS) / length };
        let windows: BTreeSet<Window> = days.iter().rev().skip(1).map(of_day).collect();
        if windows.len() < WINDOWS_MAX {
            break windows;
        }
        length *= WIDENING;
    };
    let cut = |window: Window| {
        let range = window.range();
        TimeRange::new(range.start, range.end.min(newest.start.saturating_sub(1)))
    };
    older.into_iter().map(cut).chain([newest]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(days: &[i64]) -> Vec<TimeRange> {
        let set: BTreeSet<i64> = days.iter().copied().collect();
        let ranges = ranges_of(&set);
        assert!(ranges.len() <= WINDOWS_MAX, "{ranges:?}");
        assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{ranges:?}");
        for &day in days {
            let whole = Window { days: 1, number: day + ORIGIN_DAYS }.range();
            let holds = |range: &TimeRange| range.start <= whole.start && range.end >= whole.end;
            assert!(ranges.iter().any(holds), "day {day} of {ranges:?}");
        }
        ranges
    }

    #[test]
    fn few_days_stay_days_and_many_become_longer_windows() {
        assert_eq!(check(&[3, 5, 20_000]).len(), 3);
        assert_eq!(check(&[]), []);
        let century: Vec<i64> = (0..100_000).collect();
        let ranges = check(&century);
        assert_eq!(ranges.last().map(|range| range.end - range.start), Some(DAY_MS - 1));
        let ends: Vec<i64> = (0..40).flat_map(|i| [day_of(i64::MIN) + i, day_of(i64::MAX) - i]).collect();
        check(&ends);
    }

    #[test]
    fn a_window_is_found_around_any_range() {
        for (start, end, days) in [
            (0, DAY_MS - 1, 1),
            (-1, 0, ORIGIN_DAYS * 2),
            (DAY_MS, 31 * DAY_MS, 32),
            (5, 400 * DAY_MS, 1024),
            (i64::MAX - 1, i64::MAX, 1),
        ] {
            let window = Window::around(TimeRange::new(start, end));
            assert_eq!(window.days, days, "{start}..{end}");
            let range = window.range();
            assert!(range.start <= start && range.end >= end, "{range:?}");
        }
        Window::around(TimeRange::ALL);
    }
}
