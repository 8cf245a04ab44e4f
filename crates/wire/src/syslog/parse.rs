//! One message.

use crate::logs::parse_time;
use jiff::{civil::DateTime, tz::Offset};
use std::borrow::Cow;

/// Parameters of structured data that are kept.
const PARAMETERS_MAX: usize = 64;
/// Longest program name of RFC 3164 that is believed to be one.
const TAG_BYTES_MAX: usize = 64;
/// Nanoseconds of half a year, about: a date without a year is the one nearest to its arrival.
const HALF_YEAR_NS: i64 = 15_768_000_000_000_000;

/// See the module. What a message does not say is empty.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message<'a> {
    pub(super) priority: Option<u8>,
    pub(super) timestamp_ns: Option<i64>,
    /// What that is told in: nanoseconds of a second, a milli-, a micro- or a nanosecond.
    pub(super) unit_ns: i64,
    pub(super) host: &'a str,
    pub(super) app: &'a str,
    pub(super) process: &'a str,
    pub(super) id: &'a str,
    /// `id_name` and value.
    pub(super) data: Vec<(String, Cow<'a, str>)>,
    pub(super) text: &'a str,
}

pub(super) fn parse(text: &str, received_ns: i64, offset_seconds: i32) -> Message<'_> {
    let text = text.trim_end_matches(['\n', '\r', '\0']);
    let Some((priority, rest)) = priority(text) else {
        return Message { text, ..Message::default() };
    };
    let modern = rest.strip_prefix("1 ").and_then(|rest| rfc5424(priority, rest));
    modern.unwrap_or_else(|| rfc3164(priority, rest, received_ns, offset_seconds))
}

/// `<PRI>`, at most 191.
fn priority(text: &str) -> Option<(u8, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { number.parse::<u8>().ok()? } else { return None };
    (number <= 191).then_some((number, rest))
}

/// `TIMESTAMP HOST APP PROCID MSGID DATA [MSG]`; `-` means that a field is absent.
fn rfc5424(priority: u8, text: &str) -> Option<Message<'_>> {
    let mut fields = text.splitn(6, ' ');
    let mut field = || fields.next().map(|field| if field == "-" { "" } else { field });
    let (timestamp, host, app, process, id) = (field()?, field()?, field()?, field()?, field()?);
    let timestamp_ns = if timestamp.is_empty() { None } else { Some(parse_time(timestamp)?) };
    let (data, rest) = structured_data(fields.next()?)?;
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (priority, unit_ns) = (Some(priority), unit_ns(timestamp));
    Some(Message { priority, timestamp_ns, unit_ns, host, app, process, id, data, text })
}

/// What a time with or without a fraction of a second is told in.
fn unit_ns(time: &str) -> i64 {
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    match fraction.bytes().take_while(u8::is_ascii_digit).count() {
        0 => 1_000_000_000,
        1..=3 => 1_000_000,
        4..=6 => 1_000,
        _ => 1,
    }
}

type Data<'a> = Vec<(String, Cow<'a, str>)>;

/// `-` or `[id name="value" …][…]`, and what follows.
fn structured_data(text: &str) -> Option<(Data<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some((Vec::new(), rest));
    }
    let mut data = Vec::new();
    let mut rest = text.strip_prefix('[')?;
    loop {
        let end = rest.find([' ', ']'])?;
        let id = &rest[..end];
        rest = &rest[end..];
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, after) = parameter.split_once("=\"")?;
            let end = closing_quote(after)?;
            if data.len() < PARAMETERS_MAX {
                data.push((format!("{id}_{name}"), unescape(&after[..end])));
            }
            rest = &after[end + 1..];
        }
        rest = rest.strip_prefix(']')?;
        match rest.strip_prefix('[') {
            Some(next) => rest = next,
            None => return Some((data, rest)),
        }
    }
}

/// Where a value ends: at a quote that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next_if(|next| matches!(next, '"' | ']' | '\\')) } else { None };
        out.push(escaped.unwrap_or(c));
    }
    Cow::Owned(out)
}

/// `May 28 20:26:41 host program[pid]: text`, each part of which may be missing.
fn rfc3164(priority: u8, text: &str, received_ns: i64, offset_seconds: i32) -> Message<'_> {
    let mut message = Message { priority: Some(priority), text, ..Message::default() };
    let Some((timestamp_ns, rest)) = date(text, received_ns, offset_seconds) else {
        // Without a date there is no host name either: `su[230]: text`.
        tag(&mut message, text);
        return message;
    };
    message.timestamp_ns = Some(timestamp_ns);
    message.unit_ns = unit_ns(&text[..text.len() - rest.len()]);
    message.text = rest;
    // A first word that ends with a colon, or has a process id, is the program: no host.
    match rest.split_once(' ') {
        Some((host, rest)) if !host.ends_with(':') && !host.ends_with(']') && !host.is_empty() => {
            message.host = host;
            message.text = rest;
            tag(&mut message, rest);
        }
        _ => tag(&mut message, rest),
    }
    message
}

/// `Mmm dd hh:mm:ss `, or an RFC 3339 time as rsyslog's own format has it, and what follows.
fn date(text: &str, received_ns: i64, offset_seconds: i32) -> Option<(i64, &str)> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let (first, rest) = text.split_once(' ')?;
        return first.contains('T').then_some((parse_time(first)?, rest));
    }
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|month| text.starts_with(month))? as i8 + 1;
    let (day, time) = (text.get(4..6)?, text.get(7..15)?);
    let is_spaced = text.get(3..4)? == " " && text.get(6..7)? == " ";
    let rest = text.get(15..)?;
    let rest = rest.strip_prefix(' ').or_else(|| rest.is_empty().then_some(rest))?;
    let day: i8 = day.trim_start().parse().ok()?;
    let mut clock = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !is_spaced || clock.next().is_some() {
        return None;
    }
    let offset = Offset::from_seconds(offset_seconds).ok()?;
    let year = offset.to_datetime(jiff::Timestamp::from_nanosecond(received_ns.into()).ok()?).year();
    let in_year = |year: i16| {
        let datetime = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        i64::try_from(offset.to_timestamp(datetime).ok()?.as_nanosecond()).ok()
    };
    let years = [year, year.checked_sub(1)?, year.checked_add(1)?];
    let is_near = |at: &i64| at.abs_diff(received_ns) <= HALF_YEAR_NS as u64;
    let candidates = || years.into_iter().filter_map(in_year);
    candidates().find(is_near).or_else(|| candidates().next()).map(|at| (at, rest))
}

/// `program[pid]: text` or `program: text`; anything else is text alone.
fn tag<'a>(message: &mut Message<'a>, text: &'a str) {
    let Some(end) = text.find(|c: char| c.is_whitespace() || matches!(c, ':' | '[')) else { return };
    let (program, mut rest) = text.split_at(end);
    if program.is_empty() || program.len() > TAG_BYTES_MAX {
        return;
    }
    let mut process = "";
    if let Some(inside) = rest.strip_prefix('[') {
        let Some((pid, after)) = inside.split_once(']') else { return };
        (process, rest) = (pid, after);
    }
    let Some(rest) = rest.strip_prefix(':') else { return };
    (message.app, message.process) = (program, process);
    message.text = rest.strip_prefix(' ').unwrap_or(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_780_000_000_000_000_000;

    #[test]
    fn what_calls_itself_rfc3164() {
        for (text, host, app, process, rest) in [
            ("<13>May 28 20:26:40 h prog: text", "h", "prog", "", "text"),
            ("<13>May  8 20:26:40 h prog[1]:text", "h", "prog", "1", "text"),
            ("<13>May 28 20:26:40 prog[1]: text", "", "prog", "1", "text"),
            ("<13>May 28 20:26:40 h just words here", "h", "", "", "just words here"),
            ("<13>2026-05-28T20:26:40+02:00 h prog: text", "h", "prog", "", "text"),
            ("<13>prog[1]: text", "", "prog", "1", "text"),
            ("<13>just words", "", "", "", "just words"),
            ("<13>May 28 nonsense", "", "", "", "May 28 nonsense"),
            ("<13>1 not 5424", "", "", "", "1 not 5424"),
            ("<999>text", "", "", "", "<999>text"),
            ("", "", "", "", ""),
        ] {
            let found = parse(text, NOW_NS, 0);
            let parts = (found.host, found.app, found.process, found.text);
            assert_eq!(parts, (host, app, process, rest), "{text}");
        }
    }

    #[test]
    fn a_date_without_a_year_is_the_nearest() {
        let at = |text: &str, now: &str, offset| {
            let now: jiff::Timestamp = now.parse().unwrap();
            let now_ns = i64::try_from(now.as_nanosecond()).unwrap();
            let found = parse(text, now_ns, offset).timestamp_ns.unwrap();
            jiff::Timestamp::from_nanosecond(found.into()).unwrap().to_string()
        };
        assert_eq!(at("<1>Dec 31 23:59:59 h a: b", "2026-01-01T00:00:05Z", 0), "2025-12-31T23:59:59Z");
        assert_eq!(at("<1>Jan  1 00:00:02 h a: b", "2025-12-31T23:59:59Z", 0), "2026-01-01T00:00:02Z");
        assert_eq!(at("<1>Jul  1 12:00:00 h a: b", "2026-07-01T10:00:00Z", 7200), "2026-07-01T10:00:00Z");
        assert_eq!(at("<1>Feb 29 12:00:00 h a: b", "2024-03-01T10:00:00Z", 0), "2024-02-29T12:00:00Z");
    }

    #[test]
    fn rfc5424_with_absent_fields() {
        let found = parse("<14>1 - - - - - - text", NOW_NS, 0);
        assert_eq!((found.timestamp_ns, found.host, found.app, found.text), (None, "", "", "text"));
        let found = parse("<14>1 2026-05-28T20:26:40Z h a - - [x]", NOW_NS, 0);
        assert_eq!((found.timestamp_ns, found.text), (Some(NOW_NS), ""));
        assert!(found.data.is_empty());
    }
}
