//! Five-field cron expressions: minute, hour, day of the month, month, day of the week.
//!
//! `*`, lists, ranges and steps. Sunday is 0 or 7. As in cron, when both days are restricted
//! either may match.

use jiff::{Timestamp, civil, tz::TimeZone};

/// Longest time a schedule may last; bounds the search for its beginning.
pub(crate) const DURATION_MS_MAX: i64 = 31 * 86_400_000;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

impl Cron {
    /// Reads `0 7 * * 1-5`.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("`{text}` does not have five fields"));
        };
        let weekdays = parse_field(weekday, 0, 7)?;
        Ok(Cron {
            minutes: parse_field(minute, 0, 59)?,
            hours: parse_field(hour, 0, 23)?,
            days: parse_field(day, 1, 31)?,
            months: parse_field(month, 1, 12)?,
            // Sunday has two names.
            weekdays: if weekdays & (1 << 7) != 0 { weekdays | 1 } else { weekdays },
            any_day: *day == "*",
            any_weekday: *weekday == "*",
        })
    }

    fn matches_day(&self, date: civil::Date) -> bool {
        let day = self.days & (1 << date.day()) != 0;
        let weekday = self.weekdays & (1 << date.weekday().to_sunday_zero_offset()) != 0;
        let either = if self.any_day || self.any_weekday { day && weekday } else { day || weekday };
        either && self.months & (1 << date.month()) != 0
    }

    /// The latest minute of `date`, not after `limit`, that matches.
    fn latest_on(&self, date: civil::Date, limit: civil::Time) -> Option<civil::DateTime> {
        if !self.matches_day(date) {
            return None;
        }
        for hour in (0..=limit.hour()).rev().filter(|hour| self.hours & (1 << hour) != 0) {
            let last_minute = if hour == limit.hour() { limit.minute() } else { 59 };
            if let Some(minute) = (0..=last_minute).rev().find(|minute| self.minutes & (1 << minute) != 0) {
                return Some(date.at(hour, minute, 0, 0));
            }
        }
        None
    }

    /// Whether the expression matched at an instant in `(at_ms - duration_ms, at_ms]`.
    pub(crate) fn began_within(&self, at_ms: i64, duration_ms: i64, zone: &TimeZone) -> bool {
        let Ok(at) = Timestamp::from_millisecond(at_ms) else { return false };
        let local = at.to_zoned_datetime(zone.clone()).datetime();
        let (mut date, mut limit) = (local.date(), local.time());
        let days = duration_ms.min(DURATION_MS_MAX) / 86_400_000 + 2;
        for _ in 0..days {
            if let Some(began) = self.latest_on(date, limit) {
                let began = zone.to_ambiguous_timestamp(began).compatible();
                return began.is_ok_and(|began| at_ms - began.as_millisecond() < duration_ms);
            }
            let Ok(before) = date.yesterday() else { return false };
            (date, limit) = (before, civil::time(23, 59, 0, 0));
        }
        false
    }
}

/// The values of a field as bits.
fn parse_field(text: &str, first: u32, last: u32) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a field of numbers from {first} to {last}");
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0).ok_or_else(bad)?),
            None => (part, 1),
        };
        let number =
            |text: &str| text.parse::<u32>().ok().filter(|n| (first..=last).contains(n)).ok_or_else(bad);
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (first, last),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, last),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(bad());
        }
        (from..=to).step_by(step).for_each(|value| bits |= 1 << value);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(cron: &str, hours: i64, zone: &str, at: &str) -> bool {
        let at_ms = at.parse::<Timestamp>().unwrap().as_millisecond();
        Cron::parse(cron).unwrap().began_within(at_ms, hours * 3_600_000, &TimeZone::get(zone).unwrap())
    }

    #[test]
    fn schedules_are_active_for_their_duration() {
        // 2026-11-23 is a Monday.
        for (cron, hours, zone, at, expected) in [
            ("0 7 * * 1-5", 12, "UTC", "2026-11-23T06:59:59Z", false),
            ("0 7 * * 1-5", 12, "UTC", "2026-11-23T07:00:00Z", true),
            ("0 7 * * 1-5", 12, "UTC", "2026-11-23T18:59:59Z", true),
            ("0 7 * * 1-5", 12, "UTC", "2026-11-23T19:00:00Z", false),
            ("0 7 * * 1-5", 12, "UTC", "2026-11-22T08:00:00Z", false),
            ("0 7 * * 1-5", 12, "Europe/Paris", "2026-11-23T06:30:00Z", true),
            ("0 22 * * *", 8, "UTC", "2026-11-23T03:00:00Z", true),
            ("*/15 * * * *", 1, "UTC", "2026-11-23T03:00:00Z", true),
            ("0 0 1 * 0", 24, "UTC", "2026-11-22T12:00:00Z", true),
            ("0 0 1 * 7", 24, "UTC", "2026-11-01T12:00:00Z", true),
            ("0 0 1 * 0", 24, "UTC", "2026-11-23T12:00:00Z", false),
        ] {
            assert_eq!(active(cron, hours, zone, at), expected, "{cron} for {hours} h at {at} in {zone}");
        }
    }

    #[test]
    fn bad_expressions_are_refused() {
        for bad in ["", "* * * *", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "x * * * *"] {
            assert!(Cron::parse(bad).is_err(), "{bad}");
        }
    }
}
