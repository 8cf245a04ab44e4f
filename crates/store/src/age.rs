//! How old and how far ahead of the clock a sample or an entry may be.

use crate::RejectReason;
use std::time::Duration;

/// How far a sender's clock may run ahead of ours before its data are refused. Prometheus allows
/// the same ten minutes; more would let one wrong clock fill the future of every series.
pub const FUTURE_MAX: Duration = Duration::from_secs(600);

/// Bounds on the age of what a store takes and keeps; `None` means no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeLimits {
    /// Older data are refused, and dropped by maintenance once they have become older.
    pub retention: Option<Duration>,
    /// Data further ahead of the clock are refused.
    pub future_max: Option<Duration>,
}

impl Default for AgeLimits {
    /// What a server runs with: everything is kept, and clocks may differ by [`FUTURE_MAX`].
    fn default() -> Self {
        AgeLimits { retention: None, future_max: Some(FUTURE_MAX) }
    }
}

impl AgeLimits {
    /// No bounds: any time is taken, whatever the clock says.
    pub const NONE: AgeLimits = AgeLimits { retention: None, future_max: None };

    /// The default limits with a retention.
    pub fn with_retention(retention: Duration) -> Self {
        AgeLimits { retention: Some(retention), ..Self::default() }
    }

    /// The oldest instant that is kept, in milliseconds; `i64::MIN` without a retention.
    pub fn oldest_ms(&self, now_ms: i64) -> i64 {
        oldest(self.retention.map(|age| age.as_millis()), now_ms)
    }

    /// The oldest instant that is kept, in nanoseconds; `i64::MIN` without a retention.
    pub fn oldest_ns(&self, now_ns: i64) -> i64 {
        oldest(self.retention.map(|age| age.as_nanos()), now_ns)
    }

    /// The newest instant that is taken, in milliseconds; `i64::MAX` without a bound.
    pub fn newest_ms(&self, now_ms: i64) -> i64 {
        newest(self.future_max.map(|lead| lead.as_millis()), now_ms)
    }

    /// The newest instant that is taken, in nanoseconds; `i64::MAX` without a bound.
    pub fn newest_ns(&self, now_ns: i64) -> i64 {
        newest(self.future_max.map(|lead| lead.as_nanos()), now_ns)
    }

    /// # Errors
    /// Why a sample at `timestamp_ms` is refused.
    pub fn check_ms(&self, timestamp_ms: i64, now_ms: i64) -> Result<(), RejectReason> {
        check(timestamp_ms, self.oldest_ms(now_ms), self.newest_ms(now_ms))
    }

    /// # Errors
    /// Why an entry at `timestamp_ns` is refused.
    pub fn check_ns(&self, timestamp_ns: i64, now_ns: i64) -> Result<(), RejectReason> {
        check(timestamp_ns, self.oldest_ns(now_ns), self.newest_ns(now_ns))
    }
}

fn oldest(age: Option<u128>, now: i64) -> i64 {
    match age {
        None => i64::MIN,
        Some(age) => now.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX)),
    }
}

fn newest(lead: Option<u128>, now: i64) -> i64 {
    match lead {
        None => i64::MAX,
        Some(lead) => now.saturating_add(i64::try_from(lead).unwrap_or(i64::MAX)),
    }
}

fn check(timestamp: i64, oldest: i64, newest: i64) -> Result<(), RejectReason> {
    if timestamp < oldest {
        Err(RejectReason::TooOld)
    } else if timestamp > newest {
        Err(RejectReason::TooFarInFuture)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_belong_to_what_is_taken() {
        let limits = AgeLimits::with_retention(Duration::from_secs(1));
        let now = 1_000_000;
        for (timestamp, expected) in [
            (now - 1_001, Err(RejectReason::TooOld)),
            (now - 1_000, Ok(())),
            (now + 600_000, Ok(())),
            (now + 600_001, Err(RejectReason::TooFarInFuture)),
        ] {
            assert_eq!(limits.check_ms(timestamp, now), expected, "{timestamp}");
        }
        assert_eq!(limits.oldest_ns(2_000_000_000), 1_000_000_000);
    }

    #[test]
    fn no_limits_take_every_instant() {
        for timestamp in [i64::MIN, 0, i64::MAX] {
            assert_eq!(AgeLimits::NONE.check_ms(timestamp, 0), Ok(()));
            assert_eq!(AgeLimits::NONE.check_ns(timestamp, i64::MIN), Ok(()));
        }
        let huge = AgeLimits { retention: Some(Duration::MAX), future_max: Some(Duration::MAX) };
        assert_eq!(huge.check_ns(i64::MAX, 5), Ok(()));
    }
}
