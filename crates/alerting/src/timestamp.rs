//! Instants as text, in the three forms that the APIs speak.

use jiff::Timestamp;

/// "No time" in Go's JSON; an alert that fires has it as its end.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with exactly three digits of fraction, as Alertmanager's API prints instants.
pub fn millis(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| ZERO.to_owned(), |at| format!("{at:.3}"))
}

/// RFC 3339 with as many digits of fraction as are needed, as Go's `time.Time` prints in JSON.
pub fn shortest(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| ZERO.to_owned(), |at| at.to_string())
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
}
