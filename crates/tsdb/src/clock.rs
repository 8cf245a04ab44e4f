//! Which clock decides what is dropped for good.
//!
//! A clock that jumps ahead, as a wrong battery clock does at boot or a bad time server, makes all
//! data look old. What looks old is hidden at once, since that can be taken back; but it is dropped
//! only when the clock has stayed ahead for [`BELIEVED_MS`] by its own count. Coming back before
//! that undoes everything.

/// A clock this far ahead of where it was, or of the newest sample at start, has jumped.
const JUMP_MS: i64 = 3_600_000;
/// How long a clock that has jumped must go on from where it jumped to.
const BELIEVED_MS: i64 = 3_600_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RetentionClock {
    /// The last time that was believed; `None` while nothing says what time it might be.
    believed_ms: Option<i64>,
    /// Where the clock jumped to.
    jumped_ms: Option<i64>,
}

impl RetentionClock {
    /// The time that retention goes by when the clock says `now_ms`. While it knows of none, the
    /// newest stored sample is as good as the clock.
    pub(crate) fn believe(&mut self, now_ms: i64, newest_sample_ms: impl Fn() -> Option<i64>) -> i64 {
        let believed_ms = self.believed_ms.or_else(newest_sample_ms).unwrap_or(now_ms);
        if now_ms <= believed_ms.saturating_add(JUMP_MS) {
            self.jumped_ms = None;
            self.believed_ms = Some(now_ms);
            return now_ms;
        }
        let jumped_ms = match self.jumped_ms {
            Some(jumped_ms) if jumped_ms <= now_ms => jumped_ms,
            _ => {
                tracing::warn!(now_ms, believed_ms, "the clock is far ahead: nothing is dropped for an hour");
                now_ms
            }
        };
        self.jumped_ms = Some(jumped_ms);
        if now_ms.saturating_sub(jumped_ms) < BELIEVED_MS {
            return believed_ms;
        }
        (self.believed_ms, self.jumped_ms) = (Some(now_ms), None);
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
    fn an_empty_store_takes_any_time() {
        assert_eq!(RetentionClock::default().believe(77 * HOUR_MS, || None), 77 * HOUR_MS);
    }
}
