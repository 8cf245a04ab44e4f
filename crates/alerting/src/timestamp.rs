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
        match self.instant(at_ms) {
            Some(at) if self.offset_seconds != 0 => format!("{:.3}", at.display_with_offset(self.offset())),
            _ => millis(at_ms),
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
    Timestamp::from_millisecond(at_ms).map_or_else(|_| ZERO.to_owned(), |at| format!("{at:.3}"))
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
