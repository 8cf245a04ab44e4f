//! Dropping what has become too old: whole days at once, which costs ClickHouse nothing. Reads
//! leave out the rest of the oldest day by themselves.

use crate::{client::Client, error::Error, schema::Table, sql};
use model::TimeRange;
use std::sync::atomic::{AtomicI64, Ordering};

const DAY_MINUTES: i64 = 24 * 60;

/// Where a store's past begins. Times are in the store's own unit.
pub(crate) struct Horizon {
    minute: i64,
    /// Nothing older is shown.
    oldest: AtomicI64,
    /// When the tables are next looked through: a minute after the last time.
    due: AtomicI64,
}

impl Horizon {
    /// Of a store with so many time units a minute, which has not lost anything yet.
    pub(crate) const fn new(minute: i64) -> Self {
        Horizon { minute, oldest: AtomicI64::new(i64::MIN), due: AtomicI64::new(i64::MIN) }
    }

    /// The part of `range` that is shown.
    pub(crate) fn kept(&self, range: TimeRange) -> TimeRange {
        TimeRange::new(range.start.max(self.oldest.load(Ordering::Relaxed)), range.end)
    }

    /// Hides what is older than `oldest`, and drops the days that lie wholly before it.
    pub(crate) fn advance(
        &self,
        client: &Client,
        tables: &[Table],
        oldest: i64,
        now: i64,
    ) -> Result<(), Error> {
        if oldest == i64::MIN || !self.is_due(now) {
            return Ok(());
        }
        self.oldest.store(oldest, Ordering::Relaxed);
        drop_expired(client, tables, oldest, self.minute * DAY_MINUTES)?;
        self.due.store(now.saturating_add(self.minute), Ordering::Relaxed);
        Ok(())
    }

    fn is_due(&self, now: i64) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        // A clock that was ahead and has been set back would otherwise not be due for as long.
        now >= due || now < due.saturating_sub(self.minute)
    }
}

/// Drops the partitions of `tables` that lie wholly before `oldest`. A partition is named by its
/// day, of `unit` time units.
fn drop_expired(client: &Client, tables: &[Table], oldest: i64, unit: i64) -> Result<(), Error> {
    for table in tables {
        let mut answer = client.query(
            &format!(
                "SELECT DISTINCT partition_id, partition FROM system.parts \
                 WHERE database = {} AND table = {} AND active",
                sql::string(client.database().as_bytes()),
                sql::string(table.name.as_bytes())
            ),
            None,
        )?;
        let mut expired = Vec::new();
        while answer.has_row()? {
            let (id, day) = (answer.text_value()?, answer.text_value()?);
            if day.parse().is_ok_and(|day| is_expired(day, oldest, unit)) {
                expired.push(id);
            }
        }
        for id in expired {
            tracing::info!(table = table.name, partition = id, "a day is older than the retention and goes");
            client.execute(&format!(
                "ALTER TABLE {} DROP PARTITION ID {}",
                table.name,
                sql::string(id.as_bytes())
            ))?;
        }
    }
    Ok(())
}

/// Days are rounded towards zero or down, so a day before the epoch may reach one day later.
fn is_expired(day: i64, oldest: i64, unit: i64) -> bool {
    day.saturating_add(1).saturating_mul(unit) <= oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_delays_nothing() {
        let horizon = Horizon::new(60);
        assert!(horizon.is_due(1_000));
        horizon.due.store(1_060, Ordering::Relaxed);
        assert!(!horizon.is_due(1_059) && !horizon.is_due(1_000));
        assert!(horizon.is_due(1_060) && horizon.is_due(999));
    }

    #[test]
    fn only_whole_days_expire() {
        for (day, oldest, expected) in
            [(3, 40, true), (3, 39, false), (-1, 0, true), (-1, -1, false), (0, 9, false)]
        {
            assert_eq!(is_expired(day, oldest, 10), expected, "day {day}, oldest {oldest}");
        }
        assert!(!is_expired(i64::MAX, i64::MAX - 1, 10) && is_expired(i64::MIN, 0, 10));
    }
}
