//! For messages that a stranger could cause by the thousand: one in a while says how many there were.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lets one happening through in each `pause`.
#[derive(Debug)]
pub struct Seldom {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    /// Since the last that went through.
    count: u64,
}

impl Seldom {
    /// The first happening goes through.
    pub const fn every(pause: Duration) -> Self {
        Seldom { pause, state: Mutex::new(State { last: None, count: 0 }) }
    }

    /// Takes note of a happening. When it is one to tell: how many there have been since the last
    /// that was, with this one.
    pub fn happened(&self) -> Option<u64> {
        self.happened_at(Instant::now())
    }

    fn happened_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.pause) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_while_tells_of_all() {
        let seldom = Seldom::every(Duration::from_secs(60));
        let begin = Instant::now();
        let told = |seconds| seldom.happened_at(begin + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59, 60, 61, 300].map(told), [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
