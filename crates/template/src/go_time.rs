//! Go's `time.Time`: layouts such as `2006-01-02 15:04:05`, written and read.

use jiff::{Timestamp, ZonedDateTime, civil, tz::TimeZone};

/// The pieces of a layout, longest first where one begins another.
const TOKENS: [(&str, Token); 33] = [
    ("January", Token::MonthName),
    ("Monday", Token::WeekdayName),
    ("Jan", Token::MonthShort),
    ("Mon", Token::WeekdayShort),
    ("MST", Token::ZoneName),
    ("2006", Token::Year),
    ("-07:00:00", Token::Offset { z: false, colon: true, seconds: true, minutes: true }),
    ("Z07:00:00", Token::Offset { z: true, colon: true, seconds: true, minutes: true }),
    ("-070000", Token::Offset { z: false, colon: false, seconds: true, minutes: true }),
    ("Z070000", Token::Offset { z: true, colon: false, seconds: true, minutes: true }),
    ("-07:00", Token::Offset { z: false, colon: true, seconds: false, minutes: true }),
    ("Z07:00", Token::Offset { z: true, colon: true, seconds: false, minutes: true }),
    ("-0700", Token::Offset { z: false, colon: false, seconds: false, minutes: true }),
    ("Z0700", Token::Offset { z: true, colon: false, seconds: false, minutes: true }),
    ("-07", Token::Offset { z: false, colon: false, seconds: false, minutes: false }),
    ("Z07", Token::Offset { z: true, colon: false, seconds: false, minutes: false }),
    ("002", Token::DayOfYear),
    ("__2", Token::DayOfYearSpaced),
    ("01", Token::Month(2)),
    ("02", Token::Day(2)),
    ("_2", Token::DaySpaced),
    ("03", Token::Hour12(2)),
    ("04", Token::Minute(2)),
    ("05", Token::Second(2)),
    ("06", Token::YearShort),
    ("15", Token::Hour),
    ("PM", Token::Half(true)),
    ("pm", Token::Half(false)),
    ("1", Token::Month(1)),
    ("2", Token::Day(1)),
    ("3", Token::Hour12(1)),
    ("4", Token::Minute(1)),
    ("5", Token::Second(1)),
];

#[derive(Clone, Copy, PartialEq)]
enum Token {
    MonthName,
    MonthShort,
    /// Least number of digits.
    Month(usize),
    WeekdayName,
    WeekdayShort,
    Day(usize),
    DaySpaced,
    DayOfYear,
    DayOfYearSpaced,
    Hour,
    Hour12(usize),
    Minute(usize),
    Second(usize),
    Year,
    YearShort,
    /// Upper case or not.
    Half(bool),
    ZoneName,
    Offset {
        z: bool,
        colon: bool,
        seconds: bool,
        minutes: bool,
    },
    /// `.000`: digits kept; `.999`: trailing zeros dropped.
    Fraction {
        digits: usize,
        keep_zeros: bool,
    },
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Splits the layout into literal text, a piece, and the rest.
fn next_token(layout: &str) -> Option<(&str, Token, &str)> {
    for (at, c) in layout.char_indices() {
        let rest = &layout[at..];
        if let Some((token, length)) = fraction_at(layout, at) {
            return Some((&layout[..at], token, &rest[length..]));
        }
        // `_2006` is an underscore before a year, not a spaced day before `006`.
        if c == '_' && rest.starts_with("_2006") {
            return Some((&layout[..=at], Token::Year, &rest[5..]));
        }
        let found = TOKENS.iter().find(|(text, token)| {
            let whole = !matches!(token, Token::MonthShort) || !continues_word(rest, text.len());
            rest.starts_with(text) && whole
        });
        if let Some((text, token)) = found {
            return Some((&layout[..at], *token, &rest[text.len()..]));
        }
    }
    None
}

/// Whether `Jan` goes on as another word, such as `Jane`, which is literal text.
fn continues_word(rest: &str, length: usize) -> bool {
    rest.get(length..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// `.000`, `,000`, `.999`, `,999` that no further digit follows.
fn fraction_at(layout: &str, at: usize) -> Option<(Token, usize)> {
    let rest = &layout[at..];
    let digit = *rest.as_bytes().get(1)?;
    if !rest.starts_with(['.', ',']) || !matches!(digit, b'0' | b'9') {
        return None;
    }
    let digits = rest[1..].bytes().take_while(|byte| *byte == digit).count();
    let followed = rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
    let token = Token::Fraction { digits, keep_zeros: digit == b'0' };
    (!followed).then_some((token, 1 + digits))
}

/// Writes `time` as Go's `Time.Format`.
pub fn format_time(time: &ZonedDateTime, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some((literal, token, tail)) = next_token(rest) {
        out.push_str(literal);
        let comma = rest[literal.len()..].starts_with(',');
        write_token(&mut out, time, token, comma);
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn write_token(out: &mut String, time: &ZonedDateTime, token: Token, comma: bool) {
    let month = MONTHS[usize::from(time.month().unsigned_abs()).saturating_sub(1)];
    let weekday = WEEKDAYS[usize::from(time.weekday().to_monday_zero_offset().unsigned_abs())];
    let hour12 = (time.hour() + 11) % 12 + 1;
    let text = match token {
        Token::MonthName => month.to_owned(),
        Token::MonthShort => month[..3].to_owned(),
        Token::Month(digits) => format!("{:0digits$}", time.month()),
        Token::WeekdayName => weekday.to_owned(),
        Token::WeekdayShort => weekday[..3].to_owned(),
        Token::Day(digits) => format!("{:0digits$}", time.day()),
        Token::DaySpaced => format!("{:>2}", time.day()),
        Token::DayOfYear => format!("{:03}", time.day_of_year()),
        Token::DayOfYearSpaced => format!("{:>3}", time.day_of_year()),
        Token::Hour => format!("{:02}", time.hour()),
        Token::Hour12(digits) => format!("{hour12:0digits$}"),
        Token::Minute(digits) => format!("{:0digits$}", time.minute()),
        Token::Second(digits) => format!("{:0digits$}", time.second()),
        Token::Year => format!("{:04}", time.year()),
        Token::YearShort => format!("{:02}", time.year().rem_euclid(100)),
        Token::Half(upper) => match (time.hour() >= 12, upper) {
            (true, true) => "PM".to_owned(),
            (true, false) => "pm".to_owned(),
            (false, true) => "AM".to_owned(),
            (false, false) => "am".to_owned(),
        },
        Token::ZoneName => zone_name(time),
        Token::Offset { z, colon, seconds, minutes } => offset_text(time, z, colon, seconds, minutes),
        Token::Fraction { digits, keep_zeros } => fraction_text(time, digits, keep_zeros, comma),
    };
    out.push_str(&text);
}

fn zone_name(time: &ZonedDateTime) -> String {
    let details = time.time_zone().to_offset_info(time.timestamp());
    let name = details.abbreviation();
    // A fixed offset has no name; Go writes `+02` or `+0530` then.
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return name.to_owned();
    }
    let minutes = time.offset().seconds() % 3600 != 0;
    offset_text(time, false, false, false, minutes)
}

fn offset_text(time: &ZonedDateTime, z: bool, colon: bool, seconds: bool, minutes: bool) -> String {
    let total = time.offset().seconds();
    if z && total == 0 {
        return "Z".to_owned();
    }
    let sign = if total < 0 { '-' } else { '+' };
    let total = total.unsigned_abs();
    let separator = if colon { ":" } else { "" };
    let mut out = format!("{sign}{:02}", total / 3600);
    if minutes {
        out.push_str(&format!("{separator}{:02}", total / 60 % 60));
    }
    if seconds {
        out.push_str(&format!("{separator}{:02}", total % 60));
    }
    out
}

fn fraction_text(time: &ZonedDateTime, digits: usize, keep_zeros: bool, comma: bool) -> String {
    let nanoseconds = format!("{:09}", time.subsec_nanosecond());
    let mut kept = nanoseconds[..digits.min(9)].to_owned();
    if !keep_zeros {
        kept.truncate(kept.trim_end_matches('0').len());
    }
    if kept.is_empty() {
        return kept;
    }
    format!("{}{kept}", if comma { ',' } else { '.' })
}

/// The text of `{{ time }}`: `2006-01-02 15:04:05.999999999 -0700 MST`.
pub fn time_to_string(time: &ZonedDateTime) -> String {
    format_time(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Reads a time as Go's `time.ParseInLocation`.
///
/// # Errors
/// When the text does not have the layout's form, in the words of Go's `ParseError`.
pub fn parse_time(layout: &str, text: &str, zone: &TimeZone) -> Result<ZonedDateTime, String> {
    parse_fields(layout, text, zone)
        .ok_or_else(|| format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as {layout:?}"))
}

/// What a layout has told so far.
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    offset_seconds: Option<i32>,
    utc: bool,
}

fn parse_fields(layout: &str, text: &str, zone: &TimeZone) -> Option<ZonedDateTime> {
    let mut fields = Fields {
        year: 0,
        month: 1,
        day: 1,
        day_of_year: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        afternoon: None,
        offset_seconds: None,
        utc: false,
    };
    let (mut layout, mut text) = (layout, text);
    while let Some((literal, token, tail)) = next_token(layout) {
        text = skip_literal(literal, text)?;
        text = read_token(&mut fields, token, text)?;
        // Seconds may carry a fraction that the layout does not name.
        let names_fraction = matches!(next_token(tail), Some(("", Token::Fraction { .. }, _)));
        if matches!(token, Token::Second(_)) && text.starts_with(['.', ',']) && !names_fraction {
            text = read_fraction(&mut fields, text).unwrap_or(text);
        }
        layout = tail;
    }
    text = skip_literal(layout, text)?;
    if !text.is_empty() {
        return None;
    }
    fields.resolve(zone)
}

impl Fields {
    fn resolve(&self, zone: &TimeZone) -> Option<ZonedDateTime> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.day_of_year {
            Some(day) => {
                civil::Date::new(self.year, 1, 1).ok()?.checked_add(jiff::Span::new().days(day - 1)).ok()?
            }
            None => civil::Date::new(self.year, self.month, self.day).ok()?,
        };
        let time = civil::Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let zone = match self.offset_seconds {
            Some(0) => TimeZone::UTC,
            Some(seconds) => jiff::tz::Offset::from_seconds(seconds).ok()?.to_time_zone(),
            None if self.utc => TimeZone::UTC,
            None => zone.clone(),
        };
        date.to_datetime(time).to_zoned_datetime(zone).ok()
    }
}

fn skip_literal<'t>(literal: &str, text: &'t str) -> Option<&'t str> {
    // A space of the layout stands for any number of spaces.
    let mut text = text;
    for c in literal.chars() {
        if c == ' ' {
            text = text.trim_start_matches(' ');
            continue;
        }
        text = text.strip_prefix(c)?;
    }
    Some(text)
}

/// Reads between `least` and `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

fn read_fraction<'t>(fields: &mut Fields, text: &'t str) -> Option<&'t str> {
    let rest = text.strip_prefix(['.', ','])?;
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let kept = &rest[..count.min(9)];
    fields.nanosecond = format!("{kept:0<9}").parse().ok().filter(|_| count > 0)?;
    Some(&rest[count..])
}

fn name_index(names: &[&str], text: &str, length: Option<usize>) -> Option<(usize, usize)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = &name[..length.unwrap_or(name.len())];
        let found = text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        found.then_some((i, name.len()))
    })
}

fn read_token<'t>(fields: &mut Fields, token: Token, text: &'t str) -> Option<&'t str> {
    let small = |value: i32| i8::try_from(value).ok();
    let (value, rest) = match token {
        Token::MonthName | Token::MonthShort => {
            let length = (token == Token::MonthShort).then_some(3);
            let (index, length) = name_index(&MONTHS, text, length)?;
            (index as i32 + 1, &text[length..])
        }
        Token::WeekdayName | Token::WeekdayShort => {
            let length = (token == Token::WeekdayShort).then_some(3);
            let (index, length) = name_index(&WEEKDAYS, text, length)?;
            (index as i32, &text[length..])
        }
        Token::Year => digits(text, 4, 4)?,
        Token::YearShort | Token::Hour => digits(text, if token == Token::Hour { 1 } else { 2 }, 2)?,
        Token::Month(least) | Token::Day(least) | Token::Minute(least) | Token::Second(least) => {
            digits(text, least, 2)?
        }
        Token::Hour12(least) => digits(text, least, 2)?,
        Token::DaySpaced => digits(text.strip_prefix(' ').unwrap_or(text), 1, 2)?,
        Token::DayOfYear => digits(text, 3, 3)?,
        Token::DayOfYearSpaced => digits(text.trim_start_matches(' '), 1, 3)?,
        Token::Half(_) => {
            let half = text.get(..2)?;
            let afternoon = match half.to_ascii_uppercase().as_str() {
                "PM" => 1,
                "AM" => 0,
                _ => return None,
            };
            (afternoon, &text[2..])
        }
        Token::ZoneName => {
            let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
            fields.utc |= matches!(&text[..length], "UTC" | "GMT");
            return (3..=5).contains(&length).then_some(&text[length..]);
        }
        Token::Offset { z, colon, seconds, minutes } => {
            return read_offset(fields, text, z, colon, seconds, minutes);
        }
        Token::Fraction { keep_zeros, .. } => {
            return match read_fraction(fields, text) {
                Some(rest) => Some(rest),
                None if keep_zeros => None,
                None => Some(text),
            };
        }
    };
    match token {
        Token::MonthName | Token::MonthShort | Token::Month(_) => fields.month = small(value)?,
        Token::Year => fields.year = i16::try_from(value).ok()?,
        // Two digits are 1969 to 2068, as in Go.
        Token::YearShort => {
            fields.year = i16::try_from(if value >= 69 { value + 1900 } else { value + 2000 }).ok()?
        }
        Token::Day(_) | Token::DaySpaced => fields.day = small(value)?,
        Token::DayOfYear | Token::DayOfYearSpaced => fields.day_of_year = i16::try_from(value).ok(),
        Token::Hour | Token::Hour12(_) => fields.hour = small(value)?,
        Token::Minute(_) => fields.minute = small(value)?,
        Token::Second(_) => fields.second = small(value)?,
        Token::Half(_) => fields.afternoon = Some(value == 1),
        _ => {}
    }
    Some(rest)
}

fn read_offset<'t>(
    fields: &mut Fields,
    text: &'t str,
    z: bool,
    colon: bool,
    seconds: bool,
    minutes: bool,
) -> Option<&'t str> {
    if z && let Some(rest) = text.strip_prefix('Z') {
        fields.offset_seconds = Some(0);
        return Some(rest);
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, mut rest) = digits(rest, 2, 2)?;
    let mut total = hours * 3600;
    for (wanted, unit) in [(minutes, 60), (seconds, 1)] {
        if !wanted {
            continue;
        }
        let tail = if colon { rest.strip_prefix(':')? } else { rest };
        let (value, tail) = digits(tail, 2, 2)?;
        total += value * unit;
        rest = tail;
    }
    fields.offset_seconds = Some(sign * total);
    Some(rest)
}

/// The instant `nanoseconds` after the epoch, in UTC; the epoch's ends where it is out of range.
pub(crate) fn utc(nanoseconds: i128) -> ZonedDateTime {
    let timestamp = Timestamp::from_nanosecond(nanoseconds).unwrap_or(if nanoseconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    timestamp.to_zoned_datetime(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanoseconds: i128) -> ZonedDateTime {
        utc(nanoseconds)
    }

    #[test]
    fn layouts_format() {
        let time = at(1_795_168_961_446_827_408);
        for (layout, expected) in [
            ("Mon, 02 Jan 2006 15:04:05.000 MST", "Fri, 20 Nov 2026 10:02:41.446 UTC"),
            ("06/1/2 3:04PM .999999999", "26/11/20 10:02AM .446827408"),
            ("2006-01-02T15:04:05Z07:00", "2026-11-20T10:02:41Z"),
            ("Monday January _2 002", "Friday November 20 324"),
            ("-0700 -07:00 -07", "+0000 +00:00 +00"),
            ("text Janet 15h", "text Janet 10h"),
        ] {
            assert_eq!(format_time(&time, layout), expected);
        }
        assert_eq!(time_to_string(&at(1_643_114_203_249_000_000)), "2022-01-25 12:36:43.249 +0000 UTC");
    }

    #[test]
    fn layouts_parse() {
        for (layout, text, expected) in [
            ("2006-01-02 15:04", "2026-11-20 13:45", Some(1_795_182_300)),
            ("2006-01-02", "junk", None),
            ("2006-01-02T15:04:05Z07:00", "2026-11-20T13:45:00+01:00", Some(1_795_178_700)),
            ("Jan _2 2006 3:04PM", "Nov 20 2026 1:45PM", Some(1_795_182_300)),
            ("2006-01-02 15:04:05", "2026-11-20 13:45:00.5", Some(1_795_182_300)),
            ("2006-01-02", "2026-11-20x", None),
        ] {
            let parsed = parse_time(layout, text, &TimeZone::UTC);
            assert_eq!(parsed.ok().map(|time| time.timestamp().as_second()), expected, "{layout} {text}");
        }
    }
}
