//! The time by which maintenance judges what is too old: the wall clock, as long as it can be
//! believed.
//!
//! A clock that jumps years ahead must not make a store drop what it has. So this time goes at
//! most twice as fast as time passes: after a jump the operator has hours to days to notice, and a
//! machine that slept catches up.

use std::time::Duration;

/// Steps up to this long are no jumps.
const STEP: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(crate) struct SteadyClock {
    last: Option<Reading>,
    is_behind: bool,
}

#[derive(Clone, Copy)]
struct Reading {
    believed_ns: i64,
    since_start: Duration,
}

impl SteadyClock {
    /// The time to go by, when the wall clock says `wall_ns`, `since_start` after some fixed moment.
    pub(crate) fn now_ns(&mut self, wall_ns: i64, since_start: Duration) -> i64 {
        let believed_ns = match self.last {
            None => wall_ns,
            Some(last) => {
                let passed = since_start.saturating_sub(last.since_start);
                let most = i64::try_from((passed * 2 + STEP).as_nanos()).unwrap_or(i64::MAX);
                wall_ns.min(last.believed_ns.saturating_add(most))
            }
        };
        let is_behind = believed_ns < wall_ns;
        if is_behind && !self.is_behind {
            let ahead_seconds = wall_ns.saturating_sub(believed_ns) / 1_000_000_000;
            tracing::warn!(
                ahead_seconds,
                "the clock has jumped ahead; old log lines are kept until it is caught up with"
            );
        }
        self.is_behind = is_behind;
        self.last = Some(Reading { believed_ns, since_start });
        believed_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const YEAR: i64 = 365 * 86_400 * SECOND;

    #[test]
    fn a_jump_is_followed_slowly_and_a_step_back_at_once() {
        let mut clock = SteadyClock::default();
        let at = Duration::from_secs;
        assert_eq!(clock.now_ns(100 * SECOND, at(0)), 100 * SECOND);
        assert_eq!(clock.now_ns(101 * SECOND, at(1)), 101 * SECOND);
        assert_eq!(clock.now_ns(130 * SECOND, at(2)), 130 * SECOND, "a step of half a minute");
        assert_eq!(clock.now_ns(YEAR, at(12)), (130 + 20 + 60) * SECOND);
        assert_eq!(clock.now_ns(YEAR + 100 * SECOND, at(112)), (210 + 200 + 60) * SECOND);
        assert_eq!(clock.now_ns(120 * SECOND, at(113)), 120 * SECOND, "set right again");
        assert_eq!(clock.now_ns(-YEAR, at(114)), -YEAR);
        assert_eq!(clock.now_ns(i64::MAX, at(114)), -YEAR + 60 * SECOND);
    }
}
