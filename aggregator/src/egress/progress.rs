//! Which records an endpoint is done with: they are handed out in order, finished in any, and the
//! cursor follows the oldest unfinished one.

use disk::Position;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A record that has been handed out.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) after: Position,
    pub(super) samples: u64,
    appended_ms: i64,
    /// Pieces that are still under way.
    left: AtomicUsize,
}

/// Held by whoever works on a piece of a record. Dropping it leaves the record unfinished, so that
/// it is sent again after a start.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Entry>);

/// See the module. Bounded by what the connections' queues hold.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<VecDeque<Arc<Entry>>>);

impl Progress {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a record; it is finished when this ticket and all made of it are.
    pub(super) fn begin(&self, after: Position, samples: u64, appended_ms: i64) -> Ticket {
        let entry = Arc::new(Entry { after, samples, appended_ms, left: AtomicUsize::new(1) });
        self.lock().push_back(entry.clone());
        Ticket(entry)
    }

    /// The next record in order, if it is finished.
    pub(super) fn next_finished(&self) -> Option<Arc<Entry>> {
        self.lock().pop_front_if(|entry| entry.left.load(Ordering::Acquire) == 0)
    }

    /// When the oldest unfinished record was appended.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.lock().front().map(|entry| entry.appended_ms)
    }
}

impl Ticket {
    /// A ticket for one more piece.
    pub(super) fn another(&self) -> Ticket {
        self.0.left.fetch_add(1, Ordering::Relaxed);
        Ticket(self.0.clone())
    }

    /// The piece needs nothing more.
    pub(super) fn finish(self) {
        self.0.left.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_finish_in_order_and_only_when_all_their_pieces_have() {
        let progress = Progress::default();
        let at = |segment| Position { segment, offset: 0 };
        let first = progress.begin(at(1), 10, 100);
        let piece = first.another();
        let second = progress.begin(at(2), 20, 200);
        second.finish();
        first.finish();
        assert!(progress.next_finished().is_none(), "a piece of the first is under way");
        assert_eq!(progress.oldest_ms(), Some(100));
        piece.finish();
        let finished: Vec<u64> =
            std::iter::from_fn(|| progress.next_finished()).map(|entry| entry.samples).collect();
        assert_eq!(finished, [10, 20]);
        drop(progress.begin(at(3), 1, 300));
        assert!(progress.next_finished().is_none(), "what was dropped was not sent");
    }
}
