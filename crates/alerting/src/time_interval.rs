//! Recurring times, such as "weekdays from nine to five in Paris".
//!
//! Fields of one interval must all hold; the entries of a field, and the intervals of a name, are
//! alternatives. A field that is left out always holds.

use crate::problem::{Place, Problem};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Deserialize;
use serde_saphyr::Spanned;

/// A named set of intervals, as in `time_intervals`.
#[derive(Clone, Debug)]
pub struct TimeInterval {
    /// What routes call it.
    pub name: String,
    intervals: Vec<Interval>,
}

#[derive(Clone, Debug)]
struct Interval {
    /// Minutes of the day, the end excluded.
    times: Vec<(i32, i32)>,
    /// 0 is Sunday.
    weekdays: Vec<(i32, i32)>,
    /// 1 to 31, or −1 (last) to −31.
    days_of_month: Vec<(i32, i32)>,
    months: Vec<(i32, i32)>,
    years: Vec<(i32, i32)>,
    zone: TimeZone,
}

impl TimeInterval {
    /// From intervals as they are written.
    pub(crate) fn of(name: String, written: &[IntervalYaml], file: &str) -> Result<Self, Problem> {
        let intervals = written.iter().map(|interval| interval.build(file)).collect::<Result<_, _>>()?;
        Ok(TimeInterval { name, intervals })
    }

    /// Whether `at_ms` lies in one of the intervals.
    pub fn contains(&self, at_ms: i64) -> bool {
        let Ok(at) = Timestamp::from_millisecond(at_ms) else { return false };
        self.intervals.iter().any(|interval| interval.contains(at))
    }
}

impl Interval {
    fn contains(&self, at: Timestamp) -> bool {
        let local = at.to_zoned_datetime(self.zone.clone()).datetime();
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let within = |ranges: &[(i32, i32)], value: i32| {
            ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&value))
        };
        (self.times.is_empty() || self.times.iter().any(|(start, end)| (*start..*end).contains(&minute)))
            && within(&self.weekdays, i32::from(local.weekday().to_sunday_zero_offset()))
            && self.has_day(local.date())
            && within(&self.months, i32::from(local.month()))
            && within(&self.years, i32::from(local.year()))
    }

    /// Negative days count from the month's end; both ends are cut to the month's length.
    fn has_day(&self, date: civil::Date) -> bool {
        let days = i32::from(date.days_in_month());
        let from_start = |day: i32| if day < 0 { days + 1 + day } else { day };
        self.days_of_month.is_empty()
            || self.days_of_month.iter().any(|(first, last)| {
                let first = from_start(*first);
                first <= days && (first.max(1)..=from_start(*last).min(days)).contains(&i32::from(date.day()))
            })
    }
}

/// As written in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeIntervalYaml {
    name: Spanned<String>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    time_intervals: Vec<IntervalYaml>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntervalYaml {
    #[serde(default, deserialize_with = "crate::config::or_default")]
    times: Vec<TimesYaml>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    weekdays: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    days_of_month: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    months: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    years: Vec<Spanned<String>>,
    location: Option<Spanned<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimesYaml {
    start_time: Spanned<String>,
    end_time: Spanned<String>,
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl TimeIntervalYaml {
    pub(crate) fn name(&self) -> &Spanned<String> {
        &self.name
    }

    /// The interval ready for use.
    pub(crate) fn build(&self, file: &str) -> Result<TimeInterval, Problem> {
        TimeInterval::of(self.name.value.clone(), &self.time_intervals, file)
    }
}

impl IntervalYaml {
    fn build(&self, file: &str) -> Result<Interval, Problem> {
        let number = |text: &str| text.parse::<i32>().ok();
        let weekday = |text: &str| index_of(&WEEKDAYS, text, 0);
        let month = |text: &str| number(text).or_else(|| index_of(&MONTHS, text, 1));
        Ok(Interval {
            times: self.times.iter().map(|times| times.build(file)).collect::<Result<_, _>>()?,
            weekdays: ranges(file, &self.weekdays, "weekday", 0..=6, weekday)?,
            days_of_month: ranges(file, &self.days_of_month, "day of the month", -31..=31, number)?,
            months: ranges(file, &self.months, "month", 1..=12, month)?,
            years: ranges(file, &self.years, "year", 0..=9999, number)?,
            zone: zone(file, self.location.as_ref())?,
        })
    }
}

fn index_of(names: &[&str], text: &str, first: i32) -> Option<i32> {
    let lower = text.to_ascii_lowercase();
    names.iter().position(|name| *name == lower).map(|index| index as i32 + first)
}

fn zone(file: &str, location: Option<&Spanned<String>>) -> Result<TimeZone, Problem> {
    match location.map(|location| (location.value.as_str(), location)) {
        None | Some(("", _)) => Ok(TimeZone::UTC),
        Some(("Local", _)) => Ok(TimeZone::system()),
        Some((name, at)) => {
            let zone = TimeZone::get(name).ok().filter(|zone| !is_misspelt(name, zone));
            zone.ok_or_else(|| Place::of(at).problem(file, format!("time zone `{name}` is not known")))
        }
    }
}

/// Whether a zone's name is written in other letters, which only some systems understand.
fn is_misspelt(name: &str, zone: &TimeZone) -> bool {
    zone.iana_name().is_some_and(|proper| proper != name && proper.eq_ignore_ascii_case(name))
}

/// Reads `first` or `first:last`.
fn ranges(
    file: &str,
    texts: &[Spanned<String>],
    what: &str,
    allowed: std::ops::RangeInclusive<i32>,
    read: impl Fn(&str) -> Option<i32>,
) -> Result<Vec<(i32, i32)>, Problem> {
    let one = |at: &Spanned<String>| {
        let text = at.value.as_str();
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let good = |value: i32| allowed.contains(&value) && (*allowed.start() >= 0 || value != 0);
        match (read(first), read(last)) {
            (Some(first), Some(last)) if good(first) && good(last) && is_in_order(first, last) => {
                Ok((first, last))
            }
            _ => Err(Place::of(at).problem(file, format!("`{text}` is not a {what} or a range of them"))),
        }
    };
    texts.iter().map(one).collect()
}

/// Days of the shortest month.
const DAYS_MIN: i32 = 28;

/// Whether a range is one in any month. It may be written `1:-1`, from the start of a month to its
/// end, but not from a day that counts from the end to one that counts from the start.
fn is_in_order(first: i32, last: i32) -> bool {
    let from_start = |day: i32| if day < 0 { DAYS_MIN + day } else { day };
    from_start(first) <= from_start(last) && (first >= 0 || last < 0)
}

impl TimesYaml {
    fn build(&self, file: &str) -> Result<(i32, i32), Problem> {
        let start = minute_of_day(file, &self.start_time)?;
        let end = minute_of_day(file, &self.end_time)?;
        if start < end {
            return Ok((start, end));
        }
        Err(Place::of(&self.end_time).problem(file, "`end_time` must be later than `start_time`"))
    }
}

fn minute_of_day(file: &str, at: &Spanned<String>) -> Result<i32, Problem> {
    let two_digits = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten();
    let parsed =
        at.value.split_once(':').and_then(|(hour, minute)| Some((two_digits(hour)?, two_digits(minute)?)));
    match parsed {
        Some((24, 0)) => Ok(24 * 60),
        Some((hour @ 0..=23, minute @ 0..=59)) => Ok(i32::from(hour) * 60 + i32::from(minute)),
        _ => Err(Place::of(at).problem(file, format!("`{}` is not a time of the form HH:MM", at.value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(fields: &str) -> Result<TimeInterval, String> {
        let text = format!("name: x\ntime_intervals:\n- {{{fields}}}\n");
        let parsed: TimeIntervalYaml =
            crate::problem::parse_yaml_file(&text, "f").map_err(|problems| problems[0].to_string())?;
        parsed.build("f").map_err(|problem| problem.to_string())
    }

    fn check(fields: &str, at: &str, expected: bool) {
        let at_ms = at.parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(interval(fields).unwrap().contains(at_ms), expected, "{fields} at {at}");
    }

    #[test]
    fn fields() {
        check("times: [{start_time: '09:00', end_time: '17:00'}]", "2026-11-23T09:00:00Z", true);
        check("times: [{start_time: '09:00', end_time: '17:00'}]", "2026-11-23T17:00:00Z", false);
        check("times: [{start_time: '00:00', end_time: '24:00'}]", "2026-11-23T23:59:59Z", true);
        check("weekdays: ['monday:friday']", "2026-11-23T12:00:00Z", true);
        check("weekdays: [saturday, Sunday]", "2026-11-23T12:00:00Z", false);
        check("days_of_month: ['-1']", "2026-02-28T12:00:00Z", true);
        check("days_of_month: ['1:-1']", "2026-02-10T12:00:00Z", true);
        check("days_of_month: ['-3:-1']", "2026-02-25T12:00:00Z", false);
        check("days_of_month: ['29:31']", "2026-02-28T12:00:00Z", false);
        check("months: ['january:march', '11']", "2026-11-23T12:00:00Z", true);
        check("years: ['1999:2001']", "2026-11-23T12:00:00Z", false);
        check("weekdays: [monday], months: [may]", "2026-11-23T12:00:00Z", false);
        check(
            "times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Paris",
            "2026-11-23T08:30:00Z",
            true,
        );
        check(
            "times: [{start_time: '08:00', end_time: '09:00'}], location: ''",
            "2026-11-23T08:30:00Z",
            true,
        );
        check("", "2026-11-23T12:00:00Z", true);
    }

    #[test]
    fn bad_fields_name_their_place() {
        for (fields, expected) in [
            ("weekdays: [someday]", "f:3:15: `someday` is not a weekday"),
            ("days_of_month: ['0']", "f:3:20: `0` is not a day of the month"),
            ("months: ['5:2']", "`5:2` is not a month"),
            ("times: [{start_time: '9:00', end_time: '10:00'}]", "not a time of the form HH:MM"),
            ("times: [{start_time: '11:00', end_time: '10:00'}]", "must be later"),
            ("days_of_month: ['-5:5']", "`-5:5` is not a day of the month"),
            ("days_of_month: ['1:-31']", "`1:-31` is not a day of the month"),
            ("days_of_month: ['31:-31']", "`31:-31` is not a day of the month"),
            ("days_of_month: ['5:-30']", "`5:-30` is not a day of the month"),
            ("days_of_month: ['1 : 5']", "`1 : 5` is not a day of the month"),
            ("weekdays: ['monday: friday']", "`monday: friday` is not a weekday"),
            ("location: europe/paris", "`europe/paris` is not known"),
            ("location: Atlantis/Main", "`Atlantis/Main` is not known"),
            ("day: [monday]", "unknown field `day`"),
        ] {
            let error = interval(fields).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
