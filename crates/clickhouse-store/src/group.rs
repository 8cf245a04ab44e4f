//! Appends that wait for the same server are written together: whoever comes first writes for all
//! that have queued up meanwhile. ClickHouse wants few large inserts.
//!
//! Bounds: each waiting thread has one job in the queue; one write takes jobs until they weigh
//! [`WEIGHT_MAX`].

use crate::{error::Error, lock};
use std::sync::{Arc, Mutex};
use store::{Receipt, StoreError};

/// Rows of one insert, about.
const WEIGHT_MAX: usize = 500_000;

/// What is waiting to be written.
pub(crate) trait Weigh {
    /// Its rows.
    fn weight(&self) -> usize;
}

/// Where a job's outcome is left for the thread that brought it.
type Outcome = Arc<Mutex<Option<Result<Receipt, Error>>>>;

/// See the module.
pub(crate) struct Group<J> {
    queue: Mutex<Vec<(J, Outcome)>>,
    turn: Mutex<()>,
}

impl<J: Weigh> Group<J> {
    pub(crate) fn new() -> Self {
        Group { queue: Mutex::default(), turn: Mutex::default() }
    }

    /// Queues the job, and has `write` store it, alone or with others, on this thread or another.
    /// `write` answers for each job in order, or fails for all.
    pub(crate) fn submit(
        &self,
        job: J,
        write: impl Fn(Vec<J>) -> Result<Vec<Receipt>, Error>,
    ) -> Result<Receipt, StoreError> {
        let own = Outcome::default();
        lock(&self.queue).push((job, own.clone()));
        loop {
            let _turn = lock(&self.turn);
            if let Some(outcome) = lock(&own).take() {
                return outcome.map_err(StoreError::from);
            }
            let (jobs, outcomes): (Vec<J>, Vec<Outcome>) = self.take().into_iter().unzip();
            if jobs.is_empty() {
                return Err(StoreError::Busy(
                    "another writer failed with this batch; send it again".to_owned(),
                ));
            }
            match write(jobs) {
                Ok(receipts) => {
                    for (outcome, receipt) in outcomes.iter().zip(receipts) {
                        *lock(outcome) = Some(Ok(receipt));
                    }
                }
                Err(error) => outcomes.iter().for_each(|outcome| *lock(outcome) = Some(Err(error.clone()))),
            }
        }
    }

    fn take(&self) -> Vec<(J, Outcome)> {
        let mut queue = lock(&self.queue);
        let mut weight = 0;
        let fitting = queue.iter().take_while(|(job, _)| {
            let fits = weight == 0 || weight + job.weight() <= WEIGHT_MAX;
            weight += job.weight().max(1);
            fits
        });
        let count = fitting.count();
        queue.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use store::Commit;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            1
        }
    }

    fn receipt(stored: usize) -> Receipt {
        Receipt { stored: stored as u64, duplicate: false, rejected: Vec::new(), commit: Commit::done() }
    }

    #[test]
    fn every_job_gets_its_own_answer_and_many_share_a_write() {
        let group = Group::new();
        let writes = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for job in 0..40usize {
                let (group, writes) = (&group, &writes);
                scope.spawn(move || {
                    let found = group.submit(job, |jobs| {
                        writes.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(5));
                        Ok(jobs.into_iter().map(receipt).collect())
                    });
                    assert_eq!(found.unwrap().stored, job as u64);
                });
            }
        });
        assert!(writes.into_inner() < 40, "jobs that wait are written together");
    }

    #[test]
    fn a_failure_is_told_to_all() {
        let group = Group::new();
        let outcome = group.submit(1usize, |_| Err(Error::server(252, "too many parts")));
        assert!(matches!(outcome, Err(StoreError::Busy(_))));
        assert!(group.submit(2usize, |jobs| Ok(jobs.into_iter().map(receipt).collect())).is_ok());
    }
}
