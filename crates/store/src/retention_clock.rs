//! Which clock decides what is dropped for good.
//!
//! A clock that jumps ahead, as a wrong battery clock does at boot or a bad time server, makes all
//! data look old. What looks old may be hidden at once, since that can be taken back; but it is dropped
//! only when the clock has stayed ahead for [`BELIEVED_MS`] by its own count. Coming back before
//! that undoes everything.

/// A clock this far ahead of where it was, or of the newest sample at start, has jumped.
const JUMP_MS: i64 = 3_600_000;
/// How long a clock that has jumped must go on from where it jumped to.
const BELIEVED_MS: i64 = 3_600_000;

/// See the module.
#[derive(Debug, Default)]
pub struct RetentionClock {
    /// The last time that was believed; `None` while nothing says what time it might be.
    believed_ms: Option<i64>,
    /// Where the clock jumped to, and where it has come from there.
    jumped: Option<Jumped>,
}

#[derive(Clone, Copy, Debug)]
struct Jumped {
    to_ms: i64,
    seen_ms: i64,
}

impl RetentionClock {
    /// The clock of a store whose newest sample or line, before anything is added, is of `newest_ms`: a
    /// clock that is wrong from the start stamps what comes then.
    pub fn starting_at(newest_ms: Option<i64>) -> Self {
        RetentionClock { believed_ms: newest_ms, jumped: None }
    }

    /// The time that retention goes by when the clock says `now_ms`. While it knows of none, the
    /// newest stored sample is as good as the clock.
    pub fn believe(&mut self, now_ms: i64, newest_sample_ms: impl Fn() -> Option<i64>) -> i64 {
        let believed_ms = self.believed_ms.or_else(newest_sample_ms).unwrap_or(now_ms);
        if now_ms <= believed_ms.saturating_add(JUMP_MS) {
            self.jumped = None;
            self.believed_ms = Some(now_ms);
            return now_ms;
        }
        // One that jumps on has not gone on from where it jumped to.
        let goes_on =
            |jumped: &Jumped| (jumped.to_ms..=jumped.seen_ms.saturating_add(JUMP_MS)).contains(&now_ms);
        let to_ms = match self.jumped.filter(goes_on) {
            Some(jumped) => jumped.to_ms,
            None => {
                tracing::warn!(now_ms, believed_ms, "the clock is far ahead: nothing is dropped for an hour");
                now_ms
            }
        };
        self.jumped = Some(Jumped { to_ms, seen_ms: now_ms });
        if now_ms.saturating_sub(to_ms) < BELIEVED_MS {
            return believed_ms;
        }
        (self.believed_ms, self.jumped) = (Some(now_ms), None);
        now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_jump_counts_once_it_has_lasted() {
        let mut clock = RetentionClock::default();
        let mut believe = |now_ms| clock.believe(now_ms, || Some(1_000));
        assert_eq!(believe(HOUR_MS), HOUR_MS, "time passes");
        let ahead = 1_000 * HOUR_MS;
        assert_eq!(believe(ahead), HOUR_MS);
        assert_eq!(believe(ahead + HOUR_MS - 1), HOUR_MS);
        assert_eq!(believe(2 * HOUR_MS), 2 * HOUR_MS, "it came back");
        assert_eq!(believe(ahead), 2 * HOUR_MS);
        assert_eq!(believe(ahead + HOUR_MS), ahead + HOUR_MS, "it stayed");
        assert_eq!(believe(5), 5, "a clock that goes back drops nothing");
    }

    #[test]
    fn a_second_jump_counts_no_sooner_than_the_first() {
        let mut clock = RetentionClock::default();
        let mut believe = |now_ms| clock.believe(now_ms, || Some(1_000));
        let (day, year) = (24 * HOUR_MS, 8_760 * HOUR_MS);
        assert_eq!(believe(HOUR_MS), HOUR_MS);
        assert_eq!(believe(day), HOUR_MS, "set right after it was a day behind");
        assert_eq!(believe(year), HOUR_MS, "and set wrong within the hour");
        assert_eq!(believe(year + HOUR_MS - 1), HOUR_MS);
        assert_eq!(believe(day + 1), HOUR_MS, "it came back");
        assert_eq!(believe(day + 1 + HOUR_MS), day + 1 + HOUR_MS, "it stayed");
    }

    #[test]
    fn a_clock_that_is_wrong_from_the_start_is_not_believed() {
        let mut clock = RetentionClock::starting_at(Some(HOUR_MS));
        assert_eq!(clock.believe(9_000 * HOUR_MS, || Some(9_000 * HOUR_MS)), HOUR_MS);
    }

    #[test]
    fn an_empty_store_takes_any_time() {
        assert_eq!(RetentionClock::default().believe(77 * HOUR_MS, || None), 77 * HOUR_MS);
    }
}
