//! What finding and listing series charges the query.
//!
//! A listing is charged what it reads from disk before it reads it, a lock that it would have to wait
//! for, and the steps that it takes beyond [`STEPS_FREE`]. So a context with nothing to spend gets what
//! is in memory and soon told, and is stopped before anything takes longer. A selection is charged for
//! its samples, by who reads them; here it only asks whether to go on.

use crate::query::CHECK_EVERY;
use std::sync::{RwLock, RwLockReadGuard, TryLockError};
use store::{QueryContext, StopReason};

/// Steps of some 60 ns: all together stay under half a millisecond.
const STEPS_FREE: usize = 4096;
/// What a step is charged as, beyond those: about a text or a series that is looked at.
const STEP_BYTES: u64 = 64;
/// What waiting for a lock is charged as.
const WAIT_BYTES: u64 = 1;

/// See the module.
pub(crate) struct Toll<'q> {
    context: &'q QueryContext,
    is_charged: bool,
    /// Since they were last charged.
    steps: usize,
    /// As many are taken before.
    steps_max: usize,
}

impl<'q> Toll<'q> {
    pub(crate) fn of_listing(context: &'q QueryContext) -> Self {
        Toll { context, is_charged: true, steps: 0, steps_max: STEPS_FREE }
    }

    pub(crate) fn of_selection(context: &'q QueryContext) -> Self {
        Toll { context, is_charged: false, steps: 0, steps_max: CHECK_EVERY }
    }

    pub(crate) fn context(&self) -> &'q QueryContext {
        self.context
    }

    /// Who is charged for what is read from disk, if anybody.
    pub(crate) fn payer(&self) -> Option<&'q QueryContext> {
        self.is_charged.then_some(self.context)
    }

    /// Before so many steps are taken.
    pub(crate) fn walk(&mut self, steps: usize) -> Result<(), StopReason> {
        self.steps += steps;
        if self.steps <= self.steps_max {
            return Ok(());
        }
        let steps = std::mem::take(&mut self.steps) as u64;
        self.steps_max = CHECK_EVERY;
        match self.payer() {
            Some(payer) => pay(Some(payer), steps * STEP_BYTES),
            None => self.context.check(),
        }
    }

    /// Takes a lock that somebody may hold for as long as it takes to apply a batch.
    pub(crate) fn read<'l, T>(&self, lock: &'l RwLock<T>) -> Result<RwLockReadGuard<'l, T>, StopReason> {
        match lock.try_read() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        pay(self.payer(), WAIT_BYTES)?;
        Ok(lock.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Charges who is to pay, if anybody, for bytes that are about to be read.
pub(crate) fn pay(payer: Option<&QueryContext>, bytes: u64) -> Result<(), StopReason> {
    payer.map_or(Ok(()), |context| context.charge_read(0, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Limits;

    #[test]
    fn only_listings_are_charged_and_only_for_what_takes_long() {
        let nothing = QueryContext::new(Limits { read_bytes_max: 0, ..Limits::default() });
        let mut selection = Toll::of_selection(&nothing);
        selection.walk(10 * STEPS_FREE).unwrap();
        let mut listing = Toll::of_listing(&nothing);
        let lock = RwLock::new(());
        for _ in 0..STEPS_FREE {
            listing.walk(1).unwrap();
        }
        drop(listing.read(&lock).unwrap());
        let held = lock.write().unwrap();
        assert_eq!(listing.read(&lock).map(drop), Err(StopReason::TooMuchRead(0)));
        drop(held);
        let plenty = QueryContext::default();
        let mut listing = Toll::of_listing(&plenty);
        listing.walk(STEPS_FREE).unwrap();
        assert_eq!(plenty.usage().bytes_read, 0);
        listing.walk(1).unwrap();
        assert_eq!(plenty.usage().bytes_read, (STEPS_FREE as u64 + 1) * STEP_BYTES);
    }
}
