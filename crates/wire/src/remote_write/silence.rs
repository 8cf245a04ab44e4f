//! Receivers of remote write 2.0 that stop saying what they wrote.

use std::time::{Duration, Instant};

/// How long a lane hears nothing before it takes the receiver for an older one. A page of a load balancer for
/// the time of some work answers with success and says nothing, and what it gets as 1.0 is lost; an older
/// receiver in the place of the one that was there does so for ever.
pub const SILENCE_MAX: Duration = Duration::from_secs(300);

/// What to say of such an answer.
pub const SILENT: &str =
    "success, but without saying what was written, as it did before: something else answers?";

/// For how long a receiver that has said what it wrote has answered with success and not said it. Times at
/// which it takes nothing do not count, nor do they end it.
#[derive(Debug, Default)]
pub struct Silence {
    before: Duration,
    since: Option<Instant>,
}

impl Silence {
    /// It has answered so at `now`. Whether it must be taken for another, older receiver.
    pub fn goes_on(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.before + now.saturating_duration_since(since) >= SILENCE_MAX
    }

    /// It takes nothing, or cannot be reached.
    pub fn pause(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.before += now.saturating_duration_since(since);
        }
    }

    /// It has said something.
    pub fn end(&mut self) {
        *self = Silence::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_of_silence_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::default();
        assert!(!silence.goes_on(at(0)));
        assert!(!silence.goes_on(at(200)));
        silence.pause(at(200));
        silence.pause(at(5_000));
        assert!(!silence.goes_on(at(10_000)));
        assert!(!silence.goes_on(at(10_099)));
        assert!(silence.goes_on(at(10_100)));
        silence.end();
        assert!(!silence.goes_on(at(10_101)));
        assert!(silence.goes_on(at(10_401)));
    }
}
