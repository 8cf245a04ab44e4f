//! Cuts what a request may touch into units by time. Counting reads no lines.
//!
//! Units begin small at the end where reading begins, since most queries want a few lines of the
//! newest, and grow: each is one query to the server.

use super::ClickHouseLogs;
use crate::{error::Error, schema::LOGS};
use model::TimeRange;
use store::{Direction, QueryContext, ScanUnit};

/// Rows of the first unit, about.
const FIRST_UNIT_ROWS: u64 = 10_000;
/// Rows of the largest, about.
const LARGEST_UNIT_ROWS: u64 = 1_000_000;
/// Slots of time that are counted.
const SLOTS_MAX: u64 = 1_024;

impl ClickHouseLogs {
    /// The units of the rows for which `condition` holds.
    pub(super) fn plan(
        &self,
        condition: &str,
        direction: Direction,
        context: &QueryContext,
    ) -> Result<Vec<ScanUnit>, Error> {
        let mut whole = self.count_slots("toUInt64(0)", condition, context)?;
        let Some(all) = whole.pop() else { return Ok(Vec::new()) };
        let slots = (all.rows_max / (FIRST_UNIT_ROWS / 2)).clamp(1, SLOTS_MAX);
        if slots == 1 {
            return Ok(vec![all]);
        }
        let width = all.range.end.abs_diff(all.range.start) / slots + 1;
        let first = crate::sql::int(all.range.start);
        let mut counted =
            self.count_slots(&format!("intDiv(toUInt64(ts - {first}), {width})"), condition, context)?;
        if direction == Direction::Backward {
            counted.reverse();
        }
        Ok(join(counted))
    }

    fn count_slots(
        &self,
        slot: &str,
        condition: &str,
        context: &QueryContext,
    ) -> Result<Vec<ScanUnit>, Error> {
        let mut answer = self.client.query(
            &format!(
                "SELECT {slot} AS slot, min(ts), max(ts), count(), sum(length) FROM {} WHERE {condition} \
                 GROUP BY slot HAVING count() > 0 ORDER BY slot",
                LOGS.name
            ),
            Some(context),
        )?;
        let mut slots = Vec::new();
        while answer.has_row()? {
            answer.u64()?;
            let range = TimeRange::new(answer.i64()?, answer.i64()?);
            slots.push(ScanUnit { range, rows_max: answer.u64()?, bytes: answer.u64()?, is_ordered: false });
        }
        Ok(slots)
    }
}

/// Joins neighbours into units of growing size.
fn join(slots: Vec<ScanUnit>) -> Vec<ScanUnit> {
    let mut units: Vec<ScanUnit> = Vec::new();
    let mut wanted = FIRST_UNIT_ROWS;
    for slot in slots {
        match units.last_mut() {
            Some(unit) if unit.rows_max + slot.rows_max <= wanted => {
                let (start, end) =
                    (unit.range.start.min(slot.range.start), unit.range.end.max(slot.range.end));
                unit.range = TimeRange::new(start, end);
                unit.rows_max += slot.rows_max;
                unit.bytes += slot.bytes;
            }
            last => {
                if last.is_some() {
                    wanted = (wanted * 2).min(LARGEST_UNIT_ROWS);
                }
                units.push(slot);
            }
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_grow_and_lose_nothing() {
        let slot = |i: i64| ScanUnit {
            range: TimeRange::new(i * 10, i * 10 + 9),
            rows_max: 5_000,
            bytes: 1,
            is_ordered: false,
        };
        let units = join((0..1000).map(slot).collect());
        assert_eq!(units.iter().map(|unit| unit.rows_max).sum::<u64>(), 5_000_000);
        assert!(units[0].rows_max <= 10_000 && units.len() < 15, "{units:?}");
        assert!(units.windows(2).all(|pair| pair[0].range.end < pair[1].range.start));
        let backward = join((0..1000).rev().map(slot).collect());
        assert!(backward.windows(2).all(|pair| pair[0].range.start > pair[1].range.end));
    }
}
