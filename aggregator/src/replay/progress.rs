//! How far replays have come, for whoever waits for one.

use serde::Serialize;
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU32, Ordering},
};

/// The replays that are under way.
#[derive(Default)]
pub(crate) struct Underway(Mutex<Vec<Weak<Replay>>>);

/// One of them, for as long as it is held: until its end, or until its caller has gone.
pub(super) struct Replay {
    last_ms: i64,
    thousandths: AtomicU32,
}

/// What is told of it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Progress {
    last_ms: i64,
    /// From 0 to 1, of the time that is replayed.
    done: f64,
}

impl Underway {
    pub(super) fn begin(&self, last_ms: i64) -> Arc<Replay> {
        let replay = Arc::new(Replay { last_ms, thousandths: AtomicU32::new(0) });
        let mut replays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replays.retain(|other| other.strong_count() > 0);
        replays.push(Arc::downgrade(&replay));
        replay
    }

    /// In the order of their beginning.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        let replays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = |replay: Arc<Replay>| Progress {
            last_ms: replay.last_ms,
            done: f64::from(replay.thousandths.load(Ordering::Relaxed)) / 1000.0,
        };
        replays.iter().filter_map(Weak::upgrade).map(progress).collect()
    }
}

impl Replay {
    pub(super) fn reached(&self, share: f64) {
        self.thousandths.store((share.clamp(0.0, 1.0) * 1000.0) as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_told_until_its_end() {
        let underway = Underway::default();
        let (first, second) = (underway.begin(1), underway.begin(2));
        second.reached(0.4321);
        let told = |last_ms, done| Progress { last_ms, done };
        assert_eq!(underway.progress(), [told(1, 0.0), told(2, 0.432)]);
        drop(first);
        assert_eq!(underway.progress(), [told(2, 0.432)]);
    }
}
