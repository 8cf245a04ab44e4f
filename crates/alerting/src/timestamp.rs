//! Instants as text, in the three forms that the APIs speak.

use jiff::{
    SignedDuration, Timestamp,
    fmt::temporal::{Pieces, PiecesOffset},
    tz::Offset,
};
use serde::{Deserialize, Serialize};

/// "No time" in Go's JSON; an alert that fires has it as its end.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// What a time in text says beyond its milliseconds. Alertmanager echoes times as they were posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// East of Greenwich.
    offset_seconds: i32,
    /// What follows the milliseconds.
    nanoseconds: i32,
}

impl Written {
    /// Whether it says nothing: milliseconds in UTC.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Written::default()
    }

    pub(crate) fn offset(self) -> Offset {
        Offset::from_seconds(self.offset_seconds).unwrap_or(Offset::UTC)
    }

    /// The instant to the nanosecond.
    pub(crate) fn instant(self, at_ms: i64) -> Option<Timestamp> {
        let rest = SignedDuration::from_nanos(self.nanoseconds.into());
        Timestamp::from_millisecond(at_ms).ok()?.checked_add(rest).ok()
    }

    /// As [`millis`].
    pub fn millis(self, at_ms: i64) -> String {
        let mut text = String::new();
        self.push_millis(at_ms, &mut text);
        text
    }

    /// Appends what [`Written::millis`] returns.
    pub fn push_millis(self, at_ms: i64, out: &mut String) {
        if self.offset_seconds == 0 {
            return push_millis(at_ms, out);
        }
        match self.instant(at_ms) {
            Some(at) => out.push_str(&format!("{:.3}", at.display_with_offset(self.offset()))),
            None => push_millis(at_ms, out),
        }
    }

    /// As [`shortest`].
    pub fn shortest(self, at_ms: i64) -> String {
        match self.instant(at_ms) {
            Some(at) if self.offset_seconds != 0 => at.display_with_offset(self.offset()).to_string(),
            Some(at) => at.to_string(),
            None => ZERO.to_owned(),
        }
    }
}

/// RFC 3339 with exactly three digits of fraction, as Alertmanager's API prints instants.
pub fn millis(at_ms: i64) -> String {
    let mut text = String::new();
    push_millis(at_ms, &mut text);
    text
}

fn push_millis(at_ms: i64, out: &mut String) {
    match Timestamp::from_millisecond(at_ms) {
        Ok(_) if (0..=LAST_MS).contains(&at_ms) => out.push_str(digits(at_ms as u64, &mut [0; 24])),
        Ok(at) => out.push_str(&format!("{at:.3}")),
        Err(_) => out.push_str(ZERO),
    }
}

/// 9999-01-01T00:00:00Z.
const LAST_MS: i64 = 253_370_764_800_000;
const DAY_MS: u64 = 86_400_000;

/// What [`millis`] prints from 1970 on, digit by digit: an answer of ten thousand alerts has thirty
/// thousand instants, and formatting them in general takes most of its time. The date is found as in
/// Howard Hinnant's `civil_from_days`, in years that begin in March.
fn digits(at_ms: u64, text: &mut [u8; 24]) -> &str {
    let (days, ms) = (at_ms / DAY_MS + 719_468, at_ms % DAY_MS);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    *text = *b"0000-00-00T00:00:00.000Z";
    for (end, width, number) in [
        (4, 4, year),
        (7, 2, month),
        (10, 2, day),
        (13, 2, ms / 3_600_000),
        (16, 2, ms / 60_000 % 60),
        (19, 2, ms / 1_000 % 60),
        (23, 3, ms % 1_000),
    ] {
        let mut rest = number;
        for at in (end - width..end).rev() {
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    str::from_utf8(text).unwrap_or(ZERO)
}

/// RFC 3339 with as many digits of fraction as are needed, as Go's `time.Time` prints in JSON.
pub fn shortest(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| ZERO.to_owned(), |at| at.to_string())
}

/// Reads RFC 3339 as [`parse`] does, and how it was written.
///
/// # Errors
/// As [`parse`].
pub fn parse_written(text: &str) -> Result<Option<(i64, Written)>, String> {
    let Some(at_ms) = parse(text)? else {
        return Ok(None);
    };
    let offset_seconds = match Pieces::parse(text).ok().and_then(|pieces| pieces.offset()) {
        Some(PiecesOffset::Numeric(offset)) => offset.offset().seconds(),
        _ => 0,
    };
    let nanoseconds = text.parse::<Timestamp>().map_or(0, |at| at.subsec_nanosecond() % 1_000_000);
    Ok(Some((at_ms, Written { offset_seconds, nanoseconds })))
}

/// Reads RFC 3339; `None` is Go's zero time.
///
/// # Errors
/// A message with the text in it.
pub fn parse(text: &str) -> Result<Option<i64>, String> {
    if text.starts_with("0001-01-01T00:00:00") {
        return Ok(None);
    }
    let read = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_millisecond);
    let is_for_ever = || text.starts_with("9999-12-3") && read(&text.replacen("9999", "9998", 1)).is_ok();
    match read(text) {
        Ok(at_ms) => Ok(Some(at_ms)),
        // Where the library's time ends already.
        Err(_) if is_for_ever() => Ok(Some(Timestamp::MAX.as_millisecond())),
        Err(_) => Err(format!("`{text}` is not a time in RFC 3339 form")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let at = 1_643_114_203_240;
        assert_eq!(millis(at), "2022-01-25T12:36:43.240Z");
        assert_eq!(shortest(at), "2022-01-25T12:36:43.24Z");
        assert_eq!(parse("2022-01-25T13:36:43.24+01:00"), Ok(Some(at)));
        assert_eq!(parse(ZERO), Ok(None));
        assert!(parse("yesterday").unwrap_err().contains("yesterday"));
        // How people write that something has no end.
        assert!(parse("9999-12-31T23:59:59Z").unwrap() > parse("9999-12-30T12:00:00Z").unwrap());
        assert!(parse("9999-12-31").is_err());
    }

    #[test]
    fn the_short_way_to_print_an_instant_is_the_long_one() {
        let around = [0, 1_643_114_203_240, 951_782_400_000, 4_107_542_400_000, LAST_MS];
        let around = around.into_iter().flat_map(|at| [at - 1, at, at + 1, at + 86_400_000]);
        // Days and a bit, over 9,000 years.
        let strides = (0..LAST_MS).step_by(86_400_000 * 37 + 12_345_677);
        for at in around.chain(strides).chain([i64::MIN, -1, i64::MAX]) {
            let expected =
                Timestamp::from_millisecond(at).map_or_else(|_| ZERO.to_owned(), |at| format!("{at:.3}"));
            assert_eq!(millis(at), expected, "{at}");
        }
    }

    /// Recorded from Alertmanager 0.25: in its API and in its webhooks.
    #[test]
    fn posted_times_are_echoed() {
        for (posted, in_api, in_webhook) in [
            ("2026-11-27T03:51:08.123456789+02:00", "2026-11-27T03:51:08.123+02:00", ""),
            ("2026-11-27T03:51:08+02:00", "2026-11-27T03:51:08.000+02:00", ""),
            ("2026-11-27T03:51:08.1234567+02:00", "2026-11-27T03:51:08.123+02:00", ""),
            ("2026-11-27T05:51:08.25-03:30", "2026-11-27T05:51:08.250-03:30", ""),
            (
                "2026-11-27T03:51:08.000000+02:00",
                "2026-11-27T03:51:08.000+02:00",
                "2026-11-27T03:51:08+02:00",
            ),
            ("2026-11-27T03:51:08.5-00:00", "2026-11-27T03:51:08.500Z", "2026-11-27T03:51:08.5Z"),
            ("2026-11-27T03:51:08Z", "2026-11-27T03:51:08.000Z", ""),
        ] {
            let (at_ms, written) = parse_written(posted).unwrap().unwrap();
            assert_eq!(written.millis(at_ms), in_api);
            assert_eq!(written.shortest(at_ms), if in_webhook.is_empty() { posted } else { in_webhook });
        }
        assert_eq!(parse_written(ZERO), Ok(None));
    }
}
